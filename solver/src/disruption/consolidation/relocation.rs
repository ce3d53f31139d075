//! Pods that leave their domain, since their spread does not hold there any more.
//!
//! Where a workload was scaled down, some zones may have far more of it than others. A pod that is
//! evicted there comes back where kube-scheduler lets it: in the emptiest zone. So nodes of a
//! crowded zone can only be emptied if that is planned. Pod by pod: one whose domain is not too
//! full stays in it, another goes to the emptiest. No domain becomes emptier than the emptiest was
//! by that, so that what was right before stays right.

use crate::constraints::topology_spread;
use crate::packing::assign::count_at;
use crate::packing::problem::Problem;
use crate::packing::state::State;
use crate::packing::topology::{Key, NO_DOMAIN};

/// A pod of a group went from one combination of domains to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    pub group: usize,
    pub from: usize,
    pub to: usize,
}

/// For each group, the combinations of domains that its pods may go to if they cannot stay in
/// theirs; none if all that counts them is not their own spread.
pub fn destinations(problem: &Problem<'_>, takes: &[bool]) -> Vec<Vec<usize>> {
    let of = |group: usize| {
        if !only_spreads(problem, group) {
            return Vec::new();
        }
        let signature = problem.groups[group].relaxed;
        let mut may = vec![false; problem.tuples.len()];
        for cell in problem.cells.iter().filter(|cell| cell.allowed[signature]) {
            may[cell.tuple] = true;
        }
        let bins = problem.bins.iter().zip(&problem.bin_allowed[signature]).zip(takes);
        for ((bin, _), _) in bins.filter(|((_, allowed), takes)| **allowed && **takes) {
            may[bin.tuple] = true;
        }
        (0..may.len()).filter(|tuple| may[*tuple]).collect()
    };
    (0..problem.groups.len()).map(of).collect()
}

fn only_spreads(problem: &Problem<'_>, group: usize) -> bool {
    let topology = &problem.topology;
    let rules = &topology.domain_rules[group];
    let is_own = |counter: &usize| {
        topology.counters[*counter].key == Key::Host
            || rules.spread.iter().any(|rule| rule.counter == *counter)
    };
    rules.spread.iter().any(|rule| rule.hard && rule.own)
        && rules.anti.is_empty()
        && rules.inverse.is_empty()
        && rules.crowding.is_empty()
        && rules.affinity.is_empty()
        && topology.counted_by[group].iter().all(is_own)
}

/// Counts pods that are on a bin wherever they count.
pub fn count(state: &mut State<'_, '_>, group: usize, bin: usize, pods: u32) {
    let problem = state.problem;
    let at = &problem.bins[bin];
    for counter in &problem.topology.counted_by[group] {
        if problem.topology.counts_node(*counter, at.standing()) {
            state.topology.add(*counter, &problem.tuples[at.tuple], pods, true);
        }
    }
}

/// Where a pod goes that leaves its place: its own domain if that is not too full without it, or
/// else the emptiest one that is open to it. It counts there from now on.
pub fn relocate(
    state: &mut State<'_, '_>,
    destinations: &[usize],
    group: usize,
    from: usize,
) -> usize {
    add(state, group, from, false);
    let to = if has_room(state, group, from) {
        from
    } else {
        let open = destinations.iter().copied().filter(|tuple| has_room(state, group, *tuple));
        open.min_by_key(|tuple| (crowd(state, group, *tuple), *tuple)).unwrap_or(from)
    };
    add(state, group, to, true);
    to
}

/// Takes a relocation back.
pub fn undo(state: &mut State<'_, '_>, relocation: Relocation) {
    add(state, relocation.group, relocation.to, false);
    add(state, relocation.group, relocation.from, true);
}

fn add(state: &mut State<'_, '_>, group: usize, tuple: usize, more: bool) {
    let problem = state.problem;
    for counter in &problem.topology.counted_by[group] {
        state.topology.add(*counter, &problem.tuples[tuple], 1, more);
    }
}

/// Whether all spread constraints of a group that must hold let one more of its pods in there.
fn has_room(state: &State<'_, '_>, group: usize, tuple: usize) -> bool {
    let rules = &state.problem.topology.domain_rules[group];
    rules.spread.iter().filter(|rule| rule.hard).all(|rule| {
        let counter = &state.topology.counters[rule.counter];
        let Key::Label(key) = counter.key else { return false };
        let (least, domains) = counter.emptiest(&counter.present);
        let count = count_at(state, rule.counter, tuple);
        state.problem.tuples[tuple][key] != NO_DOMAIN
            && topology_spread::check(&rule.constraint, rule.own, count, least, domains)
    })
}

/// How many pods that count for a group's spread are there.
fn crowd(state: &State<'_, '_>, group: usize, tuple: usize) -> u32 {
    let rules = &state.problem.topology.domain_rules[group];
    rules.spread.iter().map(|rule| count_at(state, rule.counter, tuple)).sum()
}
