//! Makes claims so: reads what is there, asks [`lifecycle::step`](super::lifecycle::step) what is
//! next, writes the status, carries one effect out, and looks again.
//!
//! * `definitions`: CustomResourceDefinitions from ClaimDefinitions, a watch for each kind
//! * `kind`: the claims of one kind, one pass at a time each
//! * `look`: what is known of a claim
//! * `secrets`: the connection Secret
//! * `clients`: clients of clouds, with the keys out of Secrets
//! * `figures`: what Prometheus is told
//!
//! Only the leader acts. Two replicas that both think they lead do no harm: names come from UIDs,
//! status writes carry the version that they were worked out from.

mod clients;
mod definitions;
mod figures;
mod finalizer;
mod kind;
mod look;
mod secrets;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use berth_solver::model::Pod;
use berth_solver::packing;
pub use clients::Endpoints;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::clock::Clock;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::watch::Interner;

/// Pods that claims are going to bring, for the autoscaler's plans.
pub type Expected = Arc<ArcSwap<Vec<Pod>>>;

/// How the controller works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of Secrets that a provider names without one.
    pub namespace: String,
    /// Where clouds are.
    pub endpoints: Endpoints,
    /// What the packer goes by.
    pub packing: packing::Settings,
    /// The seed of its random choices.
    pub seed: u64,
}

/// Where Exoscale is.
pub const EXOSCALE_ENDPOINT: &str = "https://api-{region}.exoscale.com/v2";

/// What the controller works with.
pub struct Parts {
    /// The API server.
    pub client: Client,
    /// Whether this replica may act.
    pub leadership: Leadership,
    /// What time it is.
    pub clock: Clock,
    /// What Prometheus is told.
    pub metrics: Arc<Metrics>,
    /// The picture of the cluster.
    pub cache: Cache,
    /// Where pods to come go.
    pub expected: Expected,
    /// What this replica is called in events.
    pub identity: String,
    /// Who may stop it on its way.
    pub witness: Arc<dyn Witness>,
    /// How it works.
    pub settings: Settings,
}

/// Is told of every external write before and after it. Tests stop the controller there.
#[async_trait]
pub trait Witness: Send + Sync + 'static {
    /// `before` or `after` the write of that name.
    async fn reached(&self, _when: &'static str, _write: &'static str) {}
}

impl Witness for () {}

/// What all parts of the controller share.
struct Shared {
    client: Client,
    leadership: Leadership,
    clock: Clock,
    cache: Cache,
    witness: Arc<dyn Witness>,
    settings: Settings,
    recorder: Recorder,
    interner: Interner,
    /// The UID of the namespace `kube-system`, which stands for the cluster.
    cluster_uid: String,
    clients: clients::Clients,
    figures: figures::Figures,
    kinds: definitions::Kinds,
    /// Held while a provider is chosen, and while a claim asks for more: two claims must not both
    /// take the last of a budget.
    choosing: tokio::sync::Mutex<()>,
}

/// Works until `stop` is cancelled.
///
/// # Errors
/// If the API server does not say which cluster it is.
pub async fn run(parts: &Parts, stop: CancellationToken) -> Result<(), kube::Error> {
    let namespaces: Api<Namespace> = Api::all(parts.client.clone());
    let system = namespaces.get("kube-system").await?;
    let reporter =
        Reporter { controller: "berth".to_owned(), instance: Some(parts.identity.clone()) };
    let shared = Arc::new(Shared {
        recorder: Recorder::new(parts.client.clone(), reporter),
        client: parts.client.clone(),
        leadership: parts.leadership.clone(),
        clock: parts.clock.clone(),
        cache: parts.cache.clone(),
        witness: Arc::clone(&parts.witness),
        settings: parts.settings.clone(),
        interner: Interner::new(),
        cluster_uid: system.metadata.uid.unwrap_or_default(),
        clients: clients::Clients::new(parts.clock.clone()),
        figures: figures::Figures::new(Arc::clone(&parts.metrics), Arc::clone(&parts.expected)),
        kinds: definitions::Kinds::default(),
        choosing: tokio::sync::Mutex::new(()),
    });
    definitions::run(shared, stop).await;
    Ok(())
}
