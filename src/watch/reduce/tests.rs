use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::{
    DoNotDisrupt, LabelSelector, Labels, Name, NodeInclusion, Owner, Pod, PodKey, PodPhase,
    TolerationOperator, WhenUnsatisfiable, well_known,
};
use serde_json::{Value, json};

use super::*;
use crate::watch::objects::decode;

/// `object` with the members of `more` put in, level by level.
fn merge(object: &mut Value, more: Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (key, value) in more {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object, more) => *object = more,
    }
}

/// A pod `apps/web-1` that a ReplicaSet made, with more fields.
fn pod_object(more: Value) -> objects::Pod {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-1", "namespace": "apps", "uid": "u1", "resourceVersion": "12",
            "creationTimestamp": "2026-11-24T04:00:00Z",
            "labels": {"app": "web", "pod-template-hash": "5f4"},
            "managedFields": [{"fieldsV1": {"f:spec": {}}}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "long"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Thing", "name": "t", "uid": "other"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs1",
                 "controller": true, "blockOwnerDeletion": true}
            ]
        },
        "spec": {
            "containers": [{"name": "web", "image": "nginx", "env": [{"name": "A", "value": "b"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}],
            "schedulerName": "default-scheduler", "priority": 7,
            "volumes": [{"name": "token", "projected": {}}]
        },
        "status": {"phase": "Pending"}
    });
    merge(&mut object, more);
    decode(object).unwrap()
}

fn reduced(more: Value) -> Pod {
    pod(&pod_object(more), &Interner::new())
}

/// The pod's defect.
fn defect(more: Value) -> String {
    reduced(more).defect.expect("it should have a defect").to_string()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (Name::from(*key), Name::from(*value))).collect()
}

#[test]
fn a_pending_pod() {
    let pod = reduced(json!({"status": {
        "nominatedNodeName": "n2",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "lastTransitionTime": null}]}}));
    assert_eq!(pod.key.to_string(), "apps/web-1");
    assert_eq!(pod.uid, "u1");
    assert_eq!((pod.node.clone(), pod.nominated_node.as_deref()), (None, Some("n2")));
    assert!(pod.unschedulable && pod.needs_node() && !pod.gated);
    assert_eq!(pod.phase, PodPhase::Pending);
    assert_eq!(pod.created.as_millis(), 1_795_492_800_000);
    assert_eq!((pod.started, pod.deleted), (None, None));
    assert_eq!(pod.owner, Owner::Controller("ReplicaSet".into(), "rs1".into()));
    assert_eq!(pod.do_not_disrupt, DoNotDisrupt::Allowed);
    assert_eq!(pod.defect, None);
    assert_eq!(pod.shape.labels, labels(&[("app", "web"), ("pod-template-hash", "5f4")]));
    assert_eq!((pod.shape.priority, pod.shape.requests.cpu.0), (7, 100));
    assert_eq!((&*pod.shape.namespace, &*pod.shape.scheduler), ("apps", "default-scheduler"));
}

#[test]
fn a_bound_terminating_pod() {
    let pod = reduced(json!({
        "metadata": {"deletionTimestamp": "2026-11-24T05:00:00.250Z"},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "startTime": "2026-11-24T04:00:01Z",
            "conditions": [{"type": "PodScheduled", "status": "True"}]}
    }));
    assert_eq!(pod.node.as_deref(), Some("n1"));
    assert!(pod.is_alive() && !pod.needs_node() && !pod.unschedulable);
    assert_eq!(pod.phase, PodPhase::Running);
    assert_eq!(pod.deleted.map(|at| at.as_millis() % 1_000), Some(250));
    assert_eq!(pod.started, pod.created.as_millis().checked_add(1_000).map(Timestamp::from_millis));
}

#[test]
fn phases() {
    for (phase, expected) in [
        ("Pending", PodPhase::Pending),
        ("Unknown", PodPhase::Pending),
        ("Running", PodPhase::Running),
        ("Succeeded", PodPhase::Ended),
        ("Failed", PodPhase::Ended),
    ] {
        assert_eq!(reduced(json!({"status": {"phase": phase}})).phase, expected, "{phase}");
    }
}

#[test]
fn null_and_absent_fields_are_empty() {
    let object = json!({
        "metadata": {"name": "p", "namespace": null, "labels": null, "annotations": null,
            "creationTimestamp": null, "ownerReferences": null, "finalizers": null},
        "spec": {"containers": null, "affinity": null, "tolerations": null, "nodeSelector": null,
            "resources": null, "priority": null, "overhead": null, "hostNetwork": null},
        "status": null
    });
    let pod = pod(&decode(object).unwrap(), &Interner::new());
    assert_eq!((pod.key.to_string().as_str(), pod.defect), ("default/p", None));
    assert_eq!(pod.shape.requests.pods, 1);
}

#[test]
fn pods_of_one_template_share_their_shape() {
    let interner = Interner::new();
    let of = |more: Value| pod(&pod_object(more), &interner).shape;
    let first = of(json!({}));
    let second = of(json!({
        "metadata": {"name": "web-2", "uid": "u2", "labels": {
            "topology.kubernetes.io/zone": "a", "topology.kubernetes.io/region": "r"}},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}));
    assert!(Arc::ptr_eq(&first, &second), "bound or not");
    let other = of(json!({"metadata": {"labels": {"pod-template-hash": "999"}}}));
    assert_ne!(first, other);
}

#[test]
fn the_order_in_which_things_are_written_does_not_matter() {
    let tolerations = |keys: [&str; 2]| {
        let list = keys.map(|key| json!({"key": key, "operator": "Exists", "effect": ""}));
        reduced(json!({"spec": {"tolerations": list, "containers": [{"ports": []}]}})).shape
    };
    assert_eq!(tolerations(["a", "b"]), tolerations(["b", "a"]));
    let terms = |zones: [&str; 2]| {
        let list = zones.map(|zone| {
            json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]})
        });
        let required = json!({"nodeSelectorTerms": list});
        reduced(json!({"spec": {"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": required}}}}))
        .shape
    };
    assert_eq!(terms(["a", "b"]), terms(["b", "a"]));
}

#[test]
fn owners() {
    let owner = |kind: &str| {
        let list = json!([{"kind": kind, "uid": "o1", "controller": true}]);
        reduced(json!({"metadata": {"ownerReferences": list}})).owner
    };
    assert_eq!(owner("DaemonSet"), Owner::DaemonSet("o1".into()));
    assert_eq!(owner("Node"), Owner::Node);
    assert_eq!(owner("Job"), Owner::Controller("Job".into(), "o1".into()));
    let nobody = json!([{"kind": "Job", "uid": "o1"}]);
    let pod = reduced(json!({"metadata": {"ownerReferences": nobody}}));
    assert_eq!(pod.owner, Owner::None, "an owner that is no controller makes no new pod");
}

#[test]
fn annotations_that_mean_something() {
    let with = |key: &str, value: &str| reduced(json!({"metadata": {"annotations": {key: value}}}));
    for (value, expected) in [
        ("true", DoNotDisrupt::Never),
        ("false", DoNotDisrupt::Allowed),
        ("1h30m", DoNotDisrupt::For(Duration::from_secs(5_400))),
        ("0s", DoNotDisrupt::Allowed),
        ("-1h", DoNotDisrupt::Allowed),
        ("99999999999999999999999h", DoNotDisrupt::Allowed),
        ("yes", DoNotDisrupt::Allowed),
    ] {
        let pod = with(well_known::DO_NOT_DISRUPT_ANNOTATION, value);
        assert_eq!(pod.do_not_disrupt, expected, "{value}");
    }
    let safe = |value| with(well_known::SAFE_TO_EVICT_ANNOTATION, value).do_not_disrupt;
    assert_eq!((safe("false"), safe("true")), (DoNotDisrupt::Never, DoNotDisrupt::Allowed));
    let cost = |value| with(well_known::POD_DELETION_COST_ANNOTATION, value).deletion_cost;
    assert_eq!((cost("-5"), cost("2147483647"), cost("many")), (-5, i32::MAX, 0));
}

#[test]
fn only_annotations_that_mean_something_are_kept() {
    let object =
        pod_object(json!({"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}}));
    let annotations = object.metadata.annotations;
    assert_eq!(annotations.get("karpenter.sh/do-not-disrupt"), Some("true"));
    assert_eq!(annotations.get("kubectl.kubernetes.io/last-applied-configuration"), None);
}

#[test]
fn scheduling_gates_hold_a_pod_back() {
    let pod = reduced(json!({"spec": {"schedulingGates": [{"name": "quota"}]}}));
    assert!(pod.gated && !pod.needs_node());
}

#[test]
fn required_node_affinity() {
    let affinity = |terms: Value| {
        reduced(json!({"spec": {"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}}))
        .shape
        .node_affinity
        .clone()
    };
    let allowed = |terms: Value, node: &[(&str, &str)]| {
        affinity(terms).iter().any(|term| term.allow(&labels(node)))
    };
    let zone = |operator: &str, values: Value| json!([{"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]}]);
    assert!(allowed(zone("In", json!(["a", "b"])), &[("zone", "b")]));
    assert!(!allowed(zone("NotIn", json!(["a"])), &[("zone", "a")]));
    assert!(allowed(zone("NotIn", json!(["a"])), &[]));
    assert!(!allowed(zone("Exists", json!([])), &[]));
    assert!(allowed(zone("Gt", json!(["3"])), &[("zone", "4")]));
    let both = json!([{"matchExpressions": [
        {"key": "zone", "operator": "In", "values": ["a", "b"]},
        {"key": "zone", "operator": "NotIn", "values": ["a"]}]}]);
    assert!(!allowed(both.clone(), &[("zone", "a")]) && allowed(both, &[("zone", "b")]));
    let field = json!([{"matchFields": [
        {"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]);
    assert!(allowed(field, &[(well_known::NODE_NAME_FIELD, "n1")]));
    assert!(!allowed(json!([{}]), &[("zone", "a")]), "an empty term matches no node");
    assert!(!allowed(json!([]), &[("zone", "a")]), "nor does a list without terms");
    assert!(allowed(
        json!([{}, {"matchExpressions": [{"key": "x", "operator": "Exists"}]}]),
        &[("x", "")]
    ));
    assert!(reduced(json!({})).shape.node_affinity.is_empty(), "no affinity: any node will do");
}

/// A pod's spread constraint over zones with more fields.
fn spread(more: Value) -> Value {
    let mut constraint = json!({"topologyKey": "zone", "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}});
    merge(&mut constraint, more);
    json!({"spec": {"topologySpreadConstraints": [constraint]}})
}

#[test]
fn topology_spread() {
    let of = |more: Value| reduced(spread(more)).shape.topology_spread[0].clone();
    let plain = of(json!({}));
    assert_eq!((&*plain.topology_key, plain.max_skew, plain.min_domains), ("zone", 1, None));
    assert_eq!(plain.when_unsatisfiable, WhenUnsatisfiable::DoNotSchedule);
    assert_eq!(plain.node_affinity_policy, NodeInclusion::Honor);
    assert_eq!(plain.node_taints_policy, NodeInclusion::Ignore);
    assert!(plain.selector.matches(&labels(&[("app", "web")])));
    assert_eq!(of(json!({"labelSelector": null})).selector, LabelSelector::Nothing);
    assert_eq!(
        of(json!({"labelSelector": {"matchLabels": null}})).selector,
        LabelSelector::everything()
    );
    let soft = of(json!({"whenUnsatisfiable": "ScheduleAnyway", "minDomains": 3,
        "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor"}));
    assert_eq!(soft.when_unsatisfiable, WhenUnsatisfiable::ScheduleAnyway);
    assert_eq!(
        (soft.min_domains, soft.node_affinity_policy, soft.node_taints_policy),
        (Some(3), NodeInclusion::Ignore, NodeInclusion::Honor)
    );
}

#[test]
fn match_label_keys_are_merged_into_the_selector_once() {
    let of = |more: Value| reduced(spread(more)).shape.topology_spread[0].selector.clone();
    let merged = of(json!({"matchLabelKeys": ["pod-template-hash", "absent"]}));
    assert!(merged.matches(&labels(&[("app", "web"), ("pod-template-hash", "5f4")])));
    assert!(!merged.matches(&labels(&[("app", "web"), ("pod-template-hash", "other")])));
    let already = of(json!({"matchLabelKeys": ["pod-template-hash"], "labelSelector": {
        "matchExpressions": [{"key": "pod-template-hash", "operator": "In", "values": ["5f4"]}]}}));
    assert_eq!(already, merged, "newer API servers have merged it in already");
    assert_eq!(
        of(json!({"matchLabelKeys": ["app"], "labelSelector": null})),
        LabelSelector::Nothing
    );
}

#[test]
fn pod_affinity_terms() {
    let of = |term: Value| {
        let list = json!([term]);
        reduced(json!({"spec": {"affinity": {"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": list}}}}))
        .shape
        .anti_affinity[0]
            .clone()
    };
    let own = of(json!({"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "web"}}}));
    assert_eq!((&*own.namespaces, own.namespace_selector), (&[Name::from("apps")][..], None));
    let named = of(json!({"topologyKey": "host", "namespaces": ["b", "a", "b"]}));
    assert_eq!(*named.namespaces, ["a", "b"].map(Name::from));
    assert_eq!(named.selector, LabelSelector::Nothing, "a nil selector selects no pod");
    let selected = of(json!({"topologyKey": "host", "namespaceSelector": {}}));
    assert!(selected.namespaces.is_empty());
    assert_eq!(selected.namespace_selector, Some(LabelSelector::everything()));
    let keys = of(json!({"topologyKey": "host", "labelSelector": {},
        "matchLabelKeys": ["app"], "mismatchLabelKeys": ["pod-template-hash"]}));
    assert!(keys.selector.matches(&labels(&[("app", "web"), ("pod-template-hash", "old")])));
    assert!(!keys.selector.matches(&labels(&[("app", "web"), ("pod-template-hash", "5f4")])));
    assert!(!keys.selector.matches(&labels(&[("app", "db")])));
}

#[test]
fn tolerations() {
    let list = json!([
        {"key": "a", "value": "1", "effect": "NoSchedule"},
        {"key": "a", "operator": "Equal", "value": "1", "effect": "NoSchedule"},
        {"operator": "Exists"},
        {"key": "n", "operator": "Gt", "value": "3"}
    ]);
    let pod = reduced(json!({"spec": {"tolerations": list}}));
    let of = |toleration: &berth_solver::model::Toleration| {
        (toleration.key.to_string(), toleration.operator, toleration.effect)
    };
    assert_eq!(
        pod.shape.tolerations.iter().map(of).collect::<Vec<_>>(),
        [
            (String::new(), TolerationOperator::Exists, None),
            ("a".to_owned(), TolerationOperator::Equal, Some(TaintEffect::NoSchedule)),
        ]
    );
    assert_eq!(pod.defect, None);
}

#[test]
fn host_ports() {
    let spec = json!({"spec": {
        "initContainers": [
            {"name": "once", "ports": [{"containerPort": 1, "hostPort": 1}]},
            {"name": "side", "restartPolicy": "Always",
                "ports": [{"containerPort": 53, "hostPort": 53, "protocol": "UDP"}]}],
        "containers": [{"name": "web", "ports": [{"containerPort": 80}, {"containerPort": 81,
            "hostPort": 8081, "hostIP": "127.0.0.1"}]}]}});
    let ports = |pod: Pod| -> Vec<(String, u16)> {
        pod.shape.host_ports.iter().map(|port| (port.ip.to_string(), port.port)).collect()
    };
    let every = || "0.0.0.0".to_owned();
    assert_eq!(ports(reduced(spec.clone())), [(every(), 53), ("127.0.0.1".to_owned(), 8_081)]);
    let mut on_host = spec;
    merge(&mut on_host, json!({"spec": {"hostNetwork": true}}));
    assert_eq!(
        ports(reduced(on_host)),
        [(every(), 80), (every(), 53), ("127.0.0.1".to_owned(), 8_081)]
    );
}

#[test]
fn what_makes_no_sense_becomes_a_defect_that_says_what_would_be_right() {
    let in_container = |fields: Value| json!({"spec": {"containers": [fields]}});
    let node_term = json!([{"matchExpressions": [{"key": "zone", "operator": "Like"}]}]);
    let pod_term = json!([{"topologyKey": "host", "labelSelector": {
        "matchExpressions": [{"key": "app", "operator": "Gt"}]}}]);
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let cases = [
        (
            in_container(json!({"resources": {"requests": {"memory": "1e30"}}})),
            "spec.containers[0].resources.requests.memory: \"1e30\" is too large: expected at most \
             9223372036854775807",
        ),
        (
            in_container(json!({"resources": {"requests": {"cpu": "-1"}}})),
            "spec.containers[0].resources.requests.cpu: \"-1\" is negative: expected zero or more",
        ),
        (
            json!({"spec": {"affinity": {"nodeAffinity": {required: {"nodeSelectorTerms": node_term}}}}}),
            "spec.affinity.nodeAffinity (required): operator \"Like\" of key \"zone\" is unknown: \
             expected In, NotIn, Exists, DoesNotExist, Gt or Lt",
        ),
        (
            json!({"spec": {"affinity": {"podAffinity": {required: pod_term}}}}),
            "spec.affinity.podAffinity: operator \"Gt\" of key \"app\" is unknown: expected In, \
             NotIn, Exists or DoesNotExist",
        ),
        (
            spread(json!({"maxSkew": 0})),
            "spec.topologySpreadConstraints[0].maxSkew: 0 is not possible: expected 1 or more",
        ),
        (
            spread(json!({"minDomains": -1})),
            "spec.topologySpreadConstraints[0].minDomains: -1 is not possible: expected 1 or more",
        ),
        (
            spread(json!({"topologyKey": ""})),
            "spec.topologySpreadConstraints[0].topologyKey is missing: expected a node label's key",
        ),
        (
            spread(json!({"whenUnsatisfiable": "Maybe"})),
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: \"Maybe\" is unknown: expected \
             DoNotSchedule or ScheduleAnyway",
        ),
        (
            json!({"spec": {"tolerations": [{"key": "a", "operator": "In"}]}}),
            "spec.tolerations[0].operator: \"In\" is unknown: expected Equal or Exists",
        ),
        (
            json!({"spec": {"tolerations": [{"key": "a", "effect": "Never"}]}}),
            "spec.tolerations[0].effect: \"Never\" is unknown: expected NoSchedule, \
             PreferNoSchedule, NoExecute or nothing",
        ),
        (
            in_container(json!({"name": "web", "ports": [{"hostPort": 70_000}]})),
            "ports of container \"web\": host port 70000 \"\" is not possible: expected 1 to 65535 \
             and TCP, UDP or SCTP",
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(defect(more), expected);
    }
}

#[test]
fn an_object_of_the_wrong_form_is_named() {
    let wrong = json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "apps"},
        "spec": {"containers": "none"}});
    assert_eq!(
        decode::<objects::Pod>(wrong).unwrap_err().to_string(),
        "Pod apps/p cannot be understood: invalid type: string \"none\", expected a sequence"
    );
}

#[test]
fn pods_of_templates() {
    let template = decode(json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "2"}}}]}}))
    .unwrap();
    let key = PodKey { namespace: "apps".into(), name: "web-0".into() };
    let owner = Owner::Controller("StatefulSet".into(), "s1".into());
    let now = Timestamp::from_seconds(5);
    let pod = pod_of_template(&template, &key, "u0".into(), owner.clone(), now, &Interner::new());
    assert_eq!((&pod.key, &*pod.uid, &pod.owner, pod.created), (&key, "u0", &owner, now));
    assert_eq!((&*pod.shape.namespace, pod.shape.requests.cpu.0), ("apps", 2_000));
    assert!(pod.needs_node());
}

#[test]
fn nodes() {
    let object = json!({
        "metadata": {"name": "n1", "uid": "u", "creationTimestamp": "2026-11-24T04:00:00Z",
            "labels": {"topology.kubernetes.io/zone": "a"},
            "annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"},
            "finalizers": ["karpenter.sh/termination"]},
        "spec": {"providerID": "kwok://n1", "unschedulable": true, "taints": [
            {"key": "b", "effect": "NoExecute"},
            {"key": "a", "value": "1", "effect": "NoSchedule", "timeAdded": "2026-11-24T04:00:00Z"},
            {"key": "c", "effect": "Strange"}]},
        "status": {
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "allocatable": {"cpu": "3920m", "memory": "7Gi", "pods": "110"},
            "images": [{"names": ["x"], "sizeBytes": 1}],
            "conditions": [{"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T04:01:00Z"}]}
    });
    let interner = Interner::new();
    let known = node(&decode(object.clone()).unwrap(), &interner);
    assert_eq!(
        (&*known.name, &*known.uid, known.provider_id.as_deref()),
        ("n1", "u", Some("kwok://n1"))
    );
    assert_eq!(known.taints.iter().map(|taint| &*taint.key).collect::<Vec<_>>(), ["a", "b"]);
    assert!(known.unschedulable && known.ready && known.has_termination_finalizer);
    assert!(known.do_not_disrupt);
    assert_eq!(known.ready_since, Some(known.created + Duration::from_secs(60)));
    assert_eq!(
        (known.capacity.cpu.0, known.allocatable.cpu.0, known.allocatable.pods),
        (4_000, 3_920, 110)
    );
    let mut unready = object;
    merge(
        &mut unready,
        json!({"metadata": {"annotations": null, "finalizers": []},
        "spec": {"providerID": ""}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
    );
    let unready = node(&decode(unready).unwrap(), &interner);
    assert!(!unready.ready && !unready.has_termination_finalizer && !unready.do_not_disrupt);
    assert_eq!((unready.ready_since, unready.provider_id), (None, None));
}

#[test]
fn daemon_sets_get_the_tolerations_that_their_controller_adds() {
    let object = |host_network: bool, memory: &str| {
        decode(json!({"metadata": {"name": "logs", "namespace": "kube-system", "uid": "d1"},
            "spec": {"template": {"metadata": {"labels": {"app": "logs"}}, "spec": {
                "hostNetwork": host_network,
                "containers": [{"resources": {"requests": {"memory": memory}}}]}}}}))
        .unwrap()
    };
    let interner = Interner::new();
    let tolerated = |host_network| {
        let shape = daemon_set(&object(host_network, "1Mi"), &interner).unwrap().shape;
        let tolerates = |key: &str, effect| {
            shape.tolerates(&Taint { key: key.into(), value: Name::default(), effect })
        };
        [
            tolerates("node.kubernetes.io/not-ready", TaintEffect::NoExecute),
            tolerates("node.kubernetes.io/unschedulable", TaintEffect::NoSchedule),
            tolerates("node.kubernetes.io/network-unavailable", TaintEffect::NoSchedule),
            tolerates("karpenter.sh/disrupted", TaintEffect::NoSchedule),
        ]
    };
    assert_eq!(tolerated(false), [true, true, false, false]);
    assert_eq!(tolerated(true), [true, true, true, false]);
    let daemon = daemon_set(&object(false, "1Mi"), &interner).unwrap();
    assert_eq!((daemon.key.to_string().as_str(), &*daemon.uid), ("kube-system/logs", "d1"));
    let defect = daemon_set(&object(false, "1e30"), &interner).unwrap_err();
    assert!(defect.starts_with(
        "spec.template.spec.containers[0].resources.requests.memory: \"1e30\" is too large"
    ));
}

#[test]
fn namespaces_have_the_label_with_their_name() {
    let object = decode(json!({"metadata": {"name": "apps", "labels": {"team": "a"}}})).unwrap();
    let (name, known) = namespace(&object, &Interner::new());
    assert_eq!(name, "apps");
    assert_eq!(known, labels(&[("kubernetes.io/metadata.name", "apps"), ("team", "a")]));
}

#[test]
fn pod_disruption_budgets() {
    let of = |selector: Value, generation: i64, status: Value| {
        let object = json!({
            "metadata": {"name": "web", "namespace": "apps", "generation": generation},
            "spec": {"selector": selector, "minAvailable": "50%"}, "status": status});
        pod_disruption_budget(&decode(object).unwrap(), &Interner::new())
    };
    let web = json!({"matchLabels": {"app": "web"}});
    let status = json!({"disruptionsAllowed": 2, "observedGeneration": 3});
    let seen = of(web.clone(), 3, status.clone());
    assert_eq!((seen.key.to_string().as_str(), seen.disruptions_allowed), ("apps/web", Some(2)));
    assert!(seen.selector.matches(&labels(&[("app", "web")])));
    assert_eq!(of(web.clone(), 4, status.clone()).disruptions_allowed, None, "status is behind");
    assert_eq!(of(web, 1, Value::Null).disruptions_allowed, None, "no status yet");
    assert_eq!(of(Value::Null, 3, status.clone()).selector, LabelSelector::Nothing);
    assert_eq!(of(json!({}), 3, status.clone()).selector, LabelSelector::everything());
    let broken = json!({"matchExpressions": [{"key": "app", "operator": "Like"}]});
    let broken = of(broken, 3, status);
    assert_eq!(
        (broken.selector, broken.disruptions_allowed),
        (LabelSelector::everything(), Some(0)),
        "it protects more rather than less"
    );
}

#[test]
fn timestamps() {
    assert_eq!(timestamp("1970-01-01T00:00:01.5Z"), Some(Timestamp::from_millis(1_500)));
    assert_eq!(timestamp("1970-01-01T02:00:00+02:00"), Some(Timestamp::from_millis(0)));
    assert_eq!((timestamp(""), timestamp("yesterday")), (None, None));
}
