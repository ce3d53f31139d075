//! The loop that makes it so: snapshot, plan, effects, each carried out against the API server
//! and the cloud.
//!
//! ```text
//!  cache --> Arc<Snapshot> --+--> lifecycle::steps ------------> effects -> executor -> API server
//!                            |                                      ^          |     -> cloud
//!                            +--> Queue -> planner -> CreateClaim --+          v
//!                            |              |                              Machines (what the
//!                            |              +--> standing plan -> extender  cloud said)
//!                            +--> disruption::emptiness -> removal (taint, look again, delete)
//!                            +--> disruption::consolidate, replace_drifted -> round (taint, build
//!                                 replacements, check again, delete; the life cycle evicts)
//! ```
//!
//! One task holds all state and makes the rounds; what takes time (planning, writes, calls to the
//! cloud, lists of machines) runs beside it and reports back. It acts only while the cache is
//! synced and this replica leads. What it remembers it could ask for again: a restart begins with
//! the claims that are there.

mod buffer_status;
mod executor;
mod figures;
mod hands;
mod kube_writer;
mod landings;
mod machines;
mod moves;
mod notices;
mod offerings;
mod planner;
mod pod_events;
mod pool_status;
mod removal;
mod round;
mod rounds;
mod windows;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_solver::disruption;
use berth_solver::lifecycle::{self, Effect};
use berth_solver::model::Pod;
use berth_solver::packing::{self, QueueSettings};
use berth_solver::placement::StandingPlan;

pub use kube_writer::KubeWriter;
pub(crate) use kube_writer::{MANAGER, objects};
pub use rounds::Autoscaler;
pub use windows::closed_budgets;
pub use writer::{ClusterWriter, Notice, Severity, Subject, WriteError};

use crate::cache::{Cache, CacheSender};
use crate::clock::Clock;
use crate::decisions::DecisionJournal;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::provider::CloudProvider;

/// How the autoscaler works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the packer goes by.
    pub packing: packing::Settings,
    /// How long claims may take.
    pub lifecycle: lifecycle::Settings,
    /// When it plans.
    pub queue: QueueSettings,
    /// The seed of its random choices.
    pub seed: u64,
    /// How long it may look for a better plan.
    pub plan_budget: Duration,
    /// How often machines are listed and held against the claims.
    pub list_every: Duration,
    /// Whether planned pods are nominated for their nodes (`status.nominatedNodeName`).
    pub steer: bool,
    /// When and how nodes with pods are disrupted.
    pub disruption: Disruption,
}

/// When and how nodes with pods are disrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disruption {
    /// Whether they are at all. Empty nodes go in any case.
    pub enabled: bool,
    /// Whether nodes that are unhealthy for too long, as the provider sees it, are replaced.
    pub repair: bool,
    /// What a round goes by.
    pub round: disruption::Settings,
    /// At least so long passes between two looks for a round.
    pub every: Duration,
    /// How long one look may take.
    pub budget: Duration,
    /// How long the replacements of a round may take to be up.
    pub patience: Duration,
    /// If more percent than this of the nodes are not ready, nothing is disrupted...
    pub most_unready_percent: usize,
    /// ...unless they are no more than so many.
    pub unready_allowed: usize,
}

impl Default for Disruption {
    /// Karpenter's poll of 10 s, Cluster Autoscaler's brake at 45 %.
    fn default() -> Self {
        Self {
            enabled: true,
            repair: true,
            round: disruption::Settings::default(),
            every: Duration::from_secs(10),
            budget: Duration::from_secs(1),
            patience: Duration::from_secs(10 * 60),
            most_unready_percent: 45,
            unready_allowed: 3,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            packing: packing::Settings::default(),
            lifecycle: lifecycle::Settings::default(),
            queue: QueueSettings::default(),
            seed: 0,
            plan_budget: Duration::from_millis(300),
            list_every: Duration::from_secs(60),
            steer: true,
            disruption: Disruption::default(),
        }
    }
}

/// What the autoscaler works with.
pub struct Parts {
    /// The API server.
    pub writer: Arc<dyn ClusterWriter>,
    /// The cloud.
    pub provider: Arc<dyn CloudProvider>,
    /// The picture of the cluster.
    pub cache: Cache,
    /// Where catalogs go.
    pub catalogs: CacheSender,
    /// Where the standing plan goes, for the extender.
    pub plan: Arc<ArcSwap<StandingPlan>>,
    /// Pods to come that plans count with.
    pub expected: Arc<ArcSwap<Vec<Pod>>>,
    /// Whether this replica may act.
    pub leadership: Leadership,
    /// What time it is.
    pub clock: Clock,
    /// What Prometheus is told.
    pub metrics: Arc<Metrics>,
    /// Who else is told what is done.
    pub reporter: Arc<dyn Reporter>,
    /// What remembers what was decided.
    pub journal: Arc<DecisionJournal>,
}

/// Is told what the autoscaler does as it happens. All methods do nothing by default, and must not
/// wait.
pub trait Reporter: Send + Sync + 'static {
    /// An effect was carried out.
    fn done(&self, _effect: &Effect) {}
    /// An effect failed.
    fn failed(&self, _effect: &Effect, _why: &str) {}
}

impl Reporter for () {}
