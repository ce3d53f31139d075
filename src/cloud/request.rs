use bytes::Bytes;
use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// What stands in a segment of a path as it is.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// A call that is to be made.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Body>,
    /// Whether it may be attempted again whatever became of it.
    pub(super) is_repeatable: bool,
    pub(super) is_signed: bool,
}

/// What is sent along.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) media_type: &'static str,
    /// Why it could not be written, if so: nothing is sent then.
    pub(super) content: Result<Bytes, String>,
}

impl Request {
    /// A call that changes nothing. `operation` is its name in the API's description, `segments`
    /// are the parts of its path after the endpoint's own.
    pub fn get(operation: &'static str, segments: &[&str]) -> Self {
        Self::new(operation, Method::GET, segments, true)
    }

    /// A call that deletes something by its name. It may be repeated: what is gone is not found.
    pub fn delete(operation: &'static str, segments: &[&str]) -> Self {
        Self::new(operation, Method::DELETE, segments, true)
    }

    /// A call that creates something. It is attempted once.
    pub fn post(operation: &'static str, segments: &[&str], body: &impl Serialize) -> Self {
        Self::new(operation, Method::POST, segments, false).with_json(body)
    }

    /// A call that changes something. It is attempted once.
    pub fn put(operation: &'static str, segments: &[&str], body: &impl Serialize) -> Self {
        Self::new(operation, Method::PUT, segments, false).with_json(body)
    }

    /// A call that changes a part of something. It is attempted once.
    pub fn patch(operation: &'static str, segments: &[&str], body: &impl Serialize) -> Self {
        Self::new(operation, Method::PATCH, segments, false).with_json(body)
    }

    /// As [`Self::patch`], with a plain text for a body.
    pub fn patch_text(operation: &'static str, segments: &[&str], text: String) -> Self {
        let body = Body { media_type: "text/plain", content: Ok(text.into()) };
        Self { body: Some(body), ..Self::new(operation, Method::PATCH, segments, false) }
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Everybody may make it: nothing is signed.
    #[must_use]
    pub fn unsigned(self) -> Self {
        Self { is_signed: false, ..self }
    }

    fn new(
        operation: &'static str,
        method: Method,
        segments: &[&str],
        is_repeatable: bool,
    ) -> Self {
        let escaped =
            segments.iter().map(|segment| utf8_percent_encode(segment, PLAIN).to_string());
        let path = escaped.fold(String::new(), |path, segment| format!("{path}/{segment}"));
        let (query, body) = (Vec::new(), None);
        Self { operation, method, path, query, body, is_repeatable, is_signed: true }
    }

    fn with_json(self, body: &impl Serialize) -> Self {
        let content = serde_json::to_vec(body).map(Bytes::from).map_err(|error| error.to_string());
        Self { body: Some(Body { media_type: "application/json", content }), ..self }
    }
}
