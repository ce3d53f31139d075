//! One round, worked out once.

use std::collections::BTreeMap;

use super::super::candidates::{Candidate, Purpose};
use super::super::emptiness::Inputs;
use super::super::obstacle::{Kept, Obstacle};
use super::balance::Balance;
use super::bound::{Relaxed, dot};
use super::lift::{Lifted, lift};
use super::order::Turn;
use super::quota::Quota;
use super::result;
use super::search::{Attempt, MOST_TRADES, Search};
use super::work::{Ground, Work};
use super::{Round, Settings};
use super::{launching, proof};
use crate::model::{Method, Name, Price, Snapshot, Timestamp};
use crate::packing::duals::{self, worth_of};
use crate::packing::problem::Problem;
use crate::packing::{Part, Stop};

/// The share of the time after which the bound is as good as it gets...
const PROVE_UNTIL: f64 = 0.3;
/// ...after which no further order of removal is tried...
const ORDERS_UNTIL: f64 = 0.45;
/// ...after which no further exchange is...
const TRADES_UNTIL: f64 = 0.6;
/// ...and after which new nodes have been packed anew. The rest is for the plan and the checker.
const PACK_UNTIL: f64 = 0.7;

/// What a round is worked out for.
#[derive(Debug)]
pub struct Setting<'s> {
    pub snapshot: &'s Snapshot,
    pub inputs: &'s Inputs,
    pub settings: &'s Settings,
    pub purpose: Purpose,
    pub now: Timestamp,
    pub seed: u64,
    pub quota: &'s Quota,
}

/// Works the round out, for these candidates.
pub fn work_out(
    setting: &Setting<'_>,
    candidates: Vec<Candidate<'_>>,
    nothing: Round,
    stop: &dyn Stop,
) -> Round {
    let lifted = lift(setting.snapshot, candidates, setting.inputs);
    let problem = Problem::new(&lifted.snapshot, &setting.settings.packing, &lifted.pending);
    let mut ground = Ground::new(&problem, &lifted);
    let mut kept: BTreeMap<Name, Obstacle> = lifted.unclear.iter().cloned().collect();
    bind(&mut ground, &lifted, &mut kept);
    let own = &setting.settings.packing;
    let price = |one: &Candidate<'_>| (one.price + own.price_per_node).as_f64();
    let prices: Vec<f64> = lifted.candidates.iter().map(price).collect();
    let pools: Vec<usize> =
        lifted.candidates.iter().map(|one| setting.quota.pool(&one.pool.name)).collect();
    let budgets: Vec<usize> = setting.quota.pools.iter().map(|(left, _)| *left).collect();
    let consolidates = !setting.purpose.is_drift();
    let plain: Vec<f64> = lifted.candidates.iter().map(|one| one.price.as_f64()).collect();
    let (evictions, may_launch) = (setting.quota.evictions, setting.settings.may_launch);
    let relaxed = Relaxed::of(&ground, &plain, &pools, &budgets, evictions, may_launch);
    let (attempt, most, moves) = if consolidates {
        let (most, worth) = relaxed.solve(&|| stop.spent() >= PROVE_UNTIL);
        let market = market(&ground);
        let moves = moves(setting.settings, &ground, &lifted, &market);
        let search = Search {
            ground: &ground,
            candidates: &lifted.candidates,
            prices: &prices,
            moves: &moves,
            worth: &worth,
            market: &market,
            relaxed: &relaxed,
            balance: &Balance::of(setting.snapshot),
            may_launch,
        };
        let (attempt, most) = save(setting, &search, most, stop);
        (attempt, Some(most), moves)
    } else {
        for bin in &ground.bin_of {
            ground.takes[*bin] = false;
        }
        // However dear the pods are.
        (replace(setting, &ground, &lifted, &mut kept), None, Vec::new())
    };
    let mut round = result::round(setting, &ground, &lifted, attempt, nothing);
    if let Some(most) = most {
        let most = Price::per_hour(most.clamp(0.0, 1e9)).unwrap_or_default();
        // What is saved is rounded to billionths, node by node.
        let slack = Price::from_nanos(round.plan.removals.len() as u64 + 1);
        round.lower_bound = round.price_before - most - slack;
        round.lower_bound = round.lower_bound.min(round.price_after);
    } else {
        round.lower_bound = round.price_after;
    }
    let stays = kept.into_iter().map(|(claim, obstacle)| Kept { claim, obstacle });
    round.kept.retain(|one| lifted.candidates.iter().all(|other| other.claim.name != one.claim));
    round.kept.extend(stays);
    result::explain(setting, &lifted, &moves, &mut round);
    round
}

/// Nodes with pods that must be on one host with others stay.
fn bind(ground: &mut Ground<'_, '_>, lifted: &Lifted<'_>, kept: &mut BTreeMap<Name, Obstacle>) {
    for (index, (candidate, groups)) in lifted.candidates.iter().zip(&lifted.groups).enumerate() {
        let bound = groups
            .iter()
            .position(|group| !ground.problem.topology.host_rules[*group].affinity.is_empty());
        if let Some(pod) = bound {
            let obstacle = Obstacle::Bound(candidate.pods[pod].key.clone());
            kept.insert(candidate.claim.name.clone(), obstacle);
            ground.pinned[index] = true;
        }
    }
}

/// The best round that is found, and what one could save at most; `known` is a bound for that.
fn save<'p, 'a>(
    setting: &Setting<'_>,
    search: &Search<'_, 'p, 'a>,
    known: f64,
    stop: &dyn Stop,
) -> (Attempt<'p, 'a>, f64) {
    let (settings, quota, relaxed) = (setting.settings, setting.quota, search.relaxed);
    let over = |share: f64| move || stop.spent() >= share;
    let worths: Vec<f64> =
        relaxed.items.iter().map(|item| dot(&search.worth.room, &item.room)).collect();
    let toll = search.worth.eviction;
    let (tight, shake, trades) = (false, None, MOST_TRADES);
    let fluid = Turn { worths: &worths, share: 1.0, toll, tight, shake, trades };
    let first = search.remove(quota, fluid, &over(PROVE_UNTIL));
    let part = Part::until(PROVE_UNTIL, stop);
    let known = (known, search.worth);
    let (steps, gained) = (settings.bound_steps, search.saved(&first));
    let proof = proof::prove(search.ground, relaxed, known, gained, steps, &part);
    let proven = Turn { worths: &proof.worths, toll: proof.toll, ..fluid };
    let mut turns = vec![proven];
    turns.extend(
        relaxed.tolls().flat_map(|toll| [1.0, 0.0].map(|share| Turn { toll, share, ..fluid })),
    );
    let pods: usize = search.candidates.iter().map(|one| one.pods.len()).sum();
    // Large clusters have less to gain from another order, and each takes longer.
    let orders = if pods > 40_000 { settings.orders / 6 } else { settings.orders };
    let seed = setting.seed;
    let mut best =
        search.best_removal(quota, (first, fluid), &turns, orders, seed, &over(ORDERS_UNTIL));
    if settings.may_launch {
        best = search.trades(best, settings.exchanges, seed, stop, TRADES_UNTIL);
        let stop = Part::until(PACK_UNTIL, stop);
        let new =
            launching::improve_new(search.ground, &mut best.work, &settings.packing, seed, &stop);
        best.gain += new;
    }
    debug_assert!(search.saved(&best) <= proof.saved + 1e-6, "the bound does not hold");
    (best, proof.saved)
}

/// Replaces drifted nodes, as many as budgets allow: a node whose pods have no place stays.
fn replace<'p, 'a>(
    setting: &Setting<'_>,
    ground: &Ground<'p, 'a>,
    lifted: &Lifted<'_>,
    kept: &mut BTreeMap<Name, Obstacle>,
) -> Attempt<'p, 'a> {
    let order = (0..ground.takes.len()).filter(|bin| ground.takes[*bin]).collect();
    let mut attempt =
        Attempt { work: Work::new(ground, order), quota: setting.quota.clone(), gain: 0.0 };
    let mut turn: Vec<usize> = (0..lifted.candidates.len()).collect();
    turn.sort_by_key(|one| {
        let candidate = &lifted.candidates[*one];
        (!candidate.pods.is_empty(), candidate.claim.created, &candidate.claim.name)
    });
    for one in turn {
        let candidate = &lifted.candidates[one];
        if kept.contains_key(&candidate.claim.name) || !attempt.quota.allows(candidate) {
            continue;
        }
        let (left, journal) = attempt.work.drain(ground, &[one]);
        let placed = launching::launch(ground, &mut attempt.work, &left, &|| false).is_some();
        if placed && (setting.purpose == Purpose::Drift || keeps_numbers(lifted, &attempt)) {
            attempt.quota.take(candidate);
        } else {
            attempt.work.take_back(ground, journal);
            kept.insert(candidate.claim.name.clone(), Obstacle::NothingCheaper);
        }
    }
    attempt
}

/// Whether every pool gets no more new nodes than old ones go: a static one would be too large then,
/// and would lose nodes that pods have just come to.
fn keeps_numbers(lifted: &Lifted<'_>, attempt: &Attempt<'_, '_>) -> bool {
    let state = &attempt.work.state;
    let problem = state.problem;
    let of = |pool: &Name| {
        let removed = lifted.candidates.iter().zip(&attempt.work.removed);
        removed.filter(|(one, removed)| **removed && one.pool.name == *pool).count()
    };
    let mut new: BTreeMap<&Name, usize> = BTreeMap::new();
    for node in &state.nodes {
        let cell = &problem.cells[problem.candidates[node.candidate].cell];
        *new.entry(&problem.pools[cell.pool].pool.name).or_default() += 1;
    }
    new.into_iter().all(|(pool, count)| count <= of(pool))
}

/// What moving all pods of each candidate costs, in money an hour over the horizon; pods are worth
/// what the `market` says.
fn moves(
    settings: &Settings,
    ground: &Ground<'_, '_>,
    lifted: &Lifted<'_>,
    market: &[f64],
) -> Vec<f64> {
    let share = f64::from(settings.eviction_percent) / 100.0;
    let flat = settings.price_per_eviction.as_f64() / settings.hours();
    let worth = |group: &usize| worth_of(&ground.problem.groups[*group].demand, market);
    let of = |groups: &Vec<usize>| groups.iter().map(|group| flat + share * worth(group)).sum();
    lifted.groups.iter().map(of).collect()
}

/// What pods are worth, by resource, where new nodes are bought for them.
fn market(ground: &Ground<'_, '_>) -> Vec<f64> {
    let problem = ground.problem;
    let mut demand = vec![0.0; problem.dimensions.len()];
    for (kind, count) in ground.contents.iter().flatten() {
        let one = &problem.groups[kind.0].demand;
        demand.iter_mut().zip(one).for_each(|(sum, has)| *sum += *has as f64 * f64::from(*count));
    }
    let machines: Vec<(Vec<f64>, f64)> = problem
        .candidates
        .iter()
        .map(|one| (one.room.iter().map(|has| (*has).max(0) as f64).collect(), one.cost))
        .collect();
    let machines: Vec<(&[f64], f64)> =
        machines.iter().map(|(room, cost)| (room.as_slice(), *cost)).collect();
    duals::resource_prices(&demand, &machines)
}

/// Which method a round with that many launches comes from.
pub fn method(launches: usize, removals: usize) -> Method {
    match (launches, removals) {
        (_, 0) => Method::Nothing,
        (0, _) => Method::Greedy,
        _ => Method::LocalSearch,
    }
}
