//! From a solution in which nodes are cut up to whole nodes.

use std::collections::BinaryHeap;

use super::columns::{Generation, Model};
use super::master::Column;
use super::pricing::Pricing;
use super::ranked::Ranked;

/// How much work the search for one content may be.
const SEARCH_WORK: u32 = 6;
/// No pod is worth less than this share of what pods are worth on average.
const LEAST: f64 = 1e-3;
/// Where there are more items than this...
const MANY: usize = 200;
/// ...a content that gives this share of what any other may give is good enough: to look for the best
/// of all among hundreds of machines that give nearly as much takes twice the time.
const GOOD_ENOUGH: f64 = 0.99;
/// The next content is looked for among those that give about as much for their price as the last.
const LAST: f64 = 0.97;

/// Takes a content of a machine, by its index, off what waits; says whether to go on.
pub type Launch<'l> = dyn FnMut(usize, &[(usize, u32)], &mut [u32]) -> bool + 'l;

/// Fills machines one after the other, each time the one that gives most for its price.
#[derive(Debug)]
pub struct Packer<'m> {
    model: &'m Model,
    pricing: Pricing<'m>,
    /// Machines that are looked at.
    machines: Vec<usize>,
    /// Which share of what any other content may give is good enough.
    good_enough: f64,
}

/// A content that was found, with its value for money.
struct Found {
    efficiency: f64,
    counts: Vec<(usize, u32)>,
}

impl<'m> Packer<'m> {
    /// Fills machines of the model.
    pub fn new(model: &'m Model) -> Self {
        Self {
            model,
            pricing: Pricing::new(model),
            machines: (0..model.machines.len()).collect(),
            good_enough: if model.items.len() > MANY { GOOD_ENOUGH } else { 1.0 },
        }
    }

    /// Looks at no more than the `count` machines whose best content is worth most for their
    /// price, but at one for each item at least. Looks at all where `stop` leaves no time to tell.
    pub fn narrow(&mut self, values: &[f64], count: usize, stop: &mut dyn FnMut() -> bool) {
        let all: Vec<u32> = self.model.items.iter().map(|item| item.count).collect();
        let mut rated: Vec<(f64, usize)> = Vec::with_capacity(self.model.machines.len());
        for machine in 0..self.model.machines.len() {
            if stop() {
                return;
            }
            rated.push((self.rate(machine, &all, values), machine));
        }
        rated.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        let mut covered = vec![false; all.len()];
        self.machines.clear();
        for (rank, (_, machine)) in rated.into_iter().enumerate() {
            let items = &self.model.machines[machine].items;
            if rank < count || items.iter().any(|(item, _)| !covered[*item]) {
                items.iter().for_each(|(item, _)| covered[*item] = true);
                self.machines.push(machine);
            }
        }
        self.machines.sort_unstable();
    }

    /// The relaxed value for money of a machine's best content.
    fn rate(&mut self, machine: usize, waiting: &[u32], values: &[f64]) -> f64 {
        self.pricing.bound(machine, values, waiting) / self.model.machines[machine].cost
    }

    /// Fills machines until nothing waits any more, with contents of `columns` too. Each content
    /// is handed to `launch`, with the machine's index, which takes what it really takes off what
    /// waits, and says whether to go on. Values must be positive.
    pub fn pack(
        &mut self,
        waiting: &mut [u32],
        values: &[f64],
        columns: &[&Column],
        launch: &mut Launch<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        // Value for money only falls while pods go, nearly always: only the best is looked at
        // again.
        let machines = self.machines.iter().map(|machine| Source::Machine(*machine));
        let sources = machines.chain((0..columns.len()).map(Source::Column));
        let mut known: BinaryHeap<Promise> =
            sources.map(|source| Ranked { rank: f64::INFINITY, of: source }).collect();
        let mut floor = 0.0;
        while waiting.iter().any(|count| *count > 0) {
            if stop() {
                return false;
            }
            let found = match self.best(&mut known, waiting, values, columns, floor, stop) {
                None if floor > 0.0 => self.best(&mut known, waiting, values, columns, 0.0, stop),
                found => found,
            };
            let Some((machine, found)) = found else { return false };
            floor = found.efficiency * LAST;
            loop {
                if !launch(machine, &found.counts, waiting) {
                    return false;
                }
                // The best content stays the best while there is enough of all that is in it.
                if stop() || found.counts.iter().any(|(item, count)| waiting[*item] < *count) {
                    break;
                }
            }
        }
        true
    }

    /// A content that gives about most for its price, if that is more than `floor` and there was
    /// time to find it.
    fn best(
        &mut self,
        known: &mut BinaryHeap<Promise>,
        waiting: &[u32],
        values: &[f64],
        columns: &[&Column],
        floor: f64,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<(usize, Found)> {
        let mut best: Option<(usize, Found)> = None;
        let mut looked_at: Vec<Promise> = Vec::new();
        loop {
            let limit = best.as_ref().map_or(floor, |(_, found)| found.efficiency);
            if known.peek().is_none_or(|promise| self.good_enough * promise.rank <= limit) {
                break;
            }
            if stop() {
                return None;
            }
            let Some(mut promise) = known.pop() else { break };
            let found = match promise.of {
                Source::Machine(machine) => {
                    let cost = self.model.machines[machine].cost;
                    let least = limit * cost;
                    let pricing = &mut self.pricing;
                    let content = pricing.best(machine, values, waiting, least, SEARCH_WORK, stop);
                    content.map(|(worth, counts)| {
                        (machine, Found { efficiency: worth / cost, counts })
                    })
                }
                Source::Column(column) => {
                    let machine = self.machine_of(columns[column].candidate);
                    machine.map(|machine| (machine, shortened(columns[column], waiting, values)))
                }
            };
            // Nothing better than the limit: that is all that is known of it.
            promise.rank = found.as_ref().map_or(limit, |(_, found)| found.efficiency);
            if promise.rank > 0.0 {
                looked_at.push(promise);
            }
            if let Some((machine, found)) = found
                && found.efficiency > limit
            {
                best = Some((machine, found));
            }
        }
        known.extend(looked_at);
        best
    }

    /// The machine that stands for a candidate.
    pub fn machine_of(&self, candidate: usize) -> Option<usize> {
        self.model.machines.binary_search_by_key(&candidate, |machine| machine.candidate).ok()
    }
}

/// Where a content comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Machine(usize),
    Column(usize),
}

/// A source, by what it gives for its price at most.
type Promise = Ranked<Source>;

/// As much of a column's content as waits.
fn shortened(column: &Column, waiting: &[u32], values: &[f64]) -> Found {
    let counts: Vec<(usize, u32)> = column
        .counts
        .iter()
        .map(|(item, count)| (*item, (*count).min(waiting[*item])))
        .filter(|(_, count)| *count > 0)
        .collect();
    let value: f64 = counts.iter().map(|(item, count)| values[*item] * f64::from(*count)).sum();
    Found { efficiency: value / column.cost, counts }
}

/// Values for packing: even a pod that is worth nothing needs a place.
pub fn positive(model: &Model, values: &[f64]) -> Vec<f64> {
    let pods: u32 = model.items.iter().map(|item| item.count).sum();
    let mean = model.total(values) / f64::from(pods.max(1));
    values.iter().map(|value| value.max(LEAST * mean).max(1e-12)).collect()
}

/// The columns in use and how many whole nodes of each; and all of them, for the rest.
pub fn whole<'g>(generation: &'g Generation<'_>) -> (Vec<(&'g Column, u32)>, Vec<&'g Column>) {
    let mut floors = Vec::new();
    let mut all = Vec::new();
    for (column, level) in generation.master.solution() {
        let whole = (level + 1e-6).floor().max(0.0) as u32;
        if whole > 0 {
            floors.push((column, whole));
        }
        all.push(column);
    }
    (floors, all)
}
