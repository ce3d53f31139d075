use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call that reached the fake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The operation, as the API's description calls it; empty if there is none at that address.
    pub operation: Cow<'static, str>,
    /// Whose key it was signed with, where that is told.
    pub caller: Option<String>,
    /// The method.
    pub method: String,
    /// The path, decoded, without `/v2`.
    pub path: String,
    /// The query's parameters.
    pub query: BTreeMap<String, String>,
    /// The body; null if there was none.
    pub body: Value,
    /// When it came, by the fake's clock.
    pub at: SystemTime,
    /// The status that was answered; `None` while it is under way, and if no answer was given.
    pub status: Option<u16>,
    /// What was done, whether or not anybody was told: the body of the answer.
    pub done: Option<Value>,
}

impl Call {
    /// The id of the thing that the call made or changed.
    pub fn subject(&self) -> Option<&str> {
        self.done.as_ref()?.pointer("/reference/id")?.as_str()
    }
}
