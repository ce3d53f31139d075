//! What the pods that are there would cost at least, on any machines at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_simulations::World;
use berth_solver::model::{
    Change, ClusterEvent, ClusterState, Pod, PodPhase, Price, Snapshot, Timestamp,
};
use berth_solver::packing;
use parking_lot::Mutex;

use crate::provider::simulated::SharedWorld;

/// The bound now, and what it adds up to. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Bound(Arc<Mutex<Ledger>>);

#[derive(Debug, Default)]
struct Ledger {
    now: Option<Price>,
    since: Timestamp,
    /// Billionths times milliseconds.
    sum: u128,
}

impl Bound {
    /// The bound per hour for the pods that are there.
    pub fn now(&self) -> Option<Price> {
        self.0.lock().now
    }

    /// What it adds up to until `now`.
    pub fn total(&self, now: Timestamp) -> Price {
        const HOUR_MILLIS: u128 = 3_600_000;
        let ledger = self.0.lock();
        let sum = (ledger.sum + ledger.open(now)) / HOUR_MILLIS;
        Price::from_nanos(u64::try_from(sum).unwrap_or(u64::MAX))
    }

    fn set(&self, now: Timestamp, bound: Price) {
        let mut ledger = self.0.lock();
        ledger.sum += ledger.open(now);
        ledger.since = now;
        ledger.now = Some(bound);
    }

    /// Works the bound out whenever pods changed, a few times a second, until it is dropped.
    pub async fn follow(self, world: SharedWorld) {
        const PAUSE: Duration = Duration::from_millis(250);
        let mut seen = None;
        loop {
            let (now, generation) =
                world.with(|world| (world.now(), world.cluster().objects().generation));
            if seen != Some(generation) {
                seen = Some(generation);
                let cluster = world.look(from_scratch);
                let bound = tokio::task::spawn_blocking(move || lower_bound(&cluster)).await;
                if let Ok(bound) = bound {
                    self.set(now, bound);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Ledger {
    fn open(&self, now: Timestamp) -> u128 {
        let price = self.now.unwrap_or_default();
        u128::from(price.as_nanos()) * now.since(self.since).as_millis()
    }
}

/// The cluster with the same pods, but none of them placed and none of Berth's nodes there.
fn from_scratch(world: &World) -> Snapshot {
    let objects = world.cluster().objects();
    let mut state = ClusterState::new();
    for (name, labels) in &objects.namespaces {
        let pair = (name.clone(), labels.clone());
        state.apply(ClusterEvent::Namespace(Change::Applied(pair)));
    }
    for pool in objects.pools.values() {
        state.apply(ClusterEvent::NodePool(Change::Applied((**pool).clone())));
    }
    for (name, catalog) in &objects.catalogs {
        let pair = (name.clone(), Arc::clone(catalog));
        state.apply(ClusterEvent::Catalog(Change::Applied(pair)));
    }
    for daemon_set in objects.daemon_sets.values() {
        state.apply(ClusterEvent::DaemonSet(Change::Applied((**daemon_set).clone())));
    }
    let foreign = |name| objects.nodes.get(name).is_some_and(|state| state.node.pool().is_none());
    for node in objects.nodes.values().filter(|state| state.node.pool().is_none()) {
        state.apply(ClusterEvent::Node(Change::Applied((*node.node).clone())));
    }
    for pod in objects.pods.values() {
        let pod = match &pod.node {
            Some(node) if foreign(node) => (**pod).clone(),
            _ if pod.belongs_to_node() || pod.deleted.is_some() => continue,
            _ => Pod { node: None, phase: PodPhase::Pending, ..(**pod).clone() },
        };
        state.apply(ClusterEvent::Pod(Change::Applied(pod)));
    }
    state.snapshot()
}

/// A bound that holds is enough: the plan itself need not be good.
fn lower_bound(cluster: &Snapshot) -> Price {
    const LONGEST: Duration = Duration::from_millis(50);
    let started = Instant::now();
    let stop = packing::Budget(|| started.elapsed().as_secs_f64() / LONGEST.as_secs_f64());
    let settings = packing::Settings { search_rounds: 0, ..packing::Settings::default() };
    packing::plan(cluster, &settings, Timestamp::default(), 0, &stop).lower_bound
}
