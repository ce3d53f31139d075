//! When pods came to nodes and left them: what `consolidateAfter` counts from.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_solver::lifecycle::Write;
use berth_solver::model::{Name, NodeClaim, NodeState, Snapshot, Timestamp};

/// A claim's `status.lastPodEventTime` is written at most so often, as Karpenter does.
const RECORD_AFTER: Duration = Duration::from_secs(5);

/// Follows the pods on the nodes of claims from snapshot to snapshot.
#[derive(Debug, Default)]
pub(super) struct PodEvents {
    /// By the claim's UID.
    nodes: BTreeMap<Name, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The UIDs of the pods on the node, sorted.
    pods: Vec<Name>,
    /// When they last changed.
    changed: Option<Timestamp>,
    /// What was last to be recorded.
    recorded: Option<Timestamp>,
}

impl PodEvents {
    /// Looks at who is where, and returns what should be recorded.
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Timestamp) -> Vec<Write> {
        let mut before = std::mem::take(&mut self.nodes);
        let mut writes = Vec::new();
        for claim in snapshot.claims.values().filter(|claim| claim.deleted.is_none()) {
            let Some(state) = snapshot.node_of_claim(claim) else { continue };
            let pods = pods_of(state);
            let mut seen = before.remove(&claim.uid).unwrap_or_else(|| Seen {
                // The first look is no event: nobody knows when they came.
                pods: pods.clone(),
                changed: None,
                recorded: claim.last_pod_event,
            });
            if seen.pods != pods {
                seen.pods = pods;
                seen.changed = Some(now);
            }
            writes.extend(to_record(claim, &mut seen, now));
            self.nodes.insert(claim.uid.clone(), seen);
        }
        writes
    }

    /// When a pod last came or left, by the claim's UID.
    pub(super) fn times(&self) -> BTreeMap<Name, Timestamp> {
        let times = self.nodes.iter().filter_map(|(uid, seen)| Some((uid, seen.changed?)));
        times.map(|(uid, at)| (uid.clone(), at)).collect()
    }
}

fn pods_of(state: &NodeState) -> Vec<Name> {
    let pods = state.pods.values().filter(|pod| pod.is_alive() && !pod.belongs_to_node());
    let mut uids: Vec<Name> = pods.map(|pod| pod.uid.clone()).collect();
    uids.sort_unstable();
    uids
}

fn to_record(claim: &NodeClaim, seen: &mut Seen, now: Timestamp) -> Option<Write> {
    let at = seen.changed.filter(|at| seen.recorded.is_none_or(|recorded| recorded < *at))?;
    if seen.recorded.is_some_and(|recorded| now.since(recorded) < RECORD_AFTER) {
        return None;
    }
    seen.recorded = Some(at);
    Some(Write::RecordPodEvent { claim: claim.into(), at })
}

#[cfg(test)]
mod tests {
    use berth_solver::model::{Pod, well_known};
    use berth_solver::testing::*;

    use super::*;

    fn with(pods: &[&str]) -> Snapshot {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["ch-gva-2"]));
        let claim = claim("c1", &general, type_of(&catalog, "standard.medium"));
        let claim = claim_with_condition(claim, well_known::condition::LAUNCHED);
        let node = node_of_claim(&claim);
        let shape = shape(100, 64).build();
        let bound = |name: &&str| Pod { node: Some(node.name.clone()), ..pod(name, &shape) };
        let pods: Vec<Pod> = pods.iter().map(bound).collect();
        cluster().pool(general, catalog).claim(claim).node(node).pods(pods).snapshot()
    }

    fn recorded(writes: &[Write]) -> Vec<i64> {
        let time = |write: &Write| match write {
            Write::RecordPodEvent { at, .. } => at.as_millis() / 1_000,
            other => panic!("{other:?}"),
        };
        writes.iter().map(time).collect()
    }

    #[test]
    fn changes_are_events_and_are_recorded_at_most_every_five_seconds() {
        let mut events = PodEvents::default();
        let at = Timestamp::from_seconds;
        assert_eq!(recorded(&events.look(&with(&["a"]), at(100))), [0; 0]);
        assert!(events.times().is_empty());
        assert_eq!(recorded(&events.look(&with(&["a", "b"]), at(101))), [101]);
        assert_eq!(recorded(&events.look(&with(&["b"]), at(103))), [0; 0]);
        assert_eq!(events.times().into_values().collect::<Vec<_>>(), [at(103)]);
        assert_eq!(recorded(&events.look(&with(&["b"]), at(105))), [0; 0]);
        assert_eq!(recorded(&events.look(&with(&["b"]), at(106))), [103]);
        assert_eq!(recorded(&events.look(&with(&["b"]), at(120))), [0; 0]);
    }
}
