use foldhash::HashSet;

use crate::model::{NodeState, Snapshot, well_known};

/// Whether a node is on its way out: nothing new should land on it.
///
/// A node's taint and its own deletion show at once; before they are there, the deletion of its
/// claim tells.
pub(crate) fn is_leaving(snapshot: &Snapshot, state: &NodeState) -> bool {
    let node = &state.node;
    if node.deleted.is_some() || node.has_taint(well_known::DISRUPTED_TAINT) {
        return true;
    }
    if node.pool().is_none() {
        return false;
    }
    // Its claim usually has the node's name: one look-up instead of several.
    let claim = match snapshot.claims.get(&node.name) {
        Some(claim) if claim.node_name.as_ref() == Some(&node.name) => Some(claim),
        _ => snapshot.claim_of_node(node),
    };
    claim.is_some_and(|claim| claim.deleted.is_some())
}

/// The names of all nodes that are leaving.
pub(super) fn leaving(snapshot: &Snapshot) -> HashSet<&str> {
    let said = snapshot.nodes_said_to_leave();
    said.filter(|state| is_leaving(snapshot, state)).map(|state| state.node.name.as_str()).collect()
}
