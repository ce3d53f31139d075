//! What goes over the wire, for whoever holds it against the API's description.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::server::{Cloud, Received};

/// Who is shown exchanges.
pub type Witness = Arc<dyn Fn(Exchange) + Send + Sync>;

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path, as it came, without what stands before all paths.
    pub path: String,
    /// The query's parameters.
    pub query: BTreeMap<String, String>,
    /// What the headers say of the body.
    pub headers: BTreeMap<&'static str, String>,
    /// The body; null if there was none.
    pub body: Value,
    /// The status of the answer; `None` if there was no answer.
    pub status: Option<u16>,
    /// The body of the answer.
    pub answer: Value,
}

impl Exchange {
    pub(crate) fn of<W: Cloud>(received: &Received, answer: Option<(u16, &Value)>) -> Self {
        let path = received.path.strip_prefix('/').and_then(|path| path.strip_prefix(W::BASE));
        let headers = ["content-type", "content-length"];
        let value = |name| Some((name, received.header(name)?.to_owned()));
        Self {
            method: received.method.clone(),
            path: path.unwrap_or(&received.path).to_owned(),
            query: received.query.clone(),
            headers: headers.into_iter().filter_map(value).collect(),
            body: received.value(),
            status: answer.map(|(status, _)| status),
            answer: answer.map_or(Value::Null, |(_, body)| body.clone()),
        }
    }
}
