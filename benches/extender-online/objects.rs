//! Nodes and pods, and creating and deleting many of them.

use std::future::Future;
use std::time::Duration;

use berth_controlplane::until;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

pub const NAMESPACE: &str = "work";
/// Nothing that is waited for here may take longer.
pub const LIMIT: Duration = Duration::from_secs(300);
/// Requests to the API server at a time.
const AT_A_TIME: usize = 32;

/// Runs all of them, some at a time.
pub async fn all<F: Future<Output = ()>>(work: impl Iterator<Item = F>) {
    futures::stream::iter(work).for_each_concurrent(AT_A_TIME, |one| one).await;
}

pub fn node_name(index: usize) -> String {
    format!("node-{index:05}")
}

/// A node of 32 cores that kwok plays, with as many images as the kubelet reports on a node that
/// has been up for a while.
fn node(index: usize) -> Node {
    let name = node_name(index);
    let zone = format!("zone-{}", index % 3);
    let images: Vec<_> = (0..50)
        .map(|image| {
            let digest = format!("registry.example.com/team-{image}/service@sha256:{image:064x}");
            json!({ "names": [digest, format!("registry.example.com/team-{image}/service:v1.{image}.0")],
                    "sizeBytes": 50_000_000 + image })
        })
        .collect();
    let resources = json!({ "cpu": "32", "memory": "128Gi", "pods": "110" });
    let node = json!({
        "metadata": {
            "name": name,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "standard.colossus",
                "topology.kubernetes.io/region": "region",
                "topology.kubernetes.io/zone": zone,
            },
        },
        "status": { "capacity": resources, "allocatable": resources, "images": images },
    });
    serde_json::from_value(node).expect("a node")
}

/// Creates nodes and waits until pods may land on all of them.
pub async fn create_nodes(client: &Client, from: usize, to: usize) {
    let nodes: Api<Node> = Api::all(client.clone());
    all((from..to).map(|index| {
        let nodes = nodes.clone();
        async move {
            nodes.create(&PostParams::default(), &node(index)).await.expect("a node");
        }
    }))
    .await;
    until("the nodes are ready", LIMIT, || async {
        let list = nodes.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let open = |node: &&Node| {
            node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_none_or(Vec::is_empty)
        };
        match list.iter().filter(open).count() {
            open if open == to => Ok(()),
            open => Err(format!("{open} of {to}")),
        }
    })
    .await
    .expect("the nodes are ready");
}

/// A pod as a Deployment makes them; eight shapes take turns.
pub fn pod(name: &str, index: usize) -> Pod {
    let shape = index % 8;
    let requests = json!({
        "cpu": format!("{}m", 100 + 25 * shape),
        "memory": format!("{}Mi", 128 + 64 * shape),
    });
    let pod = json!({
        "metadata": { "name": name, "labels": { "app": format!("app-{shape}"), "tier": "web" } },
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main",
                "image": "registry.example.com/team/service:v1",
                "env": (0..10).map(|n| json!({ "name": format!("SETTING_{n}"), "value": "on" }))
                    .collect::<Vec<_>>(),
                "resources": { "requests": requests, "limits": { "memory": "1Gi" } },
            }],
        },
    });
    serde_json::from_value(pod).expect("a pod")
}

pub async fn create_pods(client: &Client, prefix: &str, count: usize) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    all((0..count).map(|index| {
        let (pods, pod) = (pods.clone(), pod(&format!("{prefix}-{index}"), index));
        async move {
            pods.create(&PostParams::default(), &pod).await.expect("a pod");
        }
    }))
    .await;
}

/// Deletes all pods and waits until they are gone.
pub async fn delete_pods(client: &Client) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete_collection(&now, &ListParams::default()).await.expect("a deletion");
    until("the pods are gone", LIMIT, || async {
        let list = pods.list_metadata(&ListParams::default().limit(1)).await;
        match list.map_err(|error| error.to_string())?.items.len() {
            0 => Ok(()),
            _ => Err("some are left".to_owned()),
        }
    })
    .await
    .expect("the pods are gone");
}
