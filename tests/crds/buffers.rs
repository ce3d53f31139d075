//! CapacityBuffers, as Cluster Autoscaler's definition of them has them.

use anyhow::Result;
use berth::api::CapacityBuffer;
use berth_controlplane::ControlPlane;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, Resource};
use serde_json::{Value, json};

use crate::cases::{Case, case};
use crate::object;

/// The API of CapacityBuffers in one namespace.
pub(super) fn api(plane: &ControlPlane) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<CapacityBuffer>(&());
    Api::default_namespaced_with(plane.client(), &resource)
}

/// A buffer that is right.
pub(super) fn buffer() -> Value {
    json!({
        "apiVersion": "autoscaling.x-k8s.io/v1beta1",
        "kind": "CapacityBuffer",
        "metadata": { "name": "spare" },
        "spec": {},
    })
}

/// What a buffer may say and may not.
pub(super) fn of_buffers() -> Vec<Case> {
    let template = json!({ "name": "web" });
    let web = json!({ "apiGroup": "apps", "kind": "Deployment", "name": "web" });
    vec![case(
        "spec",
        [
            json!({ "podTemplateRef": template, "replicas": 0 }),
            json!({ "podTemplateRef": template, "limits": { "cpu": 4, "memory": "1Gi" } }),
            json!({ "scalableRef": web, "percentage": 20 }),
            json!({ "scalableRef": { "kind": "StatefulSet", "name": "db" }, "replicas": 1 }),
            json!({ "provisioningStrategy": "buffer.gke.io/standby-capacity" }),
        ],
        [
            (json!({ "podTemplateRef": template }), "replicas or limits must be set"),
            (
                json!({ "podTemplateRef": template, "scalableRef": web, "replicas": 1 }),
                "exclude each other",
            ),
            (json!({ "scalableRef": web, "replicas": -1 }), "spec.replicas"),
            (json!({ "scalableRef": web, "percentage": -1 }), "spec.percentage"),
            (json!({ "scalableRef": { "kind": "Deployment", "name": "" } }), "scalableRef.name"),
            (json!({ "podTemplateRef": {}, "replicas": 1 }), "podTemplateRef.name"),
            (json!({ "scalableRef": web, "limits": { "cpu": "much" } }), "spec.limits"),
        ],
    )]
}

pub(super) async fn defaults_columns_and_versions_are_upstreams(
    plane: &ControlPlane,
) -> Result<()> {
    let stored = api(plane).create(&PostParams::default(), &object(buffer())?).await?;
    let strategy = &stored.data["spec"]["provisioningStrategy"];
    assert_eq!(strategy, "buffer.x-k8s.io/active-capacity");
    assert_eq!(CapacityBuffer::plural(&()), "capacitybuffers");
    let listed = plane.kubectl(&["get", "cb"]).await?;
    let header: Vec<&str> = listed.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["NAME", "STRATEGY", "REPLICAS", "READY", "PROVISIONING", "AGE"]);
    Ok(())
}
