//! A real control plane with a node that Berth does not own, Berth's objects, and the daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use berth_controlplane::{Component, ControlPlane, Extender, free_port, until};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http;

/// Nothing that a test waits for may take longer.
pub const LIMIT: Duration = Duration::from_secs(240);
/// The node that Berth does not own.
pub const UNMANAGED: &str = "infra-0";
/// Where the shipped manifests put the daemon.
pub const SYSTEM_NAMESPACE: &str = "berth-system";
/// The annotation with the UIDs of the pods that a claim was launched for.
pub const PLANNED_PODS: &str = "berth.sh/planned-pods";

/// Whole clusters at a time: each keeps two processors busy, and pods that wait for their turn too
/// long go where there is room.
static CLUSTERS: Semaphore = Semaphore::const_new(1);

/// Everything a test works with. The daemon is not started yet.
pub struct World {
    pub daemon: Daemon,
    pub plane: ControlPlane,
    _turn: SemaphorePermit<'static>,
}

/// The ports of the daemon, chosen before it starts, so that kube-scheduler can be told.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub extender: u16,
    pub metrics: u16,
    pub health: u16,
}

impl World {
    /// Starts a control plane whose kube-scheduler asks the daemon's extender; `None` when there
    /// are no binaries.
    pub async fn new(test: &str) -> Option<Self> {
        Self::with_extender(test, |ports| ports.extender).await
    }

    /// As [`Self::new`], with kube-scheduler asking another port, which `choose` gives.
    pub async fn with_extender(test: &str, choose: impl FnOnce(Ports) -> u16) -> Option<Self> {
        let turn = CLUSTERS.acquire().await.unwrap();
        let ports = Ports {
            extender: free_port().unwrap(),
            metrics: free_port().unwrap(),
            health: free_port().unwrap(),
        };
        let asked = Extender::at(format!("http://127.0.0.1:{}", choose(ports)));
        let plane = ControlPlane::builder().extender(asked).start_or_skip(test).await?;
        let kubeconfig = install(&plane).await.unwrap();
        let daemon = Daemon { ports, kubeconfig, process: None };
        Some(Self { daemon, plane, _turn: turn })
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start_daemon(&mut self) {
        self.start_daemon_with(&[]).await;
    }

    /// The same, with more arguments.
    pub async fn start_daemon_with(&mut self, more: &[&str]) {
        self.daemon.start(&self.plane, more).await.unwrap();
    }

    /// What all the nodes are, by name.
    pub async fn nodes(&self) -> Result<BTreeMap<String, Node>, String> {
        let nodes: Api<Node> = Api::all(self.plane.client());
        let list = nodes.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let named = |node: Node| (node.metadata.name.clone().unwrap(), node);
        Ok(list.items.into_iter().map(named).collect())
    }

    /// All NodeClaims.
    pub async fn claims(&self) -> Result<Vec<DynamicObject>, String> {
        let list = karpenter(&self.plane, "NodeClaim").list(&ListParams::default()).await;
        Ok(list.map_err(|error| error.to_string())?.items)
    }

    /// The kwok provider's records of the machines it created: one ConfigMap each.
    pub async fn instances(&self) -> Result<Vec<ConfigMap>, String> {
        let records: Api<ConfigMap> = Api::namespaced(self.plane.client(), SYSTEM_NAMESPACE);
        let params = ListParams::default().labels(INSTANCE_LABEL);
        Ok(records.list(&params).await.map_err(|error| error.to_string())?.items)
    }

    /// Waits until there is no node but the unmanaged one, no claim and no machine.
    pub async fn wait_until_empty(&self) {
        until("only the unmanaged node is left", LIMIT, || async {
            let nodes: Vec<_> = self.nodes().await?.into_keys().collect();
            let claims = self.claims().await?.len();
            let instances = self.instances().await?.len();
            if nodes == [UNMANAGED] && claims == 0 && instances == 0 {
                return Ok(());
            }
            Err(format!("nodes {nodes:?}, {claims} claims, {instances} machines"))
        })
        .await
        .unwrap_or_else(|error| self.fail(&error));
    }

    /// One value of the daemon's metrics, 0 when it is not there: the sum over every series of
    /// `name` whose labels contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let answer = http::get(self.daemon.ports.metrics, "/metrics").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let series = answer.body.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, found_labels) = series.split_once('{').unwrap_or((series, ""));
            let value: f64 = value.parse().ok()?;
            (found == name && found_labels.contains(labels)).then_some(value)
        });
        series.sum()
    }

    /// The lines of the daemon's metrics that begin so.
    pub async fn metrics(&self, prefix: &str) -> String {
        let answer = http::get(self.daemon.ports.metrics, "/metrics").await.unwrap();
        let lines: Vec<_> = answer.body.lines().filter(|line| line.starts_with(prefix)).collect();
        lines.join("\n")
    }

    /// Panics with the end of the daemon's log.
    pub fn fail(&self, error: &dyn std::fmt::Display) -> ! {
        let tail = self.daemon.process.as_ref().map(Component::tail).unwrap_or_default();
        panic!("{error}\n{tail}");
    }
}

/// The label on the kwok provider's records.
const INSTANCE_LABEL: &str = "berth.sh/instance";

/// The daemon as a child process.
pub struct Daemon {
    pub ports: Ports,
    pub kubeconfig: PathBuf,
    process: Option<Component>,
}

impl Daemon {
    async fn start(&mut self, plane: &ControlPlane, more: &[&str]) -> Result<()> {
        let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/catalog.csv");
        let arguments = [
            "serve".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            "--provider=kwok".to_owned(),
            format!("--catalog={}", catalog.display()),
            format!("--extender-address=127.0.0.1:{}", self.ports.extender),
            format!("--metrics-address=127.0.0.1:{}", self.ports.metrics),
            format!("--health-address=127.0.0.1:{}", self.ports.health),
            format!("--decision-log={}", self.decisions().display()),
        ];
        let binary = Path::new(env!("CARGO_BIN_EXE_berth"));
        let more = more.iter().map(|one| (*one).to_owned());
        let arguments = arguments.into_iter().chain(more).collect();
        let process = plane.spawn("berth", binary, arguments)?;
        let ready = until("berth is ready", LIMIT, || async {
            if let Err(error) = process.check() {
                return Ok(Err(error));
            }
            match http::get(self.ports.health, "/readyz").await {
                Ok(answer) if answer.status == 200 => Ok(Ok(())),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        ready.with_context(|| process.tail())??;
        self.process = Some(process);
        Ok(())
    }

    /// Where it writes its decisions.
    pub fn decisions(&self) -> PathBuf {
        self.kubeconfig.with_file_name("decisions")
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Fails when the process has ended.
    pub async fn assert_lives(&self) {
        self.process.as_ref().expect("started").check().unwrap();
        let health = http::get(self.ports.health, "/healthz").await.unwrap();
        assert_eq!(health.status, 200, "{}", health.body);
    }
}

/// Objects of one of Karpenter's kinds.
pub fn karpenter(plane: &ControlPlane, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("karpenter.sh", "v1", kind));
    Api::all_with(plane.client(), &resource)
}

/// A NodePool of kwok nodes in three zones that lets empty nodes go at once.
pub fn node_pool(name: &str, taints: &Value) -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": name },
        "spec": {
            "template": { "spec": {
                "nodeClassRef": {
                    "group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default",
                },
                "requirements": [
                    { "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"] },
                    { "key": "karpenter.sh/capacity-type", "operator": "In",
                      "values": ["on-demand", "spot"] },
                ],
                "taints": taints,
                "expireAfter": "Never",
            }},
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "1s",
                "budgets": [{ "nodes": "100%" }],
            },
        },
    })
}

/// Creates an object of one of Karpenter's kinds.
pub async fn create(plane: &ControlPlane, object: Value) -> Result<DynamicObject, kube::Error> {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let kind = object.types.clone().unwrap().kind;
    karpenter(plane, &kind).create(&PostParams::default(), &object).await
}

/// Installs what is shipped, an unmanaged node and two pools; gives the daemon's kubeconfig.
async fn install(plane: &ControlPlane) -> Result<PathBuf> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let shipped = shipped.display().to_string();
    plane.kubectl(&["apply", "--server-side", "-k", &shipped]).await?;
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await?;
    plane.kubectl(&["delete", "nodepools", "--all"]).await?;

    let nodes: Api<Node> = Api::all(plane.client());
    nodes.create(&PostParams::default(), &serde_json::from_value(unmanaged_node())?).await?;
    let tainted = json!([{ "key": "dedicated", "value": "batch", "effect": "NoSchedule" }]);
    create(plane, node_pool("general", &json!([]))).await?;
    create(plane, node_pool("batch", &tainted)).await?;
    plane.kubeconfig_for_service_account(SYSTEM_NAMESPACE, "berth").await
}

fn unmanaged_node() -> Value {
    let resources = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
    json!({
        "metadata": {
            "name": UNMANAGED,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": {
                "kubernetes.io/hostname": UNMANAGED,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": "zone-a",
            },
        },
        "spec": { "taints": [{ "key": "infrastructure", "effect": "NoSchedule" }] },
        "status": { "capacity": resources, "allocatable": resources },
    })
}
