//! What a cluster would fill in.

use serde_json::Value;

use super::ManifestError;
use super::object::{Class, Object};
use crate::cache::Kind;

const DEFAULT_NAMESPACE: &str = "default";

/// Names an object's namespace, if it has one, and gives it a UID; refuses one without a name.
pub(super) fn identity(object: &mut Object) -> Result<(), ManifestError> {
    if object.name.is_empty() {
        return Err(object.error("metadata.name is missing: expected a name".to_owned()));
    }
    if object.namespace.is_empty() && is_namespaced(object.class()) {
        DEFAULT_NAMESPACE.clone_into(&mut object.namespace);
    }
    let (namespace, has_uid) = (object.namespace.clone(), !object.text("/metadata/uid").is_empty());
    let uid = format!("{}/{namespace}/{}", object.kind, object.name);
    let metadata = object.map("metadata")?;
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), Value::from(namespace));
    }
    if !has_uid {
        metadata.insert("uid".to_owned(), Value::from(uid));
    }
    Ok(())
}

const fn is_namespaced(class: Class) -> bool {
    match class {
        Class::Watched(
            Kind::Pod
            | Kind::DaemonSet
            | Kind::PodDisruptionBudget
            | Kind::PersistentVolumeClaim
            | Kind::CapacityBuffer
            | Kind::PodTemplate
            | Kind::Deployment
            | Kind::StatefulSet
            | Kind::ReplicaSet,
        )
        | Class::Workload(_) => true,
        Class::Watched(
            Kind::Node
            | Kind::NodeClaim
            | Kind::NodePool
            | Kind::Namespace
            | Kind::PersistentVolume
            | Kind::StorageClass
            | Kind::CsiNode
            | Kind::VolumeAttachment,
        )
        | Class::Priority
        | Class::Unknown => false,
    }
}

/// What is wrong with a pod's spec that would otherwise count as a pod that needs nothing.
pub(super) fn missing_containers(spec: &Value) -> Option<&'static str> {
    let containers = spec["containers"].as_array();
    let problem = "spec.containers is missing: expected a list of containers";
    containers.is_none_or(Vec::is_empty).then_some(problem)
}
