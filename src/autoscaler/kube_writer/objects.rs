//! Records of the model as the API server wants them.

use berth_solver::lifecycle::NewClaim;
use berth_solver::model::{
    ExpireAfter, Labels, Operator, Requirements, Resources, Taint, TaintEffect, Timestamp,
    well_known,
};
use k8s_openapi::jiff;
use serde_json::{Map, Value, json};

use crate::api::{NEVER, format_duration};

/// A NodeClaim that is to be created.
pub(super) fn node_claim(new: &NewClaim) -> Value {
    let mut spec = json!({
        "requirements": requirements(&new.requirements),
        "nodeClassRef": {
            "group": new.node_class.group.as_str(),
            "kind": new.node_class.kind.as_str(),
            "name": new.node_class.name.as_str(),
        },
        "resources": { "requests": amounts(&new.requests) },
        "expireAfter": match new.expire_after {
            ExpireAfter::Never => NEVER.to_owned(),
            ExpireAfter::After(age) => format_duration(age),
        },
    });
    if !new.taints.is_empty() {
        spec["taints"] = new.taints.iter().map(taint).collect();
    }
    if !new.startup_taints.is_empty() {
        spec["startupTaints"] = new.startup_taints.iter().map(taint).collect();
    }
    if let Some(period) = new.termination_grace_period {
        spec["terminationGracePeriod"] = json!(format_duration(period));
    }
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": new.name.as_str(),
            "labels": map(&new.labels),
            "annotations": map(&new.annotations),
            "finalizers": [well_known::TERMINATION_FINALIZER],
            "ownerReferences": [{
                "apiVersion": "karpenter.sh/v1",
                "kind": "NodePool",
                "name": new.pool.as_str(),
                "uid": new.pool_uid.as_str(),
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    })
}

fn requirements(requirements: &Requirements) -> Value {
    let of_key = |(key, set): (&berth_solver::model::Name, &berth_solver::model::ValueSet)| {
        let operators = set.operators();
        operators
            .into_iter()
            .map(|(operator, values)| {
                let mut requirement =
                    json!({ "key": key.as_str(), "operator": operator_name(operator) });
                if !values.is_empty() {
                    requirement["values"] =
                        values.iter().map(|value| json!(value.as_str())).collect();
                }
                requirement
            })
            .collect::<Vec<_>>()
    };
    requirements.iter().flat_map(of_key).collect()
}

const fn operator_name(operator: Operator) -> &'static str {
    match operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::Gt => "Gt",
        Operator::Lt => "Lt",
        Operator::Gte => "Gte",
        Operator::Lte => "Lte",
    }
}

/// A taint as objects spell it.
pub(crate) fn taint(taint: &Taint) -> Value {
    let effect = match taint.effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    };
    let mut object = json!({ "key": taint.key.as_str(), "effect": effect });
    if !taint.value.is_empty() {
        object["value"] = json!(taint.value.as_str());
    }
    object
}

/// Labels or annotations.
pub(crate) fn map(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(key, value)| (key.to_string(), json!(value.as_str()))).collect()
}

/// A resource list. What is zero is left out.
pub(crate) fn amounts(resources: &Resources) -> Value {
    let mut list = Map::new();
    let mut add = |name: &str, amount: i64, unit: &str| {
        if amount != 0 {
            list.insert(name.to_owned(), json!(format!("{amount}{unit}")));
        }
    };
    let cpu = resources.cpu.0;
    if cpu % 1_000 == 0 {
        add("cpu", cpu / 1_000, "")
    } else {
        add("cpu", cpu, "m")
    }
    for (name, bytes) in
        [("memory", resources.memory.0), ("ephemeral-storage", resources.ephemeral_storage.0)]
    {
        if bytes % 1_024 == 0 { add(name, bytes / 1_024, "Ki") } else { add(name, bytes, "") }
    }
    add("pods", resources.pods, "");
    for (name, amount) in resources.extended() {
        add(name, *amount, "");
    }
    list.into()
}

/// A moment, to the second, as `metav1.Time`.
pub(crate) fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use berth_solver::lifecycle::new_claim;
    use berth_solver::testing::*;

    use super::*;
    use crate::api;
    use crate::watch::{Interner, reduce};

    #[test]
    fn a_new_claim_reads_back_as_what_was_planned() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["ch-gva-2"]));
        let kind = type_of(&catalog, "standard.medium");
        let launch = launch("general-abc", &general, kind, &kind.offerings[0]);
        let new = new_claim(&launch, &general, ["u2".into(), "u1".into()], "v1");
        let object: api::NodeClaim = serde_json::from_value(node_claim(&new)).unwrap();
        let read = reduce::node_claim(&object, &Interner::new());
        assert_eq!(read.name, new.name);
        assert_eq!(read.labels, new.labels);
        assert_eq!(read.requirements, new.requirements);
        assert_eq!(read.requests, new.requests);
        assert_eq!(read.taints, new.taints);
        assert_eq!(read.expire_after, new.expire_after);
        assert_eq!(read.planned_pods, new.planned_pods);
        assert_eq!(read.price, Some(new.price));
        assert!(read.has_termination_finalizer);
    }

    #[test]
    fn times_are_in_utc_and_to_the_second() {
        assert_eq!(time(Timestamp::from_millis(1_767_323_045_999)), "2026-01-02T03:04:05Z");
    }
}
