//! OVHcloud's API: managed PostgreSQL and virtual machines of a Public Cloud project, no more than
//! claims need.
//!
//! * [`sign`]: the signature of a call
//! * [`database`]: Public Cloud Databases for PostgreSQL
//! * [`instance`]: Public Cloud instances
//!
//! A call is signed with the server's time: the difference to this machine's clock is asked for
//! (`/auth/time`) before the first call, and again every hour.

pub mod database;
pub mod instance;
pub mod sign;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::Timestamp;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

pub use sign::Keys;
use sign::Signer;

use crate::clock::Clock;
use crate::cloud::{self, ApiError, Request};

/// Where the API of OVHcloud in Europe is.
pub const ENDPOINT: &str = "https://eu.api.ovh.com/1.0";
/// How long a clock is trusted.
const ASK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// A client of one region and project. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Client {
    calls: cloud::Client,
    region: String,
    project: String,
    skew: Skew,
    /// The ids of databases by their descriptions, as far as they have been seen: a list names
    /// nothing but ids.
    known: Arc<Mutex<BTreeMap<String, String>>>,
}

/// By how many seconds the server's clock is ahead, and when that was asked.
type Skew = Arc<Mutex<Option<(i64, Timestamp)>>>;

impl Client {
    /// A client of an endpoint such as [`ENDPOINT`].
    ///
    /// # Errors
    /// If the endpoint is no address of http or https, or the system's certificates cannot be
    /// read.
    pub fn new(
        endpoint: &str,
        keys: Keys,
        region: &str,
        project: &str,
        clock: Clock,
        settings: cloud::Settings,
    ) -> std::io::Result<Self> {
        let skew = Skew::default();
        let signer = Signer { keys, skew: Arc::clone(&skew) };
        let calls = cloud::Client::new(endpoint, Box::new(signer), clock, settings)?;
        let (region, project) = (region.to_owned(), project.to_owned());
        Ok(Self { calls, region, project, skew, known: Arc::default() })
    }

    async fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ApiError> {
        let now = self.calls.clock().now();
        let asked = self.skew.lock().map(|(_, at)| at);
        if asked.is_none_or(|at| now.since(at) >= ASK_AGAIN) {
            let request = Request::get("auth-time", &["auth", "time"]).unsigned();
            let theirs: i64 = self.calls.call(&request).await?;
            let now = self.calls.clock().now();
            *self.skew.lock() = Some((theirs - now.as_millis() / 1_000, now));
        }
        self.calls.call(request).await
    }

    fn project<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["cloud", "project", &self.project][..], rest].concat()
    }
}
