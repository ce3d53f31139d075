//! Which empty nodes stay because room is to be kept free.

use std::collections::BTreeMap;

use crate::constraints::{node_affinity, node_state, resources, taints};
use crate::model::{Name, NodeState, PodKey, PodShape, Resources, Snapshot};

/// Nodes without pods of their own whose room a buffer needs, and the buffer. Places are found on
/// nodes with pods first, then on empty ones, by name.
pub(super) fn needed(snapshot: &Snapshot) -> BTreeMap<Name, PodKey> {
    let mut needed = BTreeMap::new();
    if snapshot.buffers.is_empty() {
        return needed;
    }
    let open = snapshot.nodes.values().filter(|state| {
        let claim = snapshot.claim_of_node(&state.node);
        node_state::check(&state.node) && claim.is_none_or(|claim| claim.deleted.is_none())
    });
    let mut nodes: Vec<(&NodeState, Resources)> =
        open.map(|state| (&**state, state.free())).collect();
    nodes.sort_by_key(|(state, _)| is_empty(state));
    for buffer in snapshot.buffers.values() {
        for _ in 0..buffer.replicas {
            let place = nodes.iter_mut().find(|(state, free)| takes(state, free, &buffer.shape));
            let Some((state, free)) = place else { break };
            *free -= &buffer.shape.requests;
            if is_empty(state) {
                needed.entry(state.node.name.clone()).or_insert_with(|| buffer.key.clone());
            }
        }
    }
    needed
}

fn is_empty(state: &NodeState) -> bool {
    !state.pods.values().any(|pod| pod.is_alive() && !pod.belongs_to_node())
}

fn takes(state: &NodeState, free: &Resources, shape: &PodShape) -> bool {
    taints::check(shape, &state.node.taints)
        && node_affinity::check(shape, &state.node.labels)
        && resources::check(&shape.requests, free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Buffer, Change, ClusterEvent};
    use crate::testing::{bound, cluster, node, pod, shape};

    #[test]
    fn room_on_nodes_in_use_is_kept_first_and_then_empty_nodes_are() {
        let place = shape(1_000, 100).build();
        let needed = |replicas: u32| {
            let buffer = Buffer {
                key: pod("spare", &place).key,
                uid: "uid-spare".into(),
                shape: place.clone(),
                replicas,
            };
            let snapshot = cluster()
                .node(node("a", 2_000, 4_000))
                .node(node("b", 2_000, 4_000))
                .node(node("c", 2_000, 4_000))
                .pod(bound(pod("old", &place), "b"))
                .event(ClusterEvent::Buffer(Change::Applied(buffer)))
                .snapshot();
            needed(&snapshot).keys().map(Name::to_string).collect::<Vec<_>>()
        };
        assert!(needed(1).is_empty());
        assert_eq!(needed(3), ["a"]);
        assert_eq!(needed(4), ["a", "c"]);
        assert_eq!(needed(9), ["a", "c"]);
    }
}
