//! Packs classes: first onto what is there or on its way, then onto new nodes, heavier pools
//! first, each time the offering that gives most for its price.

use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeSet, BinaryHeap};

use super::descent::Descent;
use super::dimensions::{self, Amounts};
use super::duals;
use super::fill::{self, Line, Pattern, Waiting};
use super::offerings::Candidate;
use super::problem::Problem;
use super::ranked::Ranked;
use super::state::{Class, State};

/// Places as many pods of the classes as possible; what is left stays in `remaining`.
pub fn pack(state: &mut State<'_, '_>, classes: &mut [Class]) {
    use_bins(state, classes);
    let weights: BTreeSet<i32> = state.problem.cells.iter().map(|cell| cell.weight).collect();
    for weight in weights.into_iter().rev() {
        let waiting: Vec<usize> =
            (0..classes.len()).filter(|class| classes[*class].remaining > 0).collect();
        launch_for(state, classes, &waiting, weight, &|| false);
    }
}

/// Fills nodes that are there or on their way: the dearest pods first.
fn use_bins(state: &mut State<'_, '_>, classes: &mut [Class]) {
    let problem = state.problem;
    if !problem.bins.iter().any(|bin| bin.open) {
        return;
    }
    let all: Vec<usize> = (0..classes.len()).collect();
    // Most nodes that are there are full.
    let least = least_demand(problem, classes);
    let with_room = |bin: &usize| dimensions::fits(&least, &state.loads[*bin].free);
    let with_room: Vec<usize> = (0..problem.bins.len()).filter(with_room).collect();
    let (values, _) = values(state, classes, &all, None);
    let mut order: Vec<usize> = all;
    order.sort_by(|left, right| {
        let priority = |class: usize| problem.groups[classes[class].group].shape.priority;
        priority(*right)
            .cmp(&priority(*left))
            .then_with(|| values[*right].total_cmp(&values[*left]))
            .then_with(|| left.cmp(right))
    });
    let mut descent = Descent::of(state);
    for class in order {
        let class = &mut classes[class];
        if let Some(descent) = &mut descent {
            descent.place(state, class, room_on_bin);
            continue;
        }
        for bin in &with_room {
            if class.remaining == 0 {
                break;
            }
            let room = room_on_bin(state, class, *bin);
            if room > 0 {
                state.put_on_bin(class, *bin, room);
            }
        }
    }
}

/// What every pod of the classes takes at least.
fn least_demand(problem: &Problem<'_>, classes: &[Class]) -> Amounts {
    let mut demands = classes.iter().map(|class| &problem.groups[class.group].demand);
    let Some(mut least) = demands.next().cloned() else { return Amounts::default() };
    for demand in demands {
        least.iter_mut().zip(demand).for_each(|(least, amount)| *least = (*least).min(*amount));
    }
    least
}

/// How many of the waiting pods of a class a bin takes.
fn room_on_bin(state: &State<'_, '_>, class: &Class, index: usize) -> u32 {
    let problem = state.problem;
    let bin = &problem.bins[index];
    if !bin.open
        || !problem.bin_allowed[class.signature][index]
        || !class.goes_to(bin.tuple)
        || !(bin.has_host || problem.topology.host_rules[class.group].spread.is_empty())
    {
        return 0;
    }
    state.loads[index].room(problem, class.group).min(class.remaining)
}

/// What one pod of each class is worth, by the fluid relaxation of each kind of class alone. With
/// a weight only pools of that weight are looked at.
pub fn values(
    state: &State<'_, '_>,
    classes: &[Class],
    which: &[usize],
    weight: Option<i32>,
) -> (Vec<f64>, Vec<f64>) {
    let problem = state.problem;
    type Kind<'k> = (usize, Option<&'k [bool]>, Vec<usize>);
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    for class in which {
        let data = &classes[*class];
        let key = (data.signature, data.tuples.as_deref());
        match kinds.iter_mut().find(|kind| (kind.0, kind.1) == key) {
            Some(kind) => kind.2.push(*class),
            None => kinds.push((key.0, key.1, vec![*class])),
        }
    }
    let mut values = vec![0.0; classes.len()];
    let mut dearest = vec![0.0_f64; problem.dimensions.len()];
    for (signature, tuples, members) in kinds {
        let mut demand = vec![0.0; problem.dimensions.len()];
        for class in &members {
            let data = &problem.groups[classes[*class].group];
            for (sum, amount) in demand.iter_mut().zip(&data.demand) {
                *sum += *amount as f64 * f64::from(classes[*class].remaining);
            }
        }
        let usable = |candidate: &&super::offerings::Candidate| {
            let cell = &problem.cells[candidate.cell];
            cell.allowed[signature]
                && tuples.is_none_or(|tuples| tuples[cell.tuple])
                && weight.is_none_or(|weight| cell.weight == weight)
        };
        let usable = || problem.candidates.iter().filter(usable);
        let room: Vec<f64> =
            usable().flat_map(|candidate| &candidate.room).map(|has| *has as f64).collect();
        let machines: Vec<(&[f64], f64)> = room
            .chunks_exact(problem.dimensions.len())
            .zip(usable().map(|candidate| candidate.cost))
            .collect();
        let prices = duals::resource_prices(&demand, &machines);
        dearest.iter_mut().zip(&prices).for_each(|(most, price)| *most = most.max(*price));
        for class in members {
            values[class] = duals::worth_of(&problem.groups[classes[class].group].demand, &prices);
        }
    }
    (values, dearest)
}

/// Launches nodes of pools of one weight for the waiting classes, until it is `over`.
pub fn launch_for(
    state: &mut State<'_, '_>,
    classes: &mut [Class],
    which: &[usize],
    weight: i32,
    over: &dyn Fn() -> bool,
) {
    let (values, dearest) = values(state, classes, which, Some(weight));
    let problem = state.problem;
    let mut waiting: Vec<Waiting> = which
        .iter()
        .filter(|class| problem.topology.host_rules[classes[**class].group].affinity.is_empty())
        .map(|class| Waiting {
            class: *class,
            // Even what asks for nothing is worth something: it needs a place.
            value: values[*class].max(1e-12),
            count: classes[*class].remaining,
        })
        .collect();
    waiting.sort_by(|left, right| {
        right.value.total_cmp(&left.value).then_with(|| left.class.cmp(&right.class))
    });
    let mut demand = vec![0.0; problem.dimensions.len()];
    for one in &waiting {
        let each = &problem.groups[classes[one.class].group].demand;
        let add = |(sum, amount): (&mut f64, &i64)| *sum += *amount as f64 * f64::from(one.count);
        demand.iter_mut().zip(each).for_each(add);
    }
    let mut open: BinaryHeap<Ranked<usize>> = problem
        .candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| problem.cells[candidate.cell].weight == weight)
        .map(|(index, candidate)| Ranked {
            rank: most_for_money(candidate, &dearest, &demand),
            of: index,
        })
        .collect();
    let mut line = Line::new(waiting, problem.cells.len());
    while !over()
        && let Some(pattern) = best_pattern(state, classes, &mut line, &mut open)
    {
        let fits = repetitions(&pattern, &line);
        let mut launched = 0;
        while launched < fits && state.within_limits(&problem.candidates[pattern.candidate]) {
            state.launch(pattern.candidate, pattern.load.clone());
            launched += 1;
        }
        if launched == 0 {
            open.retain(|one| one.of != pattern.candidate);
            continue;
        }
        let tuple = state.tuple_of(pattern.candidate);
        for (index, count) in &pattern.counts {
            let placed = count * launched;
            line.take(*index, placed);
            let class = &mut classes[line.get(*index).class];
            class.remaining -= placed;
            if !class.pinned {
                let group = class.group;
                state.count(group, tuple, placed, true);
            }
        }
        line.shorten();
    }
}

/// The value for money that no content of a candidate can beat: as much of each resource as it has,
/// and as waiting pods ask for, at the most that it is worth to any of them.
fn most_for_money(candidate: &Candidate, dearest: &[f64], demand: &[f64]) -> f64 {
    let usable = candidate.room.iter().zip(demand).map(|(has, asked)| (*has as f64).min(*asked));
    let worth: f64 = usable.zip(dearest).map(|(amount, price)| amount.max(0.0) * price).sum();
    // Even what is worth nothing counts a little, and sums are rounded.
    (worth * (1.0 + 1e-9) + 1e-6) / candidate.cost
}

/// The pattern of the best value for money. `open` ranks each candidate by the value for money
/// that it last had; it only falls while pods go, nearly always, so that only the best have to be
/// looked at again.
fn best_pattern(
    state: &State<'_, '_>,
    classes: &[Class],
    line: &mut Line,
    open: &mut BinaryHeap<Ranked<usize>>,
) -> Option<Pattern> {
    if line.is_empty() {
        return None;
    }
    let mut best: Option<Pattern> = None;
    while let Some(mut next) = open.peek_mut() {
        if best.as_ref().is_some_and(|best| next.rank <= best.efficiency) {
            break;
        }
        let pattern = fill::fill(state, classes, line, next.of);
        if pattern.counts.is_empty() {
            // Nothing fits and never will again.
            PeekMut::pop(next);
            continue;
        }
        next.rank = pattern.efficiency;
        if best.as_ref().is_none_or(|best| pattern.efficiency > best.efficiency) {
            best = Some(pattern);
        }
    }
    best
}

/// How many nodes can be filled by the same pattern.
fn repetitions(pattern: &Pattern, line: &Line) -> u32 {
    pattern.counts.iter().map(|(index, count)| line.get(*index).count / count).min().unwrap_or(0)
}

/// Places pods that must share a host with others: where such pods are, or, for the first of
/// them, where most of their kind fit.
pub fn colocate(state: &mut State<'_, '_>, class: &mut Class) {
    let problem = state.problem;
    let counters = problem.topology.host_rules[class.group].affinity.clone();
    let here = |state: &State<'_, '_>, load: &super::bins::Load| {
        counters.iter().all(|counter| load.counted(&state.topology, *counter) > 0)
    };
    for (index, bin) in problem.bins.iter().enumerate() {
        let usable = bin.open
            && bin.has_host
            && problem.bin_allowed[class.signature][index]
            && class.goes_to(bin.tuple);
        if usable && class.remaining > 0 && here(state, &state.loads[index]) {
            let room = state.loads[index].room(problem, class.group).min(class.remaining);
            state.put_on_bin(class, index, room);
        }
    }
    for index in 0..state.nodes.len() {
        let cell = &problem.cells[problem.candidates[state.nodes[index].candidate].cell];
        let usable = cell.allowed[class.signature] && class.goes_to(cell.tuple);
        if usable && class.remaining > 0 && here(state, &state.nodes[index].load) {
            grow(state, index, class);
            let room = state.nodes[index].load.room(problem, class.group).min(class.remaining);
            if room > 0 {
                put_on_node(state, class, index, room);
            }
        }
    }
    let nobody = counters.iter().all(|counter| total(state, *counter) == 0);
    if class.remaining > 0 && nobody && problem.topology.host_rules[class.group].own_affinity {
        bootstrap(state, class);
    }
}

fn total(state: &State<'_, '_>, counter: usize) -> u32 {
    // As the cluster is: the state's own totals run ahead of what is placed.
    let there = state.problem.topology.counters[counter].total;
    let planned = state
        .loads
        .iter()
        .chain(state.nodes.iter().map(|node| &node.load))
        .map(|load| load.counted(&state.topology, counter));
    planned.fold(there, u32::saturating_add)
}

fn put_on_node(state: &mut State<'_, '_>, class: &mut Class, node: usize, count: u32) {
    state.nodes[node].load.put(state.problem, class.group, count);
    state.nodes[node].fixed = true;
    class.remaining -= count;
    if !class.pinned {
        let tuple = state.tuple_of(state.nodes[node].candidate);
        state.count(class.group, tuple, count, true);
    }
}

/// Makes a planned node larger where that lets it take more pods of the class: the cheapest
/// candidate of its cell that takes all, or as many as any.
fn grow(state: &mut State<'_, '_>, node: usize, class: &Class) {
    let problem = state.problem;
    let old = state.nodes[node].candidate;
    let cell = problem.candidates[old].cell;
    if problem.pools[problem.cells[cell].pool].limited {
        return;
    }
    let mut best: Option<(u32, usize, super::bins::Load)> = None;
    for (index, candidate) in problem.candidates.iter().enumerate() {
        if candidate.cell != cell || !state.may_become(old, index) {
            continue;
        }
        let Some(load) = moved(state, &state.nodes[node].load, old, index) else { continue };
        let takes = load.room(problem, class.group).min(class.remaining);
        let better = best.as_ref().is_none_or(|(most, at, _)| {
            takes > *most || (takes == *most && candidate.cost < problem.candidates[*at].cost)
        });
        if better {
            best = Some((takes, index, load));
        }
    }
    if let Some((_, index, load)) = best {
        state.nodes[node].candidate = index;
        state.nodes[node].load = load;
    }
}

/// The load of a node as it would be on another candidate, if all of it fits there.
pub fn moved(
    state: &State<'_, '_>,
    load: &super::bins::Load,
    from: usize,
    to: usize,
) -> Option<super::bins::Load> {
    let problem = state.problem;
    if from == to {
        return Some(load.clone());
    }
    let mut free = problem.candidates[to].room.clone();
    for (group, count) in &load.contents {
        let demand = &problem.groups[*group].demand;
        if dimensions::room(demand, &free) < *count {
            return None;
        }
        dimensions::take(&mut free, demand, *count);
    }
    let daemons = &problem.cells[problem.candidates[to].cell].daemons;
    let load = super::bins::Load {
        free,
        ports: daemons.ports.clone(),
        counts: daemons.counts.clone(),
        shares: daemons.shares.clone(),
        contents: load.contents.clone(),
    };
    load.devices_hold(problem).then_some(load)
}

/// The first pods of those that must share a host: all on the one node that takes most of them.
fn bootstrap(state: &mut State<'_, '_>, class: &mut Class) {
    let problem = state.problem;
    let bins = problem.bins.iter().enumerate().filter(|(index, bin)| {
        bin.open
            && bin.has_host
            && problem.bin_allowed[class.signature][*index]
            && class.goes_to(bin.tuple)
    });
    let best_bin = bins
        .map(|(index, _)| (state.loads[index].room(problem, class.group), index))
        .max_by_key(|(room, index)| (*room, std::cmp::Reverse(*index)))
        .unwrap_or((0, 0));
    let mut best: Option<(u32, usize)> = None;
    for (index, candidate) in problem.candidates.iter().enumerate() {
        let cell = &problem.cells[candidate.cell];
        if !cell.allowed[class.signature]
            || !class.goes_to(cell.tuple)
            || !state.within_limits(candidate)
        {
            continue;
        }
        let takes = state.empty_load(index).room(problem, class.group).min(class.remaining);
        let better = best.is_none_or(|(most, at)| {
            let rank = |takes: u32, index: usize| {
                (takes, problem.cells[problem.candidates[index].cell].weight)
            };
            rank(takes, index) > rank(most, at)
                || (rank(takes, index) == rank(most, at)
                    && candidate.cost < problem.candidates[at].cost)
        });
        if takes > 0 && better {
            best = Some((takes, index));
        }
    }
    let new_room = best.map_or(0, |(takes, _)| takes);
    if best_bin.0 > 0 && best_bin.0.min(class.remaining) >= new_room {
        let count = best_bin.0.min(class.remaining);
        state.put_on_bin(class, best_bin.1, count);
    } else if let Some((takes, index)) = best {
        let load = state.empty_load(index);
        state.launch(index, load);
        let node = state.nodes.len() - 1;
        put_on_node(state, class, node, takes);
    }
}
