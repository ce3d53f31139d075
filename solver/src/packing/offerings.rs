//! What can be launched: pool, instance type, zone and capacity type, sorted into cells that no
//! pod tells apart, without the offerings that another one of their cell beats.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use smallvec::smallvec;

use crate::constraints::daemons;
use crate::constraints::pool_requirements::Choices;
use crate::model::{DaemonSet, Labels, Price, Snapshot};

use super::Settings;
use super::bins::Load;
use super::dimensions::{self, Amounts, Dimensions};
use super::groups::Group;
use super::inventory::{self, PoolData};
use super::min_values;
use super::problem::{Signature, tuple_index};
use super::raw_cells::{RawCell, RawOffering};
use super::topology::Topology;

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

/// What tells cells apart: the pool, the domains, which signatures allow them, which daemons run.
type Told = (usize, usize, Vec<bool>, Vec<usize>);

/// Merges raw cells that no signature and no daemon tells apart, and prunes their offerings.
pub fn cells(mut build: Build<'_>) -> (Vec<Cell>, Vec<Candidate>) {
    let mut merged: BTreeMap<Told, Vec<RawCell>> = BTreeMap::new();
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
        merged.entry((raw.pool, tuple, allowed, running)).or_default().push(raw);
    }
    let demands: Vec<Amounts> =
        build.groups.iter().map(|group| build.dimensions.demand(&group.needs.requests)).collect();
    let mut machines = Machines::default();
    let (mut cells, mut candidates) = (Vec::new(), Vec::new());
    for ((pool, tuple, allowed, running), alike) in merged {
        let Some(first) = alike.first() else { continue };
        let mut load = Load { free: smallvec![0; build.dimensions.len()], ..Load::default() };
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
        let offerings = alike.iter().flat_map(|raw| &*raw.offerings);
        let found = offerings.filter_map(|offering| {
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
            labels: first.labels.clone(),
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
        // The dearest have most: one of them beats it, if any does.
        let beaten = kept.iter().rev().any(|other| {
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
