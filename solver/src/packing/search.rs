//! Neighbourhood search: a few nodes are emptied and their pods packed anew, by values that are
//! shaken a little each time. What becomes cheaper stays.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::columns::Model;
use super::improve;
use super::master::worth;
use super::repack::{self, Repack};
use super::rounding::Packer;
use super::state::{Class, NewNode, State};

/// How many machines are looked at.
const MACHINES: usize = 32;
/// By how much values are shaken at most.
const SHAKE: f64 = 0.15;
/// A saving below this is rounding.
const EPSILON: f64 = 1e-9;

/// What guides the search.
#[derive(Clone, Copy, Debug)]
pub struct Guide<'g> {
    /// What can be packed anew.
    pub repack: &'g Repack,
    /// The model of it.
    pub model: &'g Model,
    /// What a pod of each member is worth.
    pub values: &'g [f64],
}

/// Tries that many neighbourhoods, or until `stop`. Returns whether anything became cheaper.
pub fn search(
    state: &mut State<'_, '_>,
    classes: &[Class],
    guide: Guide<'_>,
    rounds: u32,
    seed: u64,
    stop: &mut dyn FnMut() -> bool,
) -> bool {
    let random = &mut SmallRng::seed_from_u64(seed);
    let values: Vec<f64> = guide.values.iter().map(|value| value.max(1e-12)).collect();
    let mut packer = Packer::new(guide.model);
    packer.narrow(&values, MACHINES, stop);
    let mut changed = false;
    for _ in 0..rounds {
        if stop() || state.nodes.len() < 2 {
            break;
        }
        let part = neighbourhood(state, classes, guide, random);
        if part.is_empty() {
            break;
        }
        let shaken: Vec<f64> = values
            .iter()
            .map(|value| value * (1.0 + SHAKE * random.random_range(-1.0..1.0)))
            .collect();
        if let Some(better) = anew(state, classes, guide, &mut packer, &part, &shaken, stop) {
            changed |= exchange(state, &part, better);
        }
    }
    changed
}

/// A few nodes: the first is likely to lose much of what it costs, the others are any.
fn neighbourhood(
    state: &State<'_, '_>,
    classes: &[Class],
    guide: Guide<'_>,
    random: &mut SmallRng,
) -> Vec<usize> {
    let count = state.nodes.len();
    let loss = |node: usize| {
        let column = guide.repack.column(state.problem, classes, &state.nodes[node]);
        1.0 - worth(guide.values, &column.counts) / column.cost
    };
    // The worst of a handful, so that all of them have a chance.
    let handful: Vec<usize> = (0..4).map(|_| random.random_range(0..count)).collect();
    let first = handful
        .into_iter()
        .max_by(|left, right| loss(*left).total_cmp(&loss(*right)).then(right.cmp(left)));
    let mut part: Vec<usize> = first.into_iter().collect();
    for _ in 0..random.random_range(1..6) {
        part.push(random.random_range(0..count));
    }
    part.sort_unstable();
    part.dedup();
    part.retain(|node| !repack::stays(state.problem, &state.nodes[*node]));
    part
}

fn anew(
    state: &State<'_, '_>,
    classes: &[Class],
    guide: Guide<'_>,
    packer: &mut Packer<'_>,
    part: &[usize],
    values: &[f64],
    stop: &mut dyn FnMut() -> bool,
) -> Option<Vec<NewNode>> {
    let nodes = part.iter().map(|node| &state.nodes[*node]);
    let mut stock = guide.repack.stock_of(state.problem, classes, nodes)?;
    let mut waiting = stock.waiting();
    let most: f64 =
        part.iter().map(|node| state.problem.candidates[state.nodes[*node].candidate].cost).sum();
    let mut nodes: Vec<NewNode> = Vec::new();
    let mut cost = 0.0;
    let mut launch = |machine: usize, counts: &[(usize, u32)], waiting: &mut [u32]| {
        let candidate = guide.model.machines[machine].candidate;
        let Some((node, put)) = guide.repack.node(state, candidate, counts, &mut stock) else {
            return false;
        };
        put.iter().for_each(|(member, count)| waiting[*member] -= count);
        nodes.push(node);
        cost += guide.model.machines[machine].cost;
        cost < most - EPSILON
    };
    packer.pack(&mut waiting, values, &[], &mut launch, stop).then_some(nodes)
}

/// Puts nodes in the place of others, if they hold as many pods, are cheaper, and the pools' limits
/// allow them.
pub fn exchange(state: &mut State<'_, '_>, part: &[usize], nodes: Vec<NewNode>) -> bool {
    let problem = state.problem;
    let old: f64 =
        part.iter().map(|node| problem.candidates[state.nodes[*node].candidate].cost).sum();
    let pods = |node: &NewNode| node.load.contents.iter().map(|(_, count)| *count).sum::<u32>();
    let before: u32 = part.iter().map(|node| pods(&state.nodes[*node])).sum();
    let as_many = nodes.iter().map(pods).sum::<u32>() == before;
    if !as_many || repack::cost(problem, &nodes) >= old - EPSILON {
        return false;
    }
    let mut goes = vec![false; state.nodes.len()];
    part.iter().for_each(|node| goes[*node] = true);
    let stays = state.nodes.iter().zip(&goes).filter(|(_, goes)| !**goes).map(|(node, _)| node);
    if !improve::within_limits(state, stays.chain(&nodes)) {
        return false;
    }
    let mut goes = goes.into_iter();
    state.nodes.retain(|_| !goes.next().unwrap_or(false));
    state.nodes.extend(nodes);
    true
}
