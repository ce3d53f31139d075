//! A call of an API.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::Timestamp;
use bytes::Bytes;
use hyper::Method;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::budget::Budget;
use super::error::{message_of, of_status};
use super::transport::{Answer, NoAnswer, Outgoing, Transport};
use super::{ApiError, ErrorKind, Message, Request, Scheme, Signed};
use crate::clock::Clock;

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(20),
            call_timeout: Duration::from_secs(60),
            attempts: 4,
            first_wait: Duration::from_millis(500),
            calls_per_minute: 600,
        }
    }
}

/// A client of one endpoint. Cloning shares it.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    transport: Transport,
    /// Scheme and host.
    origin: String,
    /// The path before all others, as `/v2`.
    base: String,
    scheme: Box<dyn Scheme>,
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

impl Client {
    /// A client of an endpoint such as `https://api-ch-gva-2.exoscale.com/v2`.
    ///
    /// # Errors
    /// If the endpoint is no address of http or https, or the system's certificates cannot be
    /// read.
    pub fn new(
        endpoint: &str,
        scheme: Box<dyn Scheme>,
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
            scheme,
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

    /// Makes a call and reads its answer as `T`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ApiError> {
        let body = self.attempts(request).await?;
        // Nothing at all is an answer too.
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| ApiError {
            may_have_happened: !request.is_repeatable,
            ..self.error(request, ErrorKind::Unknown, format!("the answer makes no sense: {error}"))
        })
    }

    fn error(&self, request: &Request, kind: ErrorKind, message: impl Into<String>) -> ApiError {
        ApiError {
            cloud: self.0.scheme.cloud(),
            operation: request.operation,
            kind,
            message: message.into(),
            may_have_happened: false,
        }
    }

    async fn attempts(&self, request: &Request) -> Result<Bytes, ApiError> {
        let Settings { call_timeout, attempts, first_wait, .. } = self.0.settings;
        let attempts = if request.is_repeatable { attempts.max(1) } else { 1 };
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
        Err(self.error(request, ErrorKind::Unknown, "not attempted"))
    }

    async fn attempt(&self, request: &Request, deadline: Timestamp) -> Result<Bytes, ApiError> {
        self.await_turn(request, deadline).await?;
        let now = self.0.clock.now();
        let (outgoing, signed) = self.outgoing(request, now).await?;
        let timeout = self.0.settings.attempt_timeout.min(deadline.since(now));
        match self.0.transport.send(outgoing, timeout).await {
            Ok(answer) => self.take(request, answer, &signed),
            Err(NoAnswer { message, unsent, late }) => {
                let kind = if late { ErrorKind::TimedOut } else { ErrorKind::Unavailable };
                let may_have_happened = !unsent && request.method != Method::GET;
                let message = signed.redact(&message);
                Err(ApiError { may_have_happened, ..self.error(request, kind, message) })
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
                return Err(self.error(request, kind, "the call budget is used up"));
            }
            self.0.clock.sleep(wait).await;
        }
    }

    async fn outgoing(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<(Outgoing, Signed), ApiError> {
        let invalid = |message: String| self.error(request, ErrorKind::Invalid, message);
        let path = format!("{}{}", self.0.base, request.path);
        let mut address = format!("{}{path}", self.0.origin);
        if !request.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(request.query.iter().map(|(name, value)| (*name, value.as_str())));
            address = format!("{address}?{}", query.finish());
        }
        let body = match request.body.clone() {
            Some(body) => Some((body.media_type, body.content.map_err(invalid)?)),
            None => None,
        };
        let message = Message {
            method: request.method.as_str(),
            address: &address,
            path: &path,
            query: &request.query,
            body: body.as_ref().map_or(&[], |(_, content)| content),
            now,
        };
        let signed = match request.is_signed {
            true => self.0.scheme.sign(&message).await,
            false => Ok(Signed::default()),
        };
        let mut signed =
            signed.map_err(|why| self.error(request, ErrorKind::NoCredentials, why))?;
        let uri = address
            .parse()
            .map_err(|error: hyper::http::uri::InvalidUri| invalid(error.to_string()))?;
        let headers = std::mem::take(&mut signed.headers);
        Ok((Outgoing { method: request.method.clone(), uri, headers, body }, signed))
    }

    fn take(&self, request: &Request, answer: Answer, signed: &Signed) -> Result<Bytes, ApiError> {
        let now = self.0.clock.now();
        let tolerance = self.0.scheme.tolerance();
        let skew = answer.date.map(|date| Skew::between(now, date));
        let skew = skew.filter(|skew| tolerance.is_some() && skew.off_by > TOLERATED_SKEW);
        if let (Some(skew), Some(tolerance)) = (skew, tolerance) {
            self.warn_of(skew, tolerance, now);
        }
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let message = message_of(&answer.body, |text| signed.redact(text));
        let mut kind = of_status(answer.status, &message, answer.retry_after);
        if let (ErrorKind::Forbidden, Some(skew)) = (&kind, skew) {
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
        Err(ApiError { may_have_happened, ..self.error(request, kind, message) })
    }

    fn warn_of(&self, skew: Skew, tolerance: Duration, now: Timestamp) {
        const EVERY: Duration = Duration::from_secs(60 * 60);
        let mut warned = self.0.warned.lock();
        if warned.is_none_or(|last| now.since(last) >= EVERY) {
            *warned = Some(now);
            let seconds = skew.off_by.as_secs();
            let side = if skew.ahead { "ahead of" } else { "behind" };
            let (cloud, tolerance) = (self.0.scheme.cloud(), tolerance.as_secs());
            tracing::warn!(
                "this machine's clock is {seconds} s {side} {cloud}'s: from {tolerance} s behind \
                 on, {cloud} refuses every call"
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
            format!("{endpoint:?} is no endpoint: expected https://HOST/PATH"),
        )
    };
    let uri: hyper::Uri = endpoint.parse().map_err(|_| invalid())?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
    let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else { return Err(invalid()) };
    Ok((format!("{scheme}://{authority}"), uri.path().trim_end_matches('/').to_owned()))
}
