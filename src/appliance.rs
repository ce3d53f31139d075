//! The appliance, put together: one cluster cache, the autoscaler, the extender, and the ports
//! for metrics and health. `berth serve` runs it on a Kubernetes cluster, `berth demo` on a
//! simulated one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_solver::model::Pod;
use berth_solver::placement::{self, StandingPlan};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::autoscaler::{self, Autoscaler, ClusterWriter, Reporter};
use crate::cache::{self, Cache, CacheSender, Kind};
use crate::clock::Clock;
use crate::decisions::DecisionJournal;
use crate::explain::Explainer;
use crate::extender::{Binder, Extender, ExtenderState};
use crate::leader::Leadership;
use crate::metrics::{KindLabels, Metrics};
use crate::provider::CloudProvider;
use crate::server::{
    self, BindError, Handler, HealthHandler, Limits, MetricsHandler, StatusHandler, Tls,
};
use crate::watch;

/// How soon a new certificate is taken up: well within the time that one is valid beside the next.
const TLS_FILES_READ_EVERY: Duration = Duration::from_secs(10);

/// Where the appliance listens. Port 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The extender's; a loopback address unless it is secured.
    pub extender: SocketAddr,
    /// `/metrics` and `/explain`.
    pub metrics: SocketAddr,
    /// `/healthz` and `/readyz`.
    pub health: SocketAddr,
}

impl Addresses {
    /// Any free ports of the loopback interface.
    pub const fn any() -> Self {
        let any = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self { extender: any, metrics: any, health: any }
    }
}

/// What the appliance is given.
pub struct Parts {
    /// The API server to write to.
    pub writer: Arc<dyn ClusterWriter>,
    /// The cloud.
    pub provider: Arc<dyn CloudProvider>,
    /// Whether this replica may act.
    pub leadership: Leadership,
    /// What time it is.
    pub clock: Clock,
    /// Who is told what is done.
    pub reporter: Arc<dyn Reporter>,
    /// What remembers decisions, for those who ask why.
    pub journal: Arc<DecisionJournal>,
    /// Where to listen.
    pub addresses: Addresses,
    /// How the autoscaler works.
    pub autoscaler: autoscaler::Settings,
    /// How patient the extender is.
    pub placement: placement::Settings,
    /// How the extender's port is secured; without it its address must be a loopback address.
    pub extender_tls: Option<Tls>,
    /// What a client of the extender may use up at most.
    pub extender_limits: Limits,
    /// Who carries out the extender's verb `bind`, if it is served.
    pub binder: Option<Arc<dyn Binder>>,
}

/// The appliance while it runs.
pub struct Appliance {
    /// Where it listens.
    pub addresses: Addresses,
    /// The plan that pods should follow.
    pub plan: Arc<ArcSwap<StandingPlan>>,
    /// What Prometheus is told.
    pub metrics: Arc<Metrics>,
    /// The picture of the cluster.
    pub cache: Cache,
    /// Pods to come that plans count with: whoever knows of some puts them here.
    pub expected: Arc<ArcSwap<Vec<Pod>>>,
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

impl Appliance {
    /// Opens the ports and starts everything. What happens in the cluster is to be sent to the
    /// cache.
    ///
    /// # Errors
    /// When a port cannot be opened; nothing runs then.
    pub async fn start(parts: Parts) -> Result<(Self, CacheSender), BindError> {
        let extender = match &parts.extender_tls {
            Some(tls) => server::bind_tls(parts.addresses.extender, tls).await?,
            None => server::bind_loopback(parts.addresses.extender).await?,
        };
        let status = server::bind(parts.addresses.metrics).await?;
        let health = server::bind(parts.addresses.health).await?;
        let addresses = Addresses {
            extender: extender.address(),
            metrics: status.address(),
            health: health.address(),
        };
        let (cache_writer, sender, cache) = cache::channel(cache::Settings::default(), Kind::ALL);
        let metrics = Arc::new(Metrics::new());
        let plan = Arc::new(ArcSwap::from_pointee(StandingPlan::default()));
        let expected = Arc::new(ArcSwap::from_pointee(Vec::new()));
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            if let Err(error) = cache_writer.run_apart().await {
                tracing::error!(%error, "the cluster cache broke down");
            }
        });
        if let Some(tls) = parts.extender_tls {
            tasks.spawn(tls.keep_fresh(TLS_FILES_READ_EVERY, stopping.clone()));
        }
        let explainer = Explainer {
            cache: cache.clone(),
            plan: Arc::clone(&plan),
            journal: Arc::clone(&parts.journal),
            leadership: parts.leadership.clone(),
            clock: parts.clock.clone(),
            schedulers: parts.autoscaler.packing.scheduler_names.clone(),
        };
        let handlers: [(_, Limits, Arc<dyn Handler>); 3] = [
            (
                extender,
                parts.extender_limits,
                Arc::new(Extender::new(ExtenderState {
                    cache: cache.clone(),
                    plan: Arc::clone(&plan),
                    settings: parts.placement,
                    clock: parts.clock.clone(),
                    metrics: Arc::clone(&metrics),
                    binder: parts.binder,
                })),
            ),
            (
                status,
                Limits::default(),
                Arc::new(StatusHandler::new(MetricsHandler::new(Arc::clone(&metrics)), explainer)),
            ),
            (health, Limits::default(), Arc::new(HealthHandler::new(cache.clone()))),
        ];
        for (listener, limits, handler) in handlers {
            tasks.spawn(listener.serve(handler, limits, stopping.clone()));
        }
        let autoscaler = Autoscaler::new(
            autoscaler::Parts {
                writer: parts.writer,
                provider: parts.provider,
                cache: cache.clone(),
                catalogs: sender.clone(),
                plan: Arc::clone(&plan),
                expected: Arc::clone(&expected),
                leadership: parts.leadership,
                clock: parts.clock,
                metrics: Arc::clone(&metrics),
                reporter: parts.reporter,
                journal: parts.journal,
            },
            parts.autoscaler,
        );
        tasks.spawn(autoscaler.run(stopping.clone()));
        Ok((Self { addresses, plan, metrics, cache, expected, stopping, tasks }, sender))
    }

    /// Waits until a part of it has ended, which none does by itself.
    pub async fn broken(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Lets requests under way end, and stops everything.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        // The cache ends with its last sender: it is not waited for.
        let drained =
            async { while self.tasks.len() > 1 && self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Limits::default().drain_timeout, drained).await;
        self.tasks.shutdown().await;
    }
}

/// Counts what happens to the watches.
#[derive(Debug)]
pub struct WatchCounter(pub Arc<Metrics>);

impl watch::Observer for WatchCounter {
    fn failed(&self, kind: Kind, _: watch::Cause) {
        self.0.watch_restarts.get_or_create(&KindLabels { kind: kind.as_str() }).inc();
    }
}

#[cfg(test)]
mod tests;
