//! Waiting for a condition, never for a time.

use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long to wait between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Waits until `probe` gives something, at most for `limit`.
///
/// `probe` answers `Ok(value)` when the condition holds, else `Err(what it saw instead)`; the
/// last such answer is in the error.
///
/// # Errors
/// When the time is over: `what` did not happen, and what was seen last.
pub async fn until<T, P, F>(what: &str, limit: Duration, mut probe: P) -> Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = Result<T, String>>,
{
    let begin = Instant::now();
    loop {
        // A probe that hangs must not outlive the deadline either.
        let left = limit.saturating_sub(begin.elapsed()).max(INTERVAL);
        let seen = match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => seen,
            Err(_) => "no answer".to_owned(),
        };
        if begin.elapsed() >= limit {
            bail!("{what}: not within {limit:?}; last seen: {seen}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// As [`until`], for probes that fail with an error of some other kind.
///
/// # Errors
/// When the time is over, with the last error.
pub async fn until_ok<T, E, P, F>(what: &str, limit: Duration, mut probe: P) -> Result<T>
where
    E: std::fmt::Display,
    P: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
{
    until(what, limit, || {
        let answer = probe();
        async move { answer.await.map_err(|error| format!("{error:#}")) }
    })
    .await
}

/// A port on loopback that nothing listens on.
///
/// From below the range that the kernel gives to outgoing connections, so that none of those
/// takes it before the process it is meant for does; each process begins at a place of its own.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> Result<u16> {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let offset = std::process::id().wrapping_mul(61);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + offset.wrapping_add(step) % COUNT)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}
