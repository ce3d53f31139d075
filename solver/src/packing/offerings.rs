//! What can be launched: pool, instance type, zone and capacity type, sorted into cells that no
//! pod tells apart, without the offerings that another one of their cell beats.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use smallvec::smallvec;

use crate::constraints::daemons;
use crate::constraints::pool_requirements::Choices;
use crate::model::{Catalog, DaemonSet, Labels, Price, Snapshot};

use super::Settings;
use super::bins::Load;
use super::dimensions::{self, Amounts, Dimensions};
use super::groups::Group;
use super::inventory::{self, PoolData};
use super::min_values;
use super::problem::{Signature, tuple_index};
use super::raw_cells::{self, RawCell, RawOffering};
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
        let mut best = || {
            let offerings = alike.iter().flat_map(|raw| &*raw.offerings);
            let found = offerings.filter_map(|offering| {
                let machine = machines.get(&build, pool, offering.instance_type)?;
                candidate(&build, data, offering, machine, &load.free)
            });
            let policy = build.settings.min_values;
            prune(min_values::keep(data, policy, &demands, found.collect()), data.limited)
        };
        let cell = cells.len();
        let mut add = |kept: &[Candidate]| {
            let useful = kept.iter().filter(|candidate| {
                demands.iter().any(|demand| dimensions::fits(demand, &candidate.room))
            });
            candidates.extend(useful.map(|candidate| Candidate { cell, ..candidate.clone() }));
        };
        match Asked::of(&build, data, &alike, &load.free) {
            Some(asked) => KNOWN.with_borrow_mut(|known| {
                let is_it = |other: &Known| other.asked.is(&asked);
                let make = || Known { asked: asked.clone(), kept: best() };
                add(&raw_cells::latest(known, MOST_KNOWN, is_it, make).kept);
            }),
            None => add(&best()),
        }
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

thread_local! {
    /// Which offerings of a cell are worth a thought follows from few things, and is asked anew for
    /// each plan: with a thousand offerings it took a twentieth of a replay's time.
    static KNOWN: RefCell<Vec<Known>> = RefCell::default();
}

/// So many cells are remembered.
const MOST_KNOWN: usize = 32;

/// The candidates of a cell that no other one of it beats.
struct Known {
    asked: Asked,
    kept: Vec<Candidate>,
}

/// All that they follow from.
#[derive(Clone)]
struct Asked {
    catalog: Arc<Catalog>,
    offerings: Vec<Arc<[RawOffering]>>,
    limited: bool,
    dimensions: Dimensions,
    /// What daemons take.
    overhead: Amounts,
    price_per_node: Price,
}

impl Asked {
    /// Nothing where it depends on the pods, too: which machines a pool's `minValues` allow.
    fn of(
        build: &Build<'_>,
        data: &PoolData,
        alike: &[RawCell],
        overhead: &Amounts,
    ) -> Option<Self> {
        let catalog = data.catalog.as_ref().filter(|_| data.pool.min_values.is_empty())?;
        Some(Self {
            catalog: Arc::clone(catalog),
            offerings: alike.iter().map(|raw| Arc::clone(&raw.offerings)).collect(),
            limited: data.limited,
            dimensions: build.dimensions.clone(),
            overhead: overhead.clone(),
            price_per_node: build.settings.price_per_node,
        })
    }

    fn is(&self, other: &Self) -> bool {
        let mut pairs = self.offerings.iter().zip(&other.offerings);
        Arc::ptr_eq(&self.catalog, &other.catalog)
            && self.offerings.len() == other.offerings.len()
            && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
            && self.limited == other.limited
            && self.dimensions == other.dimensions
            && self.overhead == other.overhead
            && self.price_per_node == other.price_per_node
    }
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

/// An offering as a candidate of the first cell.
fn candidate(
    build: &Build<'_>,
    data: &PoolData,
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
        cell: 0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Change;
    use crate::packing::groups::Pending;
    use crate::packing::problem::Problem;
    use crate::testing::{daemon_set, pod, price, random_problem, shape};

    fn asked(snapshot: &Snapshot, settings: &Settings) -> String {
        let pending = Pending::of(snapshot, settings);
        format!("{:?}", Problem::new(snapshot, settings, &pending).candidates)
    }

    /// A thread that has not been asked before remembers nothing.
    fn asked_anew(snapshot: &Snapshot, settings: &Settings) -> String {
        std::thread::scope(|scope| scope.spawn(|| asked(snapshot, settings)).join().unwrap())
    }

    #[test]
    fn what_is_remembered_is_what_is_worked_out_anew() {
        let usual = Settings::default();
        let dearer = Settings { price_per_node: price(0.5), ..Settings::default() };
        let (small, odd) = (shape(100, 128).build(), shape(100, 128).resource("odd", 1).build());
        let mut other_answers = [0; 3];
        for seed in 0..40 {
            let plain = random_problem(seed);
            let other_resource = plain.imagine([Change::Applied(pod("odd", &odd))]);
            let mut with_daemon = plain.clone();
            let daemon = daemon_set("one-more", &small);
            with_daemon.daemon_sets.insert(daemon.key.clone(), Arc::new(daemon));
            let questions = [
                (&plain, &usual),
                (&plain, &dearer),
                (&other_resource, &usual),
                (&with_daemon, &usual),
            ];
            let first = asked_anew(&plain, &usual);
            for (count, (snapshot, settings)) in other_answers.iter_mut().zip(&questions[1..]) {
                *count += usize::from(asked_anew(snapshot, settings) != first);
            }
            for (snapshot, settings) in questions.into_iter().chain(questions) {
                let anew = asked_anew(snapshot, settings);
                assert_eq!(asked(snapshot, settings), anew, "seed {seed}");
            }
        }
        assert!(other_answers.iter().all(|count| *count > 20), "{other_answers:?}");
    }
}
