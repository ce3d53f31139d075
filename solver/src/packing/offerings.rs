//! What can be launched: pool, instance type, zone and capacity type, sorted into cells that no
//! requirement tells apart, without the offerings that another one of their cell beats.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::constraints::pool_requirements::{Choices, TypeLabels};
use crate::constraints::{daemons, node_affinity, pool_state};
use crate::model::{
    DaemonSet, Labels, Name, Price, Requirements, Snapshot, Taint, ValueSet, well_known,
};

use super::Settings;
use super::bins::Load;
use super::dimensions::{self, Amounts, Dimensions};
use super::groups::Group;
use super::inventory::{self, PoolData};
use super::min_values;
use super::problem::{Signature, tuple_index};
use super::topology::Topology;

/// More label choices than this of one pool are not tried.
const MOST_CHOICES: usize = 64;

/// An offering of a pool, with labels.
#[derive(Clone, Debug)]
pub struct RawOffering {
    /// Index of the instance type in the pool's catalog.
    pub instance_type: usize,
    /// Index of the offering in the type.
    pub offering: usize,
    /// Which choice of labels.
    pub choices: Arc<Choices>,
}

/// Offerings of a pool whose nodes have the same labels as far as anybody looks at them.
#[derive(Clone, Debug)]
pub struct RawCell {
    /// The pool.
    pub pool: usize,
    /// Labels of one of them.
    pub labels: Labels,
    /// The pool's taints.
    pub taints: Box<[Taint]>,
    /// The offerings.
    pub offerings: Vec<RawOffering>,
    /// What the largest of them have of each resource.
    largest: crate::model::Resources,
}

impl RawCell {
    /// Whether one of them might hold a pod, daemons aside.
    pub fn could_hold(&self, demand: &[i64], dimensions: &Dimensions) -> bool {
        dimensions::fits(demand, &dimensions.supply(&self.largest))
    }
}

/// New nodes of one pool that no pod can tell apart but by their size and price.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The pool.
    pub pool: usize,
    /// Its weight.
    pub weight: i32,
    /// Which combination of domains they are in.
    pub tuple: usize,
    /// For each signature, whether it allows them.
    pub allowed: Vec<bool>,
    /// Ports and counts of the daemons that run on them; what they take is off `room` already.
    pub daemons: Load,
    /// What their daemons take together.
    pub overhead: crate::model::Resources,
    /// Labels of one of them.
    pub labels: Labels,
}

/// Something that can be launched.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its cell.
    pub cell: usize,
    /// Index of the instance type in the pool's catalog.
    pub instance_type: usize,
    /// Index of the offering in the type.
    pub offering: usize,
    /// Its choice of labels.
    pub choices: Arc<Choices>,
    /// What it costs in an hour.
    pub price: Price,
    /// The same and the price of a node, as the objective counts it.
    pub cost: f64,
    /// What it has for pods once its daemons run.
    pub room: Amounts,
    /// What the machine has, as the pool's limits count it.
    pub capacity: Amounts,
    /// The reservation that it is of, if there are only so many.
    pub reservation: Option<usize>,
    /// Whether the pool's `minValues` are not kept for it.
    pub min_values_relaxed: bool,
}

/// The offerings of all pools that can launch, by the labels that somebody looks at.
pub fn raw_cells(
    snapshot: &Snapshot,
    groups: &[Group],
    pools: &[PoolData],
    topology: &Topology,
) -> Vec<RawCell> {
    let keys = keys_looked_at(snapshot, groups, topology);
    let mut cells: BTreeMap<(usize, Vec<Option<Name>>), RawCell> = BTreeMap::new();
    for (index, data) in pools.iter().enumerate() {
        let Some(catalog) = &data.catalog else { continue };
        if !pool_state::check(&data.pool) {
            continue;
        }
        for choices in label_choices(data, groups) {
            for (type_index, instance_type) in catalog.instance_types.iter().enumerate() {
                let pool = &data.pool;
                let Some(of_type) = TypeLabels::of(pool, instance_type, &choices) else {
                    continue;
                };
                let allocatable = instance_type.allocatable();
                for (offering_index, offering) in instance_type.offerings.iter().enumerate() {
                    if !offering.available || !of_type.allows(offering) {
                        continue;
                    }
                    let seen = keys.iter().map(|key| of_type.get(key, offering)).collect();
                    let cell = cells.entry((index, seen)).or_insert_with(|| RawCell {
                        pool: index,
                        labels: of_type.labels(offering),
                        taints: pool.taints.clone(),
                        offerings: Vec::new(),
                        largest: crate::model::Resources::default(),
                    });
                    if cell.offerings.last().is_none_or(|last| last.instance_type != type_index) {
                        cell.largest = cell.largest.larger(&allocatable);
                    }
                    cell.offerings.push(RawOffering {
                        instance_type: type_index,
                        offering: offering_index,
                        choices: Arc::clone(&choices),
                    });
                }
            }
        }
    }
    cells.into_values().collect()
}

/// The labels that some pod, daemon or spread looks at.
fn keys_looked_at(snapshot: &Snapshot, groups: &[Group], topology: &Topology) -> Vec<Name> {
    let mut keys: BTreeSet<Name> = topology.keys.iter().cloned().collect();
    let shapes = groups
        .iter()
        .map(|group| &group.needs)
        .chain(snapshot.daemon_sets.values().map(|daemon| &daemon.shape));
    for shape in shapes {
        keys.extend(shape.node_selector.iter().map(|(key, _)| key.clone()));
        let preferred = shape.preferred_node_affinity.iter().map(|weighted| &weighted.term);
        for term in shape.node_affinity.iter().chain(preferred) {
            keys.extend(term.iter().map(|(key, _)| key.clone()));
        }
    }
    keys.into_iter().collect()
}

/// The values that labels get where the pool (or a type) leaves a choice: what nobody asks for
/// differently, and what each group asks for.
fn label_choices(data: &PoolData, groups: &[Group]) -> Vec<Arc<Choices>> {
    let open = open_keys(data);
    let mut found: BTreeSet<Choices> = BTreeSet::from([Choices::new()]);
    if !open.is_empty() {
        for group in groups {
            let preferred =
                group.needs.preferred_node_affinity.iter().map(|weighted| weighted.term.clone());
            for term in node_affinity::alternatives(&group.needs).into_iter().chain(preferred) {
                if found.len() >= MOST_CHOICES {
                    break;
                }
                found.insert(choices_of(&term, &open));
            }
        }
    }
    found.into_iter().map(Arc::new).collect()
}

fn choices_of(term: &Requirements, open: &BTreeMap<Name, ValueSet>) -> Choices {
    term.iter()
        .filter_map(|(key, set)| {
            let allowed = open.get(key)?.intersection(set);
            Some((key.clone(), allowed.listed()?.first()?.clone()))
        })
        .collect()
}

/// Labels that the pool's template, type and offering leave open, and what they may be.
fn open_keys(data: &PoolData) -> BTreeMap<Name, ValueSet> {
    const FIXED: [&str; 4] = [
        well_known::NODEPOOL_LABEL,
        well_known::INSTANCE_TYPE_LABEL,
        well_known::ZONE_LABEL,
        well_known::CAPACITY_TYPE_LABEL,
    ];
    let pool = &data.pool;
    let is_fixed = |key: &str| FIXED.contains(&key) || pool.labels.get(key).is_some();
    let mut open = BTreeMap::new();
    let mut consider = |key: &Name, set: &ValueSet| {
        if set.single().is_none() && !is_fixed(key) && set.allows_some_value() {
            open.insert(key.clone(), pool.requirements.get(key).unwrap_or(set).clone());
        }
    };
    let types = data.catalog.iter().flat_map(|catalog| &catalog.instance_types);
    let mut typed: BTreeSet<&Name> = BTreeSet::new();
    for instance_type in types {
        for (key, set) in instance_type.labels.iter() {
            typed.insert(key);
            consider(key, set);
        }
    }
    for (key, set) in pool.requirements.iter().filter(|(key, _)| !typed.contains(key)) {
        consider(key, set);
    }
    open
}

/// What cells are built from.
pub struct Build<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The settings.
    pub settings: &'a Settings,
    /// The dimensions.
    pub dimensions: &'a Dimensions,
    /// The pools.
    pub pools: &'a [PoolData],
    /// The signatures.
    pub signatures: &'a [Signature],
    /// The topology, which learns the new nodes' domains.
    pub topology: &'a mut Topology,
    /// Combinations of domains, which grow.
    pub tuples: &'a mut Vec<Vec<u32>>,
    /// The groups: what none of them fits on is left out.
    pub groups: &'a [Group],
    /// The offerings.
    pub raw: Vec<RawCell>,
}

/// Merges raw cells that no signature and no daemon tells apart, and prunes their offerings.
pub fn cells(mut build: Build<'_>) -> (Vec<Cell>, Vec<Candidate>) {
    let mut merged: BTreeMap<(usize, usize, Vec<bool>, Vec<usize>), RawCell> = BTreeMap::new();
    let daemon_sets: Vec<&Arc<DaemonSet>> = build.snapshot.daemon_sets.values().collect();
    for raw in std::mem::take(&mut build.raw) {
        let allowed: Vec<bool> = build
            .signatures
            .iter()
            .map(|signature| signature.allows(&raw.labels, &raw.taints))
            .collect();
        let running: Vec<usize> = (0..daemon_sets.len())
            .filter(|index| daemons::check(daemon_sets[*index], &raw.labels, &raw.taints))
            .collect();
        let tuple = tuple_index(build.tuples, build.topology.domains_of(&raw.labels));
        if !allowed.contains(&true) {
            continue;
        }
        merged
            .entry((raw.pool, tuple, allowed, running))
            .and_modify(|cell| cell.offerings.extend(raw.offerings.iter().cloned()))
            .or_insert(raw);
    }
    let demands: Vec<Amounts> =
        build.groups.iter().map(|group| build.dimensions.demand(&group.needs.requests)).collect();
    let mut machines = Machines::default();
    let (mut cells, mut candidates) = (Vec::new(), Vec::new());
    for ((pool, tuple, allowed, running), raw) in merged {
        let mut load = Load { free: vec![0; build.dimensions.len()], ..Load::default() };
        for daemon in &running {
            let shape = &daemon_sets[*daemon].shape;
            inventory::add_daemon(
                build.snapshot,
                build.dimensions,
                build.topology,
                shape,
                &mut load,
            );
        }
        let data = &build.pools[pool];
        let found = raw.offerings.iter().filter_map(|offering| {
            let machine = machines.get(&build, pool, offering.instance_type)?;
            candidate(&build, data, cells.len(), offering, machine, &load.free)
        });
        let found = min_values::keep(data, build.settings.min_values, &demands, found.collect());
        let kept = prune(found, data.limited);
        candidates.extend(kept.into_iter().filter(|candidate| {
            demands.iter().any(|demand| dimensions::fits(demand, &candidate.room))
        }));
        cells.push(Cell {
            pool,
            weight: data.pool.weight,
            tuple,
            allowed,
            overhead: running.iter().map(|daemon| &daemon_sets[*daemon].shape.requests).sum(),
            daemons: load,
            labels: raw.labels,
        });
    }
    (cells, candidates)
}

/// What machines have for pods and daemons, and as pools' limits count them: worked out once for
/// all offerings of a type.
#[derive(Default)]
struct Machines {
    by_type: HashMap<(usize, usize), (Amounts, Amounts)>,
}

impl Machines {
    fn get(
        &mut self,
        build: &Build<'_>,
        pool: usize,
        instance_type: usize,
    ) -> Option<&(Amounts, Amounts)> {
        let kind = build.pools[pool].catalog.as_ref()?.instance_types.get(instance_type)?;
        let dimensions = build.dimensions;
        Some(self.by_type.entry((pool, instance_type)).or_insert_with(|| {
            (dimensions.supply(&kind.allocatable()), dimensions.supply(&kind.capacity))
        }))
    }
}

fn candidate(
    build: &Build<'_>,
    data: &PoolData,
    cell: usize,
    raw: &RawOffering,
    (allocatable, capacity): &(Amounts, Amounts),
    overhead: &[i64],
) -> Option<Candidate> {
    let instance_type = data.catalog.as_ref()?.instance_types.get(raw.instance_type)?;
    let offering = instance_type.offerings.get(raw.offering)?;
    let price = offering.price;
    let mut room = allocatable.clone();
    for (has, used) in room.iter_mut().zip(overhead) {
        *has = has.saturating_add(*used);
    }
    // A machine that its own daemons don't fit on is none.
    let holds_daemons = room.iter().zip(overhead).all(|(has, used)| *used == 0 || *has >= 0);
    holds_daemons.then(|| Candidate {
        cell,
        instance_type: raw.instance_type,
        offering: raw.offering,
        choices: Arc::clone(&raw.choices),
        price,
        cost: (price + build.settings.price_per_node).as_f64().max(1e-9),
        room,
        capacity: capacity.clone(),
        reservation: offering.reserved_count.map(|_| usize::MAX),
        min_values_relaxed: false,
    })
}

/// Leaves out each candidate that another one of the cell matches in every resource at no higher
/// price (and, where the pool has limits, without counting for more).
fn prune(mut candidates: Vec<Candidate>, limited: bool) -> Vec<Candidate> {
    let size = |candidate: &Candidate| candidate.room.iter().map(|has| *has as f64).sum::<f64>();
    candidates.sort_by(|left, right| {
        left.price
            .cmp(&right.price)
            .then_with(|| size(right).total_cmp(&size(left)))
            .then_with(|| left.instance_type.cmp(&right.instance_type))
            .then_with(|| left.offering.cmp(&right.offering))
    });
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let beaten = kept.iter().any(|other| {
            // Of what is reserved there may not be enough.
            other.reservation.is_none()
                && other.min_values_relaxed <= candidate.min_values_relaxed
                && other.room.iter().zip(&candidate.room).all(|(theirs, ours)| theirs >= ours)
                && (!limited || other.capacity.iter().zip(&candidate.capacity).all(|(a, b)| a <= b))
        });
        if !beaten {
            kept.push(candidate);
        }
    }
    kept
}
