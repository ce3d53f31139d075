use serde::{Deserialize, Serialize};

use super::{Condition, Labels, Name, Resources, Timestamp};

/// What a taint does to pods that don't tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// New pods stay away and running ones are evicted.
    NoExecute,
}

/// A node's taint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// The key.
    pub key: Name,
    /// The value, often empty.
    pub value: Name,
    /// What it does.
    pub effect: TaintEffect,
}

/// A node as the API server knows it, reduced to what decisions need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.uid`: a node of the same name with another UID is another node.
    pub uid: Name,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `spec.taints`, sorted.
    pub taints: Box<[Taint]>,
    /// `spec.unschedulable` (cordoned).
    pub unschedulable: bool,
    /// `spec.providerID`.
    pub provider_id: Option<Name>,
    /// `status.capacity`.
    pub capacity: Resources,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// Whether the condition `Ready` is `True`.
    pub ready: bool,
    /// When the condition `Ready` last changed, if a kubelet ever wrote it.
    pub ready_since: Option<Timestamp>,
    /// `status.conditions`, sorted by kind. When a kubelet last repeated one is left out.
    #[serde(default)]
    pub conditions: Box<[Condition]>,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// `metadata.deletionTimestamp`: set while finalizers hold it.
    pub deleted: Option<Timestamp>,
    /// Whether it carries the finalizer `karpenter.sh/termination`.
    pub has_termination_finalizer: bool,
    /// Annotation `karpenter.sh/do-not-disrupt: "true"`, or Cluster Autoscaler's
    /// `cluster-autoscaler.kubernetes.io/scale-down-disabled: "true"`.
    pub do_not_disrupt: bool,
}

impl Node {
    /// The value of one of its labels.
    pub fn label(&self, key: &str) -> Option<&Name> {
        self.labels.get(key)
    }

    /// Whether it has a taint of this key.
    pub fn has_taint(&self, key: &str) -> bool {
        self.taints.iter().any(|taint| taint.key == key)
    }

    /// Whether its kubelet has ever spoken. A provider may create a Node ahead of it.
    pub fn has_joined(&self) -> bool {
        self.ready
            || self.ready_since.is_some()
            || self.label(super::well_known::CLAIM_UID_LABEL).is_none()
    }

    /// The name of the NodePool that it says it belongs to.
    pub fn pool(&self) -> Option<&Name> {
        self.label(super::well_known::NODEPOOL_LABEL)
    }
}
