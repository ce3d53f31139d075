use crate::model::{
    Change, ClusterEvent, Condition, ConditionStatus, Name, Node, NodeClaim, Pod, Snapshot, Taint,
    Timestamp, well_known, well_known::condition,
};

use super::effect::{ClaimRef, Instance, NewClaim, NodeRef, PodRef, Registration, Write};
use super::termination::disrupted_taint;

/// Why an API server would refuse a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The object is not there.
    #[error("not found")]
    NotFound,
    /// The object has another UID, or is there already.
    #[error("conflict")]
    Conflict,
    /// A PodDisruptionBudget has none to spare.
    #[error("the pod's disruption budget allows no eviction now")]
    Blocked,
}

/// What a write does to a cluster, told in events: what an API server would do, for clusters that
/// have none. `uid` is the UID of an object that is created.
///
/// # Errors
/// [`Refused`] where an API server would refuse.
pub fn consequences(
    snapshot: &Snapshot,
    write: &Write,
    uid: &Name,
    now: Timestamp,
) -> Result<Vec<ClusterEvent>, Refused> {
    match write {
        Write::CreateClaim(new) => {
            if snapshot.claims.contains_key(&new.name) {
                return Err(Refused::Conflict);
            }
            Ok(vec![claim_applied(created(new, uid, now))])
        }
        Write::DeleteClaim { claim, .. } => delete_claim(snapshot, claim, now),
        Write::ReleaseClaim { claim } => release_claim(snapshot, claim),
        Write::HoldClaim { claim }
        | Write::RecordLaunched { claim, .. }
        | Write::RecordRegistered { claim, .. }
        | Write::RecordInitialized { claim }
        | Write::RecordPodEvent { claim, .. }
        | Write::RecordDisruption { claim, .. }
        | Write::ClearDisruption { claim }
        | Write::RecordCondition { claim, .. }
        | Write::ClearCondition { claim, .. }
        | Write::SetTerminationTime { claim, .. }
        | Write::RecordDrained { claim }
        | Write::RecordDetached { claim }
        | Write::RecordTerminating { claim } => {
            let mut claim = find_claim(snapshot, claim)?;
            change_claim(&mut claim, write, now);
            Ok(vec![claim_applied(claim)])
        }
        Write::RegisterNode(registration) => {
            let mut node = find_node(snapshot, &registration.node)?;
            register(&mut node, registration);
            Ok(vec![node_applied(node)])
        }
        Write::InitializeNode { node } => {
            let mut node = find_node(snapshot, node)?;
            node.labels =
                node.labels.with([(well_known::INITIALIZED_LABEL.into(), Name::from("true"))]);
            Ok(vec![node_applied(node)])
        }
        Write::TaintNode { node } => {
            let mut node = find_node(snapshot, node)?;
            add_taints(&mut node, &[disrupted_taint()]);
            Ok(vec![node_applied(node)])
        }
        Write::UntaintNode { node } => {
            let mut node = find_node(snapshot, node)?;
            remove_taint(&mut node, well_known::DISRUPTED_TAINT);
            Ok(vec![node_applied(node)])
        }
        Write::DeleteNode { node } => delete_node(snapshot, node, now),
        Write::ReleaseNode { node } => release_node(snapshot, node),
        Write::EvictPod { pod, .. } => evict(snapshot, pod, now),
        Write::DeletePod { pod, grace, .. } => {
            let mut pod = find_pod(snapshot, pod)?;
            pod.deleted = Some(now + *grace);
            Ok(vec![ClusterEvent::Pod(Change::Applied(pod))])
        }
        Write::NominatePod { pod, node } => {
            let mut pod = find_pod(snapshot, pod)?;
            if pod.node.is_some() {
                return Ok(Vec::new());
            }
            pod.nominated_node = node.clone();
            Ok(vec![ClusterEvent::Pod(Change::Applied(pod))])
        }
        // Whose rolling is a Deployment's work: what comes of it is not the API server's doing.
        Write::ReplacePod { pod, .. } => find_pod(snapshot, pod).map(|_| Vec::new()),
        Write::RecordPoolStatus(_) | Write::RecordBufferStatus(_) => Ok(Vec::new()),
    }
}

fn created(new: &NewClaim, uid: &Name, now: Timestamp) -> NodeClaim {
    NodeClaim {
        name: new.name.clone(),
        uid: uid.clone(),
        labels: new.labels.clone(),
        created: now,
        deleted: None,
        has_termination_finalizer: true,
        requirements: new.requirements.clone(),
        requests: new.requests.clone(),
        taints: new.taints.clone(),
        startup_taints: new.startup_taints.clone(),
        expire_after: new.expire_after,
        termination_grace_period: new.termination_grace_period,
        provider_id: None,
        node_name: None,
        capacity: None,
        allocatable: None,
        conditions: Box::default(),
        last_pod_event: None,
        terminate_by: None,
        planned_pods: new.planned_pods.clone(),
        price: Some(new.price),
        template_hash: new.annotations.get(well_known::NODEPOOL_HASH_ANNOTATION).cloned(),
        template_hash_version: new
            .annotations
            .get(well_known::NODEPOOL_HASH_VERSION_ANNOTATION)
            .cloned(),
        reason: new.annotations.get(well_known::REASON_ANNOTATION).cloned(),
    }
}

fn change_claim(claim: &mut NodeClaim, write: &Write, now: Timestamp) {
    match write {
        Write::HoldClaim { .. } => claim.has_termination_finalizer = true,
        Write::RecordLaunched { instance, .. } => record_launched(claim, instance, now),
        Write::RecordRegistered { node, .. } => {
            claim.node_name = Some(node.clone());
            set_condition(claim, condition::REGISTERED, condition::REGISTERED, now);
        }
        Write::RecordInitialized { .. } => {
            set_condition(claim, condition::INITIALIZED, condition::INITIALIZED, now);
            set_condition(claim, condition::READY, condition::READY, now);
        }
        Write::RecordPodEvent { at, .. } => claim.last_pod_event = Some(*at),
        Write::RecordDisruption { reason, .. } => {
            set_condition(claim, condition::DISRUPTION_REASON, &reason.to_string(), now);
        }
        Write::ClearDisruption { .. } => clear_condition(claim, condition::DISRUPTION_REASON),
        Write::RecordCondition { kind, reason, .. } => set_condition(claim, kind, reason, now),
        Write::ClearCondition { kind, .. } => clear_condition(claim, kind),
        Write::SetTerminationTime { at, .. } => claim.terminate_by = *at,
        Write::RecordDrained { .. } => {
            set_condition(claim, condition::DRAINED, condition::DRAINED, now);
        }
        Write::RecordDetached { .. } => {
            let kind = condition::VOLUMES_DETACHED;
            set_condition(claim, kind, kind, now);
        }
        Write::RecordTerminating { .. } => {
            let kind = condition::INSTANCE_TERMINATING;
            set_condition(claim, kind, kind, now);
        }
        _ => {}
    }
}

fn record_launched(claim: &mut NodeClaim, instance: &Instance, now: Timestamp) {
    claim.provider_id = Some(instance.provider_id.clone());
    claim.capacity = Some(instance.capacity.clone());
    claim.allocatable = Some(instance.allocatable.clone());
    claim.labels = claim.labels.with(instance.labels.iter().cloned());
    set_condition(claim, condition::LAUNCHED, condition::LAUNCHED, now);
}

fn set_condition(claim: &mut NodeClaim, kind: &str, reason: &str, now: Timestamp) {
    let reason = Name::from(reason);
    let since = claim
        .condition(kind)
        .filter(|known| known.status == ConditionStatus::True && known.reason == reason)
        .map_or(now, |known| known.since);
    let new = Condition { kind: kind.into(), status: ConditionStatus::True, reason, since };
    let mut conditions: Vec<Condition> =
        claim.conditions.iter().filter(|known| known.kind != kind).cloned().collect();
    conditions.push(new);
    conditions.sort_by(|left, right| left.kind.cmp(&right.kind));
    claim.conditions = conditions.into_boxed_slice();
}

fn clear_condition(claim: &mut NodeClaim, kind: &str) {
    let others = claim.conditions.iter().filter(|known| known.kind != kind);
    claim.conditions = others.cloned().collect();
}

fn register(node: &mut Node, registration: &Registration) {
    node.labels = node.labels.with(registration.labels.iter().cloned());
    add_taints(node, &registration.taints);
    remove_taint(node, well_known::UNREGISTERED_TAINT);
    node.has_termination_finalizer = true;
}

fn add_taints(node: &mut Node, taints: &[Taint]) {
    let mut all = node.taints.to_vec();
    all.extend(taints.iter().cloned());
    all.sort_unstable();
    // Kubernetes keeps one taint for each key and effect: the one that is there wins.
    all.dedup_by(|new, old| new.key == old.key && new.effect == old.effect);
    node.taints = all.into_boxed_slice();
}

fn remove_taint(node: &mut Node, key: &str) {
    node.taints = node.taints.iter().filter(|taint| taint.key != *key).cloned().collect();
}

fn delete_claim(
    snapshot: &Snapshot,
    reference: &ClaimRef,
    now: Timestamp,
) -> Result<Vec<ClusterEvent>, Refused> {
    let mut claim = find_claim(snapshot, reference)?;
    if !claim.has_termination_finalizer {
        return Ok(vec![ClusterEvent::NodeClaim(Change::Deleted(claim.name))]);
    }
    claim.deleted = claim.deleted.or(Some(now));
    Ok(vec![claim_applied(claim)])
}

fn release_claim(snapshot: &Snapshot, reference: &ClaimRef) -> Result<Vec<ClusterEvent>, Refused> {
    let mut claim = find_claim(snapshot, reference)?;
    claim.has_termination_finalizer = false;
    Ok(vec![if claim.deleted.is_some() {
        ClusterEvent::NodeClaim(Change::Deleted(claim.name))
    } else {
        claim_applied(claim)
    }])
}

fn delete_node(
    snapshot: &Snapshot,
    reference: &NodeRef,
    now: Timestamp,
) -> Result<Vec<ClusterEvent>, Refused> {
    let mut node = find_node(snapshot, reference)?;
    if !node.has_termination_finalizer {
        return Ok(vec![ClusterEvent::Node(Change::Deleted(node.name))]);
    }
    node.deleted = node.deleted.or(Some(now));
    Ok(vec![node_applied(node)])
}

fn release_node(snapshot: &Snapshot, reference: &NodeRef) -> Result<Vec<ClusterEvent>, Refused> {
    let mut node = find_node(snapshot, reference)?;
    node.has_termination_finalizer = false;
    Ok(vec![if node.deleted.is_some() {
        ClusterEvent::Node(Change::Deleted(node.name))
    } else {
        node_applied(node)
    }])
}

fn evict(
    snapshot: &Snapshot,
    reference: &PodRef,
    now: Timestamp,
) -> Result<Vec<ClusterEvent>, Refused> {
    let mut pod = find_pod(snapshot, reference)?;
    if pod.deleted.is_some() {
        return Ok(Vec::new());
    }
    let blocked = snapshot
        .pod_disruption_budgets
        .values()
        .filter(|budget| budget.key.namespace == pod.key.namespace)
        .filter(|budget| budget.selector.matches(&pod.shape.labels))
        .any(|budget| budget.disruptions_allowed.is_none_or(|allowed| allowed < 1));
    if blocked {
        return Err(Refused::Blocked);
    }
    pod.deleted = Some(now);
    Ok(vec![ClusterEvent::Pod(Change::Applied(pod))])
}

fn find_claim(snapshot: &Snapshot, reference: &ClaimRef) -> Result<NodeClaim, Refused> {
    let claim = snapshot.claims.get(&reference.name).ok_or(Refused::NotFound)?;
    if claim.uid == reference.uid { Ok((**claim).clone()) } else { Err(Refused::Conflict) }
}

fn find_node(snapshot: &Snapshot, reference: &NodeRef) -> Result<Node, Refused> {
    let node = &snapshot.nodes.get(&reference.name).ok_or(Refused::NotFound)?.node;
    if node.uid == reference.uid { Ok((**node).clone()) } else { Err(Refused::Conflict) }
}

fn find_pod(snapshot: &Snapshot, reference: &PodRef) -> Result<Pod, Refused> {
    let pod = snapshot.pods.get(&reference.key).ok_or(Refused::NotFound)?;
    if pod.uid == reference.uid { Ok((**pod).clone()) } else { Err(Refused::Conflict) }
}

fn claim_applied(claim: NodeClaim) -> ClusterEvent {
    ClusterEvent::NodeClaim(Change::Applied(claim))
}

fn node_applied(node: Node) -> ClusterEvent {
    ClusterEvent::Node(Change::Applied(node))
}
