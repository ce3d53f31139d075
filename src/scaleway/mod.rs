//! Scaleway's API: managed PostgreSQL and virtual machines, no more than claims need.
//!
//! * [`rdb`] is Managed Database for PostgreSQL (`/rdb/v1`)
//! * [`instance`] are Instances (`/instance/v1`)
//!
//! Facts are from Scaleway's own Python client, 2.12.0.

pub mod instance;
pub mod rdb;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::cloud::{self, ApiError, Message, Request, Scheme, Signed};

/// Where the API is.
pub const ENDPOINT: &str = "https://api.scaleway.com";
/// The key of a Secret that holds the API key's secret part, named as Scaleway's own tools do.
pub const SECRET_KEY: &str = "SCW_SECRET_KEY";
/// The most that a page holds.
const PAGE: &str = "100";

/// A client of one zone and project. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Client {
    calls: cloud::Client,
    zone: String,
    project: String,
}

#[derive(Debug)]
struct Token(SecretString);

impl Client {
    /// A client of an endpoint such as [`ENDPOINT`], with an API key's secret part. `place` is a
    /// zone, as `fr-par-1`, or a region, as `fr-par`, where machines cannot be had.
    ///
    /// # Errors
    /// If the endpoint is no address of http or https, or the system's certificates cannot be
    /// read.
    pub fn new(
        endpoint: &str,
        secret: SecretString,
        place: &str,
        project: &str,
        clock: Clock,
        settings: cloud::Settings,
    ) -> std::io::Result<Self> {
        let calls = cloud::Client::new(endpoint, Box::new(Token(secret)), clock, settings)?;
        Ok(Self { calls, zone: place.to_owned(), project: project.to_owned() })
    }

    /// The region that the zone is in.
    fn region(&self) -> &str {
        region_of(&self.zone).unwrap_or(&self.zone)
    }

    async fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ApiError> {
        self.calls.call(request).await
    }
}

/// The region of a zone: `fr-par` of `fr-par-1`; `None` if it is no zone.
pub fn region_of(zone: &str) -> Option<&str> {
    let (region, number) = zone.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && region.contains('-')).then_some(region)
}

#[async_trait]
impl Scheme for Token {
    fn cloud(&self) -> &'static str {
        "Scaleway"
    }

    async fn sign(&self, _: &Message<'_>) -> Result<Signed, String> {
        let Self(secret) = self;
        Ok(Signed {
            headers: vec![("x-auth-token", secret.clone())],
            secrets: vec![secret.clone()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_region_and_a_number() {
        assert_eq!(region_of("fr-par-1"), Some("fr-par"));
        for place in ["fr-par", "fr", "fr-1", "fr-par-", "fr-par-x", ""] {
            assert_eq!(region_of(place), None, "{place}");
        }
    }
}
