//! Which empty nodes stay because room is to be kept free.

use std::collections::BTreeMap;

use super::candidates::price_of;
use crate::constraints::{node_affinity, node_state, resources, taints};
use crate::model::{Name, NodeState, PodKey, PodShape, Price, Resources, Snapshot};

/// Nodes without pods of their own whose room a buffer needs, and the buffer. Places are found on
/// nodes with pods first, then on empty ones: those that nobody pays for here, the cheapest, the
/// first by name.
pub(super) fn needed(snapshot: &Snapshot) -> BTreeMap<Name, PodKey> {
    let mut needed = BTreeMap::new();
    if snapshot.buffers.is_empty() {
        return needed;
    }
    let open = snapshot.nodes.values().filter_map(|state| {
        let claim = snapshot.claim_of_node(&state.node);
        let stays =
            node_state::check(&state.node) && claim.is_none_or(|claim| claim.deleted.is_none());
        let price = claim.and_then(|claim| price_of(snapshot, claim));
        stays.then(|| (&**state, state.free(), price))
    });
    let mut nodes: Vec<(&NodeState, Resources, Option<Price>)> = open.collect();
    nodes.sort_by_key(|(state, _, price)| (is_empty(state), *price));
    for buffer in snapshot.buffers.values() {
        let mut left = buffer.replicas;
        for (state, free, _) in &mut nodes {
            let before = left;
            while left > 0 && takes(state, free, &buffer.shape) {
                *free -= &buffer.shape.requests;
                left -= 1;
            }
            if left < before && is_empty(state) {
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
    use crate::testing::*;

    #[test]
    fn room_on_nodes_in_use_is_kept_first_and_then_empty_nodes_are() {
        let place = shape(1_000, 100).build();
        let needed = |replicas: u32| {
            let snapshot = cluster()
                .node(node("a", 2_000, 4_000))
                .node(node("b", 2_000, 4_000))
                .node(node("c", 2_000, 4_000))
                .pod(bound(pod("old", &place), "b"))
                .buffer("spare", &place, replicas)
                .snapshot();
            needed(&snapshot).keys().map(Name::to_string).collect::<Vec<_>>()
        };
        assert!(needed(1).is_empty());
        assert_eq!(needed(3), ["a"]);
        assert_eq!(needed(4), ["a", "c"]);
        assert_eq!(needed(9), ["a", "c"]);
    }

    #[test]
    fn of_empty_nodes_the_cheapest_is_kept() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let mut world = cluster();
        for (name, kind) in [("a", "standard.huge"), ("b", "standard.medium")] {
            let claim = up(claim(name, &general, type_of(&catalog, kind)));
            world = world.node(node_of_claim(&claim)).claim(claim);
        }
        let snapshot =
            world.pool(general, catalog).buffer("spare", &shape(500, 512).build(), 1).snapshot();
        assert_eq!(needed(&snapshot).keys().map(Name::as_str).collect::<Vec<_>>(), ["b"]);
    }
}
