use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;

use super::buffers::Buffers;
use super::figures::NodeFigures;
use super::{Change, ClusterEvent, NodeState, Resident, Snapshot};
use crate::model::{Buffer, Name, Node, NodeClaim, Pod, PodKey, Resources};

/// The one mutable picture of the cluster. It has one writer, who feeds it events and hands out
/// snapshots.
///
/// Events may come late, twice and in any order between kinds: a pod may be bound to a node that
/// is not there yet.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    picture: Snapshot,
    /// Pods bound to nodes that are not known (yet), by node.
    stray: BTreeMap<Name, BTreeMap<PodKey, Resident>>,
    /// What the picture's buffers are worked out from.
    buffers: Buffers,
}

impl ClusterState {
    /// An empty cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// The picture, to look at.
    pub const fn picture(&self) -> &Snapshot {
        &self.picture
    }

    /// The picture as it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.picture.clone()
    }

    /// Takes in what happened. Returns whether anything changed.
    pub fn apply(&mut self, event: ClusterEvent) -> bool {
        let changed = match event {
            ClusterEvent::Pod(change) => self.apply_pods(change),
            ClusterEvent::Node(change) => self.apply_nodes(change),
            ClusterEvent::NodeClaim(change) => self.apply_claims(change),
            ClusterEvent::NodePool(change) => {
                apply(&mut self.picture.pools, change, |pool| pool.name.clone())
            }
            ClusterEvent::DaemonSet(change) => {
                apply(&mut self.picture.daemon_sets, change, |daemon| daemon.key.clone())
            }
            ClusterEvent::PodDisruptionBudget(change) => {
                apply(&mut self.picture.pod_disruption_budgets, change, |budget| budget.key.clone())
            }
            ClusterEvent::PersistentVolumeClaim(change) => {
                apply(&mut self.picture.volume_claims, change, |claim| claim.key.clone())
            }
            ClusterEvent::PersistentVolume(change) => {
                apply(&mut self.picture.volumes, change, |volume| volume.name.clone())
            }
            ClusterEvent::StorageClass(change) => {
                apply(&mut self.picture.storage_classes, change, |class| class.name.clone())
            }
            ClusterEvent::CsiNode(change) => {
                apply(&mut self.picture.csi_nodes, change, |node| node.name.clone())
            }
            ClusterEvent::VolumeAttachment(change) => {
                apply(&mut self.picture.volume_attachments, change, |one| one.name.clone())
            }
            ClusterEvent::CapacityBuffer(change) => {
                self.buffers.want(change) && self.resolve_buffers()
            }
            ClusterEvent::Template(kind, change) => {
                self.buffers.set_templates(kind, change) && self.resolve_buffers()
            }
            ClusterEvent::Buffer(change) => self.set_buffers(change),
            ClusterEvent::Namespace(change) => apply_pairs(&mut self.picture.namespaces, change),
            ClusterEvent::Catalog(change) => apply_pairs(&mut self.picture.catalogs, change),
        };
        if changed {
            self.picture.generation += 1;
        }
        changed
    }

    fn resolve_buffers(&mut self) -> bool {
        let resolved = self.buffers.resolved();
        self.set_buffers(Change::Replaced(resolved))
    }

    fn set_buffers(&mut self, change: Change<PodKey, Buffer>) -> bool {
        apply(&mut self.picture.buffers, change, |buffer| buffer.key.clone())
    }

    fn apply_pods(&mut self, change: Change<PodKey, Pod>) -> bool {
        match change {
            Change::Applied(pod) => self.set_pod(Arc::new(pod)),
            Change::Deleted(key) => self.remove_pod(&key),
            Change::Replaced(pods) => {
                let listed = sorted(pods, |pod| &pod.key);
                let is_listed =
                    |key: &PodKey| listed.binary_search_by(|pod| pod.key.cmp(key)).is_ok();
                let gone: Vec<PodKey> =
                    self.picture.pods.keys().filter(|key| !is_listed(key)).cloned().collect();
                let mut changed = false;
                for key in gone {
                    changed |= self.remove_pod(&key);
                }
                for pod in listed {
                    changed |= self.set_pod(pod);
                }
                changed
            }
        }
    }

    fn set_pod(&mut self, pod: Arc<Pod>) -> bool {
        if !pod.is_alive() {
            return self.remove_pod(&pod.key);
        }
        if self.picture.pods.get(&pod.key).is_some_and(|known| same(known, &pod)) {
            return false;
        }
        self.remove_pod(&pod.key);
        self.picture.pods.insert(pod.key.clone(), Arc::clone(&pod));
        match &pod.node {
            None => {
                self.picture.unbound.insert(pod.key.clone(), pod);
            }
            Some(node) => {
                let is_there = self.change_node(node, |state| {
                    state.used += &pod.shape.requests;
                    state.pods.insert(pod.key.clone(), Arc::clone(&pod).into());
                });
                if !is_there {
                    let stray = self.stray.entry(node.clone()).or_default();
                    stray.insert(pod.key.clone(), Arc::clone(&pod).into());
                }
            }
        }
        true
    }

    fn remove_pod(&mut self, key: &PodKey) -> bool {
        let Some(pod) = self.picture.pods.remove(key) else { return false };
        match &pod.node {
            None => {
                self.picture.unbound.remove(key);
            }
            Some(node) => {
                let is_there = self.change_node(node, |state| {
                    if state.pods.remove(key).is_some() {
                        state.used = without(state, &pod.shape.requests);
                    }
                });
                if !is_there && let Some(pods) = self.stray.get_mut(node) {
                    pods.remove(key);
                    if pods.is_empty() {
                        self.stray.remove(node);
                    }
                }
            }
        }
        true
    }

    fn apply_nodes(&mut self, change: Change<Name, Node>) -> bool {
        match change {
            Change::Applied(node) => self.set_node(Arc::new(node)),
            Change::Deleted(name) => self.remove_node(&name),
            Change::Replaced(nodes) => {
                let listed = sorted(nodes, |node| &node.name);
                let is_listed =
                    |name: &Name| listed.binary_search_by(|node| node.name.cmp(name)).is_ok();
                let gone: Vec<Name> =
                    self.picture.nodes.keys().filter(|name| !is_listed(name)).cloned().collect();
                let mut changed = false;
                for name in gone {
                    changed |= self.remove_node(&name);
                }
                for node in listed {
                    changed |= self.set_node(node);
                }
                changed
            }
        }
    }

    /// Changes a node, and what scoring wants to know of it. Returns whether it is there.
    fn change_node(&mut self, name: &Name, change: impl FnOnce(&mut NodeState)) -> bool {
        let Snapshot { nodes, figures, .. } = &mut self.picture;
        let Some(state) = nodes.get_mut(name) else { return false };
        figures.let_go(name);
        change(Arc::make_mut(state));
        self.refresh(name);
        true
    }

    /// Works out anew what scoring wants to know of a node.
    fn refresh(&mut self, node: &Name) {
        let Snapshot { nodes, claims, figures, .. } = &mut self.picture;
        match nodes.get(node) {
            Some(state) => {
                let claim = claims.get(node).map(AsRef::as_ref);
                figures.insert(state, NodeFigures::of(state, claim));
            }
            None => {
                figures.remove(node);
            }
        }
    }

    fn set_node(&mut self, node: Arc<Node>) -> bool {
        let name = node.name.clone();
        match self.picture.nodes.get(&name).map(|state| Arc::clone(&state.node)) {
            Some(known) if same(&known, &node) => false,
            Some(known) => {
                self.picture.links.remove_node(&known);
                self.picture.links.add_node(&node);
                self.change_node(&name, |state| state.node = node)
            }
            None => {
                self.picture.links.add_node(&node);
                let pods = self.stray.remove(&node.name).unwrap_or_default();
                let used = pods.values().map(|pod| &pod.shape.requests).sum();
                let state = NodeState { node, pods, used };
                self.picture.nodes.insert(name.clone(), Arc::new(state));
                self.refresh(&name);
                true
            }
        }
    }

    fn remove_node(&mut self, name: &Name) -> bool {
        let Some(state) = self.picture.nodes.remove(name) else { return false };
        self.picture.links.remove_node(&state.node);
        self.refresh(name);
        if !state.pods.is_empty() {
            // Their own deletions are still to come; until then a node of the same name that
            // joins has them.
            self.stray.insert(name.clone(), state.pods.clone());
        }
        true
    }

    fn apply_claims(&mut self, change: Change<Name, NodeClaim>) -> bool {
        let touched: Vec<Name> = match &change {
            Change::Applied(claim) => vec![claim.name.clone()],
            Change::Deleted(name) => vec![name.clone()],
            Change::Replaced(claims) => {
                let listed = claims.iter().map(|claim| claim.name.clone());
                self.picture
                    .claims
                    .keys()
                    .cloned()
                    .chain(listed)
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect()
            }
        };
        let Snapshot { claims, links, .. } = &mut self.picture;
        for claim in touched.iter().filter_map(|name| claims.get(name)) {
            links.remove_claim(claim);
        }
        let changed = apply(claims, change, |claim| claim.name.clone());
        for claim in touched.iter().filter_map(|name| claims.get(name)) {
            links.add_claim(claim);
        }
        for name in &touched {
            self.refresh(name);
        }
        changed
    }
}

impl Snapshot {
    /// The cluster as it would be if these pods came or went, too. The generation stays, for
    /// nothing of it has happened.
    #[must_use]
    pub fn imagine(&self, changes: impl IntoIterator<Item = Change<PodKey, Pod>>) -> Self {
        // Which pods are astray matters only when nodes come, and none does here.
        let mut state = ClusterState { picture: self.clone(), ..ClusterState::default() };
        for change in changes {
            state.apply_pods(change);
        }
        state.picture
    }
}

/// What a node's pods take after one that took `requests` has gone.
fn without(state: &NodeState, requests: &Resources) -> Resources {
    // A sum that was cut at the largest number has forgotten what it was made of.
    let used = &state.used;
    let plain = [used.cpu.0, used.memory.0, used.ephemeral_storage.0, used.pods];
    let extended = used.extended().iter().map(|(_, amount)| *amount);
    if plain.into_iter().chain(extended).any(|amount| amount == i64::MAX) {
        state.pods.values().map(|pod| &pod.shape.requests).sum()
    } else {
        used - requests
    }
}

/// Whether both are equal; quick where they are one and the same.
fn same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// A list sorted by key; of several objects with one key the last counts.
fn sorted<T, K: Ord>(mut list: Vec<Arc<T>>, key_of: impl Fn(&T) -> &K) -> Vec<Arc<T>> {
    list.sort_by(|one, other| key_of(one).cmp(key_of(other)));
    list.dedup_by(|later, earlier| {
        let repeated = key_of(later) == key_of(earlier);
        if repeated {
            std::mem::swap(later, earlier);
        }
        repeated
    });
    list
}

pub(super) fn apply<K: Ord + Clone, T: PartialEq>(
    map: &mut OrdMap<K, Arc<T>>,
    change: Change<K, T>,
    key_of: impl Fn(&T) -> K,
) -> bool {
    match change {
        Change::Applied(object) => {
            let key = key_of(&object);
            if map.get(&key).is_some_and(|known| **known == object) {
                return false;
            }
            map.insert(key, Arc::new(object));
            true
        }
        Change::Deleted(key) => map.remove(&key).is_some(),
        Change::Replaced(objects) => {
            // Objects that did not change stay shared with earlier snapshots.
            let shared = objects.into_iter().map(|object| {
                let key = key_of(&object);
                match map.get(&key) {
                    Some(known) if same(known, &object) => (key, Arc::clone(known)),
                    _ => (key, object),
                }
            });
            let list: OrdMap<K, Arc<T>> = shared.collect();
            let changed = *map != list;
            *map = list;
            changed
        }
    }
}

fn apply_pairs<K: Ord + Clone, T: PartialEq + Clone>(
    map: &mut OrdMap<K, T>,
    change: Change<K, (K, T)>,
) -> bool {
    match change {
        Change::Applied((key, value)) => {
            if map.get(&key) == Some(&value) {
                return false;
            }
            map.insert(key, value);
            true
        }
        Change::Deleted(key) => map.remove(&key).is_some(),
        Change::Replaced(pairs) => {
            let list: OrdMap<K, T> = pairs.into_iter().map(Arc::unwrap_or_clone).collect();
            let changed = *map != list;
            *map = list;
            changed
        }
    }
}
