//! One HTTP request within a deadline, over connections that are kept.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};

/// A connection must be there within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that nobody used for so long are closed: well before a server does.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest body that is read.
const LONGEST_BODY: usize = 32 << 20;
const AGENT: &str = concat!("berth/", env!("CARGO_PKG_VERSION"));

/// A request that is ready to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// The method.
    pub method: hyper::Method,
    /// The whole address.
    pub uri: hyper::Uri,
    /// Headers that prove who calls.
    pub headers: Vec<(&'static str, SecretString)>,
    /// The body, and its media type.
    pub body: Option<(&'static str, Bytes)>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
    /// The server's clock, in seconds since 1970.
    pub date: Option<i64>,
    /// How long the server wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why nothing came back.
#[derive(Debug)]
pub struct NoAnswer {
    /// What happened.
    pub message: String,
    /// Whether the server cannot have seen any of the request.
    pub unsent: bool,
    /// Whether the deadline was over.
    pub late: bool,
}

/// An HTTPS client. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Transport(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Transport {
    /// A client that trusts what the operating system trusts.
    ///
    /// # Errors
    /// If the system's certificates cannot be read.
    pub fn new() -> std::io::Result<Self> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_nodelay(true);
        http.enforce_http(false);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            // Whether a request may be sent again is for its caller to say.
            .retry_canceled_requests(false)
            .build(https);
        Ok(Self(client))
    }

    /// Sends a request and reads its whole answer within the deadline.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn send(&self, outgoing: Outgoing, deadline: Duration) -> Result<Answer, NoAnswer> {
        match tokio::time::timeout(deadline, self.exchange(outgoing)).await {
            Ok(result) => result,
            Err(_) => Err(NoAnswer {
                message: format!("nothing within {} s", deadline.as_secs_f32()),
                unsent: false,
                late: true,
            }),
        }
    }

    async fn exchange(&self, outgoing: Outgoing) -> Result<Answer, NoAnswer> {
        let unsent = |error: &dyn std::fmt::Display| NoAnswer {
            message: error.to_string(),
            unsent: true,
            late: false,
        };
        let mut request = hyper::Request::builder()
            .method(outgoing.method)
            .uri(outgoing.uri)
            .header(USER_AGENT, AGENT);
        for (name, value) in &outgoing.headers {
            let mut value = hyper::header::HeaderValue::from_str(value.expose_secret())
                .map_err(|_| unsent(&"the API key holds a character that no header may hold"))?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let body = match outgoing.body {
            Some((media_type, content)) => {
                request = request.header(CONTENT_TYPE, media_type);
                content
            }
            None => Bytes::new(),
        };
        let body = Full::new(body);
        let request = request.body(body).map_err(|error| unsent(&error))?;
        let response = self.0.request(request).await.map_err(|error| NoAnswer {
            unsent: error.is_connect(),
            message: causes(&error),
            late: false,
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|error| NoAnswer {
            message: format!("the answer broke off: {error}"),
            unsent: false,
            late: false,
        })?;
        Ok(Answer {
            status: head.status.as_u16(),
            body: body.to_bytes(),
            date: date(&head.headers),
            retry_after: retry_after(&head.headers),
        })
    }
}

fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn seconds(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    i64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()
}

fn date(headers: &HeaderMap) -> Option<i64> {
    seconds(headers.get(DATE)?.to_str().ok()?)
}

/// `Retry-After`: a number of seconds, or a date, which is counted from the server's own `Date`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(wait) = text.parse() {
        return Some(Duration::from_secs(wait));
    }
    let wait = seconds(text)?.saturating_sub(date(headers)?);
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let headers = |values: &[(hyper::header::HeaderName, &'static str)]| {
            let pairs = values.iter().map(|(name, value)| {
                (name.clone(), hyper::header::HeaderValue::from_static(value))
            });
            pairs.collect::<HeaderMap>()
        };
        let now = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "12")])), Some(Duration::from_secs(12)));
        let later = (RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT");
        let found = retry_after(&headers(&[now.clone(), later]));
        assert_eq!(found, Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers(&[now, (RETRY_AFTER, "soon")])), None);
    }
}
