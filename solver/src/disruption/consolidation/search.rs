//! Which nodes go: first those whose price exceeds most what their room is worth, each emptied
//! onto what stays; then groups of nodes in exchange for cheaper new ones.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::super::candidates::Candidate;
use super::balance::Balance;
use super::bound::{Relaxed, Worth};
use super::launching::launch;
use super::order::Turn;
use super::quota::Quota;
use super::work::{Ground, Kind, Work};
use crate::packing::Stop;
use crate::packing::duals::worth_of;

/// How many nodes that cannot be emptied are tried with new nodes on the way.
pub const MOST_TRADES: usize = 200;
/// So many nodes are tried in any case: a round for which there is hardly time saves something too.
const LEAST_TRIES: usize = 64;
/// A gain below this is rounding.
const EPSILON: f64 = 1e-9;
/// Sums of products differ by no larger share than this.
const ROUNDINGS: f64 = 1e-9;

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
    /// allows would save as a whole, is exchanged at once, unless time is `over`.
    pub fn remove(
        &self,
        quota: &Quota,
        turn: Turn<'_>,
        over: &dyn Fn() -> bool,
    ) -> Attempt<'p, 'a> {
        let falling = self.falling(turn);
        let mut trades = if self.may_launch { turn.trades } else { 0 };
        let floors = self.floors(quota);
        let mut attempt = self.begin(quota, turn, &falling);
        for (tried, (_, candidate)) in falling.into_iter().enumerate() {
            if tried >= LEAST_TRIES && over() {
                break;
            }
            let gain = self.gain_of(candidate);
            let fits = gain > EPSILON
                && !self.ground.pinned[candidate]
                && attempt.quota.allows(&self.candidates[candidate])
                && self.balance.allows(self.candidates, &[candidate], gain);
            if fits && attempt.work.empty(self.ground, candidate) {
                attempt.quota.take(&self.candidates[candidate]);
                attempt.gain += gain;
            } else if fits && trades > 0 && gain > floors[candidate] && !over() {
                trades -= 1;
                self.trade(&mut attempt, &[candidate], floors[candidate], over);
            }
        }
        attempt
    }

    /// Removes all that the budgets allow in the order of falling scores at once: their pods find
    /// places together, large ones first, and new nodes are bought for all that is left.
    fn remove_together(
        &self,
        quota: &Quota,
        turn: Turn<'_>,
        over: &dyn Fn() -> bool,
    ) -> Attempt<'p, 'a> {
        let falling = self.falling(turn);
        let mut attempt = self.begin(quota, turn, &falling);
        let mut left = quota.clone();
        let mut set = Vec::new();
        for (score, candidate) in falling {
            let one = &self.candidates[candidate];
            let fits = self.gain_of(candidate) > EPSILON && !self.ground.pinned[candidate];
            if score > EPSILON && fits && left.allows(one) {
                left.take(one);
                set.push(candidate);
            }
        }
        self.trade(&mut attempt, &set, 0.0, over);
        attempt
    }

    fn begin(&self, quota: &Quota, turn: Turn<'_>, falling: &[(f64, usize)]) -> Attempt<'p, 'a> {
        let order = self.filling(turn, quota, falling);
        Attempt { work: Work::new(self.ground, order), quota: quota.clone(), gain: 0.0 }
    }

    /// The best of several orders, and of ways to find places in them. `first` is what one order has
    /// come to; `shakes` is how many times the best is shaken.
    pub fn best_removal<'w>(
        &self,
        quota: &Quota,
        first: (Attempt<'p, 'a>, Turn<'w>),
        turns: &[Turn<'w>],
        shakes: u32,
        seed: u64,
        over: &dyn Fn() -> bool,
    ) -> Attempt<'p, 'a> {
        let (mut best, mut turn) = first;
        let mut together = false;
        let carried_out = |turn: Turn<'_>, together: bool| match together {
            true => self.remove_together(quota, turn, over),
            false => self.remove(quota, turn, over),
        };
        let plain = turns.iter().map(|turn| (*turn, false));
        let others = [(false, true), (true, true), (true, false)];
        let closer = turns
            .first()
            .into_iter()
            .flat_map(|turn| others.map(|(tight, together)| (Turn { tight, ..*turn }, together)));
        for (other, at_once) in plain.chain(closer) {
            if over() {
                return best;
            }
            let attempt = carried_out(other, at_once);
            if attempt.gain > best.gain + EPSILON {
                (best, turn, together) = (attempt, other, at_once);
            }
        }
        for shake in 0..u64::from(shakes) {
            if over() {
                break;
            }
            let shaken = Turn { shake: Some(seed.wrapping_add(shake)), ..turn };
            let attempt = carried_out(shaken, together);
            if attempt.gain > best.gain + EPSILON {
                best = attempt;
            }
        }
        best
    }

    /// What an attempt saves in an hour, as the plan counts it.
    pub fn saved(&self, attempt: &Attempt<'p, 'a>) -> f64 {
        let gone = self.relaxed.items.iter().zip(&attempt.work.removed).filter(|(_, gone)| **gone);
        gone.map(|(item, _)| item.price).sum::<f64>() - attempt.work.state.price().as_f64()
    }

    /// Takes a set of nodes away and launches what their pods need beyond the room there is, if
    /// that gains more than `least`. Whether it did.
    fn trade(
        &self,
        attempt: &mut Attempt<'p, 'a>,
        set: &[usize],
        least: f64,
        over: &dyn Fn() -> bool,
    ) -> bool {
        let mut taken = 0;
        let allowed = set.iter().all(|candidate| {
            let one = &self.candidates[*candidate];
            let allowed = !self.ground.pinned[*candidate] && attempt.quota.allows(one);
            if allowed {
                attempt.quota.take(one);
                taken += 1;
            }
            allowed
        });
        if allowed {
            let (left, journal) = attempt.work.drain(self.ground, set);
            let saved: f64 = set.iter().map(|one| self.gain_of(*one)).sum();
            let least = least.max(EPSILON);
            // No new nodes cost less than what their pods are worth on the market, roundings aside.
            let spent_at_least = (1.0 - ROUNDINGS) * self.worth_of(&left);
            let spent = match saved - spent_at_least > least {
                true => launch(self.ground, &mut attempt.work, &left, over),
                false => None,
            };
            let gain = spent.map_or(f64::NEG_INFINITY, |spent| saved - spent);
            if gain > least && self.balance.allows(self.candidates, set, gain) {
                attempt.gain += gain;
                return true;
            }
            attempt.work.take_back(self.ground, journal);
        }
        set[..taken].iter().for_each(|one| attempt.quota.give(&self.candidates[*one]));
        false
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
        let over = || stop.spent() >= until;
        let all = self.all_losing();
        let mut size = usize::MAX;
        while size > 0 && !over() {
            let losing = self.losing(&attempt, &all);
            size = size.min(losing.len());
            if !self.trade(&mut attempt, &losing[..size], 0.0, &over) {
                size /= 2;
            }
        }
        let random = &mut SmallRng::seed_from_u64(seed ^ 0x7472_6164);
        let mut losing = self.losing(&attempt, &all);
        for _ in 0..rounds {
            if over() || losing.is_empty() {
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
            if self.trade(&mut attempt, &set, 0.0, &over) {
                losing = self.losing(&attempt, &all);
            }
        }
        attempt
    }

    /// Nodes that cost more than their pods are worth, those that lose most first.
    fn all_losing(&self) -> Vec<usize> {
        let mut losing: Vec<(f64, usize)> = (0..self.candidates.len())
            .map(|candidate| (self.loss(candidate) - self.toll(candidate), candidate))
            .filter(|(loss, _)| *loss > EPSILON)
            .collect();
        losing.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        losing.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// Those of them that stay, as far as budgets go.
    fn losing(&self, attempt: &Attempt<'p, 'a>, all: &[usize]) -> Vec<usize> {
        let mut quota = attempt.quota.clone();
        let mut losing = all.to_vec();
        losing.retain(|candidate| {
            let one = &self.candidates[*candidate];
            let stays = !attempt.work.removed[*candidate] && !self.ground.pinned[*candidate];
            let fits = stays && quota.allows(one);
            if fits {
                quota.take(one);
            }
            fits
        });
        losing
    }

    /// What the evictions of a candidate's pods are worth, where evictions are limited.
    fn toll(&self, candidate: usize) -> f64 {
        self.worth.eviction * self.relaxed.items[candidate].pods
    }

    fn loss(&self, candidate: usize) -> f64 {
        self.gain_of(candidate) - self.worth_of(&self.ground.contents[candidate])
    }

    /// What pods are worth on the market.
    fn worth_of(&self, pods: &[(Kind, u32)]) -> f64 {
        let problem = self.ground.problem;
        let worth = pods.iter().map(|(kind, count)| {
            worth_of(&problem.groups[kind.0].demand, self.market) * f64::from(*count)
        });
        worth.sum()
    }
}
