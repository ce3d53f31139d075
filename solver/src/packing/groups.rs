//! Which pods to place, and which of them no constraint can tell apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;

use crate::constraints::{attachments, volumes};
use crate::model::{Name, Pod, PodShape, Snapshot, Unschedulable};

use super::{Settings, headroom};

/// Pods of one shape that wait for a place, by namespace and name.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they have in common.
    pub shape: Arc<PodShape>,
    /// The same with what their volumes ask of a node: where they can be used among the node
    /// affinity, attachments among the requests. Other pods' rules look at `shape`.
    pub needs: Arc<PodShape>,
    /// What their volumes ask, if they have any that ask something.
    pub volumes: Option<Arc<volumes::Needs>>,
    /// The pods.
    pub pods: Vec<Arc<Pod>>,
}

impl Group {
    /// A group without pods yet.
    pub fn new(shape: Arc<PodShape>, volumes: Option<Arc<volumes::Needs>>) -> Self {
        let needs = match &volumes {
            None => Arc::clone(&shape),
            Some(volumes) => Arc::new(with_volumes(&shape, volumes)),
        };
        Self { shape, needs, volumes, pods: Vec::new() }
    }
}

/// A shape that asks of a node what its pods' volumes do.
fn with_volumes(shape: &PodShape, needs: &volumes::Needs) -> PodShape {
    let mut shape = shape.clone();
    if shape.node_affinity.is_empty() {
        shape.node_affinity = needs.nodes.clone().into();
    } else if !needs.nodes.is_empty() {
        let own = shape.node_affinity.iter();
        let pairs = own.flat_map(|one| needs.nodes.iter().map(|other| one.intersection(other)));
        shape.node_affinity = pairs.collect();
    }
    for (driver, count) in &needs.attachments {
        shape.requests.set_extended(attachments::resource(driver), i64::from(*count));
    }
    shape
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
    /// Looks through the unbound pods, and the room to keep.
    pub fn of(snapshot: &Snapshot, settings: &Settings) -> Self {
        let planned = planned_pods(snapshot);
        let mut pending = Self::default();
        let mut grouping = Grouping::new(snapshot);
        for pod in snapshot.unbound.values() {
            let wanted = pod.needs_node() && !pod.belongs_to_node() && !snapshot.is_nominated(pod);
            if !wanted || !settings.serves(&pod.shape.scheduler) {
                continue;
            }
            let defect = pod.defect.as_ref().map(Name::to_string);
            let group = match defect {
                Some(defect) => Err(defect),
                None => grouping.group_of(pod, &mut pending.groups),
            };
            let group = match group {
                Ok(group) => group,
                Err(reason) => {
                    pending.defective.push(Unschedulable {
                        pod: pod.key.clone(),
                        uid: pod.uid.clone(),
                        reason,
                    });
                    continue;
                }
            };
            match planned.get(&pod.uid) {
                Some(claim) => {
                    pending.held.push(Held { claim: (*claim).clone(), group, pod: Arc::clone(pod) })
                }
                None => pending.groups[group].pods.push(Arc::clone(pod)),
            }
        }
        pending.held.sort_by(|left, right| {
            (&left.claim, &left.pod.key).cmp(&(&right.claim, &right.pod.key))
        });
        pending.groups.extend(headroom::groups(snapshot));
        pending
    }

    /// Puts a pod that its claim does not hold after all back among its group.
    pub fn release(&mut self, held: Held) {
        let pods = &mut self.groups[held.group].pods;
        let at = pods.partition_point(|pod| pod.key < held.pod.key);
        pods.insert(at, held.pod);
    }
}

/// The groups of these pods, without the pods, and the group of each of them, or why it can have no
/// place. With a pod comes its shape if it has no volumes: then nothing else of it is looked at.
pub fn group<'p>(
    snapshot: &Snapshot,
    pods: impl IntoIterator<Item = (&'p Arc<Pod>, Option<&'p Arc<PodShape>>)>,
) -> (Vec<Group>, Vec<Result<usize, String>>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut grouping = Grouping::new(snapshot);
    let of_pod = |(pod, shape): (&'p Arc<Pod>, Option<&'p Arc<PodShape>>)| match shape {
        Some(shape) => Ok(grouping.group_of_shape(shape, &mut groups)),
        None => grouping.group_of(pod, &mut groups),
    };
    let found = pods.into_iter().map(of_pod).collect();
    (groups, found)
}

/// Finds the group of each pod.
struct Grouping<'a> {
    snapshot: &'a Snapshot,
    by_address: HashMap<*const PodShape, usize>,
    by_shape: HashMap<Arc<PodShape>, usize>,
    /// Of pods whose volumes ask something.
    by_volumes: HashMap<(Arc<PodShape>, Arc<volumes::Needs>), usize>,
    /// Who has claims that are for one pod; looked up when the first pod has a claim.
    holders: Option<volumes::Holders>,
}

impl<'a> Grouping<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            by_address: HashMap::default(),
            by_shape: HashMap::default(),
            by_volumes: HashMap::default(),
            holders: None,
        }
    }

    /// The group of a pod, a new one if it is the first of its kind; or why it can have no place.
    fn group_of(&mut self, pod: &Pod, groups: &mut Vec<Group>) -> Result<usize, String> {
        if !pod.volume_claims.is_empty() {
            let holders = self.holders.get_or_insert_with(|| volumes::holders(self.snapshot));
            let needs = volumes::needs(pod, self.snapshot, holders)?;
            volumes::hold(holders, self.snapshot, pod);
            if needs != volumes::Needs::default() {
                let needs = Arc::new(needs);
                let key = (Arc::clone(&pod.shape), Arc::clone(&needs));
                let add = || add(groups, &pod.shape, Some(needs));
                return Ok(*self.by_volumes.entry(key).or_insert_with(add));
            }
        }
        Ok(self.group_of_shape(&pod.shape, groups))
    }

    /// The group of pods without volumes.
    fn group_of_shape(&mut self, shape: &Arc<PodShape>, groups: &mut Vec<Group>) -> usize {
        let by_shape = &mut self.by_shape;
        *self.by_address.entry(Arc::as_ptr(shape)).or_insert_with(|| {
            *by_shape.entry(Arc::clone(shape)).or_insert_with(|| add(groups, shape, None))
        })
    }
}

/// A new group.
fn add(
    groups: &mut Vec<Group>,
    shape: &Arc<PodShape>,
    volumes: Option<Arc<volumes::Needs>>,
) -> usize {
    groups.push(Group::new(Arc::clone(shape), volumes));
    groups.len() - 1
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
