//! In which order nodes are looked at, and in which they are filled.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::bound::dot;
use super::quota::Quota;
use super::search::Search;

/// By how much the order of nodes is shaken at most, in parts of their price.
const SHAKE: f64 = 0.3;

/// A way to go through the nodes.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'w> {
    /// What it is worth that each candidate stays: its room and that its pods have a place, in money
    /// an hour.
    pub worths: &'w [f64],
    /// How much of that counts, from 0 to 1: where few pods move, there is room enough.
    pub share: f64,
    /// What an eviction counts, in money an hour: where they are limited, nodes that save much for
    /// few of them come first.
    pub toll: f64,
    /// Whether, of the nodes that stay, those with the least room are filled first.
    pub tight: bool,
    /// Shakes the order, by this seed.
    pub shake: Option<u64>,
    /// How many nodes that cannot be emptied onto others may be tried with new ones.
    pub trades: usize,
}

impl Search<'_, '_, '_> {
    /// What a candidate's going gains at most: its price less what moving its pods costs.
    pub fn gain_of(&self, candidate: usize) -> f64 {
        self.prices[candidate] - self.moves[candidate]
    }

    /// Candidates with their scores, the best to remove first.
    pub fn falling(&self, turn: Turn<'_>) -> Vec<(f64, usize)> {
        let mut random = turn.shake.map(SmallRng::seed_from_u64);
        let mut noise = || random.as_mut().map_or(0.0, |random| random.random_range(-SHAKE..SHAKE));
        let mut falling: Vec<(f64, usize)> = (0..self.candidates.len())
            .map(|one| {
                let worth =
                    turn.share * turn.worths[one] + turn.toll * self.relaxed.items[one].pods;
                (self.gain_of(one) + self.prices[one] * noise() - worth, one)
            })
            .collect();
        falling.sort_by(|left, right| {
            let (one, other) = (&self.candidates[left.1], &self.candidates[right.1]);
            right
                .0
                .total_cmp(&left.0)
                .then(one.disturbance.total_cmp(&other.disturbance))
                .then_with(|| one.claim.name.cmp(&other.claim.name))
        });
        falling
    }

    /// The order in which nodes are filled: first those that stay, at last what is likely to go.
    pub fn filling(&self, turn: Turn<'_>, quota: &Quota, falling: &[(f64, usize)]) -> Vec<usize> {
        let ground = self.ground;
        let stay = (0..ground.takes.len()).filter(|bin| ground.candidate_of[*bin].is_none());
        let mut left: Vec<usize> = quota.pools.iter().map(|(left, _)| *left).collect();
        let (mut going, mut staying) = (Vec::new(), Vec::new());
        for (_, candidate) in falling {
            let left = left.get_mut(self.relaxed.items[*candidate].pool).filter(|left| **left > 0);
            let bin = ground.bin_of[*candidate];
            match left {
                Some(left) => {
                    *left -= 1;
                    going.push(bin);
                }
                None => staying.push(bin),
            }
        }
        let mut order: Vec<usize> = stay.chain(staying.into_iter().rev()).collect();
        if turn.tight {
            let room = |bin: usize| {
                let free = ground.start.loads[bin].free.iter();
                let free: Vec<f64> = free.map(|has| (*has).max(0) as f64).collect();
                dot(self.market, &free)
            };
            let mut sized: Vec<(f64, usize)> =
                order.into_iter().map(|bin| (room(bin), bin)).collect();
            sized.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
            order = sized.into_iter().map(|(_, bin)| bin).collect();
        }
        order.extend(going.into_iter().rev());
        order.retain(|bin| ground.takes[*bin]);
        order
    }

    /// For each candidate, what the first node of its pool would save that the budget leaves no
    /// room for: nothing where budgets do not bind.
    pub fn floors(&self, quota: &Quota) -> Vec<f64> {
        let mut gains: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (candidate, item) in self.relaxed.items.iter().enumerate() {
            gains.entry(item.pool).or_default().push(self.gain_of(candidate));
        }
        let floor = |pool: usize, gains: &mut Vec<f64>| {
            gains.sort_by(|left, right| right.total_cmp(left));
            let left = quota.pools.get(pool).map_or(0, |(left, _)| *left);
            gains.get(left).copied().unwrap_or(0.0).max(0.0)
        };
        let floors: BTreeMap<usize, f64> =
            gains.iter_mut().map(|(pool, gains)| (*pool, floor(*pool, gains))).collect();
        let of = |item: &super::bound::Item| floors.get(&item.pool).copied().unwrap_or(0.0);
        self.relaxed.items.iter().map(of).collect()
    }
}
