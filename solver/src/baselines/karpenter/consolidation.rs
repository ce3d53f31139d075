//! As Karpenter consolidates: command by command, each deleting some nodes, or replacing them by
//! exactly one that is cheaper.
//!
//! Nodes are sorted by price for what they disturb. The first hundred that the budget allows are
//! tried together by a binary search over how many of them go (two at least); if that comes to
//! nothing, nodes are tried one by one. A simulated scheduling takes time, about 0.9 s for a
//! thousand nodes as users report, and both searches have their time-outs, 1 and 3 minutes. Before
//! a command is carried out Karpenter waits for 15 s, and a replacement has to come up.
//!
//! Where this departs from Karpenter, to its favour: commands never fail their validation, and it
//! does not matter which node takes a pod by itself. To its disadvantage: nodes that a command
//! launched take no pods of later ones and stay.

use crate::disruption::consolidation::lift::lift;
use crate::disruption::consolidation::quota::Quota;
use crate::disruption::consolidation::work::{Ground, Kind, Work};
use crate::disruption::{Candidate, Inputs, Purpose, candidates};
use crate::model::{DisruptionReason, Name, Offering, Price, Snapshot, Timestamp};
use crate::packing::Settings;
use crate::packing::problem::Problem;

/// No more nodes than this are tried together.
const MOST_TOGETHER: usize = 100;
/// Seconds a simulated scheduling takes per node of the cluster.
const SIMULATION: f64 = 0.9 / 1_000.0;
/// Seconds until a search over several nodes, and over single ones, is given up.
const TIMEOUTS: [f64; 2] = [60.0, 180.0];
/// Seconds from a command's computation until it is carried out.
const VALIDATION: f64 = 15.0;
/// Seconds until a replacement is up.
const REPLACEMENT: f64 = 60.0;

/// What Karpenter's consolidation comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Consolidated {
    /// What all nodes cost before, per hour.
    pub price_before: Price,
    /// And after.
    pub price_after: Price,
    /// Pods evicted, each time counted.
    pub evictions: u64,
    /// Nodes removed.
    pub removals: usize,
    /// Commands.
    pub rounds: u32,
    /// How long it takes, in seconds of the modelled time.
    pub seconds: f64,
}

/// Consolidates until the disruption budgets of one round are used up, or nothing is left to gain.
pub fn consolidate(
    snapshot: &Snapshot,
    inputs: &Inputs,
    settings: &Settings,
    now: Timestamp,
) -> Consolidated {
    let purpose = Purpose::Consolidation { least_age: std::time::Duration::ZERO };
    let (found, _) = candidates(snapshot, inputs, purpose, now);
    let mut quota = Quota::of(snapshot, inputs, DisruptionReason::Underutilized, u32::MAX);
    let lifted = lift(snapshot, found, inputs);
    let problem = Problem::new(&lifted.snapshot, settings, &lifted.pending);
    let ground = Ground::new(&problem, &lifted);
    let price_before = crate::disruption::consolidation::result::price_of_all(snapshot);
    let sorted = by_ratio(&lifted.candidates);
    let mut peer = Peer::new(&ground, &lifted.candidates, snapshot.nodes.len());
    peer.result = Consolidated { price_before, price_after: price_before, ..Default::default() };
    loop {
        let there = sorted.iter().copied().filter(|one| !peer.work.removed[*one]);
        let eligible = within(quota.clone(), &lifted.candidates, there);
        let Some(done) = peer.several(&eligible).or_else(|| peer.single(&eligible)) else { break };
        for one in done {
            quota.take(&lifted.candidates[one]);
        }
    }
    peer.result.seconds += peer.looked;
    peer.result
}

/// One command: nodes that go, and at most one that takes their place.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The claims whose nodes go.
    pub claims: Vec<Name>,
    /// What is launched for them: pool, instance type and offering.
    pub replacement: Option<(Name, Name, Offering)>,
}

/// The next command as things are now, and how long it took to look for it in seconds of the
/// modelled time. What happens from then on (validation, replacement, eviction) is the caller's.
pub fn next_command(
    snapshot: &Snapshot,
    inputs: &Inputs,
    settings: &Settings,
    now: Timestamp,
) -> (Option<Command>, f64) {
    let purpose = Purpose::Consolidation { least_age: std::time::Duration::ZERO };
    let (found, _) = candidates(snapshot, inputs, purpose, now);
    if found.is_empty() {
        return (None, 0.0);
    }
    let quota = Quota::of(snapshot, inputs, DisruptionReason::Underutilized, u32::MAX);
    let lifted = lift(snapshot, found, inputs);
    let problem = Problem::new(&lifted.snapshot, settings, &lifted.pending);
    let ground = Ground::new(&problem, &lifted);
    let eligible = within(quota, &lifted.candidates, by_ratio(&lifted.candidates));
    let mut peer = Peer::new(&ground, &lifted.candidates, snapshot.nodes.len());
    let done = peer.several(&eligible).or_else(|| peer.single(&eligible));
    let command = done.map(|done| Command {
        claims: done.iter().map(|one| lifted.candidates[*one].claim.name.clone()).collect(),
        replacement: peer.launched.and_then(|candidate| {
            let data = &problem.candidates[candidate];
            let pool = &problem.pools[problem.cells[data.cell].pool];
            let machine = pool.catalog.as_ref()?.instance_types.get(data.instance_type)?;
            let offering = machine.offerings.get(data.offering)?;
            Some((pool.pool.name.clone(), machine.name.clone(), offering.clone()))
        }),
    });
    (command, peer.looked)
}

/// Candidates in the order in which they are tried: what a node costs by the disturbance that its
/// removal is, the largest first.
fn by_ratio(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let ratio = |one: usize| candidates[one].price.as_f64() / candidates[one].disturbance;
    let mut sorted: Vec<usize> = (0..candidates.len()).collect();
    sorted.sort_by(|left, right| {
        ratio(*right).total_cmp(&ratio(*left)).then_with(|| left.cmp(right))
    });
    sorted
}

/// Those that the budgets allow, taken one after the other.
fn within(
    mut quota: Quota,
    candidates: &[Candidate<'_>],
    tried: impl IntoIterator<Item = usize>,
) -> Vec<usize> {
    let allowed = tried.into_iter().filter(|one| {
        let fits = quota.allows(&candidates[*one]);
        if fits {
            quota.take(&candidates[*one]);
        }
        fits
    });
    allowed.collect()
}

struct Peer<'g, 'p, 'a> {
    ground: &'g Ground<'p, 'a>,
    prices: Vec<Price>,
    /// How long it takes to simulate a scheduling, in seconds of the modelled time.
    simulation: f64,
    /// How long it has looked for commands, in the same seconds.
    looked: f64,
    work: Work<'p, 'a>,
    result: Consolidated,
    /// What the last command launched.
    launched: Option<usize>,
}

/// What a simulated scheduling found.
struct Found<'p, 'a> {
    work: Work<'p, 'a>,
    launched: Price,
    candidate: Option<usize>,
    evictions: u64,
}

impl<'g, 'p, 'a> Peer<'g, 'p, 'a> {
    fn new(ground: &'g Ground<'p, 'a>, candidates: &[Candidate<'_>], nodes: usize) -> Self {
        // Bins stand in the order of their nodes' names.
        let order = (0..ground.takes.len()).filter(|bin| ground.takes[*bin]).collect();
        Self {
            ground,
            prices: candidates.iter().map(|one| one.price).collect(),
            simulation: SIMULATION * nodes as f64,
            looked: 0.0,
            work: Work::new(ground, order),
            result: Consolidated::default(),
            launched: None,
        }
    }

    /// The largest prefix that can go together, by binary search.
    fn several(&mut self, eligible: &[usize]) -> Option<Vec<usize>> {
        let most = eligible.len().min(MOST_TOGETHER);
        let (mut low, mut high) = (2, most);
        let mut best: Option<(usize, Found<'p, 'a>)> = None;
        let mut spent = 0.0;
        while low <= high && spent < TIMEOUTS[0] {
            let middle = usize::midpoint(low, high);
            spent += self.simulation;
            match self.simulate(&eligible[..middle]) {
                Some(found) => {
                    best = Some((middle, found));
                    low = middle + 1;
                }
                None => high = middle - 1,
            }
        }
        self.looked += spent;
        let (count, found) = best?;
        self.carry_out(&eligible[..count], found);
        Some(eligible[..count].to_vec())
    }

    /// The first node that can go alone.
    fn single(&mut self, eligible: &[usize]) -> Option<Vec<usize>> {
        let mut spent = 0.0;
        for one in eligible {
            if spent >= TIMEOUTS[1] {
                break;
            }
            spent += self.simulation;
            if let Some(found) = self.simulate(&[*one]) {
                self.looked += spent;
                self.carry_out(&[*one], found);
                return Some(vec![*one]);
            }
        }
        self.looked += spent;
        None
    }

    fn carry_out(&mut self, set: &[usize], found: Found<'p, 'a>) {
        let gone: Price = set.iter().map(|one| self.prices[*one]).sum();
        let result = &mut self.result;
        result.price_after = result.price_after - gone + found.launched;
        result.evictions += found.evictions;
        result.removals += set.len();
        result.rounds += 1;
        result.seconds += VALIDATION;
        if found.launched > Price::ZERO {
            result.seconds += REPLACEMENT;
        }
        self.launched = found.candidate;
        self.work = found.work;
    }

    /// The pods of these nodes on the others, or on one new node that is cheaper than they are.
    fn simulate(&self, set: &[usize]) -> Option<Found<'p, 'a>> {
        if set.iter().any(|one| self.ground.pinned[*one]) {
            return None;
        }
        let mut work = self.work.clone();
        let leaving = set.iter().flat_map(|one| work.leaving(self.ground, *one));
        let evictions = leaving.map(|(_, count)| u64::from(count)).sum();
        let (left, _) = work.drain(self.ground, set);
        let gone: Price = set.iter().map(|one| self.prices[*one]).sum();
        let candidate = if left.is_empty() { None } else { Some(self.replacement(&left)?) };
        let launched =
            candidate.map_or(Price::ZERO, |one| self.ground.problem.candidates[one].price);
        (launched < gone).then_some(Found { work, launched, candidate, evictions })
    }

    /// The cheapest machine that holds all of it.
    fn replacement(&self, left: &[(Kind, u32)]) -> Option<usize> {
        let problem = self.ground.problem;
        let state = &self.ground.start;
        let holds = |candidate: usize| {
            let data = &problem.candidates[candidate];
            let cell = &problem.cells[data.cell];
            let mut load = state.empty_load(candidate);
            left.iter().all(|((group, tuple, _), count)| {
                let allowed = cell.allowed[problem.groups[*group].relaxed]
                    && tuple.is_none_or(|tuple| tuple == cell.tuple);
                let fits = allowed && load.room(problem, *group) >= *count;
                if fits {
                    load.put(problem, *group, *count);
                }
                fits
            })
        };
        (0..problem.candidates.len())
            .filter(|candidate| holds(*candidate))
            .min_by_key(|candidate| problem.candidates[*candidate].price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Workload, exoscale_catalog, half_empty_cluster};

    #[test]
    fn it_saves_within_the_budget_and_never_more_than_all() {
        let catalog = exoscale_catalog(&["z"]);
        let now = Timestamp::from_seconds(100_000);
        let with = |budget| {
            let snapshot = half_empty_cluster(&catalog, 40, 0.4, budget, Workload::Diverse, 1);
            consolidate(&snapshot, &Inputs::default(), &Settings::default(), now)
        };
        let (few, all) = (with(10), with(100));
        assert!(few.removals <= 4 && few.removals > 0, "{few:?}");
        assert!(few.price_after < few.price_before);
        assert!(all.price_after < few.price_after);
        assert_eq!(few, with(10));
    }

    #[test]
    fn a_single_command_is_the_first_that_consolidation_carries_out() {
        let catalog = exoscale_catalog(&["z"]);
        let now = Timestamp::from_seconds(100_000);
        let snapshot = half_empty_cluster(&catalog, 40, 0.4, 10, Workload::Diverse, 1);
        let (command, seconds) =
            next_command(&snapshot, &Inputs::default(), &Settings::default(), now);
        let command = command.unwrap();
        assert!((2..=4).contains(&command.claims.len()), "{command:?}");
        assert!(command.claims.iter().all(|claim| snapshot.claims.contains_key(claim)));
        // Up to three nodes tried at a time, at 0.9 ms for each of 40 nodes.
        assert!(seconds > 0.0 && seconds <= 3.0 * 0.036 + 1e-9, "{seconds}");
        let price = |claim: &Name| snapshot.claims[claim].price.unwrap_or_default();
        let gone: Price = command.claims.iter().map(price).sum();
        if let Some((_, _, offering)) = &command.replacement {
            assert!(offering.price < gone);
        }
    }

    #[test]
    fn there_is_no_command_where_nothing_may_go() {
        let nothing = crate::testing::cluster().snapshot();
        let now = Timestamp::from_seconds(100_000);
        let found = next_command(&nothing, &Inputs::default(), &Settings::default(), now);
        assert_eq!(found, (None, 0.0));
    }
}
