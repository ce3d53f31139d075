//! Objects as a busy cluster has them: mostly Deployments' pods, some of DaemonSets and
//! StatefulSets, with all that Berth does not look at.

use serde_json::{Value, json};

/// Of so many pods of a node this many belong to DaemonSets.
const DAEMONS: usize = 5;
/// Replicas of a Deployment.
const REPLICAS: usize = 30;
const NAMESPACES: usize = 200;

/// Something that looks random and is always the same.
fn scattered(number: usize) -> u64 {
    let mut value = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn uid(kind: usize, number: usize) -> String {
    let (high, low) = (scattered(number * 2 + kind), scattered(number * 2 + 1 + kind));
    let hex = format!("{high:016x}{low:016x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn node_name(number: usize) -> String {
    format!("ip-10-{}-{}-{}.eu-central-1.compute.internal", number >> 8, number & 255, number % 7)
}

/// Whose a pod is.
struct Owned {
    name: String,
    namespace: String,
    kind: &'static str,
    app: String,
    owner: String,
    hash: String,
    cpu: u64,
    memory: u64,
}

fn owned(index: usize, nodes: usize) -> Owned {
    // Looks random, and no two are the same.
    let suffix = format!("{:05x}", index * 7_919 % (1 << 20));
    if index < nodes * DAEMONS {
        let daemon = index % DAEMONS;
        let app = format!("daemon-{daemon}");
        return Owned {
            name: format!("{app}-{suffix}"),
            namespace: "kube-system".into(),
            kind: "DaemonSet",
            app,
            owner: uid(2, daemon),
            hash: "7d4b9c5f66".into(),
            cpu: 50 + 10 * daemon as u64,
            memory: 64,
        };
    }
    let workload = index / REPLICAS;
    let app = format!("service-{workload}");
    let hash = uid(4, workload)[24..33].to_owned();
    let stateful = workload.is_multiple_of(20);
    Owned {
        name: match stateful {
            true => format!("{app}-{}", index % REPLICAS),
            false => format!("{app}-{hash}-{suffix}"),
        },
        namespace: format!("team-{}", workload % NAMESPACES),
        kind: if stateful { "StatefulSet" } else { "ReplicaSet" },
        app,
        owner: uid(3, workload),
        hash,
        cpu: 50 * (1 + scattered(workload) % 20),
        memory: 64 * (1 + scattered(workload) % 32),
    }
}

/// Labels and affinity, as the controllers of that kind set them.
fn scheduling(kind: &str) -> (Value, Value) {
    let field = json!({"key": "metadata.name", "operator": "In", "values": ["@node@"]});
    match kind {
        "DaemonSet" => (
            json!({"app": "@app@", "controller-revision-hash": "@hash@",
                "pod-template-generation": "3"}),
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchFields": [field]}]}}}),
        ),
        "StatefulSet" => (
            json!({"app.kubernetes.io/name": "@app@", "app.kubernetes.io/part-of": "shop",
                "statefulset.kubernetes.io/pod-name": "@name@",
                "apps.kubernetes.io/pod-index": "@ordinal@",
                "controller-revision-hash": "@app@-6f7d8b9c5"}),
            json!({}),
        ),
        _ => (
            json!({"app.kubernetes.io/name": "@app@", "app.kubernetes.io/part-of": "shop",
                "app.kubernetes.io/version": "1.42.0", "pod-template-hash": "@hash@"}),
            json!({}),
        ),
    }
}

/// Pods as text, of 3.5 KB and more each. Making them must not be what takes the time.
pub struct Pods {
    /// A pod of each kind of owner, cut at its fields.
    patterns: Vec<(&'static str, Vec<String>)>,
    nodes: usize,
}

/// Begins and ends a field of a pattern.
const FIELD: char = '@';

impl Pods {
    /// Pods on so many nodes.
    pub fn on(nodes: usize) -> Self {
        let kinds = ["DaemonSet", "StatefulSet", "ReplicaSet"].into_iter();
        let patterns = kinds.map(|kind| {
            let text = pattern(kind).to_string();
            (kind, text.split(FIELD).map(str::to_owned).collect())
        });
        Self { patterns: patterns.collect(), nodes }
    }

    /// Writes one of them.
    pub fn write(&self, index: usize, changed: bool, text: &mut String) {
        let owned = owned(index, self.nodes);
        let daemon = owned.kind == "DaemonSet";
        let node = if daemon { index / DAEMONS } else { index % self.nodes };
        let pattern = self.patterns.iter().find(|(kind, _)| *kind == owned.kind);
        let (_, pieces) = pattern.expect("a pattern of each kind");
        for (number, piece) in pieces.iter().enumerate() {
            // Every second piece is a field's name.
            match piece.as_str() {
                plain if number % 2 == 0 => text.push_str(plain),
                "name" => text.push_str(&owned.name),
                "namespace" => text.push_str(&owned.namespace),
                "app" => text.push_str(&owned.app),
                "owner" => text.push_str(&owned.owner),
                "hash" => text.push_str(&owned.hash),
                "uid" => text.push_str(&uid(5, index)),
                "index" => text.push_str(&index.to_string()),
                "ordinal" => text.push_str(&(index % REPLICAS).to_string()),
                "node" => text.push_str(&node_name(node)),
                "cpu" => text.push_str(&owned.cpu.to_string()),
                "memory" => text.push_str(&owned.memory.to_string()),
                "day" => text.push(if changed { '2' } else { '1' }),
                "digest" => text.push_str(&uid(7, index).replace('-', "").repeat(2)),
                other => unreachable!("no field {other}"),
            }
        }
    }
}

/// A running pod, its fields between `@`.
fn pattern(kind: &str) -> Value {
    let (labels, affinity) = scheduling(kind);
    let image = "registry.example.com/shop/@app@:1.42.0";
    let resources = json!({
        "requests": {"cpu": "@cpu@m", "memory": "@memory@Mi"},
        "limits": {"cpu": "@cpu@m", "memory": "@memory@Mi"}});
    let spread = match kind {
        "ReplicaSet" => json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels}}]),
        _ => json!([]),
    };
    json!({
        "metadata": {
            "name": "@name@", "namespace": "@namespace@", "uid": "@uid@",
            "generateName": "@app@-@hash@-", "resourceVersion": "1@index@",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels,
            "annotations": {
                "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
                "prometheus.io/scrape": "true", "prometheus.io/port": "9090",
                "checksum/config": "@digest@",
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
            },
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": "owner",
                "uid": "@owner@", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": managed_fields(),
        },
        "spec": {
            "nodeName": "@node@", "schedulerName": "default-scheduler", "priority": 0,
            "serviceAccountName": "default", "restartPolicy": "Always", "affinity": affinity,
            "topologySpreadConstraints": spread, "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                    "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists",
                    "effect": "NoExecute", "tolerationSeconds": 300}],
            "containers": [{
                "name": "main", "image": image, "resources": resources,
                "ports": [{"containerPort": 8080, "protocol": "TCP", "name": "http"}],
                "env": [{"name": "LOG_LEVEL", "value": "info"},
                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
                "volumeMounts": [{"name": "token", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            }],
            "volumes": [{"name": "token", "projected": {"sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}],
        },
        "status": status(image, &resources),
    })
}

fn status(image: &str, resources: &Value) -> Value {
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "lastProbeTime": null,
            "lastTransitionTime": "2026-01-01T00:00:31Z"})
    };
    let conditions =
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    json!({
        "phase": "Running", "startTime": "2026-01-0@day@T00:00:30Z", "qosClass": "Burstable",
        "hostIP": "10.0.0.1", "podIP": "10.@index@", "podIPs": [{"ip": "10.@index@"}],
        "conditions": conditions.map(condition),
        "containerStatuses": [{
            "name": "main", "ready": true, "started": true, "restartCount": 0, "image": image,
            "imageID": format!("{image}-sha256:@digest@"),
            "containerID": "containerd://@digest@",
            "state": {"running": {"startedAt": "2026-01-01T00:00:31Z"}}, "lastState": {},
            "resources": resources, "allocatedResources": resources["requests"],
        }],
    })
}

fn managed_fields() -> Value {
    json!([
        {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:annotations": {".": {}, "f:checksum/config": {}}, "f:labels": {".": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {},
                    "f:env": {".": {}}, "f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {},
                    "f:memory": {}}, "f:requests": {".": {}, "f:cpu": {}, "f:memory": {}}}}}}}},
        {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "subresource": "status",
            "time": "2026-01-01T00:00:31Z", "fieldsType": "FieldsV1", "fieldsV1": {
                "f:status": {"f:podIP": {}, "f:startTime": {}, "f:phase": {},
                    "k:{\"ip\":\"10.@index@\"}": {".": {}, "f:ip": {}}}}},
    ])
}

/// A node as a cloud's kubelet reports it, with its images.
pub fn node(index: usize) -> Value {
    let zone = ["eu-central-1a", "eu-central-1b", "eu-central-1c"][index % 3];
    let name = node_name(index);
    let images: Vec<Value> = (0..30)
        .map(|image| {
            json!({"names": [format!("registry.example.com/image-{image}:1")],
            "sizeBytes": scattered(image) >> 36})
        })
        .collect();
    let amounts = |cpu: &str| {
        json!({"cpu": cpu, "memory": "131072Mi", "pods": "110",
            "ephemeral-storage": "102400Mi", "hugepages-2Mi": "0"})
    };
    json!({
        "metadata": {"name": name, "uid": uid(9, index), "resourceVersion": (index + 1).to_string(),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone,
                "topology.kubernetes.io/region": "eu-central-1",
                "node.kubernetes.io/instance-type": "m6i.8xlarge",
                "karpenter.sh/nodepool": "default", "karpenter.sh/capacity-type": "on-demand",
            }},
        "spec": {"providerID": format!("aws:///{zone}/i-{:017x}", scattered(index))},
        "status": {"capacity": amounts("32"), "allocatable": amounts("31850m"), "images": images,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    })
}
