//! Calls of the API server that providers make.

use std::time::Duration;

use kube::api::{DeleteParams, Preconditions};

use super::ProviderError;

/// No call takes longer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why the API server did not do what it was asked to.
pub(super) enum Refusal {
    /// There is another object of that name.
    Exists,
    /// There is no such object.
    NotFound(String),
    /// Anything else.
    Other(ProviderError),
}

impl From<Refusal> for ProviderError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Exists => Self::Other("there is another object of that name".to_owned()),
            Refusal::NotFound(message) => Self::NotFound(message),
            Refusal::Other(error) => error,
        }
    }
}

/// Deletes that object and no other of its name.
pub(super) fn only(uid: Option<String>) -> DeleteParams {
    let preconditions = Preconditions { uid, resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

/// Makes a call, and tells its errors apart.
pub(super) async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Refusal> {
    let answer = tokio::time::timeout(TIMEOUT, call).await.map_err(|_| {
        let seconds = TIMEOUT.as_secs();
        Refusal::Other(ProviderError::Other(format!("no answer within {seconds} s")))
    })?;
    answer.map_err(|error| match &error {
        kube::Error::Api(status) if status.reason == "AlreadyExists" => Refusal::Exists,
        kube::Error::Api(status) if status.code == 404 => Refusal::NotFound(status.message.clone()),
        kube::Error::Api(status) if status.code == 429 => {
            let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            let message = status.message.clone();
            Refusal::Other(ProviderError::Throttled { message, retry_after })
        }
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 409 => {
            Refusal::Other(ProviderError::Refused(status.message.clone()))
        }
        _ => Refusal::Other(other(error)),
    })
}

/// An error that trying again may help against.
pub(super) fn other(error: impl std::fmt::Display) -> ProviderError {
    ProviderError::Other(error.to_string())
}
