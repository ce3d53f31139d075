//! A closer look at what a round can save at most.
//!
//! The fluid relaxation ([`bound`](super::bound)) lets pods flow into every gap. Here each pod stays
//! whole. Give a pod of each group a value `v`, of which no new node holds more than it costs; let
//! `V` be what a node's pods are worth together, and `W` what pods can be worth at most that fit into
//! its free room (a knapsack). The saving is at most
//!
//! ```text
//! Σ over nodes of W + Σ over pools of the largest (price − V − W of the node), as many as the
//!                     pool's budget allows, negative ones left out
//! ```
//!
//! for any such values (Lagrange's relaxation of where each pod goes). The least of these is looked
//! for by steps along the subgradient: a value falls where more such pods would find a place than
//! would look for one, and rises where fewer would.

use std::collections::BTreeMap;

use super::bound::{Relaxed, Worth, dot};
use super::work::Ground;
use crate::packing::Stop;
use crate::packing::dimensions;
use crate::packing::duals::worth_of;
use crate::packing::knapsack::Knapsack;
use crate::packing::values;

/// After so many steps without a better bound they become half as long.
const PATIENCE: u32 = 4;
/// How many parts of a search for the best content of a node are looked at.
const PARTS: u32 = 12;
/// How many rounds of column generation find out what new nodes cost.
const COLUMN_ROUNDS: u32 = 60;
/// A bound this close to what is saved, in parts of it, is as good as it gets.
const CLOSE: f64 = 1e-4;
/// What float arithmetic may have gained.
const SAFETY: f64 = 1.0 + 1e-9;

/// What is proven, and by what.
#[derive(Clone, Debug)]
pub struct Proof {
    /// What a round saves at most per hour.
    pub saved: f64,
    /// For each candidate, what its room and places for its pods are worth.
    pub worths: Vec<f64>,
    /// What an eviction is worth.
    pub toll: f64,
}

/// Looks for what a round saves at most. `known` is a bound with the worths that prove it, and
/// `gained` what can be saved for sure, which tells how far there is to go; no more than `steps` are
/// taken.
pub fn prove(
    ground: &Ground<'_, '_>,
    relaxed: &Relaxed,
    known: (f64, &Worth),
    gained: f64,
    steps: u32,
    stop: &dyn Stop,
) -> Proof {
    let (saved, worth) = known;
    let worths = relaxed.items.iter().map(|item| dot(&worth.room, &item.room)).collect();
    let mut best = Proof { saved, worths, toll: worth.eviction };
    if steps == 0 || is_close(best.saved, gained) || stop.should_stop() {
        return best;
    }
    let dearest = relaxed.items.iter().map(|item| item.price).fold(0.0, f64::max);
    let look = Look { ground, relaxed, counts: counts(ground), dearest };
    let caps = look.caps(stop);
    let mut at = look.begin(worth, &caps);
    let mut best_at = at.clone();
    let (mut length, mut idle) = (1.0, 0);
    for _ in 0..steps {
        let Some((proof, slope)) = look.at(&at, stop) else { break };
        let saved = proof.saved;
        if saved < best.saved {
            (best, best_at, idle) = (proof, at.clone(), 0);
        } else {
            idle += 1;
            if idle >= PATIENCE {
                (length, idle) = (length / 2.0, 0);
                at = best_at.clone();
                continue;
            }
        }
        let scaled: Vec<f64> = slope.iter().zip(&caps).map(|(slope, cap)| slope * cap).collect();
        let norm: f64 = scaled.iter().map(|slope| slope * slope).sum();
        if is_close(best.saved, gained) || norm <= f64::EPSILON {
            break;
        }
        let step = length * (saved - gained) / norm;
        for ((value, slope), cap) in at.iter_mut().zip(&scaled).zip(&caps) {
            *value = (*value - step * slope * cap).clamp(0.0, *cap);
        }
    }
    best
}

fn is_close(bound: f64, gained: f64) -> bool {
    bound - gained <= CLOSE * gained.abs()
}

/// How many pods of each group may move.
fn counts(ground: &Ground<'_, '_>) -> BTreeMap<usize, u32> {
    let mut counts = BTreeMap::new();
    for (kind, count) in ground.contents.iter().flatten() {
        *counts.entry(kind.0).or_default() += count;
    }
    counts
}

struct Look<'s, 'p, 'a> {
    ground: &'s Ground<'p, 'a>,
    relaxed: &'s Relaxed,
    counts: BTreeMap<usize, u32>,
    /// What the dearest node costs.
    dearest: f64,
}

impl Look<'_, '_, '_> {
    /// The values that no new node's content exceeds, by group, and after them what an eviction is
    /// worth at most: smaller ones are as good.
    fn caps(&self, stop: &dyn Stop) -> Vec<f64> {
        let problem = self.ground.problem;
        let mut caps = vec![0.0; problem.groups.len()];
        let found = match self.relaxed.may_launch() {
            true => values::of_groups(problem, &self.counts, COLUMN_ROUNDS, stop),
            false => BTreeMap::new(),
        };
        for group in self.counts.keys() {
            // What fits on no new node may be worth anything.
            caps[*group] = found.get(group).copied().unwrap_or(self.dearest);
        }
        caps.push(self.relaxed.tolls().next().unwrap_or(0.0));
        caps
    }

    /// Where the fluid relaxation has led.
    fn begin(&self, worth: &Worth, caps: &[f64]) -> Vec<f64> {
        let groups = self.ground.problem.groups.iter();
        let values = groups.map(|group| worth_of(&group.demand, &worth.room));
        let values = values.chain([worth.eviction]);
        values.zip(caps).map(|(value, cap)| value.min(*cap)).collect()
    }

    /// The bound that values prove, and by how much it changes with each of them. Nothing once it
    /// is time to stop.
    fn at(&self, values: &[f64], stop: &dyn Stop) -> Option<(Proof, Vec<f64>)> {
        let (ground, relaxed) = (self.ground, self.relaxed);
        let problem = ground.problem;
        let toll = values.last().copied().unwrap_or(0.0);
        let mut slope = vec![0.0; values.len()];
        let mut sum = 0.0;
        let mut room = vec![(0.0, Vec::new()); ground.takes.len()];
        let mut knapsack = Knapsack::default();
        for bin in (0..ground.takes.len()).filter(|bin| ground.takes[*bin]) {
            if bin % 64 == 0 && stop.should_stop() {
                return None;
            }
            let free = &ground.start.loads[bin].free;
            knapsack.begin(free);
            for (group, count) in &self.counts {
                let demand = &problem.groups[*group].demand;
                let most = dimensions::room(demand, free).min(*count);
                if most > 0 && ground.suits((*group, None, false), bin) {
                    knapsack.add(*group, values[*group], demand, most);
                }
            }
            let best = knapsack.search(0.0, 0.0, PARTS, usize::MAX, &mut || false);
            sum += best.bound;
            let content = best.contents.into_iter().next().unwrap_or_default();
            for (group, count) in &content {
                slope[*group] += f64::from(*count);
            }
            room[bin] = (best.bound, content);
        }
        let mut gains: BTreeMap<usize, Vec<(f64, usize)>> = BTreeMap::new();
        let mut worths = Vec::with_capacity(relaxed.items.len());
        for (candidate, item) in relaxed.items.iter().enumerate() {
            let own = ground.contents[candidate].iter();
            let own: f64 = own.map(|((group, ..), count)| values[*group] * f64::from(*count)).sum();
            let worth = own + room[ground.bin_of[candidate]].0;
            worths.push(worth);
            let gain = item.price - worth - toll * item.pods;
            if gain > 0.0 && !ground.pinned[candidate] {
                gains.entry(item.pool).or_default().push((gain, candidate));
            }
        }
        let last = slope.len() - 1;
        if let Some(most) = relaxed.evictions {
            sum += most * toll;
            slope[last] += most;
        }
        for (pool, mut gains) in gains {
            let most = relaxed.budgets[pool].min(gains.len());
            gains.sort_unstable_by(|left, right| {
                right.0.total_cmp(&left.0).then(left.1.cmp(&right.1))
            });
            for (gain, candidate) in gains.into_iter().take(most) {
                sum += gain;
                slope[last] -= relaxed.items[candidate].pods;
                for ((group, ..), count) in &ground.contents[candidate] {
                    slope[*group] -= f64::from(*count);
                }
                for (group, count) in &room[ground.bin_of[candidate]].1 {
                    slope[*group] -= f64::from(*count);
                }
            }
        }
        Some((Proof { saved: sum * SAFETY, worths, toll }, slope))
    }
}
