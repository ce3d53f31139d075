//! A picture of a cluster as manifests: what [`read`](super::read) reads, the other way round.

use berth_solver::model::{
    ConsolidateAfter, ConsolidationPolicy, DaemonSet, DisruptionReason, HostPort, LabelSelector,
    Labels, Limits, Name, Node, NodeInclusion, NodePool, NodesLimit, Operator, Owner, Pod,
    PodAffinityTerm, PodPhase, PodShape, Protocol, Requirements, Resources, SelectorOperator,
    Snapshot, Taint, TaintEffect, Timestamp, Toleration, TolerationOperator, TopologySpread,
    Weighted, WhenUnsatisfiable,
};
use serde_json::{Map, Value, json};

/// Pods, nodes, NodePools and DaemonSets of a picture as one `List`. What nothing of that says
/// (claims, volumes, budgets of pods, price limits) is left out.
pub fn list(snapshot: &Snapshot) -> Value {
    let pools = snapshot.pools.values().map(|pool| node_pool(pool));
    let nodes = snapshot.nodes.values().map(|state| node(&state.node));
    let daemons = snapshot.daemon_sets.values().map(|daemon| daemon_set(daemon));
    let pods = snapshot.pods.values().map(|one| pod(one));
    let items: Vec<Value> = pools.chain(nodes).chain(daemons).chain(pods).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn pod(pod: &Pod) -> Value {
    let mut metadata = json!({
        "namespace": pod.key.namespace,
        "name": pod.key.name,
        "uid": pod.uid,
        "labels": labels(&pod.shape.labels),
        "creationTimestamp": time(pod.created),
    });
    let controller = match &pod.owner {
        Owner::Controller(kind, uid) => Some((kind.as_str(), uid.as_str())),
        Owner::DaemonSet(uid) => Some(("DaemonSet", uid.as_str())),
        Owner::Node => Some(("Node", "node")),
        Owner::None => None,
    };
    if let Some((kind, uid)) = controller {
        let owner = json!({
            "apiVersion": "apps/v1", "kind": kind, "name": uid, "uid": uid, "controller": true,
        });
        metadata["ownerReferences"] = json!([owner]);
    }
    let mut spec = spec(&pod.shape);
    if let Some(node) = &pod.node {
        spec["nodeName"] = json!(node);
    }
    if pod.gated {
        spec["schedulingGates"] = json!([{ "name": "held" }]);
    }
    let phase = match pod.phase {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Ended => "Succeeded",
    };
    let status = json!({ "phase": phase });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status,
    })
}

fn daemon_set(daemon: &DaemonSet) -> Value {
    let shape = &daemon.shape;
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "namespace": daemon.key.namespace, "name": daemon.key.name, "uid": daemon.uid,
        },
        "spec": {
            "selector": { "matchLabels": labels(&shape.labels) },
            "template": {
                "metadata": { "labels": labels(&shape.labels) },
                "spec": spec(shape),
            },
        },
    })
}

fn spec(shape: &PodShape) -> Value {
    let mut affinity = Map::new();
    let node = node_affinity(shape);
    if !node.is_empty() {
        affinity.insert("nodeAffinity".to_owned(), Value::Object(node));
    }
    let sides = [
        ("podAffinity", &shape.affinity, &shape.preferred_affinity),
        ("podAntiAffinity", &shape.anti_affinity, &shape.preferred_anti_affinity),
    ];
    for (name, required, preferred) in sides {
        if !required.is_empty() || !preferred.is_empty() {
            affinity.insert(name.to_owned(), pod_affinity(required, preferred));
        }
    }
    let ports: Vec<Value> = shape.host_ports.iter().map(host_port).collect();
    let requests = amounts(&shape.requests);
    let container =
        json!({ "name": "main", "ports": ports, "resources": { "requests": requests } });
    json!({
        "schedulerName": shape.scheduler,
        "priority": shape.priority,
        "nodeSelector": labels(&shape.node_selector),
        "affinity": affinity,
        "tolerations": shape.tolerations.iter().map(toleration).collect::<Vec<_>>(),
        "topologySpreadConstraints": shape.topology_spread.iter().map(spread).collect::<Vec<_>>(),
        "containers": [container],
    })
}

fn node_affinity(shape: &PodShape) -> Map<String, Value> {
    let mut affinity = Map::new();
    let term = |one: &Requirements| json!({ "matchExpressions": expressions(one) });
    if !shape.node_affinity.is_empty() {
        let terms: Vec<Value> = shape.node_affinity.iter().map(term).collect();
        affinity.insert(
            "requiredDuringSchedulingIgnoredDuringExecution".to_owned(),
            json!({ "nodeSelectorTerms": terms }),
        );
    }
    if !shape.preferred_node_affinity.is_empty() {
        let terms = shape.preferred_node_affinity.iter();
        let terms: Vec<Value> = terms
            .map(|one| json!({ "weight": one.weight, "preference": term(&one.term) }))
            .collect();
        affinity.insert(
            "preferredDuringSchedulingIgnoredDuringExecution".to_owned(),
            Value::Array(terms),
        );
    }
    affinity
}

fn pod_affinity(required: &[PodAffinityTerm], preferred: &[Weighted<PodAffinityTerm>]) -> Value {
    let preferred = preferred
        .iter()
        .map(|one| json!({ "weight": one.weight, "podAffinityTerm": pod_term(&one.term) }));
    json!({
        "requiredDuringSchedulingIgnoredDuringExecution":
            required.iter().map(pod_term).collect::<Vec<_>>(),
        "preferredDuringSchedulingIgnoredDuringExecution": preferred.collect::<Vec<_>>(),
    })
}

fn pod_term(term: &PodAffinityTerm) -> Value {
    let mut written = json!({
        "topologyKey": term.topology_key,
        "labelSelector": selector(&term.selector),
        "namespaces": term.namespaces,
    });
    if let Some(namespaces) = &term.namespace_selector {
        written["namespaceSelector"] = selector(namespaces);
    }
    written
}

fn spread(constraint: &TopologySpread) -> Value {
    let inclusion = |one| match one {
        NodeInclusion::Honor => "Honor",
        NodeInclusion::Ignore => "Ignore",
    };
    let mut written = json!({
        "topologyKey": constraint.topology_key,
        "maxSkew": constraint.max_skew,
        "whenUnsatisfiable": match constraint.when_unsatisfiable {
            WhenUnsatisfiable::DoNotSchedule => "DoNotSchedule",
            WhenUnsatisfiable::ScheduleAnyway => "ScheduleAnyway",
        },
        "labelSelector": selector(&constraint.selector),
        "nodeAffinityPolicy": inclusion(constraint.node_affinity_policy),
        "nodeTaintsPolicy": inclusion(constraint.node_taints_policy),
    });
    if let Some(domains) = constraint.min_domains {
        written["minDomains"] = json!(domains);
    }
    written
}

fn selector(selector: &LabelSelector) -> Value {
    let LabelSelector::All(requirements) = selector else { return Value::Null };
    let written = requirements.iter().map(|one| {
        let operator = match one.operator {
            SelectorOperator::In => "In",
            SelectorOperator::NotIn => "NotIn",
            SelectorOperator::Exists => "Exists",
            SelectorOperator::DoesNotExist => "DoesNotExist",
        };
        json!({ "key": one.key, "operator": operator, "values": one.values })
    });
    json!({ "matchExpressions": written.collect::<Vec<_>>() })
}

/// Requirements as `matchExpressions`. Pods' terms know no `Gte` and `Lte`.
fn expressions(requirements: &Requirements) -> Vec<Value> {
    let all = requirements.iter().flat_map(|(key, set)| {
        set.operators().into_iter().map(move |(operator, values)| (key, operator, values))
    });
    all.map(|(key, operator, values)| {
        let beside = |step: i64| -> Vec<Name> {
            let numbers = values.iter().filter_map(|value| value.parse::<i64>().ok());
            numbers.map(|one| Name::from(one.saturating_add(step).to_string())).collect()
        };
        let (operator, values) = match operator {
            Operator::In => ("In", values),
            Operator::NotIn => ("NotIn", values),
            Operator::Exists => ("Exists", values),
            Operator::DoesNotExist => ("DoesNotExist", values),
            Operator::Gt => ("Gt", values),
            Operator::Lt => ("Lt", values),
            Operator::Gte => ("Gt", beside(-1)),
            Operator::Lte => ("Lt", beside(1)),
        };
        json!({ "key": key, "operator": operator, "values": values })
    })
    .collect()
}

fn toleration(toleration: &Toleration) -> Value {
    let operator = match toleration.operator {
        TolerationOperator::Equal => "Equal",
        TolerationOperator::Exists => "Exists",
    };
    json!({
        "key": toleration.key,
        "operator": operator,
        "value": toleration.value,
        "effect": toleration.effect.map(effect).unwrap_or_default(),
    })
}

fn taint(taint: &Taint) -> Value {
    json!({ "key": taint.key, "value": taint.value, "effect": effect(taint.effect) })
}

const fn effect(effect: TaintEffect) -> &'static str {
    match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}

fn host_port(port: &HostPort) -> Value {
    let protocol = match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    json!({
        "containerPort": port.port, "hostPort": port.port, "hostIP": port.ip, "protocol": protocol,
    })
}

fn node(node: &Node) -> Value {
    let mut capacity = amounts(&node.capacity);
    capacity.insert("pods".to_owned(), json!(node.capacity.pods.to_string()));
    let mut allocatable = amounts(&node.allocatable);
    allocatable.insert("pods".to_owned(), json!(node.allocatable.pods.to_string()));
    let ready = if node.ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name, "uid": node.uid, "labels": labels(&node.labels),
            "creationTimestamp": time(node.created),
        },
        "spec": {
            "providerID": node.provider_id,
            "unschedulable": node.unschedulable,
            "taints": node.taints.iter().map(taint).collect::<Vec<_>>(),
        },
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "conditions": [{ "type": "Ready", "status": ready }],
        },
    })
}

fn node_pool(pool: &NodePool) -> Value {
    let mut requirements = expressions(&pool.requirements);
    for (key, least) in &pool.min_values {
        let found = requirements.iter_mut().find(|one| one["key"] == key.as_str());
        if let Some(found) = found {
            found["minValues"] = json!(least);
        }
    }
    let class = &pool.node_class;
    let mut spec = json!({
        "template": {
            "metadata": { "labels": labels(&pool.labels) },
            "spec": {
                "requirements": requirements,
                "taints": pool.taints.iter().map(taint).collect::<Vec<_>>(),
                "nodeClassRef": { "group": class.group, "kind": class.kind, "name": class.name },
                "expireAfter": "Never",
            },
        },
        "disruption": disruption(pool),
    });
    if pool.weight > 0 {
        spec["weight"] = json!(pool.weight);
    }
    let limits = limits(&pool.limits);
    if !limits.is_empty() {
        spec["limits"] = Value::Object(limits);
    }
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": pool.name, "uid": pool.uid },
        "spec": spec,
    })
}

fn disruption(pool: &NodePool) -> Value {
    let after = match pool.consolidate_after {
        ConsolidateAfter::Never => "Never".to_owned(),
        ConsolidateAfter::After(span) => format!("{}s", span.as_secs()),
    };
    let policy = match pool.consolidation_policy {
        ConsolidationPolicy::WhenEmpty => "WhenEmpty",
        ConsolidationPolicy::WhenEmptyOrUnderutilized => "WhenEmptyOrUnderutilized",
        ConsolidationPolicy::Balanced => "Balanced",
    };
    let budgets = pool.budgets.iter().filter(|budget| !budget.broken).map(|budget| {
        let nodes = match budget.nodes {
            NodesLimit::Count(count) => count.to_string(),
            NodesLimit::Percent(percent) => format!("{percent}%"),
        };
        let mut written = json!({ "nodes": nodes });
        if !budget.reasons.is_empty() {
            let reasons = budget.reasons.iter().map(|reason| match reason {
                DisruptionReason::Underutilized => "Underutilized",
                DisruptionReason::Empty => "Empty",
                DisruptionReason::Drifted => "Drifted",
            });
            written["reasons"] = json!(reasons.collect::<Vec<_>>());
        }
        if let (Some(schedule), Some(duration)) = (&budget.schedule, budget.duration) {
            written["schedule"] = json!(schedule);
            written["duration"] = json!(format!("{}s", duration.as_secs()));
        }
        written
    });
    json!({
        "consolidateAfter": after,
        "consolidationPolicy": policy,
        "budgets": budgets.collect::<Vec<_>>(),
    })
}

fn limits(limits: &Limits) -> Map<String, Value> {
    let cpu = limits.cpu.map(|milli| format!("{milli}m"));
    let whole = [
        ("memory", limits.memory),
        ("ephemeral-storage", limits.ephemeral_storage),
        ("pods", limits.pods),
        ("nodes", limits.nodes),
    ];
    let extended = limits.extended.iter().map(|(name, amount)| (name.as_str(), Some(*amount)));
    let whole = whole.into_iter().chain(extended);
    let whole = whole.filter_map(|(name, amount)| Some((name, amount?.to_string())));
    let all = cpu.into_iter().map(|text| ("cpu", text)).chain(whole);
    all.map(|(name, text)| (name.to_owned(), Value::from(text))).collect()
}

/// Amounts, pods' slots aside.
fn amounts(resources: &Resources) -> Map<String, Value> {
    let whole =
        [("memory", resources.memory.0), ("ephemeral-storage", resources.ephemeral_storage.0)];
    let extended = resources.extended().iter().map(|(name, amount)| (name.as_str(), *amount));
    let whole = whole.into_iter().chain(extended).map(|(name, one)| (name, one, one.to_string()));
    let cpu = resources.cpu.0;
    std::iter::once(("cpu", cpu, format!("{cpu}m")))
        .chain(whole)
        .filter(|(_, amount, _)| *amount != 0)
        .map(|(name, _, text)| (name.to_owned(), Value::from(text)))
        .collect()
}

fn labels(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(key, value)| (key.to_string(), Value::from(value.as_str()))).collect()
}

fn time(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(at.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use berth_solver::model::{Pod, PodKey};
    use berth_solver::testing::random_problem;

    use super::*;
    use crate::watch::Interner;

    /// What planning looks at of a pod.
    fn seen(pod: &Pod) -> (PodKey, PodShape, Option<Name>, Timestamp, Owner) {
        let mut shape = (*pod.shape).clone();
        // Who reads them sorts these.
        shape.topology_spread.sort();
        shape.affinity.sort();
        shape.anti_affinity.sort();
        shape.preferred_node_affinity.sort();
        (pod.key.clone(), shape, pod.node.clone(), pod.created, pod.owner.clone())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.json");
        let mut pods = 0;
        for seed in 0..60 {
            let snapshot = random_problem(seed);
            fs::write(&file, list(&snapshot).to_string()).unwrap();
            let manifests =
                super::super::read(std::slice::from_ref(&file), &Interner::new()).unwrap();
            let read = manifests.cluster.snapshot();
            let before: Vec<_> = snapshot.pods.values().map(|pod| seen(pod)).collect();
            let after: Vec<_> = read.pods.values().map(|pod| seen(pod)).collect();
            assert_eq!(before, after, "seed {seed}");
            pods += after.len();
            let nodes = |one: &Snapshot| -> Vec<_> {
                let nodes = one.nodes.values().map(|state| &state.node);
                nodes.map(|node| (node.name.clone(), node.allocatable.clone())).collect()
            };
            assert_eq!(nodes(&snapshot), nodes(&read), "seed {seed}");
            let pools = |one: &Snapshot| -> Vec<_> {
                let pools = one.pools.values();
                pools
                    .map(|pool| {
                        let budgets = pool.budgets.len();
                        let NodePool { name, requirements, limits, taints, weight, .. } = &**pool;
                        let limits = limits.clone();
                        (
                            name.clone(),
                            requirements.clone(),
                            limits,
                            taints.clone(),
                            *weight,
                            budgets,
                        )
                    })
                    .collect()
            };
            assert_eq!(pools(&snapshot), pools(&read), "seed {seed}");
        }
        assert!(pods > 1_000, "only {pods}");
    }
}
