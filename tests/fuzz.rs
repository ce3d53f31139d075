//! Objects and texts that people write: whatever is in them, nothing panics, and what makes no
//! sense is named together with the field that it is in.

#![allow(clippy::expect_used, reason = "a test that meets nonsense should stop")]

use std::time::Duration;

use berth::api::{format_duration, parse_duration, parse_never, parse_schedule};
use berth::watch::objects::{self, decode};
use berth::watch::{Interner, Quantity, reduce};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What may stand where a quantity should.
fn quantity() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[+-]?[0-9]{0,25}(\\.[0-9]{0,12})?(n|u|m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei|e[+-]?[0-9]{1,4})?"
            .prop_map(Value::from),
        1 => "\\PC{0,8}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ]
}

fn operator() -> impl Strategy<Value = String> {
    let known = vec!["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"];
    prop_oneof![6 => prop::sample::select(known).prop_map(str::to_owned), 1 => "[a-zA-Z]{0,6}"]
}

/// An entry of a selector.
fn expression() -> impl Strategy<Value = Value> {
    let values = prop::collection::vec("(-?[0-9]{0,20}|\\PC{0,6})", 0..4);
    ("[a-z./]{0,8}", operator(), values).prop_map(
        |(key, operator, values)| json!({"key": key, "operator": operator, "values": values}),
    )
}

fn expressions() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(expression(), 0..4)
}

fn pod_with(spec: Value) -> berth_solver::model::Pod {
    let object = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec});
    reduce::pod(&decode::<objects::Pod>(object).expect("its form is right"), &Interner::new())
}

proptest! {
    #[test]
    fn a_quantity_is_counted_or_named_with_its_field(request in quantity()) {
        let pod = pod_with(json!({"containers": [{"name": "a", "resources": {
            "requests": {"memory": request}}}]}));
        let written = match &request {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let sound = Quantity::parse(&written)
            .is_ok_and(|quantity| !quantity.is_negative() && !quantity.was_too_large());
        match pod.defect {
            None => prop_assert!(sound, "{written}"),
            Some(defect) => {
                prop_assert!(defect.starts_with("spec.containers[0].resources.requests.memory: "), "{defect}");
                prop_assert!(!sound || request.is_f64(), "{written}: {defect}");
            }
        }
        prop_assert!(pod.shape.requests.memory.0 >= 0);
    }

    #[test]
    fn selectors_of_every_sort_are_read_or_named_with_their_field(
        labels in expressions(),
        nodes in expressions(),
        fields in expressions(),
        skew in any::<i64>(),
        domains in prop::option::of(any::<i64>()),
    ) {
        let selector = json!({"matchExpressions": labels, "matchLabels": {"a": "b"}});
        let term = json!({"topologyKey": "zone", "labelSelector": selector,
            "namespaceSelector": selector, "matchLabelKeys": ["x"]});
        let nodes = json!({"matchExpressions": nodes, "matchFields": fields});
        let pod = pod_with(json!({
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [nodes]},
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": nodes}]},
                "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
                    [{"weight": 1, "podAffinityTerm": term}]}},
            "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": skew, "minDomains": domains,
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]}));
        let known = |list: &Value, names: &[&str]| {
            list.as_array().into_iter().flatten().all(|entry| names.contains(&entry["operator"].as_str().unwrap_or("")))
        };
        let of_labels = ["In", "NotIn", "Exists", "DoesNotExist"];
        let of_nodes = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
        let count = |number: i64| u32::try_from(number).is_ok_and(|number| number > 0);
        let sound = known(&selector["matchExpressions"], &of_labels)
            && known(&nodes["matchExpressions"], &of_nodes)
            && known(&nodes["matchFields"], &of_nodes)
            && count(skew)
            && domains.is_none_or(count);
        prop_assert_eq!(pod.defect.is_none(), sound, "{:?}", pod.defect);
        if let Some(defect) = pod.defect {
            prop_assert!(defect.starts_with("spec.") && defect.contains("expected"), "{defect}");
        }
    }

    #[test]
    fn tolerations_and_ports_are_read_or_named_with_their_field(
        operator in "(Equal|Exists|Gt|[a-z]{0,4})",
        effect in "(NoSchedule|NoExecute|[a-zA-Z]{0,4})",
        port in any::<i64>(),
        protocol in "(TCP|UDP|SCTP|[A-Z]{0,4})",
    ) {
        let pod = pod_with(json!({
            "tolerations": [{"key": "k", "operator": operator, "effect": effect}],
            "containers": [{"name": "a", "ports": [{"hostPort": port, "protocol": protocol}]}]}));
        if let Some(defect) = pod.defect {
            let named = defect.starts_with("spec.tolerations[0].") || defect.contains("container \"a\"");
            prop_assert!(named && defect.contains("expected"), "{defect}");
        }
    }

    #[test]
    fn requirements_of_pools_are_read_or_named_with_their_field(list in expressions()) {
        let pool = json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "p"},
            "spec": {"template": {"spec": {"requirements": list,
                "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}}}}});
        let pool = reduce::node_pool(&decode(pool).expect("its form is right"), &Interner::new());
        let number = |entry: &Value| {
            let value = entry["values"].as_array().filter(|values| values.len() == 1);
            value.is_some_and(|values| values[0].as_str().is_some_and(|text| text.parse::<i64>().is_ok()))
        };
        let sound = |entry: &Value| match entry["operator"].as_str().unwrap_or("") {
            "In" => entry["values"].as_array().is_some_and(|values| !values.is_empty()),
            "NotIn" | "Exists" | "DoesNotExist" => true,
            "Gt" | "Lt" | "Gte" | "Lte" => number(entry),
            _ => false,
        };
        match list.iter().position(|entry| !sound(entry)) {
            None => prop_assert_eq!(pool.defect, None),
            Some(index) => {
                let defect = pool.defect.expect("a defect");
                prop_assert!(defect.contains(&format!("requirements[{index}]")), "{defect}");
            }
        }
    }

    #[test]
    fn durations_are_read_or_quoted(text in "(Never|[0-9.]{0,12}(h|m|s|ms|us|ns)?[0-9]{0,4}(h|m|s)?|\\PC{0,10})") {
        match parse_duration(&text) {
            Ok(duration) => {
                let seconds = Duration::from_secs(duration.as_secs());
                prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(seconds));
                prop_assert_eq!(parse_never(&text), Ok(Some(duration)));
            }
            Err(error) => {
                let quoted = format!("{text:?} is no duration");
                prop_assert!(error.to_string().starts_with(&quoted), "{error}");
            }
        }
    }

    #[test]
    fn schedules_are_read_or_quoted(
        text in "(@[a-z]{0,9}|([0-9*/,LW#?-]{1,6}|[A-Z]{3}) ([0-9*/,-]{1,5} ){2,4}[0-9*a-zL#-]{1,7}|\\PC{0,20})"
    ) {
        match parse_schedule(&text) {
            Ok(fields) => {
                prop_assert_eq!(fields.split_whitespace().count(), 5, "{}", text);
                prop_assert_eq!(parse_schedule(&fields), Ok(fields.clone()));
            }
            Err(error) => {
                let quoted = format!("{text:?} is no cron expression");
                prop_assert!(error.to_string().starts_with(&quoted), "{error}");
            }
        }
    }
}
