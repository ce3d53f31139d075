//! Builders of model objects for tests, benches and simulations: short, with sensible defaults.
//!
//! What has few fields to vary is a function ([`pod`], [`node`], [`pool`], [`claim`]); vary the
//! rest with struct update syntax. Pod shapes have a builder ([`shape`]), clusters too
//! ([`cluster`]).
//!
//! ```
//! use berth_solver::model::{Pod, well_known};
//! use berth_solver::testing::{cluster, exoscale_catalog, node, pod, pods, pool, shape};
//!
//! let web = shape(500, 1024).label("app", "web").spread(well_known::ZONE_LABEL, 1).build();
//! let snapshot = cluster()
//!     .pool(pool("general"), exoscale_catalog(&["ch-gva-2"]))
//!     .node(node("n1", 4000, 8192))
//!     .pods(pods("web", 3, &web))
//!     .pod(Pod { node: Some("n1".into()), ..pod("old", &web) })
//!     .snapshot();
//! assert_eq!(snapshot.unbound.len(), 3);
//! ```

#![allow(clippy::expect_used, reason = "a test that builds nonsense should stop")]

mod catalogs;
mod clusters;
mod machines;
mod pods;
mod random;
mod storage;
mod workloads;

use std::sync::Arc;

pub use catalogs::{
    exoscale_catalog, instance_type, karpenter_catalog, mixed_catalog, offering, price, type_of,
};
pub use clusters::{after_plan, after_round, half_empty_cluster, percent, up};
pub use machines::{
    claim, claim_with_condition, empty_plan, launch, node, node_of_claim, place_on_claim,
    place_on_node, pool,
};
pub use pods::{ShapeBuilder, bound, daemon_set, pod, pods, shape};
pub use random::random_problem;
pub use storage::{storage_class, volume, volume_claim};
pub use workloads::Workload;

use crate::model::{
    Buffer, Catalog, Change, ClusterEvent, ClusterState, DaemonSet, Labels, Name, Node, NodeClaim,
    NodePool, Operator, Pod, PodDisruptionBudget, PodShape, Requirements, Snapshot, Taint,
    TaintEffect, ValueSet,
};

/// Labels from pairs.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (Name::from(*key), Name::from(*value))).collect()
}

/// What an operator and its values allow.
pub fn values(operator: Operator, values: &[&str]) -> ValueSet {
    ValueSet::of(operator, values.iter().copied().map(Name::from))
}

/// Requirements from triples.
pub fn requirements(triples: &[(&str, Operator, &[&str])]) -> Requirements {
    triples
        .iter()
        .map(|(key, operator, list)| (Name::from(*key), values(*operator, list)))
        .collect()
}

/// A taint `NoSchedule`.
pub fn taint(key: &str, value: &str) -> Taint {
    Taint { key: key.into(), value: value.into(), effect: TaintEffect::NoSchedule }
}

/// An empty cluster with the namespace `default`.
pub fn cluster() -> ClusterBuilder {
    ClusterBuilder::default().event(ClusterEvent::Namespace(Change::Applied((
        Name::from("default"),
        labels(&[("kubernetes.io/metadata.name", "default")]),
    ))))
}

/// A cluster in the making; what is added twice under one name is replaced.
#[derive(Clone, Debug, Default)]
pub struct ClusterBuilder {
    state: ClusterState,
}

impl ClusterBuilder {
    /// Adds a NodePool and what its cloud sells.
    #[must_use]
    pub fn pool(self, pool: NodePool, catalog: impl Into<Arc<Catalog>>) -> Self {
        let name = pool.name.clone();
        self.event(ClusterEvent::NodePool(Change::Applied(pool)))
            .event(ClusterEvent::Catalog(Change::Applied((name, catalog.into()))))
    }

    /// Adds a node.
    #[must_use]
    pub fn node(self, node: Node) -> Self {
        self.event(ClusterEvent::Node(Change::Applied(node)))
    }

    /// Adds a NodeClaim.
    #[must_use]
    pub fn claim(self, claim: NodeClaim) -> Self {
        self.event(ClusterEvent::NodeClaim(Change::Applied(claim)))
    }

    /// Adds a pod.
    #[must_use]
    pub fn pod(self, pod: Pod) -> Self {
        self.event(ClusterEvent::Pod(Change::Applied(pod)))
    }

    /// Adds pods.
    #[must_use]
    pub fn pods(self, pods: impl IntoIterator<Item = Pod>) -> Self {
        pods.into_iter().fold(self, Self::pod)
    }

    /// Adds a DaemonSet.
    #[must_use]
    pub fn daemon_set(self, daemon_set: DaemonSet) -> Self {
        self.event(ClusterEvent::DaemonSet(Change::Applied(daemon_set)))
    }

    /// Adds a namespace.
    #[must_use]
    pub fn namespace(self, name: &str, namespace_labels: &[(&str, &str)]) -> Self {
        let pair = (Name::from(name), labels(namespace_labels));
        self.event(ClusterEvent::Namespace(Change::Applied(pair)))
    }

    /// Adds a PodDisruptionBudget.
    #[must_use]
    pub fn pod_disruption_budget(self, budget: PodDisruptionBudget) -> Self {
        self.event(ClusterEvent::PodDisruptionBudget(Change::Applied(budget)))
    }

    /// Adds room to keep free in the namespace `default`, for so many pods of this shape.
    #[must_use]
    pub fn buffer(self, name: &str, shape: &Arc<PodShape>, replicas: u32) -> Self {
        let Pod { key, uid, .. } = pod(name, shape);
        let buffer = Buffer::new(key, uid, Arc::clone(shape), replicas);
        self.event(ClusterEvent::Buffer(Change::Applied(buffer)))
    }

    /// Lets any event happen.
    #[must_use]
    pub fn event(mut self, event: ClusterEvent) -> Self {
        self.state.apply(event);
        self
    }

    /// The picture.
    pub fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }
}
