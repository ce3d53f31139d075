use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::cache::Kind;

/// Kinds that something refers to. Those that are of no other use (Deployments, ReplicaSets: there
/// may be many, and they change all the time) are watched from then on only.
#[derive(Debug, Default)]
pub(super) struct Referred(watch::Sender<BTreeSet<Kind>>);

impl Referred {
    /// Something refers to these.
    pub(super) fn add(&self, kinds: BTreeSet<Kind>) {
        self.0.send_if_modified(|known| {
            let before = known.len();
            known.extend(kinds);
            known.len() > before
        });
    }

    /// Whether anything has referred to the kind.
    pub(super) fn contains(&self, kind: Kind) -> bool {
        self.0.borrow().contains(&kind)
    }

    /// Waits until something refers to the kind.
    pub(super) async fn wait_for(&self, kind: Kind) {
        // The sender lives as long as `self` does.
        let _ = self.0.subscribe().wait_for(|known| known.contains(&kind)).await;
    }
}
