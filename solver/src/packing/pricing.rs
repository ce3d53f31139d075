//! Which contents are worth more than their machines, and how much more any content can be.
//!
//! Three looks at a machine, each dearer and closer than the one before. What a dimension was
//! worth the last time gives a bound at once, whatever it was: by Lagrange's relaxation a content
//! is worth no more than its machine's room at these prices and what pods are worth beyond the
//! room they take. The same bound says which pods cannot be in any content worth having; among
//! the others the linear relaxation is solved. Only where that promises something, contents are
//! searched for: by branch and bound, and in layers where room can be left in few ways.
//!
//! The bound of all machines is as good as that of the worst. So each gets a quick search, and then
//! the worst of them closer ones, until it is known well enough. One for which none is enough
//! rests for some rounds: others have more use for the time.

use std::cmp::Ordering;
use std::ops::Range;

use super::columns::Model;
use super::knapsack::Knapsack;
use super::master::{self, Column};
use super::relaxation::Basis;
use super::work;

/// How many machines are relaxed in any case.
const RELAXED: usize = 96;
/// How many machines' contents are searched in a round.
const SEARCHED: usize = 16;
/// How many items are looked at where nodes are packed one after the other.
const SMALL_CORE: usize = 40;
/// A machine rests for no more than two to the power of that many rounds.
const LONGEST_REST: u32 = 6;
/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;

/// How the contents of a machine are searched.
#[derive(Clone, Copy, Debug)]
enum Effort {
    /// By branch and bound, in so many parts.
    Divided(u32),
    /// In layers, where its room can be left in no more than so many ways.
    InLayers(f64),
}

/// What is tried on the machines that promise most, one after the other until it is enough...
const FIRST: [Effort; 2] = [Effort::Divided(24), Effort::InLayers(2e4)];
/// ...on those that the bound hangs on...
const CLOSER: [Effort; 3] = [Effort::Divided(240), Effort::Divided(2_400), Effort::InLayers(4e5)];
/// ...and at last when nothing else is left to do.
const CLOSEST: Effort = Effort::Divided(24_000);

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As far as it went well the last time.
    Usual,
    /// As far as possible, at machines that rest too.
    Thorough,
}

/// What pricing came to.
#[derive(Debug, Default)]
pub struct Priced {
    /// What the content of any machine is worth at most, as a multiple of the machine's cost.
    pub worth: f64,
    /// Contents worth more than their machines.
    pub columns: Vec<Column>,
    /// Whether more would be known if the machine that is worth most did not rest.
    pub rests: bool,
}

/// What is known so far at some values, in multiples of what machines cost.
#[derive(Debug)]
struct Round<'v> {
    values: &'v [f64],
    /// How closely the best content must be known, as a share of what it is worth.
    tolerance: f64,
    /// What each machine's contents are worth at most.
    worth: Vec<f64>,
    /// The best that was found, one at least.
    found: f64,
    columns: Vec<Column>,
}

/// What closer looks at a machine came to.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Which was enough the last time.
    best: usize,
    /// How often in a row none was.
    failures: u32,
    /// For how many rounds it rests.
    rest: u32,
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
    /// Where each machine's relaxation was solved the last time.
    bases: Vec<Basis>,
    knapsack: Knapsack,
    /// By machine.
    records: Vec<Record>,
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
            bases: vec![Basis::new(); model.machines.len()],
            knapsack: Knapsack::default(),
            records: vec![Record::default(); model.machines.len()],
            choices: Vec::new(),
        }
    }

    /// Looks at the machines, until it is known within a share of `tolerance` what the best content
    /// is worth, or as well as that look can tell. Contents worth no more than their machines are
    /// not told apart. `None` if `stop` cut it short.
    pub fn price(
        &mut self,
        values: &[f64],
        tolerance: f64,
        look: Look,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Priced> {
        let worth = self.relaxed(values, stop)?;
        let mut round = Round { values, tolerance, worth, found: 1.0, columns: Vec::new() };
        self.search_first(&mut round, stop)?;
        let rests = self.search_closer(&mut round, look, stop);
        for record in &mut self.records {
            record.rest = record.rest.saturating_sub(1);
        }
        let worth = round.worth.into_iter().fold(0.0, f64::max);
        Some(Priced { worth, columns: round.columns, rests })
    }

    /// What each machine's contents are worth at most, by their linear relaxation.
    fn relaxed(&mut self, values: &[f64], stop: &mut dyn FnMut() -> bool) -> Option<Vec<f64>> {
        let model = self.model;
        let mut worth: Vec<f64> = Vec::with_capacity(model.machines.len());
        for (machine, data) in model.machines.iter().enumerate() {
            if stop() {
                return None;
            }
            worth.push(self.at_most(machine, values, Waiting::All) / data.cost);
        }
        let mut most = 1.0_f64;
        for (rank, machine) in by_worth(&worth).into_iter().enumerate() {
            // What is left can neither have much to offer nor loosen the bound.
            if rank >= RELAXED && worth[machine] <= most {
                break;
            }
            if stop() {
                return None;
            }
            worth[machine] = self.relax(machine, values);
            most = most.max(worth[machine]);
        }
        Some(worth)
    }

    /// A first search of the machines that promise most.
    fn search_first(
        &mut self,
        round: &mut Round<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<()> {
        let mut successes = 0;
        for (rank, machine) in by_worth(&round.worth).into_iter().enumerate() {
            let hangs_on_it = round.worth[machine] > round.enough();
            if (successes >= SEARCHED || rank >= 3 * SEARCHED) && !hangs_on_it {
                break;
            }
            let before = round.columns.len();
            for effort in FIRST {
                if stop() {
                    return None;
                }
                if self.search(machine, effort, 1.0, round, stop) {
                    break;
                }
            }
            successes += usize::from(round.columns.len() > before);
        }
        Some(())
    }

    /// Closer looks at the machine that is worth most, as long as that is not known well enough. If
    /// the last of them rests, says so.
    fn search_closer(
        &mut self,
        round: &mut Round<'_>,
        look: Look,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        let machines = self.model.machines.len();
        let mut tried = vec![0; machines];
        loop {
            let worst = (0..machines).max_by(|a, b| round.worth[*a].total_cmp(&round.worth[*b]));
            let Some(machine) = worst.filter(|worst| round.worth[*worst] > round.enough()) else {
                return false;
            };
            if look == Look::Usual && self.records[machine].rest > 0 {
                return true;
            }
            if stop() {
                return false;
            }
            let at = (self.records[machine].best + tried[machine]) % CLOSER.len();
            let effort = match (tried[machine].cmp(&CLOSER.len()), look) {
                (Ordering::Less, _) => CLOSER[at],
                (Ordering::Equal, Look::Thorough) => CLOSEST,
                _ => {
                    let failures = self.records[machine].failures + 1;
                    let rest = 1 << failures.min(LONGEST_REST);
                    self.records[machine] = Record { failures, rest, ..self.records[machine] };
                    return false;
                }
            };
            tried[machine] += 1;
            if self.search(machine, effort, round.found, round, stop) {
                self.records[machine] = Record { best: at, ..Record::default() };
            }
        }
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
        let relaxed = self.knapsack.relax(&self.bases[machine]);
        self.keep_basis(machine);
        if relaxed <= floor {
            return None;
        }
        let mut counts =
            self.knapsack.search(floor, 0.0, work, SMALL_CORE, stop).contents.into_iter().next()?;
        counts.sort_unstable();
        Some((master::worth(values, &counts), counts))
    }

    /// What a machine's content is worth at most, of all items or those that wait.
    pub fn bound(&mut self, machine: usize, values: &[f64], waiting: &[u32]) -> f64 {
        let known = Waiting::Only(waiting);
        let before = self.fill(machine, values, 0.0, known);
        let relaxed = self.knapsack.relax(&self.bases[machine]).min(before);
        self.keep_basis(machine);
        relaxed
    }

    fn keep_basis(&mut self, machine: usize) {
        self.bases[machine].clear();
        self.bases[machine].extend(self.knapsack.basis());
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
        let relaxed = self.knapsack.relax(&self.bases[machine]).max(cost).min(before);
        self.keep_basis(machine);
        relaxed / cost
    }

    /// Searches a machine's contents for those worth more than `floor` times its cost. Whether it is
    /// known then well enough what they are worth.
    fn search(
        &mut self,
        machine: usize,
        effort: Effort,
        floor: f64,
        round: &mut Round<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        let data = &self.model.machines[machine];
        let floor = floor * data.cost;
        self.fill(machine, round.values, floor, Waiting::All);
        let best = match effort {
            Effort::Divided(parts) => {
                self.knapsack.relax(&self.bases[machine]);
                self.knapsack.search(floor, round.tolerance, parts, usize::MAX, stop)
            }
            Effort::InLayers(cells) => {
                let prices = &self.prices[self.row(machine)];
                let Some(best) =
                    self.knapsack.search_in_layers(floor, round.tolerance, prices, cells, stop)
                else {
                    return false;
                };
                best
            }
        };
        round.worth[machine] = round.worth[machine].min(best.bound / data.cost);
        round.found = round.found.max(best.value / data.cost);
        let is_known = best.is_known(round.tolerance);
        for mut counts in best.contents.into_iter().rev() {
            counts.sort_unstable();
            round.columns.push(Column { cost: data.cost, candidate: data.candidate, counts });
        }
        is_known
    }
}

impl Round<'_> {
    /// A machine need not be known better than that.
    fn enough(&self) -> f64 {
        self.found * (1.0 + self.tolerance) + EPSILON
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

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use smallvec::smallvec;

    use super::super::columns::{Item, Machine};
    use super::*;

    /// Machines with room for a few of a dozen items of odd amounts.
    fn model(random: &mut SmallRng) -> Model {
        let items: Vec<Item> = (0..12)
            .map(|_| Item {
                demand: smallvec![random.random_range(50..900), random.random_range(50..900), 1],
                count: random.random_range(1..4),
                kind: 0,
            })
            .collect();
        let all: Vec<(usize, u32)> =
            items.iter().enumerate().map(|(index, item)| (index, item.count)).collect();
        let machines = (0..4)
            .map(|candidate| {
                let [cpu, memory] = [(); 2].map(|()| random.random_range(900..2_500));
                let cost = (cpu + memory) as f64 * random.random_range(0.9..1.1) / 1_000.0;
                Machine { candidate, cost, room: smallvec![cpu, memory, 6], items: all.clone() }
            })
            .collect();
        Model { items, machines }
    }

    /// What the best content of what is left of a machine is worth, by trying everything.
    fn best(model: &Model, values: &[f64], room: &[i64], from: usize) -> f64 {
        let Some(item) = model.items.get(from) else { return 0.0 };
        let mut left = room.to_vec();
        let mut most = best(model, values, room, from + 1);
        for count in 1..=item.count {
            left.iter_mut().zip(&item.demand).for_each(|(has, takes)| *has -= takes);
            if left.iter().any(|has| *has < 0) {
                break;
            }
            let worth = f64::from(count) * values[from] + best(model, values, &left, from + 1);
            most = most.max(worth);
        }
        most
    }

    #[test]
    fn the_bound_is_as_close_as_it_was_asked_to_be_and_contents_are_what_they_seem() {
        let random = &mut SmallRng::seed_from_u64(3);
        for round in 0..60 {
            let model = model(random);
            let values: Vec<f64> = model
                .items
                .iter()
                .map(|item| {
                    let size = (item.demand[0] + item.demand[1]) as f64 / 1_000.0;
                    size * random.random_range(0.9..1.3)
                })
                .collect();
            let worth = |machine: &Machine| best(&model, &values, &machine.room, 0) / machine.cost;
            let expected = model.machines.iter().map(worth).fold(0.0, f64::max);
            let tolerance = [0.0, 0.01, 0.1][round % 3];
            let mut pricing = Pricing::new(&model);
            for look in [Look::Usual, Look::Usual, Look::Thorough] {
                let priced = pricing.price(&values, tolerance, look, &mut || false).unwrap();
                let close = expected.max(1.0) * (1.0 + tolerance);
                assert!(priced.worth >= expected - 1e-9, "{priced:?}, {expected}");
                assert!(priced.worth <= close + 1e-6 && !priced.rests, "{priced:?}, {expected}");
                for column in &priced.columns {
                    let room = &model.machines[column.candidate].room;
                    let taken = |dimension: usize| -> i64 {
                        let counts = column.counts.iter();
                        counts
                            .map(|(item, count)| {
                                model.items[*item].demand[dimension] * i64::from(*count)
                            })
                            .sum()
                    };
                    assert!((0..3).all(|dimension| taken(dimension) <= room[dimension]));
                    assert!(master::worth(&values, &column.counts) > column.cost);
                }
            }
        }
    }

    #[test]
    fn a_machine_of_which_little_can_be_known_rests_until_a_thorough_look() {
        // All amounts are even, the room is odd: no division proves that one unit is left over, and
        // the room can be left in more ways than are looked through.
        let items: Vec<Item> = (0..60)
            .map(|index| Item { demand: smallvec![20_002 + 1_962 * index], count: 90, kind: 0 })
            .collect();
        let all: Vec<(usize, u32)> = (0..items.len()).map(|index| (index, 90)).collect();
        let room = smallvec![2_000_003];
        let machine = Machine { candidate: 0, cost: 2_000_002.0, room, items: all };
        let model = Model { items, machines: vec![machine] };
        let values: Vec<f64> = model.items.iter().map(|item| item.demand[0] as f64).collect();
        let mut pricing = Pricing::new(&model);
        let look = |pricing: &mut Pricing<'_>, look| {
            pricing.price(&values, 0.0, look, &mut || false).unwrap()
        };
        assert!(!look(&mut pricing, Look::Usual).rests);
        assert!(look(&mut pricing, Look::Usual).rests);
        let thorough = look(&mut pricing, Look::Thorough);
        assert!(!thorough.rests && thorough.worth > 1.0 && thorough.worth < 1.000_001);
    }
}
