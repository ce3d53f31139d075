//! The cluster with every pod that may move taken off its node, as the packer sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use super::super::candidates::Candidate;
use super::super::emptiness::Inputs;
use super::super::obstacle::Obstacle;
use crate::model::{Name, NodeState, Pod, PodKey, Resident, Resources, Snapshot, Target};
use crate::packing::groups::{self, Group, Pending};

/// A cluster without the pods that may move, and those pods in groups.
#[derive(Debug)]
pub struct Lifted<'a> {
    /// The cluster: candidates' nodes hold only what goes with them.
    pub snapshot: Snapshot,
    /// The groups of all that may move, and of what is on its way to a node already; without the
    /// pods.
    pub pending: Pending,
    /// The candidates, without those of whose pods nothing is known.
    pub candidates: Vec<Candidate<'a>>,
    /// For each candidate, its pods' groups: pod by pod.
    pub groups: Vec<Vec<usize>>,
    /// Pods that wait and that a plan has a place for: group, pod and place.
    pub promised: Vec<(usize, Arc<Pod>, Target)>,
    /// Candidates that are none after all.
    pub unclear: Vec<(Name, Obstacle)>,
}

/// Lifts all candidates' pods.
pub fn lift<'a>(
    snapshot: &'a Snapshot,
    candidates: Vec<Candidate<'a>>,
    inputs: &Inputs,
) -> Lifted<'a> {
    let waiting: Vec<(Arc<Pod>, Target)> = promised(snapshot, inputs);
    let moving = candidates.iter().flat_map(|candidate| candidate.pods.iter().copied());
    let moving = moving.map(|pod| (pod.pod(), pod.common()));
    let all = moving.chain(waiting.iter().map(|(pod, _)| (pod, None)));
    let (mut groups, found) = groups::group(snapshot, all);
    let mut found = found.into_iter();
    let (mut clear, mut of_pods, mut unclear) = (Vec::new(), Vec::new(), Vec::new());
    for candidate in candidates {
        let found: Result<Vec<usize>, (PodKey, Name)> = candidate
            .pods
            .iter()
            .zip(found.by_ref())
            .map(|(pod, group)| group.map_err(|why| (pod.key.clone(), Name::from(why))))
            // All of them are taken from the iterator, whatever is wrong with the first.
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        match found {
            Ok(found) => {
                clear.push(candidate);
                of_pods.push(found);
            }
            Err((pod, why)) => {
                unclear.push((candidate.claim.name.clone(), Obstacle::Unclear(pod, why)));
            }
        }
    }
    let promised = waiting.into_iter().zip(found);
    let promised = promised.filter_map(|((pod, target), group)| Some((group.ok()?, pod, target)));
    let promised = promised.collect();
    groups.extend(crate::packing::headroom::groups(snapshot));
    let mut lifted = snapshot.clone();
    for candidate in clear.iter().filter(|candidate| !candidate.pods.is_empty()) {
        let name = candidate.state.node.name.clone();
        lifted.nodes.insert(name, Arc::new(without(candidate)));
    }
    let pending = Pending { groups, ..Pending::default() };
    Lifted { snapshot: lifted, pending, candidates: clear, groups: of_pods, promised, unclear }
}

impl Lifted<'_> {
    /// The groups.
    pub fn all_groups(&self) -> &[Group] {
        &self.pending.groups
    }
}

/// Pods that have no node yet and a place in the standing plan.
fn promised(snapshot: &Snapshot, inputs: &Inputs) -> Vec<(Arc<Pod>, Target)> {
    let waiting = snapshot.unbound.values().filter(|pod| pod.needs_node() && pod.defect.is_none());
    let waiting: Vec<(&Arc<Pod>, Option<&Target>)> =
        waiting.map(|pod| (pod, inputs.targets.get(&pod.uid))).collect();
    // Claims name all pods that they were launched for, and the plan speaks of most that wait.
    let unplanned = waiting.iter().filter(|(_, target)| target.is_none());
    let unplanned: HashSet<&Name> = unplanned.map(|(pod, _)| &pod.uid).collect();
    let claims = snapshot.claims.values().filter(|claim| claim.deleted.is_none());
    let claims: HashMap<&Name, &Name> = claims
        .flat_map(|claim| claim.planned_pods.iter().map(|uid| (uid, &claim.name)))
        .filter(|(uid, _)| unplanned.contains(uid))
        .collect();
    let place = |(pod, planned): (&Arc<Pod>, Option<&Target>)| {
        let claim = || Some(Target::Claim((*claims.get(&pod.uid)?).clone()));
        Some((Arc::clone(pod), planned.cloned().or_else(claim)?))
    };
    waiting.into_iter().filter_map(place).collect()
}

/// A candidate's node without the pods that may move.
fn without(candidate: &Candidate<'_>) -> NodeState {
    let node = Arc::clone(&candidate.state.node);
    if candidate.pods.len() == candidate.state.pods.len() {
        return NodeState { node, pods: BTreeMap::new(), used: Resources::default() };
    }
    // They are in the order in which the node lists them.
    let mut moving = candidate.pods.iter().peekable();
    let all = candidate.state.pods.iter();
    let pods: BTreeMap<PodKey, Resident> = all
        .filter(|(_, pod)| moving.next_if(|other| std::ptr::eq(**other, *pod)).is_none())
        .map(|(key, pod)| (key.clone(), pod.clone()))
        .collect();
    let used = pods.values().map(|pod| &pod.shape.requests).sum();
    NodeState { node, pods, used }
}
