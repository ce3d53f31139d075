//! Which contents are worth more than their machines, and how much more any content can be.
//!
//! Three looks at a machine, each dearer and closer than the one before. What a dimension was
//! worth the last time gives a bound at once, whatever it was: by Lagrange's relaxation a content
//! is worth no more than its machine's room at these prices and what pods are worth beyond the
//! room they take. The same bound says which pods cannot be in any content worth having; among
//! the others the linear relaxation is solved. Only where that promises something, contents are
//! searched for: kind by kind where their room can be left in few ways, or else by branch and bound.

use std::ops::Range;

use super::columns::Model;
use super::knapsack::{Best, Knapsack};
use super::master::{self, Column};
use super::work;

/// How many machines are relaxed in a quick round.
const RELAXED: usize = 96;
/// How many machines' contents are searched in a round.
const SEARCHED: usize = 16;
/// In how many ways the room of a machine can be left at most that is searched in layers...
const FEW_CELLS: f64 = 2e4;
/// ...and that of one which gets a closer look.
const MANY_CELLS: f64 = 4e5;
/// How many items are looked at where nodes are packed one after the other.
const SMALL_CORE: usize = 24;
/// How much more work a closer look is.
const CLOSER_LOOK: u32 = 10;
/// How many machines get a closer look.
const CLOSER_LOOKS: usize = 6;

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// For contents worth more than their machines; the bound is what comes with it.
    Quick,
    /// Until it is known how good the bound is.
    Close,
}

/// How much the search for one machine's best content may be.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// So many parts of the tree that branch and bound divides.
    parts: u32,
    /// In layers only where room can be left in no more ways.
    cells: f64,
}

/// What pricing came to.
#[derive(Debug, Default)]
pub struct Priced {
    /// What the content of any machine is worth at most, as a multiple of the machine's cost.
    pub worth: f64,
    /// Contents worth more than their machines.
    pub columns: Vec<Column>,
}

/// Which items there are to choose from.
#[derive(Clone, Copy, Debug)]
enum Waiting<'w> {
    /// All.
    All,
    /// So many of each.
    Only(&'w [u32]),
}

impl Waiting<'_> {
    fn of(self, item: usize, most: u32) -> u32 {
        match self {
            Self::All => most,
            Self::Only(waiting) => most.min(waiting[item]),
        }
    }
}

/// Prices the machines of a model again and again.
#[derive(Debug)]
pub struct Pricing<'m> {
    model: &'m Model,
    dimensions: usize,
    /// What one of each item takes, one row of `dimensions` an item.
    demands: Vec<f64>,
    /// What each machine has.
    rooms: Vec<f64>,
    /// What a unit of each dimension was worth the last time, by machine.
    prices: Vec<f64>,
    knapsack: Knapsack,
    /// Items of the machine that was looked at last, how many there may be of each, and what one is
    /// worth beyond the room it takes.
    choices: Vec<(usize, u32, f64)>,
}

impl<'m> Pricing<'m> {
    /// Prices machines of that model.
    pub fn new(model: &'m Model) -> Self {
        let floats = |list: &[i64]| list.iter().map(|amount| *amount as f64).collect::<Vec<f64>>();
        let rooms: Vec<f64> =
            model.machines.iter().flat_map(|machine| floats(&machine.room)).collect();
        Self {
            model,
            dimensions: model.machines.first().map_or(0, |machine| machine.room.len()),
            demands: model.items.iter().flat_map(|item| floats(&item.demand)).collect(),
            prices: vec![0.0; rooms.len()],
            rooms,
            knapsack: Knapsack::default(),
            choices: Vec::new(),
        }
    }

    /// Looks at the machines. Contents worth no more than their machines are not told apart. `None`
    /// if `stop` cut it short.
    pub fn price(
        &mut self,
        values: &[f64],
        work: u32,
        look: Look,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Priced> {
        let model = self.model;
        let machines = model.machines.len();
        let mut worth: Vec<f64> = Vec::with_capacity(machines);
        for (machine, data) in model.machines.iter().enumerate() {
            if stop() {
                return None;
            }
            worth.push(self.at_most(machine, values, Waiting::All) / data.cost);
        }
        let mut most = 1.0_f64;
        for (rank, machine) in by_worth(&worth).into_iter().enumerate() {
            // What is left can neither have much to offer nor loosen the bound.
            if look == Look::Quick && rank >= RELAXED && worth[machine] <= most {
                break;
            }
            if stop() {
                return None;
            }
            worth[machine] = self.relax(machine, values);
            most = most.max(worth[machine]);
        }
        let mut priced = Priced::default();
        let (mut best_found, mut successes) = (1.0_f64, 0);
        let mut open: Vec<usize> = Vec::new();
        let effort = Effort { parts: work, cells: FEW_CELLS };
        let closer = Effort { parts: CLOSER_LOOK * work, cells: MANY_CELLS };
        for (rank, machine) in by_worth(&worth).into_iter().enumerate() {
            let hangs_on_it = worth[machine] > best_found;
            if (successes >= SEARCHED || rank >= 3 * SEARCHED) && !hangs_on_it {
                break;
            }
            let before = priced.columns.len();
            if stop() {
                // What is known of the others is looser, but it is a bound.
                if look == Look::Close {
                    break;
                }
                return None;
            }
            let complete =
                self.search(machine, values, effort, &mut worth, &mut priced.columns, stop);
            if let Some(column) = priced.columns.last() {
                best_found = best_found.max(master::worth(values, &column.counts) / column.cost);
            }
            successes += usize::from(priced.columns.len() > before);
            if !complete {
                open.push(machine);
            }
        }
        // The bound is as good as its worst machine: a closer look at those whose search was cut
        // short, as long as they are what it hangs on.
        for _ in 0..if look == Look::Close { CLOSER_LOOKS } else { 0 } {
            let worst = (0..machines).max_by(|a, b| worth[*a].total_cmp(&worth[*b]));
            let at = worst.and_then(|worst| open.iter().position(|machine| *machine == worst));
            let Some(at) = at else { break };
            if stop() {
                break;
            }
            let machine = open.swap_remove(at);
            self.search(machine, values, closer, &mut worth, &mut priced.columns, stop);
        }
        priced.worth = worth.into_iter().fold(0.0, f64::max);
        Some(priced)
    }

    /// The best content of a machine out of what waits, if it is worth more than `floor`; and what
    /// it is worth. Looks at so many parts of a search.
    pub fn best(
        &mut self,
        machine: usize,
        values: &[f64],
        waiting: &[u32],
        floor: f64,
        work: u32,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<(f64, Vec<(usize, u32)>)> {
        let known = Waiting::Only(waiting);
        if self.fill(machine, values, floor, known) <= floor {
            return None;
        }
        let relaxed = self.knapsack.relax();
        self.keep_prices(machine);
        if relaxed <= floor {
            return None;
        }
        let mut counts =
            self.knapsack.search(floor, work, SMALL_CORE, stop).contents.into_iter().next()?;
        counts.sort_unstable();
        Some((master::worth(values, &counts), counts))
    }

    /// What a machine's content is worth at most, of all items or those that wait.
    pub fn bound(&mut self, machine: usize, values: &[f64], waiting: &[u32]) -> f64 {
        let known = Waiting::Only(waiting);
        let before = self.fill(machine, values, 0.0, known);
        let relaxed = self.knapsack.relax().min(before);
        self.keep_prices(machine);
        relaxed
    }

    fn keep_prices(&mut self, machine: usize) {
        let own = self.row(machine);
        for (price, new) in self.prices[own].iter_mut().zip(self.knapsack.prices()) {
            *price = new;
        }
    }

    /// What a machine's content is worth at most, by the prices of the last time. Notes its choices
    /// on the way.
    fn at_most(&mut self, machine: usize, values: &[f64], waiting: Waiting<'_>) -> f64 {
        let own = self.row(machine);
        let items = &self.model.machines[machine].items;
        work::done(items.len() * self.dimensions);
        let prices = &self.prices[own.clone()];
        let mut most_worth = sum_of_products(&self.rooms[own], prices);
        let mut choices = std::mem::take(&mut self.choices);
        choices.clear();
        for (item, most) in items {
            let most = waiting.of(*item, *most);
            if most > 0 {
                let beyond = self.beyond(*item, prices, values);
                most_worth += f64::from(most) * beyond.max(0.0);
                choices.push((*item, most, beyond));
            }
        }
        self.choices = choices;
        most_worth
    }

    /// Where the numbers of a machine are, one a dimension.
    fn row(&self, machine: usize) -> Range<usize> {
        machine * self.dimensions..(machine + 1) * self.dimensions
    }

    /// What one of an item is worth beyond the room it takes.
    fn beyond(&self, item: usize, prices: &[f64], values: &[f64]) -> f64 {
        let demand = &self.demands[item * self.dimensions..(item + 1) * self.dimensions];
        values[item] - sum_of_products(demand, prices)
    }

    /// Hands what may be in a content worth more than `floor` to the knapsack. Returns what any
    /// content is worth at most.
    fn fill(&mut self, machine: usize, values: &[f64], floor: f64, waiting: Waiting<'_>) -> f64 {
        let model = self.model;
        let most_worth = self.at_most(machine, values, waiting);
        self.knapsack.begin(&model.machines[machine].room);
        let gap = most_worth - floor;
        if gap <= 0.0 {
            return most_worth;
        }
        for (item, most, beyond) in &self.choices {
            let loss = -beyond;
            // One more than the bound allows, for rounding's sake.
            let count = if loss <= 0.0 {
                *most
            } else if gap < loss * (1.0 - 1e-9) {
                0
            } else {
                (*most).min(((gap / loss).floor() as u32).saturating_add(1))
            };
            self.knapsack.add(*item, values[*item], &model.items[*item].demand, count);
        }
        most_worth
    }

    /// Solves a machine's linear relaxation. Returns its worth as a multiple of its cost.
    fn relax(&mut self, machine: usize, values: &[f64]) -> f64 {
        let cost = self.model.machines[machine].cost;
        let before = self.fill(machine, values, cost, Waiting::All);
        if before <= cost {
            return before / cost;
        }
        let relaxed = self.knapsack.relax().max(cost).min(before);
        self.keep_prices(machine);
        relaxed / cost
    }

    /// Searches a machine's contents; whether the search was complete.
    fn search(
        &mut self,
        machine: usize,
        values: &[f64],
        effort: Effort,
        worth: &mut [f64],
        columns: &mut Vec<Column>,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        let data = &self.model.machines[machine];
        self.fill(machine, values, data.cost, Waiting::All);
        let prices = &self.prices[self.row(machine)];
        let in_layers = self.knapsack.search_in_layers(data.cost, prices, effort.cells, stop);
        let best = match in_layers {
            Some(best) if best.complete => best,
            other => {
                let best = self.knapsack.search(data.cost, effort.parts, usize::MAX, stop);
                other.into_iter().fold(best, Best::and)
            }
        };
        worth[machine] = worth[machine].min(best.bound / data.cost);
        for mut counts in best.contents.into_iter().rev() {
            counts.sort_unstable();
            columns.push(Column { cost: data.cost, candidate: data.candidate, counts });
        }
        best.complete
    }
}

fn sum_of_products(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// Machines whose content may be worth more than they cost, the most promising first.
fn by_worth(worth: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..worth.len()).filter(|machine| worth[*machine] > 1.0).collect();
    order.sort_by(|left, right| worth[*right].total_cmp(&worth[*left]).then(left.cmp(right)));
    order
}
