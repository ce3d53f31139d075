//! What the master problem's rows stand for.
//!
//! A row for each item is exact, and slow with hundreds of items. Items alike in what they take
//! share rows instead: one for each resource and one for their number. What an item is worth is
//! then a linear function of what it takes, within each cluster of items. That loses little, for
//! values follow sizes, and whatever values come out prove a bound.

use std::collections::BTreeMap;
use std::ops::Range;

use super::columns::Model;
use super::master::Column;

/// So many items have a row each from the start.
const FEW: usize = 200;
/// About so many rows there are at first where items are more.
const COARSE: usize = 80;
/// Machines on which more than this share of the price is spent say where items are divided...
const MATTERS: f64 = 0.03;
/// ...by how many times the smaller ones fit onto them: up to so many.
const PARTS: i64 = 3;

/// For each item, which rows it counts in and by how much.
#[derive(Clone, Debug)]
pub struct Rows {
    clusters: Vec<Vec<usize>>,
    of_item: Vec<Vec<(usize, f64)>>,
    count: usize,
    /// Dimensions in which items differ.
    differing: Vec<usize>,
}

impl Rows {
    /// The rows to begin with: one for each item if those are few. `values` says what items are
    /// worth, about.
    pub fn first(model: &Model, values: &[f64], marks: &Marks) -> Self {
        if model.items.len() <= FEW {
            Self::each(model)
        } else {
            Self::coarse(model, values, marks)
        }
    }

    /// A row for each item.
    fn each(model: &Model) -> Self {
        Self::of_clusters(model, (0..model.items.len()).map(|item| vec![item]).collect())
    }

    /// Few clusters, one for each kind of item at least.
    fn coarse(model: &Model, values: &[f64], marks: &Marks) -> Self {
        let mut kinds: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, item) in model.items.iter().enumerate() {
            kinds.entry(item.kind).or_default().push(index);
        }
        Self::of_clusters(model, kinds.into_values().collect())
            .refined(model, values, marks, COARSE)
    }

    fn of_clusters(model: &Model, clusters: Vec<Vec<usize>>) -> Self {
        let dimensions = model.items.first().map_or(0, |item| item.demand.len());
        let differ = |dimension: &usize| {
            let mut amounts = model.items.iter().map(|item| item.demand[*dimension]);
            let first = amounts.next();
            amounts.any(|amount| Some(amount) != first)
        };
        let differing: Vec<usize> = (0..dimensions).filter(differ).collect();
        let mut of_item = vec![Vec::new(); model.items.len()];
        let mut count = 0;
        for cluster in &clusters {
            if cluster.len() <= differing.len() + 1 {
                for item in cluster {
                    of_item[*item].push((count, 1.0));
                    count += 1;
                }
                continue;
            }
            for (at, dimension) in differing.iter().enumerate() {
                let amount = |item: &usize| model.items[*item].demand[*dimension].max(0) as f64;
                let mean = cluster.iter().map(amount).sum::<f64>() / cluster.len() as f64;
                for item in cluster.iter().filter(|item| amount(item) > 0.0) {
                    of_item[*item].push((count + at, amount(item) / mean));
                }
            }
            cluster.iter().for_each(|item| of_item[*item].push((count + differing.len(), 1.0)));
            count += differing.len() + 1;
        }
        Self { clusters, of_item, count, differing }
    }

    /// Whether each item has a row of its own.
    pub fn is_exact(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.len() <= self.differing.len() + 1)
    }

    /// More rows, about `most`: clusters whose items differ most in size are divided, weighed by
    /// what the items are worth, at the mark that is nearest to their mean size.
    #[must_use]
    pub fn refined(&self, model: &Model, values: &[f64], marks: &Marks, most: usize) -> Self {
        let mut count = self.count;
        let rows = |items: &Vec<usize>| items.len().min(self.differing.len() + 1);
        let spread = |items: Vec<usize>| Spread::of(model, values, &self.differing, items);
        let mut open: Vec<Spread> = self.clusters.iter().cloned().map(spread).collect();
        while count < most {
            let worst = (0..open.len())
                .filter(|at| open[*at].items.len() > self.differing.len() + 1)
                .max_by(|a, b| open[*a].amount.total_cmp(&open[*b].amount).then(b.cmp(a)));
            let Some(worst) = worst.filter(|worst| open[*worst].amount > 0.0) else { break };
            let divided = open.swap_remove(worst);
            count -= rows(&divided.items);
            let (small, large) = divided.halves(model, marks);
            count += rows(&small) + rows(&large);
            open.push(spread(small));
            open.push(spread(large));
        }
        Self::of_clusters(model, open.into_iter().map(|spread| spread.items).collect())
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// What all items need of each row.
    pub fn needs(&self, model: &Model) -> Vec<f64> {
        let mut needs = vec![0.0; self.count];
        for (item, rows) in model.items.iter().zip(&self.of_item) {
            for (row, amount) in rows {
                needs[*row] += amount * f64::from(item.count);
            }
        }
        needs
    }

    /// For each row what nothing is worth more than, by columns that hold one item each.
    pub fn dearest(&self, singles: &[Column]) -> Vec<f64> {
        let mut dearest = vec![0.0_f64; self.count];
        for (single, rows) in singles.iter().zip(&self.of_item) {
            let count = single.counts.first().map_or(1.0, |(_, count)| f64::from(*count));
            for (row, amount) in rows {
                dearest[*row] = dearest[*row].max(1.001 * single.cost / count / amount);
            }
        }
        dearest
    }

    /// What a column covers of each row.
    pub fn of(&self, column: &Column) -> Vec<(usize, f64)> {
        let mut covers: Vec<(usize, f64)> = Vec::with_capacity(column.counts.len());
        for (item, count) in &column.counts {
            for (row, amount) in &self.of_item[*item] {
                covers.push((*row, amount * f64::from(*count)));
            }
        }
        covers.sort_unstable_by_key(|(row, _)| *row);
        covers.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        covers
    }

    /// What one of each item is worth, by what one of each row is.
    pub fn values(&self, duals: &[f64]) -> Vec<f64> {
        let worth = |rows: &Vec<(usize, f64)>| {
            rows.iter().map(|(row, amount)| duals[*row].max(0.0) * amount).sum()
        };
        self.of_item.iter().map(worth).collect()
    }
}

/// How much items differ in size.
struct Spread {
    items: Vec<usize>,
    /// By how much, in the dimension in which they differ most.
    amount: f64,
    dimension: usize,
    /// The logarithm of their mean size.
    middle: f64,
}

impl Spread {
    fn of(model: &Model, values: &[f64], dimensions: &[usize], items: Vec<usize>) -> Self {
        let weight = |item: usize| values[item].max(1e-12) * f64::from(model.items[item].count);
        let total: f64 = items.iter().map(|item| weight(*item)).sum();
        let mut spread = Self { items, amount: 0.0, dimension: 0, middle: 0.0 };
        for dimension in dimensions {
            let size = |item: &usize| size(model, *item, *dimension);
            let items = spread.items.iter();
            let mean = items.map(|item| weight(*item) * size(item)).sum::<f64>() / total;
            let items = spread.items.iter();
            let amount = items.map(|item| weight(*item) * (size(item) - mean).powi(2)).sum::<f64>();
            if amount > spread.amount {
                (spread.amount, spread.dimension, spread.middle) = (amount, *dimension, mean);
            }
        }
        spread
    }

    fn halves(self, model: &Model, marks: &Marks) -> (Vec<usize>, Vec<usize>) {
        let sizes = self.items.iter().map(|item| size(model, *item, self.dimension));
        let range = sizes.fold(f64::INFINITY..f64::NEG_INFINITY, |range, size| {
            range.start.min(size)..range.end.max(size)
        });
        let at = marks.nearest(self.dimension, self.middle, range).unwrap_or(self.middle);
        let small = |item: &usize| size(model, *item, self.dimension) <= at;
        self.items.into_iter().partition(small)
    }
}

fn size(model: &Model, item: usize, dimension: usize) -> f64 {
    logarithm(model.items[item].demand[dimension])
}

fn logarithm(amount: i64) -> f64 {
    (amount.max(0) as f64 + 1.0).ln()
}

/// Sizes of items at which it changes how many of them fit onto a machine that matters: all of its
/// room, half of it, a third. What an item is worth leaps there, so that no linear function says
/// it for items on both sides.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Logarithms, by dimension.
    sizes: Vec<Vec<f64>>,
}

impl Marks {
    /// The marks of the machines on which most is spent: `columns` says how much on which.
    pub fn of<'c>(model: &Model, columns: impl Iterator<Item = (&'c Column, f64)>) -> Self {
        let mut spent: BTreeMap<usize, f64> = BTreeMap::new();
        for (column, amount) in columns {
            *spent.entry(column.candidate).or_default() += amount;
        }
        let enough = MATTERS * spent.values().sum::<f64>();
        let dimensions = model.machines.first().map_or(0, |machine| machine.room.len());
        let mut sizes = vec![Vec::new(); dimensions];
        for machine in &model.machines {
            if spent.get(&machine.candidate).is_some_and(|spent| *spent > enough) {
                for (sizes, room) in sizes.iter_mut().zip(&machine.room) {
                    sizes.extend((1..=PARTS).map(|part| logarithm(room / part)));
                }
            }
        }
        Self { sizes }
    }

    /// The mark nearest to a size that divides a range.
    fn nearest(&self, dimension: usize, to: f64, range: Range<f64>) -> Option<f64> {
        let sizes = self.sizes.get(dimension)?.iter().copied();
        let dividing = sizes.filter(|size| range.contains(size));
        dividing.min_by(|one, other| (one - to).abs().total_cmp(&(other - to).abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::{Item, Machine};
    use super::*;

    #[test]
    fn items_are_divided_where_one_more_fits_onto_the_machine_that_matters() {
        let items: Vec<Item> = (1..=300)
            .map(|size| Item { demand: [size].into_iter().collect(), count: 1, kind: 0 })
            .collect();
        let all: Vec<(usize, u32)> = (0..items.len()).map(|index| (index, 1)).collect();
        let machine = |candidate: usize, room: i64| {
            let (room, items) = ([room].into_iter().collect(), all.clone());
            Machine { candidate, cost: 1.0, room, items }
        };
        let model = Model { items, machines: vec![machine(7, 300), machine(9, 260)] };
        let spent = |candidate| Column { cost: 1.0, candidate, counts: Vec::new() };
        let (much, little) = (spent(7), spent(9));
        let marks = Marks::of(&model, [(&much, 99.0), (&little, 1.0)].into_iter());
        let values: Vec<f64> = model.items.iter().map(|item| item.demand[0] as f64).collect();
        let whole = Rows::of_clusters(&model, vec![(0..300).collect()]);
        assert_eq!(whole.len(), 2);
        // By their mean they would be divided at about 180.
        let halves = whole.refined(&model, &values, &marks, 4);
        assert_eq!(halves.clusters.iter().map(Vec::len).collect::<Vec<_>>(), [150, 150]);
        let thirds = halves.refined(&model, &values, &marks, 6);
        let mut sizes: Vec<usize> = thirds.clusters.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [50, 100, 150]);
    }
}
