//! Being asked to end.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process is asked to end from outside: SIGTERM, SIGINT (Ctrl-C) or SIGHUP. From
/// the first call on none of them ends it by itself.
pub(super) async fn ended() {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hang_up.recv() => {}
    }
}
