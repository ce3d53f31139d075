use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Labels, Name, Price, Requirements, Resources, Taint, Timestamp};

/// `spec.template.spec.nodeClassRef`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeClassReference {
    /// API group.
    pub group: Name,
    /// Kind.
    pub kind: Name,
    /// Name.
    pub name: Name,
}

/// When a node is replaced only because of its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpireAfter {
    /// Never.
    Never,
    /// At this age.
    After(Duration),
}

/// How long a node must have been left alone before it may be consolidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsolidateAfter {
    /// It never may.
    Never,
    /// So long.
    After(Duration),
}

/// `spec.disruption.consolidationPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsolidationPolicy {
    /// Only nodes without pods go.
    WhenEmpty,
    /// Any node may go if that saves money.
    WhenEmptyOrUnderutilized,
    /// Any node may go if it saves more than it disturbs.
    Balanced,
}

/// Why a node is disrupted, as budgets name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DisruptionReason {
    /// Its pods fit elsewhere, or on something cheaper.
    Underutilized,
    /// It has no pods.
    Empty,
    /// It is not what its NodePool asks for any more.
    Drifted,
}

/// `spec.disruption.budgets[].nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodesLimit {
    /// So many nodes.
    Count(u32),
    /// So many percent of the pool's nodes, rounded up.
    Percent(u32),
}

impl NodesLimit {
    /// How many of `total` nodes.
    pub fn of(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let nodes = (u64::from(total) * u64::from(percent)).div_ceil(100);
                u32::try_from(nodes).unwrap_or(u32::MAX)
            }
        }
    }
}

/// `spec.disruption.budgets[]`: how many nodes of a pool may be disrupted at once.
///
/// Schedules are cron expressions, which need a calendar: whoever reduces the NodePool works out
/// the window that is open now or opens next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisruptionBudget {
    /// How many.
    pub nodes: NodesLimit,
    /// For which reasons; empty: for all.
    pub reasons: Box<[DisruptionReason]>,
    /// `schedule`, a cron expression in UTC. Active always if there is none.
    pub schedule: Option<Name>,
    /// `duration`: how long it is active from each time of the schedule on.
    pub duration: Option<Duration>,
    /// Whether the schedule cannot be understood: then the budget allows nothing, at all times.
    pub broken: bool,
}

/// A NodePool, reduced to what decisions need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePool {
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.uid`.
    pub uid: Name,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.deletionTimestamp`.
    pub deleted: Option<Timestamp>,
    /// `spec.weight`, 0 if there is none: heavier pools are tried first.
    pub weight: i32,
    /// `spec.template.metadata.labels`.
    pub labels: Labels,
    /// `spec.template.metadata.annotations`.
    pub annotations: Labels,
    /// `spec.template.spec.requirements`.
    pub requirements: Requirements,
    /// `minValues` of the requirements: key and how many values must remain possible.
    pub min_values: Box<[(Name, u32)]>,
    /// `spec.template.spec.taints`, sorted.
    pub taints: Box<[Taint]>,
    /// `spec.template.spec.startupTaints`, sorted; placement does not look at them.
    pub startup_taints: Box<[Taint]>,
    /// `spec.template.spec.nodeClassRef`.
    pub node_class: NodeClassReference,
    /// `spec.template.spec.expireAfter`.
    pub expire_after: ExpireAfter,
    /// `spec.template.spec.terminationGracePeriod`.
    pub termination_grace_period: Option<Duration>,
    /// `spec.limits`, as far as resources are named: `None` for a resource without a limit.
    pub limits: Limits,
    /// `spec.disruption.consolidateAfter`.
    pub consolidate_after: ConsolidateAfter,
    /// `spec.disruption.consolidationPolicy`.
    pub consolidation_policy: ConsolidationPolicy,
    /// `spec.disruption.budgets`.
    pub budgets: Box<[DisruptionBudget]>,
    /// `spec.replicas`: a static pool of so many nodes.
    pub replicas: Option<u32>,
    /// The hash of its template, by Berth's own version of hashing.
    pub hash: Name,
    /// Whether its NodeClass is there and ready, so that nodes can be launched.
    pub ready: bool,
    /// What is wrong with it, if anything: the field, what is wrong, what would be right. A pool
    /// with a defect launches nothing.
    pub defect: Option<Name>,
}

/// The most that a pool may hold of each resource that is named (of its nodes' capacity).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `cpu`, in thousandths.
    pub cpu: Option<i64>,
    /// `memory`, in bytes.
    pub memory: Option<i64>,
    /// `ephemeral-storage`, in bytes.
    pub ephemeral_storage: Option<i64>,
    /// `pods`.
    pub pods: Option<i64>,
    /// `nodes`.
    pub nodes: Option<i64>,
    /// Extended resources.
    pub extended: Box<[(Name, i64)]>,
    /// Price per hour of all nodes together.
    pub price: Option<Price>,
}

impl Limits {
    /// The first limit that a pool with `nodes` nodes of this total capacity and price exceeds,
    /// by its Kubernetes name.
    pub fn first_exceeded(&self, capacity: &Resources, nodes: i64, price: Price) -> Option<&str> {
        let plain = [
            ("cpu", capacity.cpu.0, self.cpu),
            ("memory", capacity.memory.0, self.memory),
            ("ephemeral-storage", capacity.ephemeral_storage.0, self.ephemeral_storage),
            ("pods", capacity.pods, self.pods),
            ("nodes", nodes, self.nodes),
        ];
        plain
            .into_iter()
            .find(|(_, has, limit)| limit.is_some_and(|limit| *has > limit))
            .map(|(name, _, _)| name)
            .or_else(|| {
                self.extended
                    .iter()
                    .find(|(name, limit)| capacity.extended_amount(name) > *limit)
                    .map(|(name, _)| name.as_str())
            })
            .or_else(|| self.price.filter(|limit| price > *limit).map(|_| "price"))
    }
}
