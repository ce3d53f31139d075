//! The case table: every rule of `PodRequests` of Kubernetes' component-helpers.

use berth_solver::model::{Bytes, MilliCpu, Resources};
use serde_json::{Value, json};

use super::*;
use crate::watch::objects::decode;

/// A container that requests this much CPU and memory.
fn container(name: &str, cpu: &str, memory: &str) -> Value {
    json!({"name": name, "resources": {"requests": {"cpu": cpu, "memory": memory}}})
}

fn sidecar(name: &str, cpu: &str, memory: &str) -> Value {
    with(container(name, cpu, memory), json!({"restartPolicy": "Always"}))
}

fn with(mut object: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

/// A pod with this spec and status.
fn pod(spec: Value, status: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": spec, "status": status})
}

fn containers(list: impl Into<Value>) -> Value {
    pod(json!({"containers": list.into()}), json!({}))
}

fn counted(pod: Value) -> (Resources, Option<String>) {
    let mut defects = Defects::default();
    let requests = pod_requests(&decode(pod).unwrap(), &Interner::new(), &mut defects);
    (requests, defects.first())
}

const MI: i64 = 1 << 20;

/// CPU in thousandths, memory in mebibytes, extended resources; one pod's slot.
fn amounts(cpu: i64, mebibytes: i64, extended: &[(&str, i64)]) -> Resources {
    let mut resources = Resources::new(MilliCpu(cpu), Bytes(mebibytes * MI));
    resources.pods = 1;
    for (name, amount) in extended {
        resources.set_extended(Name::from(*name), *amount);
    }
    resources
}

fn check(cases: impl IntoIterator<Item = (&'static str, Value, Resources)>) {
    for (name, pod, expected) in cases {
        assert_eq!(counted(pod), (expected, None), "{name}");
    }
}

#[test]
fn containers_and_init_containers() {
    let small = || container("a", "100m", "64Mi");
    let init = |init: Value, containers: Value| {
        pod(json!({"initContainers": init, "containers": containers}), json!({}))
    };
    check([
        ("no containers at all", containers(json!([])), amounts(0, 0, &[])),
        ("nothing requested takes a slot", containers(json!([{"name": "a"}])), amounts(0, 0, &[])),
        (
            "containers add up",
            containers(json!([small(), container("b", "1", "1Gi")])),
            amounts(1_100, 1_088, &[]),
        ),
        (
            "a small init container hides behind the containers",
            init(json!([container("i", "50m", "32Mi")]), json!([small(), small()])),
            amounts(200, 128, &[]),
        ),
        (
            "a large init container counts instead of the containers",
            init(json!([container("i", "2", "1Gi")]), json!([small()])),
            amounts(2_000, 1_024, &[]),
        ),
        (
            "init containers run one after another",
            init(json!([container("i", "2", "1Mi"), container("j", "1", "1Gi")]), json!([small()])),
            amounts(2_000, 1_024, &[]),
        ),
        (
            "each resource has its own peak",
            init(json!([container("i", "2", "1Mi")]), json!([container("a", "1m", "1Gi")])),
            amounts(2_000, 1_024, &[]),
        ),
        (
            "only limited is requested as limited",
            containers(
                json!([{"name": "a", "resources": {"limits": {"cpu": "300m", "memory": "1Mi"}}}]),
            ),
            amounts(300, 1, &[]),
        ),
        (
            "a request stands beside a larger limit",
            containers(json!([{"name": "a", "resources": {
                "requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "2Mi"}}}])),
            amounts(100, 2, &[]),
        ),
        (
            "fractions are added before they are rounded",
            containers(json!([
                container("a", "0.1", "0.5Ki"),
                container("b", "0.2", "511.5Ki"),
                container("c", "0", "512Ki")
            ])),
            amounts(300, 1, &[]),
        ),
    ]);
}

#[test]
fn sidecars() {
    let init = |init: Value, containers: Value| {
        pod(json!({"initContainers": init, "containers": containers}), json!({}))
    };
    let app = || json!([container("a", "100m", "100Mi")]);
    check([
        (
            "a sidecar runs beside the containers",
            init(json!([sidecar("s", "50m", "50Mi")]), app()),
            amounts(150, 150, &[]),
        ),
        (
            "a sidecar before a large init container runs beside it too",
            init(json!([sidecar("s", "50m", "50Mi"), container("i", "1", "1000Mi")]), app()),
            amounts(1_050, 1_050, &[]),
        ),
        (
            "a sidecar after a large init container does not",
            init(json!([container("i", "1", "1000Mi"), sidecar("s", "50m", "50Mi")]), app()),
            amounts(1_000, 1_000, &[]),
        ),
        (
            "sidecars around an init container",
            init(
                json!([
                    sidecar("s", "50m", "50Mi"),
                    container("i", "1", "1000Mi"),
                    sidecar("t", "2", "1Mi")
                ]),
                app(),
            ),
            amounts(2_150, 1_050, &[]),
        ),
        (
            "a sidecar larger than all init containers",
            init(json!([container("i", "200m", "200Mi"), sidecar("s", "4", "4000Mi")]), app()),
            amounts(4_100, 4_100, &[]),
        ),
        (
            "sidecars alone",
            init(json!([sidecar("s", "1", "1Mi"), sidecar("t", "1", "1Mi")]), json!([])),
            amounts(2_000, 2, &[]),
        ),
        (
            "an init container that may restart otherwise is no sidecar",
            init(
                json!([with(container("i", "1", "1Mi"), json!({"restartPolicy": "OnFailure"}))]),
                app(),
            ),
            amounts(1_000, 100, &[]),
        ),
    ]);
}

#[test]
fn pod_level_resources_and_overhead() {
    let app = || json!([container("a", "100m", "100Mi")]);
    let spec = |more: Value| pod(with(json!({"containers": app()}), more), json!({}));
    check([
        (
            "overhead is added",
            spec(json!({"overhead": {"cpu": "250m", "memory": "120Mi"}})),
            amounts(350, 220, &[]),
        ),
        (
            "overhead of a resource that is not requested",
            spec(json!({"overhead": {"nvidia.com/gpu": "1"}})),
            amounts(100, 100, &[("nvidia.com/gpu", 1)]),
        ),
        (
            "pod-level cpu only replaces cpu",
            spec(json!({"resources": {"requests": {"cpu": "2"}}})),
            amounts(2_000, 100, &[]),
        ),
        (
            "pod-level may be less than the containers",
            spec(json!({"resources": {"requests": {"cpu": "50m", "memory": "10Mi"}}})),
            amounts(50, 10, &[]),
        ),
        (
            "pod-level replaces init peaks too",
            spec(json!({"initContainers": [container("i", "8", "8Gi")],
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}})),
            amounts(1_000, 1_024, &[]),
        ),
        (
            "overhead is added to pod-level",
            spec(json!({"resources": {"requests": {"cpu": "2"}}, "overhead": {"cpu": "500m"}})),
            amounts(2_500, 100, &[]),
        ),
        (
            "pod-level means nothing for other resources",
            spec(json!({"resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "4",
                "ephemeral-storage": "1Gi"}}})),
            amounts(1_000, 100, &[]),
        ),
        (
            "pod-level huge pages",
            spec(json!({"resources": {"requests": {"hugepages-2Mi": "4Mi"}}})),
            amounts(100, 100, &[("hugepages-2Mi", 4 * MI)]),
        ),
        (
            "a pod-level limit alone takes what the containers request",
            spec(json!({"resources": {"limits": {"cpu": "4"}}})),
            amounts(100, 100, &[]),
        ),
        (
            "a pod-level limit alone is the request where containers request nothing",
            pod(
                json!({"containers": [{"name": "a"}], "resources": {"limits": {"cpu": "4"}}}),
                json!({}),
            ),
            amounts(4_000, 0, &[]),
        ),
    ]);
}

/// A pod of one container that asks for `spec` CPU, with what kubelet says of it.
fn resized(spec: &str, allocated: Option<&str>, actuated: Option<&str>, reason: &str) -> Value {
    let mut status = json!({"name": "a"});
    if let Some(cpu) = allocated {
        status["allocatedResources"] = json!({"cpu": cpu, "memory": "10Mi"});
    }
    if let Some(cpu) = actuated {
        status["resources"] = json!({"requests": {"cpu": cpu, "memory": "10Mi"}});
    }
    let conditions = match reason {
        "" => json!([]),
        _ => json!([{"type": "PodResizePending", "status": "True", "reason": reason}]),
    };
    pod(
        json!({"containers": [container("a", spec, "10Mi")], "nodeName": "n"}),
        json!({"containerStatuses": [status], "conditions": conditions}),
    )
}

#[test]
fn resize_in_place_of_containers() {
    check([
        ("settled", resized("1", Some("1"), Some("1"), ""), amounts(1_000, 10, &[])),
        (
            "resize up asked for, not admitted yet",
            resized("2", Some("1"), Some("1"), ""),
            amounts(2_000, 10, &[]),
        ),
        (
            "resize up deferred still counts",
            resized("2", Some("1"), Some("1"), "Deferred"),
            amounts(2_000, 10, &[]),
        ),
        (
            "resize up infeasible does not count",
            resized("2", Some("1"), Some("1"), "Infeasible"),
            amounts(1_000, 10, &[]),
        ),
        (
            "resize up admitted, not in force yet",
            resized("2", Some("2"), Some("1"), ""),
            amounts(2_000, 10, &[]),
        ),
        (
            "resize down not admitted yet",
            resized("500m", Some("1"), Some("1"), ""),
            amounts(1_000, 10, &[]),
        ),
        (
            "resize down admitted, not in force yet",
            resized("500m", Some("500m"), Some("1"), ""),
            amounts(1_000, 10, &[]),
        ),
        (
            "resize down in force",
            resized("500m", Some("500m"), Some("500m"), ""),
            amounts(500, 10, &[]),
        ),
        ("no status yet", resized("2", None, None, ""), amounts(2_000, 10, &[])),
        ("only admitted is known", resized("1", Some("3"), None, ""), amounts(3_000, 10, &[])),
        ("only in force is known", resized("1", None, Some("3"), ""), amounts(3_000, 10, &[])),
        (
            "infeasible before anything was admitted",
            resized("2", None, None, "Infeasible"),
            amounts(0, 0, &[]),
        ),
    ]);
    let sidecar_resized = pod(
        json!({"containers": [container("a", "1", "1Mi")],
            "initContainers": [sidecar("s", "1", "1Mi")]}),
        json!({"initContainerStatuses": [{"name": "s", "resources": {
            "requests": {"cpu": "3", "memory": "1Mi"}}}]}),
    );
    check([("a sidecar is resized too", sidecar_resized, amounts(4_000, 2, &[]))]);
}

#[test]
fn resize_in_place_of_whole_pods() {
    let of = |spec: &str, allocated: &str, actuated: &str, reason: &str| {
        pod(
            json!({"containers": [container("a", "100m", "10Mi")],
                "resources": {"requests": {"cpu": spec}}}),
            json!({"allocatedResources": {"cpu": allocated, "memory": "10Mi"},
                "resources": {"requests": {"cpu": actuated, "memory": "10Mi"}},
                "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}]}),
        )
    };
    check([
        ("pod resize up asked for", of("3", "1", "1", "Deferred"), amounts(3_000, 10, &[])),
        ("pod resize up infeasible", of("3", "1", "1", "Infeasible"), amounts(1_000, 10, &[])),
        ("pod resize down not in force", of("1", "1", "2", ""), amounts(2_000, 10, &[])),
        (
            "the pod's status stands for its containers'",
            pod(
                json!({"containers": [container("a", "100m", "10Mi")]}),
                json!({"allocatedResources": {"cpu": "200m", "memory": "20Mi"},
                    "resources": {"requests": {"cpu": "150m", "memory": "30Mi"}},
                    "containerStatuses": [{"name": "a", "allocatedResources": {"cpu": "9"}}]}),
            ),
            amounts(200, 30, &[]),
        ),
    ]);
}

#[test]
fn resources_of_every_sort() {
    let requests =
        |requests: Value| containers(json!([{"name": "a", "resources": {"requests": requests}}]));
    let disk = |bytes: i64| {
        let mut resources = amounts(0, 0, &[]);
        resources.ephemeral_storage = Bytes(bytes);
        resources
    };
    check([
        ("ephemeral storage", requests(json!({"ephemeral-storage": "2Gi"})), disk(2 << 30)),
        (
            "extended resources are whole",
            requests(json!({"nvidia.com/gpu": 2})),
            amounts(0, 0, &[("nvidia.com/gpu", 2)]),
        ),
        (
            "huge pages",
            requests(json!({"hugepages-1Gi": "2Gi"})),
            amounts(0, 0, &[("hugepages-1Gi", 2 << 30)]),
        ),
        (
            "attachable volumes",
            requests(json!({"attachable-volumes-csi": "3"})),
            amounts(0, 0, &[("attachable-volumes-csi", 3)]),
        ),
        (
            "a zero is no request",
            requests(json!({"nvidia.com/gpu": "0", "cpu": "0"})),
            amounts(0, 0, &[]),
        ),
        (
            "names that kube-scheduler does not know",
            requests(json!({"storage": "1Gi", "pods": "5"})),
            amounts(0, 0, &[]),
        ),
        (
            "numbers instead of texts",
            requests(json!({"cpu": 2, "memory": 1_048_576})),
            amounts(2_000, 1, &[]),
        ),
        ("fractional numbers", requests(json!({"cpu": 0.25})), amounts(250, 0, &[])),
    ]);
}

#[test]
fn what_makes_no_sense_is_a_defect_and_counts_safely() {
    let of = |memory: Value| {
        counted(containers(json!([
            {"name": "a", "resources": {"requests": {"cpu": "1", "memory": memory}}}
        ])))
    };
    let place = "spec.containers[0].resources.requests.memory";
    let (requests, defect) = of(json!("1e30"));
    assert_eq!(requests.memory, Bytes(i64::MAX), "it fits nowhere");
    assert_eq!(
        defect.unwrap(),
        format!("{place}: \"1e30\" is too large: expected at most 9223372036854775807")
    );
    let (requests, defect) = of(json!("-1"));
    assert_eq!(requests, amounts(1_000, 0, &[]));
    assert_eq!(defect.unwrap(), format!("{place}: \"-1\" is negative: expected zero or more"));
    let (requests, defect) = of(json!("12 GB"));
    assert_eq!(requests, amounts(1_000, 0, &[]));
    assert!(defect.unwrap().starts_with(&format!("{place}: \"12 GB\" is no quantity: expected")));
}

#[test]
fn a_nodes_resources_are_counted_the_same_way() {
    let amounts: Amounts = serde_json::from_value(json!({
        "cpu": "3920m", "memory": "7Gi", "pods": "110", "ephemeral-storage": "1Gi",
        "nvidia.com/gpu": "1", "hugepages-2Mi": "0", "storage": "1", "example.com/bad": "-1"
    }))
    .unwrap();
    let resources = node_resources(&amounts, &Interner::new());
    assert_eq!(resources.cpu, MilliCpu(3_920));
    assert_eq!(resources.memory, Bytes(7 << 30));
    assert_eq!(resources.pods, 110);
    assert_eq!(resources.ephemeral_storage, Bytes(1 << 30));
    assert_eq!(resources.extended(), [(Name::from("nvidia.com/gpu"), 1)]);
}
