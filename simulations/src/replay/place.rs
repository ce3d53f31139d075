//! The scheduler's model on rows: filters, the default scores, the extender's scores.
//!
//! Filters: NodeUnschedulable, TaintToleration, NodeAffinity, NodeResourcesFit, and of topology
//! what traces can say: so many of a workload a node, and its skew between nodes and zones.
//! Scores: LeastAllocated and BalancedAllocation of CPU and memory, each 0 to 100. Equal nodes are
//! told apart by chance, as kube-scheduler does it.
//!
//! Without Berth's extender a share of the nodes is looked at, as many as kube-scheduler looks at
//! by default. With it all of them (`percentageOfNodesToScore: 100`, as `deploy/scheduler.yaml`
//! has it), and the extender's score counts tenfold.

use berth_solver::placement;

use super::fleet::{Fleet, NodeId, Slot, Spread};
use super::kinds::{Kind, Kinds, Rules, ShapeId};

/// What one point of the extender's is worth: its weight of 10, stretched from 10 to 100 points.
const EXTENDER_FACTOR: i64 = 100;
/// So many nodes that fit are looked for at least.
const LEAST_NODES: usize = 100;

/// How a policy's pods are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Whether Berth's extender is asked, and pods follow a plan.
    pub steered: bool,
}

/// Whether a pod may go to a node now. Without `held`, room that others are on their way to does
/// not count as free.
pub(super) fn fits(
    kinds: &mut Kinds,
    fleet: &Fleet,
    shape: ShapeId,
    slot: &Slot,
    held: bool,
) -> bool {
    if !slot.open {
        return false;
    }
    let kind = kinds.get(shape);
    let free = if held { &slot.free } else { &slot.unheld };
    let enough = kind.plain.iter().zip(free).all(|(wanted, free)| *wanted == 0 || wanted <= free);
    if !enough || !extended_fits(kind, fleet, slot, held) {
        return false;
    }
    let rules = kind.rules;
    kinds.suits(shape, slot.kind)
        && rules.is_none_or(|rules| allowed(kinds, fleet, shape, rules, slot))
}

fn extended_fits(kind: &Kind, fleet: &Fleet, slot: &Slot, held: bool) -> bool {
    let wanted = kind.shape.requests.extended();
    if wanted.is_empty() {
        return true;
    }
    let Some(row) = fleet.get(slot.node) else { return false };
    wanted.iter().all(|(name, amount)| {
        let all = row.launch.allocatable.extended_amount(name);
        let kept = if held { 0 } else { row.held.extended_amount(name) };
        *amount <= all - row.used.extended_amount(name) - kept
    })
}

/// PodTopologySpread and InterPodAffinity, as far as traces have them.
fn allowed(kinds: &mut Kinds, fleet: &Fleet, shape: ShapeId, rules: Rules, slot: &Slot) -> bool {
    let nobody = Spread::default();
    let spread = fleet.spreads.get(&rules.group).unwrap_or(&nobody);
    let on_node = spread.by_node.get(&slot.node).copied().unwrap_or(0);
    if rules.most_per_node.is_some_and(|most| on_node >= most) {
        return false;
    }
    if let Some(skew) = rules.host_skew {
        let suited = fleet.slots().iter().filter(|other| kinds.suits(shape, other.kind));
        let counts = suited.map(|other| spread.by_node.get(&other.node).copied().unwrap_or(0));
        let least = counts.min().unwrap_or(0);
        if on_node + 1 - least > skew {
            return false;
        }
    }
    if let Some(skew) = rules.zone_skew {
        let in_zone = |zone: u32| spread.by_zone.get(&zone).copied().unwrap_or(0);
        let suited = fleet.slots().iter().filter(|other| kinds.suits(shape, other.kind));
        let least = suited.map(|other| in_zone(other.zone)).min().unwrap_or(0);
        if in_zone(slot.zone) + 1 - least > skew {
            return false;
        }
    }
    true
}

/// The best node for a pod that is not on its way anywhere. `rotation` is where the last look
/// ended, `chance` what tells equal nodes apart.
pub(super) fn best(
    kinds: &mut Kinds,
    fleet: &Fleet,
    style: Style,
    shape: ShapeId,
    rotation: &mut usize,
    chance: u64,
) -> Option<NodeId> {
    let slots = fleet.slots();
    let wanted = if style.steered { slots.len() } else { to_find(slots.len()) };
    let mut found: Vec<usize> = Vec::new();
    let mut looked = 0;
    while looked < slots.len() && found.len() < wanted {
        let index = (*rotation + looked) % slots.len();
        looked += 1;
        if fits(kinds, fleet, shape, &slots[index], false) {
            found.push(index);
        }
    }
    *rotation = (*rotation + looked) % slots.len().max(1);
    let kind = kinds.get(shape);
    let cheapest = found.iter().filter_map(|index| slots[*index].figures.rate).min();
    let rank = |index: &usize| {
        let slot = &slots[*index];
        let extender = if style.steered { placement::score_of(&slot.figures, cheapest) } else { 0 };
        let score = default_score(kind, slot) + extender * EXTENDER_FACTOR;
        (score, mix(chance ^ u64::from(slot.node)))
    };
    found.iter().max_by_key(|index| rank(index)).map(|index| slots[*index].node)
}

/// How many nodes that fit kube-scheduler looks for in a cluster of this size.
const fn to_find(nodes: usize) -> usize {
    if nodes <= LEAST_NODES {
        return nodes;
    }
    let share = 50_usize.saturating_sub(nodes / 125);
    let share = if share < 5 { 5 } else { share };
    let wanted = nodes * share / 100;
    if wanted < LEAST_NODES { LEAST_NODES } else { wanted }
}

/// LeastAllocated and BalancedAllocation, 0 to 100 each.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "shares of a machine, in whole points"
)]
fn default_score(kind: &Kind, slot: &Slot) -> i64 {
    let left = |index: usize| {
        ((slot.free[index] - kind.plain[index]) as f64 * slot.per[index]).clamp(0.0, 1.0)
    };
    let (cpu, memory) = (left(0), left(1));
    let least = i64::midpoint((cpu * 100.0) as i64, (memory * 100.0) as i64);
    let balanced = ((1.0 - (cpu - memory).abs() / 2.0) * 100.0) as i64;
    least + balanced
}

/// SplitMix64's last step.
pub(super) const fn mix(mut number: u64) -> u64 {
    number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_nodes_are_looked_for_as_kube_scheduler_looks_for() {
        // numFeasibleNodesToFind of kube-scheduler.
        for (nodes, wanted) in [(10, 10), (100, 100), (150, 100), (1_000, 420), (6_000, 300)] {
            assert_eq!(to_find(nodes), wanted, "{nodes}");
        }
    }
}
