//! `berth serve`: the daemon.

mod claims;
mod exoscale;
mod extender;
mod steering;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use berth_solver::model::Name;
use berth_solver::packing::{self, QueueSettings};
use berth_solver::placement;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::claims::{ClaimArguments, Claims, Tools};
use self::exoscale::ExoscaleArguments;
use self::extender::ExtenderArguments;
use super::Failure;
use super::cluster::client;
use super::consolidation::ConsolidationArguments;
use super::packing::PackingArguments;
use super::values::duration;
use crate::appliance::{Addresses, Appliance, Parts, WatchCounter};
use crate::autoscaler::{self, Disruption, KubeWriter};
use crate::catalog;
use crate::clock::Clock;
use crate::decisions::{DecisionJournal, DecisionLog, LogSettings};
use crate::extender::{Binder, KubeBinder};
use crate::leader::{Candidate, Leadership};
use crate::provider::CloudProvider;
use crate::provider::exoscale::ExoscaleProvider;
use crate::provider::kwok::{KwokProvider, KwokSettings};
use crate::server::Tls;
use crate::telemetry::{self, LogArguments};
use crate::watch::{self, Interner, Observer};

/// Run the daemon on a Kubernetes cluster
///
/// It watches the cluster, launches and removes nodes for its NodePools, and answers
/// kube-scheduler's extender calls. Everything can be set by environment variables too.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// How to reach the cluster [default: $KUBECONFIG, ~/.kube/config, or the pod's service
    /// account]
    #[arg(long, value_name = "FILE", env = "BERTH_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where machines come from
    #[arg(long, value_enum, env = "BERTH_PROVIDER")]
    provider: Provider,
    /// What the cloud sells, as CSV or as the JSON of Karpenter's kwok provider [default: the
    /// built-in list of Exoscale]
    #[arg(long, value_name = "FILE", env = "BERTH_CATALOG")]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    extender: ExtenderArguments,
    /// Where Prometheus asks, at /metrics, and `berth explain`, at /explain
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BERTH_METRICS_ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    metrics_address: SocketAddr,
    /// Where probes ask, at /healthz and /readyz
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BERTH_HEALTH_ADDRESS",
        default_value = "127.0.0.1:8081"
    )]
    health_address: SocketAddr,
    /// Schedulers whose pending pods get nodes (`spec.schedulerName`)
    #[arg(
        long = "scheduler-name",
        value_name = "NAME",
        env = "BERTH_SCHEDULER_NAMES",
        value_delimiter = ',',
        default_values = ["default-scheduler", "berth-scheduler"]
    )]
    scheduler_names: Vec<String>,
    #[command(flatten)]
    packing: PackingArguments,
    /// Planning begins when no new pod has come for so long...
    #[arg(
        long,
        value_name = "DURATION",
        env = "BATCH_IDLE_DURATION",
        default_value = "1s",
        value_parser = duration
    )]
    batch_idle: Duration,
    /// ...and at the latest so long after the first
    #[arg(
        long,
        value_name = "DURATION",
        env = "BATCH_MAX_DURATION",
        default_value = "10s",
        value_parser = duration
    )]
    batch_longest: Duration,
    /// How long a round may look for a better plan
    #[arg(
        long,
        value_name = "DURATION",
        env = "BERTH_PLAN_BUDGET",
        default_value = "300ms",
        value_parser = duration
    )]
    plan_budget: Duration,
    /// Tell kube-scheduler by `status.nominatedNodeName` where planned pods go, once their node is
    /// up: it then asks about that one node only [default: true from Kubernetes 1.35 on]
    #[arg(long, value_name = "BOOL", env = "BERTH_STEER_NOMINATED_NODE")]
    steer_nominated_node: Option<bool>,
    /// Replace nodes that are unhealthy for too long, as the provider sees it, unless more than 20 %
    /// of their pool's nodes are
    #[arg(
        long,
        value_name = "BOOL",
        env = "BERTH_NODE_REPAIR",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    node_repair: bool,
    #[command(flatten)]
    consolidation: ConsolidationArguments,
    /// Where the solver's random choices come from
    #[arg(long, value_name = "N", env = "BERTH_SEED", default_value_t = 0)]
    seed: u64,
    /// Write every decision into files in this folder, so that `berth replay` can derive it again
    #[arg(long, value_name = "DIR", env = "BERTH_DECISION_LOG")]
    decision_log: Option<PathBuf>,
    /// A new file of decisions is begun when one has so many MiB...
    #[arg(long, value_name = "N", env = "BERTH_DECISION_LOG_MIB", default_value_t = 32)]
    decision_log_mib: u64,
    /// ...and so many files are kept
    #[arg(long, value_name = "N", env = "BERTH_DECISION_LOG_FILES", default_value_t = 8)]
    decision_log_files: usize,
    /// The namespace of the Lease `berth`, which says which replica acts, and of the kwok
    /// provider's records
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "berth-system")]
    namespace: String,
    /// What this replica is called in the Lease [default: the host's name and the process' id]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// How long machines of the kwok provider take until their node joins
    #[arg(
        long,
        value_name = "DURATION",
        env = "BERTH_KWOK_DELAY",
        default_value = "0s",
        value_parser = duration
    )]
    kwok_delay: Duration,
    /// How many of a thousand launches of the kwok provider fail
    #[arg(
        long,
        value_name = "N",
        env = "BERTH_KWOK_FAILURES_PERMILLE",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=1000)
    )]
    kwok_failures_permille: u32,
    #[command(flatten)]
    exoscale: ExoscaleArguments,
    #[command(flatten)]
    claims: ClaimArguments,
    #[command(flatten)]
    log: LogArguments,
}

/// Where machines come from (`--provider`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// Exoscale: SKS clusters, and clusters that people run there themselves
    Exoscale,
    /// Nodes that kwok plays, for tests
    Kwok,
}

/// Runs the daemon until it gets SIGTERM or SIGINT.
///
/// # Errors
/// When settings make no sense, the cluster cannot be reached, or a port cannot be opened.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    telemetry::init(&arguments.log).map_err(|error| Failure::BadInput(error.into()))?;
    let catalog = match &arguments.catalog {
        Some(file) => catalog::read(file),
        None => catalog::exoscale(),
    };
    let catalog = catalog.map_err(|error| Failure::BadInput(anyhow!(error)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let client = client(arguments.kubeconfig.as_deref()).await?;
        let clock = Clock::system();
        let (provider, exoscale): (Arc<dyn CloudProvider>, _) = match arguments.provider {
            Provider::Exoscale => {
                let provider = arguments.exoscale.provider(client.clone(), clock.clone())?;
                (Arc::new(provider.clone()), Some(provider))
            }
            Provider::Kwok => {
                let settings = KwokSettings {
                    namespace: arguments.namespace.clone(),
                    delay: arguments.kwok_delay,
                    failures_permille: arguments.kwok_failures_permille,
                    seed: arguments.seed,
                };
                let clock = clock.clone();
                (Arc::new(KwokProvider::new(client.clone(), catalog, clock, settings)), None)
            }
        };
        serve(arguments, client, provider, exoscale, clock).await
    })
}

async fn serve(
    arguments: &Arguments,
    client: kube::Client,
    provider: Arc<dyn CloudProvider>,
    exoscale: Option<ExoscaleProvider>,
    clock: Clock,
) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let identity = arguments.identity.clone().unwrap_or_else(default_identity);
    let stopping = CancellationToken::new();
    let candidate = Candidate::new(client.clone(), &arguments.namespace, "berth", identity.clone());
    let leadership = candidate.leadership();
    let claim_tools = Tools {
        client: client.clone(),
        leadership: leadership.clone(),
        clock: clock.clone(),
        identity: identity.clone(),
        namespace: arguments.namespace.clone(),
        packing: packing_settings(arguments),
        seed: arguments.seed,
    };
    let writer = Arc::new(KubeWriter::new(client.clone(), clock.clone(), identity));
    let binder: Option<Arc<dyn Binder>> = match arguments.extender.bind {
        true => Some(Arc::new(KubeBinder::new(client.clone()))),
        false => None,
    };
    let tls = arguments.extender.tls().map(Tls::load).transpose();
    let tls = tls.map_err(|error| Failure::BadInput(anyhow!("the extender's TLS: {error}")))?;
    let steer = steering::decide(arguments.steer_nominated_node, &client).await;
    let parts = Parts {
        extender_tls: tls,
        binder,
        journal: Arc::new(DecisionJournal::new(decision_log(arguments)?)),
        ..parts(arguments, steer, writer, provider, leadership.clone(), clock)
    };
    let (mut appliance, sender) = Appliance::start(parts).await.map_err(anyhow::Error::from)?;
    let addresses = appliance.addresses;
    tracing::info!(
        extender = %addresses.extender,
        metrics = %addresses.metrics,
        health = %addresses.health,
        version = env!("CARGO_PKG_VERSION"),
        "berth serves"
    );
    let observer: Arc<dyn Observer> = Arc::new(WatchCounter(Arc::clone(&appliance.metrics)));
    let watches = watch::spawn_all(&client, &sender, &Arc::new(Interner::new()), &observer);
    let claims = Claims::start(&arguments.claims, &appliance, claim_tools);
    let mut election = JoinSet::new();
    election.spawn(candidate.run(stopping.clone()));
    let mut chores = JoinSet::new();
    if let Some(exoscale) = exoscale {
        chores.spawn(exoscale.look_after(leadership, stopping.clone()));
    }
    let broken = tokio::select! {
        _ = terminated.recv() => false,
        _ = tokio::signal::ctrl_c() => false,
        () = appliance.broken() => true,
    };
    tracing::info!("stopping");
    claims.stop().await;
    appliance.stop().await;
    chores.shutdown().await;
    drop(watches);
    // Only when nothing writes any more is the Lease given back.
    stopping.cancel();
    while election.join_next().await.is_some() {}
    if broken {
        return Err(Failure::Failed(anyhow!("a part of the daemon broke down: see its log")));
    }
    Ok(())
}

fn decision_log(arguments: &Arguments) -> Result<Option<DecisionLog>, Failure> {
    let Some(folder) = &arguments.decision_log else { return Ok(None) };
    let settings = LogSettings {
        folder: folder.clone(),
        file_bytes: arguments.decision_log_mib.saturating_mul(1 << 20),
        files: arguments.decision_log_files,
    };
    let cannot = || format!("--decision-log {}: cannot write there", folder.display());
    DecisionLog::open(settings).map(Some).with_context(cannot).map_err(Failure::BadInput)
}

fn parts(
    arguments: &Arguments,
    steer: bool,
    writer: Arc<KubeWriter>,
    provider: Arc<dyn CloudProvider>,
    leadership: Leadership,
    clock: Clock,
) -> Parts {
    let packing = packing_settings(arguments);
    Parts {
        writer,
        provider,
        leadership,
        clock,
        reporter: Arc::new(()),
        addresses: Addresses {
            extender: arguments.extender.address,
            metrics: arguments.metrics_address,
            health: arguments.health_address,
        },
        autoscaler: autoscaler::Settings {
            packing: packing.clone(),
            queue: QueueSettings {
                batch_idle: arguments.batch_idle,
                batch_longest: arguments.batch_longest,
                ..QueueSettings::default()
            },
            seed: arguments.seed,
            plan_budget: arguments.plan_budget,
            steer,
            disruption: Disruption {
                repair: arguments.node_repair,
                round: arguments.consolidation.settings(packing),
                ..Disruption::default()
            },
            ..autoscaler::Settings::default()
        },
        placement: placement::Settings::default(),
        extender_tls: None,
        extender_limits: arguments.extender.limits(),
        binder: None,
        journal: Arc::default(),
    }
}

fn packing_settings(arguments: &Arguments) -> packing::Settings {
    let scheduler_names =
        arguments.scheduler_names.iter().map(|name| Name::from(name.as_str())).collect();
    arguments.packing.settings(scheduler_names)
}

/// Unique among all processes that ever take part.
fn default_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "berth" } else { host };
    format!("{host}_{}_{:08x}", std::process::id(), rand::random::<u32>())
}
