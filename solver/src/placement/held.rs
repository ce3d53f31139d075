use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Placer, StandingPlan};
use crate::model::{Name, Pod, PodKey, Resources, Snapshot, Target};

/// A standing plan the other way round: which pods go to a place.
///
/// Made once for each standing plan, since it takes a walk over all pending pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pods: BTreeMap<Target, Vec<PodKey>>,
}

impl Expected {
    /// Of the pods that were pending when the snapshot was taken, those that the plan speaks of.
    pub fn of(plan: &StandingPlan, snapshot: &Snapshot) -> Self {
        let mut pods: BTreeMap<Target, Vec<PodKey>> = BTreeMap::new();
        for (key, pod) in &snapshot.unbound {
            if let Some(target) = plan.targets.get(&pod.uid) {
                pods.entry(target.clone()).or_default().push(key.clone());
            }
        }
        Self { pods }
    }
}

impl Placer<'_> {
    /// What is to be kept free on each node for pods that the plan sends there and that are not
    /// bound yet, as far as they matter as much as this pod.
    ///
    /// A pod counts here until a watch shows it bound, and from then on among the pods of the
    /// node: never twice, never not at all.
    pub(super) fn held(&self, snapshot: &Snapshot, pod: &Arc<Pod>) -> BTreeMap<Name, Resources> {
        let mut held: BTreeMap<Name, Resources> = BTreeMap::new();
        for (target, keys) in self.expected.into_iter().flat_map(|expected| &expected.pods) {
            let node = match target {
                Target::Node(name) => snapshot.nodes.get(name),
                Target::Claim(name) => {
                    snapshot.claims.get(name).and_then(|claim| snapshot.node_of_claim(claim))
                }
            };
            let Some(node) = node else { continue };
            let requests = keys
                .iter()
                .filter_map(|key| snapshot.unbound.get(key))
                .filter(|other| other.uid != pod.uid && other.deleted.is_none())
                .filter(|other| other.shape.priority >= pod.shape.priority)
                .filter(|other| self.plan.targets.get(&other.uid) == Some(target))
                .map(|other| &other.shape.requests);
            *held.entry(node.node.name.clone()).or_default() += &requests.sum::<Resources>();
        }
        held
    }
}
