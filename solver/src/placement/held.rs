use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Placer, StandingPlan};
use crate::model::{Pod, Resources, Snapshot, Target};

/// A standing plan the other way round: which pods go to a place.
///
/// Made once for each standing plan, since it takes a walk over all pending pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pods: BTreeMap<Target, Vec<Arc<Pod>>>,
}

impl Expected {
    /// Of the pods that were pending when the snapshot was taken, those that the plan speaks of.
    pub fn of(plan: &StandingPlan, snapshot: &Snapshot) -> Self {
        let mut pods: BTreeMap<Target, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in snapshot.unbound.values() {
            if let Some(target) = plan.targets.get(&pod.uid) {
                pods.entry(target.clone()).or_default().push(Arc::clone(pod));
            }
        }
        Self { pods }
    }
}

/// What is to be kept free on nodes, by name. Looked up, never walked over.
pub(super) type Held<'a> = HashMap<&'a str, Resources, RandomState>;

impl Placer<'_> {
    /// What is to be kept free on each node for pods that the plan sends there and that are not
    /// bound yet, as far as they matter as much as this pod.
    ///
    /// A pod counts here until a watch shows it bound, and from then on among the pods of the
    /// node: never twice, never not at all.
    pub(super) fn held<'a>(&self, snapshot: &'a Snapshot, pod: &Arc<Pod>) -> Held<'a> {
        let mut held = Held::default();
        for (target, pods) in self.expected.into_iter().flat_map(|expected| &expected.pods) {
            let node = match target {
                Target::Node(name) => snapshot.nodes.get(name),
                Target::Claim(name) => {
                    snapshot.claims.get(name).and_then(|claim| snapshot.node_of_claim(claim))
                }
            };
            let Some(node) = node else { continue };
            let requests: Resources = pods
                .iter()
                .filter_map(|pod| {
                    snapshot.unbound.get(&pod.key).filter(|still| still.uid == pod.uid)
                })
                .filter(|other| other.uid != pod.uid && other.deleted.is_none())
                .filter(|other| other.shape.priority >= pod.shape.priority)
                .map(|other| &other.shape.requests)
                .sum();
            if requests != Resources::default() {
                *held.entry(&node.node.name).or_default() += &requests;
            }
        }
        held
    }
}
