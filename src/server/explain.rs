use bytes::Bytes;
use hyper::{Request, Response, StatusCode};

use super::answer::{json, text};
use super::status::refuse_method;
use super::{Handler, MetricsHandler, Reply};
use crate::background;
use crate::explain::{Explainer, Subject};

const EXPLAIN: &str = "/explain/";

/// Serves `/metrics`, and `/explain/SUBJECT` for `berth explain`.
#[derive(Clone, Debug)]
pub struct StatusHandler {
    metrics: MetricsHandler,
    explainer: Explainer,
}

impl StatusHandler {
    /// Serves these.
    pub const fn new(metrics: MetricsHandler, explainer: Explainer) -> Self {
        Self { metrics, explainer }
    }
}

impl Handler for StatusHandler {
    fn handle(&self, request: Request<Bytes>) -> Reply {
        let Some(subject) = request.uri().path().strip_prefix(EXPLAIN) else {
            return self.metrics.handle(request);
        };
        if let Some(refused) = refuse_method(request.method()) {
            return refused.into();
        }
        let subject: Subject = match subject.parse() {
            Ok(subject) => subject,
            Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()).into(),
        };
        let explainer = self.explainer.clone();
        // It looks at all nodes, which may take some milliseconds.
        let explaining =
            tokio::task::spawn_blocking(move || background::run(|| answer(&explainer, &subject)));
        Reply::Later(Box::pin(async {
            explaining
                .await
                .unwrap_or_else(|error| text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
        }))
    }
}

fn answer(explainer: &Explainer, subject: &Subject) -> Response<Bytes> {
    match explainer.explain(subject) {
        Ok(explanation) => match serde_json::to_vec(&explanation) {
            Ok(body) => json(StatusCode::OK, body.into()),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Err(missing) => text(StatusCode::NOT_FOUND, missing.to_string()),
    }
}
