//! Makes a greedy plan cheaper while work limits and the stop allow.

use super::Stop;
use super::greedy;
use super::state::{Class, State};

/// Improves the new nodes of a state. Returns whether anything changed.
pub fn improve(state: &mut State<'_, '_>, classes: &[Class], seed: u64, stop: &dyn Stop) -> bool {
    let _ = (classes, seed);
    let mut changed = false;
    for node in 0..state.nodes.len() {
        if stop.should_stop() {
            break;
        }
        changed |= downsize(state, node);
    }
    changed
}

/// Puts what is on a new node on the cheapest candidate of its cell that holds it.
fn downsize(state: &mut State<'_, '_>, node: usize) -> bool {
    let problem = state.problem;
    let old = state.nodes[node].candidate;
    let cell = problem.candidates[old].cell;
    let limited = problem.pools[problem.cells[cell].pool].limited;
    let mut best = old;
    let mut best_load = None;
    for (index, candidate) in problem.candidates.iter().enumerate() {
        let smaller = || {
            let pairs = candidate.capacity.iter().zip(&problem.candidates[old].capacity);
            !limited || pairs.into_iter().all(|(new, old)| new <= old)
        };
        if candidate.cell == cell
            && candidate.cost < problem.candidates[best].cost
            && smaller()
            && state.may_become(old, index)
            && let Some(load) = greedy::moved(state, &state.nodes[node].load, old, index)
        {
            best = index;
            best_load = Some(load);
        }
    }
    match best_load {
        Some(load) => {
            state.nodes[node].candidate = best;
            state.nodes[node].load = load;
            true
        }
        None => false,
    }
}
