//! The master problem of column generation: how many nodes of each pattern, so that together they
//! hold all pods at the lowest cost, if nodes could be cut up.
//!
//! A revised simplex over columns that come in as they are found. The inverse of the basis is
//! kept as it is: bases are sparse here (a node holds few kinds of pod) and rows are few enough.
//! Every pivot can be the last: what is there then is a feasible solution with dual values.

use std::cmp::Ordering;

use super::work;

/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;
/// Pivots below this are not trusted.
const PIVOT: f64 = 1e-7;
/// By so much a variable may fall below zero, for the sake of a better pivot.
const TOLERANCE: f64 = 1e-7;
/// How many columns are brought in before all are looked at again.
const PROMISING: usize = 12;

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

impl Column {
    /// By candidate and content.
    pub fn cmp_content(&self, other: &Self) -> Ordering {
        (self.candidate, &self.counts).cmp(&(other.candidate, &other.counts))
    }
}

/// What a row's basic variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basic {
    /// A column.
    Column(usize),
    /// More of a row than is asked for.
    Surplus,
    /// Less of a row than is asked for, at its cost.
    Uncovered(usize),
}

/// The linear programme: minimise the cost of columns that cover what every row needs.
#[derive(Clone, Debug)]
pub struct Master {
    columns: Vec<Column>,
    /// What each column covers of each row.
    covers: Vec<Vec<(usize, f64)>>,
    basic: Vec<Basic>,
    in_basis: Vec<bool>,
    /// What leaving one of a row uncovered costs.
    costs: Vec<f64>,
    /// The least of them: what costs less is held against that.
    least_cost: f64,
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
    /// Begins with leaving uncovered what every row needs, at that cost each: `needs` says how
    /// much of each there is to cover. A row that needs less than nothing, and that columns take
    /// from, is a supply: there is no more of it than that.
    pub fn new(needs: &[f64], costs: &[f64]) -> Self {
        let rows = needs.len();
        work::done(rows * rows);
        let mut inverse = vec![0.0; rows * rows];
        let is_supply = |row: usize| needs[row] < 0.0;
        for row in 0..rows {
            inverse[row * rows + row] = if is_supply(row) { -1.0 } else { 1.0 };
        }
        let basic = |row| if is_supply(row) { Basic::Surplus } else { Basic::Uncovered(row) };
        let dual = |row| if is_supply(row) { 0.0 } else { costs[row] };
        Self {
            basic: (0..rows).map(basic).collect(),
            least_cost: costs.iter().copied().fold(f64::INFINITY, f64::min),
            in_basis: Vec::new(),
            columns: Vec::new(),
            covers: Vec::new(),
            costs: costs.to_vec(),
            inverse,
            levels: needs.iter().map(|need| need.abs()).collect(),
            duals: (0..rows).map(dual).collect(),
            pivots: 0,
            direction: vec![0.0; rows],
            row_entries: Vec::new(),
        }
    }

    /// What one more of each row costs, never negative.
    pub fn duals(&self) -> &[f64] {
        &self.duals
    }

    /// All columns that ever came in, for use elsewhere.
    pub fn into_columns(self) -> Vec<Column> {
        self.columns
    }

    /// The columns that cost no more than that share of their cost beyond what they cover is worth.
    pub fn near(&self, share: f64) -> impl Iterator<Item = &Column> {
        let near = move |at: &usize| self.reduced_cost(*at) <= share * self.columns[*at].cost;
        (0..self.columns.len()).filter(near).map(|at| &self.columns[at])
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
        let columns: f64 = self.solution().map(|(column, level)| column.cost * level).sum();
        columns + self.uncovered()
    }

    /// What of that is for leaving rows uncovered.
    fn uncovered(&self) -> f64 {
        let left = self.basic.iter().zip(&self.levels).filter_map(|(basic, level)| match basic {
            Basic::Uncovered(row) if *level > EPSILON => Some(self.costs[*row] * level),
            _ => None,
        });
        left.sum()
    }

    /// Adds a column, with what it covers of each row, if it is worth having: if it costs less
    /// than what it covers is worth by more than that share of its cost.
    pub fn add_if_worth(&mut self, column: Column, covers: Vec<(usize, f64)>, share: f64) -> bool {
        let useful = column.cost - self.worth(&covers) < -share * column.cost;
        if useful {
            self.add(column, covers);
        }
        useful
    }

    /// Adds a column that may be of use, with what it covers of each row.
    pub fn add(&mut self, column: Column, covers: Vec<(usize, f64)>) {
        self.columns.push(column);
        self.covers.push(covers);
        self.in_basis.push(false);
    }

    /// What a column costs beyond what it covers is worth; below zero it is worth having.
    fn reduced_cost(&self, column: usize) -> f64 {
        self.columns[column].cost - self.worth(&self.covers[column])
    }

    /// What savings by a column are held against.
    fn measure(&self, column: usize) -> f64 {
        self.columns[column].cost.max(self.least_cost).max(EPSILON)
    }

    fn worth(&self, covers: &[(usize, f64)]) -> f64 {
        covers.iter().map(|(row, amount)| self.duals[*row] * amount).sum()
    }

    /// Pivots until no column that came in is worth having any more, or `stop` says so.
    pub fn optimise(&mut self, stop: &mut dyn FnMut() -> bool) {
        loop {
            let promising = self.promising();
            if promising.is_empty() {
                return;
            }
            for column in promising {
                if stop() {
                    return;
                }
                let still = !self.in_basis[column]
                    && self.reduced_cost(column) < -EPSILON * self.measure(column);
                if still && !self.pivot(column, stop) {
                    return;
                }
            }
        }
    }

    /// The columns that promise most, by their own cost: a saving on a small node counts as much
    /// as on a large one. Looking at all of them costs more than a pivot does.
    fn promising(&self) -> Vec<usize> {
        work::done(self.columns.len());
        let mut rated: Vec<(f64, usize)> = (0..self.columns.len())
            .filter(|column| !self.in_basis[*column])
            .map(|column| (self.reduced_cost(column) / self.measure(column), column))
            .filter(|(reduced, _)| *reduced < -EPSILON)
            .collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if rated.len() > PROMISING {
            rated.select_nth_unstable_by(PROMISING, order);
            rated.truncate(PROMISING);
        }
        rated.sort_unstable_by(order);
        rated.into_iter().map(|(_, column)| column).collect()
    }

    /// Brings a column into the basis. `false` if that is impossible, which only rounding could
    /// bring about.
    fn pivot(&mut self, column: usize, stop: &mut dyn FnMut() -> bool) -> bool {
        let reduced = self.reduced_cost(column);
        let covers = std::mem::take(&mut self.covers[column]);
        let entered = self.enter(Basic::Column(column), &covers, 1.0, reduced);
        self.covers[column] = covers;
        if !entered {
            return false;
        }
        self.in_basis[column] = true;
        // A surplus of a row whose dual value fell below zero is worth having; so is leaving a
        // row uncovered whose dual value rose above what that costs.
        for _ in 0..self.levels.len() {
            if stop() {
                break;
            }
            let reduced = |row: usize| self.duals[row].min(self.costs[row] - self.duals[row]);
            let most_negative = (0..self.duals.len())
                .filter(|row| reduced(*row) < -EPSILON)
                .min_by(|left, right| reduced(*left).total_cmp(&reduced(*right)));
            let Some(row) = most_negative else { break };
            let (basic, sign, reduced) = if self.duals[row] < 0.0 {
                (Basic::Surplus, -1.0, self.duals[row])
            } else {
                (Basic::Uncovered(row), 1.0, self.costs[row] - self.duals[row])
            };
            if !self.enter(basic, &[(row, 1.0)], sign, reduced) {
                break;
            }
        }
        true
    }

    fn enter(&mut self, entering: Basic, covers: &[(usize, f64)], sign: f64, reduced: f64) -> bool {
        let rows = self.levels.len();
        work::done(rows * covers.len());
        for row in 0..rows {
            let line = &self.inverse[row * rows..(row + 1) * rows];
            self.direction[row] =
                sign * covers.iter().map(|(item, amount)| line[*item] * amount).sum::<f64>();
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
                work::done(self.row_entries.len());
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

    fn add(master: &mut Master, cost: f64, counts: &[(usize, u32)]) {
        let covers = counts.iter().map(|(row, count)| (*row, f64::from(*count))).collect();
        master.add(column(cost, counts), covers);
    }

    #[test]
    fn columns_that_come_in_are_used_as_far_as_they_save() {
        // 4 of the one and 2 of the other, alone for 1 each; one of both together for 1.2.
        let mut master = Master::new(&[4.0, 2.0], &[1.0, 1.0]);
        assert!((master.cost() - 6.0).abs() < 1e-9);
        add(&mut master, 1.2, &[(0, 1), (1, 1)]);
        master.optimise(&mut || false);
        assert!((master.cost() - 4.4).abs() < 1e-9, "{}", master.cost());
        assert!((master.duals()[0] - 1.0).abs() < 1e-9);
        assert!((master.duals()[1] - 0.2).abs() < 1e-9);
        // Two of each for the price of one: two such nodes hold all, with room for two more.
        add(&mut master, 1.0, &[(0, 2), (1, 2)]);
        master.optimise(&mut || false);
        assert!((master.cost() - 2.0).abs() < 1e-9, "{}", master.cost());
        assert!(master.duals()[1].abs() < 1e-9, "{:?}", master.duals());
    }

    #[test]
    fn of_a_supply_there_is_no_more_than_that() {
        // Five to cover for 1 each; two nodes that are there take two each for nothing.
        let mut master = Master::new(&[5.0, -2.0], &[1.0, f64::INFINITY]);
        let node = Column { cost: 0.0, candidate: 0, counts: vec![(0, 2)] };
        master.add(node, vec![(0, 2.0), (1, -1.0)]);
        master.optimise(&mut || false);
        assert!((master.cost() - 1.0).abs() < 1e-9, "{}", master.cost());
        // A place on such a node saves what two cost elsewhere.
        let duals = master.duals();
        assert!((duals[0] - 1.0).abs() < 1e-9 && (duals[1] - 2.0).abs() < 1e-9, "{duals:?}");
    }

    #[test]
    fn what_is_left_over_costs_nothing() {
        let mut master = Master::new(&[1.0, 5.0], &[3.0, 3.0]);
        add(&mut master, 1.0, &[(0, 4), (1, 1)]);
        master.optimise(&mut || false);
        assert!((master.cost() - 5.0).abs() < 1e-9, "{}", master.cost());
        assert!(master.duals().iter().all(|dual| *dual >= -1e-9), "{:?}", master.duals());
        assert!(master.duals()[0].abs() < 1e-9 && (master.duals()[1] - 1.0).abs() < 1e-9);
    }
}
