use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use berth_solver::model::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

/// How a cloud knows who calls.
#[async_trait]
pub trait Scheme: fmt::Debug + Send + Sync {
    /// The cloud's name, for people.
    fn cloud(&self) -> &'static str;

    /// How far behind the cloud's this machine's clock may be before calls are refused; `None` if
    /// the cloud does not care.
    fn tolerance(&self) -> Option<Duration> {
        None
    }

    /// What proves who calls.
    ///
    /// # Errors
    /// Why there is no usable key, for people.
    async fn sign(&self, message: &Message<'_>) -> Result<Signed, String>;
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'a str,
    /// The whole address, as it is sent.
    pub address: &'a str,
    /// The path, escaped as it is sent, without the query.
    pub path: &'a str,
    /// The query's parameters, not escaped, each name once.
    pub query: &'a [(&'a str, String)],
    /// The body as it is sent; empty if there is none.
    pub body: &'a [u8],
    /// What time it is.
    pub now: Timestamp,
}

/// What proves who calls.
#[derive(Debug, Default)]
pub struct Signed {
    /// Headers, by name.
    pub headers: Vec<(&'static str, SecretString)>,
    /// What may stand in no error, whoever says it.
    pub secrets: Vec<SecretString>,
}

impl Signed {
    /// A text with every occurrence of a secret taken out.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose_secret(), "[redacted]")
        })
    }
}
