//! Makes a greedy plan cheaper while work limits and the stop allow.
//!
//! Column generation comes first: its values prove how much there is to gain at all, and its
//! solution, rounded to whole nodes, is nearly always the better plan. Where there are too many
//! kinds of pod for one model, parts of the plan are modelled one after the other. What time is
//! left goes into the neighbourhood search.

use crate::model::{Method, Price};

use super::bound;
use super::columns::{Generation, Model};
use super::master::Column;
use super::repack::{self, Repack};
use super::rounding::{self, Packer};
use super::search;
use super::state::{Class, NewNode, State};
use super::{Settings, Stop};

/// The share of the time after which column generation makes way for the rest...
const GENERATE_UNTIL: f64 = 0.6;
/// ...after which parts of the plan are left alone...
const PARTS_UNTIL: f64 = 0.8;
/// ...and after which the bound is worked out.
const SEARCH_UNTIL: f64 = 0.9;
/// With more kinds of pod than this one model of all takes too long.
const MOST_ROWS: usize = 700;
/// How many kinds of pod a part of the plan has, about.
const PART_ROWS: usize = 60;
/// How many machines a part's model has.
const PART_MACHINES: usize = 24;
/// Rounds of column generation for a part of the plan.
const PART_ROUNDS: u32 = 12;

/// What improving came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Improved {
    /// The last method that made the plan cheaper.
    pub method: Option<Method>,
    /// What any plan costs at least, if more is known than the fluid relaxation says.
    pub bound: Option<Price>,
}

/// Improves the new nodes of a state.
pub fn improve(
    state: &mut State<'_, '_>,
    classes: &[Class],
    settings: &Settings,
    seed: u64,
    stop: &dyn Stop,
) -> Improved {
    let mut improved = Improved::default();
    if downsize(state, stop) {
        improved.method = Some(Method::LocalSearch);
    }
    if settings.column_rounds == 0 || stop.should_stop() {
        return improved;
    }
    let repack = Repack::of(state.problem, &state.nodes, classes);
    let model = repack.model(state.problem, classes);
    let known = known_columns(state, classes, &repack, &state.nodes);
    let Some(mut generation) = Generation::begin(&model, known) else { return improved };
    let until = |share: f64| move || stop.spent() >= share;
    if model.items.len() <= MOST_ROWS {
        generation.run(&model, settings.column_rounds, &mut until(GENERATE_UNTIL));
        let rounded = round(state, &repack, &model, &generation, &mut until(PARTS_UNTIL));
        let all: Vec<usize> = (0..state.nodes.len()).collect();
        if rounded.is_some_and(|nodes| search::exchange(state, &all, nodes)) {
            improved.method = Some(Method::ColumnGeneration);
        }
    } else {
        generation.run(&model, 1, &mut until(0.15));
        if in_parts(state, classes, settings, seed, &mut until(PARTS_UNTIL)) {
            improved.method = Some(Method::ColumnGeneration);
        }
    }
    if settings.search_rounds > 0
        && search::search(
            state,
            classes,
            search::Guide { repack: &repack, model: &model, values: generation.master.duals() },
            settings.search_rounds,
            seed,
            &mut until(SEARCH_UNTIL),
        )
    {
        improved.method = Some(Method::LocalSearch);
    }
    improved.bound = bound::by_values(state, &repack, &generation, stop);
    improved
}

/// Packs parts of the plan anew, each by a model of its own, until every node had its turn.
fn in_parts(
    state: &mut State<'_, '_>,
    classes: &[Class],
    settings: &Settings,
    seed: u64,
    stop: &mut dyn FnMut() -> bool,
) -> bool {
    let mut changed = false;
    for turn in 0..u64::from(settings.column_rounds) {
        let mut order = search::shuffled(state.nodes.len(), seed ^ turn);
        while !order.is_empty() {
            if stop() {
                return changed;
            }
            let mut kinds: std::collections::BTreeSet<usize> = std::collections::BTreeSet::new();
            let mut part: Vec<usize> = Vec::new();
            while kinds.len() < PART_ROWS
                && let Some(node) = order.pop()
            {
                if node < state.nodes.len() && !repack::stays(state.problem, &state.nodes[node]) {
                    kinds.extend(state.nodes[node].load.contents.iter().map(|(group, _)| *group));
                    part.push(node);
                }
            }
            let nodes: Vec<NewNode> = part.iter().map(|node| state.nodes[*node].clone()).collect();
            if let Some(better) = anew(state, classes, &nodes, stop) {
                changed |= search::exchange(state, &part, better);
            }
        }
    }
    changed
}

/// The same pods on other nodes, by a model of nothing else.
fn anew(
    state: &State<'_, '_>,
    classes: &[Class],
    nodes: &[NewNode],
    stop: &mut dyn FnMut() -> bool,
) -> Option<Vec<NewNode>> {
    let repack = Repack::of(state.problem, nodes, classes);
    let all = repack.model(state.problem, classes);
    let known = known_columns(state, classes, &repack, nodes);
    let mut first = Generation::begin(&all, known.clone())?;
    first.master.optimise(stop);
    let model = all.narrowed(first.master.duals(), PART_MACHINES, &known);
    let mut generation = Generation::begin(&model, known)?;
    generation.run(&model, PART_ROUNDS, stop);
    round(state, &repack, &model, &generation, stop)
}

fn known_columns(
    state: &State<'_, '_>,
    classes: &[Class],
    repack: &Repack,
    nodes: &[NewNode],
) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for node in nodes.iter().filter(|node| !repack::stays(state.problem, node)) {
        let column = repack.column(state.problem, classes, node);
        if columns.last() != Some(&column) && !column.counts.is_empty() {
            columns.push(column);
        }
    }
    columns
}

/// Whole nodes for a solution of the master problem, the state's fixed nodes before them if the
/// model is of the whole state.
fn round(
    state: &State<'_, '_>,
    repack: &Repack,
    model: &Model,
    generation: &Generation,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Vec<NewNode>> {
    let mut nodes: Vec<NewNode> = repack.fixed.clone();
    let mut waiting: Vec<u32> = model.items.iter().map(|item| item.count).collect();
    let (floors, all) = rounding::whole(generation);
    let mut launch = |candidate: usize, counts: &[(usize, u32)], waiting: &mut [u32]| {
        let Some((node, put)) = repack.node(state, candidate, counts, waiting) else {
            return false;
        };
        put.iter().for_each(|(member, count)| waiting[*member] -= count);
        nodes.push(node);
        true
    };
    for (column, count) in floors {
        for _ in 0..count {
            if !launch(column.candidate, &column.counts, &mut waiting) {
                break;
            }
        }
    }
    let values: Vec<f64> = generation.master.duals().iter().map(|value| value.max(1e-12)).collect();
    let mut packer = Packer::new(model);
    let mut launch_machine = |machine: usize, counts: &[(usize, u32)], waiting: &mut [u32]| {
        launch(model.machines[machine].candidate, counts, waiting)
    };
    let done = packer.pack(&mut waiting, &values, &all, &mut launch_machine, stop);
    if !done {
        return None;
    }
    for node in &mut nodes {
        if let Some(smaller) = repack::smaller(state, node) {
            *node = smaller;
        }
    }
    Some(nodes)
}

/// Whether the pools' limits allow these nodes in place of the state's.
pub(super) fn within_limits(state: &State<'_, '_>, nodes: &[NewNode]) -> bool {
    if !state.problem.pools.iter().any(|pool| pool.limited) {
        return true;
    }
    let mut bare = State::new(state.problem);
    nodes.iter().all(|node| {
        let candidate = &state.problem.candidates[node.candidate];
        let allowed = bare.within_limits(candidate);
        bare.launch(node.candidate, node.load.clone());
        allowed
    })
}

/// Puts what is on new nodes on smaller ones.
fn downsize(state: &mut State<'_, '_>, stop: &dyn Stop) -> bool {
    let mut changed = false;
    for node in 0..state.nodes.len() {
        if stop.should_stop() {
            break;
        }
        if let Some(smaller) = repack::smaller(state, &state.nodes[node]) {
            state.nodes[node] = smaller;
            changed = true;
        }
    }
    changed
}
