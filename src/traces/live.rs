//! A cluster's events, heard through the cluster cache.

use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::{ClusterEvent, Pod, Snapshot};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::{Recorder, Recording};
use crate::cache::{self, Cache, CacheSender, Kind};
use crate::clock::Clock;
use crate::watch::{self, Interner, Observer};

/// At the end the watch may take so long to bring what has happened.
const PATIENCE: Duration = Duration::from_secs(30);

/// A recording that goes on.
pub struct Live {
    client: kube::Client,
    heard: Arc<Mutex<Option<Recorder>>>,
    full: Arc<Notify>,
    ears: Ears,
}

/// A watch of pods that feeds a cache of its own.
struct Ears {
    cache: Cache,
    sender: CacheSender,
    watches: JoinSet<()>,
    writing: JoinHandle<()>,
}

impl Ears {
    /// Watches pods from now on; the first thing heard is all of them.
    fn open(client: &kube::Client, listener: impl FnMut(&ClusterEvent) + Send + 'static) -> Self {
        let (writer, sender, cache) = cache::channel(cache::Settings::default(), [Kind::Pod]);
        let writing = tokio::spawn(writer.listened_to(listener).run());
        // What fails is tried again.
        let observer: Arc<dyn Observer> = Arc::new(());
        let watches = watch::spawn_pods(client, &sender, &Arc::new(Interner::new()), &observer);
        Self { cache, sender, watches, writing }
    }

    /// Whether the same pods are there.
    fn have_heard_of(&self, present: &Self) -> bool {
        let (own, other) = (self.cache.snapshot(), present.cache.snapshot());
        let pods = |at: &Snapshot| at.pods.len();
        let same =
            |(one, other): (&Arc<Pod>, &Arc<Pod>)| one.key == other.key && one.uid == other.uid;
        pods(&own) == pods(&other) && own.pods.values().zip(other.pods.values()).all(same)
    }

    /// Stops, and takes in what was brought until now. Returns whether all went well.
    async fn close(mut self) -> bool {
        self.watches.shutdown().await;
        drop(self.sender);
        self.writing.await.is_ok()
    }
}

impl Live {
    /// Watches pods, and has the recorder hear of all that happens to them. [`Self::full`] says
    /// when it has `most` of them.
    pub fn start(client: kube::Client, recorder: Recorder, clock: Clock, most: usize) -> Self {
        let heard = Arc::new(Mutex::new(Some(recorder)));
        let full = Arc::new(Notify::new());
        let (hears, told) = (Arc::clone(&heard), Arc::clone(&full));
        let ears = Ears::open(&client, move |event| {
            if let Some(recorder) = &mut *hears.lock() {
                recorder.take(event, clock.now());
                if recorder.len() >= most {
                    told.notify_one();
                }
            }
        });
        Self { client, heard, full, ears }
    }

    /// Waits until the pods that were there at the start are known; false if they never will be.
    pub async fn begun(&mut self) -> bool {
        self.ears.cache.until_synced().await.is_ok()
    }

    /// Waits until there are as many pods as it may have.
    pub async fn full(&self) {
        self.full.notified().await;
    }

    /// Ends it. All pods are listed once more, and until the watch has brought as much as that list
    /// it goes on: what happened before somebody asked for the end is in it. A cluster that cannot
    /// be reached any more changes nothing about what was heard. `None` if the recording broke down.
    pub async fn finish(self) -> Option<Recording> {
        let Self { client, heard, mut ears, .. } = self;
        let mut present = Ears::open(&client, |_| {});
        // Whether it comes so far or not: the end was asked for.
        let _ = tokio::time::timeout(PATIENCE, async {
            present.cache.until_synced().await?;
            while !ears.have_heard_of(&present) {
                tokio::select! {
                    changed = ears.cache.changed() => changed?,
                    changed = present.cache.changed() => changed?,
                }
            }
            Ok::<(), cache::Stopped>(())
        })
        .await;
        drop(present);
        if !ears.close().await {
            return None;
        }
        let recorder = heard.lock().take();
        recorder.map(Recorder::finish)
    }
}
