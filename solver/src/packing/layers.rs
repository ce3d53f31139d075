//! The best content of one node, kind by kind: what can be left of its room, and the best way there.
//!
//! Where pods ask for round amounts, many contents leave the same room, and only the best of those
//! needs to be remembered: a knapsack's dynamic programme, which is done where branch and bound
//! ([`super::knapsack`]) goes on dividing. The relaxation's prices tell what each state can come to
//! at most, so that few of them are kept; kinds of which one more or less changes most come first.
//! Where they are too many, the most promising go on, and what the others could have come to is
//! part of the bound.

use std::cmp::Reverse;

use super::knapsack::Best;
use super::side_by_side::{Field, SideBySide};
use super::work;

/// How many contents are returned at most.
const MOST_FOUND: usize = 4;
/// More states than this are not kept at a time...
const MOST_STATES: usize = 100_000;
/// ...and so few to find out first what there is.
const SCOUTS: usize = 50;
/// More steps than this are looked through for those that led to what is kept; in tests soon.
const MOST_STEPS: usize = if cfg!(test) { 1 << 6 } else { 1 << 20 };
/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;

/// Kinds of pod to choose from, and the room for them.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'c> {
    /// What one of each is worth.
    pub values: &'c [f64],
    /// What one of each takes, one row of as many numbers as the room has.
    pub amounts: &'c [i64],
    /// How many of each at most.
    pub most: &'c [u32],
    /// The room, in each dimension.
    pub room: &'c [i64],
    /// What a unit of it is worth: any prices prove a bound, the relaxation's a good one.
    pub prices: &'c [f64],
}

/// What has been decided.
#[derive(Clone, Copy, Debug)]
struct State {
    /// What is left, dimensions side by side.
    free: u128,
    /// What is on the node is worth.
    value: f64,
    /// The same and what is left, at the prices.
    promise: f64,
    /// The step that led here.
    last: u32,
}

/// So many of a choice were taken after the steps before.
#[derive(Clone, Copy, Debug)]
struct Step {
    before: u32,
    choice: u32,
    count: u32,
}

/// No step.
const START: u32 = u32::MAX;

/// So many of a choice, taken together or not at all.
#[derive(Clone, Copy, Debug)]
struct Lot {
    choice: u32,
    count: u32,
    value: f64,
    /// What they are worth beyond the room they take.
    beyond: f64,
    /// What they take, dimensions side by side.
    takes: u128,
}

/// Room as one number: the dimensions side by side, each in units that all amounts are multiples of.
struct Packing {
    rooms: SideBySide,
    /// Dimension, unit, and where its room is.
    fields: Vec<(usize, i64, Field)>,
    all: u128,
}

impl Packing {
    /// `None` if that takes too many bits, or there are no dimensions at all.
    fn of(choices: &Choices<'_>) -> Option<Self> {
        let dimensions = Some(choices.room.len()).filter(|dimensions| *dimensions > 0)?;
        let rows = || choices.amounts.chunks_exact(dimensions);
        let mut packing = Self { rooms: SideBySide::default(), fields: Vec::new(), all: 0 };
        let priced = (0..dimensions).filter(|dimension| choices.prices[*dimension] > 0.0);
        let mut units: Vec<(i64, usize, i64)> = priced
            .filter_map(|dimension| {
                let amounts = rows().map(|row| row[dimension].max(0));
                let unit = amounts.fold(0, greatest_common_divisor);
                (unit > 0).then(|| (choices.room[dimension].max(0) / unit, dimension, unit))
            })
            .collect();
        units.sort_unstable();
        for (room, dimension, unit) in units {
            let room = u128::try_from(room).ok()?;
            let field = packing.rooms.add(room)?;
            packing.fields.push((dimension, unit, field));
            packing.all |= field.put(room);
        }
        Some(packing)
    }

    /// What so many of a row take; `None` if there is no room for them.
    fn takes(&self, row: &[i64], count: u32) -> Option<u128> {
        let mut takes = 0_u128;
        for (dimension, unit, field) in &self.fields {
            let units = u128::try_from(row[*dimension].max(0) / unit).ok()? * u128::from(count);
            // More than the room is more than the field has bits for.
            if units > field.get(self.all) {
                return None;
            }
            takes |= field.put(units);
        }
        Some(takes)
    }

    /// In how many ways room can be left.
    fn cells(&self) -> f64 {
        self.fields.iter().map(|(_, _, field)| field.get(self.all) as f64 + 1.0).product()
    }
}

fn greatest_common_divisor(mut left: i64, mut right: i64) -> i64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

/// Space for one search after the other.
#[derive(Debug, Default)]
pub struct Layers {
    states: Vec<State>,
    next: Vec<State>,
    steps: Vec<Step>,
    /// The last steps of contents that were the best so far.
    found: Vec<u32>,
    lots: Vec<Lot>,
    /// What the lots from each on gain at most.
    gains: Vec<f64>,
    /// What comes to no more than so many times the best is left out...
    good_enough: f64,
    /// ...and this is the most that any of that can come to.
    left_out: f64,
}

impl Layers {
    /// Looks for the best content; those worth no more than `floor` are of no interest, nor is what
    /// could be better by no more than a share of `tolerance`. `None` where room can be left in more
    /// than so many ways: amounts are too odd, or the machine is too large.
    pub fn search(
        &mut self,
        choices: Choices<'_>,
        floor: f64,
        tolerance: f64,
        most_cells: f64,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Best> {
        let packing = Packing::of(&choices)?;
        if packing.cells() > most_cells {
            return None;
        }
        self.divide(&choices, &packing)?;
        self.found.clear();
        self.steps.clear();
        self.good_enough = 1.0 + tolerance;
        // What a few states find leaves few of the others worth keeping.
        let (mut best, mut dropped) = self.pass(&choices, &packing, floor, SCOUTS, stop);
        if dropped > best * self.good_enough + EPSILON {
            (best, dropped) = self.pass(&choices, &packing, best, MOST_STATES, stop);
        }
        let found = self.found.iter().rev().take(MOST_FOUND);
        Some(Best {
            contents: found.map(|last| content(&self.steps, *last)).collect(),
            value: best,
            bound: best.max(dropped),
        })
    }

    /// Goes through all lots once. Returns what the best content is worth, `floor` if there is none,
    /// and what those that were dropped can come to at most.
    fn pass(
        &mut self,
        choices: &Choices<'_>,
        packing: &Packing,
        floor: f64,
        most_states: usize,
        stop: &mut dyn FnMut() -> bool,
    ) -> (f64, f64) {
        let mut best = floor;
        let mut dropped = 0.0_f64;
        self.left_out = 0.0;
        let worth = |(dimension, unit, field): &(usize, i64, Field)| {
            field.get(packing.all) as f64 * *unit as f64 * choices.prices[*dimension]
        };
        let all: f64 = packing.fields.iter().map(worth).sum();
        self.states.clear();
        self.states.push(State { free: packing.all, value: 0.0, promise: all, last: START });
        for at in 0..self.lots.len() {
            let gain = self.gains[at + 1];
            if stop() {
                let open = self.states.iter().map(|state| state.promise + self.gains[at]);
                dropped = open.fold(dropped, f64::max);
                self.states.clear();
                break;
            }
            work::done(self.states.len());
            self.layer(choices, packing, self.lots[at], gain, &mut best);
            if self.next.len() > most_states {
                let by_promise =
                    |left: &State, right: &State| right.promise.total_cmp(&left.promise);
                self.next.select_nth_unstable_by(most_states, by_promise);
                let lost = self.next.drain(most_states..).map(|state| state.promise + gain);
                dropped = lost.fold(dropped, f64::max);
                self.next.sort_unstable_by_key(|state| Reverse(state.free));
            }
            std::mem::swap(&mut self.states, &mut self.next);
            if self.steps.len() > MOST_STEPS {
                self.forget_steps();
            }
        }
        // What is worth more than the best although all is decided has no room where room costs
        // nothing: it took the place of others that may have.
        let decided = self.states.iter().map(|state| state.value);
        (best, decided.fold(dropped.max(self.left_out), f64::max))
    }

    /// Choices in lots of 1, 2, 4 and so on, so that any number of each can be taken; those that
    /// change most come first. `None` if a number is too large.
    fn divide(&mut self, choices: &Choices<'_>, packing: &Packing) -> Option<()> {
        self.lots.clear();
        let dimensions = choices.room.len();
        for (choice, row) in choices.amounts.chunks_exact(dimensions).enumerate() {
            let taken: f64 = packing
                .fields
                .iter()
                .map(|(dimension, ..)| row[*dimension].max(0) as f64 * choices.prices[*dimension])
                .sum();
            let value = choices.values[choice];
            let mut left = choices.most[choice];
            let mut count = 1;
            while left > 0 {
                count = left.min(count);
                let Some(takes) = packing.takes(row, count) else { break };
                self.lots.push(Lot {
                    choice: u32::try_from(choice).ok()?,
                    count,
                    value: value * f64::from(count),
                    beyond: (value - taken) * f64::from(count),
                    takes,
                });
                left -= count;
                count *= 2;
            }
        }
        self.lots.sort_by(|left, right| right.beyond.abs().total_cmp(&left.beyond.abs()));
        self.gains.clear();
        self.gains.resize(self.lots.len() + 1, 0.0);
        for at in (0..self.lots.len()).rev() {
            self.gains[at] = self.gains[at + 1] + self.lots[at].beyond.max(0.0);
        }
        Some(())
    }

    /// Forgets the steps that led to nothing that is kept.
    fn forget_steps(&mut self) {
        let mut moved = vec![START; self.steps.len()];
        let kept = self.states.iter().map(|state| state.last).chain(self.found.iter().copied());
        for last in kept {
            let mut at = last as usize;
            // Up to a step that another one led over, too.
            while moved.get(at) == Some(&START) {
                moved[at] = 0;
                at = self.steps[at].before as usize;
            }
        }
        let mut count = 0;
        for at in 0..self.steps.len() {
            if moved[at] != START {
                let step = self.steps[at];
                let before = moved.get(step.before as usize).copied().unwrap_or(START);
                moved[at] = count;
                self.steps[count as usize] = Step { before, ..step };
                count += 1;
            }
        }
        self.steps.truncate(count as usize);
        let place = |last: &mut u32| *last = moved.get(*last as usize).copied().unwrap_or(START);
        self.states.iter_mut().for_each(|state| place(&mut state.last));
        self.found.iter_mut().for_each(place);
    }

    /// The states after a lot was taken or not, both in the order of what is left. What cannot come
    /// to more than the best is left out.
    fn layer(
        &mut self,
        choices: &Choices<'_>,
        packing: &Packing,
        lot: Lot,
        gain: f64,
        best: &mut f64,
    ) {
        self.next.clear();
        let mut without = self.states.iter().copied().peekable();
        let mut with = self
            .states
            .iter()
            .filter_map(|state| {
                let free = packing.rooms.less(state.free, lot.takes)?;
                let (value, promise) = (state.value + lot.value, state.promise + lot.beyond);
                Some(State { free, value, promise, last: state.last })
            })
            .peekable();
        loop {
            // Of two that leave the same the better one.
            let is_with = match (without.peek(), with.peek()) {
                (None, None) => return,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(left), Some(right)) if left.free == right.free => {
                    if left.promise >= right.promise {
                        with.next();
                        false
                    } else {
                        without.next();
                        true
                    }
                }
                (Some(left), Some(right)) => right.free > left.free,
            };
            let Some(mut state) = (if is_with { with.next() } else { without.next() }) else {
                return;
            };
            let most = state.promise + gain;
            if most <= *best * self.good_enough + EPSILON {
                self.left_out = self.left_out.max(most);
                continue;
            }
            if is_with {
                let step = Step { before: state.last, choice: lot.choice, count: lot.count };
                state.last = u32::try_from(self.steps.len()).unwrap_or(START);
                self.steps.push(step);
                if state.value > *best + EPSILON && fits(choices, &content(&self.steps, state.last))
                {
                    *best = state.value;
                    self.found.push(state.last);
                }
            }
            self.next.push(state);
        }
    }
}

/// What is on the node after these steps: choices and how many of each.
fn content(steps: &[Step], last: u32) -> Vec<(usize, u32)> {
    let mut content: Vec<(usize, u32)> = Vec::new();
    let mut at = last;
    while let Some(step) = steps.get(at as usize) {
        let choice = step.choice as usize;
        match content.iter_mut().find(|(other, _)| *other == choice) {
            Some((_, count)) => *count += step.count,
            None => content.push((choice, step.count)),
        }
        at = step.before;
    }
    content
}

/// Whether there is room for a content, in dimensions that cost nothing as well.
fn fits(choices: &Choices<'_>, content: &[(usize, u32)]) -> bool {
    let dimensions = choices.room.len();
    (0..dimensions).all(|dimension| {
        let taken = content.iter().map(|(choice, count)| {
            choices.amounts[choice * dimensions + dimension]
                .max(0)
                .saturating_mul(i64::from(*count))
        });
        taken.sum::<i64>() <= choices.room[dimension].max(0)
    })
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// The best value by trying everything.
    fn brute_force(choices: &Choices<'_>, at: usize, room: &[i64]) -> f64 {
        let Some(most) = choices.most.get(at) else { return 0.0 };
        let row = &choices.amounts[at * room.len()..(at + 1) * room.len()];
        let (mut best, mut left) = (0.0_f64, room.to_vec());
        for count in 0..=*most {
            if left.iter().any(|amount| *amount < 0) {
                break;
            }
            let rest = brute_force(choices, at + 1, &left);
            best = best.max(f64::from(count) * choices.values[at] + rest);
            left.iter_mut().zip(row).for_each(|(has, wanted)| *has -= wanted);
        }
        best
    }

    #[test]
    fn the_best_of_all_contents_is_found_whatever_the_prices() {
        let mut random = SmallRng::seed_from_u64(7);
        let mut layers = Layers::default();
        for _ in 0..300 {
            let kinds = random.random_range(1..8);
            let mut list = |most: i64| -> Vec<i64> {
                (0..kinds).map(|_| random.random_range(0..=most)).collect()
            };
            let (cpu, memory, most) = (list(6), list(9), list(5));
            let amounts: Vec<i64> = cpu
                .iter()
                .zip(&memory)
                .flat_map(|(cpu, memory)| [cpu * 50, memory * 64, 1])
                .collect();
            let most: Vec<u32> = most.into_iter().map(|most| most as u32).collect();
            let values: Vec<f64> = (0..kinds).map(|_| random.random_range(0.1..2.0)).collect();
            let room = [random.random_range(0..1_500), random.random_range(0..2_000), 9];
            // Any prices prove a bound, nothing at all included: a dimension without one is looked at
            // when a content is found.
            let prices = [random.random_range(0.0..0.01), random.random_range(0.0..0.01), 0.0];
            let choices = Choices {
                values: &values,
                amounts: &amounts,
                most: &most,
                room: &room,
                prices: &prices,
            };
            let expected = brute_force(&choices, 0, &room);
            let best = layers.search(choices, 0.0, 0.0, 1e9, &mut || false).unwrap();
            assert!(best.bound >= expected - 1e-9, "{choices:?} {best:?} {expected}");
            let found = best.contents.first().cloned().unwrap_or_default();
            assert!(fits(&choices, &found));
            let worth: f64 =
                found.iter().map(|(choice, count)| values[*choice] * f64::from(*count)).sum();
            assert!((worth - best.value).abs() < 1e-9, "{choices:?} {best:?}");
            let near = layers.search(choices, 0.0, 0.1, 1e9, &mut || false).unwrap();
            assert!(near.bound >= expected - 1e-9, "{choices:?} {near:?} {expected}");
            // Where the dimension without a price may run out, the bound is looser, and no more.
            if most.iter().sum::<u32>() <= 9 {
                assert!((best.bound - expected).abs() < 1e-9, "{choices:?} {best:?} {expected}");
                assert!((worth - expected).abs() < 1e-9, "{choices:?} {best:?} {expected}");
                assert!(near.is_known(0.1), "{choices:?} {near:?} {expected}");
            }
        }
    }

    #[test]
    fn a_machine_whose_room_can_be_left_in_too_many_ways_is_left_to_others() {
        let choices = Choices {
            values: &[1.0],
            amounts: &[7, 11],
            most: &[3],
            room: &[7_000, 11_000],
            prices: &[1e-4, 1e-4],
        };
        assert!(Layers::default().search(choices, 0.0, 0.0, 1e6, &mut || false).is_none());
        assert!(Layers::default().search(choices, 0.0, 0.0, 1e7, &mut || false).is_some());
    }

    #[test]
    fn a_search_that_is_stopped_says_what_could_still_be() {
        let choices = Choices {
            values: &[1.0, 1.0],
            amounts: &[2, 3],
            most: &[4, 4],
            room: &[12],
            prices: &[0.5],
        };
        let best = Layers::default().search(choices, 0.0, 0.0, 1e9, &mut || true).unwrap();
        assert!(!best.is_known(0.0) && best.bound >= 5.0, "{best:?}");
        let best = Layers::default().search(choices, 0.0, 0.0, 1e9, &mut || false).unwrap();
        assert!((best.value - 5.0).abs() < 1e-9 && best.is_known(0.0), "{best:?}");
    }
}
