//! As Cluster Autoscaler scales up: one node group at a time.
//!
//! A node group is a pool's instance type in a zone, bought one way. In each loop pods go onto
//! nodes that are there or on their way where they fit; for each node group an estimator packs
//! what is left onto nodes of that group alone ([`estimate`]); an [`Expander`] chooses one group
//! (of the heaviest pools that help, as its priority expander would), which is scaled up. Loops follow until no group helps any more. What a pod would like is
//! ignored, as it is there.
//!
//! Where this departs from Cluster Autoscaler: node groups that an expander finds equal are told
//! apart by price (there, by chance), and pods that are spread over shared domains are dealt out
//! beforehand (see [`deal`]).

mod deal;
mod estimate;
mod expander;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::baselines::counters::Tally;
use crate::baselines::explain;
use crate::baselines::outcome::{Launching, Member, Outcome, empty_plan};
use crate::baselines::rules::{self, Part, Refusal};
use crate::baselines::world::{Host, Kind, World};
use crate::constraints::pool_limits::{self, Usage};
use crate::model::{Method, Plan, Price, Snapshot, Timestamp};
use crate::packing::dimensions::{self, Amounts};
use crate::packing::{Settings, Stop};

use self::estimate::{Estimate, Waiting, estimate};
pub use self::expander::Expander;
use self::expander::Rates;

/// A scale-up adds no more nodes than this.
const MOST_NODES: u32 = 1_000;

/// Finds a place for each pending pod as Cluster Autoscaler does, with that expander.
pub fn plan(
    snapshot: &Snapshot,
    settings: &Settings,
    expander: Expander,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Plan {
    let plan = empty_plan(snapshot, now, seed);
    let world = World::new(snapshot, settings, |shape| vec![Kind::actual(shape)]);
    if world.groups.is_empty() && world.defective.is_empty() {
        return plan;
    }
    let mut scaler = Scaler::new(&world, expander);
    let stopped = scaler.run(stop);
    scaler.finish(stopped).into_plan(&world, Method::ClusterAutoscaler, plan)
}

/// Pods of a group that may go to the same places.
#[derive(Debug)]
struct Class {
    group: usize,
    /// The only combination of domains that they may go to, if they were dealt out.
    tuple: Option<usize>,
    members: Vec<Member>,
    /// The loop in which it last lost members.
    changed: u32,
}

/// A node that is on its way.
#[derive(Debug)]
struct Node {
    row: usize,
    free: Amounts,
    host: Host,
    members: Vec<Member>,
}

/// Node groups that nothing but their price tells apart.
#[derive(Debug)]
struct NodeGroup {
    /// The cheapest of them.
    row: usize,
    /// The last score and nodes, the loop it was found in, and the classes it is about; none
    /// where it may change though those stay as they are.
    known: Option<(Option<f64>, u32, Vec<usize>)>,
}

struct Scaler<'w, 'a> {
    world: &'w World<'a>,
    expander: Expander,
    rates: Rates,
    tally: Tally,
    free: Vec<Amounts>,
    hosts: Vec<Host>,
    on_bins: Vec<Vec<Member>>,
    nodes: Vec<Node>,
    classes: Vec<Class>,
    /// Pods that are still to be dealt out, by group, and the domains that turned out to be unable
    /// to take them, which are not tried again.
    undealt: BTreeMap<usize, (Vec<Member>, Vec<usize>)>,
    groups: Vec<NodeGroup>,
    usage: Vec<Usage>,
    round: u32,
}

impl<'w, 'a> Scaler<'w, 'a> {
    fn new(world: &'w World<'a>, expander: Expander) -> Self {
        let mut scaler = Self {
            world,
            expander,
            rates: Rates::of(world),
            tally: world.tally.clone(),
            free: world.bins.iter().map(|bin| bin.load.free.clone()).collect(),
            hosts: world.bin_hosts.clone(),
            on_bins: vec![Vec::new(); world.bins.len()],
            nodes: Vec::new(),
            classes: Vec::new(),
            undealt: BTreeMap::new(),
            groups: node_groups(world),
            usage: world.pools.iter().map(|data| data.usage.clone()).collect(),
            round: 0,
        };
        for (group, data) in world.groups.iter().enumerate() {
            // Taken from the end.
            let pods = data.pods.iter().rev();
            let members: Vec<Member> = pods.map(|pod| Member { group, pod: pod.clone() }).collect();
            if deal::is_dealt(world, group) {
                scaler.undealt.insert(group, (members, Vec::new()));
            } else {
                scaler.classes.push(Class { group, tuple: None, members, changed: 0 });
            }
        }
        scaler
    }

    /// Loops until nothing helps any more; whether it was stopped before.
    fn run(&mut self, stop: &dyn Stop) -> bool {
        loop {
            if stop.should_stop() {
                return true;
            }
            self.round += 1;
            let dealt = self.deal();
            let placed = self.use_nodes();
            let scaled = match self.best(stop) {
                Some(row) => self.scale_up(row),
                None => false,
            };
            if !dealt && !placed && !scaled && !self.take_back() {
                return false;
            }
        }
    }

    fn deal(&mut self) -> bool {
        let mut some = false;
        for (group, (members, blocked)) in &mut self.undealt {
            if members.is_empty() {
                continue;
            }
            let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
            let dealt = deal::deal(self.world, &mut self.tally, &self.free, *group, count, blocked);
            for (tuple, count) in dealt {
                let members = members.split_off(members.len() - count as usize);
                let (group, changed) = (*group, self.round);
                self.classes.push(Class { group, tuple: Some(tuple), members, changed });
                some = true;
            }
        }
        some
    }

    /// Takes pods back that found no place where they were dealt to; whether there were any.
    fn take_back(&mut self) -> bool {
        let world = self.world;
        let mut some = false;
        for class in &mut self.classes {
            let Some(tuple) = class.tuple.filter(|_| !class.members.is_empty()) else { continue };
            let kind = &world.kinds[world.groups[class.group].actual];
            let row = kind.rows.iter().find(|row| world.rows[*row].tuple == tuple);
            let bin = || kind.bins.iter().find(|bin| world.bins[*bin].tuple == tuple);
            let site =
                row.map(|row| world.row_site(row)).or_else(|| bin().map(|bin| world.bin_site(bin)));
            let Some(site) = site else { continue };
            let count = u32::try_from(class.members.len()).unwrap_or(u32::MAX);
            rules::count_out(world, &mut self.tally, kind, site, Part::Shared, count);
            let (members, blocked) = self.undealt.entry(class.group).or_default();
            members.append(&mut class.members);
            if !blocked.contains(&tuple) {
                blocked.push(tuple);
            }
            some = true;
        }
        self.classes.retain(|class| !class.members.is_empty());
        self.groups.iter_mut().for_each(|group| group.known = None);
        some
    }

    /// Puts pods on nodes that are there or on their way; whether any found a place.
    fn use_nodes(&mut self) -> bool {
        let mut some = false;
        for class in 0..self.classes.len() {
            for node in 0..self.free.len() + self.nodes.len() {
                if self.classes[class].members.is_empty() {
                    break;
                }
                some |= self.put_on(class, node);
            }
        }
        some
    }

    fn put_on(&mut self, class: usize, node: usize) -> bool {
        let world = self.world;
        let data = &mut self.classes[class];
        let kind = &world.kinds[world.groups[data.group].actual];
        let there = node < self.free.len();
        let (free, host, members, site, tuple) = if there {
            if !kind.bins.contains(node) {
                return false;
            }
            let parts = (&mut self.free[node], &mut self.hosts[node], &mut self.on_bins[node]);
            (parts.0, parts.1, parts.2, world.bin_site(node), world.bins[node].tuple)
        } else {
            let node = &mut self.nodes[node - self.free.len()];
            if !kind.rows.contains(node.row) {
                return false;
            }
            let tuple = world.rows[node.row].tuple;
            (&mut node.free, &mut node.host, &mut node.members, world.row_site(node.row), tuple)
        };
        if data.tuple.is_some_and(|only| only != tuple) {
            return false;
        }
        let mut room = dimensions::room(&kind.demand, free);
        if room == 0 {
            return false;
        }
        room = room.min(rules::host_room(world, Some(&self.tally), kind, host).unwrap_or(0));
        if data.tuple.is_none() {
            let shared =
                rules::shared_room(world, &self.tally, kind, site.domains, &world.possible);
            room = room.min(shared.unwrap_or(0));
        }
        let count = room.min(u32::try_from(data.members.len()).unwrap_or(u32::MAX));
        if count == 0 {
            return false;
        }
        let part = if data.tuple.is_some() { Part::Hosts } else { Part::Both };
        dimensions::take(free, &kind.demand, count);
        rules::put_on_host(world, kind, host, count);
        rules::count_in(world, &mut self.tally, kind, site, part, count);
        let from = data.members.len() - count as usize;
        members.extend(data.members.drain(from..).rev());
        data.changed = self.round;
        true
    }

    /// The row of the node group to scale up.
    fn best(&mut self, stop: &dyn Stop) -> Option<usize> {
        let mut groups = std::mem::take(&mut self.groups);
        let mut best: Option<(Reverse<i32>, f64, Price, usize)> = None;
        for group in &mut groups {
            if stop.should_stop() {
                break;
            }
            if !self.is_known(group) {
                group.known = Some(self.look(group.row));
            }
            let Some((Some(score), ..)) = group.known else { continue };
            let row = &self.world.rows[group.row];
            let weight = Reverse(self.world.pools[row.pool].pool.weight);
            let found = (weight, score, row.price, group.row);
            let is_better = |best: &(Reverse<i32>, f64, Price, usize)| {
                let order = found.0.cmp(&best.0).then_with(|| found.1.total_cmp(&best.1));
                order.then_with(|| (found.2, found.3).cmp(&(best.2, best.3))).is_lt()
            };
            if best.as_ref().is_none_or(is_better) {
                best = Some(found);
            }
        }
        self.groups = groups;
        best.map(|(.., row)| row)
    }

    /// Whether what was last found about a node group still holds.
    fn is_known(&self, group: &NodeGroup) -> bool {
        let row = &self.world.rows[group.row];
        // The price expander looks at the cluster's size, and limits are shared by a pool.
        if self.expander == Expander::Price || self.world.pools[row.pool].limited {
            return false;
        }
        group.known.as_ref().is_some_and(|(_, round, classes)| {
            let fresh = self.classes.iter().all(|class| {
                class.tuple.is_none_or(|tuple| tuple != row.tuple) || class.changed < *round
            });
            fresh
                && classes.iter().all(|class| {
                    let class = &self.classes[*class];
                    let kind = &self.world.kinds[self.world.groups[class.group].actual];
                    class.changed < *round
                        && kind.rules.host.affinity.is_empty()
                        && (class.tuple.is_some() || kind.rules.shared.is_empty())
                })
        })
    }

    fn look(&self, row: usize) -> (Option<f64>, u32, Vec<usize>) {
        let waiting = self.waiting(row);
        let classes = waiting.iter().map(|one| one.class).collect();
        let found = self.estimate(row, waiting);
        let nodes = self.world.bins.len() + self.nodes.len();
        let score = (found.pods > 0)
            .then(|| self.expander.score(self.world, self.rates, row, &found, nodes));
        (score, self.round, classes)
    }

    /// The pods that would fit on an empty node.
    fn waiting(&self, row: usize) -> Vec<Waiting<'w>> {
        let world = self.world;
        let size = world.size(row);
        let tuple = world.rows[row].tuple;
        let mut waiting = Vec::new();
        for (class, data) in self.classes.iter().enumerate() {
            let kind = &world.kinds[world.groups[data.group].actual];
            if !data.members.is_empty()
                && data.tuple.is_none_or(|only| only == tuple)
                && kind.rows.contains(row)
                && dimensions::fits(&kind.demand, size)
            {
                let count = u32::try_from(data.members.len()).unwrap_or(u32::MAX);
                waiting.push(Waiting { class, kind, count, dealt: data.tuple.is_some() });
            }
        }
        waiting
    }

    fn estimate(&self, row: usize, waiting: Vec<Waiting<'_>>) -> Estimate {
        if waiting.is_empty() {
            return Estimate::default();
        }
        estimate(self.world, &self.tally, row, waiting, self.allowance(row))
    }

    /// How many nodes the pool's limits still allow, a scale-up at most.
    fn allowance(&self, row: usize) -> u32 {
        let row = &self.world.rows[row];
        let data = &self.world.pools[row.pool];
        let Some(machine) = self.world.machine(row).filter(|_| data.limited) else {
            return MOST_NODES;
        };
        let mut usage = self.usage[row.pool].clone();
        let mut nodes = 0;
        while nodes < MOST_NODES
            && pool_limits::check(&data.pool, &usage, &machine.capacity, row.price)
        {
            usage = usage.with(&machine.capacity, row.price);
            nodes += 1;
        }
        nodes
    }

    fn scale_up(&mut self, row: usize) -> bool {
        let world = self.world;
        let found = self.estimate(row, self.waiting(row));
        let site = world.row_site(row);
        let pool = world.rows[row].pool;
        for run in found.runs {
            for _ in 0..run.nodes {
                let mut members = Vec::new();
                for (class, count) in &run.contents {
                    let class = &mut self.classes[*class];
                    let kind = &world.kinds[world.groups[class.group].actual];
                    let part = if class.tuple.is_some() { Part::Hosts } else { Part::Both };
                    rules::count_in(world, &mut self.tally, kind, site, part, *count);
                    let from = class.members.len() - *count as usize;
                    members.extend(class.members.drain(from..).rev());
                    class.changed = self.round;
                }
                let (free, host) = (run.free.clone(), run.host.clone());
                self.nodes.push(Node { row, free, host, members });
                if let Some(machine) = world.machine(&world.rows[row]) {
                    let price = world.rows[row].price;
                    self.usage[pool] = self.usage[pool].with(&machine.capacity, price);
                }
            }
        }
        found.nodes > 0
    }

    fn finish(self, stopped: bool) -> Outcome {
        let world = self.world;
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        let mut outcome = Outcome::default();
        let refusal = |group: usize, pool: usize| self.refusal(group, pool);
        let undealt = self.undealt.values().flat_map(|(members, _)| members);
        for member in self.classes.iter().flat_map(|class| &class.members).chain(undealt) {
            let reason = reasons.entry(member.group).or_insert_with(|| {
                if stopped {
                    return "time ran out before it was looked at".to_owned();
                }
                explain::unplaced(world, member.group, |pool| Some(refusal(member.group, pool)))
            });
            outcome.unplaced.push((member.clone(), reason.clone()));
        }
        outcome.launches = self
            .nodes
            .into_iter()
            .map(|node| Launching { row: node.row, members: node.members })
            .collect();
        outcome.on_bins = self.on_bins;
        outcome
    }

    /// Why a pool's node groups do not help a group's pods.
    fn refusal(&self, group: usize, pool: usize) -> Refusal {
        let world = self.world;
        let kind = &world.kinds[world.groups[group].actual];
        let rows = || {
            kind.rows.iter().filter(|row| {
                world.rows[*row].pool == pool && dimensions::fits(&kind.demand, world.size(*row))
            })
        };
        if rows().all(|row| self.allowance(row) == 0) {
            return Refusal::Limits;
        }
        rows()
            .find_map(|row| {
                let domains = world.row_site(row).domains;
                rules::shared_room(world, &self.tally, kind, domains, &world.possible).err()
            })
            .unwrap_or(if deal::is_dealt(world, group) {
                Refusal::Spread
            } else {
                Refusal::Affinity
            })
    }
}

/// The node groups, those that only their price tells apart as one.
fn node_groups(world: &World<'_>) -> Vec<NodeGroup> {
    let mut cheapest: BTreeMap<(usize, usize, i64, i64, usize), usize> = BTreeMap::new();
    for (index, row) in world.rows.iter().enumerate() {
        let Some(machine) = world.machine(row) else { continue };
        // Where a pool has limits, all that a machine has counts, not just these two.
        let kind = if world.pools[row.pool].limited { row.instance_type } else { 0 };
        let key = (row.cell, row.size, machine.capacity.cpu.0, machine.capacity.memory.0, kind);
        let best = cheapest.entry(key).or_insert(index);
        if row.price < world.rows[*best].price {
            *best = index;
        }
    }
    let mut rows: Vec<usize> = cheapest.into_values().collect();
    rows.sort_unstable();
    rows.into_iter().map(|row| NodeGroup { row, known: None }).collect()
}
