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
//! to take: those whose price exceeds what their room is worth most. Where evictions are limited,
//! they are one more resource: each node's pods take of it, and no new node brings any.

use smallvec::{SmallVec, smallvec};

use super::work::Ground;
use crate::packing::duals;

/// What float arithmetic may have gained.
const SAFETY: f64 = 1.0 + 1e-9;

/// How many worths of an eviction are tried where evictions are limited.
const TOLLS: u32 = 12;

/// An amount of each resource. All nodes' are looked through again and again.
pub type Room = SmallVec<[f64; 4]>;

/// A node in the relaxed problem.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it costs.
    pub price: f64,
    /// How many pods are evicted if it goes.
    pub pods: f64,
    /// What room it has for pods that may move, those on it included.
    pub room: Room,
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
    /// How many pods may be evicted, if that is a limit.
    pub evictions: Option<f64>,
    /// Room for what moves that is left if everything stays: may be negative.
    spare: Vec<f64>,
    /// What moves, in all.
    demand: Vec<f64>,
    /// New nodes: what they hold and cost.
    machines: Vec<(Vec<f64>, f64)>,
}

/// What things are worth, in money an hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Worth {
    /// A unit of room, by resource.
    pub room: Vec<f64>,
    /// An eviction.
    pub eviction: f64,
}

impl Relaxed {
    /// Of the ground as it is. `evictions`: how many there may be; `may_launch`: whether new nodes
    /// may come.
    pub fn of(
        ground: &Ground<'_, '_>,
        prices: &[f64],
        pools: &[usize],
        budgets: &[usize],
        evictions: usize,
        may_launch: bool,
    ) -> Self {
        let problem = ground.problem;
        let dimensions = problem.dimensions.len();
        let mut spare = vec![0.0; dimensions];
        let mut demand = vec![0.0; dimensions];
        let mut items = Vec::with_capacity(prices.len());
        for (candidate, bin) in ground.bin_of.iter().enumerate() {
            let mut room: Room = smallvec![0.0; dimensions];
            let pods = ground.contents[candidate].iter().map(|(_, count)| f64::from(*count)).sum();
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
            items.push(Item { price: prices[candidate], pods, room, pool: pools[candidate] });
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
        let all: f64 = items.iter().map(|item| item.pods).sum();
        let evictions = Some(evictions as f64).filter(|most| *most < all);
        Self { items, budgets: budgets.to_vec(), evictions, spare, demand, machines }
    }

    /// Whether new nodes may take the place of old ones.
    pub fn may_launch(&self) -> bool {
        !self.machines.is_empty()
    }

    /// What a round saves at most per hour, and the worths that prove it: the best that are found
    /// before it is `over`.
    pub fn solve(&self, over: &dyn Fn() -> bool) -> (f64, Worth) {
        let dimensions = self.spare.len();
        let nothing = Worth { room: vec![0.0; dimensions], eviction: 0.0 };
        let space = &mut Space::of(self);
        let mut best = (self.most_saved(&nothing, space), nothing);
        let machines = self.as_slices();
        let market = if machines.is_empty() {
            self.per_room()
        } else {
            duals::resource_prices(&self.demand, &machines)
        };
        for eviction in std::iter::once(0.0).chain(self.tolls()) {
            for share in 0..=20 {
                if over() {
                    break;
                }
                let room = market.iter().map(|value| value * f64::from(share) / 20.0).collect();
                let worth = Worth { room: self.feasible(room), eviction };
                let saved = self.most_saved(&worth, space);
                if saved < best.0 {
                    best = (saved, worth);
                }
            }
        }
        let mut step = 0.5;
        while step > 1e-4 && !over() {
            let mut moved = false;
            for index in 0..dimensions {
                for factor in [1.0 + step, 1.0 / (1.0 + step), 0.0] {
                    let mut room = best.1.room.clone();
                    if room[index] == 0.0 && factor > 1.0 {
                        room[index] = market[index] * step;
                    } else {
                        room[index] *= factor;
                    }
                    let worth = Worth { room: self.feasible(room), ..best.1 };
                    let saved = self.most_saved(&worth, space);
                    if saved < best.0 - 1e-12 {
                        best = (saved, worth);
                        moved = true;
                    }
                }
            }
            for factor in [1.0 + step, 1.0 / (1.0 + step)] {
                let worth = Worth { eviction: best.1.eviction * factor, ..best.1.clone() };
                let saved = self.most_saved(&worth, space);
                if saved < best.0 - 1e-12 {
                    best = (saved, worth);
                    moved = true;
                }
            }
            if !moved {
                step /= 2.0;
            }
        }
        (best.0 * SAFETY, best.1)
    }

    /// What an eviction may be worth, where they are limited: from what the dearest node saves for
    /// each of its pods to next to nothing.
    pub fn tolls(&self) -> impl Iterator<Item = f64> + use<> {
        let most = self.items.iter().map(|item| item.price / item.pods.max(1.0));
        let most = most.fold(0.0, f64::max);
        let steps = if self.evictions.is_some() { 0..TOLLS } else { 0..0 };
        steps.map(move |step| most / f64::from(1 << step))
    }

    /// What these worths prove.
    fn most_saved(&self, worth: &Worth, space: &mut Space) -> f64 {
        let Space { rooms, worths, gains } = space;
        worths.fill(0.0);
        for (value, room) in worth.room.iter().zip(rooms).filter(|(value, _)| **value != 0.0) {
            worths.iter_mut().zip(room).for_each(|(sum, room)| *sum += value * *room);
        }
        gains.iter_mut().for_each(Vec::clear);
        for (item, worth_of_room) in self.items.iter().zip(worths) {
            let gain = item.price - (*worth_of_room + worth.eviction * item.pods);
            if gain > 0.0 {
                gains[item.pool].push(gain);
            }
        }
        let mut sum = dot(&worth.room, &self.spare);
        sum += self.evictions.map_or(0.0, |most| most * worth.eviction);
        for (budget, gains) in self.budgets.iter().zip(gains) {
            let most = gains.len().min(*budget);
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

/// Where what worths prove is worked out, again and again.
struct Space {
    /// For each resource, each node's room: the worths of all are summed up resource by resource,
    /// several at once.
    rooms: Vec<Vec<f64>>,
    /// What each node's room is worth.
    worths: Vec<f64>,
    /// What going gains of each pool's nodes.
    gains: Vec<Vec<f64>>,
}

impl Space {
    fn of(relaxed: &Relaxed) -> Self {
        let items = &relaxed.items;
        let room = |resource: usize| items.iter().map(|item| item.room[resource]).collect();
        Self {
            rooms: (0..relaxed.spare.len()).map(room).collect(),
            worths: vec![0.0; items.len()],
            gains: vec![Vec::with_capacity(items.len()); relaxed.budgets.len()],
        }
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
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn relaxed(items: &[(f64, f64)], budget: usize, spare: f64, demand: f64) -> Relaxed {
        let item = |(price, room): &(f64, f64)| Item {
            price: *price,
            pods: 1.0,
            room: smallvec![*room],
            pool: 0,
        };
        Relaxed {
            items: items.iter().map(item).collect(),
            budgets: vec![budget],
            evictions: None,
            spare: vec![spare],
            demand: vec![demand],
            machines: Vec::new(),
        }
    }

    #[test]
    fn with_room_enough_the_dearest_nodes_of_the_budget_are_saved() {
        let (saved, values) =
            relaxed(&[(3.0, 4.0), (2.0, 4.0), (1.0, 4.0)], 2, 100.0, 6.0).solve(&|| false);
        assert!((saved - 5.0).abs() < 1e-6, "{saved}");
        assert_eq!(values.room, [0.0]);
    }

    #[test]
    fn room_limits_what_is_saved() {
        // Two nodes of 4 with 2 spare: half a node's room, so half of one can go.
        let (saved, values) = relaxed(&[(1.0, 4.0), (1.0, 4.0)], 2, 2.0, 6.0).solve(&|| false);
        assert!((saved - 0.5).abs() < 1e-3, "{saved}");
        assert!((values.room[0] - 0.25).abs() < 1e-3, "{values:?}");
    }

    #[test]
    fn evictions_limit_what_is_saved() {
        let nodes = [(3.0, 4.0), (2.0, 4.0), (1.0, 4.0)];
        let mut problem = relaxed(&nodes, 3, 100.0, 6.0);
        problem.items[0].pods = 4.0;
        problem.evictions = Some(2.0);
        // The two with a pod each; for the third half its pods would have to go.
        let (saved, worth) = problem.solve(&|| false);
        assert!((3.0..3.1).contains(&saved), "{saved}");
        assert!(worth.eviction > 0.7, "{worth:?}");
        problem.evictions = Some(4.0);
        let (saved, _) = problem.solve(&|| false);
        assert!((4.5..4.6).contains(&saved), "{saved}");
    }

    #[test]
    fn what_worths_prove_is_the_same_resource_by_resource_and_node_by_node() {
        let random = &mut SmallRng::seed_from_u64(7);
        let mut number = |most: f64| random.random_range(0.0..most);
        let mut item = || Item {
            price: number(2.0),
            pods: number(9.0).round(),
            room: (0..4).map(|_| number(1e9)).collect(),
            pool: 0,
        };
        let items: Vec<Item> = (0..100).map(|_| item()).collect();
        let relaxed = Relaxed {
            budgets: vec![items.len()],
            evictions: Some(9.0),
            spare: vec![3.0, 0.0, 5.0, 1e9],
            items,
            ..relaxed(&[], 0, 0.0, 0.0)
        };
        let space = &mut Space::of(&relaxed);
        for zero in 0..4 {
            let mut room: Vec<f64> = (0..4).map(|_| number(1e-9)).collect();
            room[zero] = 0.0;
            let worth = Worth { room, eviction: number(0.1) };
            let gain = |item: &Item| {
                item.price - (dot(&worth.room, &item.room) + worth.eviction * item.pods)
            };
            let gains = relaxed.items.iter().map(gain).filter(|gain| *gain > 0.0);
            let mut sum = dot(&worth.room, &relaxed.spare);
            sum += 9.0 * worth.eviction;
            sum += gains.sum::<f64>();
            assert_eq!(relaxed.most_saved(&worth, space).to_bits(), sum.to_bits());
        }
    }

    #[test]
    fn new_machines_bound_what_room_is_worth() {
        let mut problem = relaxed(&[(1.0, 4.0), (1.0, 4.0)], 2, 0.0, 8.0);
        problem.machines = vec![(vec![4.0], 0.6)];
        // Both are replaced by machines that cost 0.6 for the same room.
        let (saved, _) = problem.solve(&|| false);
        assert!((saved - 0.8).abs() < 1e-6, "{saved}");
    }
}
