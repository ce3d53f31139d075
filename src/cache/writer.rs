use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use berth_solver::model::{ClusterEvent, ClusterState, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

use super::{Message, Status};

/// How the cache's writer works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many events may wait; senders wait beyond that.
    pub queue: usize,
    /// After so many events at the latest a snapshot is published.
    pub batch: usize,
    /// After this time spent applying events a snapshot is published, though more are waiting.
    pub longest_batch: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 1_024, batch: 4_096, longest_batch: Duration::from_millis(1) }
    }
}

/// Hears of every event before it is applied.
type Listener = Box<dyn FnMut(&ClusterEvent) + Send>;

/// The one writer of the cluster cache.
pub struct CacheWriter {
    settings: Settings,
    inbox: mpsc::Receiver<Message>,
    state: ClusterState,
    latest: Arc<ArcSwap<Snapshot>>,
    status: watch::Sender<Status>,
    /// Replaced while somebody was reading them. They are freed here, where it holds nobody up: of
    /// a picture that a whole list has replaced there is much to free.
    retired: Vec<Arc<Snapshot>>,
    listener: Option<Listener>,
}

impl fmt::Debug for CacheWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CacheWriter").field("state", &self.state).finish_non_exhaustive()
    }
}

impl CacheWriter {
    pub(super) fn new(
        settings: Settings,
        inbox: mpsc::Receiver<Message>,
        latest: Arc<ArcSwap<Snapshot>>,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            settings,
            inbox,
            state: ClusterState::new(),
            latest,
            status,
            retired: Vec::new(),
            listener: None,
        }
    }

    /// Has somebody hear of every event, one by one and in order: snapshots show only what many of
    /// them came to. The writer waits for it.
    #[must_use]
    pub fn listened_to(self, listener: impl FnMut(&ClusterEvent) + Send + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..self }
    }

    /// Applies events and publishes snapshots until every sender is gone, on a thread of its own: to
    /// take in a list of all pods keeps a processor busy for a while, and who answers
    /// kube-scheduler must not stand in the queue behind it.
    ///
    /// The future ends with the thread. Dropping it leaves the thread alone.
    ///
    /// # Errors
    /// When the system has no thread to give, or the writer broke down.
    pub async fn run_apart(self) -> std::io::Result<()> {
        let (ended, end) = oneshot::channel();
        let apart = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let _ = ended.send(runtime.map(|runtime| runtime.block_on(self.run())));
        };
        std::thread::Builder::new().name("cluster-cache".to_owned()).spawn(apart)?;
        end.await.map_err(std::io::Error::other)?
    }

    /// Applies events and publishes snapshots until every sender is gone.
    pub async fn run(mut self) {
        while let Some(first) = self.inbox.recv().await {
            // Only the length of the batch depends on the clock, never what comes out.
            let started = Instant::now();
            let mut batch = Batch::default();
            self.take(&mut batch, first);
            for _ in 1..self.settings.batch {
                if started.elapsed() >= self.settings.longest_batch {
                    break;
                }
                let Ok(message) = self.inbox.try_recv() else { break };
                self.take(&mut batch, message);
            }
            self.publish(batch);
        }
    }

    fn take(&mut self, batch: &mut Batch, message: Message) {
        match message {
            Message::Event(event) => {
                if let Some(listener) = &mut self.listener {
                    listener(&event);
                }
                batch.changed |= self.state.apply(event);
            }
            Message::Synced(kind) => batch.synced.push(kind),
        }
    }

    fn publish(&mut self, batch: Batch) {
        if batch.changed {
            self.retired.push(self.latest.swap(Arc::new(self.state.snapshot())));
            self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        }
        // The snapshot is stored before readers hear of it: whoever sees a kind as synced finds
        // its objects.
        self.status.send_if_modified(|status| {
            let before = *status;
            for kind in batch.synced {
                status.unsynced.remove(kind);
            }
            if status.unsynced.is_empty() && !before.unsynced.is_empty() {
                info!("the cluster cache is complete");
            }
            if batch.changed || *status != before {
                status.edition += 1;
            }
            *status != before
        });
    }
}

/// What a batch of messages did.
#[derive(Debug, Default)]
struct Batch {
    changed: bool,
    synced: Vec<super::Kind>,
}
