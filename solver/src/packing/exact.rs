//! The cheapest plan there is, and the proof: a shortest path through what still waits.
//!
//! Dual values split the price of a plan in two: what all pods are worth beyond what nodes that are
//! there could hold at most, which is the lower bound, and what each node loses: a new one what it
//! costs beyond what its content is worth, one that is there what it could hold beyond what it does.
//! The cheapest plan is the one that loses least. States are the pods that still wait. First each
//! node that is there is filled, in turn; then each step fills a new one that takes the first of
//! those that wait; the least loss so far goes first (Dijkstra). Only contents that lose
//! no more than a known plan does beyond the bound can be part of a better one. Where those are
//! too many, what was found until then is at least a higher bound.

use std::collections::{BTreeMap, BinaryHeap};

use foldhash::HashMap;

use super::columns::Model;
use super::dimensions::{self, Amounts};
use super::master::worth;
use super::ranked::Ranked;
use super::side_by_side::{Field, SideBySide};

/// More contents than this are too many.
const MOST_CONTENTS: usize = 200_000;
/// Steps to try when there is something else to try...
pub const QUICK: usize = 2_000_000;
/// ...and when there is not.
pub const THOROUGH: usize = 100_000_000;
/// More states than this are too many.
const MOST_STATES: usize = 1_000_000;
/// After so many states it is asked whether to stop: one takes a microsecond or two.
const LOOKS: u32 = 64;
/// A saving below this is rounding: prices are whole billionths.
const EPSILON: f64 = 1e-10;

/// A node that is there.
#[derive(Clone, Debug)]
pub struct There {
    /// What it has left.
    pub room: Amounts,
    /// The items that may go onto it, and how many of each at most.
    pub items: Vec<(usize, u32)>,
    /// What those that fit are worth at most.
    pub worth: f64,
}

/// Where a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On one of the nodes that are there.
    There(usize),
    /// On a new node of a machine.
    New(usize),
}

/// A node and what is on it: items and how many of each.
pub type Node = (Place, Vec<(usize, u32)>);

/// How many of the nodes that are there had their turn, and what waits.
type State = (usize, u128);

/// The least loss with which a state was reached; from which state, and by which content.
type Reached = (f64, Option<(State, usize, usize)>);

/// Takes a content; says whether to go on.
type Take<'t> = dyn FnMut(&[(usize, u32)]) -> bool + 't;

/// What the search came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// A plan cheaper than the known one, if there is one.
    pub nodes: Option<Vec<Node>>,
    /// What every plan costs at least: what the cheapest costs, if that was found out.
    pub bound: f64,
}

/// A way to fill a node.
struct Content {
    place: Place,
    loss: f64,
    counts: Vec<(usize, u32)>,
    /// The same, as a state.
    packed: u128,
    /// Items of which one more would fit.
    more: u128,
}

/// Looks for the cheapest plan. By `values` no content may be worth more than its machine; `known`
/// is what a known plan costs. Gives up after `most_steps`.
pub fn solve(
    model: &Model,
    there: &[There],
    values: &[f64],
    known: f64,
    most_steps: usize,
    stop: &mut dyn FnMut() -> bool,
) -> Outcome {
    let bound = model.total(values) - there.iter().map(|node| node.worth).sum::<f64>();
    let mut outcome = Outcome { nodes: None, bound };
    let gap = known - bound;
    let Some(packing) = Packing::of(model, values) else { return outcome };
    let Some(contents) = contents(model, there, values, gap, &packing, stop) else {
        return outcome;
    };
    let mut known_losses: HashMap<State, Reached> = HashMap::default();
    let mut open: BinaryHeap<Ranked<State>> = BinaryHeap::new();
    known_losses.insert((0, packing.all), (0.0, None));
    open.push(Ranked { rank: 0.0, of: (0, packing.all) });
    let (mut steps, mut looked) = (0, 0_u32);
    while let Some(Ranked { rank, of: state }) = open.pop() {
        let loss = -rank;
        outcome.bound = bound + loss;
        let (turn, waiting) = state;
        if turn == there.len() && waiting == 0 {
            outcome.nodes = Some(path(state, &known_losses, &contents));
            return outcome;
        }
        looked += 1;
        let is_over = looked.is_multiple_of(LOOKS) && stop();
        if is_over || steps > most_steps || known_losses.len() > MOST_STATES {
            return outcome;
        }
        if known_losses.get(&state).is_some_and(|(least, _)| *least < loss) {
            continue;
        }
        // New nodes come after those that are there, by the first of those that wait.
        let line = if turn < there.len() { turn } else { there.len() + packing.first(waiting) };
        for (index, content) in contents[line].iter().enumerate() {
            let next = loss + content.loss;
            if next >= gap - EPSILON {
                break;
            }
            steps += 1;
            let Some(left) = packing.take(waiting, content.packed) else { continue };
            // What fits may as well be there: whatever it leaves behind can only be cheaper.
            if left & content.more != 0 {
                continue;
            }
            let after = (there.len().min(turn + 1), left);
            let slot = known_losses.entry(after).or_insert((f64::INFINITY, None));
            if next < slot.0 {
                *slot = (next, Some((state, line, index)));
                open.push(Ranked { rank: -next, of: after });
            }
        }
    }
    // Nothing loses less than the known plan.
    outcome.bound = known;
    outcome
}

fn path(end: State, losses: &HashMap<State, Reached>, contents: &[Vec<Content>]) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut state = end;
    while let Some((_, Some((before, line, index)))) = losses.get(&state) {
        let content = &contents[*line][*index];
        nodes.push((content.place, content.counts.clone()));
        state = *before;
    }
    nodes.reverse();
    nodes
}

/// Counts of all items side by side in one number, the most valuable item lowest.
struct Packing {
    counts: SideBySide,
    /// For each rank the item, and where its count is.
    fields: Vec<(usize, Field)>,
    /// For each item its rank.
    ranks: Vec<usize>,
    /// For each bit the rank whose count it is part of.
    rank_at: Vec<usize>,
    all: u128,
}

impl Packing {
    /// `None` if there are too many pods of too many kinds.
    fn of(model: &Model, values: &[f64]) -> Option<Self> {
        let mut order: Vec<usize> = (0..model.items.len()).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        let mut packing = Self {
            counts: SideBySide::default(),
            fields: Vec::new(),
            ranks: vec![0; order.len()],
            rank_at: Vec::new(),
            all: 0,
        };
        for (rank, item) in order.into_iter().enumerate() {
            let count = u128::from(model.items[item].count);
            let field = packing.counts.add(count)?;
            packing.all |= field.put(count);
            packing.fields.push((item, field));
            packing.ranks[item] = rank;
            packing.rank_at.resize(packing.counts.len() as usize, rank);
        }
        Some(packing)
    }

    fn packed(&self, counts: &[(usize, u32)]) -> u128 {
        counts
            .iter()
            .map(|(item, count)| self.fields[self.ranks[*item]].1.put(u128::from(*count)))
            .sum()
    }

    /// The fields of items of which a node could take one more beside a content.
    fn more(
        &self,
        model: &Model,
        (room, items): (&Amounts, &[(usize, u32)]),
        counts: &[(usize, u32)],
    ) -> u128 {
        let mut room = room.clone();
        for (item, count) in counts {
            dimensions::take(&mut room, &model.items[*item].demand, *count);
        }
        let fits = |(item, most): &&(usize, u32)| {
            let there =
                counts.iter().find(|(other, _)| other == item).map_or(0, |(_, count)| *count);
            there < *most && dimensions::fits(&model.items[*item].demand, &room)
        };
        let field = |(item, _): &(usize, u32)| self.fields[self.ranks[*item]].1.bits();
        items.iter().filter(fits).map(field).fold(0, |all, field| all | field)
    }

    /// The rank of the first item that waits.
    fn first(&self, state: u128) -> usize {
        self.rank_at.get(state.trailing_zeros() as usize).copied().unwrap_or(0)
    }

    /// What waits when that was taken.
    fn take(&self, state: u128, content: u128) -> Option<u128> {
        self.counts.less(state, content)
    }
}

/// All contents that lose less than the gap, the least loss first: for each of the nodes that are
/// there, and then on the cheapest machine that holds them, by the rank of their first item. `None`
/// if they are too many.
fn contents(
    model: &Model,
    there: &[There],
    values: &[f64],
    gap: f64,
    packing: &Packing,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Vec<Vec<Content>>> {
    let mut lines: Vec<Vec<Content>> = Vec::new();
    let mut left = MOST_CONTENTS;
    for (index, node) in there.iter().enumerate() {
        let mut line = Vec::new();
        let least = node.worth - gap + EPSILON;
        let complete =
            enumerate(model, values, packing, node_of(node), least, stop, &mut |counts| {
                let loss = (node.worth - worth(values, counts)).max(0.0);
                let (counts, packed) = (counts.to_vec(), packing.packed(counts));
                let more = packing.more(model, node_of(node), &counts);
                line.push(Content { place: Place::There(index), loss, counts, packed, more });
                line.len() <= left
            });
        if !complete || stop() {
            return None;
        }
        left -= line.len();
        lines.push(line);
    }
    let mut found: BTreeMap<u128, (usize, Vec<(usize, u32)>)> = BTreeMap::new();
    let mut machines: Vec<usize> = (0..model.machines.len()).collect();
    machines
        .sort_by(|a, b| model.machines[*a].cost.total_cmp(&model.machines[*b].cost).then(a.cmp(b)));
    for machine in machines {
        let data = &model.machines[machine];
        let least = data.cost - gap + EPSILON;
        let node = (&data.room, data.items.as_slice());
        let complete = enumerate(model, values, packing, node, least, stop, &mut |counts| {
            if !counts.is_empty() {
                found.entry(packing.packed(counts)).or_insert_with(|| (machine, counts.to_vec()));
            }
            found.len() <= left
        });
        if !complete || stop() {
            return None;
        }
    }
    lines.resize_with(there.len() + model.items.len(), Vec::new);
    for (packed, (machine, counts)) in found {
        let data = &model.machines[machine];
        let loss = (data.cost - worth(values, &counts)).max(0.0);
        let more = packing.more(model, (&data.room, &data.items), &counts);
        let content = Content { place: Place::New(machine), loss, counts, packed, more };
        lines[there.len() + packing.first(packed)].push(content);
    }
    for line in &mut lines {
        line.sort_by(|a, b| a.loss.total_cmp(&b.loss).then(a.packed.cmp(&b.packed)));
    }
    Some(lines)
}

const fn node_of(node: &There) -> (&Amounts, &[(usize, u32)]) {
    (&node.room, node.items.as_slice())
}

/// Goes through the contents of a node that are worth at least so much. Whether it went through all
/// of them.
fn enumerate(
    model: &Model,
    values: &[f64],
    packing: &Packing,
    (room, items): (&Amounts, &[(usize, u32)]),
    least: f64,
    stop: &mut dyn FnMut() -> bool,
    found: &mut Take<'_>,
) -> bool {
    let mut items = items.to_vec();
    items.sort_by_key(|(item, _)| packing.ranks[*item]);
    let (counts, steps) = (Vec::new(), 0);
    Enumeration { model, values, items: &items, least, counts, steps }
        .run(0, room, 0.0, stop, found)
}

/// Goes through the contents of one machine that are worth at least so much.
struct Enumeration<'e> {
    model: &'e Model,
    values: &'e [f64],
    /// Items and how many at most, the most valuable first.
    items: &'e [(usize, u32)],
    least: f64,
    counts: Vec<(usize, u32)>,
    steps: usize,
}

impl Enumeration<'_> {
    /// Says whether it went through all of them.
    fn run(
        &mut self,
        at: usize,
        room: &[i64],
        value: f64,
        stop: &mut dyn FnMut() -> bool,
        found: &mut Take<'_>,
    ) -> bool {
        self.steps += 1;
        if self.steps > 20 * MOST_CONTENTS || (self.steps.is_multiple_of(1_024) && stop()) {
            return false;
        }
        let Some((item, most)) = self.items.get(at).copied() else {
            return value < self.least || found(&self.counts);
        };
        if value + self.at_most(at, room) < self.least {
            return true;
        }
        let demand = &self.model.items[item].demand;
        let mut left = room.to_vec();
        for count in 0..=most {
            if count > 0 {
                let fits =
                    demand.iter().zip(&left).all(|(wanted, has)| wanted <= has || *wanted <= 0);
                if !fits {
                    break;
                }
                left.iter_mut().zip(demand).for_each(|(has, wanted)| *has -= (*wanted).max(0));
                self.counts.push((item, count));
            }
            let value = value + f64::from(count) * self.values[item];
            let complete = self.run(at + 1, &left, value, stop, found);
            if count > 0 {
                self.counts.pop();
            }
            if !complete {
                return false;
            }
        }
        true
    }

    /// What items from there on are worth at most in that room: each dimension alone, by what the
    /// items give for a unit of it.
    fn at_most(&self, at: usize, room: &[i64]) -> f64 {
        let rest = &self.items[at..];
        let all: f64 = rest.iter().map(|(item, most)| self.values[*item] * f64::from(*most)).sum();
        let mut least = all;
        for (dimension, has) in room.iter().enumerate() {
            let rate = |(item, _): &(usize, u32)| {
                let wanted = self.model.items[*item].demand[dimension];
                if wanted > 0 { self.values[*item] / wanted as f64 } else { f64::INFINITY }
            };
            let best = rest.iter().map(rate).fold(0.0, f64::max);
            if best.is_finite() {
                least = least.min(best * (*has).max(0) as f64);
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::columns::{Item, Machine};
    use super::*;

    fn cost(model: &Model, nodes: &[Node]) -> f64 {
        let cost = |(place, _): &Node| match place {
            Place::New(machine) => model.machines[*machine].cost,
            Place::There(_) => 0.0,
        };
        nodes.iter().map(cost).sum()
    }

    #[test]
    fn nodes_that_are_there_are_filled_so_that_the_rest_is_cheapest() {
        // A node that is there takes a 5 or two 3s. New ones of 6 cost 1: with the 5 there, the 3s
        // share one, with the 3s there, the 5 needs one too; with one 3 there, two are needed.
        let items =
            [(5, 1), (3, 3)].map(|(size, count)| Item { demand: smallvec![size], count, kind: 0 });
        let items_on = vec![(0, 1), (1, 2)];
        let machine =
            Machine { candidate: 0, cost: 1.0, room: smallvec![6], items: items_on.clone() };
        let model = Model { items: items.to_vec(), machines: vec![machine] };
        let node = There { room: smallvec![6], items: items_on, worth: 1.0 };
        let values = [5.0 / 6.0, 0.5];
        let outcome = solve(&model, &[node], &values, 10.0, QUICK, &mut || false);
        assert!((outcome.bound - 2.0).abs() < 1e-9, "{outcome:?}");
        let nodes = outcome.nodes.unwrap();
        assert!((cost(&model, &nodes) - 2.0).abs() < 1e-9, "{nodes:?}");
        assert_eq!(nodes[0], (Place::There(0), vec![(1, 2)]));
    }

    #[test]
    fn the_cheapest_of_all_ways_is_found_and_proven() {
        // Three pods of 3 and two of 2 on machines of 6 for 1 and of 4 for 0.75: a 6 takes two 3s,
        // a 4 the third, a 4 the 2s: 2.5. All on 6s would be 3.
        let items =
            [(3, 3), (2, 2)].map(|(size, count)| Item { demand: smallvec![size], count, kind: 0 });
        let machine = |candidate: usize, room: i64, cost: f64| Machine {
            candidate,
            cost,
            room: smallvec![room],
            items: vec![(0, (room / 3) as u32), (1, 2)],
        };
        let model = Model {
            items: items.to_vec(),
            machines: vec![machine(0, 6, 1.0), machine(1, 4, 0.75)],
        };
        // A sixth a unit: nothing is worth more than its machine.
        let values = [0.5, 1.0 / 3.0];
        let outcome = solve(&model, &[], &values, 10.0, QUICK, &mut || false);
        assert!((outcome.bound - 2.5).abs() < 1e-9, "{outcome:?}");
        let nodes = outcome.nodes.unwrap();
        assert!((cost(&model, &nodes) - 2.5).abs() < 1e-9, "{nodes:?}");
        // Nothing is cheaper than a plan that costs as much.
        let outcome = solve(&model, &[], &values, 2.5, QUICK, &mut || false);
        assert!(outcome.nodes.is_none() && (outcome.bound - 2.5).abs() < 1e-9);
    }
}
