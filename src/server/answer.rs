use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};
use tokio::sync::OwnedSemaphorePermit;

use super::stream::Progress;
use super::{Reply, Shared};

/// How much of a body that is too large is still read (and dropped), in multiples of the limit:
/// a client that is cut off while it sends never sees the answer.
const READ_AND_DROP: usize = 4;
/// What is set aside for a body before any of it has come.
const FIRST_CAPACITY: usize = 64 << 10;

/// An answer in plain text.
pub fn text(status: StatusCode, message: impl Into<String>) -> Response<Bytes> {
    let mut message: String = message.into();
    message.push('\n');
    with_type(status, "text/plain; charset=utf-8", message.into())
}

/// An answer in JSON.
pub fn json(status: StatusCode, body: Bytes) -> Response<Bytes> {
    with_type(status, "application/json", body)
}

/// An answer of some type.
pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Answers one request. The length of an answer is always known, so that hyper sends it as
/// `Content-Length`: Go's client does not read the end of a chunked answer and then cannot use
/// the connection again.
pub(super) async fn answer(
    shared: &Shared,
    progress: &Progress,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    progress.head_read(request.version() == Version::HTTP_2);
    let path = request.uri().path().to_owned();
    let (response, took) = match Arc::clone(&shared.requests).try_acquire_owned() {
        Ok(slot) => match read(shared, request).await {
            Ok(request) => {
                progress.body_read();
                handle(shared, request, slot).await
            }
            Err(response) => (response, Duration::ZERO),
        },
        Err(_) => {
            let message = format!("busy: at most {} requests at a time", shared.limits.requests);
            (text(StatusCode::SERVICE_UNAVAILABLE, message), Duration::ZERO)
        }
    };
    shared.handler.answered(&path, response.status(), took);
    response.map(Full::new)
}

async fn handle(
    shared: &Shared,
    request: Request<Bytes>,
    slot: OwnedSemaphorePermit,
) -> (Response<Bytes>, Duration) {
    let began = Instant::now();
    let path = request.uri().path().to_owned();
    let reply = catch_unwind(AssertUnwindSafe(|| shared.handler.handle(request)));
    let response = match reply {
        Ok(Reply::Now(response)) => Some(response),
        // A task of its own: this future is dropped when the client goes away.
        Ok(Reply::Later(work)) => {
            let work = tokio::spawn(async move {
                let response = work.await;
                drop(slot);
                response
            });
            work.await.ok()
        }
        Err(_) => None,
    };
    let response = response.unwrap_or_else(|| {
        tracing::error!(path, "a handler panicked");
        text(StatusCode::INTERNAL_SERVER_ERROR, "internal error: see the daemon's log")
    });
    (response, began.elapsed())
}

async fn read(
    shared: &Shared,
    request: Request<Incoming>,
) -> Result<Request<Bytes>, Response<Bytes>> {
    let limits = &shared.limits;
    let (parts, body) = request.into_parts();
    let waits_for_permission = parts.headers.contains_key(EXPECT);
    match tokio::time::timeout(
        limits.body_timeout,
        read_body(body, limits.body, waits_for_permission),
    )
    .await
    {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, body)),
        Ok(Err(BodyError::TooLarge)) => {
            let message = format!("the body is too large: at most {} bytes", limits.body);
            Err(text(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Ok(Err(BodyError::Broken(error))) => {
            Err(text(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")))
        }
        Err(_) => {
            let message =
                format!("the body took longer than {} ms", limits.body_timeout.as_millis());
            Err(text(StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}

enum BodyError {
    TooLarge,
    Broken(hyper::Error),
}

async fn read_body(
    mut body: Incoming,
    limit: usize,
    waits_for_permission: bool,
) -> Result<Bytes, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit && (waits_for_permission || announced > limit * READ_AND_DROP) {
        return Err(BodyError::TooLarge);
    }
    let mut whole = BytesMut::with_capacity(announced.min(FIRST_CAPACITY).min(limit));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        length += data.len();
        if length > limit * READ_AND_DROP {
            return Err(BodyError::TooLarge);
        }
        if length <= limit {
            whole.extend_from_slice(&data);
        } else {
            whole.clear();
        }
    }
    if length > limit { Err(BodyError::TooLarge) } else { Ok(whole.freeze()) }
}
