//! Small records for the rules' tests.

use crate::model::*;

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (Name::from(*key), Name::from(*value))).collect()
}

pub fn shape() -> PodShape {
    let mut requests = Resources::default();
    requests.pods = 1;
    PodShape::plain(Name::from("default"), requests)
}

pub fn spread(key: &str, max_skew: u32) -> TopologySpread {
    TopologySpread {
        topology_key: Name::from(key),
        max_skew,
        min_domains: None,
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: LabelSelector::everything(),
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Ignore,
    }
}

pub fn affinity(key: &str, selected: &[(&str, &str)]) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: Name::from(key),
        selector: LabelSelector::match_labels(&labels(selected)),
        namespaces: Box::from([Name::from("default")]),
        namespace_selector: None,
    }
}

pub fn node(name: &str, pairs: &[(&str, &str)]) -> Node {
    let mut room = Resources::new(MilliCpu(4_000), Bytes::from_mebibytes(16_384));
    room.pods = 110;
    Node {
        name: Name::from(name),
        uid: Name::from(format!("uid-{name}")),
        labels: labels(pairs).with([(Name::from(well_known::HOSTNAME_LABEL), Name::from(name))]),
        taints: Box::default(),
        unschedulable: false,
        provider_id: None,
        capacity: room.clone(),
        allocatable: room,
        ready: true,
        ready_since: None,
        conditions: Box::default(),
        created: Timestamp::default(),
        deleted: None,
        has_termination_finalizer: false,
        do_not_disrupt: false,
    }
}

pub fn instance_type(name: &str, cpu_milli: i64, memory_mebibytes: i64) -> InstanceType {
    let mut capacity = Resources::new(MilliCpu(cpu_milli), Bytes::from_mebibytes(memory_mebibytes));
    capacity.pods = 110;
    InstanceType {
        name: Name::from(name),
        labels: Requirements::from_labels(&labels(&[
            (well_known::INSTANCE_TYPE_LABEL, name),
            (well_known::ARCH_LABEL, "amd64"),
            (well_known::OS_LABEL, "linux"),
        ])),
        capacity,
        overhead: Resources::default(),
        offerings: Vec::new(),
    }
}

pub fn pool(name: &str) -> NodePool {
    NodePool {
        name: Name::from(name),
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
            group: Name::from("karpenter.berth.sh"),
            kind: Name::from("NodeClass"),
            name: Name::from("default"),
        },
        expire_after: ExpireAfter::Never,
        termination_grace_period: None,
        limits: Limits::default(),
        consolidate_after: ConsolidateAfter::After(std::time::Duration::ZERO),
        consolidation_policy: ConsolidationPolicy::WhenEmptyOrUnderutilized,
        budgets: Box::default(),
        replicas: None,
        hash: Name::from("h"),
        ready: true,
        defect: None,
    }
}
