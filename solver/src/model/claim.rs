use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    CapacityType, ExpireAfter, Labels, Name, Price, Requirements, Resources, Taint, Timestamp,
    well_known,
};

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

/// One entry of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `type`.
    pub kind: Name,
    /// `status`.
    pub status: ConditionStatus,
    /// `reason`.
    pub reason: Name,
    /// `lastTransitionTime`.
    pub since: Timestamp,
}

/// A NodeClaim: a machine that was asked for, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClaim {
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.uid`: the idempotency key of the cloud create.
    pub uid: Name,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// `metadata.deletionTimestamp`.
    pub deleted: Option<Timestamp>,
    /// Whether it carries the finalizer `karpenter.sh/termination`.
    pub has_termination_finalizer: bool,
    /// `spec.requirements`.
    pub requirements: Requirements,
    /// `spec.resources.requests`.
    pub requests: Resources,
    /// `spec.taints`, sorted.
    pub taints: Box<[Taint]>,
    /// `spec.startupTaints`, sorted: gone before the node counts as initialised.
    pub startup_taints: Box<[Taint]>,
    /// `spec.expireAfter`.
    pub expire_after: ExpireAfter,
    /// `spec.terminationGracePeriod`.
    pub termination_grace_period: Option<Duration>,
    /// By when it is to be gone, whatever its pods and volumes say (annotation
    /// `karpenter.sh/nodeclaim-termination-timestamp`).
    #[serde(default)]
    pub terminate_by: Option<Timestamp>,
    /// `status.providerID`.
    pub provider_id: Option<Name>,
    /// `status.nodeName`.
    pub node_name: Option<Name>,
    /// `status.capacity`, once launched.
    pub capacity: Option<Resources>,
    /// `status.allocatable`, once launched.
    pub allocatable: Option<Resources>,
    /// `status.conditions`, sorted by kind.
    pub conditions: Box<[Condition]>,
    /// `status.lastPodEventTime`: when a pod last came to its node or left it.
    pub last_pod_event: Option<Timestamp>,
    /// The UIDs of the pods that the plan launched it for (annotation `berth.sh/planned-pods`),
    /// sorted.
    pub planned_pods: Box<[Name]>,
    /// The price that the plan chose it at (annotation `berth.sh/price-per-hour`).
    pub price: Option<Price>,
    /// The hash of the template that it was made from (annotation `karpenter.sh/nodepool-hash`).
    #[serde(default)]
    pub template_hash: Option<Name>,
    /// Which way of hashing made it (annotation `karpenter.sh/nodepool-hash-version`).
    #[serde(default)]
    pub template_hash_version: Option<Name>,
    /// Why it was launched, for people (annotation `berth.sh/reason`).
    pub reason: Option<Name>,
}

impl NodeClaim {
    /// The condition of that kind.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == *kind)
    }

    /// Whether the condition of that kind is `True`.
    pub fn is(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// By when it is to be gone once it is deleted: what was said, or the end of its
    /// terminationGracePeriod.
    pub fn deadline(&self) -> Option<Timestamp> {
        let grace = || Some(self.deleted? + self.termination_grace_period?);
        self.terminate_by.or_else(grace)
    }

    /// The NodePool that it was made from.
    pub fn pool(&self) -> Option<&Name> {
        self.labels.get(well_known::NODEPOOL_LABEL)
    }

    /// The instance type chosen for it.
    pub fn instance_type(&self) -> Option<&Name> {
        self.determined(well_known::INSTANCE_TYPE_LABEL)
    }

    /// The zone chosen for it.
    pub fn zone(&self) -> Option<&Name> {
        self.determined(well_known::ZONE_LABEL)
    }

    /// The capacity type chosen for it.
    pub fn capacity_type(&self) -> Option<CapacityType> {
        self.determined(well_known::CAPACITY_TYPE_LABEL)?.parse().ok()
    }

    /// The one value that a label of its node will have: its own label, or its only requirement.
    pub fn determined(&self, key: &str) -> Option<&Name> {
        self.labels.get(key).or_else(|| self.requirements.get(key)?.single())
    }

    /// The labels that its node will have, as far as they are determined.
    pub fn node_labels(&self) -> Labels {
        self.requirements
            .iter()
            .filter_map(|(key, set)| Some((key.clone(), set.single()?.clone())))
            .chain(self.labels.iter().cloned())
            .collect()
    }
}
