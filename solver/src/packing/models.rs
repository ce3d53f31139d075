//! Groups and candidates as the models of column generation see them.
//!
//! Rules between pods on one host become resources of which a machine has few: of pods that keep
//! each other away there is room for one, of a host port too, of pods spread over hosts for as
//! many as the skew allows. What cannot be said so is left out; a content is checked in full
//! when it is put on a node.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{Item, Machine, Model};
use super::dimensions::{self, Amounts};
use super::problem::Problem;
use super::state::State;
use super::topology::Key;
use super::work;

/// Groups of which a host holds only so many pods together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSet {
    groups: Vec<usize>,
    most: i64,
}

/// The host sets of a problem.
pub fn host_sets(problem: &Problem<'_>) -> Vec<HostSet> {
    let topology = &problem.topology;
    let mut sets: Vec<HostSet> = Vec::new();
    let mut add = |groups: Vec<usize>, most: u32| {
        let set = HostSet { groups, most: i64::from(most) };
        if !set.groups.is_empty() && !sets.contains(&set) {
            sets.push(set);
        }
    };
    let with = |test: &dyn Fn(usize) -> bool| -> Vec<usize> {
        (0..problem.groups.len()).filter(|group| test(*group)).collect()
    };
    for (counter, data) in topology.counters.iter().enumerate() {
        if data.key == Key::Host {
            let avoids = |group: usize| topology.host_rules[group].anti.contains(&(counter, true));
            add(with(&avoids), 1);
        }
    }
    for group in 0..problem.groups.len() {
        for rule in topology.host_rules[group].spread.iter().filter(|rule| rule.hard && rule.own) {
            let shape = &problem.groups[group].shape;
            let alike = |other: usize| {
                problem.groups[other].shape.namespace == shape.namespace
                    && topology.host_rules[other].spread.iter().any(|theirs| {
                        theirs.hard && theirs.own && theirs.constraint == rule.constraint
                    })
            };
            add(with(&alike), rule.constraint.max_skew);
        }
        for port in &problem.groups[group].shape.host_ports {
            let takes = |other: usize| problem.groups[other].shape.host_ports.contains(port);
            add(with(&takes), 1);
        }
    }
    sets
}

/// Pods that a model does not tell apart, as an item of it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Their groups and how many of each.
    pub groups: Vec<(usize, u32)>,
    /// How many all together.
    pub count: u32,
}

impl Member {
    /// The group that stands for all of them.
    pub fn group(&self) -> usize {
        self.groups.first().map_or(0, |(group, _)| *group)
    }
}

/// Pods of groups as members: of one key, those that take the same and that nobody's rules tell
/// apart on a host are one. Returns the keys with them.
pub fn members<K: Ord + Copy>(
    problem: &Problem<'_>,
    counts: &BTreeMap<(K, usize), u32>,
) -> (Vec<K>, Vec<Member>) {
    let mut merged: BTreeMap<(K, &Amounts, Option<usize>), Member> = BTreeMap::new();
    for ((key, group), count) in counts {
        let own = (!interchangeable(problem, *group)).then_some(*group);
        let member = merged
            .entry((*key, &problem.groups[*group].demand, own))
            .or_insert_with(|| Member { groups: Vec::new(), count: 0 });
        member.groups.push((*group, *count));
        member.count += count;
    }
    merged.into_iter().map(|((key, _, _), member)| (key, member)).unzip()
}

/// Whether nothing but what a pod takes matters on a host.
fn interchangeable(problem: &Problem<'_>, group: usize) -> bool {
    let data = &problem.groups[group];
    let counted = |counter: &usize| problem.topology.counters[*counter].key == Key::Host;
    data.plain && data.volumes.is_none() && !problem.topology.counted_by[group].iter().any(counted)
}

/// What items take of machines.
struct Resources<'s> {
    /// The dimensions that some member takes of.
    used: Vec<usize>,
    /// Sets with several members, which are a resource each; one with one member is a bound on that
    /// item.
    shared: Vec<&'s HostSet>,
}

impl<'s> Resources<'s> {
    fn of(problem: &Problem<'_>, sets: &'s [HostSet], members: &[Member]) -> Self {
        let takes = |dimension: &usize| {
            members.iter().any(|member| problem.groups[member.group()].demand[*dimension] > 0)
        };
        let has_several = |set: &&HostSet| {
            members.iter().filter(|one| set.groups.contains(&one.group())).count() > 1
        };
        Self {
            used: (0..problem.dimensions.len()).filter(takes).collect(),
            shared: sets.iter().filter(has_several).collect(),
        }
    }
}

/// A node that is there, as the model of some members sees it.
#[derive(Clone, Debug)]
pub struct Bin {
    /// Which of the problem's.
    pub index: usize,
    /// What it has left for them.
    pub room: Amounts,
    /// The items that may go onto it, and how many of each at most.
    pub items: Vec<(usize, u32)>,
}

/// The nodes that are there and take some of the members, as they are before anything is planned for
/// them. `goes` says which members may go onto which, by the index of the member and the bin.
pub fn bins(
    state: &State<'_, '_>,
    members: &[Member],
    goes: &dyn Fn(usize, usize) -> bool,
) -> Vec<Bin> {
    let problem = state.problem;
    let sets = host_sets(problem);
    let Resources { used, shared } = Resources::of(problem, &sets, members);
    let all = 0..problem.bins.len();
    all.filter(|bin| problem.bins[*bin].open)
        .filter_map(|index| {
            let load = state.load_before(index);
            let room = |member: usize| load.room(problem, members[member].group());
            let fitting = |member: usize| {
                let most = if goes(member, index) { room(member) } else { 0 };
                (most > 0).then(|| (member, most.min(members[member].count)))
            };
            let items: Vec<(usize, u32)> = (0..members.len()).filter_map(fitting).collect();
            let plain = used.iter().map(|dimension| load.free[*dimension].max(0));
            let room = plain.chain(shared.iter().map(|set| set.most)).collect();
            (!items.is_empty()).then_some(Bin { index, room, items })
        })
        .collect()
}

/// The model in which `members` are packed onto the problem's candidates. `goes` says which
/// members may go onto nodes of a candidate's cell, by the index of the member and the cell.
/// `cost` says what a candidate costs. Candidates that no member tells apart are one machine;
/// reserved ones are left out. `None` if `stop` cut it short.
pub fn model(
    problem: &Problem<'_>,
    sets: &[HostSet],
    members: &[Member],
    goes: &dyn Fn(usize, usize) -> bool,
    cost: &dyn Fn(usize) -> f64,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Model> {
    let sets_of = |group: usize| sets.iter().filter(move |set| set.groups.contains(&group));
    let Resources { used, shared } = Resources::of(problem, sets, members);
    let mut kinds: BTreeMap<(Vec<usize>, Vec<i64>), usize> = BTreeMap::new();
    let items: Vec<Item> = members
        .iter()
        .enumerate()
        .map(|(index, member)| {
            let demand = &problem.groups[member.group()].demand;
            let plain = used.iter().map(|dimension| demand[*dimension]);
            let ruled: Vec<i64> =
                shared.iter().map(|set| i64::from(set.groups.contains(&member.group()))).collect();
            let demand = plain.chain(ruled.iter().copied()).collect();
            let least = sets_of(member.group()).map(|set| set.most).min().unwrap_or(i64::MAX);
            let limits = ruled.into_iter().chain([least]).collect();
            let cells = (0..problem.cells.len()).filter(|cell| goes(index, *cell)).collect();
            let next = kinds.len();
            let kind = *kinds.entry((cells, limits)).or_insert(next);
            Item { demand, count: member.count, kind }
        })
        .collect();
    let most: Vec<u32> = members
        .iter()
        .map(|member| {
            let least = sets_of(member.group()).map(|set| set.most).min().unwrap_or(i64::MAX);
            member.count.min(u32::try_from(least).unwrap_or(u32::MAX))
        })
        .collect();
    let allowed: Vec<Vec<usize>> = (0..problem.cells.len())
        .map(|cell| (0..members.len()).filter(|member| goes(*member, cell)).collect())
        .collect();
    // Cells that the same members may go to are known by the first of them.
    let mut firsts: BTreeMap<&[usize], usize> = BTreeMap::new();
    let cells = allowed.iter().enumerate();
    let first: Vec<usize> =
        cells.map(|(cell, members)| *firsts.entry(members).or_insert(cell)).collect();
    let mut seen: BTreeSet<(usize, u64, Amounts)> = BTreeSet::new();
    let mut machines = Vec::new();
    for (index, candidate) in problem.candidates.iter().enumerate() {
        if stop() {
            return None;
        }
        let members_there = &allowed[candidate.cell];
        work::done(members_there.len() * used.len());
        let plain = used.iter().map(|dimension| candidate.room[*dimension]);
        let room: Amounts = plain.chain(shared.iter().map(|set| set.most)).collect();
        let cost = cost(index);
        let key = (first[candidate.cell], cost.to_bits(), room.clone());
        // Reserved machines are too few for a model in which there is any number of each.
        let reserved = candidate.reservation.is_some();
        if reserved || members_there.is_empty() || !seen.insert(key) {
            continue;
        }
        let fitting: Vec<(usize, u32)> = members_there
            .iter()
            .map(|item| (*item, dimensions::room(&items[*item].demand, &room).min(most[*item])))
            .filter(|(_, most)| *most > 0)
            .collect();
        if !fitting.is_empty() {
            machines.push(Machine { candidate: index, cost, room, items: fitting });
        }
    }
    Some(Model { items, machines })
}
