//! Pods keep the claim that was launched for them, if it still holds them.

use std::collections::BTreeMap;

use crate::model::Name;

use super::bins::{Load, Place};
use super::groups::Pending;
use super::problem::Problem;
use super::state::State;
use super::topology::Key;

/// Puts held pods on their claims' nodes; those that don't fit there any more go back to their
/// groups.
pub fn keep(state: &mut State<'_, '_>, pending: &mut Pending) {
    let problem = state.problem;
    let bins = bins_of_claims(problem);
    let mut released = Vec::new();
    for held in std::mem::take(&mut pending.held) {
        let bin = bins.get(&held.claim).copied().filter(|bin| fits(state, *bin, held.group));
        match bin {
            Some(bin) => {
                take(state, bin, held.group);
                state.held.push((bin, held));
            }
            None => released.push(held),
        }
    }
    for held in released {
        pending.release(held);
    }
}

/// Lets all held pods go back to their groups.
pub fn release(pending: &mut Pending) {
    for held in std::mem::take(&mut pending.held) {
        pending.release(held);
    }
}

fn bins_of_claims(problem: &Problem<'_>) -> BTreeMap<Name, usize> {
    let mut bins = BTreeMap::new();
    for (index, bin) in problem.bins.iter().enumerate().filter(|(_, bin)| bin.open) {
        match &bin.place {
            Place::Claim(name) => {
                bins.insert(name.clone(), index);
            }
            Place::Node(name) => {
                let claim = problem
                    .snapshot
                    .nodes
                    .get(name)
                    .and_then(|state| problem.snapshot.claim_of_node(&state.node));
                bins.extend(claim.map(|claim| (claim.name.clone(), index)));
            }
        }
    }
    bins
}

fn fits(state: &State<'_, '_>, bin: usize, group: usize) -> bool {
    let problem = state.problem;
    problem.bin_allowed[problem.groups[group].relaxed][bin]
        && state.loads[bin].room(problem, group) > 0
}

/// The pod is as good as there: it takes room, ports and counts, and is not planned for again.
fn take(state: &mut State<'_, '_>, bin: usize, group: usize) {
    let problem = state.problem;
    let load: &mut Load = &mut state.loads[bin];
    super::dimensions::take(&mut load.free, &problem.groups[group].demand, 1);
    load.ports.extend(problem.groups[group].shape.host_ports.iter().cloned());
    for counter in &problem.topology.counted_by[group] {
        if problem.topology.counters[*counter].key == Key::Host {
            load.count(*counter, 1);
        }
    }
    state.count(group, problem.bins[bin].tuple, 1, true);
}
