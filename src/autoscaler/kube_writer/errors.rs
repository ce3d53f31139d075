use std::time::Duration;

use crate::autoscaler::writer::WriteError;

/// What the API server's refusal means.
pub(super) fn refused(error: kube::Error) -> WriteError {
    let kube::Error::Api(status) = &error else { return WriteError::Other(error.to_string()) };
    let message = status.message.clone();
    match status.code {
        404 => WriteError::NotFound(message),
        409 => WriteError::Conflict(message),
        429 => {
            let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            WriteError::Later { message, retry_after }
        }
        400 | 401 | 403 | 405 | 413 | 422 => WriteError::Refused(message),
        500 => WriteError::Failed(message),
        _ => WriteError::Other(message),
    }
}

/// Whether somebody else changed the object meanwhile.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::core::response::StatusDetails;

    use super::*;

    fn answered(code: u16) -> WriteError {
        let details: StatusDetails =
            serde_json::from_value(serde_json::json!({ "retryAfterSeconds": 7 })).unwrap();
        let status =
            Status { code, message: "why".to_owned(), details: Some(details), ..Status::default() };
        refused(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn each_answer_is_told_apart() {
        let why = || "why".to_owned();
        assert_eq!(answered(404), WriteError::NotFound(why()));
        assert_eq!(answered(409), WriteError::Conflict(why()));
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(answered(429), WriteError::Later { message: why(), retry_after });
        assert_eq!(answered(403), WriteError::Refused(why()));
        assert_eq!(answered(422), WriteError::Refused(why()));
        assert_eq!(answered(500), WriteError::Failed(why()));
        assert_eq!(answered(503), WriteError::Other(why()));
    }
}
