//! The autoscaler on a virtual cluster that runs faster than time, with a hand that can stop it
//! at any external write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use berth::autoscaler::{
    Autoscaler, ClusterWriter, Disruption, Notice, Parts, Settings, WriteError,
};
use berth::cache::{self, Kind};
use berth::clock::Clock;
use berth::leader::Leadership;
use berth::metrics::Metrics;
use berth::provider::simulated::{SharedWorld, SimulatedCloud, SimulatedCluster};
use berth_simulations::cloud::CloudSettings;
use berth_simulations::cluster::{Availability, BudgetSpec};
use berth_simulations::random::Delay;
use berth_simulations::scenario::Step;
use berth_simulations::scheduler::{NoExtender, QueueSettings};
use berth_simulations::workloads::{Workload, WorkloadKind};
use berth_simulations::{KubeletSettings, World, WorldSettings};
use berth_solver::disruption;
use berth_solver::lifecycle::Write;
use berth_solver::model::{
    Condition, ConditionStatus, LabelSelector, Name, Node, NodeClaim, NodePool, Pod, PodKey,
    PodPhase, Price, Snapshot, Timestamp, VolumeAttachment, well_known,
};
use berth_solver::packing::QueueSettings as PlanQueue;
use berth_solver::testing::{exoscale_catalog, labels, percent, pool, shape};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Virtual time runs so much faster.
const SPEED: f64 = 40.0;
/// Nothing takes longer than this, by the real clock.
const LIMIT: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_seconds(1_000_000);

/// Where the process is stopped: at which write, and whether before or after it reached the API
/// server.
#[derive(Clone, Debug)]
pub struct Crash {
    pub write: &'static str,
    pub after: bool,
}

/// An API server that stops answering at one write, or whose client panics at one.
struct Fragile {
    inner: SimulatedCluster,
    panic_at: Arc<Mutex<Option<&'static str>>>,
    crash: Arc<Mutex<Option<Crash>>>,
    crashed: Arc<Notify>,
}

#[async_trait]
impl ClusterWriter for Fragile {
    async fn write(&self, write: &Write) -> Result<(), WriteError> {
        let panics = self.panic_at.lock().take_if(|name| *name == write.name()).is_some();
        assert!(!panics, "a panic at {}, as asked", write.name());
        let crash = {
            let mut crash = self.crash.lock();
            if crash.as_ref().is_some_and(|crash| crash.write == write.name()) {
                crash.take()
            } else {
                None
            }
        };
        let Some(crash) = crash else { return self.inner.write(write).await };
        if crash.after {
            let _ = self.inner.write(write).await;
        }
        self.crashed.notify_one();
        std::future::pending().await
    }

    async fn live_node(&self, name: &Name) -> Result<Option<Node>, WriteError> {
        self.inner.live_node(name).await
    }

    async fn live_pods(&self, node: &Name) -> Result<Vec<Pod>, WriteError> {
        self.inner.live_pods(node).await
    }

    async fn live_claims(&self) -> Result<Vec<NodeClaim>, WriteError> {
        self.inner.live_claims().await
    }

    async fn notify(&self, notice: &Notice) {
        self.inner.notify(notice).await;
    }
}

/// What the oracle saw go wrong, and how few pods ran at the worst.
#[derive(Debug, Default)]
pub struct Seen {
    pub least_running: BTreeMap<String, usize>,
    pub wrong: Vec<String>,
    /// How many nodes were marked or going at a time, of how many.
    pub leaving: BTreeSet<(usize, usize)>,
    pub evictions: u64,
}

/// A virtual cluster, its scheduler, and the autoscaler.
pub struct Rig {
    pub world: SharedWorld,
    pub crash: Arc<Mutex<Option<Crash>>>,
    /// The next write of this name panics.
    pub panic_at: Arc<Mutex<Option<&'static str>>>,
    /// What the autoscaler that runs tells Prometheus.
    pub metrics: Arc<Metrics>,
    crashed: Arc<Notify>,
    around: JoinSet<()>,
    daemon: JoinSet<()>,
    stop: CancellationToken,
    settings: Settings,
}

impl Rig {
    /// A cluster with one pool, whose budget is so many percent.
    pub fn new(budget: u32) -> Self {
        let second = Delay::millis(500, 1_000);
        let settings = WorldSettings {
            cloud: CloudSettings { joins_after: second, gone_after: second, ..Default::default() },
            kubelet: KubeletSettings {
                ready_after: second,
                pod_starts_after: second,
                pod_gone_after: second,
            },
            queue: QueueSettings {
                flush_after: Duration::from_secs(5),
                longest_backoff: Duration::from_secs(2),
                ..QueueSettings::default()
            },
            ..WorldSettings::new(11)
        };
        let catalog = Arc::new(exoscale_catalog(&["z"]));
        let mut world = World::new(START, settings, catalog);
        world.call(|cluster| {
            cluster.set_namespace("default".into(), labels(&[]));
            cluster.set_pool(NodePool { budgets: percent(budget), ..pool("general") });
        });
        let world = SharedWorld::new(world, Clock::running(START, SPEED));
        let mut around = JoinSet::new();
        around.spawn(schedule(world.clone()));
        let round = disruption::Settings { least_age: Duration::ZERO, ..Default::default() };
        let disruption = Disruption {
            round,
            every: Duration::from_secs(3),
            budget: Duration::from_secs(20),
            ..Disruption::default()
        };
        let queue = PlanQueue { retry_after: Duration::from_secs(5), ..PlanQueue::default() };
        let settings = Settings { disruption, queue, seed: 3, ..Settings::default() };
        Self {
            world,
            crash: Arc::default(),
            panic_at: Arc::default(),
            metrics: Arc::default(),
            crashed: Arc::default(),
            around,
            daemon: JoinSet::new(),
            stop: CancellationToken::new(),
            settings,
        }
    }

    /// Starts the autoscaler, with an empty memory.
    pub fn start(&mut self) {
        self.stop = CancellationToken::new();
        let (writer, sender, cache) = cache::channel(cache::Settings::default(), Kind::ALL);
        self.daemon.spawn(writer.run());
        self.daemon.spawn(feed(self.world.clone(), sender.clone()));
        let inner = SimulatedCluster(self.world.clone());
        let (crash, crashed) = (Arc::clone(&self.crash), Arc::clone(&self.crashed));
        let panic_at = Arc::clone(&self.panic_at);
        self.metrics = Arc::default();
        let autoscaler = Autoscaler::new(
            Parts {
                expected: Arc::default(),
                writer: Arc::new(Fragile { inner, panic_at, crash, crashed }),
                provider: Arc::new(SimulatedCloud::new(
                    self.world.clone(),
                    Duration::from_millis(50),
                )),
                cache,
                catalogs: sender,
                plan: Arc::new(ArcSwap::default()),
                leadership: Leadership::always(),
                clock: self.world.clock().clone(),
                metrics: Arc::clone(&self.metrics),
                reporter: Arc::new(()),
                journal: Arc::default(),
            },
            self.settings.clone(),
        );
        let stop = self.stop.clone();
        self.daemon.spawn(autoscaler.run(stop));
    }

    /// Ends the autoscaler as a kill would: nothing is finished, nothing is remembered.
    pub async fn kill(&mut self) {
        self.daemon.shutdown().await;
    }

    /// Waits until the autoscaler has been stopped at the write that was armed, then kills it and
    /// starts another. `false` if that write does not happen.
    pub async fn crash_and_restart(&mut self) -> bool {
        let reached = self.reached().await;
        self.kill().await;
        *self.crash.lock() = None;
        self.start();
        reached
    }

    /// As [`Rig::crash_and_restart`], for a write that need not happen: after a while of quiet the
    /// autoscaler goes on as it is.
    pub async fn settle_or_crash(&mut self) {
        let quiet = self.world.clock().clone();
        let reached = tokio::select! {
            () = self.crashed.notified() => true,
            () = quiet.sleep(Duration::from_secs(60)) => false,
        };
        *self.crash.lock() = None;
        if reached {
            self.kill().await;
            self.start();
        }
    }

    /// Waits until the autoscaler has been stopped at the write that was armed.
    pub async fn reached(&self) -> bool {
        tokio::time::timeout(LIMIT, self.crashed.notified()).await.is_ok()
    }

    /// Changes the pool.
    pub fn change_pool(&self, change: impl FnOnce(&mut NodePool)) {
        self.world.with(|world| {
            let found = world.cluster().objects().pools.values().next().cloned();
            let mut pool = (*found.expect("a pool")).clone();
            change(&mut pool);
            world.call(|cluster| cluster.set_pool(pool));
        });
    }

    /// Lets a node say that one of its conditions has been so since the beginning of time.
    pub fn ail(&self, node: &Name, kind: &str, status: ConditionStatus) {
        let (kind, reason) = (Name::from(kind), Name::from("Test"));
        let condition = Condition { kind, status, reason, since: Timestamp::from_seconds(0) };
        self.world.with(|world| {
            world.call(|cluster| {
                let change = |node: &mut Node| node.conditions = Box::from([condition]);
                cluster.update_node(node, None, change).expect("the node is there");
            });
        });
    }

    /// Attaches a volume to a node.
    pub fn attach(&self, name: &str, node: &Name) {
        let attachment = VolumeAttachment {
            name: name.into(),
            node: node.clone(),
            volume: Some(format!("volume-of-{name}").into()),
        };
        self.world.with(|world| world.call(|cluster| cluster.attach_volume(attachment)));
    }

    /// Detaches it.
    pub fn detach(&self, name: &str) {
        self.world.with(|world| world.call(|cluster| cluster.detach_volume(&name.into())));
    }

    /// Lets a node say that it must not be disrupted, or not.
    pub fn mark_node(&self, node: &Name, do_not_disrupt: bool) {
        self.world.with(|world| {
            world.call(|cluster| {
                let change = |node: &mut Node| node.do_not_disrupt = do_not_disrupt;
                cluster.update_node(node, None, change).expect("the node is there");
            });
        });
    }

    /// Has a workload with pods of 500m and 1 GiB.
    pub fn apply(&self, name: &str, replicas: u32) {
        self.apply_with(name, replicas, false);
    }

    /// The same, with pods that are not to be evicted before their successor runs.
    pub fn apply_replaced_first(&self, name: &str, replicas: u32) {
        self.apply_with(name, replicas, true);
    }

    fn apply_with(&self, name: &str, replicas: u32, replace_first: bool) {
        let workload = Workload {
            key: key(name),
            shape: shape(500, 1_024).label("app", name).build(),
            replicas,
            kind: WorkloadKind::Serving,
            replace_first,
        };
        self.world.with(|world| world.perform(Step::Apply(workload)));
    }

    /// Gives a workload a PodDisruptionBudget that lets one pod be missing.
    pub fn protect(&self, name: &str) {
        self.budget(name, Availability::Missing(1));
    }

    /// Gives a workload a PodDisruptionBudget.
    pub fn budget(&self, name: &str, availability: Availability) {
        let spec = BudgetSpec {
            key: key(name),
            selector: LabelSelector::match_labels(&labels(&[("app", name)])),
            availability,
        };
        self.world.with(|world| world.perform(Step::Budget(spec)));
    }

    /// What the API server holds.
    pub fn objects(&self) -> Snapshot {
        self.world.with(|world| world.cluster().objects().clone())
    }

    /// Waits until it is so and stays so for a while of the cluster's time.
    pub async fn settle(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) {
        let began = std::time::Instant::now();
        let mut since: Option<Timestamp> = None;
        loop {
            let now = self.world.clock().now();
            let objects = self.objects();
            since = if is_so(&objects) { since.or(Some(now)) } else { None };
            if since.is_some_and(|since| now.since(since) >= Duration::from_secs(30)) {
                return;
            }
            assert!(began.elapsed() < LIMIT, "not {what}: {}", describe(&objects));
            self.world.clock().sleep(Duration::from_millis(500)).await;
        }
    }

    /// Watches every state of the workloads until it is stopped.
    pub fn watch(&mut self, names: &[(&str, usize)]) -> Arc<Mutex<Seen>> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let names = names.iter().map(|(name, least)| ((*name).to_owned(), *least)).collect();
        self.around.spawn(record(self.world.clone(), names, Arc::clone(&seen)));
        seen
    }
}

fn key(name: &str) -> PodKey {
    PodKey { namespace: "default".into(), name: name.into() }
}

/// What there is, for people.
pub fn describe(objects: &Snapshot) -> String {
    let nodes = objects.nodes.values().map(|state| {
        let kind = state.node.label(well_known::INSTANCE_TYPE_LABEL);
        let kind = kind.map(|kind| kind.as_str()).unwrap_or_default();
        format!("{} {kind} {} pods", state.node.name, state.pods.len())
    });
    let nodes: Vec<String> = nodes.collect();
    format!("{} claims, {} pods pending, {nodes:#?}", objects.claims.len(), objects.unbound.len())
}

/// How many pods of a workload run and are not going.
pub fn running(objects: &Snapshot, app: &str) -> usize {
    let is = |pod: &&Arc<Pod>| {
        pod.phase == PodPhase::Running
            && pod.deleted.is_none()
            && pod.shape.labels.get("app").is_some_and(|value| value == app)
    };
    objects.pods.values().filter(is).count()
}

/// What all nodes cost.
pub fn price(objects: &Snapshot) -> Price {
    objects.claims.values().filter_map(|claim| disruption::price_of(objects, claim)).sum()
}

/// Whether nothing is marked for removal or going.
pub fn is_calm(objects: &Snapshot) -> bool {
    let marked = |claim: &Arc<NodeClaim>| {
        claim.deleted.is_some() || claim.is(well_known::condition::DISRUPTION_REASON)
    };
    objects.unbound.is_empty()
        && !objects.claims.values().any(marked)
        && objects.claims.len() == objects.nodes.len()
        && !objects.nodes.values().any(|state| state.node.has_taint(well_known::DISRUPTED_TAINT))
}

async fn schedule(world: SharedWorld) {
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        world.with(|world| world.schedule(&mut NoExtender));
        let due = world.look(World::next_event_at);
        world.next_change(&mut changes, due).await;
    }
}

async fn feed(world: SharedWorld, cache: cache::CacheSender) {
    let subscription = world.with(World::subscribe);
    let mut changes = world.changes();
    let mut synced = false;
    loop {
        changes.mark_unchanged();
        for event in world.with(|world| world.drain(subscription)) {
            if cache.send(event).await.is_err() {
                return;
            }
        }
        for kind in Kind::ALL.into_iter().filter(|_| !synced) {
            if cache.synced(kind).await.is_err() {
                return;
            }
        }
        synced = true;
        let due = world.look(World::next_timer_at);
        world.next_change(&mut changes, due).await;
    }
}

/// Looks at every state that the API server shows.
async fn record(world: SharedWorld, names: Vec<(String, usize)>, seen: Arc<Mutex<Seen>>) {
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        let (objects, evictions) =
            world.look(|world| (world.cluster().objects().clone(), world.cluster().evictions()));
        {
            let mut seen = seen.lock();
            seen.evictions = evictions;
            let going = |claim: &&Arc<NodeClaim>| {
                let node = objects.node_of_claim(claim);
                claim.deleted.is_some()
                    || node.is_some_and(|at| at.node.has_taint(well_known::DISRUPTED_TAINT))
            };
            // A machine that the cloud is deleting counts no more.
            let counts =
                |claim: &&Arc<NodeClaim>| !claim.is(well_known::condition::INSTANCE_TERMINATING);
            let all: Vec<_> = objects.claims.values().filter(counts).collect();
            let leaving = all.iter().filter(|claim| going(claim)).count();
            seen.leaving.insert((leaving, all.len()));
            for (name, least) in &names {
                let now = running(&objects, name);
                let known = seen.least_running.entry(name.clone()).or_insert(now);
                *known = (*known).min(now);
                if now < *least {
                    seen.wrong.push(format!("{now} pods of {name} run, {least} must"));
                }
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
