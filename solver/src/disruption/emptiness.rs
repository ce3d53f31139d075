use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::budgets::{allowed, is_tainted};
use super::conditions::quiet_since;
use super::headroom;
use super::obstacle::{Kept, Obstacle};
use crate::lifecycle::{ClaimRef, NodeRef, Write};
use crate::model::{
    ConsolidateAfter, DisruptionReason, Name, NodeClaim, NodePool, NodeState, Pod, Removal,
    RemovalReason, Snapshot, Target, Timestamp, well_known::condition,
};
use crate::verify::Limits;

/// What decisions about disruption need to know beside the snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Inputs {
    /// The places that the standing plan has for pods that are not bound yet, by the pods' UIDs.
    pub targets: BTreeMap<Name, Target>,
    /// When a pod last came or left, by the claim's UID, where that is known better than from the
    /// claim's `status.lastPodEventTime`. The later one counts.
    pub pod_events: BTreeMap<Name, Timestamp>,
    /// Budgets whose window is closed now: pool and index.
    pub closed_budgets: BTreeSet<(Name, usize)>,
    /// The UIDs of claims whose removal has begun, whether the snapshot shows it yet or not. They
    /// use up their pools' budgets.
    pub under_way: BTreeSet<Name>,
    /// The way in which NodePools' hashes are made now. Claims whose hash was made in another way
    /// are not compared: a new version of Berth replaces nothing.
    pub hash_version: Name,
    /// The names of claims whose nodes are to receive pods that are still to be evicted elsewhere.
    pub awaited: BTreeSet<Name>,
    /// The UIDs of pods that the eviction API has refused for good (it answers 500 where two
    /// budgets protect one pod). Their nodes are left alone.
    pub quarantined: BTreeSet<Name>,
    /// The UIDs of pods that asked to be replaced before they go, and that cannot be.
    pub irreplaceable: BTreeSet<Name>,
}

impl Inputs {
    /// What the checker goes by.
    pub const fn limits(&self) -> Limits<'_> {
        Limits {
            closed_budgets: &self.closed_budgets,
            under_way: &self.under_way,
            irreplaceable: &self.irreplaceable,
        }
    }
}

/// Which nodes go because they are empty, and why the others stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emptiness {
    /// To be removed, by pool: those under way first, then those already tainted, then the
    /// dearest.
    pub removals: Vec<Removal>,
    /// Why each other claim stays, by name.
    pub kept: Vec<Kept>,
}

/// Which nodes may be removed because nothing but pods that belong to their node runs on them and
/// nothing is planned for them.
///
/// A node stays a candidate while it carries the taint `karpenter.sh/disrupted`, so that a removal
/// that was begun is taken up again after a restart, or given up ([`leftovers`]).
pub fn emptiness(snapshot: &Snapshot, inputs: &Inputs, now: Timestamp) -> Emptiness {
    let expected = expected_pods(snapshot, inputs);
    let needed = headroom::needed(snapshot);
    let mut result = Emptiness::default();
    let mut candidates: BTreeMap<Name, Vec<(&NodeClaim, &NodeState)>> = BTreeMap::new();
    for claim in snapshot.claims.values() {
        match candidate(snapshot, claim, &expected, inputs, now) {
            Ok((_, state)) if needed.contains_key(&state.node.name) => {
                let obstacle = Obstacle::Headroom(needed[&state.node.name].clone());
                result.kept.push(Kept { claim: claim.name.clone(), obstacle });
            }
            Ok((pool, state)) => {
                candidates.entry(pool.name.clone()).or_default().push((claim, state));
            }
            Err(obstacle) => result.kept.push(Kept { claim: claim.name.clone(), obstacle }),
        }
    }
    for (pool, mut candidates) in candidates {
        let Some(pool) = snapshot.pools.get(&pool) else { continue };
        let allowance = allowed(snapshot, pool, DisruptionReason::Empty, &inputs.closed_budgets);
        let under_way = |claim: &NodeClaim| inputs.under_way.contains(&claim.uid);
        candidates.sort_by_key(|(claim, state)| {
            let tainted = is_tainted(&state.node.taints);
            (!under_way(claim), !tainted, std::cmp::Reverse(claim.price), &claim.name)
        });
        // Those under way that are no candidates (any more) take their part of the budget too.
        let listed = candidates.iter().filter(|(claim, _)| under_way(claim)).count();
        let hidden = in_pool_under_way(snapshot, pool, inputs).saturating_sub(listed);
        let room = usize::try_from(allowance.remaining()).unwrap_or(usize::MAX);
        let room = room.saturating_sub(hidden);
        for (index, (claim, state)) in candidates.into_iter().enumerate() {
            if index < room {
                result.removals.push(removal(claim, state));
            } else {
                let obstacle = Obstacle::Budget { limit: allowance.limit.unwrap_or(0) };
                result.kept.push(Kept { claim: claim.name.clone(), obstacle });
            }
        }
    }
    result.kept.sort_by(|left, right| left.claim.cmp(&right.claim));
    result
}

/// What is left of removals that nobody is going to carry out, to be taken back: taints of nodes
/// of ours, and claims' condition `DisruptionReason`. `removing` holds the UIDs of the claims whose
/// removal is under way.
pub fn leftovers(snapshot: &Snapshot, removing: &BTreeSet<Name>) -> Vec<Write> {
    let staying = snapshot
        .claims
        .values()
        .filter(|claim| claim.deleted.is_none() && !removing.contains(&claim.uid));
    let mut writes = Vec::new();
    for claim in staying {
        let state = snapshot.node_of_claim(claim);
        if let Some(state) = state
            && state.node.deleted.is_none()
            && is_tainted(&state.node.taints)
        {
            let node = NodeRef { name: state.node.name.clone(), uid: state.node.uid.clone() };
            writes.push(Write::UntaintNode { node });
        }
        if claim.is(condition::DISRUPTION_REASON) {
            writes.push(Write::ClearDisruption { claim: ClaimRef::from(&**claim) });
        }
    }
    writes
}

/// How many claims of a pool are under way that the snapshot does not show as leaving.
pub(super) fn in_pool_under_way(snapshot: &Snapshot, pool: &NodePool, inputs: &Inputs) -> usize {
    let of_pool = |claim: &NodeClaim| claim.pool() == Some(&pool.name) && claim.deleted.is_none();
    let claims = snapshot.claims.values();
    claims.filter(|claim| inputs.under_way.contains(&claim.uid) && of_pool(claim)).count()
}

fn candidate<'a>(
    snapshot: &'a Snapshot,
    claim: &NodeClaim,
    expected: &BTreeMap<Name, usize>,
    inputs: &Inputs,
    now: Timestamp,
) -> Result<(&'a NodePool, &'a NodeState), Obstacle> {
    if claim.deleted.is_some() {
        return Err(Obstacle::Leaving);
    }
    let initialized = claim.condition(condition::INITIALIZED).ok_or(Obstacle::NotInitialized)?;
    if !claim.is(condition::INITIALIZED) {
        return Err(Obstacle::NotInitialized);
    }
    let state = snapshot.node_of_claim(claim).ok_or(Obstacle::NoNode)?;
    if state.node.deleted.is_some() {
        return Err(Obstacle::Leaving);
    }
    let pool = claim.pool().and_then(|pool| snapshot.pools.get(pool));
    let pool = pool.filter(|pool| pool.replicas.is_none()).ok_or(Obstacle::NotConsolidated)?;
    let ConsolidateAfter::After(wait) = pool.consolidate_after else {
        return Err(Obstacle::Never);
    };
    if state.node.do_not_disrupt {
        return Err(Obstacle::DoNotDisrupt);
    }
    if let Some(pod) = state.pods.values().find(|pod| pod.is_alive() && !pod.belongs_to_node()) {
        return Err(Obstacle::Occupied(pod.key.clone()));
    }
    if let Some(pods) = expected.get(&claim.name) {
        return Err(Obstacle::Expected(*pods));
    }
    let idle = now.since(quiet_since(claim, inputs, initialized.since));
    if idle < wait {
        return Err(Obstacle::TooSoon(wait.saturating_sub(idle)));
    }
    Ok((pool, state))
}

/// How many pods are still to come to each claim's node, by the claim's name.
pub(super) fn expected_pods(snapshot: &Snapshot, inputs: &Inputs) -> BTreeMap<Name, usize> {
    let pods_of = pods_to_come(snapshot, &inputs.targets);
    let mut expected: BTreeMap<Name, usize> =
        pods_of.into_iter().map(|(claim, pods)| (claim, pods.len())).collect();
    for claim in &inputs.awaited {
        expected.entry(claim.clone()).or_insert(1);
    }
    expected
}

/// The pods that are still to come to each claim's node, by the claim's name.
pub(super) fn pods_to_come<'s>(
    snapshot: &'s Snapshot,
    targets: &BTreeMap<Name, Target>,
) -> BTreeMap<Name, BTreeMap<&'s Name, &'s Pod>> {
    let waiting = snapshot.unbound.values().filter(|pod| pod.needs_node());
    let pending: BTreeMap<&Name, &Pod> = waiting.map(|pod| (&pod.uid, &**pod)).collect();
    let mut pods_of: BTreeMap<Name, BTreeMap<&Name, &Pod>> = BTreeMap::new();
    for (uid, target) in targets {
        let Some((uid, pod)) = pending.get_key_value(uid) else { continue };
        let claim = match target {
            Target::Claim(claim) => Some(claim.clone()),
            Target::Node(node) => snapshot
                .nodes
                .get(node)
                .and_then(|state| snapshot.claim_of_node(&state.node))
                .map(|claim| claim.name.clone()),
        };
        if let Some(claim) = claim {
            pods_of.entry(claim).or_default().insert(uid, pod);
        }
    }
    for claim in snapshot.claims.values() {
        // A plan that has another place for the pod now overrides what the claim was made for.
        for uid in claim.planned_pods.iter().filter(|uid| !targets.contains_key(*uid)) {
            if let Some((uid, pod)) = pending.get_key_value(uid) {
                pods_of.entry(claim.name.clone()).or_default().insert(uid, pod);
            }
        }
    }
    pods_of
}

fn removal(claim: &NodeClaim, state: &NodeState) -> Removal {
    let explanation = match claim.price {
        Some(price) => format!("no pods left, saves {price} per hour"),
        None => "no pods left".to_owned(),
    };
    Removal {
        claim: claim.name.clone(),
        claim_uid: claim.uid.clone(),
        node: Some(state.node.name.clone()),
        reason: RemovalReason::Empty,
        explanation,
    }
}
