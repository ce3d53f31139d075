//! What NodeClaims say about their own disruption: the conditions `Consolidatable` and `Drifted`,
//! as Karpenter sets them.

use std::time::Duration;

use super::drift::drift;
use super::emptiness::Inputs;
use crate::lifecycle::{ClaimRef, Write};
use crate::model::{
    ConsolidateAfter, Name, NodeClaim, NodePool, Snapshot, Timestamp, well_known::condition,
};

/// The writes that make the claims' conditions say what is so now: `Consolidatable` once
/// `consolidateAfter` has passed since a pod last came or left, `Drifted` (with Karpenter's reason)
/// where the node is not what its NodePool asks for. A condition that does not hold is taken away.
pub fn conditions(snapshot: &Snapshot, inputs: &Inputs, now: Timestamp) -> Vec<Write> {
    let mut writes = Vec::new();
    for claim in snapshot.claims.values().filter(|claim| claim.deleted.is_none()) {
        let Some(pool) = claim.pool().and_then(|pool| snapshot.pools.get(pool)) else { continue };
        let consolidatable = is_consolidatable(claim, pool, inputs, now)
            .then(|| Name::from(condition::CONSOLIDATABLE));
        let launched = claim.is(condition::LAUNCHED);
        let drifted = launched
            .then(|| drift(snapshot, claim, pool, &inputs.hash_version))
            .flatten()
            .map(|drift| Name::from(drift.reason()));
        let wanted = [(condition::CONSOLIDATABLE, consolidatable), (condition::DRIFTED, drifted)];
        for (kind, reason) in wanted {
            let said = claim.condition(kind).filter(|_| claim.is(kind)).map(|said| &said.reason);
            if said != reason.as_ref() {
                let claim = ClaimRef::from(&**claim);
                writes.push(match reason {
                    Some(reason) => Write::RecordCondition { claim, kind: kind.into(), reason },
                    None => Write::ClearCondition { claim, kind: kind.into() },
                });
            }
        }
    }
    writes
}

fn is_consolidatable(claim: &NodeClaim, pool: &NodePool, inputs: &Inputs, now: Timestamp) -> bool {
    time_left_of(claim, pool, inputs, now).is_some_and(|left| left.is_zero())
}

/// The same as [`time_left`], of a node that is up. `None` for static pools too.
pub(super) fn time_left_of(
    claim: &NodeClaim,
    pool: &NodePool,
    inputs: &Inputs,
    now: Timestamp,
) -> Option<Duration> {
    let initialized = claim.condition(condition::INITIALIZED);
    let initialized = initialized.filter(|_| claim.is(condition::INITIALIZED))?;
    if pool.replicas.is_some() {
        return None;
    }
    time_left(claim, pool, inputs, initialized.since, now)
}

/// How much of `consolidateAfter` is left: since a pod last came or left, and at the earliest
/// since the node was initialized. `None` where it says `Never`.
pub(super) fn time_left(
    claim: &NodeClaim,
    pool: &NodePool,
    inputs: &Inputs,
    initialized: Timestamp,
    now: Timestamp,
) -> Option<Duration> {
    let ConsolidateAfter::After(wait) = pool.consolidate_after else { return None };
    Some(wait.saturating_sub(now.since(quiet_since(claim, inputs, initialized))))
}

/// Since when no pod has come to a claim's node or left it, and at the earliest since the node was
/// initialized.
pub(super) fn quiet_since(claim: &NodeClaim, inputs: &Inputs, initialized: Timestamp) -> Timestamp {
    let events = [claim.last_pod_event, inputs.pod_events.get(&claim.uid).copied()];
    events.into_iter().flatten().fold(initialized, Timestamp::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::consequences;
    use crate::model::{Change, ClusterEvent, ClusterState, ConsolidationPolicy};
    use crate::testing::*;

    const NOW: Timestamp = Timestamp::from_seconds(100_000);

    fn general() -> NodePool {
        let consolidate_after = ConsolidateAfter::After(Duration::from_secs(60));
        NodePool { consolidate_after, ..pool("general") }
    }

    fn state(pool: NodePool) -> ClusterState {
        let catalog = exoscale_catalog(&["z"]);
        let claim = up(claim("n1", &pool, type_of(&catalog, "standard.small")));
        let mut state = ClusterState::new();
        let name = pool.name.clone();
        for event in [
            ClusterEvent::Catalog(Change::Applied((name, catalog.into()))),
            ClusterEvent::NodePool(Change::Applied(pool)),
            ClusterEvent::Node(Change::Applied(node_of_claim(&claim))),
            ClusterEvent::NodeClaim(Change::Applied(claim)),
        ] {
            state.apply(event);
        }
        state
    }

    fn inputs() -> Inputs {
        Inputs { hash_version: "test".into(), ..Inputs::default() }
    }

    /// The names of the writes at that time; they are carried out.
    fn at(state: &mut ClusterState, inputs: &Inputs, now: Timestamp) -> Vec<String> {
        let snapshot = state.snapshot();
        let writes = conditions(&snapshot, inputs, now);
        for write in &writes {
            let events = consequences(&state.snapshot(), write, &"uid".into(), now).unwrap();
            events.into_iter().for_each(|event| assert!(state.apply(event)));
        }
        assert_eq!(conditions(&state.snapshot(), inputs, now), [], "said once");
        writes.iter().map(|write| format!("{write:?}")).collect()
    }

    #[test]
    fn consolidatable_comes_and_goes_with_the_pods() {
        let mut state = state(general());
        let (wait, mut inputs) = (Duration::from_secs(60), inputs());
        let said = at(&mut state, &inputs, NOW);
        assert!(said[0].contains("RecordCondition") && said[0].contains("Consolidatable"));
        let uid = state.picture().claims["n1"].uid.clone();
        inputs.pod_events.insert(uid, NOW);
        let said = at(&mut state, &inputs, NOW + Duration::from_secs(1));
        assert!(said[0].contains("ClearCondition"), "{said:?}");
        assert_eq!(at(&mut state, &inputs, NOW + wait - Duration::from_secs(1)).len(), 0);
        assert_eq!(at(&mut state, &inputs, NOW + wait).len(), 1);
    }

    #[test]
    fn a_policy_of_only_empty_nodes_changes_nothing_and_a_static_pool_is_never_consolidatable() {
        let only_empty =
            NodePool { consolidation_policy: ConsolidationPolicy::WhenEmpty, ..general() };
        assert_eq!(at(&mut state(only_empty), &inputs(), NOW).len(), 1);
        let fixed = NodePool { replicas: Some(1), ..general() };
        assert_eq!(at(&mut state(fixed), &inputs(), NOW).len(), 0);
        let never = NodePool { consolidate_after: ConsolidateAfter::Never, ..general() };
        assert_eq!(at(&mut state(never), &inputs(), NOW).len(), 0);
    }

    #[test]
    fn what_has_drifted_says_how_and_no_longer_once_the_pool_is_as_it_was() {
        let mut state = state(NodePool { consolidate_after: ConsolidateAfter::Never, ..general() });
        let before = state.picture().pools["general"].clone();
        let zones = requirements(&[(
            crate::model::well_known::ZONE_LABEL,
            crate::model::Operator::In,
            &["elsewhere"],
        )]);
        let changed = NodePool { requirements: zones, ..NodePool::clone(&before) };
        state.apply(ClusterEvent::NodePool(Change::Applied(changed)));
        let said = at(&mut state, &inputs(), NOW);
        assert!(said[0].contains("Drifted") && said[0].contains("RequirementsDrifted"), "{said:?}");
        state.apply(ClusterEvent::NodePool(Change::Applied(NodePool::clone(&before))));
        assert!(at(&mut state, &inputs(), NOW)[0].contains("ClearCondition"));
    }
}
