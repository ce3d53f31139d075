//! Deals a group's pods out over the domains of its spread, affinity and anti-affinity rules, so
//! that what remains is packing.
//!
//! Pods with spread or with anti-affinity among themselves are dealt out one after the other to
//! the domain that holds fewest: in the end domains are as even as they can be, which is what
//! kube-scheduler, that takes pods in any order, can always reach. Few pods may be dealt out in
//! another way that their rules allow ([`super::dealing`]). Other rules only exclude domains.

use std::sync::Arc;

use crate::constraints::{pod_affinity, pod_anti_affinity, topology_spread};

use super::dimensions;
use super::problem::Problem;
use super::state::{Class, State};
use super::topology::{Key, NO_DOMAIN, Rules};

/// What a group's pods are dealt out as.
#[derive(Debug)]
pub struct Dealt {
    /// Classes to pack.
    pub classes: Vec<Class>,
    /// How many pods no domain takes.
    pub refused: u32,
    /// Why not.
    pub reason: Option<String>,
}

/// A combination of domains that could take pods of the group.
struct Place {
    tuple: usize,
    /// How many pods it can take, as far as existing nodes limit it.
    room: u32,
    /// The least cost of a node that holds one, for choosing between equals.
    cost: f64,
}

/// Deals out `count` pods of a group. `blocked` names combinations of domains that turned out to
/// be unable to take them.
pub fn deal(state: &mut State<'_, '_>, group: usize, count: u32, blocked: &[usize]) -> Dealt {
    let problem = state.problem;
    let signature = problem.groups[group].signature;
    let rules = problem.topology.domain_rules[group].clone();
    let counted = counted_by_spread(problem, group);
    let class = |remaining, tuples, pinned| Class { group, signature, tuples, remaining, pinned };
    if rules.is_empty() && !counted {
        return Dealt { classes: vec![class(count, None, false)], refused: 0, reason: None };
    }
    let places = places(state, group, blocked);
    let one_by_one = counted || !rules.spread.is_empty() || rules.anti.iter().any(|(_, own)| *own);
    let bootstrap = !rules.affinity.is_empty()
        && rules.affinity.iter().all(|counter| state.topology.counters[*counter].total == 0);
    if !one_by_one && !bootstrap {
        let mut allowed = vec![false; problem.tuples.len()];
        let mut reason = None;
        for place in &places {
            match refusal(state, group, &rules, place.tuple, &places) {
                None => allowed[place.tuple] = true,
                Some(why) => reason = Some(why),
            }
        }
        if !allowed.contains(&true) {
            return Dealt { classes: Vec::new(), refused: count, reason };
        }
        let tuples = Some(Arc::from(allowed));
        return Dealt { classes: vec![class(count, tuples, false)], refused: 0, reason: None };
    }
    let (dealt, refused, reason) = deal_one_by_one(state, group, count, &rules, places, bootstrap);
    let classes = dealt
        .into_iter()
        .map(|(tuple, count)| {
            let mut allowed = vec![false; problem.tuples.len()];
            allowed[tuple] = true;
            class(count, Some(Arc::from(allowed)), true)
        })
        .collect();
    Dealt { classes, refused, reason }
}

fn deal_one_by_one(
    state: &mut State<'_, '_>,
    group: usize,
    count: u32,
    rules: &Rules,
    mut places: Vec<Place>,
    bootstrap: bool,
) -> (Vec<(usize, u32)>, u32, Option<String>) {
    let counters = spread_counters(state.problem, group);
    let mut dealt: Vec<(usize, u32)> = Vec::new();
    let mut reason = None;
    let mut allowed: Vec<usize> = Vec::new();
    for done in 0..count {
        let mut best: Option<(u64, usize)> = None;
        allowed.clear();
        reason = None;
        for (index, place) in places.iter().enumerate().filter(|(_, place)| place.room > 0) {
            if let Some(why) = refusal(state, group, rules, place.tuple, &places) {
                reason = Some(why);
                continue;
            }
            allowed.push(index);
            let held = crowding(state, &counters, place.tuple);
            // Places come cheapest first, so that the first of equals wins; without spread all
            // go to the same place until it is full.
            if best.is_none_or(|(least, _)| held < least) {
                best = Some((held, index));
            }
        }
        let Some((_, index)) = best else { return (dealt, count - done, reason) };
        let index = match &mut state.dealing {
            Some(dealing) => dealing.choose(group, &allowed, index, |at| places[at].tuple),
            None => index,
        };
        let place = &mut places[index];
        let tuple = place.tuple;
        let all_at_once = counters.is_empty() && rules.anti.iter().all(|(_, own)| !own);
        let batch = if all_at_once && (bootstrap || rules.spread.is_empty()) {
            place.room.min(count - done)
        } else {
            1
        };
        place.room = place.room.saturating_sub(batch);
        state.count(group, tuple, batch, true);
        match dealt.iter_mut().find(|(other, _)| *other == tuple) {
            Some((_, there)) => *there += batch,
            None => dealt.push((tuple, batch)),
        }
        if batch > 1 {
            return (dealt, count - done - batch, reason);
        }
    }
    (dealt, 0, reason)
}

/// Whether the group has no rule of its own but counts for somebody's spread over shared domains:
/// then it is dealt out evenly too, for the other's sake.
fn counted_by_spread(problem: &Problem<'_>, group: usize) -> bool {
    let hard = |counter: usize| {
        problem
            .topology
            .domain_rules
            .iter()
            .any(|rules| rules.spread.iter().any(|rule| rule.counter == counter && rule.hard))
    };
    problem.topology.counted_by[group].iter().any(|counter| {
        matches!(problem.topology.counters[*counter].key, Key::Label(_)) && hard(*counter)
    })
}

/// The counters by which the group's pods are kept even.
fn spread_counters(problem: &Problem<'_>, group: usize) -> Vec<usize> {
    let own = problem.topology.domain_rules[group].spread.iter().map(|rule| rule.counter);
    let mut counters: Vec<usize> = own.collect();
    if counters.is_empty() {
        counters = problem.topology.counted_by[group]
            .iter()
            .copied()
            .filter(|counter| {
                problem.topology.domain_rules.iter().any(|rules| {
                    rules.spread.iter().any(|rule| rule.counter == *counter && rule.hard)
                })
            })
            .collect();
    }
    counters
}

fn crowding(state: &State<'_, '_>, counters: &[usize], tuple: usize) -> u64 {
    counters.iter().map(|counter| u64::from(count_at(state, *counter, tuple))).sum()
}

/// How many pods a counter counts in the domain of a tuple.
pub fn count_at(state: &State<'_, '_>, counter: usize, tuple: usize) -> u32 {
    let data = &state.topology.counters[counter];
    match data.key {
        Key::Host => 0,
        Key::Label(key) => {
            let domain = state.problem.tuples[tuple][key];
            data.counts.get(domain as usize).copied().unwrap_or(0)
        }
    }
}

/// The combinations of domains in which the group could go somewhere, cheapest first.
fn places(state: &State<'_, '_>, group: usize, blocked: &[usize]) -> Vec<Place> {
    let problem = state.problem;
    let data = &problem.groups[group];
    let mut places: Vec<Place> = Vec::new();
    let mut add = |tuple: usize, room: u32, cost: f64| match places
        .iter_mut()
        .find(|place| place.tuple == tuple)
    {
        Some(place) => {
            place.room = place.room.saturating_add(room);
            place.cost = place.cost.min(cost);
        }
        None => places.push(Place { tuple, room, cost }),
    };
    for (index, bin) in problem.bins.iter().enumerate() {
        if bin.open && problem.bin_allowed[data.signature][index] {
            let room = state.loads[index].room(problem, group);
            if room > 0 {
                add(bin.tuple, room, 0.0);
            }
        }
    }
    for candidate in &problem.candidates {
        let cell = &problem.cells[candidate.cell];
        if cell.allowed[data.signature]
            && !blocked.contains(&cell.tuple)
            && dimensions::fits(&data.demand, &candidate.room)
            && state.within_limits(candidate)
        {
            let pods = dimensions::room(&data.demand, &candidate.room).clamp(1, 1 << 20);
            let per_pod = candidate.cost / f64::from(pods);
            add(cell.tuple, u32::MAX, per_pod);
        }
    }
    places.sort_by(|left, right| {
        left.cost.total_cmp(&right.cost).then_with(|| left.tuple.cmp(&right.tuple))
    });
    places
}

/// Why a combination of domains takes no pod of the group now; `None` if it takes one.
fn refusal(
    state: &State<'_, '_>,
    group: usize,
    rules: &Rules,
    tuple: usize,
    places: &[Place],
) -> Option<String> {
    let problem = state.problem;
    let domains = &problem.tuples[tuple];
    let shape = &problem.groups[group].shape;
    for rule in rules.spread.iter().filter(|rule| rule.hard) {
        let counter = &state.topology.counters[rule.counter];
        let Key::Label(key) = counter.key else { continue };
        if domains[key] == NO_DOMAIN {
            return Some(format!("the node has no label {}", rule.constraint.topology_key));
        }
        let (emptiest, domains) = emptiest(state, rule.counter, key, places);
        let count = count_at(state, rule.counter, tuple);
        let why = topology_spread::explain(&rule.constraint, rule.own, count, emptiest, domains);
        if why.is_some() {
            return why;
        }
    }
    for (counter, _) in &rules.anti {
        let term = shape.anti_affinity.iter().find(|term| is_key(state, *counter, term));
        let count = count_at(state, *counter, tuple);
        if !pod_anti_affinity::check(count, 0) {
            return term.and_then(|term| pod_anti_affinity::explain(term, count, 0));
        }
    }
    for counter in &rules.inverse {
        let count = count_at(state, *counter, tuple);
        if !pod_anti_affinity::check(0, count) {
            return Some(format!("pod anti-affinity of {count} pods in the domain forbids it"));
        }
    }
    for counter in &rules.affinity {
        let data = &state.topology.counters[*counter];
        let Key::Label(key) = data.key else { continue };
        let count = count_at(state, *counter, tuple);
        if domains[key] == NO_DOMAIN || !pod_affinity::check(count, data.total, rules.own_affinity)
        {
            let term = shape.affinity.iter().find(|term| is_key(state, *counter, term))?;
            return pod_affinity::explain(term, count, data.total, rules.own_affinity)
                .or_else(|| Some(format!("the node has no label {}", term.topology_key)));
        }
    }
    None
}

fn is_key(state: &State<'_, '_>, counter: usize, term: &crate::model::PodAffinityTerm) -> bool {
    match state.topology.counters[counter].key {
        Key::Host => false,
        Key::Label(key) => state.topology.keys[key] == term.topology_key,
    }
}

/// The count of the emptiest domain that counts, and how many domains count: those that have such
/// a node, and those in which one could be launched.
fn emptiest(state: &State<'_, '_>, counter: usize, key: usize, places: &[Place]) -> (u32, usize) {
    let data = &state.topology.counters[counter];
    let mut present = data.present.clone();
    for place in places {
        if let Some(slot) = present.get_mut(state.problem.tuples[place.tuple][key] as usize) {
            *slot = true;
        }
    }
    data.emptiest(&present)
}
