use std::collections::BTreeSet;

use crate::model::{
    DisruptionBudget, DisruptionReason, Name, NodePool, Snapshot, well_known, well_known::condition,
};

/// How many nodes of a pool may be disrupted for a reason, and how many are on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Nodes that count: the pool's initialised ones whose machines are not being deleted yet.
    pub nodes: u32,
    /// What the pool's budgets allow of them; `None` if no budget is active.
    pub limit: Option<u32>,
    /// Those that are leaving or not ready.
    pub disrupted: u32,
}

impl Allowance {
    /// How many more may go.
    pub fn remaining(self) -> u32 {
        self.limit.map_or(u32::MAX, |limit| limit.saturating_sub(self.disrupted))
    }
}

/// What a pool's budgets allow for a reason now. The strictest of the active budgets counts.
///
/// `closed` holds (pool, index of the budget) of every budget that has a schedule and whose window
/// is not open now. A schedule that cannot be understood allows nothing, at all times.
pub fn allowed(
    snapshot: &Snapshot,
    pool: &NodePool,
    reason: DisruptionReason,
    closed: &BTreeSet<(Name, usize)>,
) -> Allowance {
    let mut nodes = 0;
    let mut disrupted = 0;
    for claim in snapshot.claims.values() {
        let counts = claim.pool() == Some(&pool.name)
            && claim.is(condition::INITIALIZED)
            && !claim.is(condition::INSTANCE_TERMINATING);
        if !counts {
            continue;
        }
        nodes += 1;
        let ready = snapshot.node_of_claim(claim).is_some_and(|state| state.node.ready);
        if claim.deleted.is_some() || !ready {
            disrupted += 1;
        }
    }
    let active = |index: usize, budget: &DisruptionBudget| {
        (budget.reasons.is_empty() || budget.reasons.contains(&reason))
            && (budget.broken || !closed.contains(&(pool.name.clone(), index)))
    };
    let limit = pool
        .budgets
        .iter()
        .enumerate()
        .filter(|(index, budget)| active(*index, budget))
        .map(|(_, budget)| if budget.broken { 0 } else { budget.nodes.of(nodes) })
        .min();
    Allowance { nodes, limit, disrupted }
}

/// Whether a node is on its way out by a decision that may still be taken back.
pub(super) fn is_tainted(taints: &[crate::model::Taint]) -> bool {
    taints.iter().any(|taint| taint.key == *well_known::DISRUPTED_TAINT)
}
