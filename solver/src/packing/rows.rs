//! What the master problem's rows stand for.
//!
//! A row for each item is exact, and slow with hundreds of items. Items alike in what they take
//! share rows instead: one for each resource and one for their number. What an item is worth is
//! then a linear function of what it takes, within each cluster of items. That loses little, for
//! values follow sizes, and whatever values come out prove a bound.

use std::collections::BTreeMap;

use super::columns::Model;
use super::master::Column;

/// So many items have a row each from the start.
const FEW: usize = 200;
/// About so many rows there are at first where items are more.
const COARSE: usize = 40;

/// For each item, which rows it counts in and by how much.
#[derive(Clone, Debug)]
pub struct Rows {
    clusters: Vec<Vec<usize>>,
    of_item: Vec<Vec<(usize, f64)>>,
    count: usize,
    /// For each cluster its first row, and, if its items share rows, the mean of what they take,
    /// one a differing dimension.
    shared: Vec<(usize, Option<Vec<f64>>)>,
    /// Dimensions in which items differ.
    differing: Vec<usize>,
}

impl Rows {
    /// The rows to begin with: one for each item if those are few. `values` says what items are
    /// worth, about.
    pub fn first(model: &Model, values: &[f64]) -> Self {
        if model.items.len() <= FEW { Self::each(model) } else { Self::coarse(model, values) }
    }

    /// A row for each item.
    fn each(model: &Model) -> Self {
        Self::of_clusters(model, (0..model.items.len()).map(|item| vec![item]).collect())
    }

    /// Few clusters, one for each kind of item at least.
    fn coarse(model: &Model, values: &[f64]) -> Self {
        let mut kinds: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, item) in model.items.iter().enumerate() {
            kinds.entry(item.kind).or_default().push(index);
        }
        Self::of_clusters(model, kinds.into_values().collect()).refined(model, values, COARSE)
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
        let mut shared = Vec::with_capacity(clusters.len());
        let mut count = 0;
        for cluster in &clusters {
            if cluster.len() <= differing.len() + 1 {
                shared.push((count, None));
                for item in cluster {
                    of_item[*item].push((count, 1.0));
                    count += 1;
                }
                continue;
            }
            let mut means = Vec::with_capacity(differing.len());
            for (at, dimension) in differing.iter().enumerate() {
                let amount = |item: &usize| model.items[*item].demand[*dimension].max(0) as f64;
                let mean = cluster.iter().map(amount).sum::<f64>() / cluster.len() as f64;
                for item in cluster.iter().filter(|item| amount(item) > 0.0) {
                    of_item[*item].push((count + at, amount(item) / mean));
                }
                means.push(mean);
            }
            cluster.iter().for_each(|item| of_item[*item].push((count + differing.len(), 1.0)));
            shared.push((count, Some(means)));
            count += differing.len() + 1;
        }
        Self { clusters, of_item, count, shared, differing }
    }

    /// Whether each item has a row of its own.
    pub fn is_exact(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.len() <= self.differing.len() + 1)
    }

    /// More rows, about `most`: clusters whose items differ most in size are divided, weighed by
    /// what the items are worth.
    #[must_use]
    pub fn refined(&self, model: &Model, values: &[f64], most: usize) -> Self {
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
            let (small, large) = divided.halves(model);
            count += rows(&small) + rows(&large);
            open.push(spread(small));
            open.push(spread(large));
        }
        Self::of_clusters(model, open.into_iter().map(|spread| spread.items).collect())
    }

    /// What one of each row may be worth at most, if items are worth about `values` and rows of
    /// `before` were worth `duals`: `room` of an item's worth more.
    pub fn limits(&self, before: &Self, duals: &[f64], values: &[f64], room: f64) -> Vec<f64> {
        let mut parent = vec![0; values.len()];
        for (index, cluster) in before.clusters.iter().enumerate() {
            cluster.iter().for_each(|item| parent[*item] = index);
        }
        let mut limits = vec![0.0; self.count];
        for (cluster, (first, means)) in self.clusters.iter().zip(&self.shared) {
            let Some(means) = means else {
                for (at, item) in cluster.iter().enumerate() {
                    limits[first + at] = values[*item] * (1.0 + room);
                }
                continue;
            };
            let mean: f64 =
                cluster.iter().map(|item| values[*item]).sum::<f64>() / cluster.len() as f64;
            let (old_first, old_means) = &before.shared[parent[cluster[0]]];
            for at in 0..=means.len() {
                let old = old_means.as_ref().map_or(0.0, |old| {
                    let ratio = match (means.get(at), old.get(at)) {
                        (Some(new), Some(old)) if *old > 0.0 => new / old,
                        _ => 1.0,
                    };
                    duals[old_first + at] * ratio
                });
                limits[first + at] = old + room * mean;
            }
        }
        limits
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

    fn halves(self, model: &Model) -> (Vec<usize>, Vec<usize>) {
        let small = |item: &usize| size(model, *item, self.dimension) <= self.middle;
        self.items.into_iter().partition(small)
    }
}

fn size(model: &Model, item: usize, dimension: usize) -> f64 {
    (model.items[item].demand[dimension].max(0) as f64 + 1.0).ln()
}
