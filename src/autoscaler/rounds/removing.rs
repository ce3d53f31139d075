//! Empty nodes: they go, unless something is planned for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_solver::disruption::{self, Emptiness, Inputs};
use berth_solver::model::{Removal, Snapshot, Target, Timestamp};
use tokio::task::JoinError;

use super::Autoscaler;
use crate::autoscaler::figures;
use crate::autoscaler::removal::{GivenUp, Removed, remove};
use crate::metrics::ReasonLabels;

impl Autoscaler {
    pub(super) fn remove_empty_nodes(
        &mut self,
        snapshot: &Snapshot,
        inputs: &Inputs,
        now: Timestamp,
    ) {
        // A plan in the making may want them.
        let settled = self.planning.is_empty() && self.memory.creating.is_empty();
        let empty = if settled {
            disruption::emptiness(snapshot, inputs, now)
        } else {
            Emptiness::default()
        };
        let labels = ReasonLabels { reason: "Empty" };
        let eligible = i64::try_from(empty.removals.len()).unwrap_or(i64::MAX);
        self.parts.metrics.disruption_eligible_nodes.get_or_create(&labels).set(eligible);
        let reused = disruption::reuse(snapshot, inputs, &empty.removals);
        let stays: BTreeSet<Target> = reused.values().cloned().collect();
        if !reused.is_empty() {
            let pods = reused.len();
            tracing::info!(
                pods,
                nodes = stays.len(),
                "empty nodes take pods that waited for others"
            );
            self.memory.queue.redirect(reused, now);
            self.publish(snapshot, now);
        }
        let goes = |removal: &Removal| {
            removal.node.as_ref().is_none_or(|node| !stays.contains(&Target::Node(node.clone())))
        };
        for removal in empty.removals.into_iter().filter(goes) {
            if !self.memory.under_way.begin(&removal.claim_uid) {
                continue;
            }
            figures::of_removal(&self.parts.metrics);
            let why = &removal.explanation;
            tracing::info!(nodeclaim = %removal.claim, why, "removing an empty node");
            let (hands, cache) = (Arc::clone(&self.hands), self.parts.cache.clone());
            let plan = Arc::clone(&self.parts.plan);
            self.removals.spawn(remove(hands, cache, plan, inputs.clone(), removal));
        }
        if settled {
            let under_way = self.memory.under_way.uids();
            for write in disruption::leftovers(snapshot, under_way) {
                self.executor.start(write.into());
            }
        }
    }

    pub(super) fn removed(&mut self, removed: Result<Removed, JoinError>) {
        let Removed { removal, result } = match removed {
            Ok(removed) => removed,
            Err(error) if error.is_cancelled() => return,
            Err(error) => return tracing::error!(%error, "a removal broke down"),
        };
        let Err(given_up) = result else {
            let claim = removal.claim;
            return tracing::info!(nodeclaim = %claim, "an empty node is on its way out");
        };
        self.memory.under_way.give_up(&removal.claim_uid);
        let labels = ReasonLabels { reason: removal.reason.as_str() };
        if let GivenUp::Overtaken(_) = given_up {
            let failed = &self.parts.metrics.disruption_failed_validations;
            failed.get_or_create(&labels).inc();
        }
        tracing::info!(nodeclaim = %removal.claim, %given_up, "an empty node stays");
    }
}
