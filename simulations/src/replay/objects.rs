//! Rows as the objects that the deciding code knows.

use std::sync::Arc;
use std::time::Duration;

use berth_solver::constraints::pool_requirements::{self, Choices};
use berth_solver::model::{
    Bytes, CapacityType, Catalog, Condition, ConditionStatus, ConsolidateAfter,
    ConsolidationPolicy, DaemonSet, DisruptionBudget, ExpireAfter, Labels, Launch, Limits,
    MilliCpu, Name, Node, NodeClaim, NodeClassReference, NodePool, NodesLimit, Offering, Operator,
    Pod, PodKey, PodPhase, PodShape, Requirements, Resources, Taint, TaintEffect, Toleration,
    TolerationOperator, ValueSet, well_known, well_known::condition,
};

use super::fleet::{NodeRow, Phase};
use super::pods::{PodId, PodRow};
use super::settings::PoolSettings;
use crate::trace::owner;

/// The name of the pool.
const POOL: &str = "default";
/// The way in which its hash is made: nothing drifts in a replay.
pub(super) const HASH_VERSION: &str = "replay";

/// The pool that all policies launch from.
pub(super) fn pool(settings: &PoolSettings) -> NodePool {
    let mut requirements = Requirements::default();
    if !settings.spot {
        let spot = Name::from(CapacityType::Spot.as_str());
        let set = ValueSet::of(Operator::NotIn, [spot]);
        requirements.require(well_known::CAPACITY_TYPE_LABEL.into(), &set);
    }
    NodePool {
        name: POOL.into(),
        uid: "NodePool//default".into(),
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
            group: "karpenter.sh".into(),
            kind: "NodeClass".into(),
            name: POOL.into(),
        },
        expire_after: ExpireAfter::Never,
        termination_grace_period: None,
        limits: Limits::default(),
        consolidate_after: ConsolidateAfter::After(Duration::from_secs(
            settings.consolidate_after_seconds,
        )),
        consolidation_policy: ConsolidationPolicy::WhenEmptyOrUnderutilized,
        budgets: Box::from([DisruptionBudget {
            nodes: NodesLimit::Percent(settings.budget_percent),
            reasons: Box::default(),
            schedule: None,
            duration: None,
            broken: false,
        }]),
        replicas: None,
        hash: HASH_VERSION.into(),
        ready: true,
        defect: None,
    }
}

/// What daemons take on each node, if anything.
pub(super) fn daemon(settings: &PoolSettings) -> Option<DaemonSet> {
    if settings.daemon_cpu_milli <= 0 && settings.daemon_memory_mib <= 0 {
        return None;
    }
    let mut requests = Resources::new(
        MilliCpu(settings.daemon_cpu_milli.max(0)),
        Bytes::from_mebibytes(settings.daemon_memory_mib.max(0)),
    );
    requests.pods = 1;
    let everywhere = Toleration {
        key: Name::default(),
        operator: TolerationOperator::Exists,
        value: Name::default(),
        effect: None,
    };
    let shape = PodShape {
        tolerations: Box::from([everywhere]),
        ..PodShape::plain("kube-system".into(), requests)
    };
    let key = PodKey { namespace: "kube-system".into(), name: "daemons".into() };
    Some(DaemonSet { key, uid: "daemons".into(), shape: Arc::new(shape) })
}

/// A pod, bound to `node` if it is. It began to wait, or to run, when its row says.
pub(super) fn pod(id: PodId, row: &PodRow, shape: &Arc<PodShape>, node: Option<&Name>) -> Pod {
    Pod {
        node: node.cloned(),
        phase: if node.is_some() { PodPhase::Running } else { PodPhase::Pending },
        unschedulable: node.is_none(),
        started: node.is_some().then_some(row.started),
        owner: owner(&row.workload),
        ..Pod::waiting(row.key(id), row.uid(id), Arc::clone(shape), row.since)
    }
}

/// A node that is up.
pub(super) fn node(row: &NodeRow) -> Node {
    let disrupted = Taint {
        key: well_known::DISRUPTED_TAINT.into(),
        value: Name::default(),
        effect: TaintEffect::NoSchedule,
    };
    let mut taints: Vec<Taint> = row.launch.taints.to_vec();
    taints.extend(row.leaving.then_some(disrupted));
    taints.sort_unstable();
    Node {
        name: row.name.clone(),
        uid: row.name.clone(),
        labels: row.launch.labels.with([
            (well_known::HOSTNAME_LABEL.into(), row.name.clone()),
            (well_known::NODEPOOL_LABEL.into(), row.launch.pool.clone()),
        ]),
        taints: taints.into(),
        unschedulable: false,
        provider_id: Some(row.name.clone()),
        capacity: row.launch.capacity.clone(),
        allocatable: row.launch.allocatable.clone(),
        ready: true,
        ready_since: Some(row.up_since),
        conditions: Box::default(),
        created: row.up_since,
        deleted: None,
        has_termination_finalizer: true,
        do_not_disrupt: false,
    }
}

/// A node's claim.
pub(super) fn claim(row: &NodeRow) -> NodeClaim {
    let is_up = row.phase != Phase::Coming;
    let kinds: &[&str] = if is_up {
        &[condition::INITIALIZED, condition::LAUNCHED, condition::READY, condition::REGISTERED]
    } else {
        &[condition::LAUNCHED]
    };
    let conditions = kinds.iter().map(|kind| Condition {
        kind: Name::from(*kind),
        status: ConditionStatus::True,
        reason: Name::from(*kind),
        since: if is_up { row.up_since } else { row.created },
    });
    let launch = &row.launch;
    let labels = [(Name::from(well_known::NODEPOOL_LABEL), launch.pool.clone())];
    NodeClaim {
        name: row.name.clone(),
        uid: row.name.clone(),
        labels: launch.labels.with(labels),
        created: row.created,
        deleted: (row.phase == Phase::Going).then_some(row.last_pod_event),
        has_termination_finalizer: true,
        requirements: launch.requirements.clone(),
        requests: launch.requests.clone(),
        taints: launch.taints.clone(),
        startup_taints: Box::default(),
        expire_after: ExpireAfter::Never,
        termination_grace_period: None,
        provider_id: Some(row.name.clone()),
        node_name: is_up.then(|| row.name.clone()),
        capacity: Some(launch.capacity.clone()),
        allocatable: Some(launch.allocatable.clone()),
        conditions: conditions.collect(),
        last_pod_event: None,
        terminate_by: None,
        planned_pods: row.planned.clone(),
        price: Some(row.price),
        template_hash: Some(HASH_VERSION.into()),
        template_hash_version: Some(HASH_VERSION.into()),
        reason: None,
    }
}

/// What launches an offering, for policies that say no more than which.
pub(super) fn launch(
    pool: &NodePool,
    catalog: &Catalog,
    instance_type: &str,
    offering: &Offering,
    reason: String,
) -> Option<Launch> {
    let kind = catalog.get(instance_type)?;
    let labels = pool_requirements::labels(pool, kind, offering, &Choices::new())?;
    Some(Launch { reason, ..Launch::new(Name::default(), pool, kind, offering, labels) })
}
