//! New nodes for pods that have no room elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::work::{Ground, Kind, Work};
use crate::packing::greedy;
use crate::packing::improve::{self, Scope};
use crate::packing::repack;
use crate::packing::state::Class;
use crate::packing::{Settings, Stop};

/// Launches nodes for these pods and returns what they cost, or nothing if some have no place when
/// it is `over`.
pub fn launch(
    ground: &Ground<'_, '_>,
    work: &mut Work<'_, '_>,
    left: &[(Kind, u32)],
    over: &dyn Fn() -> bool,
) -> Option<f64> {
    if left.is_empty() {
        return Some(0.0);
    }
    let problem = ground.problem;
    let before = work.state.nodes.len();
    let mut classes: Vec<Class> =
        left.iter().map(|(kind, count)| class(ground, *kind, *count)).collect();
    let weights: BTreeSet<i32> = problem.cells.iter().map(|cell| cell.weight).collect();
    for weight in weights.into_iter().rev() {
        let waiting: Vec<usize> =
            (0..classes.len()).filter(|class| classes[*class].remaining > 0).collect();
        greedy::launch_for(&mut work.state, &mut classes, &waiting, weight, over);
    }
    if classes.iter().any(|class| class.remaining > 0) {
        return None;
    }
    repack::downsize(&mut work.state, before, &mut || false);
    Some(repack::cost(problem, &work.state.nodes[before..]))
}

/// Packs the new nodes anew; returns how much cheaper they are now.
pub fn improve_new(
    ground: &Ground<'_, '_>,
    work: &mut Work<'_, '_>,
    settings: &Settings,
    seed: u64,
    stop: &dyn Stop,
) -> f64 {
    let problem = ground.problem;
    if work.state.nodes.len() < 2 {
        return 0.0;
    }
    let mut kinds: BTreeMap<Kind, ()> = BTreeMap::new();
    for node in &work.state.nodes {
        let tuple = work.state.tuple_of(node.candidate);
        for (group, _) in &node.load.contents {
            let stays = ground.stays[*group].then_some(tuple);
            kinds.insert((*group, stays, false), ());
        }
    }
    let classes: Vec<Class> = kinds.keys().map(|kind| class(ground, *kind, 0)).collect();
    let before = repack::cost(problem, &work.state.nodes);
    improve::improve(&mut work.state, &classes, Scope::NewNodes, settings, seed, stop);
    before - repack::cost(problem, &work.state.nodes)
}

fn class(ground: &Ground<'_, '_>, kind: Kind, count: u32) -> Class {
    let problem = ground.problem;
    let (group, tuple, preferring) = kind;
    let data = &problem.groups[group];
    let tuples = tuple.map(|tuple| {
        let mut allowed = vec![false; problem.tuples.len()];
        allowed[tuple] = true;
        Arc::from(allowed)
    });
    Class {
        group,
        signature: if preferring { data.signature } else { data.relaxed },
        pinned: tuples.is_some(),
        tuples,
        remaining: count,
    }
}
