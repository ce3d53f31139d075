use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{ManifestError, lines};
use crate::cache::Kind;
use crate::watch;

/// Where an object stands.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) file: Arc<str>,
    /// The first line of its document.
    pub(super) line: u64,
}

impl Origin {
    pub(super) fn error(&self, problem: String) -> ManifestError {
        let file = self.file.to_string();
        ManifestError { file, line: Some(self.line), object: None, problem }
    }
}

/// A Kubernetes object as it was written.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its API group, empty for the core's.
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// All of it: a map.
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It is taken in as a watch would.
    Watched(Kind),
    /// It makes pods.
    Workload(Workload),
    /// It names a priority.
    Priority,
    /// Nobody looks at it.
    Unknown,
}

/// A controller that makes pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Workload {
    StatefulSet,
    Deployment,
    ReplicaSet,
    Job,
}

impl Workload {
    /// The kind that a watch would bring, for CapacityBuffers to refer to.
    pub(super) const fn watched(self) -> Option<Kind> {
        match self {
            Self::StatefulSet => Some(Kind::StatefulSet),
            Self::Deployment => Some(Kind::Deployment),
            Self::ReplicaSet => Some(Kind::ReplicaSet),
            Self::Job => None,
        }
    }
}

impl Object {
    pub(super) fn new(value: Value, origin: Origin) -> Result<Self, ManifestError> {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let object = Self {
            group: text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: text("/kind").to_owned(),
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
            origin,
            value,
        };
        for field in ["apiVersion", "kind"] {
            if object.value[field].as_str().is_none_or(str::is_empty) {
                return Err(
                    object.error(format!("{field} is missing: expected one, as in v1 and Pod"))
                );
            }
        }
        Ok(object)
    }

    /// Its API group, empty for the core's.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Its kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its namespace; empty if it names none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Its file, and the line on which it begins.
    pub fn place(&self) -> (&str, u64) {
        (&self.origin.file, self.origin.line)
    }

    /// The error for a problem in one of its fields (a JSON pointer), at that field's line.
    pub fn error_at(&self, pointer: &str, problem: String) -> ManifestError {
        let line = lines::of(&self.origin, pointer);
        ManifestError { line: line.or(Some(self.origin.line)), ..self.error(problem) }
    }

    /// The error for a problem in this object.
    pub fn error(&self, problem: String) -> ManifestError {
        let object = Some(self.to_string()).filter(|text| !text.is_empty());
        ManifestError { object, ..self.origin.error(problem) }
    }

    /// For a list the kind of what it lists, empty if each item says it.
    pub(super) fn listed_kind(&self) -> Option<&str> {
        let kind = self.kind.strip_suffix("List")?;
        (kind.is_empty() || self.value["items"].is_array()).then_some(kind)
    }

    pub(super) fn class(&self) -> Class {
        let (group, kind) = (self.group.as_str(), self.kind.as_str());
        let watched = Kind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind && watch::group_of(*known) == group);
        match (watched, group, kind) {
            (Some(Kind::Deployment), ..) => Class::Workload(Workload::Deployment),
            (Some(Kind::StatefulSet), ..) => Class::Workload(Workload::StatefulSet),
            (Some(Kind::ReplicaSet), ..) => Class::Workload(Workload::ReplicaSet),
            (Some(known), ..) => Class::Watched(known),
            (None, "batch", "Job") => Class::Workload(Workload::Job),
            (None, "scheduling.k8s.io", "PriorityClass") => Class::Priority,
            _ => Class::Unknown,
        }
    }

    /// A text in it; empty if it is not there.
    pub(super) fn text(&self, path: &str) -> &str {
        self.value.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// The UID of its controlling owner.
    pub(super) fn controller(&self) -> Option<&str> {
        let owners = self.value.pointer("/metadata/ownerReferences")?.as_array()?;
        let controls = |owner: &&Value| owner["controller"].as_bool() == Some(true);
        owners.iter().find(controls)?["uid"].as_str()
    }

    /// The map of that name in it; made if it is not there.
    pub(super) fn map(&mut self, field: &str) -> Result<&mut Map<String, Value>, ManifestError> {
        if !self.value[field].is_null() && !self.value[field].is_object() {
            return Err(self.error(format!("{field} is no map: expected fields and values")));
        }
        Ok(map_of(&mut self.value[field]))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        match (self.namespace.is_empty(), self.name.is_empty()) {
            (_, true) => Ok(()),
            (true, false) => write!(formatter, " {}", self.name),
            (false, false) => write!(formatter, " {}/{}", self.namespace, self.name),
        }
    }
}

/// The map that a value is; whatever else it was (`null`, as callers see to) becomes an empty one.
pub(super) fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made a map above"),
    }
}
