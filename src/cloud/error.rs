use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// What kind of failure it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The organisation has used up what it may have of something.
    Quota,
    /// The zone has no room for such a machine now.
    InsufficientCapacity,
    /// There is no such thing.
    NotFound,
    /// The key may not do this, or is not valid.
    Forbidden,
    /// Too many calls: by the server's account or by our own budget.
    Throttled {
        /// How long to wait, if the server said so.
        retry_after: Option<Duration>,
    },
    /// The server refused the signature, and our clock is wrong by so much.
    ClockSkew {
        /// How far this machine's clock is off.
        off_by: Duration,
        /// Whether it is ahead of the server's.
        ahead: bool,
    },
    /// The thing is in a state in which this cannot be done now (locked, starting, ...).
    Busy,
    /// The request makes no sense to the server.
    Invalid,
    /// There is no usable API key; nothing was sent.
    NoCredentials,
    /// The server cannot be reached, or says that it cannot answer now.
    Unavailable,
    /// No answer in time.
    TimedOut,
    /// Anything else.
    Unknown,
}

impl ErrorKind {
    /// As metrics name it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::InsufficientCapacity => "insufficient_capacity",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Throttled { .. } => "throttled",
            Self::ClockSkew { .. } => "clock_skew",
            Self::Busy => "busy",
            Self::Invalid => "invalid",
            Self::NoCredentials => "no_credentials",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::Unknown => "unknown",
        }
    }
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The cloud's name.
    pub cloud: &'static str,
    /// The operation, as the API's description calls it (`create-instance`).
    pub operation: &'static str,
    /// The kind of failure.
    pub kind: ErrorKind,
    /// What the server said, or what happened; without the key.
    pub message: String,
    /// Whether the server may have carried the call out all the same: the answer was lost, or the
    /// server broke down over it. Never for a call that was not sent or that was refused.
    pub may_have_happened: bool,
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cloud, operation, kind, message, may_have_happened } = self;
        write!(formatter, "{cloud} {operation}: ")?;
        match kind {
            ErrorKind::Quota => write!(formatter, "over quota: {message}"),
            ErrorKind::InsufficientCapacity => {
                write!(formatter, "insufficient capacity: {message}")
            }
            ErrorKind::NotFound => write!(formatter, "not found: {message}"),
            ErrorKind::Forbidden => write!(
                formatter,
                "forbidden: {message} (the key is wrong, or lacks the right to {operation})"
            ),
            ErrorKind::Throttled { retry_after: Some(wait) } => {
                write!(formatter, "too many calls, again in {} s: {message}", wait.as_secs())
            }
            ErrorKind::Throttled { retry_after: None } => {
                write!(formatter, "too many calls: {message}")
            }
            ErrorKind::ClockSkew { off_by, ahead } => write!(
                formatter,
                "this machine's clock is {} s {} the server's, so that signatures are refused: \
                 set the clock ({message})",
                off_by.as_secs(),
                if *ahead { "ahead of" } else { "behind" }
            ),
            ErrorKind::Busy => write!(formatter, "busy: {message}"),
            ErrorKind::Invalid => write!(formatter, "invalid: {message}"),
            ErrorKind::NoCredentials => write!(formatter, "no API key: {message}"),
            ErrorKind::Unavailable => write!(formatter, "unavailable: {message}"),
            ErrorKind::TimedOut => write!(formatter, "no answer in time: {message}"),
            ErrorKind::Unknown => formatter.write_str(message),
        }?;
        if *may_have_happened {
            formatter.write_str(" (it may have been carried out)")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

/// The kind of an HTTP status, with what its body says.
pub(super) fn of_status(status: u16, message: &str, retry_after: Option<Duration>) -> ErrorKind {
    match status {
        404 | 410 => ErrorKind::NotFound,
        429 => ErrorKind::Throttled { retry_after },
        // An exceeded quota comes as 403 or 400 with words that say so.
        400..=499 if says_quota(message) => ErrorKind::Quota,
        400..=599 if says_no_capacity(message) => ErrorKind::InsufficientCapacity,
        401 | 403 => ErrorKind::Forbidden,
        409 | 423 => ErrorKind::Busy,
        400..=499 => ErrorKind::Invalid,
        500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Unknown,
    }
}

/// Whether words are about a quota that is used up.
pub(crate) fn says_quota(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["quota", "resource limit", "limit exceeded", "maximum number of"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether words are about a lack of machines.
pub(crate) fn says_no_capacity(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["insufficient capacity", "lack of capacity", "not enough capacity", "no capacity"]
        .iter()
        .chain(&["insufficientcapacity", "out of capacity", "unable to find a suitable host"])
        .any(|words| message.contains(words))
}

/// What an error's body says: `message`, `error`, or title and detail as RFC 9457 has them. It is
/// cleaned before it is shortened, so that no half of a secret is left at the cut.
pub(super) fn message_of(body: &[u8], clean: impl Fn(&str) -> String) -> String {
    const LONGEST: usize = 500;
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            let said = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
            let parts: Vec<String> =
                ["title", "detail", "message", "error"].into_iter().filter_map(said).collect();
            if parts.is_empty() { value.to_string() } else { parts.join(": ") }
        }
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let text = clean(&text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_its_words_say_what_kind_of_failure_it_was() {
        let after = Some(Duration::from_secs(7));
        for (status, message, kind) in [
            (400, "disk-size: must be at least 10", ErrorKind::Invalid),
            (400, "Quota exceeded for instance", ErrorKind::Quota),
            (403, "Maximum number of GPU instances reached", ErrorKind::Quota),
            (403, "Forbidden by role policy", ErrorKind::Forbidden),
            (401, "Invalid signature", ErrorKind::Forbidden),
            (404, "", ErrorKind::NotFound),
            (409, "Instance is starting", ErrorKind::Busy),
            (429, "Slow down", ErrorKind::Throttled { retry_after: after }),
            (500, "", ErrorKind::Unavailable),
            (503, "Insufficient capacity in zone", ErrorKind::InsufficientCapacity),
            (302, "", ErrorKind::Unknown),
        ] {
            assert_eq!(of_status(status, message, after), kind, "{status} {message}");
        }
    }

    #[test]
    fn bodies_of_all_shapes_give_their_words() {
        for (body, said) in [
            (r#"{"message":"no"}"#, "no"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"title":"Bad","detail":"no","errors":[]}"#, "Bad: no"),
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("<html>", "<html>"),
        ] {
            assert_eq!(message_of(body.as_bytes(), str::to_owned), said);
        }
        assert_eq!(message_of("x".repeat(900).as_bytes(), str::to_owned).len(), 503);
        let at_the_cut = format!("{}canary", "x".repeat(497));
        let said = message_of(at_the_cut.as_bytes(), |text| text.replace("canary", "-"));
        assert_eq!(said, format!("{}-", "x".repeat(497)));
    }
}
