//! The problem as both baselines see it: every offering that a pool may launch, none left out,
//! and what is there.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::constraints::pool_requirements::Choices;
use crate::constraints::topology_spread::Standing;
use crate::constraints::{daemons, node_affinity, taints};
use crate::model::{
    DaemonSet, HostPort, InstanceType, Labels, Name, Pod, PodAffinityTerm, PodShape, Price,
    Resources, Snapshot, Taint, Unschedulable,
};
use crate::packing::Settings;
use crate::packing::bins::{Bin, Place};
use crate::packing::dimensions::{Amounts, Dimensions};
use crate::packing::groups::{Group, Pending};
use crate::packing::inventory::{self, PoolData};
use crate::packing::raw_cells::{self, RawCell};
use crate::packing::topology::Topology;

use super::bits::Bits;
use super::counters::{Counters, KindRules, Scope, Tally};
use super::rules::Site;

/// What a pod asks for, at one step of giving up what it would only like.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// Its shape, what it would like made into what it requires, or left out.
    pub shape: Arc<PodShape>,
    /// Pods that it would like to be with, each of these terms for itself.
    pub liked: Box<[PodAffinityTerm]>,
    /// Whether it stays off untolerated `PreferNoSchedule` taints.
    pub avoids_soft_taints: bool,
}

impl Kind {
    /// Whether it goes by the same rules as pods of that shape in truth, soft taints aside.
    fn is_of(&self, shape: &PodShape) -> bool {
        self.liked.is_empty() && *self.shape == *shape
    }

    /// Only what is required.
    pub fn actual(shape: &Arc<PodShape>) -> Self {
        Self { shape: Arc::clone(shape), liked: Box::default(), avoids_soft_taints: false }
    }
}

/// A kind, and what follows from it.
#[derive(Clone, Debug)]
pub(super) struct KindData {
    /// The shape at this step.
    pub shape: Arc<PodShape>,
    /// What one pod takes.
    pub demand: Amounts,
    /// What it has to do with other pods.
    pub rules: KindRules,
    /// The offerings whose labels, taints and daemons it goes with.
    pub rows: Bits,
    /// The nodes that are there, or on their way, whose labels and taints it goes with.
    pub bins: Bits,
}

/// Pods of one shape.
#[derive(Clone, Debug)]
pub(super) struct GroupData {
    /// The pods, by namespace and name.
    pub pods: Vec<Arc<Pod>>,
    /// The kinds to try, the strictest first.
    pub steps: Range<usize>,
    /// The kind that its pods are in truth: only what is required.
    pub actual: usize,
}

/// New nodes of a pool with the same labels, as far as anybody looks at them.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Labels of one of them.
    pub labels: Labels,
    /// Their taints.
    pub taints: Box<[Taint]>,
    /// What their daemons take together.
    pub overhead: Resources,
    /// A host with their daemons; what is free is the offering's business.
    pub host: Host,
    /// For each counter, whether pods there count.
    pub counts: Vec<bool>,
}

/// Something that can be launched.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The pool.
    pub pool: usize,
    /// The cell.
    pub cell: usize,
    /// Index of the instance type in the pool's catalog.
    pub instance_type: usize,
    /// Index of the offering in the type.
    pub offering: usize,
    /// Its choice of labels.
    pub choices: Arc<Choices>,
    /// What it costs in an hour.
    pub price: Price,
    /// Which of [`World::sizes`] it has for pods.
    pub size: usize,
    /// Which of [`World::tuples`] it is in.
    pub tuple: usize,
}

/// What limits pods on one node, resources aside.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Host {
    /// Ports that are taken.
    pub ports: Vec<HostPort>,
    /// Pods by counter of hosts.
    pub counts: Vec<u32>,
    /// Whether it carries the host name's label.
    pub named: bool,
}

/// The whole problem.
#[derive(Debug)]
pub(super) struct World<'a> {
    /// What it was made from.
    pub snapshot: &'a Snapshot,
    /// Which resource has which index.
    pub dimensions: Dimensions,
    /// Pods to place.
    pub groups: Vec<GroupData>,
    /// Pods that make no sense.
    pub defective: Vec<Unschedulable>,
    /// All kinds.
    pub kinds: Vec<KindData>,
    /// The questions about who is where.
    pub counters: Counters,
    /// Which of them must be answered for certain: somebody's hard spread or affinity depends on
    /// them.
    pub pinning: Vec<bool>,
    /// For each counter the domains in which a node is that counts.
    pub present: Vec<Vec<bool>>,
    /// And those in which one is or could be launched.
    pub possible: Vec<Vec<bool>>,
    /// Combinations of domains: one domain a key.
    pub tuples: Vec<Vec<u32>>,
    /// The offerings of each combination.
    pub tuple_rows: Vec<Bits>,
    /// The pools, by name.
    pub pools: Vec<PoolData>,
    /// Labels of new nodes.
    pub cells: Vec<Cell>,
    /// What can be launched, by pool, type and cell.
    pub rows: Vec<Row>,
    /// Distinct amounts that offerings have for pods, daemons taken off.
    pub sizes: Vec<Amounts>,
    /// Nodes that are there or on their way.
    pub bins: Vec<Bin>,
    /// What limits pods on them.
    pub bin_hosts: Vec<Host>,
    /// For each of them and each counter, whether pods there count.
    pub bin_counts: Vec<Vec<bool>>,
    /// The counts as they are.
    pub tally: Tally,
}

impl<'a> World<'a> {
    /// Works out the problem. `relax` gives the steps that a shape is tried at.
    pub fn new(
        snapshot: &'a Snapshot,
        settings: &Settings,
        relax: impl Fn(&Arc<PodShape>) -> Vec<Kind>,
    ) -> Self {
        let mut pending = Pending::of(snapshot, settings);
        for held in std::mem::take(&mut pending.held) {
            pending.release(held);
        }
        let (kinds, groups) = kinds(&mut pending.groups, relax);
        let actual = groups.iter().map(|group| &kinds[group.actual].shape);
        let (mut counters, rules) = Counters::of(snapshot, &kinds, actual);
        let daemons = snapshot.daemon_sets.values().map(|daemon| &*daemon.shape);
        let dimensions = Dimensions::of(kinds.iter().map(|kind| &*kind.shape).chain(daemons));
        let pools = inventory::pools(snapshot);
        // The packer's own counters stay empty: it only has to know which labels matter.
        let mut matter = Topology::default();
        matter.keys.clone_from(&counters.keys);
        let raw = raw_cells::raw_cells(snapshot, &pending.groups, &pools, &matter);
        let mut none = Topology::default();
        let bins = inventory::bins(snapshot, &dimensions, &mut none, &mut Vec::new());
        let mut world = World {
            snapshot,
            groups,
            defective: pending.defective,
            kinds: Vec::new(),
            pinning: vec![false; counters.len()],
            present: Vec::new(),
            possible: Vec::new(),
            tuples: Vec::new(),
            tuple_rows: Vec::new(),
            cells: Vec::new(),
            rows: Vec::new(),
            sizes: Vec::new(),
            bin_hosts: Vec::new(),
            bin_counts: Vec::new(),
            tally: Tally::default(),
            counters: Counters::default(),
            dimensions,
            pools,
            bins,
        };
        let bin_tuples: Vec<Vec<u32>> =
            world.bins.iter().map(|bin| counters.domains_of(&bin.labels)).collect();
        let cell_tuples: Vec<Vec<u32>> =
            raw.iter().map(|cell| counters.domains_of(&cell.labels)).collect();
        world.tally = Tally::new(&counters);
        world.counters = counters;
        world.add_offerings(&raw, cell_tuples);
        world.add_bins(bin_tuples);
        world.mark_domains();
        world.add_kinds(kinds, rules);
        world
    }

    fn add_offerings(&mut self, raw: &[RawCell], tuples: Vec<Vec<u32>>) {
        let daemon_sets: Vec<&Arc<DaemonSet>> = self.snapshot.daemon_sets.values().collect();
        let mut sizes: BTreeMap<Amounts, usize> = BTreeMap::new();
        for (cell, domains) in raw.iter().zip(tuples) {
            let tuple = self.tuple(domains);
            let running: Vec<&PodShape> = daemon_sets
                .iter()
                .filter(|daemon| daemons::check(daemon, &cell.labels, &cell.taints))
                .map(|daemon| &*daemon.shape)
                .collect();
            let mut host = self.empty_host(true);
            running.iter().for_each(|shape| self.settle_daemon(&mut host, shape));
            let overhead: Resources = running
                .iter()
                .map(|shape| shape.requests.larger(&Resources::default()))
                .fold(Resources::default(), |sum, one| &sum + &one);
            let asked = self.dimensions.demand(&overhead);
            for offering in &*cell.offerings {
                let machines = self.pools[cell.pool].catalog.as_ref();
                let machine =
                    machines.and_then(|catalog| catalog.instance_types.get(offering.instance_type));
                let Some(machine) = machine else { continue };
                let Some(sold) = machine.offerings.get(offering.offering) else { continue };
                let mut room = self.dimensions.supply(&machine.allocatable());
                room.iter_mut()
                    .zip(&asked)
                    .for_each(|(has, used)| *has = has.saturating_sub(*used));
                if room.iter().zip(&asked).any(|(has, used)| *used > 0 && *has < 0) {
                    // A machine that its own daemons don't fit on is none.
                    continue;
                }
                let next = sizes.len();
                let size = *sizes.entry(room.clone()).or_insert(next);
                if size == next {
                    self.sizes.push(room);
                }
                self.rows.push(Row {
                    pool: cell.pool,
                    cell: self.cells.len(),
                    instance_type: offering.instance_type,
                    offering: offering.offering,
                    choices: Arc::clone(&offering.choices),
                    price: sold.price,
                    size,
                    tuple,
                });
            }
            let node = Standing { labels: &cell.labels, taints: &cell.taints, named: true };
            let counts = self.counting(node);
            self.cells.push(Cell {
                labels: cell.labels.clone(),
                taints: cell.taints.clone(),
                overhead,
                host,
                counts,
            });
        }
        self.rows.sort_by_key(|row| (row.pool, row.instance_type, row.cell, row.offering));
        self.tuple_rows = (0..self.tuples.len())
            .map(|tuple| Bits::of(self.rows.len(), |row| self.rows[row].tuple == tuple))
            .collect();
    }

    fn add_bins(&mut self, tuples: Vec<Vec<u32>>) {
        let snapshot = self.snapshot;
        let mut by_shape: HashMap<*const PodShape, Arc<[usize]>> = HashMap::new();
        for (index, domains) in tuples.into_iter().enumerate() {
            let tuple = self.tuple(domains.clone());
            self.bins[index].tuple = tuple;
            let bin = &self.bins[index];
            let node = match &bin.place {
                Place::Node(name) => snapshot.nodes.get(name),
                Place::Claim(name) => {
                    snapshot.claims.get(name).and_then(|claim| snapshot.node_of_claim(claim))
                }
            };
            let counting = self.counting(bin.standing());
            let mut host = self.empty_host(bin.has_host);
            host.ports.clone_from(&bin.load.ports);
            let there = || node.iter().flat_map(|state| state.pods.values());
            for daemon in snapshot.daemon_sets.values().filter(|_| bin.open) {
                let runs = daemons::check(daemon, &bin.labels, &bin.taints);
                if runs && !there().any(|pod| daemons::owns(daemon, pod)) {
                    let ports = host.ports.clone();
                    self.settle_daemon(&mut host, &daemon.shape);
                    // The bin has the ports of daemons to come already.
                    host.ports = ports;
                }
            }
            for pod in there() {
                let counted = by_shape
                    .entry(Arc::as_ptr(&pod.shape))
                    .or_insert_with(|| self.counters.counting(snapshot, &pod.shape).into());
                for counter in counted.iter().copied() {
                    if counting[counter] && self.counters.counts_pod(counter, pod) {
                        self.tally.add_total(counter, 1);
                        match self.counters.scope(counter) {
                            Scope::Host(slot) => host.counts[slot] += u32::from(host.named),
                            Scope::Shared(key) => self.tally.add(counter, domains[key], 1),
                        }
                    }
                }
            }
            self.bin_hosts.push(host);
            self.bin_counts.push(counting);
        }
        self.tuple_rows.resize(self.tuples.len(), Bits::empty(self.rows.len()));
    }

    /// Marks the domains with nodes, and those that could have some.
    fn mark_domains(&mut self) {
        self.present = (0..self.counters.len())
            .map(|counter| vec![false; self.counters.breadth(counter)])
            .collect();
        let mark =
            |marks: &mut [Vec<bool>], counters: &Counters, counts: &[bool], tuple: &[u32]| {
                for counter in (0..counts.len()).filter(|counter| counts[*counter]) {
                    if let Scope::Shared(key) = counters.scope(counter)
                        && let Some(slot) = marks[counter].get_mut(tuple[key] as usize)
                    {
                        *slot = true;
                    }
                }
            };
        for (bin, counts) in self.bins.iter().zip(&self.bin_counts) {
            mark(&mut self.present, &self.counters, counts, &self.tuples[bin.tuple]);
        }
        self.possible = self.present.clone();
        let mut seen = vec![false; self.cells.len()];
        for row in &self.rows {
            if !std::mem::replace(&mut seen[row.cell], true) {
                let counts = &self.cells[row.cell].counts;
                mark(&mut self.possible, &self.counters, counts, &self.tuples[row.tuple]);
            }
        }
    }

    fn add_kinds(&mut self, kinds: Vec<Kind>, rules: Vec<KindRules>) {
        for (kind, rules) in kinds.into_iter().zip(rules) {
            let goes = |labels: &Labels, node_taints: &[Taint]| {
                node_affinity::check(&kind.shape, labels)
                    && taints::check(&kind.shape, node_taints)
                    && (!kind.avoids_soft_taints || taints::is_welcome(&kind.shape, node_taints))
            };
            let data = KindData {
                demand: self.dimensions.demand(&kind.shape.requests),
                shape: Arc::clone(&kind.shape),
                rules,
                rows: Bits::default(),
                bins: Bits::of(self.bins.len(), |index| {
                    let bin = &self.bins[index];
                    bin.open && goes(&bin.labels, &bin.taints)
                }),
            };
            let cells: Vec<bool> = self
                .cells
                .iter()
                .map(|cell| {
                    goes(&cell.labels, &cell.taints)
                        && super::rules::host_room(self, None, &data, &cell.host).is_ok()
                })
                .collect();
            let rows = Bits::of(self.rows.len(), |row| cells[self.rows[row].cell]);
            self.kinds.push(KindData { rows, ..data });
        }
        for group in &self.groups {
            let rules = &self.kinds[group.actual].rules.shared;
            let spread = rules.spread.iter().map(|rule| rule.counter);
            for counter in spread.chain(rules.affinity.iter().map(|(counter, _)| *counter)) {
                self.pinning[counter] = true;
            }
        }
    }

    /// The instance type of a row.
    pub fn machine(&self, row: &Row) -> Option<&InstanceType> {
        self.pools[row.pool].catalog.as_ref()?.instance_types.get(row.instance_type)
    }

    /// What a row has for pods.
    pub fn size(&self, row: usize) -> &Amounts {
        &self.sizes[self.rows[row].size]
    }

    /// Where pods on a bin are.
    pub fn bin_site(&self, bin: usize) -> Site<'_> {
        Site { domains: &self.tuples[self.bins[bin].tuple], counting: &self.bin_counts[bin] }
    }

    /// Where pods on a new node are.
    pub fn row_site(&self, row: usize) -> Site<'_> {
        let row = &self.rows[row];
        Site { domains: &self.tuples[row.tuple], counting: &self.cells[row.cell].counts }
    }

    /// A node without pods.
    pub fn empty_host(&self, named: bool) -> Host {
        Host { ports: Vec::new(), counts: vec![0; self.counters.hosts()], named }
    }

    fn settle_daemon(&self, host: &mut Host, shape: &PodShape) {
        host.ports.extend(shape.host_ports.iter().cloned());
        for counter in self.counters.counting(self.snapshot, shape) {
            if let Scope::Host(slot) = self.counters.scope(counter) {
                host.counts[slot] += 1;
            }
        }
    }

    fn counting(&self, node: Standing<'_>) -> Vec<bool> {
        (0..self.counters.len()).map(|counter| self.counters.counts_node(counter, node)).collect()
    }

    fn tuple(&mut self, domains: Vec<u32>) -> usize {
        self.tuples.iter().position(|other| *other == domains).unwrap_or_else(|| {
            self.tuples.push(domains);
            self.tuples.len() - 1
        })
    }
}

/// All kinds, and the groups with theirs.
fn kinds(
    groups: &mut [Group],
    relax: impl Fn(&Arc<PodShape>) -> Vec<Kind>,
) -> (Vec<Kind>, Vec<GroupData>) {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut data = Vec::new();
    for group in groups {
        let first = kinds.len();
        kinds.extend(relax(&group.shape));
        let steps = first..kinds.len();
        // What nothing was given up of needs no kind of its own.
        let same = kinds[steps.clone()].iter().position(|kind| kind.is_of(&group.shape));
        let actual = same.map_or(kinds.len(), |index| first + index);
        if actual == kinds.len() {
            kinds.push(Kind::actual(&group.shape));
        }
        data.push(GroupData { pods: std::mem::take(&mut group.pods), steps, actual });
    }
    (kinds, data)
}

/// The name of a bin, for people.
pub(super) fn bin_name(bin: &Bin) -> &Name {
    match &bin.place {
        Place::Node(name) | Place::Claim(name) => name,
    }
}
