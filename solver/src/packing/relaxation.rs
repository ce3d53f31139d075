//! The linear relaxation of a knapsack: what a node could hold at most if pods could be cut up.

use std::collections::BinaryHeap;

use super::ranked::Ranked;
use super::work;

/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;

/// The knapsack's linear relaxation: a primal simplex with bounded variables, few rows, many
/// columns. The bound is worked out anew from the dual prices, so that rounding cannot make it
/// invalid.
#[derive(Debug, Default)]
pub struct Relaxation {
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
    /// The columns that gain by coming in, or by going down, by how much that is.
    gaining: BinaryHeap<Ranked<usize>>,
}

impl Relaxation {
    /// Returns an upper bound on the value of what fits into `free` with at most `room` of each.
    pub fn solve(&mut self, values: &[f64], shares: &[f64], room: &[f64], free: &[f64]) -> f64 {
        self.begin(values, shares, room, free);
        let mut left = 4 * (self.columns + self.rows);
        self.look();
        while left > 0
            && let Some(Ranked { of: column, .. }) = self.gaining.pop()
        {
            left -= 1;
            // What others gain changes with the basis only: most columns go from one bound to the
            // other.
            if self.step(column) {
                self.look();
            }
        }
        let price = |row: usize| self.price(row);
        let mut bound: f64 = (0..self.rows).map(|row| price(row) * free[row]).sum();
        for (column, index) in self.choice.iter().enumerate() {
            let row = &shares[index * self.rows..(index + 1) * self.rows];
            let cost: f64 = row.iter().enumerate().map(|(row, share)| share * price(row)).sum();
            bound += self.most[column] * (values[*index] - cost).max(0.0);
        }
        bound
    }

    /// What one more of a dimension would be worth.
    pub fn price(&self, row: usize) -> f64 {
        (-self.objective[self.choice.len() + row]).max(0.0)
    }

    /// For each choice that could come in: what one of it is worth beyond the room it takes.
    pub fn reduced_values(&self) -> impl Iterator<Item = (usize, f64)> {
        self.choice.iter().copied().zip(self.objective.iter().copied())
    }

    /// The relaxed content: choices and how many of each.
    pub fn levels(&self) -> impl Iterator<Item = (usize, f64)> {
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

    /// Looks for all columns that gain.
    fn look(&mut self) {
        work::done(self.columns);
        let mut gaining = std::mem::take(&mut self.gaining).into_vec();
        gaining.clear();
        for (column, worth) in self.objective.iter().enumerate() {
            let gain = if self.at_most[column] { -worth } else { *worth };
            if gain > EPSILON {
                gaining.push(Ranked { rank: gain, of: column });
            }
        }
        self.gaining = gaining.into();
    }

    /// Has a column come in or go down as far as possible; whether the basis is another one then.
    fn step(&mut self, column: usize) -> bool {
        let up = !self.at_most[column];
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
            work::done(rows);
            self.at_most[column] = up;
            return false;
        };
        self.at_most[self.basic[row]] = to_most;
        self.at_most[column] = false;
        self.level[row] = if up { length } else { self.most[column] - length };
        self.basic[row] = column;
        self.pivot(row, column);
        true
    }

    fn pivot(&mut self, row: usize, column: usize) {
        let columns = self.columns;
        work::done(columns * self.rows);
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
