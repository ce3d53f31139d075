//! The API server of the virtual cluster: objects, what may be done with them, and who is told.
//!
//! Objects are the model's records. Everything that changes is told to every subscriber as a
//! [`ClusterEvent`], a subscriber's first events being a complete list of each kind.

mod budgets;
mod nodes;
mod pods;
mod writes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_solver::model::{
    Catalog, Change, ClusterEvent, ClusterState, DaemonSet, Labels, Name, NodePool, PodKey,
    Snapshot, Timestamp, VolumeAttachment,
};

pub use budgets::{Availability, BudgetSpec};
pub use pods::NewPod;

use budgets::Budget;

/// Why the API server refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no such object, or only another one of that name (404).
    #[error("{kind} {name} not found")]
    NotFound {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one already (409).
    #[error("{kind} {name} already exists")]
    AlreadyExists {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The object is not in the state that the request expects (409).
    #[error("{kind} {name}: {message}")]
    Conflict {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is in the way.
        message: String,
    },
    /// A PodDisruptionBudget does not allow the eviction now (429).
    #[error("cannot evict pod {pod}: PodDisruptionBudget {budget} allows no more disruptions now")]
    TooManyRequests {
        /// The pod.
        pod: String,
        /// The budget.
        budget: String,
    },
}

/// One who is told what changes: made by [`Cluster::subscribe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription(usize);

/// The API server and its store.
#[derive(Debug, Default)]
pub struct Cluster {
    now: Timestamp,
    state: ClusterState,
    budgets: BTreeMap<PodKey, Budget>,
    subscribers: Vec<VecDeque<ClusterEvent>>,
    created: u64,
    evictions: u64,
}

impl Cluster {
    /// An empty cluster.
    pub fn new(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// What time it is in the cluster.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Lets time pass; it never goes back.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// The cluster as it is now.
    pub const fn objects(&self) -> &Snapshot {
        self.state.picture()
    }

    /// How many pods were evicted so far.
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// A new subscriber, whose first events list what is there, kind by kind.
    pub fn subscribe(&mut self) -> Subscription {
        let objects = self.objects();
        let namespaces = objects.namespaces.iter();
        let catalogs = objects.catalogs.iter();
        let lists = VecDeque::from([
            ClusterEvent::Namespace(Change::list(
                namespaces.map(|(name, labels)| (name.clone(), labels.clone())),
            )),
            ClusterEvent::NodePool(Change::Replaced(records(objects.pools.values()))),
            ClusterEvent::Catalog(Change::list(
                catalogs.map(|(name, catalog)| (name.clone(), Arc::clone(catalog))),
            )),
            ClusterEvent::NodeClaim(Change::Replaced(records(objects.claims.values()))),
            ClusterEvent::Node(Change::Replaced(
                objects.nodes.values().map(|state| Arc::clone(&state.node)).collect(),
            )),
            ClusterEvent::DaemonSet(Change::Replaced(records(objects.daemon_sets.values()))),
            ClusterEvent::PodDisruptionBudget(Change::Replaced(records(
                objects.pod_disruption_budgets.values(),
            ))),
            ClusterEvent::VolumeAttachment(Change::Replaced(records(
                objects.volume_attachments.values(),
            ))),
            ClusterEvent::Pod(Change::Replaced(records(objects.pods.values()))),
        ]);
        self.subscribers.push(lists);
        Subscription(self.subscribers.len() - 1)
    }

    /// What changed since the subscriber last asked, in order.
    pub fn drain(&mut self, subscription: Subscription) -> Vec<ClusterEvent> {
        self.subscribers
            .get_mut(subscription.0)
            .map(|queue| queue.drain(..).collect())
            .unwrap_or_default()
    }

    /// Creates or replaces a namespace.
    pub fn set_namespace(&mut self, name: Name, labels: Labels) {
        self.emit(ClusterEvent::Namespace(Change::Applied((name, labels))));
    }

    /// Creates or replaces a NodePool.
    pub fn set_pool(&mut self, pool: NodePool) {
        self.emit(ClusterEvent::NodePool(Change::Applied(pool)));
    }

    /// Says what a NodePool's cloud sells.
    pub fn set_catalog(&mut self, pool: Name, catalog: Arc<Catalog>) {
        self.emit(ClusterEvent::Catalog(Change::Applied((pool, catalog))));
    }

    /// Creates or replaces a DaemonSet.
    pub fn set_daemon_set(&mut self, daemon_set: DaemonSet) {
        self.emit(ClusterEvent::DaemonSet(Change::Applied(daemon_set)));
    }

    /// Deletes a DaemonSet.
    pub fn delete_daemon_set(&mut self, key: &PodKey) {
        self.emit(ClusterEvent::DaemonSet(Change::Deleted(key.clone())));
    }

    /// Attaches a volume to a node.
    pub fn attach_volume(&mut self, attachment: VolumeAttachment) {
        self.emit(ClusterEvent::VolumeAttachment(Change::Applied(attachment)));
    }

    /// The volume is attached no more.
    pub fn detach_volume(&mut self, attachment: &Name) {
        self.emit(ClusterEvent::VolumeAttachment(Change::Deleted(attachment.clone())));
    }

    /// A UID that no other object has.
    pub fn new_uid(&mut self, kind: &str) -> Name {
        self.created += 1;
        Name::from(format!("{kind}-{:08x}", self.created))
    }

    fn emit(&mut self, event: ClusterEvent) {
        if self.state.apply(event.clone()) {
            for queue in &mut self.subscribers {
                queue.push_back(event.clone());
            }
        }
    }
}

fn records<'a, T: 'a>(objects: impl Iterator<Item = &'a Arc<T>>) -> Vec<Arc<T>> {
    objects.cloned().collect()
}
