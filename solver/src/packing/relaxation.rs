//! The linear relaxation of a knapsack: what a node could hold at most if pods could be cut up.

use smallvec::SmallVec;

use super::work;

/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;
/// By so much a variable may stay beyond its bound.
const ROUNDING: f64 = 1e-12;
/// Entries below this are not pivoted at.
const PIVOT: f64 = 1e-7;
/// More pivots than this a row are only done when rounding leads in circles.
const MOST_PIVOTS: usize = 40;
/// So many of those that may change sides are looked at first.
const FEW_PASSING: usize = 8;

/// A variable of the basis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basic {
    /// How many of a choice.
    Choice(usize),
    /// What is left of a dimension.
    Slack(usize),
}

/// Variables that a solution hangs on, one for each dimension.
pub type Basis = SmallVec<[Basic; 6]>;

/// The knapsack's linear relaxation: a dual simplex with bounded variables, few rows, many
/// columns, of which the basis can be the one of a problem before that was nearly the same.
///
/// Every basis is feasible for the dual problem here, as all variables have bounds on both sides:
/// each stands at the one that its reduced value says. A basic variable beyond a bound goes back to
/// it. On the way it passes others that change sides, as long as that does not bring it there (the
/// long step, known as bound flipping). The bound is worked out from the dual prices, so that
/// rounding cannot make it invalid.
#[derive(Debug, Default)]
pub struct Relaxation {
    rows: usize,
    choices: usize,
    /// One row of entries a dimension, one for each choice.
    table: Vec<f64>,
    /// What one of each choice is worth beyond the room it takes; then the same of slacks.
    reduced: Vec<f64>,
    /// How a step changes the basic variable that leaves.
    entries: Vec<f64>,
    /// Upper bounds of choices and slacks.
    most: Vec<f64>,
    at_most: Vec<bool>,
    /// Choices and slacks, these after those, one a row.
    basic: Vec<usize>,
    is_basic: Vec<bool>,
    /// The inverse of the basis, row by row.
    inverse: Vec<f64>,
    /// Values of the basic variables.
    level: Vec<f64>,
    /// What is left of the capacity beside what stands at its upper bound.
    left: Vec<f64>,
    prices: Vec<f64>,
    /// What changes sides on the way of a step, by how soon.
    passing: Vec<(f64, usize)>,
}

impl Relaxation {
    /// Takes choices that take those shares of that many dimensions, choice by choice.
    pub fn load(&mut self, shares: &[f64], rows: usize) {
        self.rows = rows;
        self.choices = shares.len() / rows.max(1);
        self.table.clear();
        for row in 0..rows {
            self.table.extend(shares.iter().skip(row).step_by(rows));
        }
        self.begin_at((0..rows).map(Basic::Slack));
    }

    /// The next solution is looked for from this basis on.
    pub fn begin_at(&mut self, basis: impl Iterator<Item = Basic>) {
        self.basic.clear();
        self.basic.extend(basis.map(|basic| match basic {
            Basic::Choice(choice) => choice,
            Basic::Slack(row) => self.choices + row,
        }));
    }

    /// Where the last solution was found.
    pub fn basis(&self) -> impl Iterator<Item = Basic> {
        self.basic.iter().map(|column| match column.checked_sub(self.choices) {
            None => Basic::Choice(*column),
            Some(row) => Basic::Slack(row),
        })
    }

    /// Returns an upper bound on the value of what fits into `free` with at most `room` of each.
    pub fn solve(&mut self, values: &[f64], room: &[f64], free: &[f64]) -> f64 {
        self.begin(room, free);
        self.look(values);
        for column in 0..self.reduced.len() {
            if self.reduced[column] > 0.0 && !self.is_basic[column] {
                self.change_sides(column);
            }
        }
        for _ in 0..MOST_PIVOTS * self.rows {
            let Some((row, below)) = self.leaving() else { break };
            if !self.step(row, below) {
                break;
            }
            self.look(values);
        }
        let capacity: f64 = (0..self.rows).map(|row| self.price(row) * free[row]).sum();
        if self.prices.iter().any(|price| *price < 0.0) {
            self.prices.iter_mut().for_each(|price| *price = price.max(0.0));
            self.reduce(values);
        }
        let gained = self.reduced[..self.choices].iter().zip(&self.most);
        capacity + gained.map(|(reduced, most)| most * reduced.max(0.0)).sum::<f64>()
    }

    /// What one more of a dimension would be worth.
    pub fn price(&self, row: usize) -> f64 {
        self.prices[row].max(0.0)
    }

    /// For each choice: what one of it is worth beyond the room it takes.
    pub fn reduced_values(&self) -> &[f64] {
        &self.reduced[..self.choices]
    }

    /// The relaxed content: choices and how many of each.
    pub fn levels(&self) -> impl Iterator<Item = (usize, f64)> {
        let basic = self.basic.iter().zip(&self.level).map(|(column, level)| (*column, *level));
        let at_most = (0..self.choices).filter(|column| self.at_most[*column]);
        basic
            .filter(|(column, _)| *column < self.choices)
            .chain(at_most.map(|column| (column, self.most[column])))
            .filter(|(_, level)| *level > 0.0)
    }

    fn begin(&mut self, room: &[f64], free: &[f64]) {
        let (rows, choices) = (self.rows, self.choices);
        self.most.clear();
        self.most.extend_from_slice(room);
        // A slack is never more than all that is free, as nothing takes less than nothing.
        self.most.extend_from_slice(free);
        self.is_basic.clear();
        self.is_basic.resize(choices + rows, false);
        self.basic.iter().for_each(|column| self.is_basic[*column] = true);
        self.at_most.clear();
        self.at_most.resize(choices + rows, false);
        self.left.clear();
        self.left.extend_from_slice(free);
        if !self.invert() {
            self.is_basic.fill(false);
            self.basic.clear();
            self.basic.extend(choices..choices + rows);
            self.is_basic[choices..].fill(true);
            self.invert();
        }
        self.entries.resize(choices + rows, 0.0);
    }

    fn entry(&self, row: usize, column: usize) -> f64 {
        match column.checked_sub(self.choices) {
            None => self.table[row * self.choices + column],
            Some(slack) => f64::from(u8::from(slack == row)),
        }
    }

    /// The inverse of the basis; whether there is one.
    fn invert(&mut self) -> bool {
        let rows = self.rows;
        let mut basis: Vec<f64> = Vec::with_capacity(rows * rows);
        for row in 0..rows {
            basis.extend(self.basic.iter().map(|column| self.entry(row, *column)));
        }
        self.inverse.clear();
        self.inverse.resize(rows * rows, 0.0);
        (0..rows).for_each(|row| self.inverse[row * rows + row] = 1.0);
        for at in 0..rows {
            let largest = (at..rows).max_by(|one, other| {
                basis[one * rows + at].abs().total_cmp(&basis[other * rows + at].abs())
            });
            let Some(largest) = largest.filter(|row| basis[row * rows + at].abs() > PIVOT) else {
                return false;
            };
            for column in 0..rows {
                basis.swap(at * rows + column, largest * rows + column);
                self.inverse.swap(at * rows + column, largest * rows + column);
            }
            let divisor = basis[at * rows + at];
            for column in 0..rows {
                basis[at * rows + column] /= divisor;
                self.inverse[at * rows + column] /= divisor;
            }
            for row in (0..rows).filter(|row| *row != at) {
                let factor = basis[row * rows + at];
                for column in 0..rows {
                    basis[row * rows + column] -= factor * basis[at * rows + column];
                    self.inverse[row * rows + column] -= factor * self.inverse[at * rows + column];
                }
            }
        }
        true
    }

    /// The prices of the basis and what choices are worth by them.
    fn look(&mut self, values: &[f64]) {
        let rows = self.rows;
        self.prices.clear();
        self.prices.resize(rows, 0.0);
        for (at, column) in self.basic.iter().enumerate() {
            let Some(value) = values.get(*column).filter(|value| **value != 0.0) else { continue };
            let line = &self.inverse[at * rows..(at + 1) * rows];
            self.prices.iter_mut().zip(line).for_each(|(price, entry)| *price += value * entry);
        }
        work::done(self.choices * rows);
        self.reduce(values);
    }

    /// Has a variable go from the one of its bounds to the other.
    fn change_sides(&mut self, column: usize) {
        let up = !self.at_most[column];
        self.at_most[column] = up;
        let most = if up { self.most[column] } else { -self.most[column] };
        for row in 0..self.rows {
            self.left[row] -= most * self.entry(row, column);
        }
    }

    /// What choices are worth beyond the room they take, by the prices.
    fn reduce(&mut self, values: &[f64]) {
        let choices = self.choices;
        self.reduced.clear();
        self.reduced.extend_from_slice(&values[..choices]);
        for (row, price) in self.prices.iter().enumerate().filter(|(_, price)| **price != 0.0) {
            let line = &self.table[row * choices..(row + 1) * choices];
            self.reduced.iter_mut().zip(line).for_each(|(worth, entry)| *worth -= price * entry);
        }
        self.reduced.extend(self.prices.iter().map(|price| -price));
    }

    /// The basic variable that is farthest beyond a bound, by its row, and whether that is the
    /// lower one.
    fn leaving(&mut self) -> Option<(usize, bool)> {
        self.level.clear();
        for line in self.inverse.chunks_exact(self.rows) {
            self.level.push(line.iter().zip(&self.left).map(|(entry, left)| entry * left).sum());
        }
        let mut farthest: Option<(f64, usize, bool)> = None;
        for (row, (column, level)) in self.basic.iter().zip(&self.level).enumerate() {
            let (beyond, below) = (-level, level - self.most[*column]);
            let (beyond, is_below) = if beyond >= below { (beyond, true) } else { (below, false) };
            if beyond > EPSILON && farthest.is_none_or(|(most, _, _)| beyond > most) {
                farthest = Some((beyond, row, is_below));
            }
        }
        farthest.map(|(_, row, below)| (row, below))
    }

    /// Has the basic variable of a row go back to its bound. Whether another one could come in for
    /// it.
    fn step(&mut self, row: usize, below: bool) -> bool {
        let (rows, choices) = (self.rows, self.choices);
        let line = &self.inverse[row * rows..(row + 1) * rows];
        let sign = if below { 1.0 } else { -1.0 };
        self.entries.fill(0.0);
        for (at, entry) in line.iter().enumerate().filter(|(_, entry)| **entry != 0.0) {
            let column = &self.table[at * choices..(at + 1) * choices];
            let factor = sign * entry;
            let entries = self.entries.iter_mut().zip(column);
            entries.for_each(|(sum, share)| *sum += factor * share);
            self.entries[choices + at] = factor;
        }
        work::done(choices * rows);
        let mut passing = std::mem::take(&mut self.passing);
        passing.clear();
        let reduced = self.reduced.iter().zip(&self.entries);
        for (column, (reduced, entry)) in reduced.enumerate() {
            let passes = if self.at_most[column] { *entry > PIVOT } else { *entry < -PIVOT };
            if passes && !self.is_basic[column] {
                passing.push((reduced / entry, column));
            }
        }
        let leaving = self.basic[row];
        let level = self.level[row];
        let mut beyond = if below { -level } else { level - self.most[leaving] };
        let mut entering = None;
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        let mut begun = 0;
        'steps: while begun < passing.len() {
            // Few change sides, most times: those are looked for, not all of them sorted.
            let few = (2 * begun).max(FEW_PASSING);
            let rest = &mut passing[begun..];
            if few < rest.len() {
                rest.select_nth_unstable_by(few, order);
            }
            let end = passing.len().min(begun + few);
            passing[begun..end].sort_unstable_by(order);
            for (_, column) in &passing[begun..end] {
                beyond -= self.entries[*column].abs() * self.most[*column];
                if beyond <= ROUNDING {
                    entering = Some(*column);
                    break 'steps;
                }
                self.change_sides(*column);
            }
            begun = end;
        }
        self.passing = passing;
        let Some(column) = entering else { return false };
        if self.at_most[column] {
            self.change_sides(column);
        }
        if !self.exchange(row, column) {
            return false;
        }
        if !below {
            self.change_sides(leaving);
        }
        true
    }

    /// Has a column take the place of the basic variable of a row.
    fn exchange(&mut self, row: usize, column: usize) -> bool {
        let rows = self.rows;
        let mut taken: Vec<f64> = Vec::with_capacity(rows);
        for line in self.inverse.chunks_exact(rows) {
            let entries = line.iter().enumerate();
            taken.push(entries.map(|(at, entry)| entry * self.entry(at, column)).sum());
        }
        let divisor = taken[row];
        if divisor.abs() <= PIVOT {
            return false;
        }
        for at in 0..rows {
            self.inverse[row * rows + at] /= divisor;
        }
        for (other, factor) in taken.iter().enumerate().filter(|(other, _)| *other != row) {
            for at in 0..rows {
                self.inverse[other * rows + at] -= factor * self.inverse[row * rows + at];
            }
        }
        let leaving = std::mem::replace(&mut self.basic[row], column);
        self.is_basic[leaving] = false;
        self.is_basic[column] = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn from_whatever_basis_it_begins_the_optimum_is_the_same_and_what_it_is_said_to_hold_fits() {
        let random = &mut SmallRng::seed_from_u64(5);
        for _ in 0..500 {
            let (rows, choices) = (random.random_range(1..4), random.random_range(1..12));
            let shares: Vec<f64> = (0..rows * choices)
                .map(|_| f64::from(random.random_range(0..8_u8)) / 10.0)
                .collect();
            let values: Vec<f64> = (0..choices).map(|_| random.random_range(0.1..2.0)).collect();
            let room: Vec<f64> =
                (0..choices).map(|_| f64::from(random.random_range(0..4_u8))).collect();
            let free: Vec<f64> = (0..rows).map(|_| random.random_range(0.0..1.0)).collect();
            let mut relaxation = Relaxation::default();
            relaxation.load(&shares, rows);
            let optimum = relaxation.solve(&values, &room, &free);
            for _ in 0..4 {
                // Any basis, also one that is none.
                let basis: Vec<Basic> = (0..rows)
                    .map(|row| match random.random_range(0..2 * choices) {
                        choice if choice < choices => Basic::Choice(choice),
                        _ => Basic::Slack(row),
                    })
                    .collect();
                relaxation.begin_at(basis.into_iter());
                let again = relaxation.solve(&values, &room, &free);
                assert!((again - optimum).abs() < 1e-7, "{again}, {optimum}");
                let levels: Vec<(usize, f64)> = relaxation.levels().collect();
                let worth: f64 = levels.iter().map(|(choice, level)| values[*choice] * level).sum();
                assert!((worth - optimum).abs() < 1e-6, "{worth}, {optimum}");
                for (row, free) in free.iter().enumerate() {
                    let taken =
                        |(choice, level): &(usize, f64)| shares[choice * rows + row] * level;
                    assert!(levels.iter().map(taken).sum::<f64>() <= free + 1e-6);
                }
                assert!(levels.iter().all(|(choice, level)| *level <= room[*choice] + 1e-6));
            }
        }
    }
}
