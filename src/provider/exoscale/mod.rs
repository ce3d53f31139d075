//! Exoscale: instances that become nodes of an SKS cluster, or of one that people run themselves.
//!
//! * [`identity`]: whose an instance is
//! * [`class`]: what instances are created from
//! * [`machine`]: what is sold, at what price, and what nodes have of it
//! * [`resolve`], [`controller`]: node classes' selectors, conditions and finalizer
//! * [`create`], [`intent`]: one instance a claim, whatever dies when
//! * [`groups`]: anti-affinity groups, of eight each
//! * [`token`], [`user_data`], [`registries`], [`node`]: how an instance becomes a node
//! * [`drift`], [`drifting`]: which nodes are not what their node class asks for
//! * [`delete`], [`inventory`]: how it ends, and what of it is left
//! * [`cluster`], [`kube_cluster`]: the Kubernetes side
//!
//! The cloud is asked by labels: nothing that is remembered here would be missed.

mod class;
mod cluster;
mod controller;
mod create;
mod delete;
mod drift;
mod drifting;
mod groups;
mod identity;
mod intent;
mod inventory;
mod kube_cluster;
mod machine;
mod node;
mod registries;
mod resolve;
mod settings;
mod token;
mod user_data;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_solver::lifecycle::{ClaimRef, Instance, LaunchRequest, RepairPolicy};
use berth_solver::model::{
    CapacityType, Catalog, ConditionStatus, Labels, Name, NodePool, Timestamp, well_known,
};
use parking_lot::Mutex;

use super::{CloudProvider, ProviderError};
use crate::api::ExoscaleNodeClassSpec;
use crate::clock::Clock;
use crate::cloud::transport::Transport;
use crate::exoscale::compute;
use crate::exoscale::prices::PriceList;
use crate::exoscale::{Client, ErrorKind};
use class::Resolved;
use create::refusal;
use groups::{GROUP_LIMIT, Places};
use identity::{CLAIM_UID_LABEL, CLUSTER_LABEL};
use inventory::Watched;
use machine::Market;

pub use class::{GROUP, KIND};
pub use cluster::Cluster;
pub use intent::{INTENT_ANNOTATION, Intent};
pub use kube_cluster::KubeCluster;
pub use settings::ExoscaleSettings;
pub use {class::READY as READY_CONDITION, identity::PROVIDER_SCHEME};

/// Types and quotas are asked for again after so long.
const MARKET_EVERY: Duration = Duration::from_secs(120);
/// And prices after so long.
const PRICES_EVERY: Duration = Duration::from_secs(3_600);

/// Exoscale as a provider. Cloning shares it.
#[derive(Clone)]
pub struct ExoscaleProvider(Arc<Inner>);

struct Inner {
    client: Client,
    cluster: Arc<dyn Cluster>,
    transport: Transport,
    clock: Clock,
    settings: ExoscaleSettings,
    places: Places,
    market: tokio::sync::Mutex<Option<Seen>>,
    /// Where the API server is, once SKS has said so.
    endpoint: Mutex<Option<String>>,
    /// The UIDs of claims whose instance was seen and deleted: nothing more is to come of them.
    seen: Mutex<BTreeSet<Name>>,
    orphans: Mutex<Watched>,
    copies: Mutex<Watched>,
}

/// The market, and when it was seen.
struct Seen {
    market: Arc<Market>,
    at: Timestamp,
    prices_at: Timestamp,
}

impl ExoscaleProvider {
    /// Works with this client of the zone's endpoint and this cluster.
    ///
    /// # Errors
    /// If the operating system's certificates cannot be read.
    pub fn new(
        client: Client,
        cluster: Arc<dyn Cluster>,
        settings: ExoscaleSettings,
    ) -> std::io::Result<Self> {
        let clock = client.clock().clone();
        Ok(Self(Arc::new(Inner {
            client,
            cluster,
            transport: Transport::new()?,
            clock,
            settings,
            places: Places::default(),
            market: tokio::sync::Mutex::new(None),
            endpoint: Mutex::new(None),
            seen: Mutex::default(),
            orphans: Mutex::default(),
            copies: Mutex::default(),
        })))
    }

    /// Deletes copies of claims' machines, and the bootstrap tokens of claims that have joined
    /// lately. To be called by the leader only, every minute or so.
    ///
    /// # Errors
    /// [`ProviderError`]; what is left is for the next time.
    pub async fn sweep(&self) -> Result<(), ProviderError> {
        self.0.sweep().await
    }
}

#[async_trait]
impl CloudProvider for ExoscaleProvider {
    fn name(&self) -> &'static str {
        "exoscale"
    }

    /// Those of Exoscale's own provider.
    fn repair_policies(&self) -> Vec<RepairPolicy> {
        let pressure = ["DiskPressure", "MemoryPressure", "PIDPressure"];
        let under_pressure = pressure
            .map(|kind| RepairPolicy::new(kind, ConditionStatus::True, Duration::from_mins(10)));
        let others = [
            RepairPolicy::new("Ready", ConditionStatus::False, Duration::from_mins(15)),
            RepairPolicy::new("NetworkUnavailable", ConditionStatus::True, Duration::from_mins(5)),
        ];
        others.into_iter().chain(under_pressure).collect()
    }

    async fn catalog(&self, pool: &NodePool) -> Result<Catalog, ProviderError> {
        let (wanted, inner) = (&pool.node_class, &self.0);
        if *wanted.group != *GROUP || *wanted.kind != *KIND {
            tracing::warn!(nodepool = %pool.name, kind = %wanted.kind, "not a node class of Exoscale");
            return Ok(Catalog::default());
        }
        let class = inner.cluster.node_class(&wanted.name).await?;
        // A class that is not ready sells nothing; it is no reason to plan nothing for other pools.
        let class = match class.map(Resolved::of) {
            Some(Ok(class)) => class,
            None => {
                tracing::warn!(nodepool = %pool.name, class = %wanted.name, "there is no such {KIND}");
                return Ok(Catalog::default());
            }
            Some(Err(error)) => {
                tracing::warn!(nodepool = %pool.name, %error, "nothing can be launched");
                return Ok(Catalog::default());
            }
        };
        let has_room = inner.groups_have_room(&class).await?;
        inner.market().await?.catalog(&inner.settings, &class.spec, has_room)
    }

    async fn create(&self, request: &LaunchRequest) -> Result<Instance, ProviderError> {
        self.0.create(request).await
    }

    async fn get(&self, provider_id: &str) -> Result<Instance, ProviderError> {
        let none = || ProviderError::NotFound(provider_id.to_owned());
        let id = identity::instance_id(provider_id).ok_or_else(none)?;
        let found = self.0.client.instance(id).await.map_err(|error| match error.kind {
            ErrorKind::NotFound => none(),
            _ => refusal(error),
        })?;
        let label = |key: &str| Name::from(found.labels.get(key).map_or("", String::as_str));
        let claim = ClaimRef { name: label(identity::CLAIM_LABEL), uid: label(CLAIM_UID_LABEL) };
        self.0.describe(&found, self.0.market().await?.type_of(&found)?, &claim, None)
    }

    async fn list(&self) -> Result<Vec<Instance>, ProviderError> {
        self.0.list().await
    }

    async fn delete(
        &self,
        claim: &ClaimRef,
        provider_id: Option<&Name>,
    ) -> Result<(), ProviderError> {
        self.0.delete(claim, provider_id).await
    }

    async fn joined(&self, claim: &ClaimRef) -> Result<(), ProviderError> {
        token::remove(self.0.cluster.as_ref(), &claim.uid).await
    }
}

impl Inner {
    /// What a claim's node is called: as its instance, whose name its certificate holds.
    fn node_name(&self, claim: &ClaimRef) -> String {
        format!("{}{}", self.settings.instance_prefix, claim.name)
    }

    /// The instance of an id, on its way out or not; `None` if it is gone. An answer that does not
    /// find it is no proof of that where the list of the cluster's instances shows it.
    async fn still_there(&self, id: &str) -> Result<Option<compute::Instance>, ProviderError> {
        match self.client.instance(id).await {
            Ok(instance) => Ok(Some(instance)),
            Err(error) if error.kind == ErrorKind::NotFound => {
                let ours = [(CLUSTER_LABEL, &*self.settings.cluster_id)];
                let listed = self.client.instances(&ours).await.map_err(refusal)?;
                Ok(listed.into_iter().find(|instance| instance.id == id))
            }
            Err(error) => Err(refusal(error)),
        }
    }

    /// The instances that carry a claim's UID, on their way out or not.
    async fn instances_of(&self, claim_uid: &str) -> Result<Vec<compute::Instance>, ProviderError> {
        let labels = [(CLUSTER_LABEL, &*self.settings.cluster_id), (CLAIM_UID_LABEL, claim_uid)];
        self.client.instances(&labels).await.map_err(refusal)
    }

    /// Where kubelets find the API server.
    async fn endpoint(&self) -> Result<String, ProviderError> {
        if let Some(given) = &self.settings.cluster_endpoint {
            return Ok(given.clone());
        }
        if let Some(known) = self.endpoint.lock().clone() {
            return Ok(known);
        }
        let id = &self.settings.cluster_id;
        let cluster = self.client.sks_cluster(id).await.map_err(refusal)?;
        let found = cluster.endpoint.filter(|endpoint| !endpoint.is_empty()).ok_or_else(|| {
            ProviderError::Other(format!(
                "SKS cluster {id} has no endpoint: set CLUSTER_ENDPOINT to where nodes find the API \
                 server"
            ))
        })?;
        *self.endpoint.lock() = Some(found.clone());
        Ok(found)
    }

    /// Whether a new instance of a class finds a place in one of its anti-affinity groups.
    async fn groups_have_room(&self, class: &Resolved) -> Result<bool, ProviderError> {
        let groups = &class.status.anti_affinity_groups;
        for id in groups {
            let group = self.client.anti_affinity_group(id).await.map_err(refusal)?;
            if group.instances.len() < GROUP_LIMIT {
                return Ok(true);
            }
        }
        Ok(groups.is_empty())
    }

    /// What the cloud sells: seen lately, or looked at now.
    async fn market(&self) -> Result<Arc<Market>, ProviderError> {
        let mut seen = self.market.lock().await;
        let now = self.clock.now();
        let fresh = |seen: &&Seen| now.since(seen.at) < MARKET_EVERY && seen.at <= now;
        if let Some(seen) = seen.as_ref().filter(fresh) {
            return Ok(Arc::clone(&seen.market));
        }
        let types = self.client.instance_types().await.map_err(refusal)?;
        // What is known stays known: an answer from which everything is missing says nothing.
        if types.is_empty() {
            let message = "the API lists no instance type at all: it is asked again".to_owned();
            return Err(ProviderError::Other(message));
        }
        let quotas = self.client.quotas().await.map_err(refusal)?;
        let last = seen.as_ref().filter(|seen| now.since(seen.prices_at) < PRICES_EVERY);
        let (prices, prices_at) = match last {
            Some(seen) => (seen.market.prices.clone(), seen.prices_at),
            None => (self.prices(seen.as_ref()).await?, now),
        };
        let market = Market { types, quotas, prices };
        let zone = &self.settings.zone;
        let unpriced = market.unpriced(zone);
        if !unpriced.is_empty() && prices_at == now {
            tracing::warn!(types = ?unpriced, "no known price: these types are not bought");
        }
        let market = Arc::new(market);
        *seen = Some(Seen { market: Arc::clone(&market), at: now, prices_at });
        Ok(market)
    }

    /// The published prices, and the shipped ones for what is not published or cannot be had.
    async fn prices(&self, last: Option<&Seen>) -> Result<PriceList, ProviderError> {
        let currency = self.settings.currency;
        let shipped = PriceList::shipped(currency);
        let shipped = shipped.map_err(|error| ProviderError::Other(error.to_string()))?;
        let address = &self.settings.prices_address;
        match PriceList::fetch(&self.transport, address, currency).await {
            Ok(published) => Ok(published.or(&shipped)),
            Err(error) => {
                tracing::warn!(%error, "the last known prices stay in use, or the shipped ones");
                Ok(last.map_or(shipped, |last| last.market.prices.clone()))
            }
        }
    }

    /// An instance of a type as the life cycle knows it. `spec` is its node class'; without it,
    /// capacity is that of the defaults.
    fn describe(
        &self,
        instance: &compute::Instance,
        kind: &compute::InstanceType,
        claim: &ClaimRef,
        spec: Option<&ExoscaleNodeClassSpec>,
    ) -> Result<Instance, ProviderError> {
        let disk = instance.disk_size.and_then(|gib| i64::try_from(gib).ok());
        let defaults = ExoscaleNodeClassSpec { disk_size: 50, ..ExoscaleNodeClassSpec::default() };
        let spec = spec.unwrap_or(&defaults);
        let disk = disk.unwrap_or(spec.disk_size);
        let (capacity, overhead) = machine::resources(kind, disk, spec, &self.settings)?;
        let own = machine::labels(kind, &self.settings.zone);
        let own = own.iter().filter_map(|(key, set)| Some((key.clone(), set.single()?.clone())));
        let zone = Name::from(self.settings.zone.as_str());
        let capacity_type = CapacityType::OnDemand;
        let bought = [
            (well_known::ZONE_LABEL.into(), zone.clone()),
            (well_known::CAPACITY_TYPE_LABEL.into(), capacity_type.as_str().into()),
        ];
        let pool = instance.labels.get(identity::POOL_LABEL).map_or("", String::as_str);
        Ok(Instance {
            provider_id: identity::provider_id(&instance.id),
            claim: claim.clone(),
            pool: pool.into(),
            instance_type: kind.name().into(),
            zone,
            capacity_type,
            labels: own.chain(bought).collect::<Labels>(),
            allocatable: (&capacity - &overhead).larger(&berth_solver::model::Resources::default()),
            capacity,
            created: inventory::created(instance).unwrap_or_default(),
            terminating: instance.state.is_terminating(),
        })
    }
}
