//! The Node that is there before its kubelet.
//!
//! Exoscale's cloud controller looks a Node's instance up by `systemUUID`, and removes Nodes that
//! have none: so the Node is created with it, under the name that the instance has.

use berth_solver::lifecycle::{LaunchRequest, unregistered_taint};
use berth_solver::model::{Name, Taint, well_known};
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::identity::{CLAIM_UID_LABEL, provider_id};
use crate::autoscaler::objects;
use crate::provider::ProviderError;

/// The Node of an instance that is on its way.
///
/// # Errors
/// Never, as a test makes sure.
pub fn node(name: &str, instance_id: &str, request: &LaunchRequest) -> Result<Node, ProviderError> {
    let labels = request.labels.with([
        (Name::from(well_known::HOSTNAME_LABEL), Name::from(name)),
        (CLAIM_UID_LABEL.into(), request.claim.uid.clone()),
    ]);
    let unregistered = unregistered_taint();
    let taints: Vec<&Taint> = [&unregistered].into_iter().chain(&request.taints).collect();
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": objects::map(&labels) },
        "spec": {
            "providerID": provider_id(instance_id),
            "taints": taints.into_iter().map(objects::taint).collect::<Vec<_>>(),
        },
        "status": {
            "capacity": objects::amounts(&request.capacity),
            "allocatable": objects::amounts(&request.allocatable),
            "addresses": [{ "type": "Hostname", "address": name }],
            "nodeInfo": {
                "systemUUID": instance_id,
                "machineID": "",
                "bootID": "",
                "kernelVersion": "",
                "osImage": "",
                "containerRuntimeVersion": "",
                "kubeletVersion": "",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }))
    .map_err(|error| ProviderError::Other(format!("Node {name}: {error}")))
}

/// Whether a Node is the one that was created for a claim and that nobody has taken over yet.
pub fn awaits_its_claim(node: &Node, claim_uid: &str) -> bool {
    let labels = node.metadata.labels.as_ref();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let mut taints = taints.into_iter().flatten();
    labels.and_then(|labels| labels.get(CLAIM_UID_LABEL)).is_some_and(|uid| uid == claim_uid)
        && taints.any(|taint| taint.key == well_known::UNREGISTERED_TAINT)
}

/// The provider ID of a Node.
pub fn provider_id_of(node: &Node) -> Option<&str> {
    node.spec.as_ref()?.provider_id.as_deref()
}
