//! What is there: nodes, claims on their way, what pools hold, and which pods count where.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use crate::constraints::{attachments, daemons, gpu_shares, node_state, pool_limits::Usage};
use crate::model::{
    Catalog, Name, NodeClaim, NodePool, NodeState, Pod, PodKey, PodShape, Price, Resident,
    Resources, Snapshot, well_known,
};

use super::bins::{Bin, Load, Place};
use super::dimensions::{self, Dimensions};
use super::problem::tuple_index;
use super::topology::{Key, Topology};

/// A NodePool, what its cloud sells, and what it holds.
#[derive(Clone, Debug)]
pub struct PoolData {
    /// The pool.
    pub pool: Arc<NodePool>,
    /// What its cloud sells, if that is known.
    pub catalog: Option<Arc<Catalog>>,
    /// What its nodes have together.
    pub usage: Usage,
    /// Whether it has any limit.
    pub limited: bool,
}

/// All pools, by name.
pub fn pools(snapshot: &Snapshot) -> Vec<PoolData> {
    let usage = usage(snapshot);
    snapshot
        .pools
        .iter()
        .map(|(name, pool)| PoolData {
            pool: Arc::clone(pool),
            catalog: snapshot.catalogs.get(name).cloned(),
            usage: usage.get(name).cloned().unwrap_or_default(),
            limited: pool.limits != crate::model::Limits::default(),
        })
        .collect()
}

/// What each pool holds: its claims, and nodes that carry its label but have no claim.
pub(super) fn usage(snapshot: &Snapshot) -> BTreeMap<Name, Usage> {
    let mut usage: BTreeMap<Name, Usage> = BTreeMap::new();
    let owners = Owners::of(snapshot);
    for claim in snapshot.claims.values() {
        let Some(pool) = claim.pool() else { continue };
        let node = || Some(snapshot.node_of_claim(claim)?.node.capacity.clone());
        let capacity = claim.capacity.clone().or_else(node).or_else(|| {
            let catalog = snapshot.catalogs.get(pool)?;
            Some(catalog.get(claim.instance_type()?)?.capacity.clone())
        });
        let capacity = capacity.unwrap_or_else(|| claim.requests.clone());
        let price = claim_price(snapshot, claim);
        let entry = usage.entry(pool.clone()).or_default();
        *entry = entry.with(&capacity, price);
    }
    for state in snapshot.nodes.values().filter(|state| owners.claim_of(state).is_none()) {
        if let Some(pool) = state.node.pool() {
            let entry = usage.entry(pool.clone()).or_default();
            *entry = entry.with(&state.node.capacity, Price::ZERO);
        }
    }
    usage
}

fn claim_price(snapshot: &Snapshot, claim: &NodeClaim) -> Price {
    claim
        .price
        .or_else(|| {
            let catalog = snapshot.catalogs.get(claim.pool()?)?;
            catalog.price(claim.instance_type()?, claim.zone()?, claim.capacity_type()?)
        })
        .unwrap_or_default()
}

/// Claims by the nodes that are theirs.
struct Owners<'a> {
    by_node: HashMap<&'a Name, &'a Arc<NodeClaim>>,
    by_provider: HashMap<&'a Name, &'a Arc<NodeClaim>>,
}

impl<'a> Owners<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let claims = || snapshot.claims.values();
        Self {
            by_node: claims()
                .filter_map(|claim| Some((claim.node_name.as_ref()?, claim)))
                .collect(),
            by_provider: claims()
                .filter_map(|claim| Some((claim.provider_id.as_ref()?, claim)))
                .collect(),
        }
    }

    fn claim_of(&self, state: &NodeState) -> Option<&'a Arc<NodeClaim>> {
        self.by_node.get(&state.node.name).copied().or_else(|| {
            state.node.provider_id.as_ref().and_then(|id| self.by_provider.get(id)).copied()
        })
    }
}

/// Nodes by name, then claims whose nodes have not joined, by name.
pub fn bins(
    snapshot: &Snapshot,
    dimensions: &Dimensions,
    topology: &mut Topology,
    tuples: &mut Vec<Vec<u32>>,
) -> Vec<Bin> {
    let owners = Owners::of(snapshot);
    let mut bins = Vec::new();
    let mut joined: HashSet<&Name> = HashSet::default();
    for state in snapshot.nodes.values() {
        let claim = owners.claim_of(state);
        joined.extend(claim.map(|claim| &claim.name));
        bins.push(node_bin(state, claim));
    }
    let coming = snapshot
        .claims
        .values()
        .filter(|claim| claim.deleted.is_none() && !joined.contains(&claim.name))
        .map(|claim| claim_bin(snapshot, claim));
    let prepared: Vec<_> = bins.into_iter().chain(coming).collect();
    let nominated = nominated(snapshot);
    prepared
        .into_iter()
        .map(|(mut bin, free, state)| {
            bin.tuple = tuple_index(tuples, topology.domains_of(&bin.labels));
            bin.load.free = dimensions.supply(&free);
            if let Some(state) = state {
                take_in_use(snapshot, dimensions, &mut bin, state);
                for pod in nominated.get(&state.node.name).into_iter().flatten() {
                    let demand = dimensions.demand(&pod.shape.requests);
                    dimensions::take(&mut bin.load.free, &demand, 1);
                    bin.load.ports.extend(pod.shape.host_ports.iter().cloned());
                }
            }
            if bin.open {
                let pods = state.map(|state| &state.pods);
                keep_for_daemons(snapshot, dimensions, topology, &mut bin, pods);
            }
            bin
        })
        .collect()
}

type Prepared<'a> = (Bin, Resources, Option<&'a NodeState>);

fn node_bin<'a>(state: &'a NodeState, claim: Option<&Arc<NodeClaim>>) -> Prepared<'a> {
    let node = &state.node;
    let leaving = node.deleted.is_some()
        || node.has_taint(well_known::DISRUPTED_TAINT)
        || claim.is_some_and(|claim| claim.deleted.is_some());
    let coming = claim.filter(|claim| !leaving && !claim.is(well_known::condition::INITIALIZED));
    let ports = state.pods.values().flat_map(|pod| pod.shape.host_ports.iter().cloned());
    let mut bin = Bin {
        place: Place::Node(node.name.clone()),
        open: !leaving && node_state::check(node),
        labels: node.labels.clone(),
        taints: node.taints.clone(),
        tuple: 0,
        has_host: node.label(well_known::HOSTNAME_LABEL).is_some(),
        load: Load { ports: ports.collect(), ..Load::default() },
    };
    let mut allocatable = node.allocatable.clone();
    if let Some(claim) = coming {
        // Startup taints, not-ready and the like go away by themselves: what counts is the node
        // as its claim describes it.
        bin.place = Place::Claim(claim.name.clone());
        bin.open = !node.unschedulable;
        bin.labels = claim.node_labels().with(node.labels.iter().cloned());
        bin.taints = claim.taints.clone();
        bin.has_host = true;
        if let Some(promised) = &claim.allocatable {
            allocatable = fill_zeros(&allocatable, promised);
        }
    }
    (bin, &allocatable - &state.used, Some(state))
}

/// What a kubelet has not reported yet (devices, often), as the cloud promised it.
fn fill_zeros(reported: &Resources, promised: &Resources) -> Resources {
    let mut filled = reported.clone();
    if filled.cpu.0 == 0 {
        filled.cpu = promised.cpu;
    }
    if filled.memory.0 == 0 {
        filled.memory = promised.memory;
    }
    if filled.ephemeral_storage.0 == 0 {
        filled.ephemeral_storage = promised.ephemeral_storage;
    }
    if filled.pods == 0 {
        filled.pods = promised.pods;
    }
    for (name, amount) in promised.extended() {
        if filled.extended_amount(name) == 0 {
            filled.set_extended(name.clone(), *amount);
        }
    }
    filled
}

fn claim_bin<'a>(snapshot: &'a Snapshot, claim: &NodeClaim) -> Prepared<'a> {
    let from_catalog = || {
        let catalog = snapshot.catalogs.get(claim.pool()?)?;
        Some(catalog.get(claim.instance_type()?)?.allocatable())
    };
    // A claim of which nothing else is known has at least the room it was asked for.
    let allocatable =
        claim.allocatable.clone().or_else(from_catalog).unwrap_or_else(|| claim.requests.clone());
    let bin = Bin {
        place: Place::Claim(claim.name.clone()),
        open: true,
        labels: claim.node_labels(),
        taints: claim.taints.clone(),
        tuple: 0,
        has_host: true,
        load: Load::default(),
    };
    (bin, allocatable, None)
}

/// Pods that kube-scheduler makes room for by evicting others, by their nodes.
fn nominated(snapshot: &Snapshot) -> BTreeMap<&Name, Vec<&Pod>> {
    let mut nominated: BTreeMap<&Name, Vec<&Pod>> = BTreeMap::new();
    for pod in snapshot.unbound.values().filter(|pod| snapshot.is_nominated(pod)) {
        if let Some(node) = &pod.nominated_node {
            nominated.entry(node).or_default().push(pod);
        }
    }
    nominated
}

/// Takes off what the pods on a node have of its attachments, and notes their shares of GPUs.
fn take_in_use(snapshot: &Snapshot, dimensions: &Dimensions, bin: &mut Bin, state: &NodeState) {
    for (index, driver) in dimensions.attachments() {
        bin.load.free[index] = attachments::free(snapshot, state, driver);
    }
    if dimensions.shares().is_some() {
        bin.load.shares = gpu_shares::shares_on(state);
    }
}

/// Keeps room for the daemons that will run on a node and are not there yet.
fn keep_for_daemons(
    snapshot: &Snapshot,
    dimensions: &Dimensions,
    topology: &Topology,
    bin: &mut Bin,
    pods: Option<&BTreeMap<PodKey, Resident>>,
) {
    for daemon in snapshot.daemon_sets.values() {
        let there = pods.is_some_and(|pods| pods.values().any(|pod| daemons::owns(daemon, pod)));
        if !there && daemons::check(daemon, &bin.labels, &bin.taints) {
            add_daemon(snapshot, dimensions, topology, &daemon.shape, &mut bin.load);
        }
    }
}

/// Puts a daemon's pod on a load.
pub fn add_daemon(
    snapshot: &Snapshot,
    dimensions: &Dimensions,
    topology: &Topology,
    shape: &PodShape,
    load: &mut Load,
) {
    dimensions::take(&mut load.free, &dimensions.demand(&shape.requests), 1);
    load.ports.extend(shape.host_ports.iter().cloned());
    for counter in topology.counters_of(snapshot, shape) {
        if topology.counters[counter].key == Key::Host {
            load.count(counter, 1);
        }
    }
}

/// Counts the pods that are on nodes, and marks the domains that have nodes.
pub fn count_pods(
    snapshot: &Snapshot,
    bins: &mut [Bin],
    topology: &mut Topology,
    tuples: &[Vec<u32>],
) {
    if topology.counters.is_empty() {
        return;
    }
    let mut by_shape: HashMap<*const PodShape, Vec<usize>> = HashMap::default();
    let claim_node =
        |claim: &Name| snapshot.claims.get(claim).and_then(|claim| snapshot.node_of_claim(claim));
    for bin in bins {
        let state = match &bin.place {
            Place::Node(name) => snapshot.nodes.get(name),
            Place::Claim(name) => claim_node(name),
        };
        let domains = &tuples[bin.tuple];
        let counting = counting(topology, bin);
        for (index, counts) in counting.iter().enumerate() {
            let counter = &mut topology.counters[index];
            if let (true, Key::Label(key)) = (*counts, counter.key)
                && let Some(slot) = counter.present.get_mut(domains[key] as usize)
            {
                *slot = true;
            }
        }
        for pod in state.into_iter().flat_map(|state| state.pods.values()) {
            let counters = by_shape
                .entry(Arc::as_ptr(&pod.shape))
                .or_insert_with(|| topology.counters_of(snapshot, &pod.shape))
                .clone();
            for counter in counters {
                if counting[counter] && topology.counts_pod(counter, pod) {
                    topology.add(counter, domains, 1, true);
                    if topology.counters[counter].key == Key::Host && bin.has_host {
                        bin.load.count(counter, 1);
                    }
                }
            }
        }
    }
}

/// For each counter, whether a node counts for it.
fn counting(topology: &Topology, bin: &Bin) -> Vec<bool> {
    (0..topology.counters.len())
        .map(|counter| topology.counts_node(counter, bin.standing()))
        .collect()
}
