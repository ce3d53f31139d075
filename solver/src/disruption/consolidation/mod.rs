//! Fewer and cheaper nodes for the same pods: one joint plan a round.
//!
//! All pods that may move are lifted off their nodes ([`lift`]) and put back ([`work`]); then nodes
//! are emptied onto others or exchanged for new ones ([`search`], [`order`]), within all budgets
//! ([`quota`]), and what could have been saved at most is worked out beside it ([`bound`],
//! [`proof`]). The packer's own
//! picture of nodes and rules is used, so that what it would refuse is not planned. The result
//! must pass the checker: a node whose pods it blames stays, and the round is worked out anew.

mod balance;
mod bound;
mod launching;
pub(crate) mod lift;
mod order;
mod proof;
pub(crate) mod quota;
mod relocation;
pub(crate) mod result;
mod round;
mod search;
pub(crate) mod work;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::candidates::{Purpose, candidates};
use super::drift::drift;
use super::emptiness::Inputs;
use super::obstacle::{Kept, Obstacle};
use crate::model::{
    DisruptionReason, Name, NodePool, Plan, PodKey, Price, RemovalReason, Snapshot, Target,
    Timestamp,
};
use crate::packing::{self, Stop};
use crate::verify::{self, Violation};

/// A round is worked out anew this often where the checker finds fault.
const MOST_FAULTS: usize = 8;

/// What consolidation goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// A saving per hour counts for so long, when it is held against what moving costs.
    pub horizon: Duration,
    /// A round happens only if it saves this much over the horizon...
    pub least_saving: Price,
    /// ...and this much more for every pod that is evicted...
    pub price_per_eviction: Price,
    /// ...and so many percent of what the pod itself costs over the horizon.
    ///
    /// On 100 half-full nodes of Exoscale's catalog with 450 pods of a dollar a day, one percent led
    /// to 728 evictions, three to 450, ten to 319 and twenty to 260; the price fell from 23.4 to
    /// 10.5, 10.5, 10.8 and 11.2 an hour.
    ///
    /// Where pods come and go all the time, what is saved is soon lost again. A quarter of the
    /// machines of Azure's trace on AWS (3.5 days, many of which live for minutes): three percent led
    /// to 98,474 evictions and a cost of 15,173, ten to 36,306 and 14,812, twenty to 26,921 and 14,721.
    pub eviction_percent: u32,
    /// A node is left alone for so long after it was built.
    pub least_age: Duration,
    /// Whether new nodes may take the place of old ones.
    pub may_launch: bool,
    /// A round evicts no more pods than this.
    pub most_evictions: u32,
    /// How many orders of removal are tried.
    pub orders: u32,
    /// How many exchanges of a few nodes are tried.
    pub exchanges: u32,
    /// How many steps are taken towards a closer bound, which also tells what is best to remove; 0
    /// for none.
    pub bound_steps: u32,
    /// What the packer goes by for new nodes.
    pub packing: packing::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            horizon: Duration::from_hours(24),
            least_saving: Price::from_nanos(10_000_000),
            price_per_eviction: Price::from_nanos(10_000_000),
            eviction_percent: 10,
            least_age: Duration::from_secs(60),
            may_launch: true,
            most_evictions: u32::MAX,
            orders: 24,
            exchanges: 300,
            bound_steps: 100,
            packing: packing::Settings::default(),
        }
    }
}

impl Settings {
    /// The horizon in hours.
    fn hours(&self) -> f64 {
        (self.horizon.as_secs_f64() / 3_600.0).max(1e-9)
    }
}

/// A pod that is evicted, and where it is to run instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The pod.
    pub pod: PodKey,
    /// Its UID.
    pub uid: Name,
    /// The node that it leaves.
    pub from: Name,
    /// Its place from then on.
    pub to: Target,
}

/// A round of disruption: what goes, what comes, what moves, and what that is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Why.
    pub reason: RemovalReason,
    /// Removals, launches, and the places of pods that move or wait.
    pub plan: Plan,
    /// The pods that move, by namespace and name.
    pub moves: Vec<Move>,
    /// What all nodes that are ours cost before, per hour, as far as that is known.
    pub price_before: Price,
    /// What they cost after.
    pub price_after: Price,
    /// What no round within the same budgets could get below.
    pub lower_bound: Price,
    /// Why each other node stays, by its claim's name.
    pub kept: Vec<Kept>,
    /// What the checker held against earlier versions of the round.
    pub faults: Vec<Violation>,
}

impl Round {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.plan.removals.is_empty()
    }

    /// With the reasons of another look for the nodes that this one has not looked at.
    fn with_reasons_of(mut self, other: Self) -> Self {
        let known: BTreeSet<Name> = self.kept.iter().map(|kept| kept.claim.clone()).collect();
        let removed = |claim: &Name| self.plan.removals.iter().any(|one| one.claim == *claim);
        let news = other.kept.into_iter().filter(|kept| !known.contains(&kept.claim));
        let mut news: Vec<Kept> = news.filter(|kept| !removed(&kept.claim)).collect();
        self.kept.append(&mut news);
        self.kept.sort_by(|left, right| left.claim.cmp(&right.claim));
        self
    }

    /// A round that does nothing.
    fn nothing(reason: RemovalReason, look: &Look<'_>) -> Self {
        let (price, seed) = (look.price, look.seed);
        let generation = look.snapshot.generation;
        let plan = Plan { generation, made_at: look.now, seed, ..Plan::default() };
        Self {
            reason,
            plan,
            moves: Vec::new(),
            price_before: price,
            price_after: price,
            lower_bound: price,
            kept: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// Works out one round of consolidation. The same inputs give the same round, unless `stop` cuts
/// the work short.
pub fn consolidate(
    snapshot: &Snapshot,
    inputs: &Inputs,
    settings: &Settings,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Round {
    let price = result::price_of_all(snapshot);
    Look { snapshot, inputs, settings, now, seed, stop, price }.consolidate()
}

/// Works out one round of replacing what has drifted: as many nodes as budgets allow, those that
/// are empty first, then the oldest.
///
/// Nodes of static NodePools whose pods fit nowhere else come when there is nothing else to be
/// replaced: their pool gets the new nodes first.
pub fn replace_drifted(
    snapshot: &Snapshot,
    inputs: &Inputs,
    settings: &Settings,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Round {
    let price = result::price_of_all(snapshot);
    Look { snapshot, inputs, settings, now, seed, stop, price }.replace_drifted()
}

/// The snapshot in which static pools sell nodes for pods as others do.
fn opened(snapshot: &Snapshot) -> Snapshot {
    let mut opened = snapshot.clone();
    for pool in snapshot.pools.values().filter(|pool| pool.replicas.is_some()) {
        let open = NodePool { replicas: None, ..NodePool::clone(pool) };
        opened.pools.insert(pool.name.clone(), Arc::new(open));
    }
    opened
}

/// The next round of disruption: what has drifted is replaced first; where nothing is, or can be,
/// nodes are consolidated. The same inputs give the same round, unless `stop` cuts the work short.
pub fn next_round(
    snapshot: &Snapshot,
    inputs: &Inputs,
    settings: &Settings,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Round {
    let price = result::price_of_all(snapshot);
    let look = Look { snapshot, inputs, settings, now, seed, stop, price };
    // Most of the time nothing has drifted, and no node has to be looked at more closely for that.
    let drifted = look.has_drifted().then(|| look.replace_drifted());
    drifted.filter(|round| !round.is_empty()).unwrap_or_else(|| look.consolidate())
}

/// One look at a cluster, for whatever there may be to do.
struct Look<'l> {
    snapshot: &'l Snapshot,
    inputs: &'l Inputs,
    settings: &'l Settings,
    now: Timestamp,
    seed: u64,
    stop: &'l dyn Stop,
    /// What all nodes cost.
    price: Price,
}

impl Look<'_> {
    /// Whether any node has drifted, whether it may be replaced or not.
    fn has_drifted(&self) -> bool {
        let Self { snapshot, inputs, .. } = self;
        snapshot.claims.values().any(|claim| {
            let pool = claim.pool().and_then(|pool| snapshot.pools.get(pool));
            pool.is_some_and(|pool| drift(snapshot, claim, pool, &inputs.hash_version).is_some())
        })
    }

    fn consolidate(&self) -> Round {
        self.round(Purpose::Consolidation { least_age: self.settings.least_age })
    }

    fn replace_drifted(&self) -> Round {
        let round = self.round(Purpose::Drift);
        if !round.is_empty() || !self.snapshot.pools.values().any(|pool| pool.replicas.is_some()) {
            return round;
        }
        let fixed = self.round(Purpose::StaticDrift);
        if fixed.is_empty() { round } else { fixed.with_reasons_of(round) }
    }

    fn round(&self, purpose: Purpose) -> Round {
        let Self { snapshot, inputs, settings, now, seed, stop, .. } = *self;
        let (reason, budget) = match purpose {
            Purpose::Consolidation { .. } => {
                (RemovalReason::Underutilized, DisruptionReason::Underutilized)
            }
            Purpose::Drift | Purpose::StaticDrift => {
                (RemovalReason::Drifted, DisruptionReason::Drifted)
            }
        };
        let nothing = Round::nothing(reason, self);
        let (mut found, mut kept) = candidates(snapshot, inputs, purpose, now);
        let quota = quota::Quota::of(snapshot, inputs, budget, settings.most_evictions);
        let on = match purpose {
            Purpose::StaticDrift => Cow::Owned(opened(snapshot)),
            _ => Cow::Borrowed(snapshot),
        };
        let mut faults: Vec<Violation> = Vec::new();
        for _ in 0..=MOST_FAULTS {
            if found.is_empty() {
                break;
            }
            let setting = round::Setting {
                snapshot: &on,
                inputs,
                settings,
                purpose,
                now,
                seed,
                quota: &quota,
            };
            let mut round = round::work_out(&setting, found.clone(), nothing.clone(), stop);
            let mut wrong = Vec::new();
            // What does nothing breaks nothing.
            if !round.is_empty() {
                wrong = verify::verify(snapshot, &[], &round.plan);
                wrong.extend(verify::verify_disruption(snapshot, inputs.limits(), &round.plan));
            }
            if wrong.is_empty() {
                round.kept.extend(kept);
                round.kept.sort_by(|left, right| left.claim.cmp(&right.claim));
                round.faults = faults;
                return round;
            }
            let blamed = result::blamed(&round, &wrong);
            faults.append(&mut wrong);
            if blamed.is_empty() {
                break;
            }
            found.retain(|candidate| {
                let why = blamed.get(&candidate.state.node.name);
                if let Some((pod, why)) = why {
                    let obstacle = Obstacle::Unclear(pod.clone(), why.clone());
                    kept.push(Kept { claim: candidate.claim.name.clone(), obstacle });
                }
                why.is_none()
            });
        }
        let stay = |candidate: &super::candidates::Candidate<'_>| Kept {
            claim: candidate.claim.name.clone(),
            obstacle: Obstacle::NothingCheaper,
        };
        kept.extend(found.iter().map(stay));
        kept.sort_by(|left, right| left.claim.cmp(&right.claim));
        Round { kept, faults, ..nothing }
    }
}
