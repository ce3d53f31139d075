//! Nodes that kwok plays: the cluster itself is the cloud, for tests and for trying things out.
//!
//! A machine is a ConfigMap, named after its claim's UID, so that a create that is repeated finds
//! what the first one made. Its Node joins after a delay; from then on kwok plays its kubelet.
//! Whoever lists the machines after a restart lets those go on that had not joined yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_solver::lifecycle::{
    ClaimRef, Instance, LaunchRequest, RepairPolicy, unregistered_taint,
};
use berth_solver::model::{Catalog, Name, NodePool, Timestamp, well_known};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;

use super::calls::{Refusal, only, other, within};
use super::{CloudProvider, ProviderError};
use crate::api::{KwokNodeClass, parse_duration};
use crate::autoscaler::objects;
use crate::clock::Clock;

/// The label on the records of machines. Its value says whether the node has joined.
const MACHINE_LABEL: &str = "berth.sh/instance";
/// The label's value until the node has joined, and from then on.
const COMING: &str = "coming";
const JOINED: &str = "joined";
/// Where a record keeps the machine.
const MACHINE_KEY: &str = "machine.json";
/// Tells kwok which nodes to play.
const PLAYED_ANNOTATION: &str = "kwok.x-k8s.io/node";
/// A join that failed is tried again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How the kwok provider behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KwokSettings {
    /// Where the records of machines are.
    pub namespace: String,
    /// How long a machine takes until its node joins, unless its node class says otherwise.
    pub delay: Duration,
    /// How many of a thousand launches find no capacity.
    pub failures_permille: u32,
    /// What decides which ones.
    pub seed: u64,
}

/// The cluster as a cloud. Cloning shares it.
#[derive(Clone)]
pub struct KwokProvider(Arc<Inner>);

struct Inner {
    client: kube::Client,
    catalog: Catalog,
    clock: Clock,
    settings: KwokSettings,
    /// The node classes of pools, as last seen.
    classes: Mutex<BTreeMap<Name, Name>>,
    /// Machines whose nodes are on their way, by their claims' UIDs.
    joining: Mutex<BTreeMap<Name, JoinSet<()>>>,
}

/// What a record holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Machine {
    instance: Instance,
    request: LaunchRequest,
    joins_at: Timestamp,
}

impl KwokProvider {
    /// Sells what is in `catalog` to every pool.
    pub fn new(
        client: kube::Client,
        catalog: Catalog,
        clock: Clock,
        settings: KwokSettings,
    ) -> Self {
        let (classes, joining) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { client, catalog, clock, settings, classes, joining }))
    }

    fn records(&self) -> Api<ConfigMap> {
        Api::namespaced(self.0.client.clone(), &self.0.settings.namespace)
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.0.client.clone())
    }

    async fn record(&self, claim_uid: &Name) -> Result<Option<ConfigMap>, ProviderError> {
        Ok(within(self.records().get_opt(&record_name(claim_uid))).await?)
    }

    /// How long a machine of that pool takes: its node class says so, or the settings do.
    async fn delay(&self, pool: &Name) -> Result<Duration, ProviderError> {
        let default = self.0.settings.delay;
        let Some(class) = self.0.classes.lock().get(pool).cloned() else { return Ok(default) };
        let classes: Api<KwokNodeClass> = Api::all(self.0.client.clone());
        let class = within(classes.get_opt(&class)).await?;
        let said = class.and_then(|class| class.spec.node_registration_delay);
        said.map_or(Ok(default), |text| {
            parse_duration(&text).map_err(|error| {
                ProviderError::Refused(format!("spec.nodeRegistrationDelay {text:?}: {error}"))
            })
        })
    }

    /// Lets a machine's node join when it is time, if that is not under way already.
    fn join_later(&self, machine: Machine) {
        let uid = machine.instance.claim.uid.clone();
        let mut joining = self.0.joining.lock();
        joining.retain(|_, tasks| {
            while tasks.try_join_next().is_some() {}
            !tasks.is_empty()
        });
        joining.entry(uid).or_insert_with(|| {
            let provider = self.clone();
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let wait = machine.joins_at.since(provider.0.clock.now());
                provider.0.clock.sleep(wait).await;
                while let Err(error) = provider.join(&machine).await {
                    tracing::warn!(node = %machine.instance.claim.name, %error, "cannot join");
                    provider.0.clock.sleep(RETRY_AFTER).await;
                }
            });
            tasks
        });
    }

    /// Creates a machine's node and notes that it has joined: a node that somebody deletes later
    /// does not come back.
    async fn join(&self, machine: &Machine) -> Result<(), ProviderError> {
        let claim = &machine.instance.claim;
        if self.record(&claim.uid).await?.is_none() {
            return Ok(());
        }
        let node = node_of(machine)?;
        match within(self.nodes().create(&PostParams::default(), &node)).await {
            Ok(_) => {}
            Err(Refusal::Exists) if self.own_node(&machine.instance).await?.is_some() => {}
            Err(error) => return Err(error.into()),
        }
        let patch = Patch::Merge(json!({ "metadata": { "labels": { MACHINE_LABEL: JOINED } } }));
        let name = record_name(&claim.uid);
        match within(self.records().patch(&name, &PatchParams::default(), &patch)).await {
            Ok(_) => Ok(()),
            // Deleted meanwhile: its node must not outlive it.
            Err(Refusal::NotFound(_)) => self.remove_node(&machine.instance).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The node that joined for a machine.
    async fn own_node(&self, instance: &Instance) -> Result<Option<Node>, ProviderError> {
        let node: Option<Node> = within(self.nodes().get_opt(&instance.claim.name)).await?;
        let provider_id =
            |node: &Node| node.spec.as_ref().and_then(|spec| spec.provider_id.clone());
        Ok(node.filter(|node| provider_id(node).as_deref() == Some(&*instance.provider_id)))
    }

    /// Removes the node of a machine that is no more, as a cloud's controller does.
    async fn remove_node(&self, instance: &Instance) -> Result<(), ProviderError> {
        let Some(node) = self.own_node(instance).await? else { return Ok(()) };
        let params = only(node.metadata.uid);
        match within(self.nodes().delete(&instance.claim.name, &params)).await {
            Ok(_) | Err(Refusal::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl CloudProvider for KwokProvider {
    fn name(&self) -> &'static str {
        "kwok"
    }

    fn repair_policies(&self) -> Vec<RepairPolicy> {
        super::not_ready_for_long()
    }

    async fn catalog(&self, pool: &NodePool) -> Result<Catalog, ProviderError> {
        self.0.classes.lock().insert(pool.name.clone(), pool.node_class.name.clone());
        Ok(self.0.catalog.clone())
    }

    async fn create(&self, request: &LaunchRequest) -> Result<Instance, ProviderError> {
        if let Some(record) = self.record(&request.claim.uid).await? {
            return Ok(machine_of(&record)?.instance);
        }
        let settings = &self.0.settings;
        if fails(settings.seed, &request.claim.uid, settings.failures_permille) {
            return Err(ProviderError::InsufficientCapacity(format!(
                "no {} in {} ({}): one of {} launches of a thousand that are to fail",
                request.instance_type,
                request.zone,
                request.capacity_type,
                settings.failures_permille
            )));
        }
        let created = self.0.clock.now();
        let delay = self.delay(&request.pool).await?;
        let machine = Machine {
            instance: instance(request, created),
            request: request.clone(),
            joins_at: created + delay,
        };
        let record = record_of(&machine)?;
        match within(self.records().create(&PostParams::default(), &record)).await {
            Ok(_) => {
                self.join_later(machine.clone());
                Ok(machine.instance)
            }
            Err(Refusal::Exists) => {
                let name = record_name(&request.claim.uid);
                Ok(machine_of(&within(self.records().get(&name)).await?)?.instance)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn get(&self, provider_id: &str) -> Result<Instance, ProviderError> {
        let none = || ProviderError::NotFound(provider_id.to_owned());
        let uid = provider_id.strip_prefix(PROVIDER_SCHEME).ok_or_else(none)?;
        let record = self.record(&uid.into()).await?.ok_or_else(none)?;
        Ok(machine_of(&record)?.instance)
    }

    async fn list(&self) -> Result<Vec<Instance>, ProviderError> {
        let params = ListParams::default().labels(MACHINE_LABEL);
        let records = within(self.records().list(&params)).await?;
        let mut instances = Vec::with_capacity(records.items.len());
        for record in &records.items {
            let machine = machine_of(record)?;
            instances.push(machine.instance.clone());
            if label(record) == Some(COMING) {
                self.join_later(machine);
            }
        }
        Ok(instances)
    }

    async fn delete(
        &self,
        claim: &ClaimRef,
        _provider_id: Option<&Name>,
    ) -> Result<(), ProviderError> {
        let none = || ProviderError::NotFound(format!("no machine of claim {}", claim.name));
        let record = self.record(&claim.uid).await?.ok_or_else(none)?;
        self.0.joining.lock().remove(&claim.uid);
        let instance = machine_of(&record)?.instance;
        let params = only(record.metadata.uid);
        match within(self.records().delete(&record_name(&claim.uid), &params)).await {
            Ok(_) => self.remove_node(&instance).await,
            Err(Refusal::NotFound(_)) => Err(none()),
            Err(error) => Err(error.into()),
        }
    }
}

const PROVIDER_SCHEME: &str = "kwok://";

fn record_name(claim_uid: &Name) -> String {
    format!("instance-{claim_uid}")
}

fn label(record: &ConfigMap) -> Option<&str> {
    record.metadata.labels.as_ref()?.get(MACHINE_LABEL).map(String::as_str)
}

/// Whether a launch is one of those that are to fail: the same launch always does.
fn fails(seed: u64, claim_uid: &Name, permille: u32) -> bool {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};
    // FNV-1a, which stays the same from version to version.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = claim_uid.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    SmallRng::seed_from_u64(seed ^ hash).random_range(0..1_000) < permille
}

fn instance(request: &LaunchRequest, created: Timestamp) -> Instance {
    let labels = [
        (well_known::INSTANCE_TYPE_LABEL, request.instance_type.clone()),
        (well_known::ZONE_LABEL, request.zone.clone()),
        (well_known::CAPACITY_TYPE_LABEL, request.capacity_type.as_str().into()),
    ];
    Instance {
        provider_id: format!("{PROVIDER_SCHEME}{}", request.claim.uid).into(),
        claim: request.claim.clone(),
        pool: request.pool.clone(),
        instance_type: request.instance_type.clone(),
        zone: request.zone.clone(),
        capacity_type: request.capacity_type,
        labels: labels.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        capacity: request.capacity.clone(),
        allocatable: request.allocatable.clone(),
        created,
        terminating: false,
    }
}

fn record_of(machine: &Machine) -> Result<ConfigMap, ProviderError> {
    let text = serde_json::to_string(machine).map_err(other)?;
    serde_json::from_value(json!({
        "metadata": {
            "name": record_name(&machine.instance.claim.uid),
            "labels": { MACHINE_LABEL: COMING, well_known::NODEPOOL_LABEL: machine.request.pool },
        },
        "data": { MACHINE_KEY: text },
    }))
    .map_err(other)
}

fn machine_of(record: &ConfigMap) -> Result<Machine, ProviderError> {
    let name = record.metadata.name.as_deref().unwrap_or_default();
    let text = record.data.as_ref().and_then(|data| data.get(MACHINE_KEY));
    let text = text.ok_or_else(|| {
        ProviderError::Other(format!("ConfigMap {name}: there is no data.{MACHINE_KEY}"))
    })?;
    serde_json::from_str(text).map_err(|error| {
        ProviderError::Other(format!("ConfigMap {name}: data.{MACHINE_KEY}: {error}"))
    })
}

fn node_of(machine: &Machine) -> Result<Node, ProviderError> {
    let Machine { instance, request, .. } = machine;
    let name = &instance.claim.name;
    let labels = request.labels.with([(well_known::HOSTNAME_LABEL.into(), name.clone())]);
    serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": objects::map(&labels),
            "annotations": { PLAYED_ANNOTATION: "fake" },
        },
        "spec": {
            "providerID": instance.provider_id,
            "taints": [objects::taint(&unregistered_taint())],
        },
        "status": {
            "capacity": objects::amounts(&instance.capacity),
            "allocatable": objects::amounts(&instance.allocatable),
        },
    }))
    .map_err(other)
}

#[cfg(test)]
mod tests {
    use berth_solver::model::CapacityType;
    use berth_solver::testing::exoscale_catalog;

    use super::*;

    fn request() -> LaunchRequest {
        let catalog = exoscale_catalog(&["ch-gva-2"]);
        let kind = &catalog.instance_types[0];
        LaunchRequest {
            claim: ClaimRef { name: "general-abc".into(), uid: "uid-1".into() },
            pool: "general".into(),
            instance_type: kind.name.clone(),
            zone: "ch-gva-2".into(),
            capacity_type: CapacityType::OnDemand,
            price: kind.offerings[0].price,
            capacity: kind.capacity.clone(),
            allocatable: kind.allocatable(),
            labels: [("team".into(), "a".into())].into_iter().collect(),
            taints: Box::default(),
            startup_taints: Box::default(),
        }
    }

    #[test]
    fn a_record_reads_back_as_the_machine_that_was_written() {
        let created = Timestamp::from_seconds(5);
        let machine = Machine {
            instance: instance(&request(), created),
            request: request(),
            joins_at: created + Duration::from_secs(30),
        };
        let record = record_of(&machine).unwrap();
        assert_eq!(record.metadata.name.as_deref(), Some("instance-uid-1"));
        assert_eq!(label(&record), Some(COMING));
        let read = machine_of(&record).unwrap();
        assert_eq!(read.instance, machine.instance);
        assert_eq!((read.request, read.joins_at), (machine.request, machine.joins_at));
        let lost = ConfigMap { data: None, ..record };
        let error = machine_of(&lost).unwrap_err().to_string();
        assert_eq!(error, "ConfigMap instance-uid-1: there is no data.machine.json");
    }

    #[test]
    fn a_node_joins_unregistered_and_under_its_own_name() {
        let instance = instance(&request(), Timestamp::from_seconds(5));
        let machine =
            Machine { joins_at: instance.created, instance: instance.clone(), request: request() };
        let node = node_of(&machine).unwrap();
        let spec = node.spec.unwrap();
        assert_eq!(spec.provider_id.as_deref(), Some("kwok://uid-1"));
        let taints: Vec<_> = spec.taints.unwrap().into_iter().map(|taint| taint.key).collect();
        assert_eq!(taints, [well_known::UNREGISTERED_TAINT]);
        let labels = node.metadata.labels.unwrap();
        assert_eq!(labels[well_known::HOSTNAME_LABEL], "general-abc");
        assert_eq!(labels["team"], "a");
    }

    #[test]
    fn as_many_launches_fail_as_were_asked_for_and_always_the_same_ones() {
        let failing = |permille| {
            let uids = (0..1_000).map(|index| Name::from(format!("uid-{index}")));
            uids.filter(|uid| fails(7, uid, permille)).collect::<Vec<_>>()
        };
        assert!(failing(0).is_empty());
        assert_eq!(failing(1_000).len(), 1_000);
        assert!((150..250).contains(&failing(200).len()), "{}", failing(200).len());
        assert_eq!(failing(200), failing(200));
    }
}
