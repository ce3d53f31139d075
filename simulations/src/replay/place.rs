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
use crate::scheduler::scores::{balance_gained, balance_of};

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
    has_room(kinds.get(shape), fleet, slot, held)
        && kinds.suits(shape, slot.kind)
        && Limits::of(kinds, fleet, shape).is_none_or(|limits| limits.allow(slot))
}

/// NodeUnschedulable and NodeResourcesFit.
fn has_room(kind: &Kind, fleet: &Fleet, slot: &Slot, held: bool) -> bool {
    let free = if held { &slot.free } else { &slot.unheld };
    slot.open
        && kind.plain.iter().zip(free).all(|(wanted, free)| *wanted == 0 || wanted <= free)
        && (!kind.extended || extended_fits(kind, fleet, slot, held))
}

fn extended_fits(kind: &Kind, fleet: &Fleet, slot: &Slot, held: bool) -> bool {
    let Some(row) = fleet.get(slot.node) else { return false };
    kind.shape.requests.extended().iter().all(|(name, amount)| {
        let all = row.launch.allocatable.extended_amount(name);
        let kept = if held { 0 } else { row.held.extended_amount(name) };
        *amount <= all - row.used.extended_amount(name) - kept
    })
}

/// PodTopologySpread and InterPodAffinity, as far as traces have them: where the pods of a
/// workload with rules are, and how many of them the emptiest node and zone have.
struct Limits<'f> {
    rules: Rules,
    spread: Option<&'f Spread>,
    least_on_node: u32,
    least_in_zone: u32,
}

impl<'f> Limits<'f> {
    fn of(kinds: &mut Kinds, fleet: &'f Fleet, shape: ShapeId) -> Option<Self> {
        let rules = kinds.get(shape).rules?;
        let spread = fleet.spreads.get(&rules.group);
        let mut limits = Self { rules, spread, least_on_node: 0, least_in_zone: 0 };
        let mut least = |count: &dyn Fn(&Slot) -> u32| {
            let suited = fleet.slots().iter().filter(|slot| kinds.suits(shape, slot.kind));
            suited.map(count).min().unwrap_or(0)
        };
        if rules.host_skew.is_some() {
            limits.least_on_node = least(&|slot| limits.on_node(slot));
        }
        if rules.zone_skew.is_some() {
            limits.least_in_zone = least(&|slot| limits.in_zone(slot));
        }
        Some(limits)
    }

    fn on_node(&self, slot: &Slot) -> u32 {
        self.spread.and_then(|spread| spread.by_node.get(&slot.node)).copied().unwrap_or(0)
    }

    fn in_zone(&self, slot: &Slot) -> u32 {
        self.spread.and_then(|spread| spread.by_zone.get(&slot.zone)).copied().unwrap_or(0)
    }

    fn allow(&self, slot: &Slot) -> bool {
        let Rules { most_per_node, host_skew, zone_skew, .. } = self.rules;
        most_per_node.is_none_or(|most| self.on_node(slot) < most)
            && host_skew.is_none_or(|skew| self.on_node(slot) + 1 - self.least_on_node <= skew)
            && zone_skew.is_none_or(|skew| self.in_zone(slot) + 1 - self.least_in_zone <= skew)
    }
}

/// The best node for a pod that is not on its way anywhere. `rotation` is where the last look
/// ended, `chance` what tells equal nodes apart, `found` memory to work in.
pub(super) fn best(
    kinds: &mut Kinds,
    fleet: &Fleet,
    style: Style,
    shape: ShapeId,
    rotation: &mut usize,
    chance: u64,
    found: &mut Vec<usize>,
) -> Option<NodeId> {
    let slots = fleet.slots();
    let wanted = if style.steered { slots.len() } else { to_find(slots.len()) };
    let limits = Limits::of(kinds, fleet, shape);
    found.clear();
    let mut looked = 0;
    let mut index = *rotation % slots.len().max(1);
    while looked < slots.len() && found.len() < wanted {
        let slot = &slots[index];
        if has_room(kinds.get(shape), fleet, slot, false)
            && kinds.suits(shape, slot.kind)
            && limits.as_ref().is_none_or(|limits| limits.allow(slot))
        {
            found.push(index);
        }
        looked += 1;
        index = if index + 1 == slots.len() { 0 } else { index + 1 };
    }
    *rotation = index;
    let kind = kinds.get(shape);
    let cheapest = found.iter().filter_map(|index| slots[*index].figures.rate).min();
    let mut best: Option<(i64, u64, NodeId)> = None;
    for slot in found.iter().map(|index| &slots[*index]) {
        let extender = if style.steered { placement::score_of(&slot.figures, cheapest) } else { 0 };
        let score = default_score(kind, slot) + extender * EXTENDER_FACTOR;
        if best.is_none_or(|(highest, ..)| score >= highest) {
            let rank = (score, mix(chance ^ u64::from(slot.node)), slot.node);
            best = best.max(Some(rank));
        }
    }
    best.map(|(_, _, node)| node)
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
    least + balance_gained(slot.balance, balance_of(1.0 - cpu, 1.0 - memory))
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
