//! Which empty nodes go: the daemon's own rule, which is Karpenter's too.

use std::time::Duration;

use berth_solver::disruption::{Inputs, emptiness};
use berth_solver::model::{
    Change, ClusterEvent, ClusterState, ConsolidateAfter, DisruptionBudget, NodePool, NodesLimit,
    Timestamp,
};

use crate::replay::fleet::{NodeId, Phase};
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

/// The empty nodes that may go now.
///
/// The rule is shown a picture of the empty nodes alone: a walk over thousands of nodes, many
/// thousand times a replay, would take too long. The pool's budget stands there as what is left of
/// it, and nodes that pods are on their way to are not in it. One thing differs from the daemon: a
/// node that a pod was planned for and was then let go from (its spread forbids it, say) may go.
pub(super) fn found(world: &World<'_>) -> Vec<NodeId> {
    let (mut nodes, mut going) = (0, 0);
    for (_, row) in world.fleet.iter() {
        nodes += u32::from(row.phase != Phase::Coming);
        going += u32::from(row.phase == Phase::Going);
    }
    let limits = world.market.pool.budgets.iter().map(|budget| budget.nodes.of(nodes));
    let left = limits.min().unwrap_or(u32::MAX).saturating_sub(going);
    let remaining = DisruptionBudget {
        nodes: NodesLimit::Count(left),
        reasons: Box::default(),
        schedule: None,
        duration: None,
        broken: false,
    };
    let pool = NodePool { budgets: Box::from([remaining]), ..(*world.market.pool).clone() };
    let mut state = ClusterState::new();
    state.apply(ClusterEvent::NodePool(Change::Applied(pool)));
    for row in world.fleet.empty.iter().filter_map(|id| world.fleet.get(*id)) {
        if row.aimed.is_empty() {
            state.apply(ClusterEvent::Node(Change::Applied(objects::node(row))));
            state.apply(ClusterEvent::NodeClaim(Change::Applied(objects::claim(row))));
        }
    }
    let found = emptiness(state.picture(), &inputs(world), world.now);
    found.removals.iter().filter_map(|removal| world.fleet.find(&removal.claim)).collect()
}
