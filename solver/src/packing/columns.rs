//! Column generation: patterns of nodes, found where they pay, and the proof of how much they can
//! save at all.
//!
//! The [`Master`] problem says what a pod of each kind costs at the margin; for each machine the
//! best content at these values is a [`Knapsack`]. A content worth more than its machine is a new
//! column. If no machine can hold more than `1 / scale` times its cost, all pods' values times
//! `scale` are a lower bound (Farley's), for then no way to fill nodes beats its price. Values are
//! taken between the master's and those of the best bound so far (Wentges' smoothing), which
//! keeps the bound from jumping about.

use super::dimensions::Amounts;
use super::knapsack::Knapsack;
use super::master::{Column, Master};
use super::rounding::Packer;

/// How much work the search for one machine may be in one round, at first...
const SEARCH_WORK: u32 = 24;
/// ...and once nothing is found with less.
const MOST_WORK: u32 = 2_400;
/// How much more work a closer look is.
const CLOSER_LOOK: u32 = 10;
/// How many machines get a closer look in a round.
const CLOSER_LOOKS: usize = 6;
/// A round looks at this many machines at least.
const FEW_MACHINES: usize = 16;
/// The weight of the values of late, when a round's values are chosen.
const SMOOTHING: f64 = 0.5;
/// A master problem this close to the bound is solved.
const CLOSE: f64 = 1e-6;
/// A column must save at least this share of its cost.
const WORTH_IT: f64 = 1e-7;

/// Pods that are alike, as the models see them.
#[derive(Clone, Debug)]
pub struct Item {
    /// What one of them takes.
    pub demand: Amounts,
    /// How many there are.
    pub count: u32,
}

/// A machine that can be had, any number of times.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The pods.
    pub items: Vec<Item>,
    /// The machines.
    pub machines: Vec<Machine>,
}

/// What pricing all machines came to.
#[derive(Debug)]
pub struct Priced {
    /// The largest factor by which all values can be scaled so that no machine's content is worth
    /// more than the machine; may be above 1.
    pub scale: f64,
    /// The contents worth more than their machines.
    pub columns: Vec<Column>,
}

impl Model {
    /// Looks at every machine, with about so many parts of a search for each. `None` if `stop` cut
    /// it short.
    pub fn price(
        &self,
        knapsack: &mut Knapsack,
        values: &[f64],
        work: u32,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Priced> {
        let all: Vec<usize> = (0..self.machines.len()).collect();
        let mut ratios = vec![f64::INFINITY; self.machines.len()];
        let (columns, mut open) =
            self.price_some(knapsack, values, work, &all, &mut ratios, stop)?;
        let mut priced = Priced { scale: 0.0, columns };
        // The bound is as good as its worst machine: a closer look at those whose search was cut
        // short, as long as they are what it hangs on.
        for _ in 0..CLOSER_LOOKS {
            let worst =
                (0..ratios.len()).min_by(|left, right| ratios[*left].total_cmp(&ratios[*right]));
            let Some(at) = worst.and_then(|worst| open.iter().position(|index| *index == worst))
            else {
                break;
            };
            if stop() {
                break;
            }
            let index = open.swap_remove(at);
            let work = CLOSER_LOOK * work;
            let closer = self.price_one(knapsack, values, index, work, &mut priced.columns);
            ratios[index] = ratios[index].max(closer.0);
        }
        priced.scale = ratios.into_iter().fold(f64::INFINITY, f64::min);
        Some(priced)
    }

    /// Looks at some machines and keeps their ratios. Returns the columns that were found, and the
    /// machines whose search was cut short. `None` if `stop` cut it all short.
    fn price_some(
        &self,
        knapsack: &mut Knapsack,
        values: &[f64],
        work: u32,
        which: &[usize],
        ratios: &mut [f64],
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<(Vec<Column>, Vec<usize>)> {
        let (mut columns, mut open) = (Vec::new(), Vec::new());
        for index in which {
            if stop() {
                return None;
            }
            let (ratio, complete) = self.price_one(knapsack, values, *index, work, &mut columns);
            ratios[*index] = ratio;
            if !complete {
                open.push(*index);
            }
        }
        Some((columns, open))
    }

    /// The least cost of a machine for each unit of content, and whether the search was complete.
    fn price_one(
        &self,
        knapsack: &mut Knapsack,
        values: &[f64],
        index: usize,
        work: u32,
        columns: &mut Vec<Column>,
    ) -> (f64, bool) {
        let machine = &self.machines[index];
        knapsack.begin(&machine.room);
        for (item, most) in &machine.items {
            knapsack.add(*item, values[*item], &self.items[*item].demand, *most);
        }
        let mut bound = knapsack.relax();
        let mut complete = true;
        if bound > machine.cost {
            let best = knapsack.search(machine.cost, work);
            bound = bound.min(best.bound);
            complete = best.complete;
            for mut counts in best.contents {
                counts.sort_unstable();
                let (cost, candidate) = (machine.cost, machine.candidate);
                columns.push(Column { cost, candidate, counts });
            }
        }
        (if bound > 0.0 { machine.cost / bound } else { f64::INFINITY }, complete)
    }

    /// The same with no more than the `count` machines whose best content is worth most for their
    /// price, those that `known` columns use, and enough others for every item to have one.
    pub fn narrowed(&self, values: &[f64], count: usize, known: &[Column]) -> Self {
        let mut packer = Packer::new(self);
        packer.narrow(values, count);
        let mut kept = packer.machines().to_vec();
        let used = known.iter().filter_map(|column| packer.machine_of(column.candidate));
        kept.extend(used);
        kept.sort_unstable();
        kept.dedup();
        let machines = kept.into_iter().map(|machine| self.machines[machine].clone()).collect();
        Self { items: self.items.clone(), machines }
    }

    /// What all pods are worth together.
    pub fn total(&self, values: &[f64]) -> f64 {
        self.items.iter().zip(values).map(|(item, value)| f64::from(item.count) * value).sum()
    }

    /// For each item the machine that holds it alone at the lowest cost a pod.
    fn singles(&self) -> Option<Vec<Column>> {
        let mut best: Vec<Option<(f64, Column)>> = vec![None; self.items.len()];
        for machine in &self.machines {
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
pub struct Generation {
    /// The master problem.
    pub master: Master,
    /// Values that prove `bound`: no machine's content is worth more than it costs by them.
    pub values: Vec<f64>,
    /// What all pods cost at least.
    pub bound: f64,
    /// The mean of the master's values of late: steadier than the last ones.
    pub recent: Vec<f64>,
    /// Rounds of pricing done.
    pub rounds: u32,
}

impl Generation {
    /// Begins with patterns that are known already. `None` if some item fits on no machine.
    pub fn begin(model: &Model, known: Vec<Column>) -> Option<Self> {
        let needs: Vec<f64> = model.items.iter().map(|item| f64::from(item.count)).collect();
        let mut master = Master::new(&needs, model.singles()?);
        known.into_iter().for_each(|column| master.add(column));
        let values = vec![0.0; needs.len()];
        Some(Self { master, recent: values.clone(), values, bound: 0.0, rounds: 0 })
    }

    /// Generates columns for that many rounds, until nothing can be gained any more, or until
    /// `stop`.
    ///
    /// Most rounds only look at the machines that did best of late. When they give no columns any
    /// more all are looked at, which also gives a bound.
    pub fn run(&mut self, model: &Model, most_rounds: u32, stop: &mut dyn FnMut() -> bool) {
        let mut knapsack = Knapsack::default();
        let mut ratios = vec![0.0; model.machines.len()];
        let mut smoothing = SMOOTHING;
        let mut work = SEARCH_WORK;
        let mut look_at_all = false;
        self.master.optimise(stop);
        for _ in 0..most_rounds {
            if stop() || self.master.cost() <= self.bound * (1.0 + CLOSE) {
                return;
            }
            let mix = if self.rounds > 0 { smoothing } else { 0.0 };
            let values = self.mixed(mix);
            let columns = if look_at_all {
                let Some(priced) = model.price(&mut knapsack, &values, work, stop) else { return };
                let bound = priced.scale * model.total(&values);
                if bound.is_finite() && bound > self.bound {
                    self.bound = bound;
                    self.values = values.iter().map(|value| value * priced.scale).collect();
                }
                priced.columns
            } else {
                let which = best_of(&ratios);
                let some =
                    model.price_some(&mut knapsack, &values, work, &which, &mut ratios, stop);
                let Some((columns, _)) = some else { return };
                columns
            };
            self.rounds += 1;
            self.recent = if self.rounds == 1 { values } else { self.mixed(0.7) };
            let before = self.master.columns().len();
            for column in columns {
                if self.master.reduced_cost(&column) < -WORTH_IT * column.cost {
                    self.master.add(column);
                }
            }
            if self.master.columns().len() > before {
                smoothing = SMOOTHING;
                look_at_all = false;
                self.master.optimise(stop);
            } else if mix > 0.0 {
                // Nothing new between the two: next the master's own values.
                smoothing = 0.0;
            } else if !look_at_all {
                look_at_all = true;
            } else if work < MOST_WORK {
                work *= 10;
            } else {
                return;
            }
        }
    }

    /// Values between the master's and those of late.
    fn mixed(&self, mix: f64) -> Vec<f64> {
        let pairs = self.master.duals().iter().zip(&self.recent);
        pairs.map(|(dual, recent)| dual.max(0.0) * (1.0 - mix) + recent * mix).collect()
    }
}

/// The machines with the lowest ratios: those that content is worth most on for their price, and
/// those never looked at.
fn best_of(ratios: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ratios.len()).collect();
    order.sort_by(|left, right| ratios[*left].total_cmp(&ratios[*right]).then(left.cmp(right)));
    let unknown = ratios.iter().filter(|ratio| **ratio == 0.0).count();
    order.truncate(unknown.max(FEW_MACHINES.max(ratios.len() / 8)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(items: &[(i64, i64, u32)], machines: &[(i64, i64, f64)]) -> Model {
        let items: Vec<Item> = items
            .iter()
            .map(|(cpu, memory, count)| Item { demand: vec![*cpu, *memory], count: *count })
            .collect();
        let all: Vec<(usize, u32)> =
            items.iter().enumerate().map(|(index, item)| (index, item.count)).collect();
        let machines = machines
            .iter()
            .enumerate()
            .map(|(index, (cpu, memory, cost))| Machine {
                candidate: index,
                cost: *cost,
                room: vec![*cpu, *memory],
                items: all.clone(),
            })
            .collect();
        Model { items, machines }
    }

    fn solved(model: &Model) -> Generation {
        let mut generation = Generation::begin(model, Vec::new()).unwrap();
        generation.run(model, 1_000, &mut || false);
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
        assert!(Generation::begin(&model(&[(11, 1, 1)], &[(10, 10, 1.0)]), Vec::new()).is_none());
    }
}
