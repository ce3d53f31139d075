//! The order in which groups are dealt out and packed.
//!
//! Groups with rules over shared domains are dealt out first, so that others can be kept away
//! from them; then everything that depends on nobody's place is packed together; then, level by
//! level, groups whose affinity is to pods of another group.

use super::assign;
use super::greedy;
use super::groups::Pending;
use super::problem::Problem;
use super::state::{Class, State};

/// More rounds than this of dealing out again what found no place are not tried.
const MOST_ROUNDS: usize = 8;

/// What a group's pods came to that found no place.
#[derive(Clone, Debug, Default)]
pub struct Leftover {
    /// How many.
    pub count: u32,
    /// Why no domain takes them, if it is for that.
    pub reason: Option<String>,
}

/// Places all groups. Returns what was left of each and the classes that were packed.
pub fn run(state: &mut State<'_, '_>, pending: &Pending) -> (Vec<Leftover>, Vec<Class>) {
    let problem = state.problem;
    let mut leftovers = vec![Leftover::default(); problem.groups.len()];
    let mut packed: Vec<Class> = Vec::new();
    let levels = levels(problem);
    let deepest = levels.iter().copied().max().unwrap_or(0);
    for level in 0..=deepest {
        let mut members: Vec<usize> = (0..problem.groups.len())
            .filter(|group| levels[*group] == level && !pending.groups[*group].pods.is_empty())
            .collect();
        members.sort_by_key(|group| (dealing_rank(problem, *group), *group));
        let mut classes = Vec::new();
        for group in &members {
            let count = u32::try_from(pending.groups[*group].pods.len()).unwrap_or(u32::MAX);
            deal_into(state, *group, count, &[], &mut classes, &mut leftovers);
        }
        pack_level(state, classes, &mut leftovers, &mut packed);
    }
    (leftovers, packed)
}

fn deal_into(
    state: &mut State<'_, '_>,
    group: usize,
    count: u32,
    blocked: &[usize],
    classes: &mut Vec<Class>,
    leftovers: &mut [Leftover],
) {
    let dealt = assign::deal(state, group, count, blocked);
    classes.extend(dealt.classes);
    leftovers[group].count += dealt.refused;
    if dealt.refused > 0 {
        leftovers[group].reason = dealt.reason;
    }
}

/// Packs classes; what found no place where it was dealt to is dealt out again without that
/// place, and at last without its preferences.
fn pack_level(
    state: &mut State<'_, '_>,
    mut classes: Vec<Class>,
    leftovers: &mut [Leftover],
    packed: &mut Vec<Class>,
) {
    let problem = state.problem;
    let mut blocked: Vec<(usize, usize)> = Vec::new();
    for round in 0..MOST_ROUNDS {
        greedy::pack(state, &mut classes);
        for class in &mut classes {
            if !problem.topology.host_rules[class.group].affinity.is_empty() {
                greedy::colocate(state, class);
            }
        }
        let mut again: Vec<Class> = Vec::new();
        for class in &mut classes {
            let rest = std::mem::take(&mut class.remaining);
            if rest == 0 {
                continue;
            }
            let group = class.group;
            let relaxed = problem.groups[group].relaxed;
            match &class.tuples {
                Some(tuples) if class.pinned => {
                    let tuple = tuples.iter().position(|allowed| *allowed).unwrap_or(0);
                    state.count(group, tuple, rest, false);
                    if round + 1 < MOST_ROUNDS && !blocked.contains(&(group, tuple)) {
                        blocked.push((group, tuple));
                        let without: Vec<usize> = blocked
                            .iter()
                            .filter(|(other, _)| *other == group)
                            .map(|(_, tuple)| *tuple)
                            .collect();
                        deal_into(state, group, rest, &without, &mut again, leftovers);
                    } else {
                        leftovers[group].count += rest;
                    }
                }
                _ if class.signature != relaxed && round + 1 < MOST_ROUNDS => {
                    again.push(Class { signature: relaxed, remaining: rest, ..class.clone() });
                }
                _ => leftovers[group].count += rest,
            }
        }
        packed.append(&mut classes);
        if again.is_empty() {
            break;
        }
        classes = again;
    }
    for class in classes {
        leftovers[class.group].count += class.remaining;
    }
}

/// Who is dealt out first within a level: those that keep others away, then those that spread,
/// then the rest.
fn dealing_rank(problem: &Problem<'_>, group: usize) -> u8 {
    let rules = &problem.topology.domain_rules[group];
    if !rules.anti.is_empty() {
        0
    } else if !rules.spread.is_empty() {
        1
    } else {
        2
    }
}

/// Level 0 for groups that depend on nobody's place; one more than the others' for groups whose
/// affinity is to other groups.
fn levels(problem: &Problem<'_>) -> Vec<usize> {
    let topology = &problem.topology;
    let mut levels = vec![0; problem.groups.len()];
    let wants: Vec<Vec<usize>> = (0..problem.groups.len())
        .map(|group| {
            let host = topology.host_rules[group].affinity.iter();
            let counters: Vec<usize> =
                host.chain(&topology.domain_rules[group].affinity).copied().collect();
            if counters.is_empty() {
                return Vec::new();
            }
            (0..problem.groups.len())
                .filter(|other| {
                    *other != group
                        && counters
                            .iter()
                            .any(|counter| topology.counted_by[*other].contains(counter))
                })
                .collect()
        })
        .collect();
    // Groups that want each other would rise for ever.
    for _ in 0..4 {
        for group in 0..levels.len() {
            for other in &wants[group] {
                let mutual = wants[*other].contains(&group) && *other > group;
                if !mutual && levels[group] <= levels[*other] && levels[*other] < 4 {
                    levels[group] = levels[*other] + 1;
                }
            }
        }
    }
    levels
}

/// Takes back pods whose spread cannot be kept because another domain could not take its share.
pub fn enforce_spread(state: &mut State<'_, '_>, leftovers: &mut [Leftover]) {
    let problem = state.problem;
    for (group, leftover) in leftovers.iter_mut().enumerate() {
        let rules = problem.topology.domain_rules[group].spread.clone();
        for rule in rules.iter().filter(|rule| rule.hard && rule.own) {
            while let Some(tuple) = overfull(state, group, rule) {
                if !take_one(state, group, tuple) {
                    break;
                }
                leftover.count += 1;
                leftover.reason = Some(format!(
                    "topology spread over {} with maxSkew {}: another domain cannot take its share",
                    rule.constraint.topology_key, rule.constraint.max_skew
                ));
            }
        }
    }
    state.nodes.retain(|node| !node.load.contents.is_empty());
}

/// A combination of domains in which the group has planned pods and too many.
fn overfull(
    state: &State<'_, '_>,
    group: usize,
    rule: &super::topology::SpreadRule,
) -> Option<usize> {
    use crate::constraints::topology_spread;
    let problem = state.problem;
    let counter = &state.topology.counters[rule.counter];
    let super::topology::Key::Label(key) = counter.key else { return None };
    let mut present = counter.present.clone();
    let mut planned: Vec<usize> = Vec::new();
    for node in &state.nodes {
        let cell = &problem.cells[problem.candidates[node.candidate].cell];
        if state.topology.counts_node(rule.counter, problem.standing(cell))
            && let Some(slot) = present.get_mut(problem.tuples[cell.tuple][key] as usize)
        {
            *slot = true;
        }
        if node.load.contents.iter().any(|(other, _)| *other == group) {
            planned.push(cell.tuple);
        }
    }
    for (bin, load) in problem.bins.iter().zip(&state.loads) {
        if load.contents.iter().any(|(other, _)| *other == group) {
            planned.push(bin.tuple);
        }
    }
    let (least, domains) = counter.emptiest(&present);
    let emptiest = topology_spread::emptiest_counted(&rule.constraint, least, domains);
    let most = emptiest.saturating_add(rule.constraint.max_skew);
    planned.sort_unstable();
    planned
        .into_iter()
        .map(|tuple| (assign::count_at(state, rule.counter, tuple), tuple))
        .filter(|(count, _)| *count > most)
        .max()
        .map(|(_, tuple)| tuple)
}

/// Takes one planned pod of the group out of a combination of domains.
fn take_one(state: &mut State<'_, '_>, group: usize, tuple: usize) -> bool {
    let problem = state.problem;
    let has = |load: &super::bins::Load| load.contents.iter().any(|(other, _)| *other == group);
    let node = state.nodes.iter().rposition(|node| {
        problem.cells[problem.candidates[node.candidate].cell].tuple == tuple && has(&node.load)
    });
    if let Some(node) = node {
        state.nodes[node].load.remove(problem, group, 1);
    } else if let Some(bin) = (0..state.loads.len())
        .rev()
        .find(|bin| problem.bins[*bin].tuple == tuple && has(&state.loads[*bin]))
    {
        state.loads[bin].remove(problem, group, 1);
    } else {
        return false;
    }
    state.count(group, tuple, 1, false);
    true
}
