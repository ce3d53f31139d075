//! Nodes: what hand-written ones leave out, and what none may say.

use serde_json::{Map, Value};

use super::ManifestError;
use super::object::{Object, map_of};
use crate::watch::Quantity;
use crate::watch::reduce::taint_effect;
use berth_solver::model::well_known;

/// What kubelet allows by default.
const DEFAULT_PODS: &str = "110";

/// Fills in what a node's manifest leaves out.
pub(super) fn fill(object: &mut Object) -> Result<(), ManifestError> {
    check_taints(object)?;
    let name = object.name.clone();
    let labels = map_of_maps(object, "metadata", "labels")?;
    labels.entry(well_known::HOSTNAME_LABEL).or_insert_with(|| Value::from(name));
    let mut capacity = amounts(object, "capacity")?;
    let mut allocatable = amounts(object, "allocatable")?;
    if allocatable.is_empty() {
        allocatable.clone_from(&capacity);
    }
    for needed in ["cpu", "memory"] {
        if !allocatable.contains_key(needed) {
            let problem =
                format!("status.allocatable.{needed} is missing: expected what pods can have");
            return Err(object.error(problem));
        }
    }
    for list in [&mut capacity, &mut allocatable] {
        list.entry("pods").or_insert_with(|| Value::from(DEFAULT_PODS));
    }
    check_allocatable(object, &capacity, &allocatable)?;
    let status = object.map("status")?;
    status.insert("capacity".to_owned(), Value::Object(capacity));
    status.insert("allocatable".to_owned(), Value::Object(allocatable));
    let conditions = status.entry("conditions").or_insert_with(|| Value::Array(Vec::new()));
    if conditions.is_null() {
        *conditions = Value::Array(Vec::new());
    }
    if let Some(conditions) = conditions.as_array_mut()
        && !conditions.iter().any(|condition| condition["type"] == "Ready")
    {
        conditions.push(serde_json::json!({ "type": "Ready", "status": "True" }));
    }
    Ok(())
}

fn map_of_maps<'a>(
    object: &'a mut Object,
    outer: &str,
    inner: &str,
) -> Result<&'a mut Map<String, Value>, ManifestError> {
    let wrong = !matches!(object.value[outer][inner], Value::Null | Value::Object(_));
    if wrong {
        return Err(object.error(format!("{outer}.{inner} is no map: expected names and values")));
    }
    let outer = object.map(outer)?;
    Ok(map_of(outer.entry(inner).or_insert(Value::Null)))
}

/// `status.capacity` or `status.allocatable`, each amount checked.
fn amounts(object: &mut Object, list: &str) -> Result<Map<String, Value>, ManifestError> {
    let amounts = map_of_maps(object, "status", list)?.clone();
    for (name, written) in &amounts {
        if let Err(problem) = amount(written) {
            return Err(object.error(format!("status.{list}.{name}: {problem}")));
        }
    }
    Ok(amounts)
}

fn amount(written: &Value) -> Result<Quantity, String> {
    let text = match written {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match Quantity::parse(&text) {
        Ok(quantity) if quantity.is_negative() || quantity.was_too_large() => {
            Err(format!("{text:?} is out of range: expected 0 to {}", Quantity::LARGEST))
        }
        Ok(quantity) => Ok(quantity),
        Err(error) => Err(error.to_string()),
    }
}

fn check_allocatable(
    object: &Object,
    capacity: &Map<String, Value>,
    allocatable: &Map<String, Value>,
) -> Result<(), ManifestError> {
    for (name, written) in allocatable {
        let Some(whole) = capacity.get(name) else { continue };
        if amount(written).ok() > amount(whole).ok() {
            return Err(object.error(format!(
                "status.allocatable.{name}: {written} is more than the capacity {whole}: expected \
                 at most that"
            )));
        }
    }
    Ok(())
}

fn check_taints(object: &Object) -> Result<(), ManifestError> {
    let taints = object.value.pointer("/spec/taints").and_then(Value::as_array);
    for (index, taint) in taints.into_iter().flatten().enumerate() {
        let effect = taint["effect"].as_str().unwrap_or_default();
        if taint_effect(effect).is_none() {
            return Err(object.error(format!(
                "spec.taints[{index}].effect: {effect:?} is unknown: expected NoSchedule, \
                 PreferNoSchedule or NoExecute"
            )));
        }
    }
    Ok(())
}
