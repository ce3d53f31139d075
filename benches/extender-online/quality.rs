//! The same churn with the plain kube-scheduler and with the one that asks us.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use berth_controlplane::{
    Component, ControlPlane, Extender, SchedulerSettings, free_port, until, until_ok,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::churn::{self, Stay};
use crate::data::data;
use crate::objects::{LIMIT, NAMESPACE, all};
use crate::processor::Processor;
use crate::report::Report;

const SYSTEM_NAMESPACE: &str = "berth-system";
/// What is counted is looked at so often.
const LOOK: Duration = Duration::from_secs(1);
/// The first pods all come at once: what that is like is not counted.
const WARM_UP: Duration = Duration::from_secs(60);

pub async fn measure(report: &mut Report) {
    let Some(stays) = churn::stays() else { return };
    println!("{} pods come and go within {:?}", stays.len(), churn::length());
    for ours in [false, true] {
        let processor = Processor::now();
        let mut row = one(&stays, ours).await.expect("a run");
        row["othersPercent"] = json!(processor.others());
        println!("{row}");
        report.quality.push(row);
    }
}

/// The daemon, and where it tells what it sees.
struct Daemon {
    process: Component,
    metrics: u16,
}

async fn one(stays: &[Stay], ours: bool) -> Result<Value> {
    let extender = free_port()?;
    let asked = Extender::at(format!("http://127.0.0.1:{extender}"));
    let settings = SchedulerSettings {
        extenders: if ours { vec![asked] } else { Vec::new() },
        // What a cluster of this size has by default, and what ours is shipped with.
        percentage_of_nodes_to_score: if ours { 100 } else { 0 },
        pod_max_backoff_seconds: 10,
        ..SchedulerSettings::default()
    };
    let plane = ControlPlane::builder().scheduler(settings).start().await?;
    plane.create_namespace(NAMESPACE).await?;
    let kubeconfig = install(&plane).await?;
    let daemon = Daemon::start(&plane, &kubeconfig, extender, ours).await?;
    let pods: Api<Pod> = Api::namespaced(plane.client(), NAMESPACE);
    let mut sums = Sums::default();
    let mut departures: Vec<&Stay> =
        stays.iter().filter(|stay| stay.goes < churn::length()).collect();
    departures.sort_by_key(|stay| std::cmp::Reverse(stay.goes));
    let mut arrivals = stays.iter().peekable();
    let began = Instant::now();
    let mut next_look = WARM_UP;
    while began.elapsed() < churn::length() {
        let now = began.elapsed();
        let (mut coming, mut going) = (Vec::new(), Vec::new());
        while let Some(stay) = arrivals.next_if(|stay| stay.comes <= now) {
            coming.push(stay);
        }
        while let Some(stay) = departures.pop_if(|stay| stay.goes <= now) {
            going.push(stay);
        }
        // Who comes and goes between two looks comes first.
        all(coming.into_iter().map(|stay| come(&pods, stay))).await;
        all(going.into_iter().map(|stay| go(&pods, stay))).await;
        if now >= next_look {
            next_look += LOOK;
            sums.look(&daemon).await?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.process.check()?;
    let landed = daemon.value("berth_planned_pods_bound_total{place=\"planned\"}").await?;
    let elsewhere = daemon.value("berth_planned_pods_bound_total{place=\"elsewhere\"}").await?;
    let launched = daemon.sum("karpenter_nodeclaims_created_total").await?;
    Ok(sums.row(ours, stays.len(), landed, elsewhere, launched))
}

async fn come(pods: &Api<Pod>, stay: &Stay) {
    pods.create(&PostParams::default(), &pod(stay)).await.expect("a pod");
}

async fn go(pods: &Api<Pod>, stay: &Stay) {
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete(&stay.name, &now).await.expect("a pod that is there");
}

fn pod(stay: &Stay) -> Pod {
    let requests = json!({
        // The smallest machines of the trace have one core: what a node keeps for itself must not
        // make it a size larger.
        "cpu": format!("{}m", stay.cpu_milli * 9 / 10),
        "memory": format!("{}Mi", stay.memory_mib * 9 / 10),
    });
    let pod = json!({
        "metadata": { "name": stay.name },
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "main", "image": "none", "resources": { "requests": requests } }],
        },
    });
    serde_json::from_value(pod).expect("a pod")
}

/// Installs what is shipped and a pool; gives the daemon's kubeconfig.
async fn install(plane: &ControlPlane) -> Result<std::path::PathBuf> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").display().to_string();
    plane.kubectl(&["apply", "--server-side", "-k", &shipped]).await?;
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await?;
    // The shipped Deployment has no node to run on here.
    plane.kubectl(&["delete", "deployment", "--all", "-n", SYSTEM_NAMESPACE]).await?;
    let pool: DynamicObject = serde_json::from_value(json!({
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
                ],
                "expireAfter": "Never",
            }},
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "2s",
                "budgets": [{ "nodes": "100%" }],
            },
        },
    }))?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("karpenter.sh", "v1", "NodePool"));
    let pools: Api<DynamicObject> = Api::all_with(plane.client(), &resource);
    until_ok("the pool is taken", LIMIT, || async {
        pools.create(&PostParams::default(), &pool).await
    })
    .await?;
    plane.kubeconfig_for_service_account(SYSTEM_NAMESPACE, "berth").await
}

impl Daemon {
    async fn start(
        plane: &ControlPlane,
        kubeconfig: &Path,
        extender: u16,
        ours: bool,
    ) -> Result<Self> {
        let (metrics, health) = (free_port()?, free_port()?);
        let mut arguments = vec![
            "serve".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            "--provider=kwok".to_owned(),
            format!("--extender-address=127.0.0.1:{extender}"),
            format!("--metrics-address=127.0.0.1:{metrics}"),
            format!("--health-address=127.0.0.1:{health}"),
            format!("--steer-nominated-node={ours}"),
        ];
        let catalog = data().join("catalogs/exoscale-ch-gva-2.csv");
        if catalog.exists() {
            arguments.push(format!("--catalog={}", catalog.display()));
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_berth"));
        let process = plane.spawn("berth", binary, arguments)?;
        let daemon = Self { process, metrics };
        let ready = until("berth is ready", LIMIT, || async {
            match get(health, "/readyz").await {
                Ok(text) if text.starts_with("HTTP/1.1 200") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        ready.await.with_context(|| daemon.process.tail())?;
        Ok(daemon)
    }

    async fn value(&self, series: &str) -> Result<f64> {
        self.sum(series).await
    }

    /// The sum of all series whose names and labels begin so.
    async fn sum(&self, series: &str) -> Result<f64> {
        let text = get(self.metrics, "/metrics").await?;
        Ok(sum(&text, series))
    }
}

fn sum(text: &str, series: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(series));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

async fn get(port: u16, path: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Sums over all looks.
#[derive(Default)]
struct Sums {
    looks: f64,
    nodes: f64,
    most_nodes: f64,
    price: f64,
    pending: f64,
}

impl Sums {
    async fn look(&mut self, daemon: &Daemon) -> Result<()> {
        let text = get(daemon.metrics, "/metrics").await?;
        let nodes = sum(&text, "karpenter_cluster_state_node_count");
        self.looks += 1.0;
        self.nodes += nodes;
        self.most_nodes = self.most_nodes.max(nodes);
        self.price += sum(&text, "berth_cluster_price_per_hour");
        self.pending += sum(&text, "berth_pending_pods");
        Ok(())
    }

    fn row(&self, ours: bool, pods: usize, landed: f64, elsewhere: f64, launched: f64) -> Value {
        let looks = self.looks.max(1.0);
        let all = landed + elsewhere;
        json!({
            "scheduler": if ours { "kube-scheduler that asks Berth" } else { "plain kube-scheduler" },
            "pods": pods,
            "seconds": churn::length().as_secs(),
            "meanNodes": self.nodes / looks,
            "peakNodes": self.most_nodes,
            "launches": launched,
            "pricePerHour": self.price / looks,
            "pendingPods": self.pending / looks,
            "plannedPods": all,
            "landedPercent": if all > 0.0 { landed * 100.0 / all } else { 100.0 },
        })
    }
}
