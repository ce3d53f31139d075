//! The one cluster cache: one writer, immutable snapshots.
//!
//! Watch streams send [`ClusterEvent`]s through a bounded queue. One [`CacheWriter`] applies them
//! to the one mutable [`ClusterState`](berth_solver::model::ClusterState) and publishes an
//! immutable [`Snapshot`] after each batch. Readers hold a [`Cache`]: they take the latest
//! snapshot without waiting, and can wait for the next one.
//!
//! The cache is ready only when every watched kind has ended its first complete list: before
//! that, what is missing cannot be told from what is not there.

mod kind;
mod writer;

use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_solver::model::{ClusterEvent, Snapshot};
use tokio::sync::{mpsc, watch};

pub use kind::Kind;
use kind::Kinds;
pub use writer::{CacheWriter, Settings};

/// The other side of the cache is gone: the daemon is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cluster cache has stopped")]
pub struct Stopped;

/// A new cache that waits for the first lists of `kinds`: its writer (to be run as a task), the
/// entrance for events, and a handle for readers.
pub fn channel(
    settings: Settings,
    kinds: impl IntoIterator<Item = Kind>,
) -> (CacheWriter, CacheSender, Cache) {
    let (events, inbox) = mpsc::channel(settings.queue.max(1));
    let unsynced: Kinds = kinds.into_iter().collect();
    let (status, watched) = watch::channel(Status { edition: 0, unsynced });
    let latest = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let cache = Cache { latest: Arc::clone(&latest), status: watched };
    let sender = CacheSender { events, latest: Arc::clone(&latest) };
    (CacheWriter::new(settings, inbox, latest, status), sender, cache)
}

/// What travels to the writer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all messages are events")]
enum Message {
    /// Something happened.
    Event(ClusterEvent),
    /// A kind's first complete list has been sent.
    Synced(Kind),
}

/// What readers are told besides the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status {
    /// Grows with each publication.
    edition: u64,
    /// The kinds whose first complete list is still to come.
    unsynced: Kinds,
}

/// Where events go in. Waits while the queue is full, so that watches slow down instead of
/// piling up memory.
#[derive(Clone, Debug)]
pub struct CacheSender {
    events: mpsc::Sender<Message>,
    latest: Arc<ArcSwap<Snapshot>>,
}

impl CacheSender {
    /// Hands over an event.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub async fn send(&self, event: ClusterEvent) -> Result<(), Stopped> {
        self.events.send(Message::Event(event)).await.map_err(|_| Stopped)
    }

    /// Looks at the picture as it was published last: what was sent since may not be in it yet.
    pub fn look<T>(&self, at: impl FnOnce(&Snapshot) -> T) -> T {
        at(&self.latest.load())
    }

    /// Says that all events of a kind's first complete list have been sent.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub async fn synced(&self, kind: Kind) -> Result<(), Stopped> {
        self.events.send(Message::Synced(kind)).await.map_err(|_| Stopped)
    }
}

/// A reader's handle of the cluster cache.
#[derive(Clone, Debug)]
pub struct Cache {
    latest: Arc<ArcSwap<Snapshot>>,
    status: watch::Receiver<Status>,
}

impl Cache {
    /// A cache that holds this snapshot for ever and is synced: for tests and one-off commands.
    pub fn of(snapshot: Snapshot) -> Self {
        let (_, status) = watch::channel(Status { edition: 0, unsynced: Kinds::default() });
        Self { latest: Arc::new(ArcSwap::from_pointee(snapshot)), status }
    }

    /// The latest snapshot. Never waits.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.latest.load_full()
    }

    /// Whether every watched kind has ended its first complete list. A snapshot taken after this
    /// said `true` holds all of them.
    pub fn is_synced(&self) -> bool {
        self.status.borrow().unsynced.is_empty()
    }

    /// The kinds whose first complete list is still to come.
    pub fn unsynced(&self) -> Vec<Kind> {
        self.status.borrow().unsynced.iter().collect()
    }

    /// Waits until something was published since this handle was made or since the last call.
    ///
    /// # Errors
    /// When the writer has stopped: nothing will change any more.
    pub async fn changed(&mut self) -> Result<(), Stopped> {
        self.status.changed().await.map_err(|_| Stopped)
    }

    /// Waits until the cache is synced.
    ///
    /// # Errors
    /// When the writer has stopped before that.
    pub async fn until_synced(&mut self) -> Result<(), Stopped> {
        match self.status.wait_for(|status| status.unsynced.is_empty()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Stopped),
        }
    }
}

#[cfg(test)]
mod tests;
