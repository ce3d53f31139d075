//! The harness itself: what it starts does what a cluster does.

use std::time::Duration;

use berth_controlplane::{ControlPlane, until};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_pod_on_a_fake_node_runs_and_goes_again() {
    let test = "a_pod_on_a_fake_node_runs_and_goes_again";
    let Some(plane) = ControlPlane::builder().start_or_skip(test).await else { return };
    eprintln!("the control plane was ready after {:?}", plane.start_time());

    let nodes: Api<Node> = Api::all(plane.client());
    let node = serde_json::from_value(json!({
        "metadata": {
            "name": "fake-0",
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": { "kubernetes.io/hostname": "fake-0" },
        },
        "status": {
            "capacity": { "cpu": "4", "memory": "8Gi", "pods": "110" },
            "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" },
        },
    }))
    .unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();

    let pods: Api<Pod> = Api::namespaced(plane.client(), "default");
    let pod = serde_json::from_value(json!({
        "metadata": { "name": "one" },
        "spec": { "containers": [{
            "name": "main", "image": "none", "resources": { "requests": { "cpu": "1" } },
        }]},
    }))
    .unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let running = until("the pod runs", LIMIT, || async {
        let pod = pods.get("one").await.map_err(|error| error.to_string())?;
        let status = pod.status.clone().unwrap_or_default();
        if status.phase.as_deref() == Some("Running") {
            Ok(pod)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await
    .unwrap();
    assert_eq!(running.spec.unwrap().node_name.as_deref(), Some("fake-0"));

    // The node keeps what it was created with.
    let node = nodes.get("fake-0").await.unwrap();
    let allocatable = node.status.unwrap().allocatable.unwrap();
    assert_eq!(allocatable["cpu"].0, "4");
    assert_eq!(allocatable["memory"].0, "8Gi");
    assert!(node.spec.unwrap().taints.is_none(), "a ready node has no taint");

    pods.delete("one", &DeleteParams::default()).await.unwrap();
    until("the pod is gone", LIMIT, || async {
        match pods.get_opt("one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    assert_eq!(plane.kubectl(&["get", "nodes", "-o", "name"]).await.unwrap(), "node/fake-0\n");
}

#[tokio::test]
async fn clusters_live_side_by_side_and_users_have_only_their_own_rights() {
    let test = "clusters_live_side_by_side_and_users_have_only_their_own_rights";
    let builder = || ControlPlane::builder().api_server_only();
    let Some(first) = builder().start_or_skip(test).await else { return };
    let second = builder().start().await.unwrap();
    first.create_namespace("only-in-first").await.unwrap();
    let names = |output: String| output.lines().map(str::to_owned).collect::<Vec<_>>();
    let in_first = names(first.kubectl(&["get", "namespaces", "-o", "name"]).await.unwrap());
    let in_second = names(second.kubectl(&["get", "namespaces", "-o", "name"]).await.unwrap());
    assert!(in_first.contains(&"namespace/only-in-first".to_owned()), "{in_first:?}");
    assert!(!in_second.contains(&"namespace/only-in-first".to_owned()), "{in_second:?}");

    let nobody = first.client_for("nobody", &["visitors"]).await.unwrap();
    let refused = Api::<Node>::all(nobody).list(&Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains("nodes is forbidden: User \"nobody\""), "{refused}");
}
