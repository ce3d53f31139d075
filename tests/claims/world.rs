//! An API server, fakes of three clouds, and the controller of claims in this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use berth::cache::Cache;
use berth::claims::controller::{self, Endpoints, Parts, Settings, Witness};
use berth::clock::Clock;
use berth::leader::Leadership;
use berth::manifests;
use berth::metrics::Metrics;
use berth::watch::Interner;
use berth_cloud_fakes::exoscale::Fake;
use berth_cloud_fakes::{Now, ovh, scaleway};
use berth_controlplane::{ControlPlane, until};
use berth_solver::packing;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::held::Held;
use crate::prism::Prism;

/// Nothing that a test waits for may take longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// Where claims are made.
pub(crate) const TEAM: &str = "team-a";
/// The project at OVH and at Scaleway.
pub(crate) const PROJECT: &str = "33333333-4444-4555-8666-777777777777";
/// How fast everything goes: what is waited for two minutes takes eight seconds.
const SPEED: f64 = 15.0;

pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) fake: Fake,
    /// Fails if a call at Exoscale is not as described.
    _held: Held,
    pub(crate) ovh: ovh::Fake,
    pub(crate) scaleway: scaleway::Fake,
    pub(crate) metrics: Arc<Metrics>,
    /// Before the fake of Exoscale, in tests that want it.
    prism: Option<Prism>,
    clock: Clock,
    cache: Cache,
    running: Option<JoinHandle<()>>,
}

/// Stops the controller at one write, once.
#[derive(Debug)]
pub(crate) struct Stopper {
    at: (&'static str, &'static str),
    is_over: AtomicBool,
    reached: Notify,
}

impl Stopper {
    pub(crate) fn at(when: &'static str, write: &'static str) -> Arc<Self> {
        let (is_over, reached) = (AtomicBool::new(false), Notify::new());
        Arc::new(Self { at: (when, write), is_over, reached })
    }

    pub(crate) async fn reached(&self) {
        let name = format!("{} {}", self.at.0, self.at.1);
        tokio::time::timeout(LIMIT, self.reached.notified()).await.expect(&name);
    }
}

#[async_trait]
impl Witness for Stopper {
    async fn reached(&self, when: &'static str, write: &'static str) {
        if self.at == (when, write) && !self.is_over.swap(true, Ordering::SeqCst) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

impl World {
    /// `None`, with a notice, where there are no binaries. Two kinds of claims are defined, and one
    /// provider, `gva`, that has a key.
    pub(crate) async fn new(test: &str) -> Option<Self> {
        let plane = ControlPlane::builder().api_server_only().start_or_skip(test).await?;
        let clock = Clock::running(Clock::system().now(), SPEED);
        let now = clock_of(&clock);
        let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims/cluster.yaml");
        let cluster = manifests::read(&[cluster], &Interner::new()).unwrap().cluster;
        let fake = Fake::start_with("ch-gva-2", Arc::clone(&now)).await.unwrap();
        let world = Self {
            plane,
            _held: Held::of(&fake),
            fake,
            ovh: ovh::Fake::start(PROJECT, Arc::clone(&now)).await.unwrap(),
            scaleway: scaleway::Fake::start(PROJECT, now).await.unwrap(),
            metrics: Arc::new(Metrics::new()),
            prism: None,
            clock,
            cache: Cache::of(cluster.snapshot()),
            running: None,
        };
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crds");
        for file in ["claimdefinitions", "claimproviders"] {
            let file = format!("{folder}/claims.berth.sh_{file}.yaml");
            world.plane.kubectl(&["apply", "--server-side", "-f", &file]).await.unwrap();
        }
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        world.plane.kubectl(&wait).await.unwrap();
        world.plane.create_namespace(TEAM).await.unwrap();
        world.plane.create_namespace("berth-system").await.unwrap();
        world.define().await;
        let (key, secret) = world.fake.key();
        world.key("exoscale", &exoscale_key(key, secret)).await;
        world.provider("gva", "52.00", &json!({})).await;
        Some(world)
    }

    /// Makes the definitions that are shipped.
    pub(crate) async fn define(&self) {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/options/claims/definitions.yaml");
        self.plane.kubectl(&["apply", "-f", file]).await.unwrap();
    }

    /// Waits until both kinds are there.
    pub(crate) async fn until_defined(&self) {
        let path = "jsonpath={.items[*].status.conditions[0].reason}";
        let get = ["get", "claimdefinitions", "-o", path];
        until("the kinds are there", LIMIT, || async {
            let said = self.plane.kubectl(&get).await.map_err(|error| error.to_string())?;
            if said == "Established Established" { Ok(()) } else { Err(said) }
        })
        .await
        .unwrap();
    }

    /// Waits until definitions and kinds are gone.
    pub(crate) async fn until_undefined(&self) {
        until("the kinds are gone", LIMIT, || async {
            let names = self.plane.kubectl(&["get", "claimdefinitions,crds", "-o", "name"]).await;
            let names = names.map_err(|error| error.to_string())?;
            let left = names.contains("claimdefinition.") || names.contains("platform.example.org");
            if left { Err(names) } else { Ok(()) }
        })
        .await
        .unwrap();
    }

    /// Has Prism hold every call at Exoscale against the API's description, where it can be had.
    pub(crate) async fn with_prism(mut self) -> Self {
        self.prism = Prism::before(&self.fake.origin()).await;
        self
    }

    /// Fails if a call at Exoscale was not as described.
    pub(crate) fn assert_no_violation(&self) {
        if let Some(prism) = &self.prism {
            prism.assert_no_violation();
        }
    }

    /// Makes the Secret with a cloud's key.
    pub(crate) async fn key(&self, name: &str, parts: &Value) {
        let object: Secret =
            serde_json::from_value(json!({ "metadata": { "name": name }, "stringData": parts }))
                .unwrap();
        self.secrets("berth-system").create(&PostParams::default(), &object).await.unwrap();
    }

    /// Makes a provider on the fake, or changes it.
    pub(crate) async fn provider(&self, name: &str, price: &str, more: &Value) {
        let medium: f64 = price.parse::<f64>().unwrap() * 2.0;
        let image = self.fake.world(|world| world.add_template("debian-13"));
        let mut spec = json!({
            "type": "exoscale",
            "region": "ch-gva-2",
            "credentialsSecretRef": { "name": "exoscale" },
            "sizes": [
                { "service": "PostgreSQL", "size": "small", "plan": "startup-4",
                  "pricePerMonth": price },
                { "service": "PostgreSQL", "size": "medium", "plan": "business-8",
                  "pricePerMonth": format!("{medium:.2}") },
                { "service": "VirtualMachine", "size": "small", "plan": "standard.small",
                  "pricePerMonth": "17.00" },
            ],
            "postgresql": { "allowedCIDRs": ["192.0.2.1/32"] },
            "virtualMachine": { "images": { "debian-13": image } },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        self.apply_provider(name, &spec).await;
    }

    /// Makes a provider, or changes it.
    pub(crate) async fn apply_provider(&self, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "claims.berth.sh/v1alpha1",
            "kind": "ClaimProvider",
            "metadata": { "name": name, "labels": { "tier": "managed", "name": name } },
            "spec": spec,
        });
        let kind = GroupVersionKind::gvk("claims.berth.sh", "v1alpha1", "ClaimProvider");
        let api: Api<DynamicObject> =
            Api::all_with(self.plane.client(), &ApiResource::from_gvk(&kind));
        let params = PatchParams::apply("test").force();
        api.patch(name, &params, &Patch::Apply(object)).await.unwrap();
    }

    /// Starts the controller.
    pub(crate) fn start(&mut self, witness: Arc<dyn Witness>) {
        let parts = Parts {
            client: self.plane.client(),
            leadership: Leadership::always(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            cache: self.cache.clone(),
            expected: Arc::new(ArcSwap::from_pointee(Vec::new())),
            identity: "test".to_owned(),
            witness,
            settings: Settings {
                namespace: "berth-system".to_owned(),
                endpoints: Endpoints {
                    exoscale: self
                        .prism
                        .as_ref()
                        .map_or_else(|| self.fake.endpoint(), Prism::endpoint),
                    ovh: self.ovh.endpoint(),
                    scaleway: self.scaleway.endpoint(),
                },
                packing: packing::Settings::default(),
                seed: 0,
            },
        };
        self.running = Some(tokio::spawn(async move {
            controller::run(&parts, CancellationToken::new()).await.unwrap();
        }));
    }

    /// Stops it where it is, as a kill would.
    pub(crate) async fn kill(&mut self) {
        let running = self.running.take().expect("started");
        running.abort();
        let _ = running.await;
    }

    pub(crate) fn claims(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("platform.example.org", "v1alpha1", kind);
        Api::namespaced_with(self.plane.client(), TEAM, &ApiResource::from_gvk(&kind))
    }

    pub(crate) fn databases(&self) -> Api<DynamicObject> {
        self.claims("PostgreSQLInstance")
    }

    pub(crate) fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.plane.client(), namespace)
    }

    /// Makes a claim, as soon as its kind is there.
    pub(crate) async fn claim(&self, kind: &str, name: &str, spec: Value) {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "platform.example.org/v1alpha1", "kind": kind,
            "metadata": {
                "name": name,
                "labels": { "backstage.io/kubernetes-id": name },
            },
            "spec": spec,
        }))
        .unwrap();
        let api = self.claims(kind);
        until("the claim is taken", LIMIT, || async {
            api.create(&PostParams::default(), &object).await.map_err(|error| error.to_string())
        })
        .await
        .unwrap();
    }

    /// Waits until a claim's conditions are these (`Synced=True ReconcileSuccess, ...`).
    pub(crate) async fn until_said(&self, kind: &str, name: &str, said: &str) -> DynamicObject {
        let api = self.claims(kind);
        until(&format!("{name}: {said}"), LIMIT, || async {
            let claim = api.get(name).await.map_err(|error| error.to_string())?;
            let now = conditions(&claim);
            if now == said { Ok(claim) } else { Err(format!("{now} {}", claim.data["status"])) }
        })
        .await
        .unwrap()
    }

    pub(crate) async fn until_ready(&self, kind: &str, name: &str) -> DynamicObject {
        self.until_said(kind, name, "Synced=True ReconcileSuccess, Ready=True Available").await
    }

    pub(crate) async fn patch(&self, kind: &str, name: &str, patch: Value) {
        let params = PatchParams::default();
        self.claims(kind).patch(name, &params, &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        self.claims(kind).delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn until_gone(&self, kind: &str, name: &str) {
        let api = self.claims(kind);
        until(&format!("{name} is gone"), LIMIT, || async {
            match api.get_opt(name).await {
                Ok(None) => Ok(()),
                Ok(Some(claim)) => Err(format!("{} {}", conditions(&claim), claim.data["status"])),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
        .unwrap();
    }

    /// The data of a Secret, as texts.
    pub(crate) async fn secret(&self, name: &str) -> BTreeMap<String, String> {
        let secret = self.secrets(TEAM).get(name).await.unwrap();
        let data = secret.data.unwrap_or_default().into_iter();
        data.map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect()
    }

    /// All Secrets with a password in them, by namespace and name.
    pub(crate) async fn passwords(&self) -> Vec<(String, String)> {
        let all: Api<Secret> = Api::all(self.plane.client());
        let all = all.list(&ListParams::default()).await.unwrap();
        let with = all.items.into_iter().filter(|secret| {
            secret.data.as_ref().is_some_and(|data| data.contains_key("password"))
        });
        with.map(|one| (one.metadata.namespace.unwrap(), one.metadata.name.unwrap())).collect()
    }

    /// The names of the databases at the fake.
    pub(crate) fn at_exoscale(&self) -> Vec<String> {
        self.fake.world(|world| world.databases.keys().cloned().collect())
    }

    /// Whether that is the password of a database at any cloud.
    pub(crate) fn knows_password(&self, password: &str) -> bool {
        let is_it = |known: &String| known == password;
        self.fake.world(|it| it.databases.values().any(|one| one.users.values().any(is_it)))
            || self.ovh.world(|it| it.databases.values().any(|one| is_it(&one.password)))
            || self
                .scaleway
                .world(|it| it.databases.values().any(|one| one.users.values().any(is_it)))
    }

    /// The creates that were done, whether or not their answer arrived.
    pub(crate) fn creates(&self, operation: &str) -> usize {
        self.fake.calls(operation).iter().filter(|call| call.done.is_some()).count()
    }
}

/// A key of Exoscale, as a Secret holds it.
pub(crate) fn exoscale_key(key: &str, secret: &str) -> Value {
    json!({ "EXOSCALE_API_KEY": key, "EXOSCALE_API_SECRET": secret })
}

/// The fakes go by the controller's clock.
fn clock_of(clock: &Clock) -> Now {
    let clock = clock.clone();
    Arc::new(move || {
        let since = u64::try_from(clock.now().as_millis()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_millis(since)
    })
}

pub(crate) fn conditions(claim: &DynamicObject) -> String {
    let conditions = claim.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let said = conditions.iter().map(|one| {
        format!("{}={} {}", text(one, "type"), text(one, "status"), text(one, "reason"))
    });
    said.collect::<Vec<_>>().join(", ")
}

/// The message of `Synced`.
pub(crate) fn message(claim: &DynamicObject) -> String {
    let message = &claim.data["status"]["conditions"][0]["message"];
    message.as_str().unwrap_or_default().to_owned()
}
