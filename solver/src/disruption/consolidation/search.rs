//! Which nodes go: first those whose price exceeds most what their room is worth, each emptied
//! onto what stays; then groups of nodes in exchange for cheaper new ones.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::super::candidates::Candidate;
use super::balance::Balance;
use super::bound::{Relaxed, Worth, dot};
use super::launching::launch;
use super::quota::Quota;
use super::work::{Ground, Work};
use crate::packing::Stop;

/// How many nodes that cannot be emptied are tried with new nodes on the way.
const MOST_TRADES: usize = 200;
/// By how much the order of nodes is shaken at most, in parts of their price.
const SHAKE: f64 = 0.3;
/// A gain below this is rounding.
const EPSILON: f64 = 1e-9;

/// What the search goes by.
#[derive(Debug)]
pub struct Search<'s, 'p, 'a> {
    /// The cluster.
    pub ground: &'s Ground<'p, 'a>,
    /// The candidates.
    pub candidates: &'s [Candidate<'a>],
    /// What their nodes cost in an hour, as the objective counts it.
    pub prices: &'s [f64],
    /// What moving all pods of each costs, in money an hour.
    pub moves: &'s [f64],
    /// What room and evictions are worth.
    pub worth: &'s Worth,
    /// What pods are worth where new nodes are bought for them.
    pub market: &'s [f64],
    /// The relaxed problem.
    pub relaxed: &'s Relaxed,
    /// Who asks for balance.
    pub balance: &'s Balance,
    /// Whether new nodes may take the place of old ones.
    pub may_launch: bool,
}

/// In which order nodes are looked at.
#[derive(Debug)]
pub struct Turn<'r> {
    /// Shakes the order.
    pub random: Option<&'r mut SmallRng>,
    /// What an eviction counts, in money an hour: where they are limited, nodes that save much for
    /// few of them come first.
    pub toll: f64,
    /// How much of its worth room counts, from 0 to 1: where few pods move, there is room enough.
    pub room: f64,
    /// How many nodes that cannot be emptied onto others may be tried with new ones.
    pub trades: usize,
}

/// A round that could be.
#[derive(Clone, Debug)]
pub struct Attempt<'p, 'a> {
    /// Who goes where.
    pub work: Work<'p, 'a>,
    /// What is left of the budgets.
    pub quota: Quota,
    /// What it gains in an hour: saved prices without those of new nodes and of moves.
    pub gain: f64,
}

impl<'p, 'a> Search<'_, 'p, 'a> {
    /// Removes what can be emptied onto other nodes, in the order of falling scores. A node that
    /// cannot, and that saves more when new nodes take its pods than the last one that the budget
    /// allows would save as a whole, is exchanged at once.
    pub fn remove(&self, quota: &Quota, turn: Turn<'_>) -> Attempt<'p, 'a> {
        let scores = self.scores(turn.random, turn.toll, turn.room);
        let mut trades = if self.may_launch { turn.trades } else { 0 };
        let mut falling: Vec<usize> = (0..self.candidates.len()).collect();
        falling.sort_by(|left, right| {
            let (one, other) = (&self.candidates[*left], &self.candidates[*right]);
            scores[*right]
                .total_cmp(&scores[*left])
                .then(one.disturbance.total_cmp(&other.disturbance))
                .then_with(|| one.claim.name.cmp(&other.claim.name))
        });
        let ground = self.ground;
        let stay = (0..ground.takes.len()).filter(|bin| ground.candidate_of[*bin].is_none());
        let rest = falling.iter().rev().map(|candidate| ground.bin_of[*candidate]);
        let order = stay.chain(rest).filter(|bin| ground.takes[*bin]).collect();
        let floors = self.floors(quota, &falling);
        let mut attempt =
            Attempt { work: Work::new(ground, order), quota: quota.clone(), gain: 0.0 };
        for candidate in falling {
            let gain = self.prices[candidate] - self.moves[candidate];
            let fits = gain > EPSILON
                && !ground.pinned[candidate]
                && attempt.quota.allows(&self.candidates[candidate])
                && self.balance.allows(self.candidates, &[candidate], gain);
            if fits && attempt.work.empty(ground, candidate) {
                attempt.quota.take(&self.candidates[candidate]);
                attempt.gain += gain;
            } else if fits && trades > 0 && gain > floors[candidate] {
                trades -= 1;
                let better = self.trade(&attempt, &[candidate]);
                let floor = attempt.gain + floors[candidate];
                if let Some(better) = better.filter(|better| better.gain > floor) {
                    attempt = better;
                }
            }
        }
        attempt
    }

    /// For each candidate, what the first node of its pool would save that the budget leaves no
    /// room for: nothing where budgets do not bind.
    fn floors(&self, quota: &Quota, falling: &[usize]) -> Vec<f64> {
        let mut gains: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for candidate in falling {
            let gain = self.prices[*candidate] - self.moves[*candidate];
            gains.entry(self.relaxed.items[*candidate].pool).or_default().push(gain);
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

    fn scores(&self, random: Option<&mut SmallRng>, toll: f64, room: f64) -> Vec<f64> {
        let mut noise: Box<dyn FnMut() -> f64> = match random {
            None => Box::new(|| 0.0),
            Some(random) => Box::new(|| random.random_range(-SHAKE..SHAKE)),
        };
        let items = self.relaxed.items.iter().zip(self.prices.iter().zip(self.moves));
        items
            .map(|(item, (price, moves))| {
                let worth = room * dot(&self.worth.room, &item.room) + toll * item.pods;
                price * (1.0 + noise()) - worth - moves
            })
            .collect()
    }

    /// The best of several orders.
    pub fn best_removal(
        &self,
        quota: &Quota,
        rounds: u32,
        seed: u64,
        stop: &dyn Stop,
        until: f64,
    ) -> Attempt<'p, 'a> {
        let random = &mut SmallRng::seed_from_u64(seed);
        let trades = MOST_TRADES;
        let (mut toll, mut room) = (self.worth.eviction, 1.0);
        let mut best = self.remove(quota, Turn { random: None, toll, room, trades });
        let tolls = std::iter::once(toll).chain(self.relaxed.tolls());
        let pairs = tolls.flat_map(|toll| [(toll, 1.0), (toll, 0.0)]);
        // The first of them is what there is already; without a limit there are no others.
        for pair in pairs.skip(1).take_while(|_| self.relaxed.evictions.is_some()) {
            if stop.spent() >= until {
                break;
            }
            let other =
                self.remove(quota, Turn { random: None, toll: pair.0, room: pair.1, trades });
            if other.gain > best.gain + EPSILON {
                (best, toll, room) = (other, pair.0, pair.1);
            }
        }
        for _ in 0..rounds {
            if stop.spent() >= until {
                break;
            }
            let turn = Turn { random: Some(random), toll, room, trades: 0 };
            let other = self.remove(quota, turn);
            if other.gain > best.gain + EPSILON {
                best = other;
            }
        }
        best
    }

    /// Takes a set of nodes away and launches what their pods need beyond the room there is, if
    /// that gains anything.
    pub fn trade(&self, attempt: &Attempt<'p, 'a>, set: &[usize]) -> Option<Attempt<'p, 'a>> {
        let mut trial = attempt.clone();
        for candidate in set {
            let one = &self.candidates[*candidate];
            if self.ground.pinned[*candidate] || !trial.quota.allows(one) {
                return None;
            }
            trial.quota.take(one);
        }
        let left = trial.work.drain(self.ground, set);
        let spent = launch(self.ground, &mut trial.work, &left)?;
        let saved: f64 = set.iter().map(|one| self.prices[*one] - self.moves[*one]).sum();
        let gain = saved - spent;
        trial.gain += gain;
        (gain > EPSILON && self.balance.allows(self.candidates, set, gain)).then_some(trial)
    }

    /// Trades nodes for cheaper ones: large sets first, then small ones around nodes that lose
    /// most of their price.
    pub fn trades(
        &self,
        mut attempt: Attempt<'p, 'a>,
        rounds: u32,
        seed: u64,
        stop: &dyn Stop,
        until: f64,
    ) -> Attempt<'p, 'a> {
        let mut size = usize::MAX;
        while size > 0 && stop.spent() < until {
            let losing = self.losing(&attempt);
            size = size.min(losing.len());
            match losing.get(..size).and_then(|set| self.trade(&attempt, set)) {
                Some(better) => attempt = better,
                None => size /= 2,
            }
        }
        let random = &mut SmallRng::seed_from_u64(seed ^ 0x7472_6164);
        for _ in 0..rounds {
            if stop.spent() >= until {
                break;
            }
            let losing = self.losing(&attempt);
            if losing.is_empty() {
                break;
            }
            let mut set: Vec<usize> = Vec::new();
            for _ in 0..random.random_range(1..6) {
                // The square prefers those that lose most.
                let at: f64 = random.random_range(0.0..1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "from 0 to the length"
                )]
                let at = (at * at * losing.len() as f64) as usize;
                set.extend(losing.get(at).filter(|one| !set.contains(one)).copied());
            }
            if let Some(better) = self.trade(&attempt, &set) {
                attempt = better;
            }
        }
        attempt
    }

    /// Nodes that stay and cost more than their pods are worth, those that lose most first, as
    /// far as budgets go.
    fn losing(&self, attempt: &Attempt<'p, 'a>) -> Vec<usize> {
        let mut losing: Vec<(f64, usize)> = (0..self.candidates.len())
            .filter(|candidate| !attempt.work.removed[*candidate])
            .map(|candidate| (self.loss(candidate) - self.toll(candidate), candidate))
            .filter(|(loss, _)| *loss > EPSILON)
            .collect();
        losing.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        let mut quota = attempt.quota.clone();
        losing.retain(|(_, candidate)| {
            let one = &self.candidates[*candidate];
            let fits = quota.allows(one) && !self.ground.pinned[*candidate];
            if fits {
                quota.take(one);
            }
            fits
        });
        losing.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// What the evictions of a candidate's pods are worth, where evictions are limited.
    fn toll(&self, candidate: usize) -> f64 {
        self.worth.eviction * self.relaxed.items[candidate].pods
    }

    fn loss(&self, candidate: usize) -> f64 {
        let problem = self.ground.problem;
        let worth = self.ground.contents[candidate].iter().map(|(kind, count)| {
            let demand = &problem.groups[kind.0].demand;
            let one: f64 = demand.iter().zip(self.market).map(|(has, of)| *has as f64 * of).sum();
            one * f64::from(*count)
        });
        self.prices[candidate] - self.moves[candidate] - worth.sum::<f64>()
    }
}
