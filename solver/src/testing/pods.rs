use std::sync::Arc;

use crate::model::{
    Bytes, DaemonSet, HostPort, LabelSelector, MilliCpu, Name, NodeInclusion, Operator, Owner, Pod,
    PodAffinityTerm, PodKey, PodPhase, PodShape, Protocol, Requirements, Resources, Timestamp,
    Toleration, TolerationOperator, TopologySpread, WhenUnsatisfiable,
};

use super::{labels, values};

/// A shape in the namespace `default` that asks for that much CPU and memory and one slot, for
/// `default-scheduler`.
pub fn shape(cpu_milli: i64, memory_mebibytes: i64) -> ShapeBuilder {
    let mut requests = Resources::new(MilliCpu(cpu_milli), Bytes::from_mebibytes(memory_mebibytes));
    requests.pods = 1;
    ShapeBuilder { shape: PodShape::plain(Name::from("default"), requests) }
}

/// A pod's shape in the making.
#[derive(Clone, Debug)]
pub struct ShapeBuilder {
    shape: PodShape,
}

impl ShapeBuilder {
    /// The finished shape.
    pub fn build(self) -> Arc<PodShape> {
        Arc::new(self.shape)
    }

    /// Any other change.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut PodShape)) -> Self {
        change(&mut self.shape);
        self
    }

    /// In another namespace.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        self.with(|shape| shape.namespace = namespace.into())
    }

    /// With a label. Give labels before terms that select "its own kind".
    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        self.with(|shape| shape.labels = shape.labels.with([(key.into(), value.into())]))
    }

    /// Asks for an extended resource.
    #[must_use]
    pub fn resource(self, name: &str, amount: i64) -> Self {
        self.with(|shape| shape.requests.set_extended(name.into(), amount))
    }

    /// With a node selector.
    #[must_use]
    pub fn node_selector(self, key: &str, value: &str) -> Self {
        self.with(|shape| {
            shape.node_selector = shape.node_selector.with([(key.into(), value.into())]);
        })
    }

    /// Requires this of its node, besides what the last term of its node affinity requires.
    #[must_use]
    pub fn require(self, key: &str, operator: Operator, list: &[&str]) -> Self {
        self.with(|shape| {
            let mut terms = std::mem::take(&mut shape.node_affinity).into_vec();
            let mut last = terms.pop().unwrap_or_default();
            last.require(key.into(), &values(operator, list));
            terms.push(last);
            shape.node_affinity = terms.into();
        })
    }

    /// Begins another term of its node affinity: this will do as well.
    #[must_use]
    pub fn or_require(self, key: &str, operator: Operator, list: &[&str]) -> Self {
        self.with(|shape| {
            let term: Requirements = [(key.into(), values(operator, list))].into_iter().collect();
            shape.node_affinity = shape.node_affinity.iter().cloned().chain([term]).collect();
        })
    }

    /// Tolerates every taint of that key.
    #[must_use]
    pub fn tolerate(self, key: &str) -> Self {
        self.with(|shape| {
            let toleration = Toleration {
                key: key.into(),
                operator: TolerationOperator::Exists,
                value: Name::default(),
                effect: None,
            };
            let mut tolerations: Vec<Toleration> =
                shape.tolerations.iter().cloned().chain([toleration]).collect();
            tolerations.sort();
            shape.tolerations = tolerations.into();
        })
    }

    /// Spreads its own kind (pods with all its labels) over the domains of a key,
    /// `DoNotSchedule`.
    #[must_use]
    pub fn spread(self, topology_key: &str, max_skew: u32) -> Self {
        let selector = LabelSelector::match_labels(&self.shape.labels);
        self.spread_among(topology_key, max_skew, selector)
    }

    /// Spread over the domains of a label with respect to pods that the selector means.
    #[must_use]
    pub fn spread_among(self, topology_key: &str, max_skew: u32, selector: LabelSelector) -> Self {
        self.spread_by(TopologySpread {
            topology_key: topology_key.into(),
            max_skew,
            min_domains: None,
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector,
            node_affinity_policy: NodeInclusion::Honor,
            node_taints_policy: NodeInclusion::Ignore,
        })
    }

    /// With that spread constraint.
    #[must_use]
    pub fn spread_by(self, spread: TopologySpread) -> Self {
        self.with(|shape| {
            shape.topology_spread = shape.topology_spread.iter().cloned().chain([spread]).collect();
        })
    }

    /// Must be in one domain with pods (of its namespace) that carry these labels.
    #[must_use]
    pub fn affinity(self, topology_key: &str, to: &[(&str, &str)]) -> Self {
        let term = self.term(topology_key, LabelSelector::match_labels(&labels(to)));
        self.with(|shape| {
            shape.affinity = shape.affinity.iter().cloned().chain([term]).collect();
        })
    }

    /// Must not be in one domain with pods (of its namespace) that carry these labels.
    #[must_use]
    pub fn anti_affinity(self, topology_key: &str, to: &[(&str, &str)]) -> Self {
        let term = self.term(topology_key, LabelSelector::match_labels(&labels(to)));
        self.with(|shape| {
            shape.anti_affinity = shape.anti_affinity.iter().cloned().chain([term]).collect();
        })
    }

    /// Must not be in one domain with its own kind (pods with all its labels).
    #[must_use]
    pub fn alone_in(self, topology_key: &str) -> Self {
        let term = self.term(topology_key, LabelSelector::match_labels(&self.shape.labels));
        self.with(|shape| {
            shape.anti_affinity = shape.anti_affinity.iter().cloned().chain([term]).collect();
        })
    }

    /// Takes a TCP port of the node, on every address.
    #[must_use]
    pub fn host_port(self, port: u16) -> Self {
        self.with(|shape| {
            let port = HostPort { ip: "0.0.0.0".into(), protocol: Protocol::Tcp, port };
            let mut ports: Vec<HostPort> = shape.host_ports.iter().cloned().chain([port]).collect();
            ports.sort();
            shape.host_ports = ports.into();
        })
    }

    /// With a priority.
    #[must_use]
    pub fn priority(self, priority: i32) -> Self {
        self.with(|shape| shape.priority = priority)
    }

    fn term(&self, topology_key: &str, selector: LabelSelector) -> PodAffinityTerm {
        PodAffinityTerm {
            topology_key: topology_key.into(),
            selector,
            namespaces: Box::from([self.shape.namespace.clone()]),
            namespace_selector: None,
        }
    }
}

/// A pending pod of a ReplicaSet that kube-scheduler found no place for; its UID is
/// `uid-NAMESPACE-NAME`, it was created at second 0.
pub fn pod(name: &str, shape: &Arc<PodShape>) -> Pod {
    let key = PodKey { namespace: shape.namespace.clone(), name: name.into() };
    let uid = Name::from(format!("uid-{}-{name}", shape.namespace));
    let owner = Owner::Controller("ReplicaSet".into(), "uid-replicaset".into());
    Pod { owner, ..Pod::waiting(key, uid, Arc::clone(shape), Timestamp::from_seconds(0)) }
}

/// That many pending pods, `PREFIX-0`, `PREFIX-1`, and so on.
pub fn pods(prefix: &str, count: usize, shape: &Arc<PodShape>) -> Vec<Pod> {
    (0..count).map(|index| pod(&format!("{prefix}-{index}"), shape)).collect()
}

/// The same pod, running on that node since second 0.
pub fn bound(pod: Pod, node: &str) -> Pod {
    Pod {
        node: Some(node.into()),
        phase: PodPhase::Running,
        started: Some(Timestamp::from_seconds(0)),
        unschedulable: false,
        ..pod
    }
}

/// A DaemonSet of that name in its shape's namespace. Its shape should tolerate what the
/// DaemonSet controller lets it tolerate, if a test cares.
pub fn daemon_set(name: &str, shape: &Arc<PodShape>) -> DaemonSet {
    DaemonSet {
        key: PodKey { namespace: shape.namespace.clone(), name: name.into() },
        uid: Name::from(format!("uid-{name}")),
        shape: Arc::clone(shape),
    }
}
