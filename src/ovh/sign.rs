//! The signature of a call.

use std::fmt::{self, Write as _};

use async_trait::async_trait;
use aws_lc_rs::digest;
use secrecy::{ExposeSecret as _, SecretString};

use super::Skew;
use crate::cloud::{Message, Scheme, Signed};

/// The key of a Secret that holds the application's key, named as OVH's own tools do.
pub const APPLICATION_KEY: &str = "OVH_APPLICATION_KEY";
/// The key of a Secret that holds the application's secret.
pub const APPLICATION_SECRET: &str = "OVH_APPLICATION_SECRET";
/// The key of a Secret that holds the consumer's key.
pub const CONSUMER_KEY: &str = "OVH_CONSUMER_KEY";

/// The keys of an application, and of who lets it act for them.
#[derive(Clone)]
pub struct Keys {
    /// Which application.
    pub application: SecretString,
    /// The application's secret.
    pub secret: SecretString,
    /// For whom.
    pub consumer: SecretString,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keys(redacted)")
    }
}

#[derive(Debug)]
pub(super) struct Signer {
    pub(super) keys: Keys,
    pub(super) skew: Skew,
}

/// `$1$` and the SHA-1 of everything joined by `+`; `timestamp` is the server's time in seconds.
pub fn signature(keys: &Keys, message: &Message<'_>, timestamp: i64) -> String {
    let Keys { secret, consumer, .. } = keys;
    let (secret, consumer) = (secret.expose_secret(), consumer.expose_secret());
    let timestamp = timestamp.to_string();
    let parts: [&[u8]; 6] = [
        secret.as_bytes(),
        consumer.as_bytes(),
        message.method.as_bytes(),
        message.address.as_bytes(),
        message.body,
        timestamp.as_bytes(),
    ];
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &parts.join(&b'+'));
    hash.as_ref().iter().fold("$1$".to_owned(), |mut text, byte| {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[async_trait]
impl Scheme for Signer {
    fn cloud(&self) -> &'static str {
        "OVH"
    }

    async fn sign(&self, message: &Message<'_>) -> Result<Signed, String> {
        let Keys { application, secret, consumer } = self.keys.clone();
        let ahead = self.skew.lock().map_or(0, |(seconds, _)| seconds);
        let timestamp = message.now.as_millis() / 1_000 + ahead;
        let headers = vec![
            ("x-ovh-application", application.clone()),
            ("x-ovh-consumer", consumer.clone()),
            ("x-ovh-timestamp", timestamp.to_string().into()),
            ("x-ovh-signature", signature(&self.keys, message, timestamp).into()),
        ];
        Ok(Signed { headers, secrets: vec![secret, consumer, application] })
    }
}

#[cfg(test)]
mod tests {
    use berth_solver::model::Timestamp;

    use super::*;

    #[test]
    fn signatures_equal_those_of_ovhs_own_client() {
        // Made by its Python client, 1.2.0.
        let keys = Keys {
            application: "7kbG7Bk7S9Nt7ZSV".into(),
            secret: "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF".into(),
            consumer: "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1".into(),
        };
        assert_eq!(format!("{keys:?}"), "Keys(redacted)");
        let signed = |method, path, body: &str| {
            let address = format!("https://eu.api.ovh.com/1.0/cloud/project/p/{path}");
            let (query, body, now) = (&[], body.as_bytes(), Timestamp::default());
            let message = Message { method, address: &address, path, query, body, now };
            signature(&keys, &message, 1_457_018_900)
        };
        assert_eq!(
            signed("GET", "database/postgresql", ""),
            "$1$fa1dd8f14fbe889d85ba723b6bf5bde0f7ba90e6"
        );
        assert_eq!(
            signed("POST", "instance?region=GRA11", r#"{"name":"b\u00e9rth","flavorId":"f"}"#),
            "$1$f464c175ba9b9b6e08c52c87d78a15eaf49b7529"
        );
    }
}
