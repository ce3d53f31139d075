//! What is installed on the control plane, and what plays kubelets there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_controlplane::ControlPlane;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::{NAMESPACE, REGISTRY_PASSWORD, REPOSITORY};

/// The operations that the shipped policy allows.
pub fn policy() -> Vec<String> {
    let path = Path::new(REPOSITORY).join("deploy/options/exoscale/iam-policy.json");
    let policy: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(policy["default-service-strategy"], "deny");
    let rule = policy["services"]["compute"]["rules"][0]["expression"].as_str().unwrap();
    rule.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Installs what is shipped for Exoscale; gives the daemon's kubeconfig.
pub async fn install(plane: &ControlPlane) -> PathBuf {
    // kustomize takes relative paths only.
    let folder = tempfile::tempdir_in(Path::new(REPOSITORY).join("target")).unwrap();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../deploy"],
        "components": [
            "../../deploy/options/exoscale", "../../deploy/options/exoscale-registries",
        ],
    });
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let path = folder.path().display().to_string();
    plane.kubectl(&["apply", "--server-side", "-k", &path]).await.unwrap();
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await.unwrap();
    // Its own pods find no node here and are none of the test's.
    plane.kubectl(&["delete", "deployments", "-n", "berth-system", "--all"]).await.unwrap();
    let password = format!("--from-literal=password={REGISTRY_PASSWORD}");
    let user = "--from-literal=user=robot";
    let secret =
        ["create", "secret", "generic", "registries", "-n", "kube-system", user, &password];
    plane.kubectl(&secret).await.unwrap();
    let class = json!({
        "apiVersion": "karpenter.exoscale.com/v1",
        "kind": "ExoscaleNodeClass",
        "metadata": { "name": "standard" },
        "spec": {
            "imageTemplateSelector": {},
            "securityGroupSelectorTerms": [{ "name": "workers" }],
            "antiAffinityGroupSelectorTerms": [{ "name": "apart-1" }, { "name": "apart-2" }],
            "privateNetworkSelectorTerms": [{ "name": "inside" }],
            "elasticIPSelectorTerms": [{ "name": "203.0.113.7" }],
            "containerRegistry": { "credentials": [{ "registry": "ghcr.io", "basic": {
                "usernameSecretRef": { "name": "registries", "key": "user" },
                "passwordSecretRef": { "name": "registries", "key": "password" },
            }}]},
        },
    });
    let pool = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "workload" },
        "spec": {
            "template": { "spec": {
                "nodeClassRef": {
                    "group": "karpenter.exoscale.com", "kind": "ExoscaleNodeClass", "name": "standard",
                },
                "requirements": [
                    { "key": "exoscale.com/instance-family", "operator": "In", "values": ["standard"] },
                ],
                "expireAfter": "Never",
            }},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "1s",
                "budgets": [{ "nodes": "100%" }],
            },
        },
    });
    for object in [class, pool] {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let kind = object.types.clone().unwrap();
        let (group, version) = kind.api_version.split_once('/').unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind.kind));
        let api: Api<DynamicObject> = Api::all_with(plane.client(), &resource);
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    plane.kubeconfig_for_service_account("berth-system", "berth").await.unwrap()
}

/// What a machine's kubelet is to a Node: kwok plays it from now on. It takes a Node that it knows
/// without the annotation only when it starts anew, and while it starts it may miss a pod: what still
/// waits for it at the next look is shown to it again. The leases of the one that was killed go: while
/// it seems to hold them, its successor leaves the Nodes alone, and they are not ready for a while.
pub async fn play_kubelets(plane: Arc<ControlPlane>) {
    let nodes: Api<Node> = Api::all(plane.client());
    let leases: Api<Lease> = Api::namespaced(plane.client(), "kube-node-lease");
    let mut waited = BTreeSet::new();
    loop {
        waited = show_again(&plane, &waited).await;
        let mut joined = false;
        if let Ok(list) = nodes.list(&ListParams::default()).await {
            for node in list.items {
                let annotations = node.metadata.annotations.unwrap_or_default();
                let name = node.metadata.name.unwrap_or_default();
                if !annotations.contains_key("kwok.x-k8s.io/node") {
                    let patch =
                        json!({ "metadata": { "annotations": { "kwok.x-k8s.io/node": "fake" } } });
                    let patched =
                        nodes.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
                    joined |= patched.is_ok();
                }
            }
        }
        if joined {
            let kwok = plane.kwok().unwrap();
            kwok.stop();
            // One that is left is only waited for.
            let _ = leases.delete_collection(&Default::default(), &Default::default()).await;
            kwok.start().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Touches the pods that wait for their kubelet and did so before; gives all that wait.
async fn show_again(plane: &ControlPlane, before: &BTreeSet<String>) -> BTreeSet<String> {
    let pods: Api<Pod> = Api::namespaced(plane.client(), NAMESPACE);
    let Ok(list) = pods.list(&ListParams::default()).await else { return BTreeSet::new() };
    let waits = |pod: &Pod| {
        let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        is_bound && (phase == Some("Pending") || pod.metadata.deletion_timestamp.is_some())
    };
    let waiting = list.items.into_iter().filter(waits).filter_map(|pod| pod.metadata.name);
    let waiting: BTreeSet<String> = waiting.collect();
    for name in waiting.intersection(before) {
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let touch = json!({ "metadata": { "annotations": { "test/shown-again": now } } });
        // It may be gone by now.
        let _ = pods.patch(name, &PatchParams::default(), &Patch::Merge(touch)).await;
    }
    waiting
}

pub async fn create_deployment(plane: &ControlPlane, replicas: usize) {
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{ "name": "main", "image": "none", "resources": {
                        "requests": { "cpu": "700m", "memory": "1Gi" },
                    }}],
                },
            },
        },
    });
    let deployment = serde_json::from_value(deployment).unwrap();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
}

pub async fn scale(plane: &ControlPlane, replicas: usize) {
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    deployments.patch("web", &PatchParams::default(), &patch).await.unwrap();
}
