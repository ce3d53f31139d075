//! The listeners: small, bounded HTTP servers on hyper.
//!
//! One accept loop serves the extender, the metrics and the health checks, each on a port of its
//! own, and speaks HTTP/1.1 and HTTP/2, over TLS where that is asked for. Everything that a client can use up is bounded by [`Limits`]: connections, requests at a time, the size of
//! headers and bodies, and the time that each step may take. A [`Handler`] gets a request with
//! its whole body and answers at once; if it panics the client gets a 500 and the process lives.

mod answer;
mod explain;
mod status;
mod stream;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use answer::{json, text};
pub use explain::StatusHandler;
pub use status::{HealthHandler, MetricsHandler};
use stream::{Guarded, Progress};
use tls::Acceptor;
pub use tls::{Tls, TlsError, TlsFiles};

/// How long to wait before the next accept when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait to be accepted.
    pub connections: usize,
    /// Requests at a time over all connections; further ones are answered 503.
    pub requests: usize,
    /// HTTP/2 streams at a time on one connection.
    pub streams: u32,
    /// Bytes of a request's headers (HTTP/1; a quarter of it for HTTP/2).
    pub headers: usize,
    /// Bytes of a request's body; more are answered 413.
    pub body: usize,
    /// From the connection until the TLS handshake is done.
    pub handshake_timeout: Duration,
    /// From the connection, or the first byte of a request, until its headers are complete.
    pub header_timeout: Duration,
    /// From the headers until the body is complete.
    pub body_timeout: Duration,
    /// How long a connection may be left unused. Longer than the 90 s after which kube-scheduler's
    /// client gives an unused connection up: whoever closes first must not be the server, since
    /// Go does not repeat a POST that meets a closed connection.
    pub idle_timeout: Duration,
    /// How long a client may take none of an answer.
    pub write_timeout: Duration,
    /// How long requests under way may take to end after the shutdown began.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            requests: 64,
            streams: 128,
            headers: 64 << 10,
            body: 4 << 20,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// What a handler makes of a request.
pub enum Reply {
    /// The answer.
    Now(Response<Bytes>),
    /// Work with an answer at its end. It is done to its end even if the client goes away.
    Later(Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>),
}

impl From<Response<Bytes>> for Reply {
    fn from(response: Response<Bytes>) -> Self {
        Self::Now(response)
    }
}

/// What answers.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request, whose body has been read. Must not block for long: what has to wait is
    /// [`Reply::Later`].
    fn handle(&self, request: Request<Bytes>) -> Reply;

    /// Is told of every answer: also of those that the server gave itself (413, 503, 500 after a
    /// panic, ...). The time is what [`Handler::handle`] and the work after it took.
    fn answered(&self, _path: &str, _status: StatusCode, _took: Duration) {}
}

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Plain HTTP is for the machine itself.
    #[error(
        "cannot serve the extender on {0}: it speaks plain HTTP without authentication, so its \
         address must be a loopback address (127.0.0.1 or [::1]) with kube-scheduler beside it; \
         for any other address give --extender-tls-cert, --extender-tls-key, \
         --extender-tls-client-ca and --extender-tls-client-subject"
    )]
    NotLoopback(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// An open port. Connections queue up until [`Listener::serve`] takes them.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Acceptor>,
}

/// Opens a port. Port 0 is any free one: [`Listener::address`] tells which.
///
/// # Errors
/// [`BindError::Refused`] when the system refuses.
pub async fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    let refused = |source| BindError::Refused { address, source };
    let socket = TcpListener::bind(address).await.map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    Ok(Listener { socket, address, tls: None })
}

/// Opens a port that only this machine can reach, for what is served without authentication.
///
/// # Errors
/// [`BindError::NotLoopback`] for every other address, [`BindError::Refused`] when the system
/// refuses.
pub async fn bind_loopback(address: SocketAddr) -> Result<Listener, BindError> {
    if !address.ip().to_canonical().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    bind(address).await
}

/// Opens a port that serves over TLS.
///
/// # Errors
/// [`BindError::Refused`] when the system refuses.
pub async fn bind_tls(address: SocketAddr, tls: &Tls) -> Result<Listener, BindError> {
    Ok(Listener { tls: Some(tls.acceptor()), ..bind(address).await? })
}

impl Listener {
    /// The real address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled: then it accepts nothing more, lets the requests
    /// under way end for [`Limits::drain_timeout`], and returns.
    pub async fn serve(
        self,
        handler: Arc<dyn Handler>,
        limits: Limits,
        shutdown: CancellationToken,
    ) {
        let shared = Arc::new(Shared {
            builder: builder(&limits),
            requests: Arc::new(Semaphore::new(limits.requests)),
            handler,
            limits,
        });
        let slots = Arc::new(Semaphore::new(limits.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.socket, &slots) => accepted,
            };
            match accepted {
                Ok((stream, slot)) => {
                    let connection =
                        begin(stream, self.tls.clone(), Arc::clone(&shared), shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.drain_timeout, drained).await.is_err() {
            tracing::warn!(address = %self.address, "requests under way were cut off");
        }
    }
}

/// What the connections of a listener have in common.
struct Shared {
    builder: Builder<TokioExecutor>,
    requests: Arc<Semaphore>,
    handler: Arc<dyn Handler>,
    limits: Limits,
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper's header timeout also runs between requests. The one for a request that has begun
        // is kept by `Guarded`.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.headers.max(8 << 10))
        // A client that has sent its request may end its side: it still gets its answer.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.headers / 4).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(limits.idle_timeout / 4))
        .keep_alive_timeout(limits.header_timeout);
    builder
}

async fn accept(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = socket.accept().await?;
    // Answers are small and written at once: waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

/// Serves a connection, once it is secured if it has to be.
async fn begin(
    stream: TcpStream,
    tls: Option<Acceptor>,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) {
    let Some(tls) = tls else { return serve_connection(stream, shared, shutdown).await };
    let handshake = tls.latest().accept(stream);
    let secured = tokio::select! {
        secured = tokio::time::timeout(shared.limits.handshake_timeout, handshake) => secured,
        () = shutdown.cancelled() => return,
    };
    match secured {
        Ok(Ok(stream)) => serve_connection(stream, shared, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn serve_connection<S>(stream: S, shared: Arc<Shared>, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let progress = Arc::new(Progress::default());
    let io = TokioIo::new(Guarded::new(stream, &shared.limits, Arc::clone(&progress)));
    let service = service_fn(|request| {
        let (shared, progress) = (Arc::clone(&shared), Arc::clone(&progress));
        async move {
            Ok::<_, std::convert::Infallible>(answer::answer(&shared, &progress, request).await)
        }
    });
    let connection = shared.builder.serve_connection(io, service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // Broken requests, timeouts, clients that went away: theirs to notice.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
