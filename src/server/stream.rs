use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Limits;

/// How far a connection's requests have come: told by the service, read by [`Guarded`].
#[derive(Debug, Default)]
pub(super) struct Progress {
    heads: AtomicU64,
    bodies: AtomicU64,
    http2: AtomicBool,
}

impl Progress {
    /// The headers of a request are complete.
    pub(super) fn head_read(&self, is_http2: bool) {
        self.http2.store(is_http2, Ordering::Relaxed);
        self.heads.fetch_add(1, Ordering::Relaxed);
    }

    /// The body of a request is complete.
    pub(super) fn body_read(&self) {
        self.bodies.fetch_add(1, Ordering::Relaxed);
    }

    fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    fn is_reading_body(&self) -> bool {
        self.heads() != self.bodies.load(Ordering::Relaxed)
    }

    fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }
}

/// What the client is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The rest of a request's headers; so many requests had come before.
    Head(u64),
    /// Anything.
    Anything,
}

/// A stream that gives up a client who takes too long: to complete the headers of a request, to
/// send anything at all, or to take an answer.
///
/// hyper knows one timeout for headers, which runs between requests too, and none while it finds
/// out which version of HTTP a client speaks.
pub(super) struct Guarded<S> {
    stream: S,
    progress: Arc<Progress>,
    awaited: Awaited,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, limits: &Limits, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            progress,
            awaited: Awaited::Head(0),
            read_timer: Box::pin(tokio::time::sleep(limits.header_timeout)),
            write_timer: None,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
        }
    }

    fn await_anything(&mut self) {
        self.awaited = Awaited::Anything;
        self.read_timer.as_mut().reset(Instant::now() + self.idle_timeout);
    }

    /// Bytes have come.
    fn received(&mut self) {
        let heads = self.progress.heads();
        if self.progress.is_http2() || self.progress.is_reading_body() {
            self.await_anything();
        } else if self.awaited != Awaited::Head(heads) {
            // The first bytes of the next request.
            self.awaited = Awaited::Head(heads);
            self.read_timer.as_mut().reset(Instant::now() + self.header_timeout);
        }
    }

    /// Nothing has come: is it time to give up?
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if let Awaited::Head(heads) = self.awaited
            && heads != self.progress.heads()
        {
            self.await_anything();
        }
        self.read_timer.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }

    fn guard_write<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write_timer = None;
            return result;
        }
        let timeout = self.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => this.poll_overdue(context).map(Err),
            ready => {
                this.received();
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guard_write(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.guard_write(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.guard_write(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.guard_write(context, result)
    }
}
