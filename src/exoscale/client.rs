//! A call of the API.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::Timestamp;
use bytes::Bytes;
use hyper::Method;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::budget::Budget;
use super::error::{message_of, of_status};
use super::sign::{Message, authorization};
use super::transport::{Answer, NoAnswer, Outgoing, Transport};
use super::{ApiError, CredentialSource, Credentials, ErrorKind};
use crate::clock::Clock;

/// What stands in a segment of a path as it is.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
/// How long a signature is valid: as egoscale has it.
const VALIDITY: Duration = Duration::from_secs(10 * 60);
/// A clock that is off by less is not what a refusal was about.
const TOLERATED_SKEW: Duration = Duration::from_secs(60);

/// How a client calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// How long a call may take in all, waits between attempts and for the budget included.
    pub call_timeout: Duration,
    /// How often a call that changes nothing is attempted.
    pub attempts: u32,
    /// The wait after the first attempt that failed; twice as long after each further one.
    pub first_wait: Duration,
    /// How many calls a minute.
    pub calls_per_minute: u32,
    /// The wait before an operation is looked at first; half as long again after each look...
    pub poll_first: Duration,
    /// ...and so long at most.
    pub poll_longest: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(20),
            call_timeout: Duration::from_secs(60),
            attempts: 4,
            first_wait: Duration::from_millis(500),
            calls_per_minute: 600,
            poll_first: Duration::from_millis(500),
            poll_longest: Duration::from_secs(5),
        }
    }
}

/// A client of one zone's endpoint. Cloning shares it.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    transport: Transport,
    /// Scheme and host.
    origin: String,
    /// The path before all others: `/v2`.
    base: String,
    credentials: CredentialSource,
    clock: Clock,
    settings: Settings,
    budget: Mutex<Budget>,
    /// When a wrong clock was last warned about.
    warned: Mutex<Option<Timestamp>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Client({}{})", self.0.origin, self.0.base)
    }
}

/// A call that is to be made.
#[derive(Clone, Debug)]
pub struct Request {
    operation: &'static str,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    repeatable: bool,
}

impl Request {
    /// A call that changes nothing. `operation` is its name in the API's description, `segments`
    /// are the parts of its path after `/v2`.
    pub fn get(operation: &'static str, segments: &[&str]) -> Self {
        Self::new(operation, Method::GET, segments, true)
    }

    /// A call that deletes something by its name. It may be repeated: what is gone is not found.
    pub fn delete(operation: &'static str, segments: &[&str]) -> Self {
        Self::new(operation, Method::DELETE, segments, true)
    }

    /// A call that creates something. It is attempted once.
    ///
    /// # Errors
    /// If the body cannot be written as JSON.
    pub fn post(
        operation: &'static str,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<Self, ApiError> {
        Self::new(operation, Method::POST, segments, false).with_body(body)
    }

    /// A call that changes something. It is attempted once.
    ///
    /// # Errors
    /// If the body cannot be written as JSON.
    pub fn put(
        operation: &'static str,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<Self, ApiError> {
        Self::new(operation, Method::PUT, segments, false).with_body(body)
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn new(operation: &'static str, method: Method, segments: &[&str], repeatable: bool) -> Self {
        let escaped =
            segments.iter().map(|segment| utf8_percent_encode(segment, PLAIN).to_string());
        let path = escaped.fold(String::new(), |path, segment| format!("{path}/{segment}"));
        Self { operation, method, path, query: Vec::new(), body: None, repeatable }
    }

    fn with_body(mut self, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(body).map_err(|error| ApiError {
            operation: self.operation,
            kind: ErrorKind::Invalid,
            message: error.to_string(),
            may_have_happened: false,
        })?;
        self.body = Some(body.into());
        Ok(self)
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> ApiError {
        let (operation, message) = (self.operation, message.into());
        ApiError { operation, kind, message, may_have_happened: false }
    }
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
        let (origin, base) = parts_of(endpoint)?;
        let budget = Mutex::new(Budget::new(settings.calls_per_minute, clock.now()));
        let transport = Transport::new()?;
        let warned = Mutex::new(None);
        Ok(Self(Arc::new(Shared {
            transport,
            origin,
            base,
            credentials,
            clock,
            settings,
            budget,
            warned,
        })))
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How it calls.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Makes a call and reads its answer as `T`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ApiError> {
        let body = self.attempts(request).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError {
            may_have_happened: !request.repeatable,
            ..request.error(ErrorKind::Unknown, format!("the answer makes no sense: {error}"))
        })
    }

    async fn attempts(&self, request: &Request) -> Result<Bytes, ApiError> {
        let Settings { call_timeout, attempts, first_wait, .. } = self.0.settings;
        let attempts = if request.repeatable { attempts.max(1) } else { 1 };
        let deadline = self.0.clock.now() + call_timeout;
        let mut wait = first_wait;
        for attempt in 1.. {
            let error = match self.attempt(request, deadline).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let rest = match &error.kind {
                ErrorKind::Unavailable | ErrorKind::TimedOut => wait,
                ErrorKind::Throttled { retry_after } => retry_after.unwrap_or(wait).max(wait),
                _ => return Err(error),
            };
            if attempt >= attempts || self.0.clock.now() + rest >= deadline {
                return Err(error);
            }
            self.0.clock.sleep(rest).await;
            wait = wait.saturating_mul(2);
        }
        // The loop ends by returning.
        Err(request.error(ErrorKind::Unknown, "not attempted"))
    }

    async fn attempt(&self, request: &Request, deadline: Timestamp) -> Result<Bytes, ApiError> {
        self.await_turn(request, deadline).await?;
        let credentials = self.0.credentials.read().await;
        let credentials = credentials
            .map_err(|error| request.error(ErrorKind::NoCredentials, error.to_string()))?;
        let now = self.0.clock.now();
        let outgoing = self.outgoing(request, &credentials, now)?;
        let timeout = self.0.settings.attempt_timeout.min(deadline.since(now));
        match self.0.transport.send(outgoing, timeout).await {
            Ok(answer) => self.take(request, answer, &credentials),
            Err(NoAnswer { message, unsent, late }) => {
                let kind = if late { ErrorKind::TimedOut } else { ErrorKind::Unavailable };
                let may_have_happened = !unsent && request.method != Method::GET;
                let message = credentials.redact(&message);
                Err(ApiError { may_have_happened, ..request.error(kind, message) })
            }
        }
    }

    /// Waits until the budget allows a call.
    async fn await_turn(&self, request: &Request, deadline: Timestamp) -> Result<(), ApiError> {
        loop {
            let now = self.0.clock.now();
            let Err(wait) = self.0.budget.lock().take(now) else { return Ok(()) };
            if now + wait >= deadline {
                let kind = ErrorKind::Throttled { retry_after: Some(wait) };
                return Err(request.error(kind, "the call budget is used up"));
            }
            self.0.clock.sleep(wait).await;
        }
    }

    fn outgoing(
        &self,
        request: &Request,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Outgoing, ApiError> {
        let path = format!("{}{}", self.0.base, request.path);
        let message = Message {
            method: request.method.as_str(),
            path: &path,
            query: &request.query,
            body: request.body.as_deref().unwrap_or_default(),
            expires: u64::try_from((now + VALIDITY).as_millis() / 1_000).unwrap_or_default(),
        };
        let header = authorization(credentials, &message);
        let mut uri = format!("{}{path}", self.0.origin);
        if !request.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(request.query.iter().map(|(name, value)| (*name, value.as_str())));
            uri = format!("{uri}?{}", query.finish());
        }
        let uri = uri.parse().map_err(|error: hyper::http::uri::InvalidUri| {
            request.error(ErrorKind::Invalid, error.to_string())
        })?;
        Ok(Outgoing {
            method: request.method.clone(),
            uri,
            authorization: Some(header.into()),
            body: request.body.clone(),
        })
    }

    fn take(
        &self,
        request: &Request,
        answer: Answer,
        credentials: &Credentials,
    ) -> Result<Bytes, ApiError> {
        let now = self.0.clock.now();
        let skew = answer.date.map(|date| Skew::between(now, date));
        if let Some(skew) = skew.filter(|skew| skew.off_by > TOLERATED_SKEW) {
            self.warn_of(skew, now);
        }
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let message = message_of(&answer.body, |text| credentials.redact(text));
        let mut kind = of_status(answer.status, &message, answer.retry_after);
        if let (ErrorKind::Forbidden, Some(skew)) = (&kind, skew)
            && skew.off_by > TOLERATED_SKEW
        {
            kind = ErrorKind::ClockSkew { off_by: skew.off_by, ahead: skew.ahead };
        }
        if let ErrorKind::Throttled { .. } = kind {
            let wait = answer.retry_after.unwrap_or(self.0.settings.first_wait);
            self.0.budget.lock().close_until(now + wait);
        }
        // A server that breaks down, or a gateway before it, may have let the call through.
        let may_have_happened = kind == ErrorKind::Unavailable && request.method != Method::GET;
        let message =
            if message.is_empty() { format!("status {}", answer.status) } else { message };
        Err(ApiError { may_have_happened, ..request.error(kind, message) })
    }

    fn warn_of(&self, skew: Skew, now: Timestamp) {
        const EVERY: Duration = Duration::from_secs(60 * 60);
        let mut warned = self.0.warned.lock();
        if warned.is_none_or(|last| now.since(last) >= EVERY) {
            *warned = Some(now);
            let seconds = skew.off_by.as_secs();
            let side = if skew.ahead { "ahead of" } else { "behind" };
            tracing::warn!(
                "this machine's clock is {seconds} s {side} Exoscale's: from 600 s behind on, \
                 Exoscale refuses every call"
            );
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Skew {
    off_by: Duration,
    ahead: bool,
}

impl Skew {
    fn between(ours: Timestamp, theirs: i64) -> Self {
        let difference = ours.as_millis() / 1_000 - theirs;
        Self { off_by: Duration::from_secs(difference.unsigned_abs()), ahead: difference > 0 }
    }
}

/// Scheme and host, and the path.
fn parts_of(endpoint: &str) -> std::io::Result<(String, String)> {
    let invalid = || {
        std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            format!("{endpoint:?} is no endpoint: expected https://HOST/v2"),
        )
    };
    let uri: hyper::Uri = endpoint.parse().map_err(|_| invalid())?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
    let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else { return Err(invalid()) };
    Ok((format!("{scheme}://{authority}"), uri.path().trim_end_matches('/').to_owned()))
}
