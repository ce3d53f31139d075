//! Which empty nodes go: the daemon's own rule, which is Karpenter's too.

use std::time::Duration;

use berth_solver::disruption::{Inputs, emptiness};
use berth_solver::model::{ConsolidateAfter, Timestamp};

use crate::replay::fleet::NodeId;
use crate::replay::objects::HASH_VERSION;
use crate::replay::world::World;

/// When the first of the empty nodes is empty for long enough.
pub(super) fn due(world: &World<'_>) -> Option<Timestamp> {
    let ConsolidateAfter::After(wait) = world.market.pool.consolidate_after else { return None };
    let rows = world.fleet.empty.iter().filter_map(|id| world.fleet.get(*id));
    rows.map(|row| row.last_pod_event.max(row.up_since) + wait).min()
}

/// What is known beside the picture.
pub(super) fn inputs(world: &World<'_>) -> Inputs {
    // Where nothing has to pass since, nobody asks when it was.
    let asked = !matches!(
        world.market.pool.consolidate_after,
        ConsolidateAfter::Never | ConsolidateAfter::After(Duration::ZERO)
    );
    let rows = world.fleet.iter().filter(|_| asked);
    Inputs {
        pod_events: rows.map(|(_, row)| (row.name.clone(), row.last_pod_event)).collect(),
        hash_version: HASH_VERSION.into(),
        ..Inputs::default()
    }
}

/// The empty nodes that may go now.
pub(super) fn found(world: &mut World<'_>, inputs: &Inputs) -> Vec<NodeId> {
    let now = world.now;
    let found = emptiness(world.picture(), inputs, now);
    found.removals.iter().filter_map(|removal| world.fleet.find(&removal.claim)).collect()
}
