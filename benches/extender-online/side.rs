//! Our side of it: cache, watches and extender as in the daemon, with a plan that the bench makes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use berth::autoscaler::{ClusterWriter, KubeWriter};
use berth::cache::{self, Cache};
use berth::clock::Clock;
use berth::extender::{Extender, ExtenderState};
use berth::metrics::Metrics;
use berth::server::{self, Limits};
use berth::watch::{self, Interner, Observer};
use berth_controlplane::until;
use berth_solver::lifecycle::{Nominated, nominations};
use berth_solver::model::{Snapshot, Target, Timestamp};
use berth_solver::placement::{Settings, StandingPlan};
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::objects::{LIMIT, all, node_name};

/// Ends with its drop.
pub struct Side {
    pub address: SocketAddr,
    pub metrics: Arc<Metrics>,
    cache: Cache,
    plan: Arc<ArcSwap<StandingPlan>>,
    client: Client,
    _stop: tokio_util::sync::DropGuard,
    _watches: JoinSet<()>,
}

impl Side {
    /// Starts it and waits until its picture of the cluster is complete.
    pub async fn start(client: &Client) -> Self {
        let (writer, sender, mut cache) = cache::channel(cache::Settings::default(), watch::KINDS);
        tokio::spawn(writer.run_apart());
        let observer: Arc<dyn Observer> = Arc::new(());
        let watches = watch::spawn_all(client, &sender, &Arc::new(Interner::new()), &observer);
        let plan = Arc::new(ArcSwap::from_pointee(StandingPlan::default()));
        let metrics = Arc::new(Metrics::new());
        let extender = Extender::new(ExtenderState {
            cache: cache.clone(),
            plan: Arc::clone(&plan),
            settings: Settings::default(),
            clock: Clock::system(),
            metrics: Arc::clone(&metrics),
            binder: None,
        });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = server::bind_loopback(any).await.expect("a port");
        let address = listener.address();
        // Whole nodes are larger than what the daemon takes.
        let limits = Limits { body: 64 << 20, ..Limits::default() };
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(Arc::new(extender), limits, stop.clone()));
        cache.until_synced().await.expect("the cache runs");
        let _stop = stop.drop_guard();
        Self { address, metrics, cache, plan, client: client.clone(), _stop, _watches: watches }
    }

    /// Waits until so many pods wait, and has a plan from now on: for all of them, or for none.
    pub async fn plan(&mut self, waiting: usize, nodes: usize, for_all: bool) {
        self.until(|picture| picture.unbound.len() == waiting).await;
        let pods = self.cache.snapshot();
        let targets = pods.unbound.values().enumerate().filter(|_| for_all).map(|(index, pod)| {
            (pod.uid.clone(), Target::Node(node_name(index % nodes).as_str().into()))
        });
        let plan = StandingPlan {
            confirmed_at: Timestamp::default(),
            expires_at: Timestamp::from_seconds(i64::MAX / 1_000),
            targets: targets.collect(),
            ..StandingPlan::default()
        };
        self.plan.store(Arc::new(plan));
    }

    /// Nominates all planned pods for their nodes, as the autoscaler does.
    pub async fn steer(&mut self) {
        let writer = KubeWriter::new(self.client.clone(), Clock::system(), "bench".to_owned());
        let plan = self.plan.load_full();
        let writes = nominations(&self.cache.snapshot(), &plan.targets, &Nominated::default());
        assert_eq!(writes.len(), plan.targets.len(), "all nodes are up");
        let writer = &writer;
        all(writes.iter().map(|write| async move {
            writer.write(write).await.expect("a nomination");
        }))
        .await;
        let nominated =
            |picture: &Snapshot| picture.unbound.values().all(|pod| pod.nominated_node.is_some());
        self.until(nominated).await;
    }

    /// The share of the planned pods that are on their nodes, in %, once all are bound.
    pub async fn landed(&mut self) -> f64 {
        self.until(|picture| picture.unbound.is_empty()).await;
        let (picture, plan) = (self.cache.snapshot(), self.plan.load_full());
        let nodes: BTreeMap<_, _> =
            picture.pods.values().map(|pod| (&pod.uid, pod.node.as_ref())).collect();
        let landed = plan.targets.iter().filter(|(uid, target)| {
            matches!(target, Target::Node(name) if nodes.get(uid) == Some(&Some(name)))
        });
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = landed.count() as f64 * 100.0 / plan.targets.len().max(1) as f64;
        share
    }

    /// How often a verb was asked, and how long an answer took on average, in milliseconds.
    pub fn calls(&self, verb: &'static str) -> (u64, f64) {
        let text = self.metrics.encode().expect("metrics");
        let value = |name: &str| {
            let label = format!("verb=\"{verb}\"");
            let line = text.lines().find(|line| line.starts_with(name) && line.contains(&label));
            line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).unwrap_or_default()
        };
        let count = value("berth_extender_duration_seconds_count");
        let seconds = value("berth_extender_duration_seconds_sum");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let calls = count as u64;
        (calls, if count > 0.0 { seconds * 1_000.0 / count } else { 0.0 })
    }

    async fn until(&mut self, holds: impl Fn(&Snapshot) -> bool) {
        let cache = &self.cache;
        until("the picture is right", LIMIT, || {
            let right = holds(&cache.snapshot());
            async move { if right { Ok(()) } else { Err("not yet".to_owned()) } }
        })
        .await
        .expect("the picture is right");
    }
}
