//! Turns a state into a plan: pods for counts, names for nodes, reasons for what is left.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::HashMap;

use crate::constraints::{node_affinity, pool_requirements};
use crate::model::{
    Labels, Launch, Name, Placement, Plan, Pod, Requirements, Resources, Snapshot, Target,
    Unschedulable, well_known,
};

use super::bins::{Load, Place};
use super::explain;
use super::groups::Pending;
use super::headroom;
use super::names::Names;
use super::stages::Leftover;
use super::state::State;
use super::topology::Key;

/// Fills in launches, placements and unschedulable pods.
pub fn assemble(state: &State<'_, '_>, pending: Pending, leftovers: &[Leftover], plan: &mut Plan) {
    let problem = state.problem;
    // There may be a hundred thousand of them: what a list that grows has to spare is much then.
    plan.launches.reserve_exact(state.nodes.len());
    plan.placements.reserve_exact(pending.groups.iter().map(|group| group.pods.len()).sum());
    let mut queues: Vec<std::vec::IntoIter<Arc<Pod>>> = pending
        .groups
        .into_iter()
        .enumerate()
        .map(|(group, data)| in_turn(state, group, data.pods).into_iter())
        .collect();
    for (bin, held) in &state.held {
        let target = match &problem.bins[*bin].place {
            Place::Claim(name) => Target::Claim(name.clone()),
            Place::Node(_) => Target::Claim(held.claim.clone()),
        };
        plan.placements.push(placement(&held.pod, target));
    }
    for (bin, load) in problem.bins.iter().zip(&state.loads) {
        let target = match &bin.place {
            Place::Claim(name) => Target::Claim(name.clone()),
            Place::Node(name) => Target::Node(name.clone()),
        };
        for pod in pods_of(load, &mut queues) {
            plan.placements.push(placement(&pod, target.clone()));
        }
    }
    let mut launcher = Launcher::new(Names::new(problem.snapshot, plan.made_at, plan.seed));
    for (index, node) in state.nodes.iter().enumerate() {
        let pods = pods_of(&node.load, &mut queues);
        let Some(launch) = launcher.launch(state, node.candidate, &pods, index) else { continue };
        for pod in &pods {
            plan.placements.push(placement(pod, Target::Claim(launch.name.clone())));
        }
        plan.launches.push(launch);
    }
    for (group, queue) in queues.into_iter().enumerate() {
        let left: Vec<Arc<Pod>> = queue.collect();
        if left.is_empty() {
            continue;
        }
        let reason = explain::unplaced(state, group, &leftovers[group]);
        plan.unschedulable.extend(left.iter().map(|pod| Unschedulable {
            pod: pod.key.clone(),
            uid: pod.uid.clone(),
            reason: reason.clone(),
        }));
    }
    plan.unschedulable.extend(pending.defective);
    headroom::separate(problem.snapshot, plan);
    plan.placements.sort_unstable();
    plan.unschedulable.sort_by(|left, right| left.pod.cmp(&right.pod));
    plan.price = plan.launches.iter().map(|launch| launch.price).sum();
}

/// The pods of a group in the order in which places are filled, so that those that kube-scheduler
/// takes first go to the emptiest domains.
///
/// It takes pods one by one, and refuses a place in a domain that is ahead of the others, though the
/// plan as a whole is even. So no two pods that follow one another share a zone, or a host, as long
/// as another one is to be filled.
fn in_turn(state: &State<'_, '_>, group: usize, pods: Vec<Arc<Pod>>) -> Vec<Arc<Pod>> {
    let problem = state.problem;
    let by_host = problem.topology.host_rules[group].spread.iter().any(|rule| rule.hard);
    let spread = problem.topology.domain_rules[group].spread.iter().find(|rule| rule.hard);
    if !by_host && spread.is_none() {
        return pods;
    }
    let there = problem.bins.iter().map(|bin| bin.tuple).zip(&state.loads);
    let new = state.nodes.iter().map(|node| (state.tuple_of(node.candidate), &node.load));
    // Places by domain: the first of every host, then the second, and so on.
    let mut by_domain: BTreeMap<(u32, u32), Vec<(u32, usize)>> = BTreeMap::new();
    let mut places = 0;
    for (tuple, load) in there.chain(new) {
        let count = load.contents.iter().find(|(other, _)| *other == group);
        let domain = spread.map_or((0, 0), |rule| before(state, rule.counter, tuple));
        for on_host in 0..count.map_or(0, |(_, count)| *count) {
            let on_host = if by_host { on_host } else { 0 };
            by_domain.entry(domain).or_default().push((on_host, places));
            places += 1;
        }
    }
    let mut turns: Vec<(u32, u32, usize)> = Vec::with_capacity(places);
    for ((domain, filled), mut places) in by_domain {
        places.sort_unstable();
        turns.extend((filled..).zip(places).map(|(level, (_, place))| (level, domain, place)));
    }
    turns.sort_unstable();
    let turns = turns.into_iter().map(|(.., place)| place);
    let mut rest = pods.into_iter();
    let mut of_places: Vec<(usize, Arc<Pod>)> = turns.zip(rest.by_ref()).collect();
    of_places.sort_by_key(|(place, _)| *place);
    of_places.into_iter().map(|(_, pod)| pod).chain(rest).collect()
}

/// The domain of a counter that nodes with that combination of domains are in, and how many pods it
/// counted there before anything was placed.
fn before(state: &State<'_, '_>, counter: usize, tuple: usize) -> (u32, u32) {
    let counter = &state.problem.topology.counters[counter];
    let Key::Label(key) = counter.key else { return (0, 0) };
    let domain = state.problem.tuples[tuple][key];
    (domain, counter.counts.get(domain as usize).copied().unwrap_or(0))
}

fn placement(pod: &Pod, target: Target) -> Placement {
    Placement { pod: pod.key.clone(), uid: pod.uid.clone(), target }
}

fn pods_of(load: &Load, queues: &mut [std::vec::IntoIter<Arc<Pod>>]) -> Vec<Arc<Pod>> {
    let mut contents = load.contents.clone();
    contents.sort_unstable();
    contents
        .into_iter()
        .flat_map(|(group, count)| queues[group].by_ref().take(count as usize).collect::<Vec<_>>())
        .collect()
}

/// Says what clouds are asked for. Launches of one candidate share what they have in common.
#[derive(Debug)]
pub struct Launcher<'s> {
    names: Names<'s>,
    /// By candidate: a launch without name and pods, what is bought for its reason.
    blueprints: HashMap<usize, Launch>,
}

impl<'s> Launcher<'s> {
    /// One that takes its names from there.
    pub fn new(names: Names<'s>) -> Self {
        Self { names, blueprints: HashMap::default() }
    }

    /// What the state's node number `index` asks a cloud for, with these pods on it.
    pub fn launch(
        &mut self,
        state: &State<'_, '_>,
        candidate: usize,
        pods: &[Arc<Pod>],
        index: usize,
    ) -> Option<Launch> {
        let blueprint = match self.blueprints.entry(candidate) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(blueprint(state, candidate)?),
        };
        let mut launch = blueprint.clone();
        let first_pod = pods.first().map_or("", |pod| pod.uid.as_str());
        launch.name = self.names.give(&launch.pool, first_pod, index);
        let asked: Resources = pods.iter().map(|pod| &pod.shape.requests).sum();
        launch.requests += &asked;
        require_for(&mut launch.requirements, &launch.labels, pods);
        launch.reason = reason(state.problem.snapshot, pods, &blueprint.reason);
        Some(launch)
    }
}

/// A launch of a candidate without name and pods, for its reason what is bought.
fn blueprint(state: &State<'_, '_>, candidate: usize) -> Option<Launch> {
    let problem = state.problem;
    let data = &problem.candidates[candidate];
    let cell = &problem.cells[data.cell];
    let pool = &problem.pools[cell.pool].pool;
    let machine = state.instance_type(data)?;
    let offering = machine.offerings.get(data.offering)?;
    let labels = pool_requirements::labels(pool, machine, offering, &data.choices)?;
    let launch = Launch {
        requests: cell.overhead.clone(),
        min_values_relaxed: data.min_values_relaxed,
        ..Launch::new(Name::default(), pool, machine, offering, labels)
    };
    Some(Launch { reason: what_is_bought(&launch), ..launch })
}

/// Why a node is launched for these pods, for people, by what is bought.
pub fn reason(snapshot: &Snapshot, pods: &[Arc<Pod>], bought: &str) -> String {
    format!("{}: {bought}", what_for(snapshot, pods))
}

/// What a launch buys, for people.
pub fn what_is_bought(launch: &Launch) -> String {
    let Launch { instance_type, pool, price, .. } = launch;
    format!("{instance_type} of pool {pool} at {:.5} per hour", price.as_f64())
}

fn what_for(snapshot: &Snapshot, pods: &[Arc<Pod>]) -> String {
    let places = pods.iter().filter(|pod| headroom::is_place(snapshot, &pod.key, &pod.uid)).count();
    let waiting = pods.len() - places;
    let noun = if waiting == 1 { "pod needs" } else { "pods need" };
    match (waiting, places) {
        (0, places) => format!("room is kept for {places} more pods"),
        (waiting, 0) => format!("{waiting} pending {noun} a node"),
        (waiting, places) => {
            format!("{waiting} pending {noun} a node and room is kept for {places} more")
        }
    }
}

/// Adds what pods require beyond a node's labels.
pub fn require_for(required: &mut Requirements, labels: &Labels, pods: &[Arc<Pod>]) {
    let hostname = Name::from(well_known::HOSTNAME_LABEL);
    // Pods of one shape come one after the other.
    for alike in pods.chunk_by(|one, other| Arc::ptr_eq(&one.shape, &other.shape)) {
        let Some(pod) = alike.first() else { continue };
        if pod.shape.node_selector.is_empty() && pod.shape.node_affinity.is_empty() {
            continue;
        }
        let met = node_affinity::alternatives(&pod.shape)
            .into_iter()
            .find(|alternative| alternative.allow(labels));
        for (key, set) in met.iter().flat_map(Requirements::iter) {
            if *key != hostname && labels.get(key).is_none() {
                required.require(key.clone(), set);
            }
        }
    }
}
