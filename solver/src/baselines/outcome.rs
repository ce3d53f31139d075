//! Turns what a baseline decided into a plan that holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::constraints::{pool_requirements, topology_spread};
use crate::model::{
    Launch, Method, Placement, Plan, Pod, Resources, Snapshot, Target, Timestamp, Unschedulable,
};
use crate::packing::bins::Place;
use crate::packing::names::Names;
use crate::packing::{assemble, headroom};

use super::counters::{Scope, Tally};
use super::rules::{self, Part, Site};
use super::world::World;

/// A pod and its group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The group.
    pub group: usize,
    /// The pod.
    pub pod: Arc<Pod>,
}

/// A node to be launched.
#[derive(Clone, Debug)]
pub(super) struct Launching {
    /// What.
    pub row: usize,
    /// For whom.
    pub members: Vec<Member>,
}

/// What a baseline decided.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Pods by the bin that they go to.
    pub on_bins: Vec<Vec<Member>>,
    /// Nodes to launch.
    pub launches: Vec<Launching>,
    /// Pods without a place, and why.
    pub unplaced: Vec<(Member, String)>,
}

/// A plan that does nothing yet.
pub(super) fn empty_plan(snapshot: &Snapshot, now: Timestamp, seed: u64) -> Plan {
    Plan { generation: snapshot.generation, made_at: now, seed, ..Plan::default() }
}

impl Outcome {
    /// The plan. Pods whose spread or affinity would not hold once all is carried out are left
    /// without a place: peers decide pod by pod and would leave them pending in the end, too.
    pub fn into_plan(mut self, world: &World<'_>, method: Method, plan: Plan) -> Plan {
        self.keep_promises(world);
        self.into_unchecked(world, method, plan)
    }

    /// The plan, whether it holds or not.
    pub fn into_unchecked(self, world: &World<'_>, method: Method, mut plan: Plan) -> Plan {
        plan.method = method;
        for (bin, members) in world.bins.iter().zip(&self.on_bins) {
            let target = match &bin.place {
                Place::Claim(name) => Target::Claim(name.clone()),
                Place::Node(name) => Target::Node(name.clone()),
            };
            plan.placements.extend(members.iter().map(|one| placement(&one.pod, &target)));
        }
        let mut names = Names::new(world.snapshot, plan.made_at, plan.seed);
        for (index, launching) in self.launches.iter().enumerate() {
            if let Some(launch) = launch(world, launching, index, &mut names) {
                let target = Target::Claim(launch.name.clone());
                let members = launching.members.iter();
                plan.placements.extend(members.map(|one| placement(&one.pod, &target)));
                plan.price += launch.price;
                plan.launches.push(launch);
            }
        }
        plan.unschedulable = world.defective.clone();
        plan.unschedulable.extend(self.unplaced.into_iter().map(|(one, reason)| Unschedulable {
            pod: one.pod.key.clone(),
            uid: one.pod.uid.clone(),
            reason,
        }));
        headroom::separate(world.snapshot, &mut plan);
        plan.placements.sort_unstable();
        plan.unschedulable.sort_by(|left, right| left.pod.cmp(&right.pod));
        plan
    }

    fn keep_promises(&mut self, world: &World<'_>) {
        let depends = |group: &super::world::GroupData| {
            let rules = &world.kinds[group.actual].rules;
            [&rules.shared, &rules.host]
                .iter()
                .any(|rules| !rules.spread.is_empty() || !rules.affinity.is_empty())
        };
        if !world.groups.iter().any(depends) {
            return;
        }
        while self.take_off(world) {}
        self.launches.retain(|launching| !launching.members.is_empty());
    }

    /// Takes pods off that break a promise; whether there were any.
    fn take_off(&mut self, world: &World<'_>) -> bool {
        let mut end = self.count(world);
        let Self { on_bins, launches, unplaced } = self;
        let bins =
            on_bins.iter_mut().enumerate().map(|(bin, members)| (members, world.bin_site(bin)));
        let launched = launches
            .iter_mut()
            .map(|launching| (&mut launching.members, world.row_site(launching.row)));
        let mut some = false;
        for (host, (members, site)) in bins.chain(launched).enumerate() {
            for index in (0..members.len()).rev() {
                let group = members[index].group;
                if let Some(why) = end.broken(world, group, site, host) {
                    let kind = &world.kinds[world.groups[group].actual];
                    rules::count_out(world, &mut end.tally, kind, site, Part::Both, 1);
                    for counter in &kind.rules.counted {
                        if let Scope::Host(slot) = world.counters.scope(*counter) {
                            let count = &mut end.hosts[host][slot];
                            *count = count.saturating_sub(1);
                        }
                    }
                    unplaced.push((members.remove(index), why));
                    some = true;
                }
            }
        }
        some
    }

    /// The counts as they will be.
    fn count(&self, world: &World<'_>) -> End {
        let mut end = End {
            tally: world.tally.clone(),
            present: world.present.clone(),
            hosts: world.bin_hosts.iter().map(|host| host.counts.clone()).collect(),
            own: BTreeMap::new(),
        };
        for (bin, members) in self.on_bins.iter().enumerate() {
            end.add(world, bin, members, world.bin_site(bin));
        }
        for (index, launching) in self.launches.iter().enumerate() {
            let cell = &world.cells[world.rows[launching.row].cell];
            let site = world.row_site(launching.row);
            end.hosts.push(cell.host.counts.clone());
            end.add(world, self.on_bins.len() + index, &launching.members, site);
            let marks =
                end.present.iter_mut().enumerate().filter(|_| !launching.members.is_empty());
            for (counter, marks) in marks {
                if let Scope::Shared(key) = world.counters.scope(counter)
                    && site.counting[counter]
                    && let Some(slot) = marks.get_mut(site.domains[key] as usize)
                {
                    *slot = true;
                }
            }
        }
        end
    }
}

/// The counts as they will be in the end. Hosts are the bins and then the launches.
struct End {
    tally: Tally,
    present: Vec<Vec<bool>>,
    hosts: Vec<Vec<u32>>,
    /// Pods of a group by counter and domain, where the counter is one of the group's affinity.
    own: BTreeMap<(usize, usize, usize), u32>,
}

impl End {
    fn add(&mut self, world: &World<'_>, host: usize, members: &[Member], site: Site<'_>) {
        for one in members {
            let kind = &world.kinds[world.groups[one.group].actual];
            rules::count_in(world, &mut self.tally, kind, site, Part::Both, 1);
            for counter in &kind.rules.counted {
                if let Scope::Host(slot) = world.counters.scope(*counter) {
                    self.hosts[host][slot] += 1;
                }
            }
            let affinity = kind.rules.shared.affinity.iter().chain(&kind.rules.host.affinity);
            for (counter, _) in affinity.filter(|(_, own)| *own) {
                let (_, domain) = self.count(world, *counter, site, host);
                *self.own.entry((one.group, *counter, domain)).or_default() += 1;
            }
        }
    }

    /// How many pods a counter counts in its domain of a node, and that domain.
    fn count(
        &self,
        world: &World<'_>,
        counter: usize,
        site: Site<'_>,
        host: usize,
    ) -> (u32, usize) {
        match world.counters.scope(counter) {
            Scope::Shared(key) => {
                let domain = site.domains[key];
                (self.tally.count(counter, domain), domain as usize)
            }
            Scope::Host(slot) => (self.hosts[host][slot], host),
        }
    }

    /// What keeps a pod of the group from staying at a node.
    fn broken(
        &self,
        world: &World<'_>,
        group: usize,
        site: Site<'_>,
        host: usize,
    ) -> Option<String> {
        let rules = &world.kinds[world.groups[group].actual].rules;
        for rule in rules.shared.spread.iter().chain(&rules.host.spread) {
            let counts = self.tally.counts(rule.counter);
            let there =
                || self.present[rule.counter].iter().zip(counts).filter(|(there, _)| **there);
            // Hosts are not marked: the emptiest of them counts as empty.
            let least = there().map(|(_, count)| *count).min().unwrap_or(0);
            let emptiest =
                topology_spread::emptiest_counted(&rule.constraint, least, there().count());
            let (count, _) = self.count(world, rule.counter, site, host);
            if count > emptiest.saturating_add(rule.constraint.max_skew) {
                return Some(format!(
                    "topology spread over {} with maxSkew {}: in the end too many would be there",
                    rule.constraint.topology_key, rule.constraint.max_skew
                ));
            }
        }
        let lost = |(counter, own): &(usize, bool)| {
            let (count, domain) = self.count(world, *counter, site, host);
            let mine = self.own.get(&(group, *counter, domain)).copied().unwrap_or(0);
            // Somebody else is there, or its own kind, who came first, is nowhere else.
            let found = count > mine || (*own && self.tally.total(*counter) == count);
            !found
        };
        rules
            .shared
            .affinity
            .iter()
            .chain(&rules.host.affinity)
            .any(lost)
            .then(|| "the pods that it must be with found no place themselves".to_owned())
    }
}

fn placement(pod: &Pod, target: &Target) -> Placement {
    Placement { pod: pod.key.clone(), uid: pod.uid.clone(), target: target.clone() }
}

fn launch(
    world: &World<'_>,
    launching: &Launching,
    index: usize,
    names: &mut Names<'_>,
) -> Option<Launch> {
    let row = &world.rows[launching.row];
    let pool = &world.pools[row.pool].pool;
    let machine = world.machine(row)?;
    let offering = machine.offerings.get(row.offering)?;
    let labels = pool_requirements::labels(pool, machine, offering, &row.choices)?;
    let pods: Vec<Arc<Pod>> = launching.members.iter().map(|one| Arc::clone(&one.pod)).collect();
    let nothing = Resources::default();
    let requests = pods
        .iter()
        .map(|pod| pod.shape.requests.larger(&nothing))
        .fold(world.cells[row.cell].overhead.clone(), |sum, requests| &sum + &requests);
    let first_pod = pods.first().map_or("", |pod| pod.uid.as_str());
    let name = names.give(&pool.name, first_pod, index);
    let mut launch = Launch { requests, ..Launch::new(name, pool, machine, offering, labels) };
    assemble::require_for(&mut launch.requirements, &launch.labels, &pods);
    let bought = assemble::what_is_bought(&launch);
    launch.reason = assemble::reason(world.snapshot, &pods, &bought);
    Some(launch)
}
