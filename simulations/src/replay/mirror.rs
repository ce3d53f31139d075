//! Pictures of the replayed cluster for the deciding code.
//!
//! Two: of those who wait, kept up to date as it happens (it is small), and of everything, brought
//! up to date only when somebody looks. Pods that came and went in between never appear there.

use std::sync::Arc;

use berth_solver::model::{Change, ClusterEvent, ClusterState, Name, PodKey, Snapshot};

use super::fleet::{NodeId, NodeRow, Phase};
use super::kinds::Kinds;
use super::objects;
use super::pods::{PodId, PodRow};
use super::world::{Market, World};

/// The pictures, and what changed since.
#[derive(Debug)]
pub(super) struct Mirror {
    /// Pods that wait and nodes on their way.
    waiting: ClusterState,
    /// Everything.
    full: ClusterState,
    pods: Vec<PodId>,
    nodes: Vec<NodeId>,
    gone_pods: Vec<PodKey>,
    gone_nodes: Vec<Name>,
}

impl Mirror {
    pub fn new(market: &Market) -> Self {
        let mut mirror = Self {
            waiting: market_alone(market),
            full: market_alone(market),
            pods: Vec::new(),
            nodes: Vec::new(),
            gone_pods: Vec::new(),
            gone_nodes: Vec::new(),
        };
        mirror.market_changes(market);
        mirror
    }

    pub fn market_changes(&mut self, market: &Market) {
        for state in [&mut self.waiting, &mut self.full] {
            let pair = (market.pool.name.clone(), Arc::clone(&market.catalog));
            state.apply(ClusterEvent::Catalog(Change::Applied(pair)));
        }
    }

    /// A pod waits, or waits still.
    pub fn wait(&mut self, id: PodId, row: &PodRow, kinds: &Kinds) {
        let pod = objects::pod(id, row, &kinds.get(row.shape).shape, None);
        self.waiting.apply(ClusterEvent::Pod(Change::Applied(pod)));
    }

    pub fn waits_no_more(&mut self, id: PodId, row: &PodRow) {
        if !self.waiting.picture().pods.is_empty() {
            self.waiting.apply(ClusterEvent::Pod(Change::Deleted(row.key(id))));
        }
    }

    pub fn pod_is_gone(&mut self, id: PodId, row: &PodRow) {
        self.waits_no_more(id, row);
        if row.shown {
            self.gone_pods.push(row.key(id));
        }
    }

    pub fn node_is_coming(&mut self, row: &NodeRow) {
        let claim = objects::claim(row);
        self.waiting.apply(ClusterEvent::NodeClaim(Change::Applied(claim)));
    }

    pub fn node_is_coming_no_more(&mut self, row: &NodeRow) {
        self.waiting.apply(ClusterEvent::NodeClaim(Change::Deleted(row.name.clone())));
    }

    pub fn node_is_gone(&mut self, row: &NodeRow) {
        if row.shown {
            self.gone_nodes.push(row.name.clone());
        }
    }

    /// A copy of the picture of those who wait.
    pub fn those_who_wait(&self) -> ClusterState {
        self.waiting.clone()
    }

    /// How many pods wait.
    pub fn waiting_pods(&self) -> usize {
        self.waiting.picture().unbound.len()
    }
}

/// The pool and what it may launch, and nothing else.
pub(super) fn market_alone(market: &Market) -> ClusterState {
    let mut state = ClusterState::new();
    state.apply(ClusterEvent::NodePool(Change::Applied((*market.pool).clone())));
    let pair = (market.pool.name.clone(), Arc::clone(&market.catalog));
    state.apply(ClusterEvent::Catalog(Change::Applied(pair)));
    if let Some(daemon) = &market.daemon {
        state.apply(ClusterEvent::DaemonSet(Change::Applied((**daemon).clone())));
    }
    state
}

impl World<'_> {
    /// What the full picture shows of a pod is out of date.
    pub fn touch_pod(&mut self, id: PodId) {
        let Some(row) = self.pods.get_mut(id).filter(|row| !row.dirty) else { return };
        row.dirty = true;
        let touched = &mut self.mirror.pods;
        touched.push(id);
        // Rows are used again, and a policy may never look: only those that are alive are noted.
        let most = usize::try_from(self.pods.alive()).unwrap_or(usize::MAX).saturating_mul(2);
        if touched.len() > most.saturating_add(1_024) {
            touched.sort_unstable();
            touched.dedup();
            touched.retain(|id| self.pods.get(*id).is_some_and(|row| row.dirty));
        }
    }

    /// What the full picture shows of a node is out of date.
    pub fn touch_node(&mut self, id: NodeId) {
        if let Some(row) = self.fleet.get_mut(id).filter(|row| !row.dirty) {
            row.dirty = true;
            self.mirror.nodes.push(id);
        }
    }

    /// Those who wait, nodes on their way, and what is sold: all that a plan for pods needs that
    /// no node which is up has room for. Where pods go by where others are, everything.
    pub fn those_to_plan_for(&mut self) -> Snapshot {
        let waiting = self.mirror.waiting.snapshot();
        let ruled = waiting.unbound.values().any(|pod| {
            !pod.shape.topology_spread.is_empty() || !pod.shape.anti_affinity.is_empty()
        });
        if !ruled {
            return waiting;
        }
        self.picture();
        // Those whom no machine could hold are not planned for.
        let mut all = self.mirror.full.snapshot();
        all.unbound = waiting.unbound;
        all
    }

    /// Those who wait and nodes on their way.
    pub const fn those_who_wait(&self) -> &Snapshot {
        self.mirror.waiting.picture()
    }

    /// Everything, as it is now.
    pub fn picture(&mut self) -> &Snapshot {
        let Mirror { full, pods, nodes, gone_pods, gone_nodes, .. } = &mut self.mirror;
        for key in gone_pods.drain(..) {
            full.apply(ClusterEvent::Pod(Change::Deleted(key)));
        }
        for name in gone_nodes.drain(..) {
            full.apply(ClusterEvent::Node(Change::Deleted(name.clone())));
            full.apply(ClusterEvent::NodeClaim(Change::Deleted(name)));
        }
        for id in nodes.drain(..) {
            let Some(row) = self.fleet.get_mut(id).filter(|row| row.dirty) else { continue };
            (row.dirty, row.shown) = (false, true);
            if row.phase != Phase::Coming {
                full.apply(ClusterEvent::Node(Change::Applied(objects::node(row))));
            }
            full.apply(ClusterEvent::NodeClaim(Change::Applied(objects::claim(row))));
        }
        for id in pods.drain(..) {
            let Some(row) = self.pods.get_mut(id).filter(|row| row.dirty) else { continue };
            (row.dirty, row.shown) = (false, true);
            let node = row.node.and_then(|node| self.fleet.get(node)).map(|node| &node.name);
            let pod = objects::pod(id, row, &self.kinds.get(row.shape).shape, node);
            full.apply(ClusterEvent::Pod(Change::Applied(pod)));
        }
        full.picture()
    }
}
