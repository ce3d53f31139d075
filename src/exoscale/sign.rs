//! The signature EXO2-HMAC-SHA256, a pure function.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use super::Credentials;

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'a str,
    /// The path, escaped as it is sent, with `/v2` and without the query.
    pub path: &'a str,
    /// The query's parameters, not escaped, each name once.
    pub query: &'a [(&'a str, String)],
    /// The body as it is sent; empty if there is none.
    pub body: &'a [u8],
    /// When the signature loses its validity, in seconds since 1970.
    pub expires: u64,
}

/// The value of the header `Authorization`.
pub fn authorization(credentials: &Credentials, message: &Message<'_>) -> String {
    let mut query: Vec<&(&str, String)> = message.query.iter().collect();
    query.sort_unstable_by_key(|(name, _)| *name);
    let mut signed = Vec::with_capacity(128 + message.body.len());
    signed.extend_from_slice(format!("{} {}\n", message.method, message.path).as_bytes());
    signed.extend_from_slice(message.body);
    signed.push(b'\n');
    for (_, value) in &query {
        signed.extend_from_slice(value.as_bytes());
    }
    // The fourth part, headers, is reserved and empty.
    signed.extend_from_slice(format!("\n\n{}", message.expires).as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, credentials.secret.expose_secret().as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, &signed));

    let mut header = format!("EXO2-HMAC-SHA256 credential={}", credentials.key);
    if !query.is_empty() {
        let names: Vec<&str> = query.iter().map(|(name, _)| *name).collect();
        let _ = write!(header, ",signed-query-args={}", names.join(";"));
    }
    let _ = write!(header, ",expires={},signature={signature}", message.expires);
    header
}
