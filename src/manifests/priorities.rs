//! Names of priorities, as admission resolves them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ManifestError;
use super::object::Object;

/// Every cluster has these.
const BUILT_IN: [(&str, i32); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// The priority classes of a set of manifests.
#[derive(Debug)]
pub(super) struct Priorities {
    classes: BTreeMap<String, i32>,
    /// The priority of pods that name none.
    default: i32,
}

impl Priorities {
    pub(super) fn of(classes: &[Object]) -> Result<Self, ManifestError> {
        let built_in = BUILT_IN.map(|(name, value)| (name.to_owned(), value));
        let mut priorities = Self { classes: built_in.into_iter().collect(), default: 0 };
        for class in classes {
            let value = class.value["value"].as_i64().and_then(|value| i32::try_from(value).ok());
            let Some(value) = value else {
                let written = &class.value["value"];
                let problem = format!("value: {written} is no priority: expected a whole number");
                return Err(class.error(problem));
            };
            priorities.classes.insert(class.name.clone(), value);
            if class.value["globalDefault"] == true {
                priorities.default = value;
            }
        }
        Ok(priorities)
    }

    /// Writes the priority into a pod's spec that does not say it.
    pub(super) fn resolve(&self, spec: &mut Map<String, Value>) -> Result<(), String> {
        if spec.get("priority").is_some_and(|priority| !priority.is_null()) {
            return Ok(());
        }
        let class = spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default();
        let priority = match class {
            "" => self.default,
            name => *self.classes.get(name).ok_or_else(|| {
                let known: Vec<&str> = self.classes.keys().map(String::as_str).collect();
                format!(
                    "spec.priorityClassName: there is no PriorityClass {name}: expected one of {}",
                    known.join(", ")
                )
            })?,
        };
        spec.insert("priority".to_owned(), Value::from(priority));
        Ok(())
    }
}
