use std::collections::BTreeMap;

use berth_solver::model::{
    Bytes, Labels, MilliCpu, Name, Operator, Requirements, Resources, Taint, ValueSet,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Defects, taint_effect};
use crate::api;
use crate::watch::Interner;
use crate::watch::quantity::Quantity;
use berth_solver::model::Timestamp;

/// The requirements of a NodePool or NodeClaim. One that makes no sense can be met by nothing.
pub(super) fn requirements(
    list: &[api::Requirement],
    place: &str,
    interner: &Interner,
    defects: &mut Defects,
) -> Requirements {
    let sets = list.iter().enumerate().map(|(index, requirement)| {
        let set = value_set(requirement, interner).unwrap_or_else(|wrong| {
            defects.add(|| format!("{place}[{index}] ({}): {wrong}", requirement.key));
            ValueSet::nothing()
        });
        (interner.name(&requirement.key), set)
    });
    sets.collect()
}

fn value_set(requirement: &api::Requirement, interner: &Interner) -> Result<ValueSet, String> {
    let (text, values) = (requirement.operator.as_str(), &requirement.values);
    let operator = operator(text).ok_or_else(|| {
        format!(
            "operator {text:?} is unknown: expected In, NotIn, Exists, DoesNotExist, Gt, Lt, Gte \
             or Lte"
        )
    })?;
    let wrong = match operator {
        Operator::In if values.is_empty() => Some("at least one value"),
        Operator::Gt | Operator::Lt | Operator::Gte | Operator::Lte if !matches!(values.as_slice(), [value] if value.parse::<i64>().is_ok()) => {
            Some("one integer")
        }
        _ => None,
    };
    match wrong {
        Some(expected) => {
            Err(format!("operator {text} has values {values:?}: expected {expected}"))
        }
        None => Ok(ValueSet::of(operator, values.iter().map(|value| interner.name(value)))),
    }
}

fn operator(text: &str) -> Option<Operator> {
    Some(match text {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        "Gte" => Operator::Gte,
        "Lte" => Operator::Lte,
        _ => return None,
    })
}

/// Taints, sorted. One with an unknown effect is a defect and is left out.
pub(super) fn api_taints(
    list: &[api::Taint],
    place: &str,
    interner: &Interner,
    defects: &mut Defects,
) -> Box<[Taint]> {
    let mut taints: Vec<Taint> = Vec::with_capacity(list.len());
    for (index, taint) in list.iter().enumerate() {
        let Some(effect) = taint_effect(&taint.effect) else {
            defects.add(|| {
                format!(
                    "{place}[{index}] ({}): effect {:?} is unknown: expected NoSchedule, \
                     PreferNoSchedule or NoExecute",
                    taint.key, taint.effect
                )
            });
            continue;
        };
        taints.push(Taint {
            key: interner.name(&taint.key),
            value: interner.name(taint.value.as_deref().unwrap_or_default()),
            effect,
        });
    }
    taints.sort_unstable();
    taints.dedup();
    taints.into()
}

/// Amounts of resources. One that makes no sense counts as nothing.
pub(super) fn amounts(list: &BTreeMap<String, api::Quantity>, interner: &Interner) -> Resources {
    let mut resources = Resources::default();
    for (name, quantity) in list {
        let amount = Quantity::parse(&quantity.0).unwrap_or_default();
        match name.as_str() {
            "cpu" => resources.cpu = MilliCpu(amount.milli()),
            "memory" => resources.memory = Bytes(amount.units()),
            "ephemeral-storage" => resources.ephemeral_storage = Bytes(amount.units()),
            "pods" => resources.pods = amount.units(),
            _ => resources.set_extended(interner.name(name), amount.units()),
        }
    }
    resources
}

/// A map of labels or annotations.
pub(super) fn labels(map: Option<&BTreeMap<String, String>>, interner: &Interner) -> Labels {
    interner.labels(map.into_iter().flatten())
}

/// A moment of an object's metadata.
pub(super) fn moment(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| Timestamp::from_millis(time.0.as_millisecond()))
}

/// A text that may be missing.
pub(super) fn optional(text: Option<&String>, interner: &Interner) -> Option<Name> {
    text.filter(|text| !text.is_empty()).map(|text| interner.name(text))
}
