use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, validation};

/// What is particular to nodes that kwok plays.
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "karpenter.kwok.sh",
    version = "v1alpha1",
    kind = "KWOKNodeClass",
    root = "KwokNodeClass",
    plural = "kwoknodeclasses",
    singular = "kwoknodeclass",
    category = "karpenter",
    status = "KwokNodeClassStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The node class of nodes that kwok plays"
)]
#[serde(rename_all = "camelCase")]
pub struct KwokNodeClassSpec {
    /// How long a machine takes from its launch until its node joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::DURATION))]
    pub node_registration_delay: Option<String>,
}

/// What became of a node class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KwokNodeClassStatus {
    /// Whether nodes can be launched with it, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
