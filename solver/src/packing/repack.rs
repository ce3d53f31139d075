//! The new nodes of a plan, packed anew.
//!
//! Pods that may go to the same places are one member. Pods whose place others depend on stay in
//! the domains where they are, and nodes that are fixed stay as they are.

use std::collections::BTreeMap;

use super::columns::Model;
use super::greedy;
use super::master::Column;
use super::models::{self, HostSet, Member};
use super::problem::Problem;
use super::state::{Class, NewNode, State};
use super::topology::Key;

/// Which pods a member stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Their class.
    pub class: usize,
    /// The weight of the pools that they go to.
    pub weight: i32,
    /// The only combination of domains that they may go to, if others depend on their being
    /// there.
    pub tuple: Option<usize>,
}

/// What is packed anew.
#[derive(Debug)]
pub struct Repack {
    /// What each member stands for.
    pub kinds: Vec<Kind>,
    /// The members.
    pub members: Vec<Member>,
    /// Nodes that stay as they are.
    pub fixed: Vec<NewNode>,
    /// The rules between pods on one host.
    pub sets: Vec<HostSet>,
    /// Members by the group and the kind's other features, for looking nodes' contents up.
    by_group: BTreeMap<usize, Vec<usize>>,
}

impl Repack {
    /// The contents of new nodes, fixed ones aside.
    pub fn of(problem: &Problem<'_>, nodes: &[NewNode], classes: &[Class]) -> Self {
        let mut of_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, class) in classes.iter().enumerate() {
            of_group.entry(class.group).or_default().push(index);
        }
        let mut counts: BTreeMap<Kind, u32> = BTreeMap::new();
        for node in nodes.iter().filter(|node| !stays(problem, node)) {
            let cell = &problem.cells[problem.candidates[node.candidate].cell];
            for (group, count) in &node.load.contents {
                let class = of_group[group].iter().copied().find(|class| {
                    let class = &classes[*class];
                    cell.allowed[class.signature] && class.goes_to(cell.tuple)
                });
                let Some(class) = class else { continue };
                let tuple = depended_on(problem, *group).then_some(cell.tuple);
                *counts.entry(Kind { class, weight: cell.weight, tuple }).or_default() += count;
            }
        }
        let kinds: Vec<Kind> = counts.keys().copied().collect();
        let members: Vec<Member> = counts
            .iter()
            .map(|(kind, count)| Member { group: classes[kind.class].group, count: *count })
            .collect();
        let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            by_group.entry(member.group).or_default().push(index);
        }
        let sets = models::host_sets(problem);
        let fixed = nodes.iter().filter(|node| stays(problem, node)).cloned().collect();
        Self { kinds, members, fixed, sets, by_group }
    }

    /// Whether a member may go onto nodes of a cell.
    pub fn goes(
        &self,
        problem: &Problem<'_>,
        classes: &[Class],
        member: usize,
        cell: usize,
    ) -> bool {
        let (kind, cell) = (&self.kinds[member], &problem.cells[cell]);
        let class = &classes[kind.class];
        cell.weight == kind.weight
            && cell.allowed[class.signature]
            && class.goes_to(cell.tuple)
            && kind.tuple.is_none_or(|tuple| tuple == cell.tuple)
    }

    /// The model of all of it.
    pub fn model(&self, problem: &Problem<'_>, classes: &[Class]) -> Model {
        models::model(
            problem,
            &self.sets,
            &self.members,
            &|member, cell| self.goes(problem, classes, member, cell),
            &|candidate| problem.candidates[candidate].cost,
        )
    }

    /// A node's content, as a column.
    pub fn column(&self, problem: &Problem<'_>, classes: &[Class], node: &NewNode) -> Column {
        let candidate = &problem.candidates[node.candidate];
        let mut counts: Vec<(usize, u32)> = Vec::with_capacity(node.load.contents.len());
        for (group, count) in &node.load.contents {
            let mine = self.by_group.get(group).into_iter().flatten();
            let member =
                mine.copied().find(|member| self.goes(problem, classes, *member, candidate.cell));
            counts.extend(member.map(|member| (member, *count)));
        }
        counts.sort_unstable();
        Column { cost: candidate.cost, candidate: node.candidate, counts }
    }

    /// A node of that candidate with as much of a content as waits and as really fits; and what
    /// that is, by member.
    pub fn node(
        &self,
        state: &State<'_, '_>,
        candidate: usize,
        counts: &[(usize, u32)],
        waiting: &[u32],
    ) -> Option<(NewNode, Vec<(usize, u32)>)> {
        let problem = state.problem;
        let mut load = state.empty_load(candidate);
        let mut put = Vec::with_capacity(counts.len());
        for (member, count) in counts {
            let group = self.members[*member].group;
            let wanted = (*count).min(waiting[*member]);
            let fitting = if wanted > 0 { wanted.min(load.room(problem, group)) } else { 0 };
            if fitting > 0 {
                load.put(problem, group, fitting);
                put.push((*member, fitting));
            }
        }
        (!put.is_empty() && load.devices_hold(problem))
            .then_some((NewNode { candidate, load, fixed: false }, put))
    }
}

/// Whether a node is left alone: somebody's place depends on what is on it, or it is one of few
/// that are reserved.
pub fn stays(problem: &Problem<'_>, node: &NewNode) -> bool {
    node.fixed || problem.candidates[node.candidate].reservation.is_some()
}

/// Whether somebody goes by how many pods of the group are in a shared domain.
fn depended_on(problem: &Problem<'_>, group: usize) -> bool {
    let topology = &problem.topology;
    !topology.domain_rules[group].is_empty()
        || topology.counted_by[group]
            .iter()
            .any(|counter| matches!(topology.counters[*counter].key, Key::Label(_)))
}

/// What new nodes cost together.
pub fn cost(problem: &Problem<'_>, nodes: &[NewNode]) -> f64 {
    nodes.iter().map(|node| problem.candidates[node.candidate].cost).sum()
}

/// The cheapest candidate of the node's cell that holds what is on it. `None` if it is the one.
pub fn smaller(state: &State<'_, '_>, node: &NewNode) -> Option<NewNode> {
    let problem = state.problem;
    let old = node.candidate;
    let cell = problem.candidates[old].cell;
    let limited = problem.pools[problem.cells[cell].pool].limited;
    let mut best: Option<NewNode> = None;
    for (index, candidate) in problem.candidates.iter().enumerate() {
        let than = best.as_ref().map_or(old, |node| node.candidate);
        let within = || {
            let pairs = candidate.capacity.iter().zip(&problem.candidates[old].capacity);
            !limited || pairs.into_iter().all(|(new, old)| new <= old)
        };
        if candidate.cell == cell
            && candidate.cost < problem.candidates[than].cost
            && within()
            && state.may_become(old, index)
            && let Some(load) = greedy::moved(state, &node.load, old, index)
        {
            best = Some(NewNode { candidate: index, load, fixed: node.fixed });
        }
    }
    best
}
