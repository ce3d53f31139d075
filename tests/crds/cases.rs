//! What each field may hold and may not, and what the API server says.

use serde_json::{Value, json};

/// What one field may hold, and what it may not.
pub(super) struct Case {
    /// The field: names and dots.
    pub(super) path: String,
    /// Values that are taken.
    pub(super) right: Vec<Value>,
    /// Values that are refused, and what the refusal says.
    pub(super) wrong: Vec<(Value, String)>,
}

pub(super) fn case<const R: usize, const W: usize>(
    path: &str,
    right: [Value; R],
    wrong: [(Value, &str); W],
) -> Case {
    Case {
        path: path.to_owned(),
        right: right.into(),
        wrong: wrong.into_iter().map(|(value, message)| (value, message.to_owned())).collect(),
    }
}

/// A NodePool with nothing but what it must have.
pub(super) fn node_pool() -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "case" },
        "spec": { "template": { "spec": {
            "nodeClassRef": { "group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "a" },
            "requirements": [],
        } } },
    })
}

/// A NodeClaim with nothing but what it must have.
pub(super) fn node_claim() -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": { "name": "case" },
        "spec": {
            "nodeClassRef": { "group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "a" },
            "requirements": [],
        },
    })
}

/// A node class with nothing but what it must have.
pub(super) fn node_class() -> Value {
    json!({
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": { "name": "case" },
        "spec": {},
    })
}

pub(super) fn of_node_pools() -> Vec<Case> {
    let mut cases = of_templates("spec.template.spec");
    cases.extend(of_labels());
    cases.extend(of_disruption());
    cases.extend(of_size());
    cases.push(case(
        "spec.template.spec.requirements",
        [],
        [(
            json!([requirement("karpenter.sh/nodepool", "Exists", &[])]),
            "label \"karpenter.sh/nodepool\" is restricted",
        )],
    ));
    cases.push(case(
        "spec.template",
        [],
        [(Value::Null, "spec.template: Required value"), (json!({}), "spec: Required value")],
    ));
    cases
}

pub(super) fn of_node_claims() -> Vec<Case> {
    let mut cases = of_templates("spec");
    cases.push(case(
        "spec.requirements",
        [json!([requirement("karpenter.sh/nodepool", "In", &["default"])])],
        [],
    ));
    cases.push(case(
        "spec.resources.requests",
        [json!({ "cpu": "1500m", "memory": "2Gi", "pods": 3 })],
        [(json!({ "cpu": "much" }), "spec.resources.requests.cpu")],
    ));
    cases
}

pub(super) fn of_node_classes() -> Vec<Case> {
    vec![case(
        "spec.nodeRegistrationDelay",
        [json!("30s"), json!("1m30s"), Value::Null],
        [(json!("soon"), "spec.nodeRegistrationDelay")],
    )]
}

/// An ExoscaleNodeClass with nothing but what it must have.
pub(super) fn exoscale_node_class() -> Value {
    json!({
        "apiVersion": "karpenter.exoscale.com/v1",
        "kind": "ExoscaleNodeClass",
        "metadata": { "name": "case" },
        "spec": { "imageTemplateSelector": {} },
    })
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({ "key": key, "operator": operator, "values": values })
}

/// What NodeClaims and the templates of NodePools have in common.
fn of_templates(spec: &str) -> Vec<Case> {
    let mut cases = of_requirements(&format!("{spec}.requirements"));
    cases.extend(of_node_class_references(&format!("{spec}.nodeClassRef")));
    for taints in ["taints", "startupTaints"] {
        cases.push(of_taints(&format!("{spec}.{taints}")));
    }
    cases.push(case(
        &format!("{spec}.expireAfter"),
        [json!("720h"), json!("1h30m10s"), json!("Never")],
        [
            (json!("30d"), "expireAfter"),
            (json!("Nevermore"), "expireAfter"),
            (json!("1h Never"), "expireAfter"),
            (json!("-1h"), "expireAfter"),
        ],
    ));
    cases.push(case(
        &format!("{spec}.terminationGracePeriod"),
        [json!("48h"), json!("30s")],
        [(json!("Never"), "terminationGracePeriod"), (json!("1.5h"), "terminationGracePeriod")],
    ));
    cases
}

fn of_requirements(path: &str) -> Vec<Case> {
    let restricted = "label domain \"karpenter.sh\" is restricted";
    let integer = "requirements operator 'Gt', 'Lt', 'Gte', or 'Lte' must have a single positive \
                   integer value";
    let no_value = "requirements with operator 'In' must have a value defined";
    let key = |key: &str| json!([requirement(key, "Exists", &[])]);
    let one = |operator: &str, values: &[&str]| json!([requirement("a", operator, values)]);
    let flexible = |operator: &str, values: &[&str], least: i64| json!([{ "key": "a", "operator": operator, "values": values, "minValues": least }]);
    let many = |count: usize| Value::from_iter(vec![requirement("a", "Exists", &[]); count]);
    let long = "a".repeat(64);
    let longest_key = format!("{}/{}", "a".repeat(253), "b".repeat(62));
    vec![
        case(
            path,
            [
                key("node.kubernetes.io/instance-type"),
                key("kubernetes.io/arch"),
                key("karpenter.sh/capacity-type"),
                key("example.com/Some_thing.else"),
                key("example.k8s.io/a"),
                key(&longest_key),
            ],
            [
                (key("karpenter.sh/initialized"), restricted),
                (key("sub.karpenter.sh/a"), restricted),
                (key("kubernetes.io/hostname"), "label \"kubernetes.io/hostname\" is restricted"),
                (key("no key"), "requirements[0].key"),
                (key("Example.com/a"), "requirements[0].key"),
                (key(""), "requirements[0].key"),
                (key(&format!("{longest_key}b")), "Too long"),
            ],
        ),
        case(
            path,
            [
                one("In", &["x", "y"]),
                one("NotIn", &["x"]),
                one("Exists", &[]),
                one("DoesNotExist", &[]),
                one("Gt", &["0"]),
                one("Lt", &["10"]),
                one("Gte", &["4"]),
                one("Lte", &["9223"]),
                json!([{ "key": "a", "operator": "Exists" }]),
                one("In", &[""]),
            ],
            [
                (one("Like", &["x"]), "Unsupported value: \"Like\""),
                (one("In", &[]), no_value),
                (json!([{ "key": "a", "operator": "In" }]), no_value),
                (one("Gt", &["many"]), integer),
                (one("Lt", &["1", "2"]), integer),
                (one("Gte", &[]), integer),
                (json!([{ "key": "a", "operator": "Lte" }]), integer),
                (one("In", &[&long]), "Too long"),
                (one("In", &["no value"]), "requirements[0].values[0]"),
                (json!([{ "key": "a" }]), "operator: Required value"),
                (json!([{ "operator": "Exists" }]), "key: Required value"),
            ],
        ),
        case(
            path,
            [
                flexible("In", &["x", "y"], 2),
                flexible("Exists", &[], 50),
                flexible("NotIn", &["x"], 5),
            ],
            [
                (
                    flexible("In", &["x", "y"], 3),
                    "requirements with 'minValues' must have at least that many values specified \
                     in the 'values' field",
                ),
                (flexible("Exists", &[], 0), "should be greater than or equal to 1"),
                (flexible("Exists", &[], 51), "should be less than or equal to 50"),
            ],
        ),
        case(
            path,
            [many(100)],
            [(many(101), "must have at most 100 items"), (Value::Null, "Required value")],
        ),
    ]
}

fn of_node_class_references(path: &str) -> Vec<Case> {
    vec![
        case(
            &format!("{path}.group"),
            [json!("karpenter.k8s.aws")],
            [
                (json!("karpenter.k8s.aws/v1"), "nodeClassRef.group"),
                (json!(""), "group may not be empty"),
                (Value::Null, "nodeClassRef.group: Required value"),
            ],
        ),
        case(
            &format!("{path}.kind"),
            [json!("EC2NodeClass")],
            [
                (json!(""), "kind may not be empty"),
                (Value::Null, "nodeClassRef.kind: Required value"),
            ],
        ),
        case(
            &format!("{path}.name"),
            [json!("default")],
            [
                (json!(""), "name may not be empty"),
                (Value::Null, "nodeClassRef.name: Required value"),
            ],
        ),
        case(path, [], [(Value::Null, "nodeClassRef: Required value")]),
    ]
}

fn of_taints(path: &str) -> Case {
    case(
        path,
        [
            json!([{ "key": "example.com/a", "effect": "NoSchedule" }]),
            json!([{ "key": "a", "value": "b", "effect": "PreferNoSchedule" }]),
            json!([{ "key": "a", "effect": "NoExecute", "timeAdded": "2026-01-02T03:04:05Z" }]),
            json!([]),
        ],
        [
            (json!([{ "key": "a", "effect": "Never" }]), "Unsupported value: \"Never\""),
            (json!([{ "key": "a" }]), "effect: Required value"),
            (json!([{ "effect": "NoSchedule" }]), "key: Required value"),
            (json!([{ "key": "", "effect": "NoSchedule" }]), "[0].key"),
            (json!([{ "key": "no key", "effect": "NoSchedule" }]), "[0].key"),
            (json!([{ "key": "a", "value": "no value", "effect": "NoSchedule" }]), "[0].value"),
        ],
    )
}

fn of_labels() -> Vec<Case> {
    let many =
        |count: usize| Value::from_iter((0..count).map(|number| (format!("label-{number}"), "x")));
    let restricted = "label domain \"karpenter.sh\" is restricted";
    vec![
        case(
            "spec.template.metadata.labels",
            [
                json!({ "team": "blue", "example.com/a": "" }),
                json!({ "karpenter.sh/capacity-type": "spot" }),
                json!({ "node-role.kubernetes.io/worker": "true" }),
                many(100),
            ],
            [
                (
                    json!({ "karpenter.sh/nodepool": "a" }),
                    "label \"karpenter.sh/nodepool\" is restricted",
                ),
                (
                    json!({ "kubernetes.io/hostname": "a" }),
                    "label \"kubernetes.io/hostname\" is restricted",
                ),
                (json!({ "karpenter.sh/registered": "true" }), restricted),
                (json!({ "sub.karpenter.sh/a": "b" }), restricted),
                (json!({ "team": "a".repeat(64) }), "Too long"),
                (json!({ "team": "no value" }), "spec.template.metadata.labels.team"),
                (many(101), "must have at most 100 items"),
            ],
        ),
        case("spec.template.metadata.annotations", [json!({ "a": "any text at all" })], []),
    ]
}

fn of_disruption() -> Vec<Case> {
    let budget = |fields: Value| json!([fields]);
    let both = "'schedule' must be set with 'duration'";
    let schedule = |text: &str| json!([{ "nodes": "0", "schedule": text, "duration": "8h" }]);
    let duration = |text: &str| json!([{ "nodes": "0", "schedule": "@daily", "duration": text }]);
    let many = |count: usize| Value::from_iter(vec![json!({ "nodes": "1" }); count]);
    vec![
        case(
            "spec.disruption.consolidateAfter",
            [json!("0s"), json!("1h30m"), json!("Never")],
            [(json!("1d"), "consolidateAfter"), (json!("Nevermore"), "consolidateAfter")],
        ),
        case(
            "spec.disruption.consolidationPolicy",
            [json!("WhenEmpty"), json!("WhenEmptyOrUnderutilized"), json!("Balanced")],
            [(json!("WhenUnderutilized"), "Unsupported value: \"WhenUnderutilized\"")],
        ),
        case(
            "spec.disruption.budgets",
            [
                many(50),
                json!([]),
                budget(json!({ "nodes": "0" })),
                budget(json!({ "nodes": "100%" })),
                budget(json!({ "reasons": ["Underutilized", "Empty", "Drifted"] })),
                schedule("0 9 * * mon-fri"),
                schedule("@midnight"),
                duration("30m"),
                duration("8h30m0s"),
            ],
            [
                (many(51), "must have at most 50 items"),
                (budget(json!({ "nodes": "101%" })), "budgets[0].nodes"),
                (budget(json!({ "nodes": "-1" })), "budgets[0].nodes"),
                (budget(json!({ "nodes": 5 })), "budgets[0].nodes"),
                (budget(json!({ "reasons": ["Bored"] })), "Unsupported value: \"Bored\""),
                (budget(json!({ "nodes": "1", "schedule": "@daily" })), both),
                (budget(json!({ "nodes": "1", "duration": "1h" })), both),
                (schedule("every day"), "budgets[0].schedule"),
                (schedule("* * * *"), "budgets[0].schedule"),
                (duration("90s"), "budgets[0].duration"),
                (duration("1d"), "budgets[0].duration"),
            ],
        ),
    ]
}

fn of_size() -> Vec<Case> {
    vec![
        case(
            "spec.limits",
            [
                json!({ "cpu": "1000", "memory": "1000Gi", "nodes": 10 }),
                json!({ "cpu": "2.5", "nvidia.com/gpu": 4 }),
                json!({}),
            ],
            [
                (json!({ "cpu": "much" }), "spec.limits.cpu"),
                (json!({ "cpu": 2.5 }), "spec.limits.cpu"),
            ],
        ),
        case(
            "spec.weight",
            [json!(1), json!(100)],
            [
                (json!(0), "should be greater than or equal to 1"),
                (json!(101), "should be less than or equal to 100"),
            ],
        ),
        // The rules are over all of the spec.
        case(
            "spec",
            [
                with_template(json!({ "replicas": 0 })),
                with_template(json!({ "replicas": 5, "limits": { "nodes": "10" } })),
                with_template(json!({ "replicas": 5, "limits": {} })),
                with_template(json!({ "weight": 5, "limits": { "cpu": "10" } })),
            ],
            [
                (with_template(json!({ "replicas": -1 })), "should be greater than or equal to 0"),
                (
                    with_template(json!({ "replicas": 1, "weight": 5 })),
                    "'weight' is not supported on static NodePools",
                ),
                (
                    with_template(json!({ "replicas": 1, "limits": { "nodes": 1, "cpu": 1 } })),
                    "only 'limits.nodes' is supported on static NodePools",
                ),
                (Value::Null, "spec: Required value"),
            ],
        ),
    ]
}

fn with_template(mut spec: Value) -> Value {
    spec["template"] = node_pool()["spec"]["template"].clone();
    spec
}
