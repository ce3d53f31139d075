//! The best content of one node: a knapsack with several dimensions and a bound on each item.
//!
//! What column generation asks again and again: given what a pod of each kind is worth, which
//! pods together are worth most on this machine, and what are any pods on it worth at most?
//! Branch and bound over the linear relaxation, the most promising part of the tree first: with
//! two or three scarce resources a relaxed content has no more than two or three pods cut up, so
//! that a few branches close most of the gap. Whenever the search is stopped, the largest
//! relaxation that is still open is an upper bound.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;
/// How many contents a search returns at most.
const MOST_FOUND: usize = 4;
/// Shares are rounded: a hair's breadth more than is left still fits exactly.
const HAIR: f64 = 1e-7;

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Best {
    /// Contents, the best first, each the best that had been seen when it was found: the caller's
    /// items and how many of each.
    pub contents: Vec<Vec<(usize, u32)>>,
    /// What any content is worth at most.
    pub bound: f64,
    /// Whether nothing is left that could be better.
    pub complete: bool,
}

/// Space for one search after the other.
#[derive(Debug, Default)]
pub struct Knapsack {
    dimensions: usize,
    capacity: Vec<f64>,
    items: Vec<usize>,
    values: Vec<f64>,
    most: Vec<u32>,
    /// Demand of each choice as a share of the capacity, one row of `dimensions` a choice.
    shares: Vec<f64>,
    relaxation: Relaxation,
    /// The last contents that were the best so far.
    found: Vec<Vec<u32>>,
    best_value: f64,
    room: Vec<f64>,
    free: Vec<f64>,
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
    }

    /// An upper bound on what any content is worth.
    pub fn relax(&mut self) -> f64 {
        let least = vec![0; self.items.len()];
        let most = self.most.clone();
        self.relax_between(&least, &most)
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
            let room = if more == 0 { 0.0 } else { self.room_for(index, more) };
            self.room.push(room);
        }
        value + self.relaxation.solve(&self.values, &self.shares, &self.room, &self.free)
    }

    /// How many more of a choice fit, up to `more`.
    fn room_for(&self, index: usize, more: u32) -> f64 {
        let row = &self.shares[index * self.dimensions..(index + 1) * self.dimensions];
        let mut room = f64::from(more);
        for (share, left) in row.iter().zip(&self.free) {
            if *share > 0.0 {
                room = room.min((left / share + HAIR).floor());
            }
        }
        room.max(0.0)
    }

    /// Looks for the best content; at so many parts of the search tree at most. Contents worth no
    /// more than `floor` are of no interest.
    pub fn search(&mut self, floor: f64, parts: u32) -> Best {
        self.found.clear();
        self.best_value = floor;
        let mut open: BinaryHeap<Part> = BinaryHeap::new();
        let mut number = 0;
        let root = (vec![0; self.items.len()], self.most.clone());
        open.extend(self.part(root.0, root.1, &mut number));
        while number < parts
            && let Some(part) = open.pop()
        {
            let Some((index, count)) = part.divide else { continue };
            if part.bound <= self.best_value + EPSILON {
                open.push(part);
                break;
            }
            let mut below = part.most.clone();
            below[index] = count;
            let mut above = part.least.clone();
            above[index] = count + 1;
            open.extend(self.part(above, part.most, &mut number));
            open.extend(self.part(part.least, below, &mut number));
        }
        let left = open.peek().map_or(0.0, |part| part.bound);
        let named = |counts: &Vec<u32>| -> Vec<(usize, u32)> {
            let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            used.map(|(index, count)| (self.items[index], *count)).collect()
        };
        Best {
            contents: self.found.iter().rev().map(named).collect(),
            bound: self.best_value.max(left),
            complete: left <= self.best_value + EPSILON,
        }
    }

    /// A part of the tree, if something in it may be better than the best. Its relaxed content,
    /// rounded down and filled up again, is looked at.
    fn part(&mut self, least: Vec<u32>, most: Vec<u32>, number: &mut u32) -> Option<Part> {
        *number += 1;
        let bound = self.relax_between(&least, &most);
        if bound <= self.best_value + EPSILON {
            return None;
        }
        let mut counts = least.clone();
        let mut divide: Option<(f64, usize, u32)> = None;
        for (index, level) in self.relaxation.levels() {
            let whole = (level + HAIR).floor();
            counts[index] += whole as u32;
            let part = level - whole;
            let weight = part * self.values[index];
            if part > HAIR && divide.is_none_or(|(most, _, _)| weight > most) {
                divide = Some((weight, index, counts[index]));
            }
        }
        self.fill_up(&mut counts, &most);
        let divide = divide.map(|(_, index, count)| (index, count));
        Some(Part { bound, number: *number, least, most, divide })
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
        loop {
            let mut best: Option<(f64, usize)> = None;
            for index in 0..self.items.len() {
                if counts[index] < most[index] && self.room_for(index, 1) > 0.0 {
                    let each = self.values[index];
                    if best.is_none_or(|(most, _)| each > most) {
                        best = Some((each, index));
                    }
                }
            }
            let Some((each, index)) = best else { break };
            let more = self.room_for(index, most[index] - counts[index]);
            counts[index] += more as u32;
            value += more * each;
            let row = &self.shares[index * self.dimensions..(index + 1) * self.dimensions];
            for (left, share) in self.free.iter_mut().zip(row) {
                *left -= more * share;
            }
        }
        if value > self.best_value + EPSILON {
            self.best_value = value;
            if self.found.len() == MOST_FOUND {
                self.found.remove(0);
            }
            self.found.push(counts.to_vec());
        }
    }
}

/// The knapsack's linear relaxation: a primal simplex with bounded variables, few rows, many
/// columns. The bound is worked out anew from the dual prices, so that rounding cannot make it
/// invalid.
#[derive(Debug, Default)]
struct Relaxation {
    rows: usize,
    columns: usize,
    /// One row of `columns` entries a dimension: choices that may come in, then slacks.
    table: Vec<f64>,
    objective: Vec<f64>,
    /// Upper bounds of the columns.
    most: Vec<f64>,
    level: Vec<f64>,
    basic: Vec<usize>,
    at_most: Vec<bool>,
    /// Which choice each column is.
    choice: Vec<usize>,
}

impl Relaxation {
    /// Returns an upper bound on the value of what fits into `free` with at most `room` of each.
    fn solve(&mut self, values: &[f64], shares: &[f64], room: &[f64], free: &[f64]) -> f64 {
        self.begin(values, shares, room, free);
        for _ in 0..4 * (self.columns + self.rows) {
            let Some((column, up)) = self.entering() else { break };
            self.step(column, up);
        }
        let choices = self.choice.len();
        let price = |row: usize| (-self.objective[choices + row]).max(0.0);
        let mut bound: f64 = (0..self.rows).map(|row| price(row) * free[row]).sum();
        for (column, index) in self.choice.iter().enumerate() {
            let row = &shares[index * self.rows..(index + 1) * self.rows];
            let cost: f64 = row.iter().enumerate().map(|(row, share)| share * price(row)).sum();
            bound += self.most[column] * (values[*index] - cost).max(0.0);
        }
        bound
    }

    /// The relaxed content: choices and how many of each.
    fn levels(&self) -> impl Iterator<Item = (usize, f64)> {
        let basic = self
            .basic
            .iter()
            .zip(&self.level)
            .filter_map(|(column, level)| Some((*self.choice.get(*column)?, *level)));
        let at_most = self
            .choice
            .iter()
            .enumerate()
            .filter(|(column, _)| self.at_most[*column])
            .map(|(column, choice)| (*choice, self.most[column]));
        basic.chain(at_most).filter(|(_, level)| *level > 0.0)
    }

    fn begin(&mut self, values: &[f64], shares: &[f64], room: &[f64], free: &[f64]) {
        let rows = free.len();
        self.rows = rows;
        self.choice.clear();
        self.choice.extend((0..room.len()).filter(|index| room[*index] > 0.0));
        let columns = self.choice.len() + rows;
        self.columns = columns;
        self.table.clear();
        self.table.resize(rows * columns, 0.0);
        self.objective.clear();
        self.most.clear();
        for (column, index) in self.choice.iter().enumerate() {
            for row in 0..rows {
                self.table[row * columns + column] = shares[index * rows + row];
            }
            self.objective.push(values[*index]);
            self.most.push(room[*index]);
        }
        for row in 0..rows {
            self.table[row * columns + self.choice.len() + row] = 1.0;
        }
        self.objective.resize(columns, 0.0);
        self.most.resize(columns, f64::INFINITY);
        self.level.clear();
        self.level.extend_from_slice(free);
        self.basic.clear();
        self.basic.extend(self.choice.len()..columns);
        self.at_most.clear();
        self.at_most.resize(columns, false);
    }

    /// The column that gains most, and whether it goes up.
    fn entering(&self) -> Option<(usize, bool)> {
        let mut best = None;
        let mut most = EPSILON;
        for column in 0..self.columns {
            let up = !self.at_most[column];
            let gain = if up { self.objective[column] } else { -self.objective[column] };
            if gain > most {
                most = gain;
                best = Some((column, up));
            }
        }
        best
    }

    fn step(&mut self, column: usize, up: bool) {
        let (rows, columns) = (self.rows, self.columns);
        let direction = if up { 1.0 } else { -1.0 };
        let mut length = self.most[column];
        let mut leaving: Option<(usize, bool)> = None;
        for row in 0..rows {
            let change = direction * self.table[row * columns + column];
            if change > EPSILON && self.level[row] / change < length {
                length = (self.level[row] / change).max(0.0);
                leaving = Some((row, false));
            } else if change < -EPSILON {
                let room = (self.most[self.basic[row]] - self.level[row]) / -change;
                if room < length {
                    length = room.max(0.0);
                    leaving = Some((row, true));
                }
            }
        }
        for row in 0..rows {
            self.level[row] -= direction * length * self.table[row * columns + column];
        }
        let Some((row, to_most)) = leaving else {
            self.at_most[column] = up;
            return;
        };
        self.at_most[self.basic[row]] = to_most;
        self.at_most[column] = false;
        self.level[row] = if up { length } else { self.most[column] - length };
        self.basic[row] = column;
        self.pivot(row, column);
    }

    fn pivot(&mut self, row: usize, column: usize) {
        let columns = self.columns;
        let divisor = self.table[row * columns + column];
        for entry in &mut self.table[row * columns..(row + 1) * columns] {
            *entry /= divisor;
        }
        let (before, rest) = self.table.split_at_mut(row * columns);
        let (pivot, after) = rest.split_at_mut(columns);
        let others = before.chunks_exact_mut(columns).chain(after.chunks_exact_mut(columns));
        for other in others.chain([self.objective.as_mut_slice()]) {
            let factor = other[column];
            if factor != 0.0 {
                for (entry, pivot) in other.iter_mut().zip(pivot.iter()) {
                    *entry -= factor * pivot;
                }
            }
        }
    }
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
            let mut knapsack = Knapsack::default();
            knapsack.begin(&capacity);
            for (index, (value, demand, most)) in items.iter().enumerate() {
                knapsack.add(index, *value, demand, *most);
            }
            let relaxed = knapsack.relax();
            let best = knapsack.search(0.0, u32::MAX);
            let expected = brute_force(&capacity, &items);
            assert!(relaxed >= expected - 1e-9 && best.bound >= expected - 1e-6);
            let cut_short = knapsack.search(0.0, 3);
            assert!(cut_short.bound >= expected - 1e-6);
            let worth = |counts: &Vec<(usize, u32)>| -> f64 {
                counts.iter().map(|(item, count)| items[*item].0 * f64::from(*count)).sum()
            };
            let found = best.contents.first().map_or(0.0, worth);
            assert!((found - expected).abs() < 1e-6, "{best:?}, expected {expected}");
        }
    }
}
