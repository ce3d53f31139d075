use std::sync::{Arc, LazyLock};

use berth_solver::model::{
    Bytes, LabelSelector, Labels, MilliCpu, Name, NodeInclusion, Operator, Owner, Pod,
    PodAffinityTerm, PodKey, PodShape, Requirements, Resources, TopologySpread, ValueSet,
    WhenUnsatisfiable, well_known,
};
use foldhash::HashMap;

use super::{TraceRecord, TraceShape};

/// The label that says which workload a pod belongs to.
pub const WORKLOAD_LABEL: &str = "app.kubernetes.io/name";
/// The extended resource that cards are.
pub const GPU_RESOURCE: &str = "nvidia.com/gpu";
/// The node label that names the model of its cards.
pub const GPU_PRODUCT_LABEL: &str = "nvidia.com/gpu.product";

/// More domains than any cluster has: with so many wanted, the emptiest counts as empty.
const EVERY_DOMAIN: u32 = 1 << 30;

/// Turns records into the solver's pods; pods of equal shape share it.
///
/// A share of a card takes a whole one: nodes count whole cards. `max_per_node` becomes a spread
/// over host names with that skew and more domains wanted than there can be, which is Kubernetes'
/// way to say it. Pods carry the label [`WORKLOAD_LABEL`] only where a rule of theirs looks at
/// it, so that pods of many workloads without rules stay interchangeable.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    known: HashMap<(Name, Option<Name>, TraceShape), Arc<PodShape>>,
}

impl Shapes {
    /// None known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pod of a record, not bound to a node. Its UID is its namespace and name, its owner a
    /// controller with its workload's name as UID.
    pub fn pod(&mut self, record: &TraceRecord) -> Pod {
        let key = PodKey { namespace: record.namespace.clone(), name: record.name.clone() };
        let uid = Name::from(format!("{}/{}", record.namespace, record.name));
        let owner = owner(&record.workload);
        Pod { owner, ..Pod::waiting(key, uid, self.shape(record), record.submit) }
    }

    /// What scheduling looks at of a record's pod.
    pub fn shape(&mut self, record: &TraceRecord) -> Arc<PodShape> {
        let workload = looks_at_workload(&record.shape).then(|| record.workload.clone());
        let key = (record.namespace.clone(), workload, record.shape.clone());
        let shape = self.known.entry(key).or_insert_with_key(|(namespace, workload, shape)| {
            Arc::new(pod_shape(namespace, workload.as_ref(), shape))
        });
        Arc::clone(shape)
    }

    /// How many different shapes there were.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// The controller of a workload's pods.
pub(crate) fn owner(workload: &Name) -> Owner {
    /// One text for all of them.
    static KIND: LazyLock<Name> = LazyLock::new(|| Name::from("ReplicaSet"));
    Owner::Controller(KIND.clone(), workload.clone())
}

const fn looks_at_workload(shape: &TraceShape) -> bool {
    shape.zone_spread.is_some()
        || shape.host_spread.is_some()
        || shape.host_anti_affinity
        || shape.max_per_node.is_some()
}

fn pod_shape(namespace: &Name, workload: Option<&Name>, shape: &TraceShape) -> PodShape {
    let labels: Labels =
        workload.map(|workload| (WORKLOAD_LABEL.into(), workload.clone())).into_iter().collect();
    let own_kind = LabelSelector::match_labels(&labels);
    let hostname = Name::from(well_known::HOSTNAME_LABEL);
    let spread = |key: &str, skew: u32, min_domains: Option<u32>| TopologySpread {
        topology_key: key.into(),
        max_skew: skew,
        min_domains,
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: own_kind.clone(),
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Ignore,
    };
    let spreads = [
        shape.zone_spread.map(|skew| spread(well_known::ZONE_LABEL, skew, None)),
        shape.host_spread.map(|skew| spread(&hostname, skew, None)),
        shape.max_per_node.map(|most| spread(&hostname, most, Some(EVERY_DOMAIN))),
    ];
    let alone = shape.host_anti_affinity.then(|| PodAffinityTerm {
        topology_key: hostname.clone(),
        selector: own_kind.clone(),
        namespaces: Box::from([namespace.clone()]),
        namespace_selector: None,
    });
    PodShape {
        node_selector: node_selector(shape),
        node_affinity: gpu_models(shape),
        topology_spread: spreads.into_iter().flatten().collect(),
        anti_affinity: alone.into_iter().collect(),
        priority: shape.priority,
        labels,
        ..PodShape::plain(namespace.clone(), requests(shape))
    }
}

fn requests(shape: &TraceShape) -> Resources {
    let mut requests =
        Resources::new(MilliCpu(shape.cpu_milli), Bytes::from_mebibytes(shape.memory_mib));
    requests.ephemeral_storage = Bytes::from_mebibytes(shape.ephemeral_mib);
    requests.pods = 1;
    for (name, amount) in &shape.resources {
        requests.set_extended(name.clone(), *amount);
    }
    if shape.gpu > 0 {
        let also = requests.extended_amount(GPU_RESOURCE);
        requests.set_extended(GPU_RESOURCE.into(), shape.gpu.saturating_add(also));
    }
    requests
}

fn node_selector(shape: &TraceShape) -> Labels {
    let bought = shape
        .capacity_type
        .map(|kind| (Name::from(well_known::CAPACITY_TYPE_LABEL), Name::from(kind.as_str())));
    shape.node_selector.iter().cloned().chain(bought).collect()
}

fn gpu_models(shape: &TraceShape) -> Box<[Requirements]> {
    if shape.gpu_models.is_empty() {
        return Box::default();
    }
    let models = ValueSet::of(Operator::In, shape.gpu_models.iter().cloned());
    Box::from([Requirements::from_iter([(Name::from(GPU_PRODUCT_LABEL), models)])])
}
