//! Room to keep free: the places of buffers are packed as if they were pods of the lowest
//! priority.
//!
//! A place has the resources, the node requirements, the tolerations and the host ports of its
//! buffer's template. Rules between pods do not apply to it, and no pod's rules see it: nothing
//! runs there.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    Buffer, Headroom, Labels, Name, Plan, Pod, PodKey, PodShape, Snapshot, Target, Timestamp,
};

use super::groups::Group;

/// The buffers' places, a group each.
pub fn groups(snapshot: &Snapshot) -> Vec<Group> {
    let wanted = snapshot.buffers.values().filter(|buffer| buffer.replicas > 0);
    wanted.map(|buffer| group(buffer)).collect()
}

fn group(buffer: &Buffer) -> Group {
    let shape = Arc::new(place_shape(&buffer.shape));
    let place = Arc::new(place(buffer, &shape));
    let count = buffer.replicas.min(Buffer::MOST_PLACES) as usize;
    Group { pods: vec![place; count], ..Group::new(shape, None) }
}

/// What is left of a template where nothing runs.
fn place_shape(template: &PodShape) -> PodShape {
    let mut shape = PodShape {
        labels: Labels::default(),
        topology_spread: Box::default(),
        affinity: Box::default(),
        anti_affinity: Box::default(),
        preferred_affinity: Box::default(),
        preferred_anti_affinity: Box::default(),
        preferred_node_affinity: Box::default(),
        priority: i32::MIN,
        ..template.clone()
    };
    shape.requests.pods = shape.requests.pods.max(1);
    shape
}

fn place(buffer: &Buffer, shape: &Arc<PodShape>) -> Pod {
    let (key, uid) = (buffer.key.clone(), buffer.uid.clone());
    Pod::waiting(key, uid, Arc::clone(shape), Timestamp::default())
}

/// Whether this is no pod but a buffer's place.
pub fn is_place(snapshot: &Snapshot, key: &PodKey, uid: &Name) -> bool {
    snapshot.buffers.get(key).is_some_and(|buffer| buffer.uid == *uid)
}

/// Takes the places out of the plan's pods: they are counted, node by node.
pub fn separate(snapshot: &Snapshot, plan: &mut Plan) {
    if snapshot.buffers.is_empty() {
        return;
    }
    let mut counts: BTreeMap<(PodKey, Option<Target>), (u32, String)> = BTreeMap::new();
    let mut count = |key: PodKey, target: Option<Target>, reason: String| {
        let entry = counts.entry((key, target)).or_insert((0, reason));
        entry.0 = entry.0.saturating_add(1);
    };
    let placements = std::mem::take(&mut plan.placements);
    for placement in placements {
        if is_place(snapshot, &placement.pod, &placement.uid) {
            count(placement.pod, Some(placement.target), String::new());
        } else {
            plan.placements.push(placement);
        }
    }
    for left in std::mem::take(&mut plan.unschedulable) {
        if is_place(snapshot, &left.pod, &left.uid) {
            count(left.pod, None, left.reason);
        } else {
            plan.unschedulable.push(left);
        }
    }
    plan.headroom = counts
        .into_iter()
        .map(|((buffer, target), (places, reason))| Headroom { buffer, target, places, reason })
        .collect();
}
