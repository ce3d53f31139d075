//! `kubectl apply -k deploy/` on a real control plane: everything is admitted, the pod runs beside
//! what it must not run on, kube-scheduler takes its configuration, and the rights are what is
//! needed and no more.

mod replacing;
mod rights;
mod separate;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use berth_controlplane::{Assets, ControlPlane, free_port, until};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

const NAMESPACE: &str = "berth-system";
const LIMIT: Duration = Duration::from_secs(90);

/// One control plane for everything that needs one: each takes seconds to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_deploy_works_on_a_real_control_plane() -> Result<()> {
    let name = "what_is_in_deploy_works_on_a_real_control_plane";
    let Some(plane) = ControlPlane::builder().start_or_skip(name).await else {
        return Ok(());
    };
    // The first node there is one that Berth made, which must stay without Berth's own pod.
    create_node(&plane, "made-by-berth", json!({ "karpenter.sh/nodepool": "default" }), "").await?;
    let taint = "node-role.kubernetes.io/infrastructure";
    create_node(&plane, "infrastructure", json!({}), taint).await?;
    apply(&plane).await?;
    is_admitted_and_scheduled(&plane).await?;
    rights::are_what_is_needed_and_no_more(&plane).await?;
    kube_scheduler_takes_its_configuration(&plane).await?;
    the_example_is_taken(&plane).await?;
    replacing::the_only_pod_of_a_deployment_goes_last(&plane).await
}

async fn apply(plane: &ControlPlane) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let folder = folder.to_str().context("the path is UTF-8")?;
    let created = plane.kubectl(&["apply", "-k", folder]).await?;
    assert!(created.contains("deployment.apps/berth created"), "{created}");
    let again = plane.kubectl(&["apply", "-k", folder]).await?;
    assert!(!again.contains(" created"), "not the same the second time: {again}");
    let crds = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    plane.kubectl(&crds).await?;
    Ok(())
}

async fn create_node(
    plane: &ControlPlane,
    name: &str,
    labels: serde_json::Value,
    taint: &str,
) -> Result<()> {
    let taints = match taint {
        "" => json!([]),
        key => json!([{ "key": key, "effect": "NoSchedule" }]),
    };
    let capacity = json!({ "cpu": "8", "memory": "16Gi", "pods": "110" });
    let node: Node = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
        },
        "spec": { "taints": taints },
        "status": { "capacity": capacity, "allocatable": capacity },
    }))?;
    Api::<Node>::all(plane.client()).create(&PostParams::default(), &node).await?;
    Ok(())
}

/// Pod security and the priority class let it in, the scheduler finds the infrastructure node.
async fn is_admitted_and_scheduled(plane: &ControlPlane) -> Result<()> {
    let rollout = ["rollout", "status", "deployment/berth", "-n", NAMESPACE, "--timeout=90s"];
    plane.kubectl(&rollout).await?;
    let pods: Api<Pod> = Api::namespaced(plane.client(), NAMESPACE);
    let pods = pods.list(&ListParams::default()).await?;
    let nodes: Vec<_> =
        pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    assert_eq!(nodes, ["infrastructure"]);
    let classes = pods.iter().filter_map(|pod| pod.spec.as_ref()?.priority_class_name.as_deref());
    assert_eq!(classes.collect::<Vec<_>>(), ["system-cluster-critical"]);
    Ok(())
}

/// The pinned kube-scheduler runs with the shipped configuration and the shipped rights, leads,
/// and, with no Berth to ask, schedules all the same.
async fn kube_scheduler_takes_its_configuration(plane: &ControlPlane) -> Result<()> {
    let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, "berth").await?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("scheduler.yaml");
    let connection = json!({ "kubeconfig": kubeconfig });
    let text = shipped_configuration(plane).await?;
    std::fs::write(&config, format!("{text}\nclientConnection: {connection}\n"))?;
    let log = folder.path().join("kube-scheduler.log");
    let output = std::fs::File::create(&log)?;
    let _scheduler = tokio::process::Command::new(Assets::find()?.binary("kube-scheduler"))
        .arg(format!("--config={}", config.display()))
        .arg(format!("--authentication-kubeconfig={}", kubeconfig.display()))
        .arg(format!("--authorization-kubeconfig={}", kubeconfig.display()))
        .arg(format!("--secure-port={}", free_port()?))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .kill_on_drop(true)
        .spawn()?;

    let leases: Api<Lease> = Api::namespaced(plane.client(), NAMESPACE);
    let leads = until("kube-scheduler leads", LIMIT, || {
        let leases = leases.clone();
        async move {
            let lease = leases.get("berth-scheduler").await.map_err(|error| error.to_string())?;
            let holder = lease.spec.and_then(|spec| spec.holder_identity);
            holder.filter(|holder| !holder.is_empty()).ok_or_else(|| "nobody".to_owned())
        }
    });
    leads.await.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    schedules_without_berth(plane)
        .await
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    let log = std::fs::read_to_string(&log)?;
    assert!(!log.contains("forbidden"), "the rights do not suffice:\n{log}");
    Ok(())
}

async fn shipped_configuration(plane: &ControlPlane) -> Result<String> {
    let maps: Api<ConfigMap> = Api::namespaced(plane.client(), NAMESPACE);
    let selector = ListParams::default().labels("app.kubernetes.io/name=berth");
    let maps = maps.list(&selector).await?;
    let data = maps.items.into_iter().find_map(|map| map.data?.remove("scheduler.yaml"));
    data.context("a ConfigMap with scheduler.yaml")
}

async fn schedules_without_berth(plane: &ControlPlane) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(plane.client(), "default");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "without-berth" },
        "spec": {
            "schedulerName": "berth-scheduler",
            "containers": [{ "name": "main", "image": "none" }],
        },
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    let node = until("the pod is bound", LIMIT, || {
        let pods = pods.clone();
        async move {
            let pod = pods.get("without-berth").await.map_err(|error| error.to_string())?;
            pod.spec.and_then(|spec| spec.node_name).ok_or_else(|| "not bound".to_owned())
        }
    })
    .await?;
    assert_eq!(node, "made-by-berth");
    Ok(())
}

async fn the_example_is_taken(plane: &ControlPlane) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/nodepool.yaml");
    let file = file.to_str().context("the path is UTF-8")?;
    let created = plane.kubectl(&["apply", "-f", file]).await?;
    assert!(created.contains("nodepool.karpenter.sh/default created"), "{created}");
    Ok(())
}
