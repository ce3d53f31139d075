//! The master problem of column generation: how many nodes of each pattern, so that together they
//! hold all pods at the lowest cost, if nodes could be cut up.
//!
//! A revised simplex over columns that come in as they are found. The inverse of the basis is
//! kept as it is: bases are sparse here (a node holds few kinds of pod) and rows are few enough.
//! Every pivot can be the last: what is there then is a feasible solution with dual values.

/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;
/// Pivots below this are not trusted.
const PIVOT: f64 = 1e-7;
/// By so much a variable may fall below zero, for the sake of a better pivot.
const TOLERANCE: f64 = 1e-7;

/// A way to fill a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// What the node costs.
    pub cost: f64,
    /// Which candidate it is.
    pub candidate: usize,
    /// Items on it, by index, and how many of each.
    pub counts: Vec<(usize, u32)>,
}

/// What a row's basic variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basic {
    /// A column.
    Column(usize),
    /// More of an item than is asked for.
    Surplus,
}

/// The linear programme: minimise the cost of columns that cover what every item needs.
#[derive(Clone, Debug)]
pub struct Master {
    columns: Vec<Column>,
    basic: Vec<Basic>,
    in_basis: Vec<bool>,
    /// The inverse of the basis, row by row.
    inverse: Vec<f64>,
    /// Values of the basic variables.
    levels: Vec<f64>,
    duals: Vec<f64>,
    /// Pivots done so far.
    pub pivots: u32,
    direction: Vec<f64>,
    row_entries: Vec<(usize, f64)>,
}

impl Master {
    /// Begins with one column for each item, in the items' order, that holds nothing but that
    /// item: `needs` says how many of each there are.
    pub fn new(needs: &[f64], singles: Vec<Column>) -> Self {
        let rows = needs.len();
        let mut inverse = vec![0.0; rows * rows];
        let mut levels = vec![0.0; rows];
        let mut duals = vec![0.0; rows];
        for (row, column) in singles.iter().enumerate() {
            let count = column.counts.first().map_or(1.0, |(_, count)| f64::from(*count));
            inverse[row * rows + row] = 1.0 / count;
            levels[row] = needs[row] / count;
            duals[row] = column.cost / count;
        }
        Self {
            basic: (0..rows).map(Basic::Column).collect(),
            in_basis: vec![true; rows],
            columns: singles,
            inverse,
            levels,
            duals,
            pivots: 0,
            direction: vec![0.0; rows],
            row_entries: Vec::new(),
        }
    }

    /// What one more pod of each item costs, never negative.
    pub fn duals(&self) -> &[f64] {
        &self.duals
    }

    /// All columns that ever came in.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns that are in use, and how many nodes of each.
    pub fn solution(&self) -> impl Iterator<Item = (&Column, f64)> {
        self.basic.iter().zip(&self.levels).filter_map(|(basic, level)| match basic {
            Basic::Column(index) if *level > EPSILON => Some((&self.columns[*index], *level)),
            _ => None,
        })
    }

    /// What the solution costs.
    pub fn cost(&self) -> f64 {
        self.solution().map(|(column, level)| column.cost * level).sum()
    }

    /// Adds a column that may be of use.
    pub fn add(&mut self, column: Column) {
        self.columns.push(column);
        self.in_basis.push(false);
    }

    /// What a column costs beyond what its content is worth; below zero it is worth having.
    pub fn reduced_cost(&self, column: &Column) -> f64 {
        column.cost - worth(&self.duals, &column.counts)
    }

    /// Pivots until no column that came in is worth having any more, or `stop` says so.
    pub fn optimise(&mut self, stop: &mut dyn FnMut() -> bool) {
        while !stop() {
            let Some(entering) = self.entering() else { return };
            if !self.pivot(entering) {
                return;
            }
        }
    }

    fn entering(&self) -> Option<Basic> {
        let mut best = None;
        let mut least = -EPSILON;
        for (index, column) in self.columns.iter().enumerate() {
            if !self.in_basis[index] {
                // By its own cost: a saving on a small node counts as much as on a large one.
                let reduced = self.reduced_cost(column) / column.cost.max(EPSILON);
                if reduced < least {
                    least = reduced;
                    best = Some(index);
                }
            }
        }
        best.map(Basic::Column)
    }

    /// Brings a column into the basis. `false` if that is impossible, which only rounding could
    /// bring about.
    fn pivot(&mut self, entering: Basic) -> bool {
        let Basic::Column(index) = entering else { return false };
        let column = self.columns[index].clone();
        let reduced = self.reduced_cost(&column);
        if !self.enter(Basic::Column(index), &column.counts, 1.0, reduced) {
            return false;
        }
        self.in_basis[index] = true;
        // A surplus of an item whose dual value fell below zero is worth having.
        for _ in 0..self.levels.len() {
            let most_negative = (0..self.duals.len())
                .filter(|row| self.duals[*row] < -EPSILON)
                .min_by(|left, right| self.duals[*left].total_cmp(&self.duals[*right]));
            let Some(item) = most_negative else { break };
            let reduced = self.duals[item];
            if !self.enter(Basic::Surplus, &[(item, 1)], -1.0, reduced) {
                break;
            }
        }
        true
    }

    fn enter(&mut self, entering: Basic, counts: &[(usize, u32)], sign: f64, reduced: f64) -> bool {
        let rows = self.levels.len();
        for row in 0..rows {
            let line = &self.inverse[row * rows..(row + 1) * rows];
            self.direction[row] = sign
                * counts.iter().map(|(item, count)| line[*item] * f64::from(*count)).sum::<f64>();
        }
        // The shortest way, then of those about as short the largest pivot: it rounds least.
        let changing = || (0..rows).filter(|row| self.direction[*row] > PIVOT);
        let way = |row: usize| self.levels[row].max(0.0) / self.direction[row];
        let shortest = changing()
            .map(|row| (self.levels[row].max(0.0) + TOLERANCE) / self.direction[row])
            .fold(f64::INFINITY, f64::min);
        let leaving = changing().filter(|row| way(*row) <= shortest).max_by(|left, right| {
            self.direction[*left].total_cmp(&self.direction[*right]).then(right.cmp(left))
        });
        let Some(row) = leaving else { return false };
        let length = way(row);
        self.pivots += 1;
        if let Basic::Column(index) = self.basic[row] {
            self.in_basis[index] = false;
        }
        self.basic[row] = entering;
        for other in 0..rows {
            self.levels[other] -= length * self.direction[other];
        }
        self.levels[row] = length;
        self.update_inverse(row, reduced);
        true
    }

    /// The inverse and the duals after the variable of `row` was exchanged.
    fn update_inverse(&mut self, row: usize, reduced: f64) {
        let rows = self.levels.len();
        let divisor = self.direction[row];
        self.row_entries.clear();
        for (item, entry) in self.inverse[row * rows..(row + 1) * rows].iter_mut().enumerate() {
            if *entry != 0.0 {
                *entry /= divisor;
                if entry.abs() < 1e-13 {
                    *entry = 0.0;
                } else {
                    self.row_entries.push((item, *entry));
                }
            }
        }
        for other in 0..rows {
            let factor = self.direction[other];
            if other != row && factor != 0.0 {
                let line = &mut self.inverse[other * rows..(other + 1) * rows];
                for (item, entry) in &self.row_entries {
                    line[*item] -= factor * entry;
                }
            }
        }
        for (item, entry) in &self.row_entries {
            self.duals[*item] += reduced * entry;
        }
    }
}

/// What a node's content is worth.
pub fn worth(duals: &[f64], counts: &[(usize, u32)]) -> f64 {
    counts.iter().map(|(item, count)| duals[*item] * f64::from(*count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cost: f64, counts: &[(usize, u32)]) -> Column {
        Column { cost, candidate: 0, counts: counts.to_vec() }
    }

    #[test]
    fn columns_that_come_in_are_used_as_far_as_they_save() {
        // 4 of the one and 2 of the other, alone for 1 each; one of both together for 1.2.
        let singles = vec![column(1.0, &[(0, 1)]), column(1.0, &[(1, 1)])];
        let mut master = Master::new(&[4.0, 2.0], singles);
        assert!((master.cost() - 6.0).abs() < 1e-9);
        master.add(column(1.2, &[(0, 1), (1, 1)]));
        master.optimise(&mut || false);
        assert!((master.cost() - 4.4).abs() < 1e-9, "{}", master.cost());
        assert!((master.duals()[0] - 1.0).abs() < 1e-9);
        assert!((master.duals()[1] - 0.2).abs() < 1e-9);
        // Two of each for the price of one: two such nodes hold all, with room for two more.
        master.add(column(1.0, &[(0, 2), (1, 2)]));
        master.optimise(&mut || false);
        assert!((master.cost() - 2.0).abs() < 1e-9, "{}", master.cost());
        assert!(master.duals()[1].abs() < 1e-9, "{:?}", master.duals());
    }

    #[test]
    fn what_is_left_over_costs_nothing() {
        let singles = vec![column(3.0, &[(0, 1)]), column(3.0, &[(1, 1)])];
        let mut master = Master::new(&[1.0, 5.0], singles);
        master.add(column(1.0, &[(0, 4), (1, 1)]));
        master.optimise(&mut || false);
        assert!((master.cost() - 5.0).abs() < 1e-9, "{}", master.cost());
        assert!(master.duals().iter().all(|dual| *dual >= -1e-9), "{:?}", master.duals());
        assert!(master.duals()[0].abs() < 1e-9 && (master.duals()[1] - 1.0).abs() < 1e-9);
    }
}
