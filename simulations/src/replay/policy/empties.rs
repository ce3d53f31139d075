//! Which empty nodes go: the daemon's own rule, which is Karpenter's too.

use std::time::Duration;

use berth_solver::disruption::{Inputs, emptiness};
use berth_solver::model::{
    Change, ClusterEvent, ClusterState, ConsolidateAfter, DisruptionBudget, NodePool, NodesLimit,
    Removal, Timestamp,
};

use crate::replay::objects::{self, HASH_VERSION};
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

/// How many more nodes may go now.
fn left_of_budget(world: &World<'_>) -> u32 {
    let fleet = &world.fleet;
    let count = |nodes: usize| u32::try_from(nodes).unwrap_or(u32::MAX);
    let there = count(fleet.alive() - fleet.coming.len());
    let limits = world.market.pool.budgets.iter().map(|budget| budget.nodes.of(there));
    limits.min().unwrap_or(u32::MAX).saturating_sub(count(fleet.going()))
}

/// The empty nodes that may go now, and the picture that says so.
///
/// The rule is shown a picture of the empty nodes beside what the policy knows of (`seen`): a walk
/// over thousands of nodes, many thousand times a replay, would take too long. The pool's budget
/// stands there as what is left of it, and nodes that pods are on their way to are not in it.
pub(super) fn found(
    world: &World<'_>,
    seen: ClusterState,
    inputs: &Inputs,
) -> (ClusterState, Vec<Removal>) {
    let left = left_of_budget(world);
    if left == 0 {
        return (seen, Vec::new());
    }
    let remaining = DisruptionBudget {
        nodes: NodesLimit::Count(left),
        reasons: Box::default(),
        schedule: None,
        duration: None,
        broken: false,
    };
    let pool = NodePool { budgets: Box::from([remaining]), ..(*world.market.pool).clone() };
    let mut state = seen;
    state.apply(ClusterEvent::NodePool(Change::Applied(pool)));
    for row in world.fleet.empty.iter().filter_map(|id| world.fleet.get(*id)) {
        if row.aimed.is_empty() {
            state.apply(ClusterEvent::Node(Change::Applied(objects::node(row))));
            state.apply(ClusterEvent::NodeClaim(Change::Applied(objects::claim(row))));
        }
    }
    let found = emptiness(state.picture(), inputs, world.now);
    (state, found.removals)
}
