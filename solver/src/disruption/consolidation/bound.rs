//! What a round can save at most, and what room is worth.
//!
//! Relax the problem: pods are a fluid that flows wherever there is room, and nodes may go in
//! part. With prices `λ` of resources under which no new node holds more than it costs, the
//! saving is at most
//!
//! ```text
//! λ·(all room − what moves) + Σ over pools of the largest (price − λ·room of the node), as many
//!                             as the pool's budget allows, negative ones left out
//! ```
//!
//! for any such `λ` (weak duality); the least of them is looked for. The same `λ` tells which nodes
//! to take: those whose price exceeds what their room is worth most.

use std::collections::BTreeMap;

use super::work::Ground;
use crate::packing::duals;

/// What float arithmetic may have gained.
const SAFETY: f64 = 1.0 + 1e-9;

/// A node in the relaxed problem.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it costs.
    pub price: f64,
    /// What room it has for pods that may move, those on it included.
    pub room: Vec<f64>,
    /// Its pool, by index among the budgets.
    pub pool: usize,
}

/// The relaxed problem.
#[derive(Debug)]
pub struct Relaxed {
    /// The candidates.
    pub items: Vec<Item>,
    /// For each pool, how many may go.
    pub budgets: Vec<usize>,
    /// Room for what moves that is left if everything stays: may be negative.
    spare: Vec<f64>,
    /// What moves, in all.
    demand: Vec<f64>,
    /// New nodes: what they hold and cost.
    machines: Vec<(Vec<f64>, f64)>,
}

impl Relaxed {
    /// Of the ground as it is. `may_launch`: whether new nodes may come.
    pub fn of(
        ground: &Ground<'_, '_>,
        prices: &[f64],
        pools: &[usize],
        budgets: &[usize],
        may_launch: bool,
    ) -> Self {
        let problem = ground.problem;
        let dimensions = problem.dimensions.len();
        let mut spare = vec![0.0; dimensions];
        let mut demand = vec![0.0; dimensions];
        let mut items = Vec::with_capacity(prices.len());
        for (candidate, bin) in ground.bin_of.iter().enumerate() {
            let mut room: Vec<f64> = vec![0.0; dimensions];
            for (kind, count) in &ground.contents[candidate] {
                let one = &problem.groups[kind.0].demand;
                for (sum, amount) in room.iter_mut().zip(one) {
                    *sum += *amount as f64 * f64::from(*count);
                }
            }
            add(&mut demand, &room);
            if ground.takes[*bin] {
                let free = ground.start.loads[*bin].free.iter();
                let free: Vec<f64> = free.map(|has| (*has).max(0) as f64).collect();
                add(&mut spare, &free);
                add(&mut room, &free);
            }
            items.push(Item { price: prices[candidate], room, pool: pools[candidate] });
        }
        for (bin, load) in ground.start.loads.iter().enumerate() {
            if ground.candidate_of[bin].is_none() && ground.takes[bin] {
                let free: Vec<f64> = load.free.iter().map(|has| (*has).max(0) as f64).collect();
                add(&mut spare, &free);
            }
        }
        let new = problem.candidates.iter().filter(|_| may_launch);
        let machines = new.map(|new| {
            let room = new.room.iter().map(|has| (*has).max(0) as f64).collect();
            (room, new.price.as_f64())
        });
        let machines = machines.collect();
        Self { items, budgets: budgets.to_vec(), spare, demand, machines }
    }

    /// What a round saves at most per hour, and the values of resources that prove it.
    pub fn solve(&self) -> (f64, Vec<f64>) {
        let dimensions = self.spare.len();
        let nothing = vec![0.0; dimensions];
        let mut best = (self.most_saved(&nothing), nothing);
        let machines = self.as_slices();
        let market = if machines.is_empty() {
            self.per_room()
        } else {
            duals::resource_prices(&self.demand, &machines)
        };
        for share in 1..=20 {
            let values = market.iter().map(|value| value * f64::from(share) / 20.0).collect();
            let values = self.feasible(values);
            let saved = self.most_saved(&values);
            if saved < best.0 {
                best = (saved, values);
            }
        }
        let mut step = 0.5;
        while step > 1e-4 {
            let mut moved = false;
            for index in 0..dimensions {
                for factor in [1.0 + step, 1.0 / (1.0 + step), 0.0] {
                    let mut values = best.1.clone();
                    if values[index] == 0.0 && factor > 1.0 {
                        values[index] = market[index] * step;
                    } else {
                        values[index] *= factor;
                    }
                    let values = self.feasible(values);
                    let saved = self.most_saved(&values);
                    if saved < best.0 - 1e-12 {
                        best = (saved, values);
                        moved = true;
                    }
                }
            }
            if !moved {
                step /= 2.0;
            }
        }
        (best.0 * SAFETY, best.1)
    }

    /// What these values prove.
    fn most_saved(&self, values: &[f64]) -> f64 {
        let mut gains: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for item in &self.items {
            let gain = item.price - dot(values, &item.room);
            if gain > 0.0 {
                gains.entry(item.pool).or_default().push(gain);
            }
        }
        let mut sum = dot(values, &self.spare);
        for (pool, mut gains) in gains {
            let most = self.budgets[pool].min(gains.len());
            if most < gains.len() && most > 0 {
                gains.select_nth_unstable_by(most - 1, |left, right| right.total_cmp(left));
            }
            sum += gains.iter().take(most).sum::<f64>();
        }
        sum
    }

    /// Scaled down until no new node holds more than it costs.
    fn feasible(&self, mut values: Vec<f64>) -> Vec<f64> {
        let scale = self
            .machines
            .iter()
            .map(|(room, cost)| cost / dot(&values, room).max(1e-300))
            .fold(1.0, f64::min);
        values.iter_mut().for_each(|value| *value *= scale);
        values
    }

    fn as_slices(&self) -> Vec<(&[f64], f64)> {
        self.machines.iter().map(|(room, cost)| (room.as_slice(), *cost)).collect()
    }

    /// Where nothing can be launched: what the nodes' room costs on average, by resource.
    fn per_room(&self) -> Vec<f64> {
        let price: f64 = self.items.iter().map(|item| item.price).sum();
        let mut room = vec![0.0; self.spare.len()];
        self.items.iter().for_each(|item| add(&mut room, &item.room));
        room.iter().map(|sum| if *sum > 0.0 { price / sum } else { 0.0 }).collect()
    }
}

fn add(sum: &mut [f64], more: &[f64]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The worth of amounts.
pub fn dot(values: &[f64], amounts: &[f64]) -> f64 {
    values.iter().zip(amounts).map(|(value, amount)| value * amount).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relaxed(items: &[(f64, f64)], budget: usize, spare: f64, demand: f64) -> Relaxed {
        let item = |(price, room): &(f64, f64)| Item { price: *price, room: vec![*room], pool: 0 };
        Relaxed {
            items: items.iter().map(item).collect(),
            budgets: vec![budget],
            spare: vec![spare],
            demand: vec![demand],
            machines: Vec::new(),
        }
    }

    #[test]
    fn with_room_enough_the_dearest_nodes_of_the_budget_are_saved() {
        let (saved, values) = relaxed(&[(3.0, 4.0), (2.0, 4.0), (1.0, 4.0)], 2, 100.0, 6.0).solve();
        assert!((saved - 5.0).abs() < 1e-6, "{saved}");
        assert_eq!(values, [0.0]);
    }

    #[test]
    fn room_limits_what_is_saved() {
        // Two nodes of 4 with 2 spare: half a node's room, so half of one can go.
        let (saved, values) = relaxed(&[(1.0, 4.0), (1.0, 4.0)], 2, 2.0, 6.0).solve();
        assert!((saved - 0.5).abs() < 1e-3, "{saved}");
        assert!((values[0] - 0.25).abs() < 1e-3, "{values:?}");
    }

    #[test]
    fn new_machines_bound_what_room_is_worth() {
        let mut problem = relaxed(&[(1.0, 4.0), (1.0, 4.0)], 2, 0.0, 8.0);
        problem.machines = vec![(vec![4.0], 0.6)];
        // Both are replaced by machines that cost 0.6 for the same room.
        let (saved, _) = problem.solve();
        assert!((saved - 0.8).abs() < 1e-6, "{saved}");
    }
}
