//! Everything that runs during a demo.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use berth_simulations::cloud::{CloudSettings, CloudTotals};
use berth_simulations::random::Delay;
use berth_simulations::scenario::{INFRASTRUCTURE_NODE, Scenario, set_up_demo};
use berth_simulations::scheduler::QueueSettings;
use berth_simulations::{KubeletSettings, World, WorldSettings};
use berth_solver::model::{Name, Node, PodKey, Price, Timestamp};
use tokio::task::JoinSet;

use super::appliance;
use super::bound::Bound;
use super::extender::{Client, Figures, Latencies};
use super::journal::{Journal, Subject};
use super::tasks::{Placed, Scheduling, feed};
use super::view::{View, node_rows, pod_counts};
use crate::appliance::Appliance;
use crate::catalog;
use crate::clock::Clock;
use crate::provider::simulated::SharedWorld;

/// How a demo ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was scaled to zero, and nothing of Berth's is left.
    Zero,
    /// Somebody stopped it.
    Stopped {
        /// How many nodes were still there.
        nodes: usize,
    },
    /// Something was left for too long.
    Overdue {
        /// What.
        what: String,
    },
}

/// What the summary tells beyond the last view.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// What the cloud did.
    pub cloud: CloudTotals,
    /// Pods evicted.
    pub evictions: u64,
    /// Pods bound to the node that the plan gave them.
    pub as_planned: u64,
    /// Pods bound to another node than the plan gave them.
    pub elsewhere: u64,
    /// Pods bound that the plan did not speak of.
    pub unplanned: u64,
    /// What the pods would have cost at least.
    pub lower_bound: Price,
    /// The scheduler's calls of the extender.
    pub extender: Figures,
}

/// The node that is not Berth's and the pods on it, by name and UID.
type Infrastructure = Option<(Arc<Node>, BTreeMap<PodKey, Name>)>;

/// Everything that runs.
pub struct Stage {
    world: SharedWorld,
    journal: Journal,
    latencies: Latencies,
    placed: Arc<Placed>,
    bound: Bound,
    appliance: Appliance,
    tasks: JoinSet<()>,
    start: Timestamp,
    length: Duration,
    speed: f64,
    seed: u64,
    infrastructure: Infrastructure,
}

/// So long after everything was scaled to zero Berth may take, by the cluster's clock, and for so
/// long the machine may be busy on top.
const PATIENCE: Duration = Duration::from_secs(120);
const REAL_PATIENCE: Duration = Duration::from_secs(30);

/// Faster than real machines are, so that there is something to see.
fn world_settings(seed: u64) -> WorldSettings {
    WorldSettings {
        cloud: CloudSettings {
            joins_after: Delay::millis(3_000, 6_000),
            gone_after: Delay::millis(500, 1_500),
            failures_permille: 50,
            never_joins_permille: 0,
        },
        kubelet: KubeletSettings {
            ready_after: Delay::millis(500, 1_500),
            pod_starts_after: Delay::millis(300, 1_500),
            pod_gone_after: Delay::millis(300, 1_000),
        },
        queue: QueueSettings {
            flush_after: Duration::from_secs(15),
            longest_backoff: Duration::from_secs(2),
            ..QueueSettings::default()
        },
        ..WorldSettings::new(seed)
    }
}

fn infrastructure(world: &World) -> Infrastructure {
    let state = world.cluster().objects().nodes.get(&Name::from(INFRASTRUCTURE_NODE))?;
    let pods = state.pods.values().map(|pod| (pod.key.clone(), pod.uid.clone())).collect();
    Some((Arc::clone(&state.node), pods))
}

impl Stage {
    /// Builds the cluster, starts the appliance on it, and begins to play.
    ///
    /// # Errors
    /// When a port cannot be opened.
    pub async fn set_up(scenario: &Scenario, speed: f64, seed: u64) -> anyhow::Result<Self> {
        // The cluster's time begins now, so that its dates look right.
        let start =
            Timestamp::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let catalog = Arc::new(catalog::exoscale().context("the built-in catalog")?);
        let mut world = World::new(start, world_settings(seed), catalog);
        set_up_demo(&mut world);
        let infrastructure = infrastructure(&world);
        world.play(scenario);
        let subscription = world.subscribe();
        let world = SharedWorld::new(world, Clock::running(start, speed));
        let journal = Journal::default();
        let (appliance, sender) = appliance::start(world.clone(), journal.clone(), seed).await?;
        let (latencies, placed) = (Latencies::default(), Arc::new(Placed::default()));
        let scheduling = Scheduling {
            world: world.clone(),
            extender: Client::new(appliance.addresses.extender, latencies.clone()),
            plan: Arc::clone(&appliance.plan),
            placed: Arc::clone(&placed),
            journal: journal.clone(),
        };
        let bound = Bound::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(feed(world.clone(), subscription, sender));
        tasks.spawn(scheduling.run());
        tasks.spawn(bound.clone().follow(world.clone()));
        tasks.spawn(narrate(world.clone(), journal.clone()));
        let length = scenario.length();
        Ok(Self {
            world,
            journal,
            latencies,
            placed,
            bound,
            appliance,
            tasks,
            start,
            length,
            speed,
            seed,
            infrastructure,
        })
    }

    /// What answers where.
    pub fn addresses(&self) -> Vec<(&'static str, String)> {
        let of = |address: SocketAddr, path: &str| format!("http://{address}{path}");
        vec![
            ("extender", of(self.appliance.addresses.extender, "")),
            ("metrics", of(self.appliance.addresses.metrics, "/metrics")),
            ("health", of(self.appliance.addresses.health, "/readyz")),
        ]
    }

    /// What happened so far.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Stops the cluster's clock, or lets it go on.
    pub fn pause(&self, pause: bool) {
        self.world.clock().set_running(!pause);
    }

    /// What there is to see now.
    pub fn view(&self) -> View {
        let now = self.world.clock().now();
        let (nodes, pods, price, cost) = self.world.with(|world| {
            let rows = node_rows(world.cluster().objects());
            (rows, pod_counts(world), world.cloud().price(), world.cloud().cost(now))
        });
        View {
            elapsed: now.since(self.start),
            length: self.length,
            speed: self.speed,
            paused: !self.world.clock().is_running(),
            seed: self.seed,
            nodes,
            pods,
            price,
            lower_bound: self.bound.now(),
            cost,
            journal: self.journal.latest(100),
            start: self.start,
            extender: self.latencies.figures(),
            addresses: self.addresses(),
        }
    }

    /// How the demo ended, if it did.
    pub fn ending(&self) -> Option<Ending> {
        let over = self.start + self.length;
        let now = self.world.clock().now();
        if now < over {
            return None;
        }
        let left = self.world.with(|world| left_over(world));
        match left {
            None => Some(Ending::Zero),
            Some(what) if now.since(over) > PATIENCE + REAL_PATIENCE.mul_f64(self.speed) => {
                Some(Ending::Overdue { what })
            }
            Some(_) => None,
        }
    }

    /// The ending when somebody stops it now.
    pub fn stopped(&self) -> Ending {
        Ending::Stopped { nodes: self.world.look(|world| world.cloud().instances().count()) }
    }

    /// Whether the node that is not Berth's is as it was, with the same pods on it.
    pub fn infrastructure_is_untouched(&self) -> bool {
        self.infrastructure.is_some() && self.world.look(infrastructure) == self.infrastructure
    }

    /// Stops everything.
    pub async fn close(mut self) -> Report {
        let now = self.world.clock().now();
        let report = Report {
            cloud: self.world.look(|world| world.cloud().totals()),
            evictions: self.world.look(|world| world.cluster().evictions()),
            as_planned: self.placed.as_planned.load(Ordering::Relaxed),
            elsewhere: self.placed.elsewhere.load(Ordering::Relaxed),
            unplanned: self.placed.unplanned.load(Ordering::Relaxed),
            lower_bound: self.bound.total(now),
            extender: self.latencies.figures(),
        };
        self.tasks.shutdown().await;
        self.appliance.stop().await;
        report
    }
}

/// What is left of the workloads and of Berth's nodes, if anything.
fn left_over(world: &World) -> Option<String> {
    let objects = world.cluster().objects();
    let nodes = objects.nodes.values().filter(|state| state.node.pool().is_some()).count();
    let (claims, machines) = (objects.claims.len(), world.cloud().instances().count());
    let pods = pod_counts(world);
    let pods = pods.running + pods.starting + pods.pending + pods.leaving;
    (nodes + claims + machines + pods > 0).then(|| {
        format!("{pods} pods, {nodes} nodes, {claims} NodeClaims, {machines} machines are left")
    })
}

/// Writes the scenario's steps down.
async fn narrate(world: SharedWorld, journal: Journal) {
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        for (at, title) in world.with(World::take_notes) {
            journal.record(at, Subject::Scenario, title);
        }
        world.next_change(&mut changes, None).await;
    }
}
