//! An organisation with two clusters, some machines that are nobody's business, and the provider.

use std::sync::Arc;
use std::time::Duration;

use berth::api::{ExoscaleNodeClass, NodeClaim};
use berth::clock::Clock;
use berth::exoscale::Client;
use berth::provider::exoscale::{ExoscaleProvider, ExoscaleSettings};
use berth::provider::{CloudProvider as _, ProviderError};
use berth_cloud_fakes::exoscale::Instance;
use berth_solver::lifecycle::{ClaimRef, LaunchRequest};
use berth_solver::model::{Catalog, NodeClassReference, NodePool};
use berth_solver::testing;
use serde_json::{Value, json};

use crate::memory::Memory;
use crate::support::{Watched, credentials, fake_at, fast_clock, quick};

pub const ZONE: &str = "ch-gva-2";
/// How many times faster than the machine's the rig's time is.
const SPEED: f64 = 60.0;
/// A call that hangs is given up soon: 12 s of the rig's time.
const ATTEMPT: Duration = Duration::from_millis(200);

/// Everything a test works with.
pub struct Rig {
    pub fake: Watched,
    pub clock: Clock,
    pub memory: Arc<Memory>,
    pub cluster_id: String,
    pub class: Value,
    /// Instances that no cluster of Berth's may touch.
    strangers: Vec<String>,
}

impl Rig {
    /// A node class with two private networks and an elastic IP, and a NodeClaim.
    pub async fn new() -> Self {
        let clock = fast_clock(SPEED);
        let fake = fake_at(&clock).await;
        let (cluster_id, strangers, class) = fake.world(|world| {
            let cluster_id = world.add_cluster("ours", "1.36.2");
            let other = world.add_cluster("theirs", "1.36.2");
            world.add_sks_template("1.36.2", "standard");
            world.add_security_group("workers");
            for network in ["inside", "storage"] {
                world.add_private_network(network);
            }
            world.add_elastic_ip("203.0.113.7");
            let strangers = vec![
                world.add_instance("pet", "standard.large", &[]),
                // The managed add-on's, of this very cluster.
                world.add_instance(
                    "addon",
                    "standard.small",
                    &[
                        ("exoscale.com/managed-by", "karpenter"),
                        ("exoscale.com/cluster-id", &cluster_id),
                        ("exoscale.com/node-claim", "addon"),
                    ],
                ),
                // Another cluster's, for a claim of the same name and, whatever happened, UID.
                world.add_instance(
                    "general-a",
                    "standard.small",
                    &[
                        ("exoscale.com/managed-by", "berth"),
                        ("exoscale.com/cluster-id", &other),
                        ("exoscale.com/node-claim", "general-a"),
                        ("berth.sh/nodeclaim-uid", "uid-a"),
                    ],
                ),
            ];
            let class = json!({
                "imageTemplateSelector": {},
                "securityGroupSelectorTerms": [{ "name": "workers" }],
                "privateNetworkSelectorTerms": [{ "name": "inside" }, { "name": "storage" }],
                "elasticIPSelectorTerms": [{ "name": "203.0.113.7" }],
            });
            (cluster_id, strangers, class)
        });
        let memory = Arc::new(Memory::new());
        let rig = Self { fake, clock, memory, cluster_id, class, strangers };
        rig.memory.put_class(rig.node_class("default", &rig.class));
        rig.memory.put_claim(claim("general-a", "uid-a"));
        rig
    }

    pub fn node_class(&self, name: &str, spec: &Value) -> ExoscaleNodeClass {
        let meta = json!({ "name": name, "uid": name, "generation": 1 });
        let group = "karpenter.exoscale.com/v1";
        let object = json!({
            "apiVersion": group, "kind": "ExoscaleNodeClass", "metadata": meta, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    /// A provider as a new process has it.
    pub fn provider(&self) -> ExoscaleProvider {
        self.provider_of(&self.cluster_id, Arc::clone(&self.memory))
    }

    pub fn provider_of(&self, cluster_id: &str, memory: Arc<Memory>) -> ExoscaleProvider {
        let mut settings = quick();
        settings.calls.attempt_timeout = ATTEMPT;
        let client = Client::new(
            &self.fake.endpoint(),
            credentials(&self.fake),
            self.clock.clone(),
            settings,
        );
        let settings = ExoscaleSettings {
            prices_address: self.fake.prices_address(),
            ..ExoscaleSettings::new(ZONE, cluster_id)
        };
        ExoscaleProvider::new(client.unwrap(), memory, settings).unwrap()
    }

    /// A provider whose node classes are resolved.
    pub async fn ready(&self) -> ExoscaleProvider {
        let provider = self.provider();
        let deadline = self.clock.now() + Duration::from_secs(900);
        // On a busy machine an answer may take longer than an attempt may.
        while let Err(error) = provider.look_at_node_classes(true).await {
            assert!(self.clock.now() < deadline, "{error}");
        }
        provider
    }

    /// What is sold to a pool of the node class `default`.
    pub async fn catalog(&self, provider: &ExoscaleProvider) -> Catalog {
        provider.catalog(&pool("default")).await.unwrap()
    }

    /// The instances of a claim of this cluster, those that are no more too.
    pub fn ever(&self, claim_uid: &str) -> Vec<Instance> {
        let of = |instance: &&Instance| {
            let label = |key: &str| instance.labels.get(key).map(String::as_str);
            label("berth.sh/nodeclaim-uid") == Some(claim_uid)
                && label("exoscale.com/cluster-id") == Some(&self.cluster_id)
        };
        self.fake.world(|world| {
            world.instances.values().chain(&world.past).filter(of).cloned().collect()
        })
    }

    /// The instances of a claim of this cluster that there are.
    pub fn present(&self, claim_uid: &str) -> Vec<Instance> {
        self.ever(claim_uid).into_iter().filter(|instance| instance.ended.is_none()).collect()
    }

    /// Fails if anything was done to an instance that is not this cluster's.
    pub fn assert_strangers_untouched(&self) {
        for id in &self.strangers {
            let there = self.fake.world(|world| world.instances.get(id).cloned());
            assert_eq!(there.map(|there| there.state).as_deref(), Some("running"), "{id}");
        }
        let touched = self.fake.journal().into_iter().filter(|call| call.method != "GET");
        for call in touched {
            let named = format!("{} {}", call.path, call.body);
            let strange = self.strangers.iter().find(|id| named.contains(id.as_str()));
            assert_eq!(strange, None, "{call:?}");
        }
    }

    /// Calls until it succeeds, as the executor does: a moment's rest after each failure.
    pub async fn until_created(
        &self,
        provider: &ExoscaleProvider,
    ) -> berth_solver::lifecycle::Instance {
        self.until_created_for(provider, &request()).await
    }

    /// The same, for any claim.
    pub async fn until_created_for(
        &self,
        provider: &ExoscaleProvider,
        request: &LaunchRequest,
    ) -> berth_solver::lifecycle::Instance {
        let deadline = self.clock.now() + Duration::from_secs(900);
        loop {
            match provider.create(request).await {
                Ok(instance) => return instance,
                Err(error) if self.clock.now() >= deadline => panic!("{error}"),
                Err(_) => self.clock.sleep(Duration::from_secs(3)).await,
            }
        }
    }

    /// Calls until the cloud knows no instance.
    pub async fn until_deleted(&self, provider: &ExoscaleProvider, provider_id: Option<&str>) {
        let deadline = self.clock.now() + Duration::from_secs(900);
        let provider_id = provider_id.map(Into::into);
        loop {
            match provider.delete(&reference(), provider_id.as_ref()).await {
                Err(ProviderError::NotFound(_)) => return,
                other if self.clock.now() >= deadline => panic!("{other:?}"),
                _ => self.clock.sleep(Duration::from_secs(3)).await,
            }
        }
    }
}

/// The claim of [`Rig::new`].
pub fn reference() -> ClaimRef {
    ClaimRef { name: "general-a".into(), uid: "uid-a".into() }
}

pub fn claim(name: &str, uid: &str) -> NodeClaim {
    serde_json::from_value(json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": { "name": name, "uid": uid },
        "spec": {
            "requirements": [],
            "nodeClassRef": {
                "group": "karpenter.exoscale.com", "kind": "ExoscaleNodeClass", "name": "default",
            },
        },
    }))
    .unwrap()
}

pub fn pool(class: &str) -> NodePool {
    let node_class = NodeClassReference {
        group: "karpenter.exoscale.com".into(),
        kind: "ExoscaleNodeClass".into(),
        name: class.into(),
    };
    NodePool { node_class, ..testing::pool("general") }
}

/// What the claim's instance is to be.
pub fn request() -> LaunchRequest {
    request_for("standard.small", reference())
}

pub fn request_for(kind: &str, claim: ClaimRef) -> LaunchRequest {
    let catalog = testing::exoscale_catalog(&[ZONE]);
    let kind = testing::type_of(&catalog, kind);
    LaunchRequest {
        claim,
        pool: "general".into(),
        instance_type: kind.name.clone(),
        zone: ZONE.into(),
        capacity_type: kind.offerings[0].capacity_type,
        price: kind.offerings[0].price,
        capacity: kind.capacity.clone(),
        allocatable: kind.allocatable(),
        labels: [("team".into(), "a".into())].into_iter().collect(),
        taints: Box::default(),
        startup_taints: Box::default(),
    }
}
