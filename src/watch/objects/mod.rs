//! Kubernetes objects as far as Berth looks at them: everything else is skipped while decoding
//! and never takes memory.
//!
//! Whatever is absent or `null` becomes its empty value, as in Go.

mod pod;
mod policy;
mod storage;
mod workload;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer};

pub use pod::{
    Affinity, Container, ContainerStatus, NodeAffinity, NodeSelector, NodeSelectorTerm, Pod,
    PodAffinity, PodAffinityTerm, PodSpec, PodStatus, Port, PreferredSchedulingTerm,
    ResourceRequirements, SchedulingGate, Toleration, TopologySpreadConstraint, VolumeSource,
    WeightedPodAffinityTerm,
};
pub use policy::{Namespace, PodDisruptionBudget, PodDisruptionBudgetStatus};
pub use storage::{
    CsiNode, PersistentVolume, PersistentVolumeClaim, StorageClass, TopologySelectorTerm,
    VolumeAttachment, VolumeNodeAffinity,
};
pub use workload::{
    DaemonSet, Node, NodeSpec, NodeStatus, PodTemplate, StoredTemplate, Taint, Workload,
};

/// Decodes one object out of a JSON or YAML value.
///
/// # Errors
/// When a field has the wrong type; the message names the object as far as it can be seen.
pub fn decode<T: de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Undecodable> {
    let text = |path: &str| {
        value.pointer(path).and_then(serde_json::Value::as_str).unwrap_or("?").to_owned()
    };
    let (kind, namespace, name) =
        (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    T::deserialize(value).map_err(|error| Undecodable { kind, namespace, name, error })
}

/// An object that does not have the form of its kind.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {namespace}/{name} cannot be understood: {error}")]
pub struct Undecodable {
    /// `kind`, or `?`.
    pub kind: String,
    /// `metadata.namespace`, or `?`.
    pub namespace: String,
    /// `metadata.name`, or `?`.
    pub name: String,
    /// What is wrong.
    #[source]
    pub error: serde_json::Error,
}

/// Reads `null` as the empty value.
pub(super) fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares a compact object: camel case, all fields optional, `null` is empty.
macro_rules! compact {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(deserialize_with = "crate::watch::objects::or_empty")]
                pub $field: $type,
            )*
        }
    )*};
}
pub(super) use compact;

compact! {
    /// `metadata`.
    struct Meta {
        /// `name`.
        name: String,
        /// `namespace`.
        namespace: String,
        /// `uid`.
        uid: String,
        /// `resourceVersion`.
        resource_version: String,
        /// `generation`.
        generation: i64,
        /// `creationTimestamp`, RFC 3339.
        creation_timestamp: String,
        /// `deletionTimestamp`, RFC 3339.
        deletion_timestamp: String,
        /// `labels`.
        labels: BTreeMap<String, String>,
        /// `annotations`, only those that mean something to Berth.
        annotations: Annotations,
        /// `ownerReferences`.
        owner_references: Vec<OwnerReference>,
        /// `finalizers`.
        finalizers: Vec<String>,
    }

    /// `metadata.ownerReferences[]`.
    struct OwnerReference {
        /// `kind`.
        kind: String,
        /// `uid`.
        uid: String,
        /// `controller`.
        controller: bool,
    }

    /// `status.conditions[]`.
    struct Condition {
        /// `type`.
        #[serde(rename = "type")]
        kind: String,
        /// `status`: `True`, `False` or `Unknown`.
        status: String,
        /// `reason`.
        reason: String,
        /// `lastTransitionTime`, RFC 3339.
        last_transition_time: String,
    }

    /// One entry of a selector: of labels (`metav1.LabelSelectorRequirement`) or of nodes.
    struct Expression {
        /// `key`.
        key: String,
        /// `operator`.
        operator: String,
        /// `values`.
        values: Vec<String>,
    }

    /// `metav1.LabelSelector`.
    struct LabelSelector {
        /// `matchLabels`.
        match_labels: BTreeMap<String, String>,
        /// `matchExpressions`.
        match_expressions: Vec<Expression>,
    }
}

/// Annotations that mean something to Berth; the others (often long) are dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations(BTreeMap<String, String>);

impl Annotations {
    /// The value of one of them.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn matters(key: &str) -> bool {
        const PREFIXES: [&str; 4] = [
            "karpenter.sh/",
            "berth.sh/",
            "cluster-autoscaler.kubernetes.io/",
            "controller.kubernetes.io/",
        ];
        PREFIXES.iter().any(|prefix| key.starts_with(prefix))
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Annotations;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("annotations")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut kept = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if Annotations::matters(&key) {
                        kept.insert(key, map.next_value()?);
                    } else {
                        map.next_value::<de::IgnoredAny>()?;
                    }
                }
                Ok(Annotations(kept))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// A quantity as it is written; numbers are taken for what they look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amount(pub String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a quantity such as 250m, 2 or 1.5Gi")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A `v1.ResourceList` as it is written.
pub type Amounts = BTreeMap<String, Amount>;
