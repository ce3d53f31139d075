//! Which pods to place, and which of them no constraint can tell apart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{Name, Pod, PodShape, Snapshot, Unschedulable};

use super::Settings;

/// Pods of one shape that wait for a place, by namespace and name.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they have in common.
    pub shape: Arc<PodShape>,
    /// The pods.
    pub pods: Vec<Arc<Pod>>,
}

/// A pod that a claim was launched for.
#[derive(Clone, Debug)]
pub struct Held {
    /// The claim's name.
    pub claim: Name,
    /// The pod's group.
    pub group: usize,
    /// The pod.
    pub pod: Arc<Pod>,
}

/// What there is to place.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Pods without a place of their own, in groups.
    pub groups: Vec<Group>,
    /// Pods that a claim was launched for; not in their group's list.
    pub held: Vec<Held>,
    /// Pods that make no sense.
    pub defective: Vec<Unschedulable>,
}

impl Pending {
    /// Looks through the unbound pods.
    pub fn of(snapshot: &Snapshot, settings: &Settings) -> Self {
        let planned = planned_pods(snapshot);
        let mut pending = Self::default();
        let mut by_address: HashMap<*const PodShape, usize> = HashMap::new();
        let mut by_shape: HashMap<Arc<PodShape>, usize> = HashMap::new();
        for pod in snapshot.unbound.values() {
            let wanted = pod.needs_node() && !pod.belongs_to_node();
            if !wanted || !settings.serves(&pod.shape.scheduler) {
                continue;
            }
            if let Some(defect) = &pod.defect {
                pending.defective.push(Unschedulable {
                    pod: pod.key.clone(),
                    uid: pod.uid.clone(),
                    reason: defect.to_string(),
                });
                continue;
            }
            let groups = &mut pending.groups;
            let group = *by_address.entry(Arc::as_ptr(&pod.shape)).or_insert_with(|| {
                *by_shape.entry(Arc::clone(&pod.shape)).or_insert_with(|| {
                    groups.push(Group { shape: Arc::clone(&pod.shape), pods: Vec::new() });
                    groups.len() - 1
                })
            });
            match planned.get(&pod.uid) {
                Some(claim) => {
                    pending.held.push(Held { claim: (*claim).clone(), group, pod: Arc::clone(pod) })
                }
                None => groups[group].pods.push(Arc::clone(pod)),
            }
        }
        pending.held.sort_by(|left, right| {
            (&left.claim, &left.pod.key).cmp(&(&right.claim, &right.pod.key))
        });
        pending
    }

    /// Puts a pod that its claim does not hold after all back among its group.
    pub fn release(&mut self, held: Held) {
        let pods = &mut self.groups[held.group].pods;
        let at = pods.partition_point(|pod| pod.key < held.pod.key);
        pods.insert(at, held.pod);
    }
}

/// Claims by the UIDs of the pods that they were launched for. Of several claims the first by
/// name that is staying has the pod.
fn planned_pods(snapshot: &Snapshot) -> BTreeMap<&Name, &Name> {
    let mut planned = BTreeMap::new();
    for claim in snapshot.claims.values().filter(|claim| claim.deleted.is_none()) {
        for uid in &claim.planned_pods {
            planned.entry(uid).or_insert(&claim.name);
        }
    }
    planned
}
