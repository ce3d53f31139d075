//! `deploy/options/replace-before-eviction`: the right comes with it, and the only pod of a
//! Deployment goes when its successor is there.

use std::path::Path;

use anyhow::{Context, Result};
use berth::autoscaler::{ClusterWriter, KubeWriter, WriteError};
use berth::clock::Clock;
use berth_controlplane::{ControlPlane, until};
use berth_solver::lifecycle::{PodRef, Write};
use berth_solver::model::PodKey;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use super::{LIMIT, NAMESPACE};

pub(super) async fn the_only_pod_of_a_deployment_goes_last(plane: &ControlPlane) -> Result<()> {
    let deployments: Api<Deployment> = Api::default_namespaced(plane.client());
    let labels = json!({ "app": "single" });
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "name": "single" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": "none" }] },
            },
        },
    }))?;
    deployments.create(&PostParams::default(), &deployment).await?;
    let (old, node) = until("the pod runs", LIMIT, || ready_pod(plane)).await?;

    let user = format!("system:serviceaccount:{NAMESPACE}:berth");
    let client = plane.client_for(&user, &["system:serviceaccounts"]).await?;
    let writer = KubeWriter::new(client, Clock::system(), "test".to_owned());
    let write = Write::ReplacePod { pod: old.clone(), node: node.into() };
    let refused = writer.write(&write).await;
    assert!(matches!(refused, Err(WriteError::Refused(_))), "without the right: {refused:?}");

    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/options/replace-before-eviction/rbac.yaml");
    plane.kubectl(&["apply", "-f", file.to_str().context("the path is UTF-8")?]).await?;
    let done = until("the Deployment is told", LIMIT, || async {
        writer.write(&write).await.map_err(|error| error.to_string())
    });
    done.await?;
    let told = deployments.get("single").await?.metadata.generation;
    writer.write(&write).await?;
    let again = deployments.get("single").await?.metadata.generation;
    assert_eq!(told, again, "the second time there is nothing to be done");

    let replaced = until("another pod has taken its place", LIMIT, || async {
        // The one goes only when the other is ready: there is no moment without.
        let status = deployments.get("single").await.map_err(|error| error.to_string())?.status;
        let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
        assert!(ready >= 1, "no pod is ready");
        let (new, _) = ready_pod(plane).await?;
        if new.uid == old.uid { Err("the old one is alone".to_owned()) } else { Ok(new) }
    });
    let new = replaced.await?;
    let write = Write::ReplacePod { pod: PodRef { uid: old.uid, ..new }, node: "any".into() };
    let another = writer.write(&write).await;
    assert!(matches!(another, Err(WriteError::Conflict(_))), "another pod: {another:?}");
    Ok(())
}

/// The only pod, once it is ready and alone, and its node.
async fn ready_pod(plane: &ControlPlane) -> Result<(PodRef, String), String> {
    let pods: Api<Pod> = Api::default_namespaced(plane.client());
    let list = pods.list(&ListParams::default().labels("app=single")).await;
    let pods = list.map_err(|error| error.to_string())?.items;
    let [pod] = &*pods else { return Err(format!("{} pods", pods.len())) };
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_ready = |all: &Vec<_>| {
        all.iter().any(|one: &k8s_openapi::api::core::v1::PodCondition| {
            one.type_ == "Ready" && one.status == "True"
        })
    };
    if !conditions.is_some_and(is_ready) || pod.metadata.deletion_timestamp.is_some() {
        return Err(format!("{:?}", pod.status));
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (name, uid) = (text(&pod.metadata.name).into(), text(&pod.metadata.uid).into());
    let key = PodKey { namespace: "default".into(), name };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    Ok((PodRef { key, uid }, node))
}
