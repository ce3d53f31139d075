//! The demo's script: an infrastructure node, a pool, and workloads that come, grow and leave.

use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::{
    Bytes, ConsolidateAfter, ConsolidationPolicy, DaemonSet, DisruptionBudget, ExpireAfter,
    LabelSelector, Labels, Limits, MilliCpu, Name, Node, NodeClassReference, NodeInclusion,
    NodePool, NodesLimit, Operator, PodAffinityTerm, PodKey, PodShape, Requirements, Resources,
    Taint, TaintEffect, Toleration, TolerationOperator, TopologySpread, ValueSet,
    WhenUnsatisfiable, well_known,
};

use crate::World;
use crate::cluster::{Availability, BudgetSpec};
use crate::random::Delay;
use crate::workloads::{Workload, WorkloadKind};

/// One thing that somebody does to the cluster.
#[derive(Clone, Debug)]
pub enum Step {
    /// Creates a workload, or gives it another number of pods.
    Apply(Workload),
    /// Gives a workload another number of pods.
    Scale(PodKey, u32),
    /// Gives every workload no pods.
    ScaleAllToZero,
    /// Creates a DaemonSet.
    DaemonSet(DaemonSet),
    /// Creates a PodDisruptionBudget.
    Budget(BudgetSpec),
}

/// A step, when it is done, and how it is told.
#[derive(Clone, Debug)]
pub struct Scripted {
    /// So long after the start.
    pub at: Duration,
    /// For people.
    pub title: String,
    /// What is done.
    pub step: Step,
}

/// A script.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// In the order of their times.
    pub steps: Vec<Scripted>,
}

/// The name of the demo's NodePool.
pub const POOL: &str = "workload";
/// The name of the node that is not Berth's.
pub const INFRASTRUCTURE_NODE: &str = "infra-1";
/// The namespace of the demo's workloads.
const NAMESPACE: &str = "shop";
const PLATFORM: &str = "platform";
const INFRASTRUCTURE_TAINT: &str = "node-role.kubernetes.io/infrastructure";

/// How long the demo's script takes until everything is scaled to zero.
pub const DEMO_LENGTH: Duration = Duration::from_secs(66);

impl Scenario {
    /// The demo's script, stretched or squeezed so that everything is scaled to zero after
    /// `length`.
    pub fn demo(length: Duration) -> Self {
        let at = |seconds: u32| {
            length.saturating_mul(seconds) / u32::try_from(DEMO_LENGTH.as_secs()).unwrap_or(1)
        };
        let runs = Delay {
            least: length.mul_f64(6.0 / DEMO_LENGTH.as_secs_f64()),
            most: length.mul_f64(12.0 / DEMO_LENGTH.as_secs_f64()),
        };
        let scripted = |seconds: u32, title: &str, step: Step| Scripted {
            at: at(seconds),
            title: title.to_owned(),
            step,
        };
        let scale = |name: &str, replicas: u32| Step::Scale(key(NAMESPACE, name), replicas);
        let steps = vec![
            scripted(1, "web arrives: 12 pods, spread over zones", Step::Apply(web(12))),
            scripted(1, "web may miss 3 pods at most", Step::Budget(web_budget())),
            scripted(5, "api arrives: 4 pods, each on a host of its own", Step::Apply(api(4))),
            scripted(14, "encode arrives: 6 pods, hungry for CPU", Step::Apply(encode(6))),
            scripted(20, "cache arrives: 4 pods, hungry for memory", Step::Apply(cache(4))),
            scripted(27, "report arrives: a job of 30 short pods", Step::Apply(report(30, runs))),
            scripted(35, "web grows to 36 pods", scale("web", 36)),
            scripted(45, "encode leaves", scale("encode", 0)),
            scripted(50, "web shrinks to 9 pods", scale("web", 9)),
            scripted(54, "cache shrinks to 1 pod", scale("cache", 1)),
            scripted(58, "api shrinks to 2 pods", scale("api", 2)),
            scripted(66, "everything scales to zero", Step::ScaleAllToZero),
        ];
        Self { steps }
    }

    /// When its last step is done, from its start.
    pub fn length(&self) -> Duration {
        self.steps.iter().map(|scripted| scripted.at).max().unwrap_or_default()
    }
}

/// Puts up the demo's cluster: namespaces, the pool with its catalog, and the infrastructure
/// node with what runs on it.
pub fn set_up_demo(world: &mut World) {
    let catalog = Arc::clone(world.cloud().catalog());
    let zone = catalog
        .instance_types
        .iter()
        .flat_map(|found| &found.offerings)
        .map(|offering| offering.zone.clone())
        .min()
        .unwrap_or_default();
    world.call(|cluster| {
        for namespace in [NAMESPACE, PLATFORM] {
            let label = ("kubernetes.io/metadata.name".into(), Name::from(namespace));
            cluster.set_namespace(namespace.into(), Labels::from_iter([label]));
        }
        cluster.set_pool(pool());
        cluster.set_catalog(POOL.into(), catalog);
        // It was there before us, and nothing of that name can be.
        let _ = cluster.create_node(infrastructure_node(zone, cluster.now()));
    });
    world.perform(Step::DaemonSet(node_agent()));
    for (name, replicas, cpu, memory) in [
        ("argocd", 3, 250, 384),
        ("prometheus", 2, 500, 2_048),
        ("ingress", 2, 200, 256),
        ("coredns", 2, 100, 128),
    ] {
        let mut shape = shape(PLATFORM, name, cpu, memory);
        shape.tolerations = Box::from([toleration(INFRASTRUCTURE_TAINT)]);
        shape.node_selector = labels([(INFRASTRUCTURE_TAINT, "true")]);
        let key = key(PLATFORM, name);
        world.call(|cluster| {
            for number in 0..replicas {
                let pod = crate::cluster::NewPod {
                    key: PodKey {
                        namespace: key.namespace.clone(),
                        name: format!("{name}-{number}").into(),
                    },
                    shape: Arc::new(shape.clone()),
                    owner: berth_solver::model::Owner::Controller(
                        "StatefulSet".into(),
                        key.name.clone(),
                    ),
                    node: Some(INFRASTRUCTURE_NODE.into()),
                    replace_first: false,
                };
                // Names differ.
                let _ = cluster.create_pod(pod);
            }
        });
    }
}

fn key(namespace: &str, name: &str) -> PodKey {
    PodKey { namespace: namespace.into(), name: name.into() }
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (Name::from(key), Name::from(value))).collect()
}

fn toleration(key: &str) -> Toleration {
    Toleration {
        key: key.into(),
        operator: TolerationOperator::Exists,
        value: Name::default(),
        effect: None,
    }
}

/// A pod's shape with nothing but requests and the label `app`.
pub fn shape(namespace: &str, app: &str, cpu_milli: i64, memory_mebibytes: i64) -> PodShape {
    let mut requests = Resources::new(MilliCpu(cpu_milli), Bytes::from_mebibytes(memory_mebibytes));
    requests.pods = 1;
    PodShape { labels: labels([("app", app)]), ..PodShape::plain(namespace.into(), requests) }
}

fn serving(shape: PodShape, name: &str, replicas: u32) -> Workload {
    let key = key(NAMESPACE, name);
    let kind = WorkloadKind::Serving;
    Workload { key, shape: Arc::new(shape), replicas, kind, replace_first: false }
}

fn web(replicas: u32) -> Workload {
    let mut shape = shape(NAMESPACE, "web", 250, 384);
    shape.topology_spread = Box::from([TopologySpread {
        topology_key: well_known::ZONE_LABEL.into(),
        max_skew: 1,
        min_domains: None,
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: LabelSelector::match_labels(&shape.labels),
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Honor,
    }]);
    serving(shape, "web", replicas)
}

fn web_budget() -> BudgetSpec {
    BudgetSpec {
        key: key(NAMESPACE, "web"),
        selector: LabelSelector::match_labels(&labels([("app", "web")])),
        availability: Availability::Missing(3),
    }
}

fn api(replicas: u32) -> Workload {
    let mut shape = shape(NAMESPACE, "api", 500, 1_024);
    shape.anti_affinity = Box::from([PodAffinityTerm {
        topology_key: well_known::HOSTNAME_LABEL.into(),
        selector: LabelSelector::match_labels(&shape.labels),
        namespaces: Box::from([Name::from(NAMESPACE)]),
        namespace_selector: None,
    }]);
    serving(shape, "api", replicas)
}

fn encode(replicas: u32) -> Workload {
    serving(shape(NAMESPACE, "encode", 3_500, 2_048), "encode", replicas)
}

fn cache(replicas: u32) -> Workload {
    serving(shape(NAMESPACE, "cache", 500, 12_288), "cache", replicas)
}

fn report(replicas: u32, runs: Delay) -> Workload {
    let kind = WorkloadKind::Batch { runs };
    Workload { kind, ..serving(shape(NAMESPACE, "report", 1_000, 1_024), "report", replicas) }
}

fn node_agent() -> DaemonSet {
    let mut shape = shape(PLATFORM, "node-agent", 50, 64);
    shape.tolerations = Box::from([toleration("")]);
    DaemonSet {
        key: key(PLATFORM, "node-agent"),
        uid: "daemonset-node-agent".into(),
        shape: Arc::new(shape),
    }
}

fn infrastructure_node(zone: Name, now: berth_solver::model::Timestamp) -> Node {
    let mut capacity = Resources::new(MilliCpu(4_000), Bytes::from_mebibytes(16_384));
    capacity.pods = 110;
    capacity.ephemeral_storage = Bytes::from_mebibytes(50 << 10);
    let mut allocatable = capacity.clone();
    allocatable.cpu = MilliCpu(3_700);
    allocatable.memory = Bytes::from_mebibytes(15_984);
    Node {
        name: INFRASTRUCTURE_NODE.into(),
        uid: "node-infrastructure".into(),
        labels: labels([
            (well_known::HOSTNAME_LABEL, INFRASTRUCTURE_NODE),
            (well_known::INSTANCE_TYPE_LABEL, "standard.extra-large"),
            (well_known::ARCH_LABEL, "amd64"),
            (well_known::OS_LABEL, "linux"),
            (well_known::ZONE_LABEL, &zone),
            (INFRASTRUCTURE_TAINT, "true"),
        ]),
        taints: Box::from([Taint {
            key: INFRASTRUCTURE_TAINT.into(),
            value: Name::default(),
            effect: TaintEffect::NoSchedule,
        }]),
        unschedulable: false,
        provider_id: Some("static://infra-1".into()),
        capacity,
        allocatable,
        ready: true,
        ready_since: Some(now),
        conditions: Box::default(),
        created: now,
        deleted: None,
        has_termination_finalizer: false,
        do_not_disrupt: false,
    }
}

fn pool() -> NodePool {
    let mut requirements = Requirements::default();
    for (key, value) in [(well_known::ARCH_LABEL, "amd64"), (well_known::OS_LABEL, "linux")] {
        requirements.require(key.into(), &ValueSet::of(Operator::In, [Name::from(value)]));
    }
    NodePool {
        name: POOL.into(),
        uid: "nodepool-workload".into(),
        generation: 1,
        deleted: None,
        weight: 0,
        labels: Labels::default(),
        annotations: Labels::default(),
        requirements,
        min_values: Box::default(),
        taints: Box::default(),
        startup_taints: Box::default(),
        node_class: NodeClassReference {
            group: "karpenter.exoscale.com".into(),
            kind: "ExoscaleNodeClass".into(),
            name: "default".into(),
        },
        expire_after: ExpireAfter::Never,
        termination_grace_period: None,
        limits: Limits { cpu: Some(400_000), ..Limits::default() },
        consolidate_after: ConsolidateAfter::After(Duration::from_secs(3)),
        consolidation_policy: ConsolidationPolicy::WhenEmptyOrUnderutilized,
        budgets: Box::from([DisruptionBudget {
            nodes: NodesLimit::Percent(50),
            reasons: Box::default(),
            schedule: None,
            duration: None,
            broken: false,
        }]),
        replicas: None,
        hash: "demo".into(),
        ready: true,
        defect: None,
    }
}
