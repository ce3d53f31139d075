//! From a solution in which nodes are cut up to whole nodes.

use super::columns::{Generation, Model};
use super::knapsack::Knapsack;
use super::master::Column;

/// How much work the search for one content may be.
const SEARCH_WORK: u32 = 6;

/// Takes a content of a machine, by its index, off what waits; says whether to go on.
pub type Launch<'l> = dyn FnMut(usize, &[(usize, u32)], &mut [u32]) -> bool + 'l;

/// Fills machines one after the other, each time the one that gives most for its price.
#[derive(Debug)]
pub struct Packer<'m> {
    model: &'m Model,
    knapsack: Knapsack,
    /// Machines that are looked at.
    machines: Vec<usize>,
}

/// A content that was found, with its value for money.
struct Found {
    efficiency: f64,
    counts: Vec<(usize, u32)>,
}

impl<'m> Packer<'m> {
    /// Fills machines of the model.
    pub fn new(model: &'m Model) -> Self {
        Self { model, knapsack: Knapsack::default(), machines: (0..model.machines.len()).collect() }
    }

    /// Looks at no more than the `count` machines whose best content is worth most for their
    /// price, but at one for each item at least.
    pub fn narrow(&mut self, values: &[f64], count: usize) {
        let all: Vec<u32> = self.model.items.iter().map(|item| item.count).collect();
        let mut rated: Vec<(f64, usize)> = (0..self.model.machines.len())
            .map(|machine| (self.rate(machine, &all, values), machine))
            .collect();
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

    /// The machines that are looked at.
    pub fn machines(&self) -> &[usize] {
        &self.machines
    }

    /// The relaxed value for money of a machine's best content.
    fn rate(&mut self, machine: usize, waiting: &[u32], values: &[f64]) -> f64 {
        self.begin(machine, waiting, values);
        self.knapsack.relax() / self.model.machines[machine].cost
    }

    fn begin(&mut self, machine: usize, waiting: &[u32], values: &[f64]) {
        let data = &self.model.machines[machine];
        self.knapsack.begin(&data.room);
        for (item, most) in &data.items {
            let count = waiting[*item].min(*most);
            if count > 0 {
                self.knapsack.add(*item, values[*item], &self.model.items[*item].demand, count);
            }
        }
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
        let mut machines: Vec<(f64, usize)> =
            self.machines.iter().map(|machine| (f64::INFINITY, *machine)).collect();
        let mut known: Vec<(f64, usize)> =
            (0..columns.len()).map(|column| (f64::INFINITY, column)).collect();
        while waiting.iter().any(|count| *count > 0) {
            if stop() {
                return false;
            }
            let mut best: Option<(usize, Found)> = None;
            loop {
                let limit = best.as_ref().map_or(0.0, |(_, found)| found.efficiency);
                let at = |list: &[(f64, usize)]| {
                    let most = (0..list.len()).max_by(|left, right| {
                        list[*left].0.total_cmp(&list[*right].0).then(right.cmp(left))
                    });
                    most.filter(|at| list[*at].0 > limit)
                };
                let (machine, column) = (at(&machines), at(&known));
                let take_column = match (machine, column) {
                    (None, None) => break,
                    (Some(machine), Some(column)) => known[column].0 > machines[machine].0,
                    (machine, _) => machine.is_none(),
                };
                let (list, at) =
                    if take_column { (&mut known, column) } else { (&mut machines, machine) };
                let Some(at) = at else { break };
                let index = list[at].1;
                let (machine, found) = if take_column {
                    let column = columns[index];
                    let Some(machine) = self.machine_of(column.candidate) else {
                        known.swap_remove(at);
                        continue;
                    };
                    (machine, shortened(column, waiting, values))
                } else {
                    (index, self.content(index, waiting, values))
                };
                let list = if take_column { &mut known } else { &mut machines };
                list[at].0 = found.efficiency;
                if found.efficiency <= 0.0 {
                    list.swap_remove(at);
                } else if found.efficiency > limit {
                    best = Some((machine, found));
                }
            }
            let Some((machine, found)) = best else { return false };
            if !launch(machine, &found.counts, waiting) {
                return false;
            }
        }
        true
    }

    /// The machine that stands for a candidate.
    pub fn machine_of(&self, candidate: usize) -> Option<usize> {
        self.model.machines.binary_search_by_key(&candidate, |machine| machine.candidate).ok()
    }

    fn content(&mut self, machine: usize, waiting: &[u32], values: &[f64]) -> Found {
        self.begin(machine, waiting, values);
        let best = self.knapsack.search(0.0, SEARCH_WORK);
        let mut counts = best.contents.into_iter().next().unwrap_or_default();
        counts.sort_unstable();
        let value: f64 = counts.iter().map(|(item, count)| values[*item] * f64::from(*count)).sum();
        Found { efficiency: value / self.model.machines[machine].cost, counts }
    }
}

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

/// The columns in use and how many whole nodes of each; and all of them, for the rest.
pub fn whole(generation: &Generation) -> (Vec<(&Column, u32)>, Vec<&Column>) {
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
