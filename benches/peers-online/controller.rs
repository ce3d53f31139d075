//! The two controllers: how each is built, installed and started.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use berth_controlplane::{
    Component, ControlPlane, Extender, SchedulerSettings, free_port, metric, until_ok,
};
use serde_json::{Value, json};

use crate::go::{build, go};
use crate::observer::LIMIT;
use crate::ticks::ticks_of;

/// Who requests are counted for.
pub const USER: &str = "peer";

/// Which controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Berth,
    Karpenter,
}

/// Karpenter with its kwok provider, and its files.
pub struct Karpenter {
    program: PathBuf,
    module: PathBuf,
}

/// A cluster with a controller in it.
pub struct World {
    pub plane: ControlPlane,
    pub process: Component,
}

impl Karpenter {
    /// Builds it; quick when that was done before. Says what is missing if it cannot be.
    pub fn build() -> Result<Self, String> {
        let program = build("sigs.k8s.io/karpenter/kwok", "karpenter-kwok")?;
        let module = go(&["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/karpenter"])?;
        Ok(Self { program, module: PathBuf::from(module) })
    }

    /// The instance types that its kwok provider sells, which Berth reads too.
    pub fn catalog(&self) -> PathBuf {
        self.module.join("kwok/cloudprovider/instance_types.json")
    }
}

impl Controller {
    pub fn name(self) -> &'static str {
        match self {
            Self::Berth => "Berth",
            Self::Karpenter => "Karpenter",
        }
    }

    /// A fresh control plane with the controller and a NodePool in it.
    pub async fn start(self, karpenter: &Karpenter) -> Result<World> {
        let extender = free_port()?;
        let settings = match self {
            Self::Berth => SchedulerSettings {
                extenders: vec![Extender::at(format!("http://127.0.0.1:{extender}"))],
                // What Berth is shipped with.
                percentage_of_nodes_to_score: 100,
                pod_max_backoff_seconds: 10,
                ..SchedulerSettings::default()
            },
            Self::Karpenter => SchedulerSettings {
                extenders: Vec::new(),
                // What kube-scheduler does by default.
                percentage_of_nodes_to_score: 0,
                pod_max_backoff_seconds: 10,
                ..SchedulerSettings::default()
            },
        };
        let plane = ControlPlane::builder().scheduler(settings).start().await?;
        let kubeconfig = plane.kubeconfig_for(USER, &[])?;
        self.install(&plane, karpenter).await?;
        let process = self.spawn(&plane, karpenter, &kubeconfig, extender)?;
        let world = World { plane, process };
        world.apply(&[node_class(), node_pool()]).await?;
        Ok(world)
    }

    /// The custom resources, the rights, and a flow schema by which the API server counts what the
    /// controller asks.
    async fn install(self, plane: &ControlPlane, karpenter: &Karpenter) -> Result<()> {
        let files = match self {
            Self::Berth => {
                vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds")]
            }
            Self::Karpenter => {
                let module = &karpenter.module;
                vec![module.join("kwok/charts/crds"), module.join("kwok/apis/crds")]
            }
        };
        for folder in files {
            let folder = folder.display().to_string();
            plane.kubectl(&["apply", "--server-side", "-f", &folder]).await?;
        }
        plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await?;
        plane.create_namespace("berth-system").await?;
        let user = format!("--user={USER}");
        let binding = ["create", "clusterrolebinding", USER, "--clusterrole=cluster-admin", &user];
        plane.kubectl(&binding).await?;
        apply(plane, &[flow_schema()]).await
    }

    fn spawn(
        self,
        plane: &ControlPlane,
        karpenter: &Karpenter,
        kubeconfig: &Path,
        extender: u16,
    ) -> Result<Component> {
        let (metrics, health) = (free_port()?, free_port()?);
        let catalog = karpenter.catalog().display().to_string();
        let kubeconfig = kubeconfig.display();
        match self {
            Self::Berth => {
                let arguments = vec![
                    "serve".to_owned(),
                    format!("--kubeconfig={kubeconfig}"),
                    "--provider=kwok".to_owned(),
                    // Karpenter's kwok provider has nodes join at once.
                    "--kwok-delay=0s".to_owned(),
                    format!("--catalog={catalog}"),
                    format!("--extender-address=127.0.0.1:{extender}"),
                    format!("--metrics-address=127.0.0.1:{metrics}"),
                    format!("--health-address=127.0.0.1:{health}"),
                ];
                plane.spawn("berth", Path::new(env!("CARGO_BIN_EXE_berth")), arguments)
            }
            Self::Karpenter => {
                let arguments = vec![
                    format!("KUBECONFIG={kubeconfig}"),
                    "SYSTEM_NAMESPACE=berth-system".to_owned(),
                    "DISABLE_LEADER_ELECTION=true".to_owned(),
                    format!("METRICS_PORT={metrics}"),
                    format!("HEALTH_PROBE_PORT={health}"),
                    format!("INSTANCE_TYPES_FILE_PATH={catalog}"),
                    karpenter.program.display().to_string(),
                ];
                // `env` becomes the program: its number is the program's.
                plane.spawn("karpenter", Path::new("/usr/bin/env"), arguments)
            }
        }
    }
}

impl World {
    /// Creates or changes objects.
    pub async fn apply(&self, objects: &[Value]) -> Result<()> {
        apply(&self.plane, objects).await
    }

    /// How many requests the controller has made.
    pub async fn requests(&self) -> Result<f64> {
        let labels = format!("flow_schema=\"{USER}\"");
        let series = [("apiserver_flowcontrol_dispatched_requests_total", labels.as_str())];
        Ok(metric(&self.plane.client(), &series).await?.into_iter().sum())
    }

    /// Processor seconds of the controller so far, and the most memory it had, in MiB.
    pub fn usage(&self) -> Result<(f64, f64)> {
        self.process.check()?;
        let pid = self.process.pid().context("it does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = peak.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        // Linux counts in hundredths of a second on every platform that Go and Rust run on.
        Ok((ticks_of(&pid.to_string()) as f64 / 100.0, kibibytes.unwrap_or_default() / 1_024.0))
    }
}

async fn apply(plane: &ControlPlane, objects: &[Value]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("objects.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    std::fs::write(&file, list.to_string())?;
    let file = file.display().to_string();
    until_ok("the objects are taken", LIMIT, || async {
        plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]).await
    })
    .await?;
    Ok(())
}

fn flow_schema() -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": { "name": USER },
        "spec": {
            "matchingPrecedence": 2,
            "priorityLevelConfiguration": { "name": "workload-high" },
            "distinguisherMethod": { "type": "ByUser" },
            "rules": [{
                "subjects": [{ "kind": "User", "user": { "name": USER } }],
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"],
                    "clusterScope": true,
                }],
                "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            }],
        },
    })
}

fn node_class() -> Value {
    json!({
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": { "name": "default" },
    })
}

/// The NodePool of the suites: on-demand machines of fewer than 32 processors that may be
/// consolidated, all of them at once, half a minute after something changed.
pub fn node_pool() -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "default" },
        "spec": {
            "template": { "spec": {
                "nodeClassRef": {
                    "group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default",
                },
                "requirements": [
                    { "key": "karpenter.sh/capacity-type", "operator": "In",
                      "values": ["on-demand"] },
                    { "key": "kubernetes.io/os", "operator": "In", "values": ["linux"] },
                    { "key": "karpenter.kwok.sh/instance-cpu", "operator": "Lt",
                      "values": ["32"] },
                ],
                "expireAfter": "Never",
            }},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "30s",
                "budgets": [{ "nodes": "100%" }],
            },
        },
    })
}
