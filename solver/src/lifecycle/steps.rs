use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{
    ExpireAfter, Name, Node, NodeClaim, NodeState, RemovalReason, Resources, Snapshot, Taint,
    Timestamp, well_known, well_known::condition,
};

use super::effect::{Cause, ClaimRef, Effect, Instance, NodeRef, Observation, Registration, Write};
use super::launch::launch_request;
use super::termination;

/// How long a claim may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From its creation until its machine is there.
    pub launch_timeout: Duration,
    /// From its creation until its node has joined.
    pub registration_timeout: Duration,
}

impl Default for Settings {
    /// Karpenter's 5 and 15 minutes.
    fn default() -> Self {
        Self {
            launch_timeout: Duration::from_secs(5 * 60),
            registration_timeout: Duration::from_secs(15 * 60),
        }
    }
}

/// What has to be done next for a claim: all effects that it returns may run at the same time.
///
/// `observed` is what the provider said about the claim's machine since the process started, or
/// `None`. `irreplaceable` are the UIDs of pods that asked to be replaced before they go, and that
/// cannot be. Returns nothing where there is something to wait for.
pub fn steps(
    snapshot: &Snapshot,
    claim: &NodeClaim,
    observed: Option<&Observation>,
    irreplaceable: &BTreeSet<Name>,
    settings: &Settings,
    now: Timestamp,
) -> Vec<Effect> {
    if claim.deleted.is_some() {
        return termination::steps(snapshot, claim, observed, irreplaceable, now);
    }
    let reference = ClaimRef::from(claim);
    if !claim.has_termination_finalizer {
        return vec![Write::HoldClaim { claim: reference }.into()];
    }
    let node = snapshot.node_of_claim(claim);
    if let Some(cause) = end_of(claim, node, observed, settings, now) {
        return vec![Write::DeleteClaim { claim: reference, cause }.into()];
    }
    if !claim.is(condition::LAUNCHED) {
        return vec![launch(snapshot, claim, observed)].into_iter().flatten().collect();
    }
    let Some(state) = node.filter(|state| state.node.has_joined()) else { return Vec::new() };
    if needs_registration(claim, &state.node) {
        return vec![Write::RegisterNode(Box::new(registration(claim, &state.node))).into()];
    }
    if !claim.is(condition::REGISTERED) {
        let node = state.node.name.clone();
        return vec![Write::RecordRegistered { claim: reference, node }.into()];
    }
    if !claim.is(condition::INITIALIZED) {
        return initialize(claim, &state.node).into_iter().collect();
    }
    Vec::new()
}

/// Why a claim must go, if it must.
fn end_of(
    claim: &NodeClaim,
    node: Option<&std::sync::Arc<NodeState>>,
    observed: Option<&Observation>,
    settings: &Settings,
    now: Timestamp,
) -> Option<Cause> {
    let age = now.since(claim.created);
    let launched = claim.is(condition::LAUNCHED);
    if !launched && observed == Some(&Observation::OutOfCapacity) {
        return Some(Cause::InsufficientCapacity);
    }
    // A machine that is there and only has to be recorded is not late.
    let present = matches!(observed, Some(Observation::Present(_)));
    if !launched && !present && age >= settings.launch_timeout {
        return Some(Cause::LaunchTimeout);
    }
    if launched && observed == Some(&Observation::Gone) {
        return Some(Cause::InstanceGone);
    }
    if node.is_some_and(|state| state.node.deleted.is_some()) {
        return Some(Cause::NodeDeleted);
    }
    let joined =
        claim.is(condition::REGISTERED) || node.is_some_and(|state| state.node.has_joined());
    if launched && !joined && age >= settings.registration_timeout {
        return Some(Cause::RegistrationTimeout);
    }
    match claim.expire_after {
        ExpireAfter::After(limit) if age >= limit => {
            Some(Cause::Disruption(RemovalReason::Expired))
        }
        _ => None,
    }
}

fn launch(
    snapshot: &Snapshot,
    claim: &NodeClaim,
    observed: Option<&Observation>,
) -> Option<Effect> {
    if let Some(Observation::Present(instance)) = observed {
        return Some(launched(claim, instance).into());
    }
    // Without a catalog nothing is known yet: wait, until the launch timeout.
    let catalog = snapshot.catalogs.get(claim.pool()?)?;
    Some(match launch_request(claim, catalog) {
        Some(request) => Effect::LaunchInstance(Box::new(request)),
        None => {
            Write::DeleteClaim { claim: ClaimRef::from(claim), cause: Cause::NothingFits }.into()
        }
    })
}

/// Records which machine a claim has.
pub(super) fn launched(claim: &NodeClaim, instance: &Instance) -> Write {
    Write::RecordLaunched { claim: ClaimRef::from(claim), instance: Box::new(instance.clone()) }
}

fn needs_registration(claim: &NodeClaim, node: &Node) -> bool {
    // A node that is registered may lose a label or a taint by somebody's hand: that is theirs to
    // answer for. Only one that joins anew is treated as new.
    node.has_taint(well_known::UNREGISTERED_TAINT)
        || (!claim.is(condition::REGISTERED)
            && (node.label(well_known::REGISTERED_LABEL).is_none()
                || !node.has_termination_finalizer))
}

fn registration(claim: &NodeClaim, node: &Node) -> Registration {
    let labels =
        claim.node_labels().with([(Name::from(well_known::REGISTERED_LABEL), Name::from("true"))]);
    // Startup taints that were taken away before registration stay away.
    let seen_before = node.label(well_known::REGISTERED_LABEL).is_some();
    let startup: &[Taint] = if seen_before { &[] } else { &claim.startup_taints };
    Registration {
        node: node_ref(node),
        claim: ClaimRef::from(claim),
        labels,
        taints: claim.taints.iter().chain(startup).cloned().collect(),
    }
}

fn initialize(claim: &NodeClaim, node: &Node) -> Option<Effect> {
    let started = !node
        .taints
        .iter()
        .any(|taint| claim.startup_taints.contains(taint) || is_ephemeral(taint));
    if !node.ready || !started || missing_resource(claim, &node.allocatable).is_some() {
        return None;
    }
    if node.label(well_known::INITIALIZED_LABEL).is_none() {
        return Some(Write::InitializeNode { node: node_ref(node) }.into());
    }
    Some(Write::RecordInitialized { claim: ClaimRef::from(claim) }.into())
}

/// The first extended resource that was asked for and that the node does not offer yet (its device
/// plugin is still to come).
fn missing_resource<'a>(claim: &'a NodeClaim, allocatable: &Resources) -> Option<&'a Name> {
    claim
        .requests
        .extended()
        .iter()
        .find(|(name, wanted)| *wanted > 0 && allocatable.extended_amount(name) == 0)
        .map(|(name, _)| name)
}

/// Taints that Kubernetes itself takes away once a node is up.
fn is_ephemeral(taint: &Taint) -> bool {
    [
        well_known::NOT_READY_TAINT,
        well_known::UNREACHABLE_TAINT,
        well_known::CLOUD_UNINITIALIZED_TAINT,
        well_known::UNREGISTERED_TAINT,
    ]
    .contains(&taint.key.as_str())
        || taint.key.starts_with("readiness.k8s.io/")
}

pub(super) fn node_ref(node: &Node) -> NodeRef {
    NodeRef { name: node.name.clone(), uid: node.uid.clone() }
}
