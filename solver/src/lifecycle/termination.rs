use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{
    Name, NodeClaim, NodeState, Owner, Pod, Snapshot, Taint, TaintEffect, Timestamp, well_known,
    well_known::condition,
};

use super::effect::{ClaimRef, Effect, Observation, PodRef, Write};
use super::steps::{launched, node_ref};
use super::volumes;

/// Pods of at least this priority (`system-cluster-critical` and up) are drained last.
const CRITICAL_PRIORITY: i32 = 2_000_000_000;
/// A pod that should have stopped so long ago does not hold a drain: its kubelet is gone.
const STUCK: Duration = Duration::from_secs(60);
/// How long before the end of terminationGracePeriod the pods that are left are deleted: what a
/// pod's own grace period is unless it says otherwise.
const LAST_CALL: Duration = Duration::from_secs(30);

/// `karpenter.sh/disrupted:NoSchedule`, on nodes that are about to be removed.
pub fn disrupted_taint() -> Taint {
    Taint {
        key: well_known::DISRUPTED_TAINT.into(),
        value: "".into(),
        effect: TaintEffect::NoSchedule,
    }
}

/// `karpenter.sh/unregistered:NoExecute`, on nodes that join.
pub fn unregistered_taint() -> Taint {
    Taint {
        key: well_known::UNREGISTERED_TAINT.into(),
        value: "".into(),
        effect: TaintEffect::NoExecute,
    }
}

/// The steps of a claim that is being deleted.
pub(super) fn steps(
    snapshot: &Snapshot,
    claim: &NodeClaim,
    observed: Option<&Observation>,
    irreplaceable: &BTreeSet<Name>,
    now: Timestamp,
) -> Vec<Effect> {
    if !claim.has_termination_finalizer {
        return Vec::new();
    }
    let node = snapshot.node_of_claim(claim);
    if observed == Some(&Observation::Gone) {
        return vec![release(claim, node.map(AsRef::as_ref)).into()];
    }
    // Without its machine's id the claim's node is not found, and would be left.
    if claim.provider_id.is_none()
        && let Some(Observation::Present(instance)) = observed
    {
        return vec![launched(claim, instance).into()];
    }
    if let Some(state) = node
        && !claim.is(condition::INSTANCE_TERMINATING)
    {
        if !state.node.has_taint(well_known::DISRUPTED_TAINT) {
            return vec![Write::TaintNode { node: node_ref(&state.node) }.into()];
        }
        let left = to_drain(state, now);
        if !left.is_empty() {
            return evictions(claim, state, &left, irreplaceable, now);
        }
        if !claim.is(condition::DRAINED) {
            return vec![Write::RecordDrained { claim: ClaimRef::from(claim) }.into()];
        }
        if !claim.is(condition::VOLUMES_DETACHED) && claim.deadline().is_none_or(|end| now < end) {
            return match volumes::attached(snapshot, state) {
                true => Vec::new(),
                false => vec![Write::RecordDetached { claim: ClaimRef::from(claim) }.into()],
            };
        }
    }
    let terminate = Effect::TerminateInstance {
        claim: ClaimRef::from(claim),
        provider_id: claim.provider_id.clone(),
    };
    let accepted = observed == Some(&Observation::Terminating);
    if accepted && !claim.is(condition::INSTANCE_TERMINATING) {
        let record = Write::RecordTerminating { claim: ClaimRef::from(claim) };
        return vec![terminate, record.into()];
    }
    vec![terminate]
}

/// What is left to let go of once the machine is gone.
fn release(claim: &NodeClaim, node: Option<&NodeState>) -> Write {
    match node.map(|state| &state.node) {
        Some(node) if node.deleted.is_none() => Write::DeleteNode { node: node_ref(node) },
        Some(node) if node.has_termination_finalizer => Write::ReleaseNode { node: node_ref(node) },
        // A node that others' finalizers hold is not ours to wait for.
        _ => Write::ReleaseClaim { claim: ClaimRef::from(claim) },
    }
}

/// The pods that must be gone before the machine goes: not those that the kubelet made itself, not
/// those that tolerate the taint, not those whose end is long overdue.
fn to_drain(state: &NodeState, now: Timestamp) -> Vec<&Pod> {
    let taint = disrupted_taint();
    state
        .pods
        .values()
        .map(AsRef::as_ref)
        .filter(|pod| pod.is_alive() && pod.owner != Owner::Node && !pod.tolerates(&taint))
        .filter(|pod| pod.deleted.is_none_or(|deleted| now.since(deleted) < STUCK))
        .collect()
}

/// The order in which pods leave, as Karpenter has it: what runs in the cluster, then what serves
/// it on this node, then the same for pods that the cluster cannot live without. A tier begins once
/// those before it are gone: logs of the last pods are still shipped.
fn tier(pod: &Pod) -> (bool, bool) {
    let is_critical = pod.shape.priority >= CRITICAL_PRIORITY;
    (is_critical, matches!(pod.owner, Owner::DaemonSet(_)))
}

/// Evictions of the next tier.
fn evictions(
    claim: &NodeClaim,
    state: &NodeState,
    left: &[&Pod],
    irreplaceable: &BTreeSet<Name>,
    now: Timestamp,
) -> Vec<Effect> {
    let next = left.iter().map(|pod| tier(pod)).min();
    let remaining = claim.deadline().map(|deadline| deadline.since(now));
    let overdue = remaining.filter(|remaining| *remaining <= LAST_CALL);
    left.iter()
        .filter(|pod| pod.deleted.is_none())
        .filter(|pod| overdue.is_some() || Some(tier(pod)) == next)
        .map(|pod| {
            let node = state.node.name.clone();
            let stays_until_replaced = pod.is_replaced_first(irreplaceable);
            let pod = PodRef { key: pod.key.clone(), uid: pod.uid.clone() };
            match overdue {
                // Kubernetes takes a grace period of zero for "force": never less than a second.
                Some(remaining) => {
                    let grace = remaining.max(Duration::from_secs(1));
                    Write::DeletePod { pod, node, grace }.into()
                }
                None if stays_until_replaced => Write::ReplacePod { pod, node }.into(),
                None => Write::EvictPod { pod, node }.into(),
            }
        })
        .collect()
}
