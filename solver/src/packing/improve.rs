//! Makes a greedy plan cheaper while work limits and the stop allow.
//!
//! Column generation comes first: on a model in which every pod may go wherever its own
//! requirements let it, which proves the bound; then, if other pods' places leave it less choice,
//! on a model of what is left. Its solution, rounded to whole nodes at once and part after part
//! ([`super::dive`]), is nearly always the better plan. Where there are too many kinds of pod for that, nodes are packed one after the other by
//! the values that prove the bound, and again by values corrected for what did not pack well. What
//! time is left goes into the neighbourhood search.

use std::collections::BTreeMap;

use crate::model::{Method, Price};

use super::bound::Relaxed;
use super::columns::{Generation, Model};
use super::dive;
use super::exact;
use super::master::Column;
use super::patterns;
use super::problem::Problem;
use super::repack::{self, Repack};
use super::rounding::{self, Packer};
use super::search;
use super::sequential;
use super::settle::{self, Settling};
use super::state::{Class, NewNode, State};
use super::{Settings, Stop, work};

/// The share of the time after which no more columns are generated for the bound...
const LEARN_UNTIL: f64 = 0.5;
/// ...after which it is as good as it gets...
const PROVE_UNTIL: f64 = 0.55;
/// ...after which none are generated for the plan...
const GENERATE_UNTIL: f64 = 0.75;
/// ...after which the bound is not looked at again...
const PROVE_AGAIN_UNTIL: f64 = 0.85;
/// ...after which whole nodes have been packed...
const PACK_UNTIL: f64 = 0.9;
/// ...part after part...
const DIVE_UNTIL: f64 = 0.95;
/// ...and after which the search ends.
const SEARCH_UNTIL: f64 = 0.97;

/// Columns that cost no more than that share beyond what they hold is worth may be of use elsewhere.
const OF_USE: f64 = 0.02;
/// The bound is looked at again where it lacks more than so many times what the plan does.
const BOUND_LACKS: f64 = 2.0;

/// A plan within this share of the bound is not packed in another way as well.
const NEAR: f64 = 0.002;
/// Where the cheapest plan of all is looked for, that comes after so many neighbourhoods.
const CLOSE_ROUNDS: u32 = 300;

/// What improving came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Improved {
    /// The last method that made the plan cheaper.
    pub method: Option<Method>,
    /// What any plan costs at least, if more is known than the fluid relaxation says.
    pub bound: Option<Price>,
}

/// What may become another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that was placed, wherever it is.
    Everything,
    /// New nodes and what is on them; what was placed elsewhere stays there.
    NewNodes,
}

/// Improves a state that holds new nodes.
pub fn improve(
    state: &mut State<'_, '_>,
    classes: &[Class],
    scope: Scope,
    settings: &Settings,
    seed: u64,
    stop: &dyn Stop,
) -> Improved {
    let mut improved = Improved::default();
    if state.nodes.is_empty() {
        return improved;
    }
    if repack::downsize(state, 0, &mut || stop.should_stop()) {
        improved.method = Some(Method::LocalSearch);
    }
    if settings.column_rounds == 0 || stop.should_stop() {
        return improved;
    }
    let until = |share: f64| move || stop.spent() >= share;
    let mut stopped = || stop.should_stop();
    let Some(relaxed) = Relaxed::of(state, &mut stopped) else { return improved };
    let repack = Repack::of(state.problem, &state.nodes, classes);
    let Some(model) = repack.model(state.problem, classes, &mut stopped) else { return improved };
    let problem = state.problem;
    let is_relaxed = model == relaxed.model;
    let own_columns = |nodes: &[NewNode]| {
        repack::columns(problem, nodes, |node| repack.column(problem, classes, node))
    };
    let columns = |nodes: &[NewNode]| {
        if is_relaxed { own_columns(nodes) } else { relaxed.columns(problem, nodes) }
    };
    let begun = columns(&state.nodes);
    let Some(mut proof) = Generation::begin(&relaxed.model, begun, &mut stopped) else {
        return improved;
    };
    // Where kinds of pod share rows, earlier plans' patterns are of no use: few of them are among
    // those that are worth most, and more rows come before there are.
    let there =
        if proof.is_exact() { patterns::of_cluster(state, &mut stopped) } else { Vec::new() };
    columns(&there).into_iter().for_each(|column| proof.add(column));
    proof.run(settings.column_rounds, LEARN_UNTIL, stop);
    proof.prove(&mut until(PROVE_UNTIL));
    let Some(mut bound) = relaxed.bound(state, &proof, &mut stopped) else { return improved };
    let mut values = member_values(&repack, &relaxed, &proof.values);
    let own = if is_relaxed {
        None
    } else {
        let mut columns = own_columns(&state.nodes);
        columns.extend(own_columns(&there));
        let prepared = &mut until(GENERATE_UNTIL);
        columns.extend(translated(state.problem, classes, &repack, &relaxed, &proof, prepared));
        let begun = Generation::begin(&model, columns, prepared).filter(Generation::is_exact);
        begun.map(|mut generation| {
            generation.run(settings.column_rounds, GENERATE_UNTIL, stop);
            generation
        })
    };
    let mut adopt = |state: &mut State<'_, '_>, nodes: Option<Vec<NewNode>>| {
        let all: Vec<usize> = (0..state.nodes.len()).collect();
        if nodes.is_some_and(|nodes| search::exchange(state, &all, nodes)) {
            improved.method = Some(Method::ColumnGeneration);
        }
    };
    let exact = own.as_ref().or(is_relaxed.then_some(&proof)).filter(|one| one.is_exact());
    if let Some(generation) = exact {
        values = generation.duals();
        let rounded = round(state, &repack, &model, generation, &mut until(PACK_UNTIL));
        adopt(state, rounded);
    }
    if let Some(own) = &own {
        let rounds = settings.column_rounds;
        if prove_again(state, &repack, &relaxed, &mut proof, own, rounds, stop) {
            bound = relaxed.bound(state, &proof, &mut stopped).map_or(bound, |now| now.max(bound));
        }
    }
    improved.bound = Some(bound);
    let generation = own.as_ref().or(is_relaxed.then_some(&proof));
    if let Some(generation) = generation.filter(|one| one.is_exact() && state.cost() > bound) {
        let dived = dive::dive(state, &repack, &model, generation, DIVE_UNTIL, stop);
        adopt(state, dived);
    }
    // Where few of the solution's nodes are whole, packing by its values may do better.
    if state.cost().as_f64() > bound.as_f64() * (1.0 + NEAR) {
        let solution = generation.iter().flat_map(|one| one.master.solution());
        let columns: Vec<&Column> = solution.map(|(column, _)| column).collect();
        let (enough, stop) = (&mut until(PACK_UNTIL), &mut until(SEARCH_UNTIL));
        adopt(state, sequential::pack(state, &repack, &model, &values, &columns, enough, stop));
    }
    let settles = settings.search_rounds > 0
        && (scope == Scope::Everything || !problem.bins.iter().any(|bin| bin.open))
        && settle::are_few(problem, &relaxed);
    let mut settling = None;
    let mut left = settings.search_rounds;
    let mut seed = seed;
    // Where the cheapest plan of all may be found, the search only has to come close first.
    let first = if settles { CLOSE_ROUNDS } else { u32::MAX };
    for (rounds, steps) in [(first, exact::QUICK), (u32::MAX, exact::THOROUGH)] {
        let rounds = rounds.min(left);
        left -= rounds;
        let guide = search::Guide { repack: &repack, model: &model, values: &values };
        if rounds > 0
            && search::search(state, classes, guide, rounds, seed, &mut until(SEARCH_UNTIL))
        {
            improved.method = Some(Method::LocalSearch);
        }
        seed = seed.wrapping_add(1);
        if settles && settling.is_none() {
            let stopped = &mut until(SEARCH_UNTIL);
            settling = Settling::of(state, &relaxed, is_relaxed, &proof, stopped);
        }
        if let Some(settling) = &settling {
            let least = settling.settle(state, steps, &mut until(SEARCH_UNTIL));
            improved.bound = improved.bound.max(Some(least));
            if least >= state.cost() {
                improved.method = Some(Method::Exact);
                break;
            }
        }
    }
    improved
}

/// Has the bound profit from what is known of the plan's own problem, which costs about the same.
/// Whether more is proven than before.
fn prove_again(
    state: &State<'_, '_>,
    repack: &Repack,
    relaxed: &Relaxed,
    proof: &mut Generation<'_>,
    own: &Generation<'_>,
    rounds: u32,
    stop: &dyn Stop,
) -> bool {
    let before = proof.bound;
    let columns = relaxed.translated(state.problem, repack, own.master.near(OF_USE));
    columns.into_iter().for_each(|column| proof.add(column));
    let values = relaxed.values(repack, &own.values);
    proof.suggest(&values, &mut || stop.spent() >= PROVE_AGAIN_UNTIL);
    let cost = own.master.cost();
    if cost - proof.bound > BOUND_LACKS * (state.cost().as_f64() - cost) {
        proof.run(rounds, PROVE_AGAIN_UNTIL, stop);
    }
    proof.bound > before
}

/// What a pod of each member is worth by values of the relaxed model.
fn member_values(repack: &Repack, relaxed: &Relaxed, values: &[f64]) -> Vec<f64> {
    let by_group = relaxed.by_group(values);
    let value = |group: usize| by_group.get(&group).copied().unwrap_or(0.0);
    repack.members.iter().map(|member| value(member.group())).collect()
}

/// The patterns that the relaxed model's solution uses, as patterns of the other model: on every
/// machine that is like theirs, with the pods that may go there; as many as there is time for.
fn translated(
    problem: &Problem<'_>,
    classes: &[Class],
    repack: &Repack,
    relaxed: &Relaxed,
    proof: &Generation<'_>,
    stop: &mut dyn FnMut() -> bool,
) -> Vec<Column> {
    let mut columns = Vec::new();
    for (column, _) in proof.master.solution() {
        if stop() {
            break;
        }
        work::done(problem.candidates.len());
        let room = &problem.candidates[column.candidate].room;
        let price = problem.candidates[column.candidate].price;
        for (index, candidate) in problem.candidates.iter().enumerate() {
            if candidate.price != price || candidate.room != *room {
                continue;
            }
            let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
            for (item, count) in &column.counts {
                let groups = &relaxed.members[*item].groups;
                let member = groups
                    .iter()
                    .find_map(|(group, _)| repack.member(problem, classes, *group, candidate.cell));
                if let Some(member) = member {
                    *counts.entry(member).or_default() += count;
                }
            }
            if !counts.is_empty() {
                let counts = counts.into_iter().collect();
                columns.push(Column { cost: candidate.cost, candidate: index, counts });
            }
        }
    }
    columns
}

/// Whole nodes for a solution of the master problem, the state's fixed nodes before them.
fn round(
    state: &State<'_, '_>,
    repack: &Repack,
    model: &Model,
    generation: &Generation<'_>,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Vec<NewNode>> {
    let (floors, columns) = rounding::whole(generation);
    let mut packing = repack.packing(state);
    for (column, count) in floors {
        for _ in 0..count {
            if stop() {
                return None;
            }
            if !packing.launch(column.candidate, &column.counts) {
                break;
            }
        }
    }
    let values = rounding::positive(model, &generation.duals());
    let mut packer = Packer::new(model);
    let mut waiting = packing.waiting().to_vec();
    let mut launch = |machine: usize, counts: &[(usize, u32)], waiting: &mut [u32]| {
        let launched = packing.launch(model.machines[machine].candidate, counts);
        waiting.copy_from_slice(packing.waiting());
        launched
    };
    let packed = packer.pack(&mut waiting, &values, &columns, &mut launch, stop);
    packed.then(|| packing.downsized(stop))
}

/// Whether the pools' limits allow these nodes in place of the state's.
pub(super) fn within_limits<'n>(
    state: &State<'_, '_>,
    mut nodes: impl Iterator<Item = &'n NewNode>,
) -> bool {
    if !state.problem.pools.iter().any(|pool| pool.limited) {
        return true;
    }
    let mut bare = State::new(state.problem);
    nodes.all(|node| {
        let candidate = &state.problem.candidates[node.candidate];
        let allowed = bare.within_limits(candidate);
        bare.launch(node.candidate, node.load.clone());
        allowed
    })
}
