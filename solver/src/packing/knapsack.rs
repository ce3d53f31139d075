//! The best content of one node: a knapsack with several dimensions and a bound on each item.
//!
//! What column generation asks again and again: given what a pod of each kind is worth, which
//! pods together are worth most on this machine, and what are any pods on it worth at most?
//! Branch and bound over the linear relaxation, the most promising part of the tree first: with
//! two or three scarce resources a relaxed content has no more than two or three pods cut up, so
//! that a few branches close most of the gap; rows that only whole contents keep ([`super::cuts`])
//! close more of it. Whenever the search is stopped, the largest
//! relaxation that is still open is an upper bound.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::cuts;
use super::layers::{Choices, Layers};
use super::relaxation::{Basic, Basis, Relaxation};

/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;
/// How many contents a search returns at most.
const MOST_FOUND: usize = 4;
/// How many rows a relaxation gets beyond dimensions...
const MOST_CUTS: u32 = 2;
/// ...where as many parts or more may be looked at...
const TIGHTENED_FROM: u32 = 24;
/// ...and there are no more choices than this: among many, whole contents come close anyway.
const TIGHTENED_TO: usize = 100;
/// Shares are rounded: a hair's breadth more than is left still fits exactly.
const HAIR: f64 = 1e-7;

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Best {
    /// Contents, the best first, each the best that had been seen when it was found: the caller's
    /// items and how many of each.
    pub contents: Vec<Vec<(usize, u32)>>,
    /// What the best of them is worth, or what was of no interest if there is none.
    pub value: f64,
    /// What any content is worth at most.
    pub bound: f64,
}

impl Best {
    /// Whether nothing is left that could be better by more than that share.
    pub fn is_known(&self, tolerance: f64) -> bool {
        self.bound <= self.value * (1.0 + tolerance) + EPSILON
    }
}

/// Space for one search after the other.
#[derive(Debug, Default)]
pub struct Knapsack {
    dimensions: usize,
    capacity: Vec<f64>,
    items: Vec<usize>,
    values: Vec<f64>,
    most: Vec<u32>,
    /// Demand of each choice as a share of the capacity, one row of `dimensions` a choice; cuts count
    /// as dimensions.
    shares: Vec<f64>,
    /// The same in whole amounts, and the capacity.
    amounts: Vec<i64>,
    room_of: Vec<i64>,
    relaxation: Relaxation,
    /// What any content is worth at most, once the relaxation of all of them is solved.
    relaxed: Option<f64>,
    layers: Layers,
    /// The last contents that were the best so far: the caller's items and how many of each.
    found: Vec<Vec<(usize, u32)>>,
    best_value: f64,
    room: Vec<f64>,
    free: Vec<f64>,
    fitting: Vec<usize>,
}

/// A part of the search tree: contents with at least and at most so many of each choice.
#[derive(Clone, Debug)]
struct Part {
    /// What they are worth at most.
    bound: f64,
    /// When it was made: of equals the first.
    number: u32,
    least: Vec<u32>,
    most: Vec<u32>,
    /// The choice to divide it at, and the number up to which the one half goes.
    divide: Option<(usize, u32)>,
    /// Where its relaxation was solved: that of its halves is not far.
    basis: Basis,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Part {}

impl PartialOrd for Part {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Part {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bound.total_cmp(&other.bound).then(other.number.cmp(&self.number))
    }
}

impl Knapsack {
    /// Begins anew with a machine of that capacity (amounts below zero count as none).
    pub fn begin(&mut self, capacity: &[i64]) {
        self.dimensions = capacity.len();
        self.capacity.clear();
        self.capacity.extend(capacity.iter().map(|amount| (*amount).max(0) as f64));
        self.items.clear();
        self.values.clear();
        self.most.clear();
        self.shares.clear();
        self.amounts.clear();
        self.room_of.clear();
        self.room_of.extend(capacity);
        self.relaxed = None;
    }

    /// Adds a kind of pod. What does not fit even once, or is worth nothing, is left out.
    pub fn add(&mut self, item: usize, value: f64, demand: &[i64], most: u32) {
        if value <= EPSILON || most == 0 {
            return;
        }
        let fits = |(wanted, has): (&i64, &f64)| *wanted <= 0 || *wanted as f64 <= *has;
        if !demand.iter().zip(&self.capacity).all(fits) {
            return;
        }
        self.items.push(item);
        self.values.push(value);
        self.most.push(most);
        let share = |(wanted, has): (&i64, &f64)| {
            if *wanted > 0 { *wanted as f64 / has } else { 0.0 }
        };
        self.shares.extend(demand.iter().zip(&self.capacity).map(share));
        self.amounts.extend(demand);
    }

    /// An upper bound on what any content is worth. What was relaxed once is relaxed faster from
    /// its [`Self::basis`] on; choices are the caller's items there.
    pub fn relax(&mut self, basis: &[Basic]) -> f64 {
        if let Some(relaxed) = self.relaxed {
            return relaxed;
        }
        self.relaxation.load(&self.shares, self.dimensions);
        let known = |basic: &Basic| match *basic {
            Basic::Choice(item) => self.items.binary_search(&item).ok().map(Basic::Choice),
            slack => Some(slack),
        };
        let known: Option<Basis> = basis.iter().map(known).collect();
        if let Some(known) = known.filter(|known| known.len() == self.dimensions) {
            self.relaxation.begin_at(known.into_iter());
        }
        let least = vec![0; self.items.len()];
        let most = self.most.clone();
        let relaxed = self.relax_between(&least, &most);
        self.relaxed = Some(relaxed);
        relaxed
    }

    /// The basis of the relaxation that was solved last.
    pub fn basis(&self) -> impl Iterator<Item = Basic> {
        self.relaxation.basis().map(|basic| match basic {
            Basic::Choice(index) => Basic::Choice(self.items[index]),
            slack => slack,
        })
    }

    /// The same for contents with at least and at most so many of each choice. Minus infinity if
    /// there is none. Leaves the relaxed content in the relaxation.
    fn relax_between(&mut self, least: &[u32], most: &[u32]) -> f64 {
        self.free.clear();
        self.free.resize(self.dimensions, 1.0);
        let mut value = 0.0;
        for (index, count) in least.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f64::from(*count);
            value += count * self.values[index];
            let row = &self.shares[index * self.dimensions..(index + 1) * self.dimensions];
            for (left, share) in self.free.iter_mut().zip(row) {
                *left -= count * share;
            }
        }
        if self.free.iter().any(|left| *left < -HAIR) {
            return f64::NEG_INFINITY;
        }
        self.free.iter_mut().for_each(|left| *left = left.max(0.0));
        self.room.clear();
        for index in 0..self.items.len() {
            let more = most[index].saturating_sub(least[index]);
            let room = match more {
                0 => 0.0,
                1 => f64::from(u8::from(self.fits(index))),
                _ => self.room_for(index, more),
            };
            self.room.push(room);
        }
        value + self.relaxation.solve(&self.values, &self.room, &self.free)
    }

    /// Whether one more of a choice fits.
    fn fits(&self, index: usize) -> bool {
        let row = &self.shares[index * self.dimensions..(index + 1) * self.dimensions];
        row.iter().zip(&self.free).all(|(share, left)| *share <= left + HAIR * share)
    }

    /// How many more of a choice fit, up to `more`.
    fn room_for(&self, index: usize, more: u32) -> f64 {
        let row = &self.shares[index * self.dimensions..(index + 1) * self.dimensions];
        let mut room = f64::from(more);
        for (share, left) in row.iter().zip(&self.free) {
            if *share > 0.0 {
                room = room.min(whole(left / share + HAIR));
            }
        }
        room.max(0.0)
    }

    /// What one more of each dimension would be worth, by the relaxation that was solved last.
    pub fn prices(&self) -> impl Iterator<Item = f64> {
        let worth = |(row, has): (usize, &f64)| self.relaxation.price(row) / has.max(EPSILON);
        self.capacity.iter().enumerate().map(worth)
    }

    /// Looks for the best content, and forgets what was added; at so many parts of the search tree
    /// at most, and not on after `stop`. Contents worth no more than `floor` are of no interest, nor
    /// is what could be better by no more than a share of `tolerance`.
    ///
    /// With more than `core` choices that may be part of a better content, only the most likely
    /// are looked at, and the bound is the relaxation's. It is a bound wherever the search ends.
    pub fn search(
        &mut self,
        floor: f64,
        tolerance: f64,
        parts: u32,
        core: usize,
        stop: &mut dyn FnMut() -> bool,
    ) -> Best {
        self.found.clear();
        self.best_value = floor;
        let mut open: BinaryHeap<Part> = BinaryHeap::new();
        let mut number = 0;
        let mut relaxed = 0.0;
        let bound = self.relax(&[]);
        let least = vec![0; self.items.len()];
        if let Some(root) = self.part(bound, least, self.most.clone(), &mut number) {
            if root.divide.is_none() {
                relaxed = self.unless_found(root.bound);
            } else if stop() {
                relaxed = root.bound;
            } else {
                let tightens = parts >= TIGHTENED_FROM && self.items.len() <= TIGHTENED_TO;
                let bound = if tightens { self.tighten(root.bound, tolerance) } else { root.bound };
                let (least, most, all) = self.reduce(bound, core);
                if !all {
                    relaxed = bound;
                }
                self.relaxation.load(&self.shares, self.dimensions);
                let bound = self.relax_between(&least, &most);
                open.extend(self.part(bound, least, most, &mut number));
            }
        }
        while number < parts
            && !stop()
            && let Some(part) = open.pop()
        {
            let Some((index, count)) = part.divide else {
                relaxed = relaxed.max(self.unless_found(part.bound));
                continue;
            };
            if part.bound <= self.best_value * (1.0 + tolerance) + EPSILON {
                open.push(part);
                break;
            }
            let mut below = part.most.clone();
            below[index] = count;
            let mut above = part.least.clone();
            above[index] = count + 1;
            for (least, most) in [(above, part.most), (part.least, below)] {
                self.relaxation.begin_at(part.basis.iter().copied());
                let bound = self.relax_between(&least, &most);
                open.extend(self.part(bound, least, most, &mut number));
            }
        }
        let left = open.peek().map_or(0.0, |part| part.bound).max(relaxed);
        Best {
            contents: self.found.drain(..).rev().collect(),
            value: self.best_value,
            bound: self.best_value.max(left),
        }
    }

    /// What contents of a part that is whole as it is are worth at most beyond the best: nothing, for
    /// its relaxed content has been found, unless rounding kept the relaxation from being solved.
    fn unless_found(&self, bound: f64) -> f64 {
        if bound > self.best_value + EPSILON { bound } else { 0.0 }
    }

    /// Adds rows that whole contents keep and the relaxed one does not, until nothing is left that
    /// could be better than the best by more than `tolerance`. Returns what is left.
    fn tighten(&mut self, bound: f64, tolerance: f64) -> f64 {
        let mut bound = bound;
        for _ in 0..MOST_CUTS {
            if bound <= self.best_value * (1.0 + tolerance) + EPSILON {
                break;
            }
            let prices: Vec<f64> =
                (0..self.dimensions).map(|row| self.relaxation.price(row)).collect();
            let levels: Vec<(usize, f64)> = self.relaxation.levels().collect();
            let Some(row) = cuts::most_violated(&self.shares, &prices, &levels) else { break };
            let basis: Basis = self.relaxation.basis().collect();
            let mut shares = Vec::with_capacity(self.shares.len() + row.len());
            for (before, share) in self.shares.chunks_exact(self.dimensions).zip(row) {
                shares.extend_from_slice(before);
                shares.push(share);
            }
            self.shares = shares;
            self.dimensions += 1;
            self.relaxation.load(&self.shares, self.dimensions);
            let slack = Basic::Slack(self.dimensions - 1);
            self.relaxation.begin_at(basis.into_iter().chain([slack]));
            let (least, most) = (vec![0; self.items.len()], self.most.clone());
            bound = self.relax_between(&least, &most);
        }
        bound
    }

    /// The same as [`Self::search`], kind by kind: where many contents leave the same room, that goes
    /// further. `prices` say what a unit of each dimension is worth. `None` where room can be left in
    /// more than so many ways.
    pub fn search_in_layers(
        &mut self,
        floor: f64,
        tolerance: f64,
        prices: &[f64],
        most_cells: f64,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Best> {
        let choices = Choices {
            values: &self.values,
            amounts: &self.amounts,
            most: &self.most,
            room: &self.room_of,
            prices,
        };
        let mut best = self.layers.search(choices, floor, tolerance, most_cells, stop)?;
        for (index, _) in best.contents.iter_mut().flatten() {
            *index = self.items[*index];
        }
        Some(best)
    }

    /// Leaves out what cannot be in a content that is better than the best: whoever changes a
    /// choice by one loses its reduced value at least, and no more than `bound` less the best can
    /// be lost. Returns at least and at most how many of each choice such a content has. The
    /// relaxation must be the one of all contents. Keeps
    /// no more than `core` choices; whether those are all.
    fn reduce(&mut self, bound: f64, core: usize) -> (Vec<u32>, Vec<u32>, bool) {
        let gap = (bound - self.best_value).max(0.0);
        let mut kept: Vec<(usize, u32, u32)> = Vec::new();
        let mut likely: Vec<(f64, usize)> = Vec::new();
        for (index, reduced) in self.relaxation.reduced_values().iter().copied().enumerate() {
            let most = self.most[index].min(self.room[index] as u32);
            let changes = whole(gap / reduced.abs() + HAIR);
            let changes = if changes < f64::from(most) { changes as u32 } else { most };
            let (least, most) = match reduced {
                value if value > EPSILON => (most - changes, most),
                value if value < -EPSILON => (0, changes),
                _ => (0, most),
            };
            if most > 0 {
                likely.push((reduced / self.values[index], kept.len()));
                kept.push((index, least, most));
            }
        }
        let all = kept.len() <= core;
        if !all {
            let order =
                |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            likely.select_nth_unstable_by(core, order);
            likely.truncate(core);
            kept = likely.into_iter().map(|(_, at)| kept[at]).collect();
        }
        kept.sort_unstable();
        let dimensions = self.dimensions;
        for (to, (from, _, most)) in kept.iter().enumerate() {
            self.items[to] = self.items[*from];
            self.values[to] = self.values[*from];
            self.most[to] = *most;
            self.shares.copy_within(from * dimensions..(from + 1) * dimensions, to * dimensions);
        }
        self.items.truncate(kept.len());
        self.values.truncate(kept.len());
        self.most.truncate(kept.len());
        self.shares.truncate(kept.len() * dimensions);
        let (least, most) = kept.into_iter().map(|(_, least, most)| (least, most)).unzip();
        (least, most, all)
    }

    /// The part of the tree that was relaxed last, if something in it may be better than the best.
    /// Its relaxed content, rounded down and filled up again, is looked at.
    fn part(
        &mut self,
        bound: f64,
        least: Vec<u32>,
        most: Vec<u32>,
        number: &mut u32,
    ) -> Option<Part> {
        *number += 1;
        if bound <= self.best_value + EPSILON {
            return None;
        }
        let mut counts = least.clone();
        let mut divide: Option<(f64, usize, u32)> = None;
        for (index, level) in self.relaxation.levels() {
            let whole = whole(level + HAIR);
            counts[index] += whole as u32;
            let part = level - whole;
            let weight = part * self.values[index];
            if part > HAIR && divide.is_none_or(|(most, _, _)| weight > most) {
                divide = Some((weight, index, counts[index]));
            }
        }
        self.fill_up(&mut counts, &most);
        let divide = divide.map(|(_, index, count)| (index, count));
        let basis = self.relaxation.basis().collect();
        Some(Part { bound, number: *number, least, most, divide, basis })
    }

    /// Adds what still fits, what is worth most first, and keeps the content if it is the best.
    fn fill_up(&mut self, counts: &mut [u32], most: &[u32]) {
        self.free.clear();
        self.free.resize(self.dimensions, 1.0);
        let mut value = 0.0;
        for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            value += f64::from(*count) * self.values[index];
            let row = &self.shares[index * self.dimensions..(index + 1) * self.dimensions];
            for (left, share) in self.free.iter_mut().zip(row) {
                *left -= f64::from(*count) * share;
            }
        }
        // A relaxation that rounding kept from being solved may promise more than there is.
        let too_many = counts.iter().zip(most).any(|(count, most)| count > most);
        if too_many || self.free.iter().any(|left| *left < -HAIR) {
            return;
        }
        // What does not fit now never will: room only shrinks, and few of them fill it.
        let mut fitting = std::mem::take(&mut self.fitting);
        fitting.clear();
        let open = (0..counts.len()).filter(|index| counts[*index] < most[*index]);
        fitting.extend(open.filter(|index| self.fits(*index)));
        let order =
            |a: &usize, b: &usize| self.values[*a].total_cmp(&self.values[*b]).then(b.cmp(a));
        while let Some(index) = fitting.iter().copied().max_by(order) {
            let more = self.room_for(index, most[index] - counts[index]);
            counts[index] += more as u32;
            value += more * self.values[index];
            let row = &self.shares[index * self.dimensions..(index + 1) * self.dimensions];
            for (left, share) in self.free.iter_mut().zip(row) {
                *left -= more * share;
            }
            fitting.retain(|other| *other != index && self.fits(*other));
        }
        self.fitting = fitting;
        if value > self.best_value + EPSILON {
            self.best_value = value;
            if self.found.len() == MOST_FOUND {
                self.found.remove(0);
            }
            let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            self.found.push(used.map(|(index, count)| (self.items[index], *count)).collect());
        }
    }
}

/// The whole part of a number that is not negative.
fn whole(number: f64) -> f64 {
    // A library call where the processor is not known to do it, were it `floor`.
    number.min(f64::from(u32::MAX)) as u32 as f64
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// The best value by trying everything.
    fn brute_force(capacity: &[i64], items: &[(f64, Vec<i64>, u32)]) -> f64 {
        let Some(((value, demand, most), rest)) = items.split_first() else { return 0.0 };
        let mut best = 0.0_f64;
        let mut left = capacity.to_vec();
        for count in 0..=*most {
            if left.iter().any(|amount| *amount < 0) {
                break;
            }
            best = best.max(f64::from(count) * value + brute_force(&left, rest));
            left.iter_mut().zip(demand).for_each(|(has, wanted)| *has -= wanted);
        }
        best
    }

    #[test]
    fn the_search_finds_what_trying_everything_finds_and_the_bound_is_never_below_it() {
        let random = &mut SmallRng::seed_from_u64(1);
        for _ in 0..300 {
            let dimensions = random.random_range(1..4);
            let capacity: Vec<i64> = (0..dimensions).map(|_| random.random_range(5..40)).collect();
            let items: Vec<(f64, Vec<i64>, u32)> = (0..random.random_range(1..6))
                .map(|_| {
                    let demand = (0..dimensions).map(|_| random.random_range(0..15)).collect();
                    (random.random_range(0.1..3.0), demand, random.random_range(1..4))
                })
                .collect();
            let begun = || {
                let mut knapsack = Knapsack::default();
                knapsack.begin(&capacity);
                for (index, (value, demand, most)) in items.iter().enumerate() {
                    knapsack.add(index, *value, demand, *most);
                }
                knapsack
            };
            let mut knapsack = begun();
            let relaxed = knapsack.relax(&[]);
            let best = knapsack.search(0.0, 0.0, u32::MAX, usize::MAX, &mut || false);
            let expected = brute_force(&capacity, &items);
            assert!(relaxed >= expected - 1e-9 && best.bound >= expected - 1e-6);
            let cut_short = begun().search(0.0, 0.0, 3, 2, &mut || false);
            assert!(cut_short.bound >= expected - 1e-6);
            let worth = |counts: &Vec<(usize, u32)>| -> f64 {
                counts.iter().map(|(item, count)| items[*item].0 * f64::from(*count)).sum()
            };
            let found = best.contents.first().map_or(0.0, worth);
            assert!((found - expected).abs() < 1e-6, "{best:?}, expected {expected}");
        }
    }
}
