use std::time::Duration;

use crate::model::{
    Bytes, CapacityType, Condition, ConditionStatus, ConsolidateAfter, ConsolidationPolicy,
    DisruptionBudget, ExpireAfter, InstanceType, Labels, Launch, Limits, Method, MilliCpu, Name,
    Node, NodeClaim, NodeClassReference, NodePool, NodesLimit, Offering, Placement, Plan, Pod,
    Price, Requirements, Resources, Target, Timestamp, ValueSet, well_known,
};

use super::labels;

/// A ready node that Berth does not own: that much CPU and memory, 110 pods, labels for host
/// name, architecture and operating system, no taints. Its UID is `uid-NAME`.
pub fn node(name: &str, cpu_milli: i64, memory_mebibytes: i64) -> Node {
    let mut capacity = Resources::new(MilliCpu(cpu_milli), Bytes::from_mebibytes(memory_mebibytes));
    capacity.pods = 110;
    capacity.ephemeral_storage = Bytes::from_mebibytes(50 << 10);
    Node {
        name: name.into(),
        uid: Name::from(format!("uid-{name}")),
        labels: labels(&[
            (well_known::HOSTNAME_LABEL, name),
            (well_known::ARCH_LABEL, "amd64"),
            (well_known::OS_LABEL, "linux"),
        ]),
        taints: Box::default(),
        unschedulable: false,
        provider_id: Some(Name::from(format!("test://{name}"))),
        allocatable: capacity.clone(),
        capacity,
        ready: true,
        ready_since: Some(Timestamp::from_seconds(0)),
        conditions: Box::default(),
        created: Timestamp::from_seconds(0),
        deleted: None,
        has_termination_finalizer: false,
        do_not_disrupt: false,
    }
}

/// A ready NodePool that allows everything, without limits, with Karpenter's defaults.
pub fn pool(name: &str) -> NodePool {
    NodePool {
        name: name.into(),
        uid: Name::from(format!("uid-{name}")),
        generation: 1,
        deleted: None,
        weight: 0,
        labels: Labels::default(),
        annotations: Labels::default(),
        requirements: Requirements::default(),
        min_values: Box::default(),
        taints: Box::default(),
        startup_taints: Box::default(),
        node_class: NodeClassReference {
            group: "karpenter.kwok.sh".into(),
            kind: "KWOKNodeClass".into(),
            name: "default".into(),
        },
        expire_after: ExpireAfter::After(Duration::from_hours(720)),
        termination_grace_period: None,
        limits: Limits::default(),
        consolidate_after: ConsolidateAfter::After(Duration::ZERO),
        consolidation_policy: ConsolidationPolicy::WhenEmptyOrUnderutilized,
        budgets: Box::from([DisruptionBudget {
            nodes: NodesLimit::Percent(10),
            reasons: Box::default(),
            schedule: None,
            duration: None,
            broken: false,
        }]),
        replicas: None,
        hash: Name::from("hash"),
        ready: true,
        defect: None,
    }
}

/// What a plan would launch: that offering of the type, from that pool, empty.
pub fn launch(name: &str, pool: &NodePool, kind: &InstanceType, offering: &Offering) -> Launch {
    let labels = node_labels(pool, kind, offering);
    let mut requirements = pool.requirements.intersection(&kind.labels);
    for (key, value) in &labels {
        requirements.require(key.clone(), &ValueSet::one(value.clone()));
    }
    let reason = "a test".to_owned();
    Launch { requirements, reason, ..Launch::new(name.into(), pool, kind, offering, labels) }
}

fn node_labels(pool: &NodePool, kind: &InstanceType, offering: &Offering) -> Labels {
    kind.labels
        .iter()
        .filter_map(|(key, set)| Some((key.clone(), set.single()?.clone())))
        .chain(pool.labels.iter().cloned())
        .chain([
            (well_known::NODEPOOL_LABEL.into(), pool.name.clone()),
            (well_known::ZONE_LABEL.into(), offering.zone.clone()),
            (well_known::CAPACITY_TYPE_LABEL.into(), offering.capacity_type.as_str().into()),
        ])
        .collect()
}

/// A NodeClaim as it is made from a pool for the first offering of a type: nothing launched yet,
/// no conditions, no pods planned for it; capacity and allocatable are filled in already. Its UID
/// is `uid-NAME`.
pub fn claim(name: &str, pool: &NodePool, kind: &InstanceType) -> NodeClaim {
    let offering = kind.offerings.first().cloned().unwrap_or(Offering {
        zone: Name::default(),
        capacity_type: CapacityType::OnDemand,
        price: Price::ZERO,
        available: true,
        reserved_count: None,
    });
    let launch = launch(name, pool, kind, &offering);
    NodeClaim {
        name: launch.name,
        uid: Name::from(format!("uid-{name}")),
        labels: launch.labels,
        created: Timestamp::from_seconds(0),
        deleted: None,
        has_termination_finalizer: true,
        requirements: launch.requirements,
        requests: Resources::default(),
        taints: pool.taints.clone(),
        startup_taints: pool.startup_taints.clone(),
        expire_after: pool.expire_after,
        termination_grace_period: pool.termination_grace_period,
        provider_id: None,
        node_name: None,
        capacity: Some(kind.capacity.clone()),
        allocatable: Some(kind.allocatable()),
        conditions: Box::default(),
        last_pod_event: None,
        terminate_by: None,
        planned_pods: Box::default(),
        price: Some(offering.price),
        template_hash: Some(pool.hash.clone()),
        template_hash_version: Some("test".into()),
        reason: None,
    }
}

/// The same claim with that condition `True` since second 0; its provider ID and node name are
/// set with `Launched` and `Registered`, as they are by the life cycle.
pub fn claim_with_condition(claim: NodeClaim, kind: &str) -> NodeClaim {
    let condition = Condition {
        kind: kind.into(),
        status: ConditionStatus::True,
        reason: kind.into(),
        since: Timestamp::from_seconds(0),
    };
    let mut conditions: Vec<Condition> =
        claim.conditions.iter().filter(|other| other.kind != *kind).cloned().collect();
    conditions.push(condition);
    conditions.sort_by(|left, right| left.kind.cmp(&right.kind));
    let mut claim = NodeClaim { conditions: conditions.into(), ..claim };
    match kind {
        well_known::condition::LAUNCHED => {
            claim.provider_id = Some(Name::from(format!("test://{}", claim.name)));
        }
        well_known::condition::REGISTERED => claim.node_name = Some(claim.name.clone()),
        _ => {}
    }
    claim
}

/// The ready node that a claim becomes: of the claim's name, with its labels, taints and
/// resources, registered and initialised.
pub fn node_of_claim(claim: &NodeClaim) -> Node {
    let capacity = claim.capacity.clone().unwrap_or_default();
    Node {
        labels: claim.node_labels().with([
            (well_known::HOSTNAME_LABEL.into(), claim.name.clone()),
            (well_known::REGISTERED_LABEL.into(), "true".into()),
            (well_known::INITIALIZED_LABEL.into(), "true".into()),
        ]),
        taints: claim.taints.clone(),
        provider_id: claim
            .provider_id
            .clone()
            .or_else(|| Some(Name::from(format!("test://{}", claim.name)))),
        allocatable: claim.allocatable.clone().unwrap_or_else(|| capacity.clone()),
        capacity,
        has_termination_finalizer: true,
        ..node(&claim.name, 0, 0)
    }
}

/// A plan that does nothing.
pub fn empty_plan() -> Plan {
    Plan { method: Method::Nothing, ..Plan::default() }
}

/// The pod goes to a node that is there.
pub fn place_on_node(pod: &Pod, node: &str) -> Placement {
    Placement { pod: pod.key.clone(), uid: pod.uid.clone(), target: Target::Node(node.into()) }
}

/// The pod goes to the node of a claim or launch.
pub fn place_on_claim(pod: &Pod, claim: &str) -> Placement {
    Placement { pod: pod.key.clone(), uid: pod.uid.clone(), target: Target::Claim(claim.into()) }
}
