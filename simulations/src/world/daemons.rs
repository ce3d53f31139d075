use std::sync::Arc;

use berth_solver::model::{DaemonSet, Name, NodeState, Owner, PodKey};

use crate::cluster::NewPod;
use crate::random::Seed;

use super::World;

impl World {
    /// The DaemonSet controller: a pod of each DaemonSet on each node that it may run on.
    ///
    /// It binds them itself, as the real one did before it left that to the scheduler: no other
    /// node is possible anyway.
    pub(super) fn place_daemons(&mut self) {
        let nodes: Vec<Name> = self.cluster.objects().nodes.keys().cloned().collect();
        for node in nodes {
            self.place_daemons_on(&node);
        }
    }

    pub(super) fn place_daemons_on(&mut self, node: &Name) {
        let objects = self.cluster.objects();
        let Some(state) = objects.nodes.get(node) else { return };
        if state.node.deleted.is_some() {
            return;
        }
        let seed = self.settings.seed;
        let missing: Vec<NewPod> = objects
            .daemon_sets
            .values()
            .filter(|daemon_set| !has_pod_of(state, daemon_set) && may_run(state, daemon_set))
            .map(|daemon_set| NewPod {
                key: pod_key(daemon_set, node, seed),
                shape: Arc::clone(&daemon_set.shape),
                owner: Owner::DaemonSet(daemon_set.uid.clone()),
                node: Some(node.clone()),
                replace_first: false,
            })
            .collect();
        for pod in missing {
            // One of that name may still be terminating; its removal brings us back here.
            let _ = self.cluster.create_pod(pod);
        }
    }
}

fn pod_key(daemon_set: &DaemonSet, node: &Name, seed: Seed) -> PodKey {
    let mut chance = seed.stream(&format!("daemon/{}/{node}", daemon_set.key));
    PodKey {
        namespace: daemon_set.key.namespace.clone(),
        name: format!("{}-{}", daemon_set.key.name, chance.suffix(5)).into(),
    }
}

fn has_pod_of(state: &NodeState, daemon_set: &DaemonSet) -> bool {
    state
        .pods
        .values()
        .any(|pod| matches!(&pod.owner, Owner::DaemonSet(uid) if *uid == daemon_set.uid))
}

fn may_run(state: &NodeState, daemon_set: &DaemonSet) -> bool {
    let (shape, node) = (&daemon_set.shape, &state.node);
    shape.first_untolerated(&node.taints).is_none()
        && shape.node_selector.iter().all(|(key, value)| node.label(key) == Some(value))
        && (shape.node_affinity.is_empty()
            || shape.node_affinity.iter().any(|term| term.allow(&node.labels)))
        && shape.requests.fits(&state.free())
}
