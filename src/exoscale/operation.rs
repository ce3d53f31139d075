//! What the API answers to every change: an operation, which ends some time later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ApiError, CLOUD, Client, ErrorKind, Request};
use crate::cloud::{says_no_capacity, says_quota};

/// How many failed looks in a row end the wait.
const MOST_FAILED_LOOKS: u32 = 5;

/// An operation, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its own id.
    pub id: String,
    /// How far it is.
    pub state: OperationState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
    /// What there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it is about; some operations name nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// What an operation is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The id of the thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Under way.
    Pending,
    /// Done.
    Success,
    /// Ended without doing it.
    Failure,
    /// The API gave up waiting for it: nobody knows.
    Timeout,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the API's own words, which it does not explain either")]
pub enum FailureReason {
    Incorrect,
    Unavailable,
    Forbidden,
    Busy,
    Fault,
    Partial,
    NotFound,
    Interrupted,
    Unsupported,
    Conflict,
    #[serde(other)]
    Unknown,
}

impl Operation {
    /// The id of the thing that it is about.
    pub fn subject(&self) -> Option<&str> {
        self.reference.as_ref()?.id.as_deref()
    }

    /// Why it failed, as the error of the call that began it; `None` while it has not.
    pub fn failure(&self, operation: &'static str) -> Option<ApiError> {
        let said = self.message.clone().unwrap_or_default();
        let (kind, may_have_happened, message) = match self.state {
            OperationState::Success | OperationState::Pending => return None,
            OperationState::Failure => {
                let reason = self.reason.unwrap_or(FailureReason::Unknown);
                let partial = matches!(reason, FailureReason::Partial | FailureReason::Interrupted);
                let message = if said.is_empty() { format!("{reason:?}") } else { said };
                (of_reason(reason, &message), partial, message)
            }
            OperationState::Timeout => (ErrorKind::TimedOut, true, said),
            OperationState::Unknown => (ErrorKind::Unknown, true, said),
        };
        Some(ApiError { cloud: CLOUD, operation, kind, message, may_have_happened })
    }
}

/// The kind of an operation that failed.
fn of_reason(reason: FailureReason, message: &str) -> ErrorKind {
    if says_quota(message) {
        return ErrorKind::Quota;
    }
    if says_no_capacity(message) {
        return ErrorKind::InsufficientCapacity;
    }
    match reason {
        FailureReason::Forbidden => ErrorKind::Forbidden,
        FailureReason::NotFound => ErrorKind::NotFound,
        FailureReason::Busy | FailureReason::Conflict => ErrorKind::Busy,
        FailureReason::Incorrect | FailureReason::Unsupported => ErrorKind::Invalid,
        FailureReason::Unavailable => ErrorKind::Unavailable,
        FailureReason::Fault
        | FailureReason::Interrupted
        | FailureReason::Partial
        | FailureReason::Unknown => ErrorKind::Unknown,
    }
}

impl Client {
    /// An operation, as it is now.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn operation(&self, id: &str) -> Result<Operation, ApiError> {
        self.call(&Request::get("get-operation", &["operation", id])).await
    }

    /// Waits until an operation has ended well. `operation` is the call that began it, as errors
    /// name it.
    ///
    /// # Errors
    /// What it failed with; [`ErrorKind::TimedOut`] if it has not ended within `patience`; the
    /// error of the last look after five that failed in a row. In the latter two cases it may
    /// still end well.
    pub async fn wait(
        &self,
        operation: &'static str,
        began: Operation,
        patience: Duration,
    ) -> Result<Operation, ApiError> {
        let clock = self.clock();
        let deadline = clock.now() + patience;
        let mut pause = self.poll_first;
        let mut failed_looks = 0;
        let mut seen = began;
        loop {
            if let Some(failure) = seen.failure(operation) {
                return Err(failure);
            }
            if seen.state == OperationState::Success {
                return Ok(seen);
            }
            let left = deadline.since(clock.now());
            if left.is_zero() {
                let message = format!("operation {} is pending still", seen.id);
                let kind = ErrorKind::TimedOut;
                return Err(ApiError {
                    cloud: CLOUD,
                    operation,
                    kind,
                    message,
                    may_have_happened: true,
                });
            }
            clock.sleep(pause.min(left)).await;
            pause = (pause + pause / 2).min(self.poll_longest);
            match self.operation(&seen.id).await {
                Ok(now) => (seen, failed_looks) = (now, 0),
                Err(error) => {
                    failed_looks += 1;
                    if failed_looks >= MOST_FAILED_LOOKS || error.kind == ErrorKind::NotFound {
                        return Err(ApiError { may_have_happened: true, ..error });
                    }
                }
            }
        }
    }
}
