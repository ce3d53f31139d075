//! When not to look for a round: while nodes are about to become its candidates.
//!
//! After a workload has become smaller its nodes have been left alone for `consolidateAfter` one by
//! one, as pods leave them one by one. A round over the first few of them moves pods onto others
//! that the next round would take, and evicts them twice. So a round waits until all that were
//! touched are ready, or for as long as it has patience: somewhere in a busy cluster there is always
//! a node that was touched a moment ago.

use std::time::Duration;

use super::conditions::time_left_of;
use super::emptiness::Inputs;
use crate::model::{ConsolidationPolicy, NodeClaim, Snapshot, Timestamp};

/// Nodes that become candidates within this time are waited for...
const SOON: Duration = Duration::from_secs(30);
/// ...for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for candidates.
#[derive(Clone, Debug, Default)]
pub struct Gathering {
    since: Option<Timestamp>,
}

impl Gathering {
    /// Whether to look later. To be asked whenever a round could begin.
    pub fn waits(&mut self, snapshot: &Snapshot, inputs: &Inputs, now: Timestamp) -> bool {
        let soon = snapshot.claims.values().any(|claim| is_soon(snapshot, claim, inputs, now));
        let waits = soon && now.since(*self.since.get_or_insert(now)) < PATIENCE;
        if !waits {
            self.since = None;
        }
        waits
    }
}

fn is_soon(snapshot: &Snapshot, claim: &NodeClaim, inputs: &Inputs, now: Timestamp) -> bool {
    let Some(pool) = claim.pool().and_then(|pool| snapshot.pools.get(pool)) else { return false };
    claim.deleted.is_none()
        && pool.consolidation_policy != ConsolidationPolicy::WhenEmpty
        && time_left_of(claim, pool, inputs, now)
            .is_some_and(|left| !left.is_zero() && left <= SOON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConsolidateAfter, NodePool, well_known::condition};
    use crate::testing::{claim, cluster, exoscale_catalog, node_of_claim, pool, type_of, up};

    #[test]
    fn a_round_waits_for_nodes_that_were_just_touched_but_not_for_ever() {
        let catalog = exoscale_catalog(&["z"]);
        let consolidate_after = ConsolidateAfter::After(Duration::from_secs(20));
        let general = NodePool { consolidate_after, ..pool("general") };
        let node = up(claim("n1", &general, type_of(&catalog, "standard.small")));
        let since = node.condition(condition::INITIALIZED).unwrap().since;
        let at = |seconds| since + Duration::from_secs(seconds);
        let snapshot = cluster()
            .pool(general, catalog)
            .claim(node.clone())
            .node(node_of_claim(&node))
            .snapshot();
        let touched = |seconds| Inputs {
            pod_events: [(node.uid.clone(), at(seconds))].into(),
            ..Inputs::default()
        };
        let mut gathering = Gathering::default();
        assert!(gathering.waits(&snapshot, &touched(100), at(105)));
        assert!(!gathering.waits(&snapshot, &touched(100), at(120)), "it is a candidate now");
        // Pods come and go all the time.
        assert!(gathering.waits(&snapshot, &touched(200), at(201)));
        assert!(gathering.waits(&snapshot, &touched(260), at(260)));
        assert!(!gathering.waits(&snapshot, &touched(261), at(261)));
        assert!(gathering.waits(&snapshot, &touched(261), at(262)), "the next round gathers, too");
    }
}
