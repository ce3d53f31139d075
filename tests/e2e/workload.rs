//! The workload: 200 pods of seven shapes in Deployments, and a DaemonSet as the eighth.

use berth_controlplane::{ControlPlane, until};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::LIMIT;

/// Where it all runs.
pub const NAMESPACE: &str = "work";

/// Names, and how many pods of each.
pub const DEPLOYMENTS: [(&str, i32); 7] =
    [("web", 60), ("api", 40), ("db", 6), ("batch", 40), ("cache", 20), ("jobs", 24), ("mesh", 10)];

/// How many of each after scaling down: 20 in all.
pub const FEW: [(&str, i32); 7] =
    [("web", 6), ("api", 4), ("db", 2), ("batch", 3), ("cache", 2), ("jobs", 2), ("mesh", 1)];

/// How many of each surely fit where all of them ran, however they are placed.
pub const SOME: [(&str, i32); 7] =
    [("web", 20), ("api", 12), ("db", 3), ("batch", 12), ("cache", 6), ("jobs", 8), ("mesh", 4)];

/// The sum of a table of replicas.
pub fn total(replicas: &[(&str, i32)]) -> usize {
    usize::try_from(replicas.iter().map(|(_, count)| count).sum::<i32>()).unwrap()
}

fn container(cpu: &str, memory: &str) -> Value {
    json!({
        "name": "main",
        "image": "none",
        "resources": { "requests": { "cpu": cpu, "memory": memory } },
    })
}

/// The pod's spec of one of the Deployments.
fn pod_spec(name: &str) -> Value {
    let selector = json!({ "matchLabels": { "app": name } });
    let mut spec = match name {
        "web" => json!({ "containers": [container("250m", "512Mi")] }),
        "api" => json!({
            "containers": [container("500m", "1Gi")],
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                // kube-scheduler counts only zones that have nodes, and it goes on while the
                // daemon is dead: without this two zones are filled before the third has a node.
                "minDomains": 3,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": selector,
            }],
        }),
        "db" => json!({
            "containers": [container("1", "4Gi")],
            "affinity": { "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": selector,
                }],
            }},
        }),
        "batch" => json!({
            "containers": [container("1", "1Gi")],
            "nodeSelector": { "karpenter.sh/nodepool": "batch" },
            "tolerations": [{ "key": "dedicated", "operator": "Equal", "value": "batch",
                              "effect": "NoSchedule" }],
        }),
        "cache" => json!({
            "containers": [container("250m", "2Gi")],
            "nodeSelector": { "topology.kubernetes.io/zone": "zone-b" },
        }),
        "jobs" => json!({
            "containers": [container("100m", "128Mi")],
            "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{
                    "matchExpressions": [
                        { "key": "karpenter.sh/capacity-type", "operator": "In",
                          "values": ["on-demand"] },
                        { "key": "kubernetes.io/arch", "operator": "NotIn",
                          "values": ["arm64"] },
                    ],
                }]},
            }},
        }),
        "mesh" => json!({
            "initContainers": [{
                "name": "proxy",
                "image": "none",
                "restartPolicy": "Always",
                "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
            }],
            "containers": [container("200m", "256Mi")],
        }),
        other => panic!("no such Deployment: {other}"),
    };
    spec["terminationGracePeriodSeconds"] = json!(0);
    spec
}

/// Creates the namespace, the Deployments and the DaemonSet.
pub async fn create(plane: &ControlPlane, replicas: &[(&str, i32)]) {
    plane.create_namespace(NAMESPACE).await.unwrap();
    let daemon_sets: Api<DaemonSet> = Api::namespaced(plane.client(), NAMESPACE);
    let agent = serde_json::from_value(json!({
        "metadata": { "name": "agent" },
        "spec": {
            "selector": { "matchLabels": { "app": "agent" } },
            "template": {
                "metadata": { "labels": { "app": "agent" } },
                "spec": {
                    "containers": [container("100m", "64Mi")],
                    "tolerations": [{ "key": "dedicated", "operator": "Exists" }],
                },
            },
        },
    }))
    .unwrap();
    daemon_sets.create(&PostParams::default(), &agent).await.unwrap();

    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    let all = replicas.iter().map(|(name, count)| {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": count,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": pod_spec(name),
                },
            },
        }))
        .unwrap()
    });
    let all: Vec<Deployment> = all.collect();
    let params = PostParams::default();
    try_join_all(all.iter().map(|one| deployments.create(&params, one))).await.unwrap();
}

/// Sets the replicas of every Deployment.
pub async fn scale(plane: &ControlPlane, replicas: &[(&str, i32)]) {
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    for (name, count) in replicas {
        let patch = Patch::Merge(json!({ "spec": { "replicas": count } }));
        deployments.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }
}

/// The pods of the Deployments (not of the DaemonSet).
pub async fn pods(plane: &ControlPlane) -> Result<Vec<Pod>, String> {
    let pods: Api<Pod> = Api::namespaced(plane.client(), NAMESPACE);
    let list = pods.list(&ListParams::default().labels("app!=agent")).await;
    Ok(list.map_err(|error| error.to_string())?.items)
}

/// Whether a pod runs and is not about to go.
pub fn runs(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

/// Waits until exactly `count` pods of the Deployments are there, and all run.
pub async fn wait_until_running(plane: &ControlPlane, count: usize) -> anyhow::Result<Vec<Pod>> {
    until(&format!("{count} pods run"), LIMIT, || async {
        let pods = pods(plane).await?;
        let running = pods.iter().filter(|pod| runs(pod)).count();
        if pods.len() == count && running == count {
            return Ok(pods);
        }
        let waiting: Vec<_> = pods
            .iter()
            .filter(|pod| !runs(pod))
            .take(3)
            .map(|pod| {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone());
                let messages = conditions.into_iter().flatten().filter_map(|one| one.message);
                let messages: Vec<_> = messages.collect();
                format!("{}: {}", pod.metadata.name.as_deref().unwrap_or(""), messages.join("; "))
            })
            .collect();
        Err(format!("{running} of {} run; {}", pods.len(), waiting.join(" | ")))
    })
    .await
}

/// A pod of nobody's that fits wherever a little room is left.
pub async fn create_tiny_pod(plane: &ControlPlane) {
    let pods: Api<Pod> = Api::default_namespaced(plane.client());
    let pod = serde_json::from_value(json!({
        "metadata": { "name": "tiny" },
        "spec": { "containers": [container("1m", "1Mi")], "terminationGracePeriodSeconds": 0 },
    }));
    pods.create(&PostParams::default(), &pod.unwrap()).await.unwrap();
}

/// Deletes it again.
pub async fn delete_tiny_pod(plane: &ControlPlane) {
    let pods: Api<Pod> = Api::default_namespaced(plane.client());
    pods.delete("tiny", &DeleteParams::default()).await.unwrap();
}
