//! The problem in the form that the packer works on: groups, bins and candidates with integer
//! indices, dense amounts, and compatibility worked out once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::constraints::topology_spread::Standing;
use crate::constraints::{gpu_shares, node_affinity, preferences, taints, volumes};
use crate::model::{Labels, PodShape, Price, Snapshot, Taint, TaintEffect};

use super::Settings;
use super::bins::Bin;
use super::dimensions::{Amounts, Dimensions};
use super::groups::{Group, Pending};
use super::inventory::{self, PoolData};
use super::offerings::{self, Candidate, Cell};
use super::raw_cells::{self, RawCell};
use super::reserved::{self, Reservation};
use super::topology::Topology;

/// A group as the packer sees it.
#[derive(Clone, Debug)]
pub struct GroupData {
    /// What its pods have in common.
    pub shape: Arc<PodShape>,
    /// The same with what their volumes ask of a node: for node requirements and resources.
    pub needs: Arc<PodShape>,
    /// What their volumes ask, if they have any that ask something.
    pub volumes: Option<Arc<volumes::Needs>>,
    /// What one of them takes.
    pub demand: Amounts,
    /// What one of them takes of GPUs, if somebody asks for shares of them.
    pub devices: gpu_shares::Ask,
    /// Its node requirements, by index, its preferences as far as they can be kept.
    pub signature: usize,
    /// The same without preferences.
    pub relaxed: usize,
    /// Whether nothing but resources matters once a node is known to be compatible.
    pub plain: bool,
}

/// Node requirements of a shape, at a step of relaxing its preferences.
#[derive(Clone, Debug)]
pub struct Signature {
    /// A shape that has them.
    pub shape: Arc<PodShape>,
    /// How many preferences were given up.
    pub step: usize,
}

impl Signature {
    /// Whether a node with these labels and taints is compatible.
    pub fn allows(&self, labels: &Labels, node_taints: &[Taint]) -> bool {
        node_affinity::check(&self.shape, labels)
            && taints::check(&self.shape, node_taints)
            && preferences::check(&self.shape, self.step, labels, node_taints)
    }
}

/// The whole problem; nothing in it changes while it is solved.
#[derive(Debug)]
pub struct Problem<'a> {
    /// What it was made from.
    pub snapshot: &'a Snapshot,
    /// Which resource has which index.
    pub dimensions: Dimensions,
    /// The groups.
    pub groups: Vec<GroupData>,
    /// Counters and rules between pods, counts as they are before anything is placed.
    pub topology: Topology,
    /// For each signature, which bins it allows.
    pub bin_allowed: Vec<Vec<bool>>,
    /// Nodes there or on their way.
    pub bins: Vec<Bin>,
    /// Combinations of domains: one domain a key.
    pub tuples: Vec<Vec<u32>>,
    /// The pools.
    pub pools: Vec<PoolData>,
    /// Kinds of new node that no requirement tells apart.
    pub cells: Vec<Cell>,
    /// What can be launched, dominated offerings left out.
    pub candidates: Vec<Candidate>,
    /// What is reserved.
    pub reservations: Vec<Reservation>,
    /// What a node counts for beyond its price.
    pub price_per_node: Price,
}

impl<'a> Problem<'a> {
    /// Works out the problem.
    pub fn new(snapshot: &'a Snapshot, settings: &Settings, pending: &Pending) -> Self {
        let groups = &pending.groups;
        let daemons = snapshot.daemon_sets.values().map(|daemon| &*daemon.shape);
        let are_shared = snapshot.nodes.values().any(|state| gpu_shares::are_shared(&state.used));
        let shapes = groups.iter().map(|group| &*group.needs).chain(daemons);
        let mut dimensions = Dimensions::of(shapes);
        if are_shared {
            dimensions = dimensions.beside_shares();
        }
        let mut topology = Topology::of(snapshot, groups);
        let pools = inventory::pools(snapshot);
        let mut tuples = Vec::new();
        let mut bins = inventory::bins(snapshot, &dimensions, &mut topology, &mut tuples);
        let raw = raw_cells::raw_cells(snapshot, groups, &pools, &topology);
        let mut signatures = Signatures::default();
        let chosen: Vec<(usize, usize)> = groups
            .iter()
            .map(|group| signatures.of_group(group, &dimensions, &bins, &raw))
            .collect();
        let signatures = signatures.list;
        let (cells, mut candidates) = offerings::cells(offerings::Build {
            snapshot,
            settings,
            dimensions: &dimensions,
            pools: &pools,
            signatures: &signatures,
            topology: &mut topology,
            tuples: &mut tuples,
            groups,
            raw,
        });
        let reservations = reserved::settle(snapshot, &pools, &cells, &mut candidates);
        topology.settle_domains();
        inventory::count_pods(snapshot, &mut bins, &mut topology, &tuples);
        let bin_allowed = signatures
            .iter()
            .map(|signature| {
                bins.iter().map(|bin| signature.allows(&bin.labels, &bin.taints)).collect()
            })
            .collect();
        let groups = groups
            .iter()
            .zip(chosen)
            .enumerate()
            .map(|(index, (group, (signature, relaxed)))| {
                let devices =
                    dimensions.shares().map(|_| gpu_shares::Ask::of(&group.needs.requests));
                let devices = devices.unwrap_or_default();
                GroupData {
                    demand: dimensions.demand(&group.needs.requests),
                    devices,
                    signature,
                    relaxed,
                    plain: topology.host_rules[index].is_empty()
                        && group.shape.host_ports.is_empty()
                        && devices.is_nothing(),
                    shape: Arc::clone(&group.shape),
                    needs: Arc::clone(&group.needs),
                    volumes: group.volumes.clone(),
                }
            })
            .collect();
        Self {
            snapshot,
            dimensions,
            groups,
            topology,
            bin_allowed,
            bins,
            tuples,
            pools,
            cells,
            candidates,
            reservations,
            price_per_node: settings.price_per_node,
        }
    }

    /// Whether no pool comes before another.
    pub fn weighs_alike(&self) -> bool {
        self.cells.windows(2).all(|cells| cells[0].weight == cells[1].weight)
    }

    /// Whether a machine of one candidate takes no more of its pool's limits than so many of another
    /// candidate of that pool.
    pub fn takes_no_more(&self, new: usize, old: usize, times: i64) -> bool {
        let (new, old) = (&self.candidates[new], &self.candidates[old]);
        let mut pairs = new.capacity.iter().zip(&old.capacity);
        !self.pools[self.cells[old.cell].pool].limited
            || pairs.all(|(new, old)| *new <= old.saturating_mul(times))
    }

    /// What decides whether pods on new nodes of a cell count: each will have its own host name.
    pub fn standing<'s>(&'s self, cell: &'s Cell) -> Standing<'s> {
        let taints = &self.pools[cell.pool].pool.taints;
        Standing { labels: &cell.labels, taints, named: true }
    }
}

type SignatureKey = (Labels, Box<[crate::model::Requirements]>, Box<[crate::model::Toleration]>);
type PreferenceKey = (Box<[crate::model::Weighted<crate::model::Requirements>]>, usize);

/// Collects the distinct signatures.
#[derive(Default)]
struct Signatures {
    list: Vec<Signature>,
    index: BTreeMap<(SignatureKey, PreferenceKey), usize>,
}

impl Signatures {
    fn add(&mut self, shape: &Arc<PodShape>, step: usize) -> usize {
        let key = (
            (shape.node_selector.clone(), shape.node_affinity.clone(), shape.tolerations.clone()),
            (shape.preferred_node_affinity.clone(), step),
        );
        let list = &mut self.list;
        *self.index.entry(key).or_insert_with(|| {
            list.push(Signature { shape: Arc::clone(shape), step });
            list.len() - 1
        })
    }

    /// The signature of a group at the first step of relaxation at which some node could take one
    /// of its pods, and the one without any preference.
    fn of_group(
        &mut self,
        group: &Group,
        dimensions: &Dimensions,
        bins: &[Bin],
        raw: &[RawCell],
    ) -> (usize, usize) {
        let shape = &group.needs;
        let last = preferences::steps(shape);
        let soft =
            |list: &[Taint]| list.iter().any(|taint| taint.effect == TaintEffect::PreferNoSchedule);
        let matters = last > 1
            || bins.iter().any(|bin| soft(&bin.taints))
            || raw.iter().any(|cell| soft(&cell.taints));
        let first = if matters {
            let demand = dimensions.demand(&shape.requests);
            (0..last)
                .find(|step| {
                    let signature = Signature { shape: Arc::clone(shape), step: *step };
                    raw.iter().any(|cell| {
                        signature.allows(&cell.labels, &cell.taints)
                            && cell.could_hold(&demand, dimensions)
                    }) || bins.iter().any(|bin| {
                        bin.open
                            && super::dimensions::fits(&demand, &bin.load.free)
                            && signature.allows(&bin.labels, &bin.taints)
                    })
                })
                .unwrap_or(last)
        } else {
            last
        };
        (self.add(shape, first), self.add(shape, last))
    }
}

/// The index of a combination of domains.
pub fn tuple_index(tuples: &mut Vec<Vec<u32>>, domains: Vec<u32>) -> usize {
    tuples.iter().position(|other| *other == domains).unwrap_or_else(|| {
        tuples.push(domains);
        tuples.len() - 1
    })
}
