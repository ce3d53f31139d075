use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    CapacityType, Headroom, InstanceType, Labels, Name, NodePool, Offering, PodKey, Price,
    Requirements, Resources, Taint, Timestamp,
};

/// What to do, and how good that is. Made by the solver, checked by `verify`, carried out by the
/// autoscaler and by the extender.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The generation of the snapshot it was made from.
    pub generation: u64,
    /// When.
    pub made_at: Timestamp,
    /// The seed it was made with.
    pub seed: u64,
    /// Which method found it.
    pub method: Method,
    /// Nodes to launch.
    pub launches: Vec<Launch>,
    /// Nodes to remove.
    pub removals: Vec<Removal>,
    /// A place for each pod that it found one for, by namespace and name. Pods that belong to
    /// their node (DaemonSet and static pods) are never listed.
    pub placements: Vec<Placement>,
    /// Pods that it found no place for, by namespace and name.
    pub unschedulable: Vec<Unschedulable>,
    /// Where room is kept for buffers, and what there is none for. Nothing is bound there.
    #[serde(default)]
    pub headroom: Vec<Headroom>,
    /// What the launches cost together, per hour.
    pub price: Price,
    /// What each launch counts for beyond its price, per hour, where plans are compared.
    #[serde(default, skip_serializing_if = "Price::is_zero")]
    pub price_per_node: Price,
    /// What any set of launches that places the same pods costs at least, per hour, what nodes
    /// count for beyond their price included.
    pub lower_bound: Price,
}

impl Plan {
    /// What plans are compared by, per hour: the price, and what nodes count for beyond it.
    pub fn cost(&self) -> Price {
        self.price + self.price_per_node * self.launches.len() as u64
    }

    /// (cost − bound) / bound, or 0 if both are nothing; `None` if the bound is nothing but the
    /// cost is not.
    pub fn gap(&self) -> Option<f64> {
        let cost = self.cost();
        if cost <= self.lower_bound {
            return Some(0.0);
        }
        (self.lower_bound > Price::ZERO)
            .then(|| (cost - self.lower_bound).as_f64() / self.lower_bound.as_f64())
    }

    /// Whether it does nothing at all.
    pub fn is_empty(&self) -> bool {
        self.launches.is_empty() && self.removals.is_empty() && self.placements.is_empty()
    }
}

/// How a plan was found.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// There was nothing to do.
    #[default]
    Nothing,
    /// Balanced greedy packing.
    Greedy,
    /// Column generation over patterns, rounded.
    ColumnGeneration,
    /// Local search on top of another method.
    LocalSearch,
    /// An exact model, solved to the end.
    Exact,
    /// The baseline that packs as Karpenter does.
    Karpenter,
    /// The baseline that packs as Cluster Autoscaler does.
    ClusterAutoscaler,
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Nothing => "nothing",
            Self::Greedy => "greedy",
            Self::ColumnGeneration => "column-generation",
            Self::LocalSearch => "local-search",
            Self::Exact => "exact",
            Self::Karpenter => "karpenter",
            Self::ClusterAutoscaler => "cluster-autoscaler",
        })
    }
}

/// A node to launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The name that its NodeClaim gets (the pool's name, a dash and a suffix that follows from
    /// the inputs).
    pub name: Name,
    /// The NodePool that it is made from.
    pub pool: Name,
    /// The instance type.
    pub instance_type: Name,
    /// The zone.
    pub zone: Name,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// What it costs in an hour.
    pub price: Price,
    /// What the machine has.
    pub capacity: Resources,
    /// What pods, daemons among them, can have of it.
    pub allocatable: Resources,
    /// What the pods planned for it, and the daemons that it will get, take.
    pub requests: Resources,
    /// Labels that the node will have (host name and the cloud's own extras aside).
    pub labels: Labels,
    /// What its NodeClaim requires: the choice above and what pool and pods ask for.
    pub requirements: Requirements,
    /// Taints that the node keeps (startup taints aside).
    pub taints: Box<[Taint]>,
    /// Whether the pool's `minValues` had to be given up for it (with the policy `BestEffort`).
    #[serde(default)]
    pub min_values_relaxed: bool,
    /// Why it is launched, for people.
    pub reason: String,
}

impl Launch {
    /// That offering of the type from the pool, with nothing on it yet, for no reason yet. The
    /// node will have these labels, and its claim requires them and what the pool requires.
    pub fn new(
        name: Name,
        pool: &NodePool,
        kind: &InstanceType,
        offering: &Offering,
        labels: Labels,
    ) -> Self {
        Self {
            name,
            pool: pool.name.clone(),
            instance_type: kind.name.clone(),
            zone: offering.zone.clone(),
            capacity_type: offering.capacity_type,
            price: offering.price,
            capacity: kind.capacity.clone(),
            allocatable: kind.allocatable(),
            requests: Resources::default(),
            requirements: Requirements::from_labels(&labels).intersection(&pool.requirements),
            labels,
            taints: pool.taints.clone(),
            min_values_relaxed: false,
            reason: String::new(),
        }
    }
}

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// A node that is there, by name.
    Node(Name),
    /// The node of a NodeClaim, there or still to come, by the claim's name (a [`Launch`]'s name
    /// before it is one).
    Claim(Name),
}

/// A pod and its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// The pod.
    pub pod: PodKey,
    /// Its UID.
    pub uid: Name,
    /// Its place.
    pub target: Target,
}

/// A pod without a place, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unschedulable {
    /// The pod.
    pub pod: PodKey,
    /// Its UID.
    pub uid: Name,
    /// Why, for people: which pool or node failed on what.
    pub reason: String,
}

/// Why a node is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemovalReason {
    /// No pods.
    Empty,
    /// Its pods fit elsewhere, or on something cheaper.
    Underutilized,
    /// It is not what its NodePool asks for any more.
    Drifted,
    /// It is too old.
    Expired,
    /// Something is wrong with it.
    Unhealthy,
}

impl RemovalReason {
    /// As budgets, conditions and metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Underutilized => "Underutilized",
            Self::Drifted => "Drifted",
            Self::Expired => "Expired",
            Self::Unhealthy => "Unhealthy",
        }
    }
}

impl fmt::Display for RemovalReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A node to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Its NodeClaim's name.
    pub claim: Name,
    /// Its NodeClaim's UID.
    pub claim_uid: Name,
    /// Its own name, if it has joined.
    pub node: Option<Name>,
    /// Why, as budgets and metrics name it.
    pub reason: RemovalReason,
    /// Why, for people.
    pub explanation: String,
}
