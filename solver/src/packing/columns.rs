//! Column generation: patterns of nodes, found where they pay, and the proof of how much they can
//! save at all.
//!
//! The [`Master`] problem says what a pod of each kind costs at the margin; for each machine the
//! best content at these values is a [`Knapsack`]. A content worth more than its machine is a new
//! column. If no machine's content is worth more than `worth` times its cost, all pods' values
//! divided by `worth` are a lower bound (Farley's), for then no way to fill nodes beats its price.
//! Values are taken between the master's and those of the best bound so far (Wentges' smoothing),
//! which keeps the bound from jumping about. Where there are many kinds of pod, they share
//! [`Rows`] at first, and each time the solution is nearly known they get more. How closely machines
//! are looked at depends on how far the bound is from what the master's solution costs: values
//! between the two are worth little if a loose bound says so.

use super::Stop;
use super::dimensions::Amounts;
use super::master::{Column, Master};
use super::pricing::{Look, Pricing};
use super::rows::{Marks, Rows};
use super::work;

/// How closely a machine's best content must be known, as a share of what the bound lacks...
const PRECISION: f64 = 0.2;
/// ...and as a share of what it is worth.
const LEAST_PRECISION: f64 = 0.01;
/// Values that take no more than this share off what the bound lacks are no nearer to the best.
const NEARER: f64 = 0.1;
/// The weight of the values of the best bound, when a round's values are chosen.
const SMOOTHING: f64 = 0.5;
/// A master problem this close to the bound is solved.
const CLOSE: f64 = 1e-6;
/// How much more than its content is worth a column may cost to be kept when rows change.
const KEPT: f64 = 0.1;
/// A master problem of few rows this close to the bound gets more.
const CLOSE_FOR_NOW: f64 = 0.015;
/// There must be time for so many times what the last rows took, when there are to be more.
const NEXT_STAGE: f64 = 2.0;
/// A column must save at least this share of its cost.
const WORTH_IT: f64 = 1e-7;

/// Pods that are alike, as the models see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What one of them takes.
    pub demand: Amounts,
    /// How many there are.
    pub count: u32,
    /// Items of one kind may go onto the same machines, if they fit, and differ in what they take
    /// only.
    pub kind: usize,
}

/// A machine that can be had, any number of times.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Whatever the caller calls it.
    pub candidate: usize,
    /// What it costs.
    pub cost: f64,
    /// What it has.
    pub room: Amounts,
    /// The items that may go onto it, and how many of each at most.
    pub items: Vec<(usize, u32)>,
}

/// What there is to pack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The pods.
    pub items: Vec<Item>,
    /// The machines.
    pub machines: Vec<Machine>,
}

impl Model {
    /// What all pods are worth together.
    pub fn total(&self, values: &[f64]) -> f64 {
        self.items.iter().zip(values).map(|(item, value)| f64::from(item.count) * value).sum()
    }

    /// For each item the machine that holds it alone at the lowest cost a pod. `None` if there is
    /// none for one of them, or `stop` cut it short.
    pub(super) fn singles(&self, stop: &mut dyn FnMut() -> bool) -> Option<Vec<Column>> {
        let mut best: Vec<Option<(f64, Column)>> = vec![None; self.items.len()];
        for machine in &self.machines {
            if stop() {
                return None;
            }
            work::done(machine.items.len() * machine.room.len());
            for (item, most) in &machine.items {
                let room = super::dimensions::room(&self.items[*item].demand, &machine.room);
                let count = room.min(*most);
                if count == 0 {
                    continue;
                }
                let each = machine.cost / f64::from(count);
                if best[*item].as_ref().is_none_or(|(least, _)| each < *least) {
                    let counts = vec![(*item, count)];
                    let column =
                        Column { cost: machine.cost, candidate: machine.candidate, counts };
                    best[*item] = Some((each, column));
                }
            }
        }
        best.into_iter().map(|best| best.map(|(_, column)| column)).collect()
    }
}

/// Column generation under way.
#[derive(Debug)]
pub struct Generation<'m> {
    model: &'m Model,
    pricing: Pricing<'m>,
    rows: Rows,
    /// For each item the column of it alone that costs least a pod.
    singles: Vec<Column>,
    /// The master problem.
    pub master: Master,
    /// Values that prove `bound`: no machine's content is worth more than it costs by them.
    pub values: Vec<f64>,
    /// What all pods cost at least.
    pub bound: f64,
    /// Rounds of pricing done.
    pub rounds: u32,
}

impl<'m> Generation<'m> {
    /// Begins with patterns that are known already. `None` if some item fits on no machine, or
    /// `stop` left no time to begin.
    pub fn begin(
        model: &'m Model,
        known: Vec<Column>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Self> {
        let singles = model.singles(stop)?;
        let each = each(&singles);
        let alone = model.items.iter().zip(&each).map(|(item, each)| f64::from(item.count) * each);
        let marks = Marks::of(model, singles.iter().zip(alone));
        let rows = Rows::first(model, &each, &marks);
        let master = Master::new(&rows.needs(model), &rows.dearest(&singles));
        let values = vec![0.0; model.items.len()];
        let mut generation = Self {
            model,
            pricing: Pricing::new(model),
            rows,
            singles: singles.clone(),
            master,
            values,
            bound: 0.0,
            rounds: 0,
        };
        singles.into_iter().chain(known).for_each(|column| generation.add(column));
        Some(generation)
    }

    /// Gives more rows to the master, about twice as many, where items differ most.
    fn refine(&mut self) {
        let values = self.duals();
        let spent = self.master.solution().map(|(column, level)| (column, column.cost * level));
        let marks = Marks::of(self.model, spent);
        let rows = self.rows.refined(self.model, &values, &marks, 2 * self.rows.len());
        let master = Master::new(&rows.needs(self.model), &rows.dearest(&self.singles));
        let old = std::mem::replace(&mut self.master, master);
        self.rows = rows;
        for column in old.into_columns() {
            let beyond = column.cost - super::master::worth(&values, &column.counts);
            if beyond <= KEPT * column.cost {
                self.add(column);
            }
        }
    }

    /// What a pod of each item is worth by the master.
    pub fn duals(&self) -> Vec<f64> {
        self.rows.values(self.master.duals())
    }

    /// Generates columns until nothing can be gained any more, until there were so many rounds, or
    /// until `stop` after `until` of the time. Begins with few rows and goes on with more as long
    /// as there is time for them.
    pub fn run(&mut self, most_rounds: u32, until: f64, stop: &dyn Stop) {
        loop {
            let begun = stop.spent();
            let mut stopped = || stop.spent() >= until;
            let close = if self.rows.is_exact() { CLOSE } else { CLOSE_FOR_NOW };
            self.run_with_these_rows(close, most_rounds, &mut stopped);
            let now = stop.spent();
            let enough_time = now + NEXT_STAGE * (now - begun) < until;
            if self.rounds >= most_rounds || self.rows.is_exact() {
                return;
            }
            if !enough_time {
                // What is left is of more use to these rows.
                self.run_with_these_rows(CLOSE, most_rounds, &mut stopped);
                return;
            }
            self.refine();
        }
    }

    /// Adds a column that was found elsewhere.
    pub fn add(&mut self, column: Column) {
        let covers = self.rows.of(&column);
        self.master.add(column, covers);
    }

    /// Looks what bound values prove that were found elsewhere.
    pub fn suggest(&mut self, values: &[f64], stop: &mut dyn FnMut() -> bool) {
        if self.model.total(values) <= self.bound {
            return;
        }
        let priced = self.pricing.price(values, LEAST_PRECISION, Look::Usual, stop);
        if let Some(priced) = priced {
            self.learn(values, priced.worth);
            priced.columns.into_iter().for_each(|column| self.add(column));
        }
    }

    /// Proves as good a bound as the master's values give, as far as there is time.
    pub fn prove(&mut self, stop: &mut dyn FnMut() -> bool) {
        let values = self.mixed(0.0);
        let gap = self.gap();
        if gap <= CLOSE || self.model.total(&values) <= self.bound {
            return;
        }
        let tolerance = (PRECISION * gap).min(LEAST_PRECISION);
        if let Some(priced) = self.pricing.price(&values, tolerance, Look::Thorough, stop) {
            self.learn(&values, priced.worth);
        }
    }

    fn run_with_these_rows(
        &mut self,
        close: f64,
        most_rounds: u32,
        stop: &mut dyn FnMut() -> bool,
    ) {
        let mut smoothing = SMOOTHING;
        let mut look = Look::Usual;
        self.master.optimise(stop);
        while self.rounds < most_rounds {
            let gap = self.gap();
            if stop() || gap <= close {
                return;
            }
            let mix = if self.bound > 0.0 { smoothing } else { 0.0 };
            let values = self.mixed(mix);
            let tolerance = (PRECISION * gap).min(LEAST_PRECISION);
            let Some(priced) = self.pricing.price(&values, tolerance, look, stop) else { return };
            let lacked = self.master.cost() - self.bound;
            let before = self.bound;
            self.learn(&values, priced.worth);
            let nearer = self.bound - before > NEARER * lacked;
            self.rounds += 1;
            let mut fresh = false;
            for column in priced.columns {
                let covers = self.rows.of(&column);
                fresh |= self.master.add_if_worth(column, covers, WORTH_IT);
            }
            if fresh {
                self.master.optimise(stop);
            }
            if fresh || nearer {
                (smoothing, look) = (SMOOTHING, Look::Usual);
            } else if mix > 0.0 {
                // Nothing new between the two: next the master's own values.
                smoothing = 0.0;
            } else if priced.rests && look == Look::Usual {
                look = Look::Thorough;
            } else {
                return;
            }
        }
    }

    /// What the bound lacks, as a share of it.
    fn gap(&self) -> f64 {
        self.master.cost() / self.bound.max(f64::MIN_POSITIVE) - 1.0
    }

    /// Keeps the bound that values prove by which no machine's content is worth more than `worth`
    /// times its cost.
    fn learn(&mut self, values: &[f64], worth: f64) {
        let scale = 1.0 / worth.max(1e-9);
        let bound = scale * self.model.total(values);
        if bound > self.bound {
            self.bound = bound;
            self.values = values.iter().map(|value| value * scale).collect();
        }
    }

    /// Values between the master's and those of the best bound.
    fn mixed(&self, mix: f64) -> Vec<f64> {
        let duals = self.duals();
        let pairs = duals.iter().zip(&self.values);
        pairs.map(|(dual, best)| dual.max(0.0) * (1.0 - mix) + best * mix).collect()
    }

    /// Whether each item has a row of its own, so that the solution tells how many nodes of each
    /// pattern there should be.
    pub fn is_exact(&self) -> bool {
        self.rows.is_exact()
    }
}

/// What one of each item costs on a machine of its own kind alone.
pub(super) fn each(singles: &[Column]) -> Vec<f64> {
    let count = |single: &Column| single.counts.first().map_or(1.0, |(_, count)| f64::from(*count));
    singles.iter().map(|single| single.cost / count(single)).collect()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::Never;
    use super::*;

    fn model(items: &[(i64, i64, u32)], machines: &[(i64, i64, f64)]) -> Model {
        let items: Vec<Item> = items
            .iter()
            .map(|(cpu, memory, count)| Item {
                demand: smallvec![*cpu, *memory],
                count: *count,
                kind: 0,
            })
            .collect();
        let all: Vec<(usize, u32)> =
            items.iter().enumerate().map(|(index, item)| (index, item.count)).collect();
        let machines = machines
            .iter()
            .enumerate()
            .map(|(index, (cpu, memory, cost))| Machine {
                candidate: index,
                cost: *cost,
                room: smallvec![*cpu, *memory],
                items: all.clone(),
            })
            .collect();
        Model { items, machines }
    }

    fn solved(model: &Model) -> Generation<'_> {
        let mut generation = Generation::begin(model, Vec::new(), &mut || false).unwrap();
        generation.run(1_000, 1.0, &Never);
        generation
    }

    #[test]
    fn complementary_pods_share_machines_and_the_bound_meets_the_cost() {
        // CPU-heavy and memory-heavy pods: two of each fill a machine.
        let model = model(&[(4, 1, 100), (1, 4, 100)], &[(10, 10, 1.0)]);
        let generation = solved(&model);
        assert!((generation.master.cost() - 50.0).abs() < 1e-4, "{}", generation.master.cost());
        assert!((generation.bound - 50.0).abs() < 1e-4, "{}", generation.bound);
    }

    #[test]
    fn the_cutting_stock_problem_of_textbooks() {
        // Rolls of 9 into 3s, 6s and 7s: 7, 6+3 or 3+3+3 from a roll.
        let model = model(&[(3, 0, 25), (6, 0, 20), (7, 0, 18)], &[(9, 1, 1.0)]);
        let generation = solved(&model);
        // 18 sevens alone, 20 sixes with a three each, 5 threes in thirds of a roll.
        let expected = 18.0 + 20.0 + 5.0 / 3.0;
        assert!((generation.master.cost() - expected).abs() < 1e-4);
        assert!((generation.bound - expected).abs() < 1e-4);
    }

    #[test]
    fn an_item_that_fits_nowhere_is_told() {
        let model = model(&[(11, 1, 1)], &[(10, 10, 1.0)]);
        assert!(Generation::begin(&model, Vec::new(), &mut || false).is_none());
    }
}
