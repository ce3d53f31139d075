//! Checks EXO2-HMAC-SHA256, from the description of the scheme and not from Berth's signer.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::Received;

/// Whether a request may be carried out; why not otherwise.
pub(crate) fn check(
    header: Option<&str>,
    signed: &Received,
    keys: &BTreeMap<String, String>,
    now: SystemTime,
) -> Result<(), String> {
    let header = header.ok_or("there is no Authorization header")?;
    let fields = header.strip_prefix("EXO2-HMAC-SHA256 ").ok_or("unknown scheme")?;
    let fields: BTreeMap<&str, &str> =
        fields.split(',').filter_map(|field| field.split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().ok_or(format!("{name} is missing"));
    let secret = keys.get(field("credential")?).ok_or("the key is unknown")?;
    let expires: u64 = field("expires")?.parse().map_err(|_| "expires is no number")?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if expires < now {
        return Err("the signature has expired".to_owned());
    }
    let names: Vec<&str> =
        fields.get("signed-query-args").map_or_else(Vec::new, |names| names.split(';').collect());
    if names.len() != signed.query.len() {
        return Err("a query argument is not signed".to_owned());
    }
    let mut values = String::new();
    for name in names {
        values += signed.query.get(name).ok_or(format!("no query argument {name}"))?;
    }
    let body = std::str::from_utf8(&signed.body).map_err(|_| "the body is no text")?;
    let message =
        [&format!("{} {}", signed.method, signed.path), body, &values, "", &expires.to_string()]
            .join("\n");
    let given = STANDARD.decode(field("signature")?).map_err(|_| "the signature is no base64")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, message.as_bytes(), &given).map_err(|_| "the signature is wrong".to_owned())
}
