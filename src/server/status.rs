use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{text, with_type};
use super::{Handler, Reply};
use crate::cache::Cache;
use crate::metrics::{CONTENT_TYPE, Metrics};

/// Serves `/metrics`.
#[derive(Clone, Debug)]
pub struct MetricsHandler {
    metrics: Arc<Metrics>,
}

impl MetricsHandler {
    /// Serves these.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Handler for MetricsHandler {
    fn handle(&self, request: Request<Bytes>) -> Reply {
        self.answer(&request).into()
    }
}

impl MetricsHandler {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if request.uri().path() != "/metrics" {
            return not_found("/metrics and /explain/");
        }
        if let Some(refused) = refuse_method(request.method()) {
            return refused;
        }
        match self.metrics.encode() {
            Ok(metrics) => with_type(StatusCode::OK, CONTENT_TYPE, metrics.into()),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// Serves `/healthz` (the process answers) and `/readyz` (and its picture of the cluster is
/// complete).
#[derive(Clone, Debug)]
pub struct HealthHandler {
    cache: Cache,
}

impl HealthHandler {
    /// Ready once this cache is synced.
    pub fn new(cache: Cache) -> Self {
        Self { cache }
    }
}

impl Handler for HealthHandler {
    fn handle(&self, request: Request<Bytes>) -> Reply {
        self.answer(&request).into()
    }
}

impl HealthHandler {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let is_readiness = match request.uri().path() {
            "/healthz" => false,
            "/readyz" => true,
            _ => return not_found("/healthz and /readyz"),
        };
        if let Some(refused) = refuse_method(request.method()) {
            return refused;
        }
        let unsynced = if is_readiness { self.cache.unsynced() } else { Vec::new() };
        if unsynced.is_empty() {
            return text(StatusCode::OK, "ok");
        }
        let kinds: Vec<&str> = unsynced.iter().map(|kind| kind.as_str()).collect();
        let message = format!("not ready: still listing {}", kinds.join(", "));
        text(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

fn not_found(served: &str) -> Response<Bytes> {
    text(StatusCode::NOT_FOUND, format!("not found: this port serves {served}"))
}

pub(super) fn refuse_method(method: &Method) -> Option<Response<Bytes>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, format!("{method}: expected GET"));
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(refused)
}
