//! What happens in the cluster, seen from outside: nodes and pods, as the API server tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use berth::catalog;
use berth::watch::Quantity;
use berth_solver::model::Catalog;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Nothing that is waited for may take longer.
pub const LIMIT: Duration = Duration::from_secs(600);
/// What has not settled after this time is told as it is then.
const SETTLE_LIMIT: Duration = Duration::from_secs(600);
/// A cluster has settled when its nodes have not changed for so long. A consolidation is considered
/// half a minute after the last change, and carried out 15 seconds after that.
const QUIET: Duration = Duration::from_secs(90);
/// Sums are added up, and points of a picture taken, so often.
const LOOK: Duration = Duration::from_millis(500);

/// Watches a cluster until it is dropped.
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Debug, PartialEq)]
struct SeenNode {
    /// In an hour.
    price: f64,
    cpu_milli: i64,
    bytes: i64,
    leaving: bool,
    taints: usize,
}

#[derive(Clone, Debug)]
struct SeenPod {
    running: bool,
    node: Option<String>,
    cpu_milli: i64,
    bytes: i64,
}

/// What was seen, and sums since the phase began.
struct Seen {
    nodes: BTreeMap<String, SeenNode>,
    pods: BTreeMap<String, SeenPod>,
    began: Instant,
    nodes_changed: Instant,
    looked: Instant,
    evicted: BTreeSet<String>,
    launched: usize,
    removed: usize,
    /// Price times hours.
    cost: f64,
    /// Of pods that do not run.
    waiting_seconds: f64,
    /// Seconds since the phase began, and the price of an hour then.
    looks: Vec<(f64, f64)>,
}

impl Observer {
    /// Begins to watch. Prices are those of the catalog.
    pub fn start(client: &Client, catalog: &Path) -> Result<Self> {
        let catalog = catalog::read(catalog)?;
        let now = Instant::now();
        let seen = Arc::new(Mutex::new(Seen {
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            began: now,
            nodes_changed: now,
            looked: now,
            evicted: BTreeSet::new(),
            launched: 0,
            removed: 0,
            cost: 0.0,
            waiting_seconds: 0.0,
            looks: Vec::new(),
        }));
        let mut tasks = JoinSet::new();
        let nodes = stream(Api::<Node>::all(client.clone()));
        let of_nodes = Arc::clone(&seen);
        tasks.spawn(each(nodes, move |event| of_nodes.lock().node(&catalog, event)));
        let pods = stream(Api::<Pod>::namespaced(client.clone(), "work"));
        let of_pods = Arc::clone(&seen);
        tasks.spawn(each(pods, move |event| of_pods.lock().pod(event)));
        let sums = Arc::clone(&seen);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                sums.lock().add_up();
            }
        });
        Ok(Self { seen, _tasks: tasks })
    }

    /// A phase begins: sums are zero.
    pub fn begin(&self) {
        let seen = &mut *self.seen.lock();
        let now = Instant::now();
        (seen.began, seen.looked, seen.nodes_changed) = (now, now, now);
        seen.evicted.clear();
        (seen.launched, seen.removed) = (0, 0);
        (seen.cost, seen.waiting_seconds) = (0.0, 0.0);
        seen.looks.clear();
    }

    /// Waits until there are so many pods and all of them run; how long that took.
    pub async fn until_running(&self, pods: usize) -> Result<Duration> {
        self.until("all pods run", LIMIT, |seen| seen.all_run(pods)).await?;
        Ok(self.seen.lock().began.elapsed())
    }

    /// Waits until nothing happens any more; when the last thing did. `None` if it goes on and on.
    pub async fn until_quiet(&self, pods: usize) -> Option<Duration> {
        let quiet = |seen: &Seen| seen.all_run(pods) && seen.nodes_changed.elapsed() >= QUIET;
        self.until("the nodes settle", SETTLE_LIMIT, quiet).await.ok()?;
        let seen = self.seen.lock();
        Some(seen.nodes_changed - seen.began)
    }

    async fn until(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Seen) -> bool,
    ) -> Result<()> {
        let began = Instant::now();
        let mut told = began;
        while !holds(&self.seen.lock()) {
            if began.elapsed() > limit {
                bail!("after {limit:?} still not: {what}; {}", self.seen.lock().line());
            }
            if told.elapsed() > Duration::from_secs(20) {
                told = Instant::now();
                println!("  {:4} s: {}", began.elapsed().as_secs(), self.seen.lock().line());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// What the phase came to.
    pub fn row(&self) -> Value {
        self.seen.lock().row()
    }
}

fn stream<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    kube::runtime::watcher(api, watcher::Config::default()).default_backoff()
}

async fn each<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    mut see: impl FnMut(Event<K>),
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        // The watcher begins anew by itself.
        if let Ok(event) = event {
            see(event);
        }
    }
}

impl Seen {
    fn node(&mut self, catalog: &Catalog, event: Event<Node>) {
        match event {
            Event::Apply(node) | Event::InitApply(node) => {
                let new = seen_node(catalog, &node);
                let old = self.nodes.insert(node.name_any(), new.clone());
                self.launched += usize::from(old.is_none());
                if old.as_ref() != Some(&new) {
                    self.nodes_changed = Instant::now();
                }
            }
            Event::Delete(node) => {
                self.nodes.remove(&node.name_any());
                self.removed += 1;
                self.nodes_changed = Instant::now();
            }
            Event::Init | Event::InitDone => {}
        }
    }

    fn pod(&mut self, event: Event<Pod>) {
        let (pod, is_there) = match event {
            Event::Apply(pod) | Event::InitApply(pod) => {
                let stays = pod.metadata.deletion_timestamp.is_none();
                (pod, stays)
            }
            Event::Delete(pod) => (pod, false),
            Event::Init | Event::InitDone => return,
        };
        let uid = pod.uid().unwrap_or_default();
        if is_evicted(&pod) {
            self.evicted.insert(uid.clone());
        }
        if is_there {
            self.pods.insert(uid, seen_pod(&pod));
        } else {
            self.pods.remove(&uid);
        }
    }

    fn all_run(&self, pods: usize) -> bool {
        self.pods.len() == pods && self.pods.values().all(|pod| pod.running)
    }

    fn price(&self) -> f64 {
        self.nodes.values().map(|node| node.price).sum()
    }

    fn add_up(&mut self) {
        let seconds = self.looked.elapsed().as_secs_f64();
        self.looked = Instant::now();
        let price = self.price();
        self.cost += price * seconds / 3_600.0;
        let waiting = self.pods.values().filter(|pod| !pod.running).count();
        self.waiting_seconds += waiting as f64 * seconds;
        self.looks.push((self.began.elapsed().as_secs_f64(), price));
    }

    fn line(&self) -> String {
        let running = self.pods.values().filter(|pod| pod.running).count();
        format!(
            "{running} of {} pods run, {} nodes, {:.3} an hour, {} evicted",
            self.pods.len(),
            self.nodes.len(),
            self.price(),
            self.evicted.len()
        )
    }

    fn row(&self) -> Value {
        let asked = |of: fn(&SeenPod) -> i64| -> f64 {
            let placed = self.pods.values().filter(|pod| pod.node.is_some());
            placed.map(of).sum::<i64>() as f64
        };
        let there = |of: fn(&SeenNode) -> i64| self.nodes.values().map(of).sum::<i64>() as f64;
        json!({
            "nodes": self.nodes.len(),
            "pricePerHour": self.price(),
            "cost": self.cost,
            "waitingSeconds": self.waiting_seconds,
            "evictions": self.evicted.len(),
            "launched": self.launched,
            "removed": self.removed,
            "looks": self.looks,
            "cpuPercent": 100.0 * asked(|pod| pod.cpu_milli) / there(|node| node.cpu_milli),
            "memoryPercent": 100.0 * asked(|pod| pod.bytes) / there(|node| node.bytes),
        })
    }
}

/// Whether the eviction API took it away.
fn is_evicted(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| {
        condition.type_ == "DisruptionTarget"
            && condition.reason.as_deref() == Some("EvictionByEvictionAPI")
    })
}

fn seen_node(catalog: &Catalog, node: &Node) -> SeenNode {
    let label = |key: &str| node.labels().get(key).map_or("", String::as_str);
    let kind = catalog.get(label("node.kubernetes.io/instance-type"));
    let offering = kind.and_then(|kind| {
        kind.offerings.iter().find(|offering| {
            *offering.zone == *label("topology.kubernetes.io/zone")
                && offering.capacity_type.to_string() == label("karpenter.sh/capacity-type")
        })
    });
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let amount = |key: &str| {
        let text = allocatable.and_then(|amounts| amounts.get(key));
        text.and_then(|text| Quantity::parse(&text.0).ok())
    };
    SeenNode {
        price: offering.map_or(0.0, |offering| offering.price.as_f64()),
        cpu_milli: amount("cpu").map_or(0, |quantity| quantity.milli()),
        bytes: amount("memory").map_or(0, |quantity| quantity.units()),
        leaving: node.metadata.deletion_timestamp.is_some(),
        taints: node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).map_or(0, Vec::len),
    }
}

fn seen_pod(pod: &Pod) -> SeenPod {
    let spec = pod.spec.as_ref();
    let requests = |key: &str| {
        let containers = spec.iter().flat_map(|spec| &spec.containers);
        let texts = containers.filter_map(move |container| {
            container.resources.as_ref()?.requests.as_ref()?.get(key).map(|text| text.0.clone())
        });
        texts.filter_map(|text| Quantity::parse(&text).ok()).collect::<Vec<_>>()
    };
    SeenPod {
        running: pod
            .status
            .as_ref()
            .is_some_and(|status| status.phase.as_deref() == Some("Running")),
        node: spec.and_then(|spec| spec.node_name.clone()),
        cpu_milli: requests("cpu").iter().map(|quantity| quantity.milli()).sum(),
        bytes: requests("memory").iter().map(|quantity| quantity.units()).sum(),
    }
}
