//! Checks a call's signature, from the description of the scheme and not from Berth's signer.

use std::fmt::Write as _;

use aws_lc_rs::digest;

use crate::route::Refusal;
use crate::server::Received;

/// A call may be so many seconds old, or early.
const TOLERANCE: u64 = 300;

/// Whether a call may be carried out; why not otherwise.
pub(super) fn check(received: &Received, keys: &[String; 3], now: u64) -> Result<(), Refusal> {
    let refused = |status: u16, why: &str| Refusal(status, why.to_owned());
    let [application, secret, consumer] = keys;
    let header = |name: &str| received.header(name).unwrap_or_default();
    if header("x-ovh-application") != application {
        return Err(refused(403, "This application key is invalid"));
    }
    if header("x-ovh-consumer") != consumer {
        let given = header("x-ovh-consumer");
        return Err(refused(403, &format!("This credential is not valid: {given}")));
    }
    let stamp = header("x-ovh-timestamp");
    let sent: u64 = stamp.parse().map_err(|_| refused(400, "Invalid timestamp"))?;
    if sent.abs_diff(now) > TOLERANCE {
        return Err(refused(400, "Query out of time"));
    }
    let body = std::str::from_utf8(&received.body).map_err(|_| refused(400, "no text"))?;
    let parts = [secret, consumer, &*received.method, &received.address, body, stamp];
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, parts.join("+").as_bytes());
    let mut expected = "$1$".to_owned();
    for byte in hash.as_ref() {
        let _ = write!(expected, "{byte:02x}");
    }
    match header("x-ovh-signature") == expected {
        true => Ok(()),
        false => Err(refused(400, "Invalid signature")),
    }
}
