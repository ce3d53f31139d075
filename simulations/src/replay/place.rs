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
use super::ranks::{Ranks, Top, Tree};
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
    takes(kinds, fleet, shape, slot, held)
        && Limits::of(kinds, fleet, shape).is_none_or(|limits| limits.allow(slot))
}

/// All filters but those that look at other pods.
fn takes(kinds: &mut Kinds, fleet: &Fleet, shape: ShapeId, slot: &Slot, held: bool) -> bool {
    has_room(kinds.get(shape), fleet, slot, held) && kinds.suits(shape, slot.kind)
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

/// What a pod sees in a node on which it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Of all scores.
    pub score: i64,
    /// What a core of the node costs, if that is known.
    pub rate: Option<u64>,
}

/// What is kept from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Where the last look ended.
    rotation: usize,
    ranks: Ranks,
    /// The nodes that fit, of one look.
    found: Vec<usize>,
}

/// The best node for a pod that is not on its way anywhere. `chance` is what tells equal nodes
/// apart.
pub(super) fn best(
    kinds: &mut Kinds,
    fleet: &Fleet,
    style: Style,
    shape: ShapeId,
    chance: u64,
    memory: &mut Memory,
) -> Option<NodeId> {
    // Where others of the workload are changes what a node is worth without the node changing.
    if kinds.get(shape).rules.is_none() {
        let see = |slot: &Slot, cheapest| see(kinds, fleet, style, shape, slot, cheapest);
        if let Some(tree) = memory.ranks.tree(shape, fleet, see) {
            return look_up(tree, fleet, style, chance, &mut memory.rotation);
        }
    }
    scan(kinds, fleet, style, shape, chance, memory)
}

fn see(
    kinds: &mut Kinds,
    fleet: &Fleet,
    style: Style,
    shape: ShapeId,
    slot: &Slot,
    cheapest: Option<u64>,
) -> Option<Seen> {
    if !takes(kinds, fleet, shape, slot, false) {
        return None;
    }
    let score = score(kinds.get(shape), style, slot, cheapest);
    Some(Seen { score, rate: slot.figures.rate })
}

fn score(kind: &Kind, style: Style, slot: &Slot, cheapest: Option<u64>) -> i64 {
    let extender = if style.steered { placement::score_of(&slot.figures, cheapest) } else { 0 };
    default_score(kind, slot) + extender * EXTENDER_FACTOR
}

/// Which of so many equal nodes it is.
fn pick(chance: u64, of: u32) -> u32 {
    u32::try_from(chance % u64::from(of.max(1))).unwrap_or(0)
}

/// As [`scan`], in a tree that is up to date.
fn look_up(
    tree: &Tree,
    fleet: &Fleet,
    style: Style,
    chance: u64,
    rotation: &mut usize,
) -> Option<NodeId> {
    let slots = fleet.slots();
    let wanted = wanted(slots.len(), style);
    let from = *rotation % slots.len().max(1);
    *rotation = from;
    let mut ranges = [from..slots.len(), 0..from];
    // Fewer than that, and the look goes once around.
    if tree.fit() >= wanted && wanted > 0 {
        let last = (tree.fit_before(from) + wanted - 1) % tree.fit();
        let end = tree.nth(last)? + 1;
        ranges = if end > from { [from..end, 0..0] } else { [from..slots.len(), 0..end] };
        *rotation = if end == slots.len() { 0 } else { end };
    }
    let tops = ranges.each_ref().map(|range| tree.top(range));
    let top = tops[0].and(tops[1]);
    let mut number = pick(chance, top.count);
    let index = ranges.iter().zip(tops).find_map(|(range, here)| {
        if here.score < top.score {
            return None;
        }
        let found = tree.nth_at(range, top.score, number);
        number = number.saturating_sub(here.count);
        found
    });
    index.map(|index| slots[index].node)
}

/// Looks at one node after the other, from where the last look ended.
fn scan(
    kinds: &mut Kinds,
    fleet: &Fleet,
    style: Style,
    shape: ShapeId,
    chance: u64,
    memory: &mut Memory,
) -> Option<NodeId> {
    let Memory { rotation, found, .. } = memory;
    let slots = fleet.slots();
    let wanted = wanted(slots.len(), style);
    let limits = Limits::of(kinds, fleet, shape);
    found.clear();
    let mut looked = 0;
    let mut index = *rotation % slots.len().max(1);
    while looked < slots.len() && found.len() < wanted {
        let slot = &slots[index];
        if takes(kinds, fleet, shape, slot, false)
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
    // The nodes with the highest score so far, in front.
    let mut top = Top::NOTHING;
    for looked in 0..found.len() {
        let score = score(kind, style, &slots[found[looked]], cheapest);
        let with = top.and(Top::one(score));
        if with.score == score {
            found[with.count as usize - 1] = found[looked];
        }
        top = with;
    }
    found.get(pick(chance, top.count) as usize).map(|index| slots[*index].node)
}

/// How many nodes that fit are looked for.
const fn wanted(nodes: usize, style: Style) -> usize {
    if style.steered { nodes } else { to_find(nodes) }
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
    use berth_solver::model::{
        Bytes, CapacityType, Launch, MilliCpu, Name, Price, Resources, Timestamp,
    };
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;
    use crate::trace::{TraceRecord, TraceShape};

    #[test]
    fn as_many_nodes_are_looked_for_as_kube_scheduler_looks_for() {
        // numFeasibleNodesToFind of kube-scheduler.
        for (nodes, wanted) in [(10, 10), (100, 100), (150, 100), (1_000, 420), (6_000, 300)] {
            assert_eq!(to_find(nodes), wanted, "{nodes}");
        }
    }

    fn launch(number: u64, cores: i64) -> Launch {
        let kibi = 1_024;
        let memory = Bytes(cores * 4 * kibi * kibi * kibi);
        let mut room = Resources::new(MilliCpu(cores * 1_000), memory);
        room.pods = 20;
        Launch {
            name: Name::from(format!("node-{number}")),
            pool: Name::from("general"),
            instance_type: Name::from(format!("cores-{cores}")),
            zone: Name::from("one"),
            capacity_type: CapacityType::OnDemand,
            price: Price::per_hour(0.03 * cores as f64 + 0.001 * (number % 3) as f64)
                .expect("a price"),
            capacity: room.clone(),
            allocatable: room,
            requests: Resources::default(),
            labels: [].into_iter().collect(),
            requirements: [].into_iter().collect(),
            taints: Box::default(),
            min_values_relaxed: false,
            reason: String::new(),
        }
    }

    fn record(cpu_milli: i64, memory_mib: i64) -> TraceRecord {
        TraceRecord {
            namespace: Name::from("work"),
            name: Name::from(format!("pod-{cpu_milli}")),
            workload: Name::from("work"),
            submit: Timestamp::from_millis(0),
            start: None,
            end: None,
            shape: TraceShape { cpu_milli, memory_mib, ..TraceShape::default() },
        }
    }

    #[test]
    fn what_is_remembered_of_nodes_leads_to_the_same_node_as_a_look_at_all() {
        let now = Timestamp::from_millis(0);
        for (seed, steered) in [(1, true), (2, false), (3, true), (4, false)] {
            let random = &mut SmallRng::seed_from_u64(seed);
            let style = Style { steered };
            let (mut kinds, mut fleet) = (Kinds::default(), Fleet::default());
            let asked = [(250, 600), (500, 4_000), (1_000, 2_000), (4_000, 16_000)];
            let shapes = asked.map(|(cpu, memory)| kinds.of(&record(cpu, memory)));
            let (mut memory, mut plain) = (Memory::default(), Memory::default());
            let (mut nodes, mut bound) = (Vec::new(), Vec::new());
            let mut looked_up = 0;
            for step in 0..20_000_u64 {
                let many = if step < 10_000 { 400 } else { 90 };
                let dice = random.random_range(0..1_000);
                if nodes.len() < many && (dice < 30 || nodes.len() < many / 2) {
                    let launch = launch(step, [2, 4, 16][random.random_range(0..3)]);
                    let kind = kinds.of_node(&launch.labels, &launch.taints);
                    let node = fleet.add(launch, kind, Box::default(), now);
                    fleet.open(node, now);
                    nodes.push(node);
                } else if nodes.len() > many || dice < 50 {
                    let node = nodes.swap_remove(random.random_range(0..nodes.len()));
                    fleet.remove(node);
                    bound.retain(|(at, _)| *at != node);
                } else if dice < 80 {
                    let node = nodes[random.random_range(0..nodes.len())];
                    let row = fleet.get_mut(node).expect("a row");
                    row.leaving = !row.leaving;
                    fleet.refresh(node);
                } else if dice < 400 && !bound.is_empty() {
                    let (node, shape): (NodeId, ShapeId) =
                        bound.swap_remove(random.random_range(0..bound.len()));
                    let row = fleet.get_mut(node).expect("a row");
                    row.used -= &kinds.get(shape).shape.requests;
                    fleet.refresh(node);
                }
                let shape = shapes[random.random_range(0..shapes.len())];
                let chance = random.random();
                let found = best(&mut kinds, &fleet, style, shape, chance, &mut memory);
                let wanted = scan(&mut kinds, &fleet, style, shape, chance, &mut plain);
                assert_eq!(found, wanted, "seed {seed}, step {step}");
                assert_eq!(memory.rotation, plain.rotation, "seed {seed}, step {step}");
                looked_up += u64::from(memory.found.is_empty() && found.is_some());
                memory.found.clear();
                if let Some(node) = found {
                    let row = fleet.get_mut(node).expect("a row");
                    row.used += &kinds.get(shape).shape.requests;
                    fleet.refresh(node);
                    bound.push((node, shape));
                }
            }
            assert!(looked_up > 10_000, "seed {seed}: {looked_up} in a tree");
        }
    }
}
