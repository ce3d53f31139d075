//! A client of one zone's endpoint.

use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::sign::{self, authorization};
use super::{ApiError, CLOUD, CredentialSource, Request};
use crate::clock::Clock;
use crate::cloud::{self, Message, Scheme, Signed};

/// How long a signature is valid: as egoscale has it.
const VALIDITY: Duration = Duration::from_secs(10 * 60);

/// How a client calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Each call.
    pub calls: cloud::Settings,
    /// The wait before an operation is looked at first; half as long again after each look...
    pub poll_first: Duration,
    /// ...and so long at most.
    pub poll_longest: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls: cloud::Settings::default(),
            poll_first: Duration::from_millis(500),
            poll_longest: Duration::from_secs(5),
        }
    }
}

/// A client of one zone's endpoint. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Client {
    calls: cloud::Client,
    pub(super) poll_first: Duration,
    pub(super) poll_longest: Duration,
}

impl Client {
    /// A client of an endpoint such as `https://api-ch-gva-2.exoscale.com/v2`.
    ///
    /// # Errors
    /// If the endpoint is no address of http or https, or the system's certificates cannot be
    /// read.
    pub fn new(
        endpoint: &str,
        credentials: CredentialSource,
        clock: Clock,
        settings: Settings,
    ) -> std::io::Result<Self> {
        let Settings { calls, poll_first, poll_longest } = settings;
        let calls = cloud::Client::new(endpoint, Box::new(credentials), clock, calls)?;
        Ok(Self { calls, poll_first, poll_longest })
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        self.calls.clock()
    }

    /// Makes a call and reads its answer as `T`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ApiError> {
        self.calls.call(request).await
    }
}

#[async_trait]
impl Scheme for CredentialSource {
    fn cloud(&self) -> &'static str {
        CLOUD
    }

    fn tolerance(&self) -> Option<Duration> {
        Some(VALIDITY)
    }

    async fn sign(&self, message: &Message<'_>) -> Result<Signed, String> {
        let credentials = self.read().await.map_err(|error| error.to_string())?;
        let expires = (message.now + VALIDITY).as_millis() / 1_000;
        let header = authorization(
            &credentials,
            &sign::Message {
                method: message.method,
                path: message.path,
                query: message.query,
                body: message.body,
                expires: u64::try_from(expires).unwrap_or_default(),
            },
        );
        Ok(Signed {
            headers: vec![("authorization", header.into())],
            secrets: vec![credentials.secret, credentials.key.into()],
        })
    }
}
