//! Volumes that hold a machine.

use std::collections::BTreeSet;

use crate::model::{Name, NodeState, PodKey, Snapshot};

/// Whether volumes are attached to a drained node that somebody else may be waiting for: a machine
/// that goes with them leaves them attached, and their pods waiting, for minutes.
///
/// Volumes of the pods that a drain leaves alone stay where they are, and are not waited for.
pub fn attached(snapshot: &Snapshot, state: &NodeState) -> bool {
    let staying: BTreeSet<&Name> = state
        .pods
        .values()
        .flat_map(|pod| {
            pod.volume_claims
                .iter()
                .map(|name| PodKey { namespace: pod.key.namespace.clone(), name: name.clone() })
        })
        .filter_map(|key| snapshot.volume_claims.get(&key)?.volume.as_ref())
        .collect();
    let mut here = snapshot.volume_attachments.values().filter(|one| one.node == state.node.name);
    // A volume that a pod describes itself has no name to be known by.
    here.any(|one| one.volume.as_ref().is_none_or(|volume| !staying.contains(volume)))
}
