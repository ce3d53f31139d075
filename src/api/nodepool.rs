use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, NodeClassReference, Quantity, Requirement, Taint, validation};

/// What nodes a NodePool may launch, how many, and when it may take them away again.
#[expect(clippy::duplicated_attributes, reason = "columns of the same type are no duplicates")]
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "karpenter.sh",
    version = "v1",
    kind = "NodePool",
    plural = "nodepools",
    category = "karpenter",
    status = "NodePoolStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A set of nodes that are launched for pods and taken away when they are not needed",
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.nodes"),
    printcolumn(
        name = "NodeClass",
        type_ = "string",
        json_path = ".spec.template.spec.nodeClassRef.name"
    ),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.nodes"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight", priority = 1),
    printcolumn(name = "CPU", type_ = "string", json_path = ".status.resources.cpu", priority = 1),
    printcolumn(
        name = "Memory",
        type_ = "string",
        json_path = ".status.resources.memory",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    validation::STATIC_STAYS_STATIC,
    validation::STATIC_LIMITS,
    validation::STATIC_WEIGHT,
]))]
pub struct NodePoolSpec {
    /// What is common to the nodes of this pool. What a node is launched for narrows it further.
    pub template: NodeClaimTemplate,
    /// When nodes may be disrupted, and how many at a time.
    #[serde(default)]
    pub disruption: Disruption,
    /// The most that the pool's nodes may have together of each resource named; `nodes` limits
    /// their number. A static pool can limit `nodes` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<BTreeMap<String, Quantity>>,
    /// Heavier pools are tried first. No weight is weight 0. Static pools have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<i32>,
    /// Makes the pool static: it keeps that many nodes whatever the pods need, and neither
    /// consolidationPolicy nor consolidateAfter matter. Alpha in Karpenter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i64>,
}

/// What NodeClaims of a NodePool are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClaimTemplate {
    /// What the nodes carry.
    #[serde(default, skip_serializing_if = "TemplateMetadata::is_empty")]
    pub metadata: TemplateMetadata,
    /// What the nodes are.
    pub spec: NodeClaimTemplateSpec,
}

/// Labels and annotations of the nodes of a NodePool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        schema_with = "labels_schema",
        extend("x-kubernetes-validations" = [
            validation::LABELS_NOT_KARPENTER,
            validation::LABELS_NOT_NODEPOOL,
            validation::LABELS_NOT_HOSTNAME,
        ])
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl TemplateMetadata {
    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

fn labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "string",
            "maxLength": validation::LABEL_VALUE_LENGTH,
            "pattern": validation::LABEL_VALUE,
        },
        "maxProperties": 100,
    })
}

/// What the nodes of a NodePool are: a NodeClaim's spec without the resources asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClaimTemplateSpec {
    /// Taints that the nodes have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Taints that the nodes have at first and that something else takes away, such as a
    /// DaemonSet when it is ready. Pods need not tolerate them to have nodes launched; a node
    /// is not initialised until they are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub startup_taints: Vec<Taint>,
    /// What the labels of the nodes must be: instance types, zones, capacity types and so on.
    #[schemars(
        length(max = 100),
        extend("x-kubernetes-validations" = [
            validation::IN_HAS_VALUES,
            validation::COMPARISON_HAS_INTEGER,
            validation::MIN_VALUES_POSSIBLE,
            validation::KEY_NOT_NODEPOOL,
        ])
    )]
    pub requirements: Vec<Requirement>,
    /// The object that says what is particular to the cloud.
    #[schemars(extend("x-kubernetes-validations" = [
        validation::GROUP_IS_IMMUTABLE,
        validation::KIND_IS_IMMUTABLE,
    ]))]
    pub node_class_ref: NodeClassReference,
    /// How long a node may take to drain before its pods are deleted, whatever
    /// PodDisruptionBudgets and do-not-disrupt say. Without it, there is no end to the waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::DURATION))]
    pub termination_grace_period: Option<String>,
    /// The age at which a node is replaced, or Never.
    #[serde(default = "default_expire_after")]
    #[schemars(regex(pattern = validation::DURATION_OR_NEVER))]
    pub expire_after: String,
}

impl Default for NodeClaimTemplateSpec {
    fn default() -> Self {
        Self {
            taints: Vec::new(),
            startup_taints: Vec::new(),
            requirements: Vec::new(),
            node_class_ref: NodeClassReference::default(),
            termination_grace_period: None,
            expire_after: default_expire_after(),
        }
    }
}

/// Thirty days.
pub(super) fn default_expire_after() -> String {
    "720h".to_owned()
}

/// When nodes of a NodePool may be disrupted, and how many at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Disruption {
    /// How long no pod must have come or gone before a node may be consolidated, or Never.
    #[schemars(regex(pattern = validation::DURATION_OR_NEVER))]
    pub consolidate_after: String,
    /// Which nodes may be consolidated: only those without pods (WhenEmpty), any that money can
    /// be saved with (WhenEmptyOrUnderutilized), or any that save more than they disturb
    /// (Balanced).
    #[schemars(extend("enum" = ["WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"]))]
    pub consolidation_policy: String,
    /// How many nodes may be disrupted at once. Where several budgets are open, the smallest
    /// counts.
    #[schemars(
        length(max = 50),
        extend("x-kubernetes-validations" = [validation::SCHEDULE_WITH_DURATION])
    )]
    pub budgets: Vec<Budget>,
}

impl Default for Disruption {
    fn default() -> Self {
        Self {
            consolidate_after: "0s".to_owned(),
            consolidation_policy: "WhenEmptyOrUnderutilized".to_owned(),
            budgets: vec![Budget::default()],
        }
    }
}

/// How many nodes may be disrupted at once, for which reasons, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// How many: a number, or a percentage of the pool's nodes, rounded up.
    #[serde(default = "default_budget_nodes")]
    #[schemars(regex(pattern = validation::BUDGET_NODES))]
    pub nodes: String,
    /// The reasons that the budget is for: Underutilized, Empty, Drifted. None: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "reasons_schema")]
    pub reasons: Vec<String>,
    /// When the budget opens, as cron says it, in UTC. Without it, the budget is always open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::BUDGET_SCHEDULE))]
    pub schedule: Option<String>,
    /// How long it stays open, in hours and minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::BUDGET_DURATION))]
    pub duration: Option<String>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: default_budget_nodes(), reasons: Vec::new(), schedule: None, duration: None }
    }
}

fn default_budget_nodes() -> String {
    "10%".to_owned()
}

fn reasons_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": ["Underutilized", "Empty", "Drifted"] },
        "maxItems": 50,
    })
}

/// What became of a NodePool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolStatus {
    /// What its nodes have together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Quantity>,
    /// How many nodes it has.
    #[serde(default)]
    pub nodes: i64,
    /// The generation of the node class that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_class_observed_generation: Option<i64>,
    /// Whether it can launch nodes, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
