//! The appliance on the embedded cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use berth_simulations::World;
use berth_simulations::operator::{Operator, OperatorSettings};
use berth_solver::model::Plan;
use berth_solver::placement::{self, StandingPlan};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::witness::tell;
use crate::cache::{self, CacheSender, Kind};
use crate::extender::{Extender, ExtenderState};
use crate::metrics::{MethodLabels, Metrics};
use crate::provider::simulated::SharedWorld;
use crate::server::{self, Handler, HealthHandler, Limits, MetricsHandler};

/// The appliance while it runs.
pub struct Running {
    /// Where the extender answers.
    pub extender: SocketAddr,
    /// Where `/metrics` answers.
    pub metrics: SocketAddr,
    /// Where `/healthz` and `/readyz` answer.
    pub health: SocketAddr,
    /// The plan that pods should follow.
    pub plan: Arc<ArcSwap<StandingPlan>>,
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    /// Starts it on free ports of the loopback interface. What happens in the cluster is to be
    /// sent to the cache.
    ///
    /// # Errors
    /// When a port cannot be opened.
    pub async fn start(
        world: SharedWorld,
        journal: Journal,
        seed: u64,
    ) -> anyhow::Result<(Self, CacheSender)> {
        let (writer, sender, cache) = cache::channel(cache::Settings::default(), Kind::ALL);
        let metrics = Arc::new(Metrics::new());
        let plan = Arc::new(ArcSwap::from_pointee(StandingPlan::default()));
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        let state = ExtenderState {
            cache: cache.clone(),
            plan: Arc::clone(&plan),
            settings: placement::Settings::default(),
            clock: world.clock().clone(),
            metrics: Arc::clone(&metrics),
        };
        let operator = Operator::new(OperatorSettings { seed, ..OperatorSettings::default() });
        let (standing, figures) = (Arc::clone(&plan), Arc::clone(&metrics));
        tasks.spawn(operate(operator, world, standing, figures, journal));
        let handlers: [Arc<dyn Handler>; 3] = [
            Arc::new(Extender::new(state)),
            Arc::new(MetricsHandler::new(metrics)),
            Arc::new(HealthHandler::new(cache)),
        ];
        let mut addresses = Vec::new();
        for handler in handlers {
            let listener = server::bind_loopback((Ipv4Addr::LOCALHOST, 0).into()).await?;
            addresses.push(listener.address());
            tasks.spawn(listener.serve(handler, Limits::default(), stopping.clone()));
        }
        let (extender, metrics, health) = (addresses[0], addresses[1], addresses[2]);
        Ok((Self { extender, metrics, health, plan, stopping, tasks }, sender))
    }

    /// Stops it.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        self.tasks.shutdown().await;
    }
}

/// Has the autoscaler look at the world whenever something changed.
async fn operate(
    mut operator: Operator,
    world: SharedWorld,
    standing: Arc<ArcSwap<StandingPlan>>,
    metrics: Arc<Metrics>,
    journal: Journal,
) {
    const PLAN_BUDGET: Duration = Duration::from_millis(300);
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        let now = world.with(|world| {
            let started = Instant::now();
            let stop = || started.elapsed() > PLAN_BUDGET;
            if let Some(plan) = operator.step(world, &stop) {
                record_plan(&metrics, &plan, started.elapsed());
            }
            for done in operator.take_done() {
                if let Some((subject, text)) = tell(&done, world) {
                    journal.record(world.now(), subject, text);
                }
            }
            standing.store(Arc::new(operator.standing_plan(world.now())));
            record_cluster(&metrics, world);
            world.now()
        });
        world.next_change(&mut changes, Some(operator.next_look_at(now))).await;
    }
}

fn record_plan(metrics: &Metrics, plan: &Plan, took: Duration) {
    let labels = MethodLabels { method: plan.method.to_string() };
    metrics.plans.get_or_create(&labels).inc();
    metrics.plan_duration.get_or_create(&labels).observe(took.as_secs_f64());
    metrics.plan_price.set(plan.price.as_f64());
    metrics.plan_lower_bound.set(plan.lower_bound.as_f64());
    metrics.plan_gap.set(plan.gap().unwrap_or_default());
    metrics.unschedulable_pods.set(i64::try_from(plan.unschedulable.len()).unwrap_or(i64::MAX));
}

fn record_cluster(metrics: &Metrics, world: &World) {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let objects = world.cluster().objects();
    metrics.cluster_price.set(world.cloud().price().as_f64());
    metrics.pending_pods.set(count(objects.unbound.len()));
    metrics.cluster_state_node_count.set(count(objects.nodes.len()));
    metrics.cache_generation.set(i64::try_from(objects.generation).unwrap_or(i64::MAX));
}
