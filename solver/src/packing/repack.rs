//! The new nodes of a plan, packed anew.
//!
//! Pods that may go to the same places are one member. Pods whose place others depend on stay in
//! the domains where they are, and nodes that are fixed stay as they are.

use std::collections::BTreeMap;

use super::bins::Load;
use super::columns::Model;
use super::greedy;
use super::master::Column;
use super::models::{self, HostSet, Member};
use super::problem::Problem;
use super::state::{Class, NewNode, State};
use super::topology::Key;
use super::work;

/// Where pods of a member may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// A class of such pods.
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
    /// Where each member may go.
    pub places: Vec<Place>,
    /// The members.
    pub members: Vec<Member>,
    /// Nodes that stay as they are.
    pub fixed: Vec<NewNode>,
    /// The rules between pods on one host.
    pub sets: Vec<HostSet>,
    /// Members by the group, for looking nodes' contents up.
    by_group: BTreeMap<usize, Vec<usize>>,
}

impl Repack {
    /// The contents of new nodes, fixed ones aside.
    pub fn of(problem: &Problem<'_>, nodes: &[NewNode], classes: &[Class]) -> Self {
        let mut of_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut firsts: Vec<usize> = Vec::new();
        for (index, class) in classes.iter().enumerate() {
            of_group.entry(class.group).or_default().push(index);
        }
        let mut counts: BTreeMap<(Place, usize), u32> = BTreeMap::new();
        let mut places: BTreeMap<(usize, i32, Option<usize>), Place> = BTreeMap::new();
        for node in nodes.iter().filter(|node| !stays(problem, node)) {
            let cell = &problem.cells[problem.candidates[node.candidate].cell];
            for (group, count) in &node.load.contents {
                let class = of_group[group].iter().copied().find(|class| {
                    let class = &classes[*class];
                    cell.allowed[class.signature] && class.goes_to(cell.tuple)
                });
                let Some(class) = class else { continue };
                let tuple = depended_on(problem, *group).then_some(cell.tuple);
                // Classes that may go to the same places are known by the first of them.
                let place = *places.entry((class, cell.weight, tuple)).or_insert_with(|| {
                    let alike = |other: &&usize| {
                        let (one, other) = (&classes[class], &classes[**other]);
                        one.signature == other.signature && one.tuples == other.tuples
                    };
                    let first = firsts.iter().find(alike).copied().unwrap_or_else(|| {
                        firsts.push(class);
                        class
                    });
                    Place { class: first, weight: cell.weight, tuple }
                });
                *counts.entry((place, *group)).or_default() += count;
            }
        }
        let (places, members) = models::members(problem, &counts);
        let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            for (group, _) in &member.groups {
                by_group.entry(*group).or_default().push(index);
            }
        }
        let sets = models::host_sets(problem);
        let fixed = nodes.iter().filter(|node| stays(problem, node)).cloned().collect();
        Self { places, members, fixed, sets, by_group }
    }

    /// Begins to pack all of it, beside the nodes that stay as they are.
    pub fn packing<'p, 's, 'a>(&'p self, state: &'p State<'s, 'a>) -> Packing<'p, 's, 'a> {
        Packing {
            repack: self,
            state,
            nodes: self.fixed.clone(),
            waiting: self.members.iter().map(|member| member.count).collect(),
            stock: Stock::of(&self.members),
        }
    }

    /// What is on nodes, by member. `None` if something on them is no member's.
    pub fn stock_of<'n>(
        &self,
        problem: &Problem<'_>,
        classes: &[Class],
        nodes: impl Iterator<Item = &'n NewNode>,
    ) -> Option<Stock> {
        let mut left: Vec<Vec<(usize, u32)>> = vec![Vec::new(); self.members.len()];
        for node in nodes {
            let cell = problem.candidates[node.candidate].cell;
            for (group, count) in &node.load.contents {
                let member = self.member(problem, classes, *group, cell)?;
                match left[member].iter_mut().find(|(other, _)| other == group) {
                    Some((_, there)) => *there += count,
                    None => left[member].push((*group, *count)),
                }
            }
        }
        Some(Stock { left })
    }

    /// The member that pods of a group on nodes of a cell are of.
    pub fn member(
        &self,
        problem: &Problem<'_>,
        classes: &[Class],
        group: usize,
        cell: usize,
    ) -> Option<usize> {
        let mine = self.by_group.get(&group).into_iter().flatten();
        mine.copied().find(|member| self.goes(problem, classes, *member, cell))
    }

    /// Whether a member may go onto nodes of a cell.
    pub fn goes(
        &self,
        problem: &Problem<'_>,
        classes: &[Class],
        member: usize,
        cell: usize,
    ) -> bool {
        let (place, cell) = (&self.places[member], &problem.cells[cell]);
        let class = &classes[place.class];
        cell.weight == place.weight
            && cell.allowed[class.signature]
            && class.goes_to(cell.tuple)
            && place.tuple.is_none_or(|tuple| tuple == cell.tuple)
    }

    /// The model of all of it; `None` if `stop` cut it short.
    pub fn model(
        &self,
        problem: &Problem<'_>,
        classes: &[Class],
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Model> {
        models::model(
            problem,
            &self.sets,
            &self.members,
            &|member, cell| self.goes(problem, classes, member, cell),
            &|candidate| problem.candidates[candidate].cost,
            stop,
        )
    }

    /// A node's content, as a column.
    pub fn column(&self, problem: &Problem<'_>, classes: &[Class], node: &NewNode) -> Column {
        let candidate = &problem.candidates[node.candidate];
        let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
        for (group, count) in &node.load.contents {
            if let Some(member) = self.member(problem, classes, *group, candidate.cell) {
                *counts.entry(member).or_default() += count;
            }
        }
        let counts = counts.into_iter().collect();
        Column { cost: candidate.cost, candidate: node.candidate, counts }
    }

    /// A node of that candidate with as much of a content as the stock holds and as really fits;
    /// and what that is, by member. It is taken off the stock.
    pub fn node(
        &self,
        state: &State<'_, '_>,
        candidate: usize,
        counts: &[(usize, u32)],
        stock: &mut Stock,
    ) -> Option<(NewNode, Vec<(usize, u32)>)> {
        let problem = state.problem;
        let mut load = state.empty_load(candidate);
        let taken = stock.put_on(problem, &mut load, counts);
        let put = taken.counts();
        if put.is_empty() || !load.devices_hold(problem) {
            return None;
        }
        stock.take(&taken);
        Some((NewNode { candidate, load, fixed: false }, put))
    }
}

/// Pods that wait for new nodes: by member, its groups and how many of each.
#[derive(Clone, Debug)]
pub struct Stock {
    left: Vec<Vec<(usize, u32)>>,
}

/// What was put on a node of a stock: members, which of their groups, and how many.
#[derive(Debug)]
pub struct Taken(Vec<(usize, usize, u32)>);

impl Taken {
    /// How many of each member, in the order in which they were put there.
    pub fn counts(&self) -> Vec<(usize, u32)> {
        let mut counts: Vec<(usize, u32)> = Vec::with_capacity(self.0.len());
        for (member, _, count) in &self.0 {
            match counts.last_mut().filter(|(last, _)| last == member) {
                Some((_, sum)) => *sum += count,
                None => counts.push((*member, *count)),
            }
        }
        counts
    }
}

impl Stock {
    /// All of these members.
    pub fn of(members: &[Member]) -> Self {
        Self { left: members.iter().map(|member| member.groups.clone()).collect() }
    }

    /// Puts as much of a content on a node as there is and as really fits. It stays in the stock
    /// until it is taken.
    pub fn put_on(&self, problem: &Problem<'_>, load: &mut Load, counts: &[(usize, u32)]) -> Taken {
        let mut taken: Vec<(usize, usize, u32)> = Vec::with_capacity(counts.len());
        for (member, count) in counts {
            let mut wanted = *count;
            for (at, (group, left)) in self.left[*member].iter().enumerate() {
                let wants = wanted.min(*left);
                let fitting = if wants > 0 { wants.min(load.room(problem, *group)) } else { 0 };
                if fitting > 0 {
                    load.put(problem, *group, fitting);
                    taken.push((*member, at, fitting));
                    wanted -= fitting;
                }
            }
        }
        Taken(taken)
    }

    /// Takes out what was put on a node.
    pub fn take(&mut self, taken: &Taken) {
        for (member, at, count) in &taken.0 {
            self.left[*member][*at].1 -= count;
        }
    }

    /// How many of each member.
    pub fn waiting(&self) -> Vec<u32> {
        self.left.iter().map(|groups| groups.iter().map(|(_, count)| count).sum()).collect()
    }
}

/// New nodes in the making.
#[derive(Debug)]
pub struct Packing<'p, 's, 'a> {
    repack: &'p Repack,
    state: &'p State<'s, 'a>,
    nodes: Vec<NewNode>,
    waiting: Vec<u32>,
    stock: Stock,
}

impl Packing<'_, '_, '_> {
    /// How many of each member wait.
    pub fn waiting(&self) -> &[u32] {
        &self.waiting
    }

    /// What its nodes cost so far.
    pub fn cost(&self) -> f64 {
        cost(self.state.problem, &self.nodes)
    }

    /// Launches a candidate with as much of a content as waits and fits; whether any did.
    pub fn launch(&mut self, candidate: usize, counts: &[(usize, u32)]) -> bool {
        let node = self.repack.node(self.state, candidate, counts, &mut self.stock);
        let Some((node, put)) = node else { return false };
        put.iter().for_each(|(member, count)| self.waiting[*member] -= count);
        self.nodes.push(node);
        true
    }

    /// The nodes, each as small as what is on it lets it be, as far as `stop` leaves time for that.
    pub fn downsized(mut self, stop: &mut dyn FnMut() -> bool) -> Vec<NewNode> {
        for node in &mut self.nodes {
            if stop() {
                break;
            }
            if let Some(smaller) = smaller(self.state, node) {
                *node = smaller;
            }
        }
        self.nodes
    }
}

/// Whether a node is left alone: somebody's place depends on what is on it, or it is one of few
/// that are reserved.
pub fn stays(problem: &Problem<'_>, node: &NewNode) -> bool {
    node.fixed || problem.candidates[node.candidate].reservation.is_some()
}

/// What is on nodes, those aside that are left alone, as columns: `column` says how.
pub fn columns(
    problem: &Problem<'_>,
    nodes: &[NewNode],
    column: impl Fn(&NewNode) -> Column,
) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for node in nodes.iter().filter(|node| !stays(problem, node)) {
        let column = column(node);
        // Many are launched at once.
        if columns.last() != Some(&column) && !column.counts.is_empty() {
            columns.push(column);
        }
    }
    columns
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

/// How many new nodes from the first on are alike, so that what is good for one is for all: many
/// are launched at once. Of what is reserved there may be enough for some of them only.
fn alike(problem: &Problem<'_>, nodes: &[NewNode]) -> usize {
    let most = if problem.reservations.is_empty() { nodes.len() } else { 1 };
    let is_like_first = |node: &&NewNode| {
        node.candidate == nodes[0].candidate
            && node.load.contents == nodes[0].load.contents
            && node.fixed == nodes[0].fixed
    };
    nodes[..most].iter().take_while(is_like_first).count()
}

/// Puts what is on the state's new nodes, from that one on, on smaller ones, as far as `stop` leaves
/// time for that. Whether any became smaller.
pub fn downsize(state: &mut State<'_, '_>, from: usize, stop: &mut dyn FnMut() -> bool) -> bool {
    let mut changed = false;
    let mut at = from;
    while at < state.nodes.len() && !stop() {
        let alike = at..at + alike(state.problem, &state.nodes[at..]);
        at = alike.end;
        if let Some(smaller) = smaller(state, &state.nodes[alike.start]) {
            state.nodes[alike].fill(smaller);
            changed = true;
        }
    }
    changed
}

/// The cheapest candidate of the node's cell that holds what is on it. `None` if it is the one.
pub fn smaller(state: &State<'_, '_>, node: &NewNode) -> Option<NewNode> {
    let problem = state.problem;
    let old = node.candidate;
    let cell = problem.candidates[old].cell;
    let mut best: Option<NewNode> = None;
    work::done(problem.candidates.len());
    for (index, candidate) in problem.candidates.iter().enumerate() {
        let than = best.as_ref().map_or(old, |node| node.candidate);
        if candidate.cell == cell
            && candidate.cost < problem.candidates[than].cost
            && problem.takes_no_more(index, old, 1)
            && state.may_become(old, index)
            && let Some(load) = greedy::moved(state, &node.load, old, index)
        {
            best = Some(NewNode { candidate: index, load, fixed: node.fixed });
        }
    }
    best
}
