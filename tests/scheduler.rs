//! The model of kube-scheduler that replays and the demo use, held against the real one: a
//! thousand pods of many kinds on nodes of several sizes, placed by the real kube-scheduler; for
//! each of them the model is shown the cluster as it was then, and must find the same node or
//! another one as good.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use berth::manifests;
use berth::watch::Interner;
use berth_controlplane::{ControlPlane, until};
use berth_simulations::cluster::{Cluster, NewPod, Subscription};
use berth_simulations::random::Seed;
use berth_simulations::scheduler::{QueueSettings, Scheduler};
use berth_solver::model::{ClusterState, Labels, Name, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);
const NODES: usize = 60;
const PODS: usize = 1_000;
/// How many of them must come where the model would have them.
const LEAST: usize = 990;

/// Three sizes in three zones; every fifth with fast disks, every seventh better avoided, every
/// eleventh for those who tolerate it.
fn node(index: usize) -> Value {
    let name = format!("node-{index:02}");
    let (cpu, memory) = [("8", "32Gi"), ("16", "32Gi"), ("32", "256Gi")][index % 3];
    let resources = json!({ "cpu": cpu, "memory": memory, "pods": "110" });
    let mut taints = Vec::new();
    if index.is_multiple_of(7) {
        taints.push(json!({ "key": "old", "effect": "PreferNoSchedule" }));
    }
    if index.is_multiple_of(11) {
        taints.push(json!({ "key": "batch", "value": "only", "effect": "NoSchedule" }));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": format!("zone-{}", index / 3 % 3),
                "disk": if index.is_multiple_of(5) { "fast" } else { "slow" },
            },
        },
        "spec": { "taints": taints },
        "status": { "capacity": resources, "allocatable": resources },
    })
}

/// Twelve kinds take turns: what they ask for, and what they say of where they want to be.
fn pod(index: usize) -> Value {
    let kind = index % 12;
    let app = format!("app-{kind}");
    let itself = json!({ "matchLabels": { "app": app } });
    let spread = |key: &str, unsatisfiable: &str| {
        json!({ "topologySpreadConstraints": [{
            "maxSkew": 1 + index % 2, "topologyKey": key, "whenUnsatisfiable": unsatisfiable,
            "labelSelector": itself,
        }]})
    };
    let (zone, host) = ("topology.kubernetes.io/zone", "kubernetes.io/hostname");
    let fast = json!([{ "matchExpressions": [
        { "key": "disk", "operator": "In", "values": ["fast"] },
    ]}]);
    let wishes = match kind {
        3 => json!({ "nodeSelector": { zone: "zone-1" } }),
        4 => json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": fast },
        }}}),
        5 => json!({ "affinity": { "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 40, "preference": fast[0] },
                { "weight": 60, "preference": { "matchExpressions": [
                    { "key": zone, "operator": "NotIn", "values": ["zone-2"] },
                ]}},
            ],
        }}}),
        6 => spread(zone, "DoNotSchedule"),
        7 => spread(zone, "ScheduleAnyway"),
        8 => spread(host, "ScheduleAnyway"),
        9 => json!({ "affinity": { "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 100,
                "podAffinityTerm": { "topologyKey": host, "labelSelector": itself },
            }],
        }}}),
        10 => json!({ "tolerations": [
            { "key": "batch", "operator": "Exists" }, { "key": "old", "operator": "Exists" },
        ]}),
        _ => json!({}),
    };
    // Kind 11 asks for nothing.
    let requests = match kind {
        11 => json!({}),
        2 => json!({ "cpu": "100m", "memory": format!("{}Mi", 1_500 + index % 7 * 300) }),
        _ => json!({
            "cpu": format!("{}m", 100 + index % 5 * 150),
            "memory": format!("{}Mi", 128 + index % 6 * 200),
        }),
    };
    let mut spec = json!({ "containers": [{
        "name": "main", "image": "none", "resources": { "requests": requests },
    }]});
    let more = wishes.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("pod-{index:04}"), "namespace": "default", "labels": { "app": app },
        },
        "spec": spec,
    })
}

/// Has the real control plane place the pods, one after the other. Returns where each went.
async fn placed_for_real(plane: &ControlPlane) -> BTreeMap<String, String> {
    let nodes: Api<Node> = Api::all(plane.client());
    for index in 0..NODES {
        let node = serde_json::from_value(node(index)).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
    }
    until("the nodes are ready", LIMIT, || async {
        let list = nodes.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let waits = |node: &&Node| {
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
            taints.is_some_and(|all| all.iter().any(|taint| taint.key.starts_with("node.")))
        };
        match list.iter().filter(waits).count() {
            0 => Ok(()),
            waiting => Err(format!("{waiting} are not")),
        }
    })
    .await
    .unwrap();
    // kube-scheduler takes them in the order in which they come.
    let pods: Api<Pod> = Api::namespaced(plane.client(), "default");
    for index in 0..PODS {
        let pod = serde_json::from_value(pod(index)).unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
    }
    until("all pods are placed", LIMIT, || async {
        let list = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let placed: BTreeMap<String, String> = list
            .into_iter()
            .filter_map(|pod| Some((pod.metadata.name?, pod.spec?.node_name?)))
            .collect();
        if placed.len() == PODS { Ok(placed) } else { Err(format!("{} are", placed.len())) }
    })
    .await
    .unwrap()
}

/// The same objects, as the daemon would read them.
fn as_read() -> ClusterState {
    let items: Vec<Value> = (0..NODES).map(node).chain((0..PODS).map(pod)).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    fs::write(&file, list.to_string()).unwrap();
    manifests::read(&[file], &Interner::new()).unwrap().cluster
}

struct Model {
    cluster: Cluster,
    events: Subscription,
    scheduler: Scheduler,
}

impl Model {
    fn new(read: &ClusterState) -> Self {
        let mut cluster = Cluster::new(Timestamp::from_seconds(0));
        let events = cluster.subscribe();
        cluster.set_namespace("default".into(), Labels::default());
        for state in read.picture().nodes.values() {
            cluster.create_node((*state.node).clone()).unwrap();
        }
        let name = Name::from("default-scheduler");
        let scheduler = Scheduler::new(name, QueueSettings::default(), Seed(1));
        Self { cluster, events, scheduler }
    }

    fn observe(&mut self) {
        for event in self.cluster.drain(self.events) {
            self.scheduler.observe(&event, self.cluster.now());
        }
    }

    /// Shows the model a pod. What it thinks of the node that it went to; then it goes there.
    fn difference(&mut self, pod: NewPod, node: &str) -> Option<String> {
        let key = pod.key.clone();
        let uid = self.cluster.create_pod(pod).unwrap();
        self.observe();
        let attempt = self.scheduler.begin(&mut self.cluster);
        let difference = match &attempt {
            None => Some(format!("{key}: went to {node}, and the model has no node for it")),
            Some(attempt) => {
                assert_eq!(attempt.pod.key, key);
                let scores = Scheduler::scores(attempt, &self.cluster);
                let (best, most) = scores.iter().max_by_key(|(_, score)| *score).unwrap();
                let its = scores.iter().find(|(name, _)| **name == *node);
                match its {
                    Some((_, score)) if score == most => None,
                    Some((_, score)) => {
                        Some(format!("{key}: went to {node} ({score}), not {best} ({most})"))
                    }
                    None => Some(format!("{key}: went to {node}, which the model filters out")),
                }
            }
        };
        self.cluster.bind(&key, &uid, &Name::from(node)).unwrap();
        self.observe();
        difference
    }
}

#[tokio::test]
async fn the_model_places_pods_as_kube_scheduler_does() {
    let test = "the_model_places_pods_as_kube_scheduler_does";
    let Some(plane) = ControlPlane::builder().start_or_skip(test).await else { return };
    let placed = placed_for_real(&plane).await;
    let read = as_read();
    let mut model = Model::new(&read);
    // By name is in the order in which they came.
    let mut differences = Vec::new();
    for pod in read.picture().pods.values() {
        let new = NewPod {
            key: pod.key.clone(),
            shape: pod.shape.clone(),
            owner: pod.owner.clone(),
            replace_first: pod.replace_first,
            node: None,
        };
        differences.extend(model.difference(new, &placed[&*pod.key.name]));
    }
    for difference in &differences {
        eprintln!("{difference}");
    }
    let alike = PODS - differences.len();
    eprintln!("{alike} of {PODS} placements are the model's, or as good");
    assert!(alike >= LEAST, "{alike} of {PODS}: {differences:#?}");
}
