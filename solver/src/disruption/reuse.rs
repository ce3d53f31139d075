//! Empty nodes that take the place of nodes on their way.

use std::collections::BTreeMap;

use super::emptiness::{Inputs, pods_to_come};
use crate::constraints::{node_affinity, node_state, resources, taints};
use crate::model::{
    Name, NodeClaim, Pod, Removal, Resources, Snapshot, Target, well_known::condition,
};

/// The pods that need not wait any longer for the node that was launched for them, and the empty
/// node that each can have at once, by the pods' UIDs.
///
/// Of the nodes that [`emptiness`](super::emptiness) would remove, one stays if it costs no more
/// than a node on its way and holds all pods that wait for that: then nothing is dearer, and the
/// pods start now instead of minutes later. What else fits on it comes along. Who waits longest is
/// asked first. The node on its way stays on its way: later pods are planned for it, or it goes as
/// an empty one. One that has joined keeps its pods: kube-scheduler may be sending them there.
///
/// Pods whose place depends on where others are, on volumes or on ports wait on as planned.
pub fn reuse(snapshot: &Snapshot, inputs: &Inputs, removals: &[Removal]) -> BTreeMap<Name, Target> {
    let mut found = BTreeMap::new();
    let on_their_way = snapshot.claims.values().any(|claim| is_coming(claim));
    if removals.is_empty() || !on_their_way {
        return found;
    }
    let to_come = pods_to_come(snapshot, &inputs.targets);
    let mut coming: Vec<(&NodeClaim, Vec<&Pod>)> = to_come
        .into_iter()
        .filter_map(|(claim, pods)| {
            let claim = snapshot.claims.get(&claim).filter(|claim| is_coming(claim))?;
            let pods: Vec<&Pod> = pods.into_values().collect();
            pods.iter().all(|pod| goes_by_itself(pod)).then_some((&**claim, pods))
        })
        .collect();
    coming.sort_by_key(|(claim, _)| (claim.created, &claim.name));
    let under_way = |removal: &&Removal| inputs.under_way.contains(&removal.claim_uid);
    for removal in removals.iter().filter(|removal| !under_way(removal)) {
        let Some(name) = &removal.node else { continue };
        let price = snapshot.claims.get(&removal.claim).and_then(|claim| claim.price);
        let (Some(price), Some(state)) = (price, snapshot.nodes.get(name)) else { continue };
        let node = &*state.node;
        if !node_state::check(node) {
            continue;
        }
        let mut free = state.free();
        let mut stays = false;
        coming.retain(|(claim, pods)| {
            let pays = stays || claim.price.is_some_and(|its| price <= its);
            let suits = |pod: &&Pod| {
                taints::check(&pod.shape, &node.taints)
                    && node_affinity::check(&pod.shape, &node.labels)
            };
            let needed: Resources = pods.iter().map(|pod| &pod.shape.requests).sum();
            if !pays || !pods.iter().all(suits) || !resources::check(&needed, &free) {
                return true;
            }
            stays = true;
            free -= &needed;
            found.extend(pods.iter().map(|pod| (pod.uid.clone(), Target::Node(name.clone()))));
            false
        });
    }
    found
}

fn is_coming(claim: &NodeClaim) -> bool {
    claim.deleted.is_none() && claim.node_name.is_none() && !claim.is(condition::REGISTERED)
}

/// Whether nothing but the node itself says whether the pod may run there.
fn goes_by_itself(pod: &Pod) -> bool {
    let shape = &pod.shape;
    pod.volume_claims.is_empty()
        && shape.host_ports.is_empty()
        && shape.topology_spread.is_empty()
        && shape.affinity.is_empty()
        && shape.anti_affinity.is_empty()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::emptiness;
    use super::*;
    use crate::model::Timestamp;
    use crate::testing::*;

    const NOW: Timestamp = Timestamp::from_seconds(100_000);

    /// An empty node of the first size beside one of the second on its way, for which pods of
    /// these shapes wait: who goes where after all.
    fn found(sizes: [&str; 2], shapes: &[ShapeBuilder]) -> BTreeMap<Name, Target> {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["ch-gva-2"]));
        let there = up(claim("there", &general, type_of(&catalog, sizes[0])));
        let coming = claim("coming", &general, type_of(&catalog, sizes[1]));
        let pods: Vec<Pod> = shapes
            .iter()
            .enumerate()
            .map(|(index, shape)| pod(&format!("p{index}"), &shape.clone().build()))
            .collect();
        let to_coming = |pod: &Pod| (pod.uid.clone(), Target::Claim("coming".into()));
        let targets = pods.iter().map(to_coming).collect();
        let node = node_of_claim(&there);
        let snapshot =
            cluster().pool(general, catalog).claim(there).claim(coming).node(node).pods(pods);
        let snapshot = snapshot.snapshot();
        let inputs = Inputs { targets, ..Inputs::default() };
        let empty = emptiness(&snapshot, &inputs, NOW + Duration::from_hours(1));
        assert_eq!(empty.removals.len(), 1, "{empty:?}");
        reuse(&snapshot, &inputs, &empty.removals)
    }

    #[test]
    fn an_empty_node_takes_the_pods_of_one_on_its_way_that_costs_as_much() {
        let two = [shape(400, 512), shape(400, 512)];
        let taken = found(["standard.medium", "standard.medium"], &two);
        assert_eq!(taken.len(), 2);
        assert!(taken.values().all(|target| *target == Target::Node("there".into())));
    }

    #[test]
    fn a_dearer_one_goes_nevertheless() {
        assert!(found(["standard.large", "standard.medium"], &[shape(400, 512)]).is_empty());
        assert!(!found(["standard.small", "standard.medium"], &[shape(400, 512)]).is_empty());
    }

    #[test]
    fn and_one_that_does_not_hold_all_of_them() {
        let two = [shape(400, 512), shape(1_900, 512)];
        assert!(found(["standard.medium", "standard.large"], &two).is_empty());
    }

    #[test]
    fn pods_that_may_not_go_there_wait_on() {
        for shape in [
            shape(400, 512).node_selector("disk", "fast"),
            shape(400, 512).spread("topology.kubernetes.io/zone", 1),
            shape(400, 512).alone_in("kubernetes.io/hostname"),
            shape(400, 512).host_port(80),
        ] {
            assert!(found(["standard.medium", "standard.medium"], &[shape]).is_empty());
        }
    }
}
