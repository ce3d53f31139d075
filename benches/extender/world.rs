//! The cluster that the extender knows, and what happens in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use berth::cache::{self, Cache, CacheSender, Kind};
use berth::clock::Clock;
use berth::extender::{Extender, ExtenderState};
use berth::metrics::Metrics;
use berth_solver::model::{
    Change, ClusterEvent, Name, Pod, PodPhase, Target, Timestamp, well_known,
};
use berth_solver::packing;
use berth_solver::placement::{Settings, StandingPlan};
use berth_solver::testing::{
    bound, claim, claim_with_condition, exoscale_catalog, node_of_claim, pod, pool, shape, type_of,
};
use bytes::Bytes;
use serde_json::json;

pub const NODES: usize = 5_000;
pub const PODS: usize = 150_000;
/// Pods that wait; the first of them are planned for, ten on a node.
const PENDING: usize = 3_000;
const PLANNED: usize = 2_000;
/// Pods of one owner that wait and must be spread over zones, planned for the same nodes.
const SPREAD: usize = 500;

pub struct World {
    pub cache: Cache,
    pub sender: CacheSender,
}

fn node_name(index: usize) -> String {
    format!("default-{index:05}")
}

fn running(index: usize) -> Pod {
    let web = shape(50, 100).label("app", "web").build();
    bound(pod(&format!("old-{index}"), &web), &node_name(index % NODES))
}

fn pending(index: usize) -> Pod {
    let web = shape(500, 1_024).label("app", "new").build();
    Pod { unschedulable: true, ..pod(&format!("new-{index}"), &web) }
}

fn spread(index: usize) -> Pod {
    let web = shape(100, 128).label("app", "spread").spread(well_known::ZONE_LABEL, 1).build();
    Pod { unschedulable: true, ..pod(&format!("spread-{index}"), &web) }
}

impl World {
    pub async fn new() -> Self {
        let (writer, sender, mut cache) = cache::channel(cache::Settings::default(), [Kind::Pod]);
        tokio::spawn(writer.run_apart());
        let world = Self { cache: cache.clone(), sender };
        let (pool, catalog) = (pool("default"), exoscale_catalog(&["ch-gva-2"]));
        let kind = type_of(&catalog, "standard.large").clone();
        let name = pool.name.clone();
        world.send(ClusterEvent::NodePool(Change::Applied(pool.clone()))).await;
        world.send(ClusterEvent::Catalog(Change::Applied((name, Arc::new(catalog))))).await;
        for index in 0..NODES {
            let claim = claim(&node_name(index), &pool, &kind);
            let claim = claim_with_condition(claim, well_known::condition::REGISTERED);
            let claim = claim_with_condition(claim, well_known::condition::INITIALIZED);
            world.send(ClusterEvent::Node(Change::Applied(node_of_claim(&claim)))).await;
            world.send(ClusterEvent::NodeClaim(Change::Applied(claim))).await;
        }
        for pod in world.pods() {
            world.send(ClusterEvent::Pod(Change::Applied(pod))).await;
        }
        world.sender.synced(Kind::Pod).await.expect("the cache runs");
        cache.until_synced().await.expect("the cache runs");
        world
    }

    async fn send(&self, event: ClusterEvent) {
        self.sender.send(event).await.expect("the cache runs");
    }

    /// All pods.
    pub fn pods(&self) -> Vec<Pod> {
        let running = (0..PODS).map(running);
        running.chain((0..PENDING).map(pending)).chain((0..SPREAD).map(spread)).collect()
    }

    /// An extender with a plan for most of the pods that wait: ten of them on each of some nodes.
    pub fn extender(&self) -> Extender {
        let to = |index: usize| Target::Claim(Name::from(node_name(index)));
        let planned = (0..PLANNED).map(|index| (pending(index).uid, to(index / 10)));
        let spread = (0..SPREAD).map(|index| (spread(index).uid, to(index % 200)));
        let targets: BTreeMap<Name, Target> = planned.chain(spread).collect();
        let plan = StandingPlan {
            confirmed_at: Timestamp::default(),
            expires_at: Timestamp::from_seconds(i64::MAX / 1_000),
            targets,
            ..StandingPlan::default()
        };
        Extender::new(ExtenderState {
            cache: self.cache.clone(),
            plan: Arc::new(ArcSwap::from_pointee(plan)),
            settings: Settings::default(),
            clock: Clock::system(),
            metrics: Arc::new(Metrics::new()),
            binder: None,
        })
    }

    /// Two questions, about a planned pod and about another one, with pods of 3.5 KB.
    pub fn questions(&self, names: usize) -> Vec<Bytes> {
        let names: Vec<String> = (0..names).map(node_name).collect();
        [0, PENDING - 1].map(|index| question(&pending(index), &names)).into()
    }

    /// A question about a pod that must be spread, on nodes that are planned for its like.
    pub fn questions_about_spread(&self, names: usize) -> Vec<Bytes> {
        // All but the first, which is planned for this one.
        let names: Vec<String> = (1..=names.min(NODES - 1)).map(node_name).collect();
        vec![question(&spread(0), &names)]
    }
}

fn question(pod: &Pod, names: &[String]) -> Bytes {
    let filler = "x".repeat(3_000);
    let question = json!({
        "Pod": {
            "metadata": {
                "namespace": pod.key.namespace.as_str(),
                "name": pod.key.name.as_str(),
                "uid": pod.uid.as_str(),
                "managedFields": [
                    {"manager": "kube-controller-manager", "fieldsV1": {"f:spec": filler}},
                ],
            },
            "spec": {
                "containers": [{"name": "main", "image": "web"}],
                "priority": 0,
                "schedulerName": "default-scheduler",
            },
            "status": {"phase": "Pending", "qosClass": "Burstable"},
        },
        "Nodes": null,
        "NodeNames": names,
    });
    Bytes::from(question.to_string())
}

/// A thousand events a second: pods come and go on nodes all over the cluster.
pub async fn events_on_and_on(sender: CacheSender) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let mut index = 0;
    loop {
        tick.tick().await;
        for _ in 0..5 {
            let pod = Pod { phase: PodPhase::Pending, ..running(index * 7 % PODS) };
            let key = pod.key.clone();
            let events = [ClusterEvent::Pod(Change::Deleted(key)), applied(pod)];
            for event in events {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            index += 1;
        }
    }
}

fn applied(pod: Pod) -> ClusterEvent {
    ClusterEvent::Pod(Change::Applied(pod))
}

/// Complete lists of all pods, one after the other.
pub async fn relists(sender: CacheSender, pods: Vec<Pod>) {
    let pods = Arc::new(pods);
    for _ in 0..5 {
        let pods = Arc::clone(&pods);
        // A watch makes its list from many small pages: not here, where answers are made.
        let list = move || ClusterEvent::Pod(Change::list(pods.to_vec()));
        let Ok(list) = tokio::task::spawn_blocking(list).await else { return };
        if sender.send(list).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Makes plan after plan until it is told to stop; says how many.
pub fn solve_on_and_on(cache: &Cache, stop: &AtomicBool) -> usize {
    let settings = packing::Settings::default();
    let mut plans = 0;
    while !stop.load(Ordering::Relaxed) {
        let began = std::time::Instant::now();
        let over = || began.elapsed() > Duration::from_millis(300);
        let snapshot = cache.snapshot();
        packing::plan(&snapshot, &settings, Timestamp::from_seconds(1_000), 0, &over);
        plans += 1;
    }
    plans
}
