use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Name, PodKey, PodShape};

/// What pods are made from, as far as CapacityBuffers refer to it: a PodTemplate, or a workload's
/// template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Namespace and name.
    pub key: PodKey,
    /// `metadata.generation`.
    pub generation: i64,
    /// The shape of its pods.
    pub shape: Arc<PodShape>,
    /// How many pods the workload is to have; none for a PodTemplate.
    pub replicas: u32,
    /// What makes no sense in it.
    pub defect: Option<Name>,
}

/// The kinds that CapacityBuffers may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TemplateKind {
    /// `v1` PodTemplate.
    PodTemplate,
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
}

impl TemplateKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::PodTemplate, Self::Deployment, Self::StatefulSet, Self::ReplicaSet];

    /// The name that Kubernetes gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PodTemplate => "PodTemplate",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::ReplicaSet => "ReplicaSet",
        }
    }
}

impl fmt::Display for TemplateKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What a CapacityBuffer refers to, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRef {
    /// Its kind.
    pub kind: TemplateKind,
    /// Its name.
    pub name: Name,
}
