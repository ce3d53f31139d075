use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BufferStatus;
use crate::model::{
    CapacityType, ExpireAfter, Labels, Name, NodeClaim, NodeClassReference, PodKey, Price, Removal,
    RemovalReason, Requirements, Resources, Taint, Timestamp,
};

/// A NodeClaim, and no other that may later have its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClaimRef {
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.uid`.
    pub uid: Name,
}

impl From<&NodeClaim> for ClaimRef {
    fn from(claim: &NodeClaim) -> Self {
        Self { name: claim.name.clone(), uid: claim.uid.clone() }
    }
}

impl From<&Removal> for ClaimRef {
    fn from(removal: &Removal) -> Self {
        Self { name: removal.claim.clone(), uid: removal.claim_uid.clone() }
    }
}

/// A Node, and no other that may later have its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeRef {
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.uid`.
    pub uid: Name,
}

/// A Pod, and no other that may later have its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodRef {
    /// Namespace and name.
    pub key: PodKey,
    /// `metadata.uid`.
    pub uid: Name,
}

/// One external write. Whoever carries effects out makes no choices; a test can stop the process
/// before and after every one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// A write to the API server.
    Write(Write),
    /// Cloud: have the machine of a claim, created now or found by the claim's UID.
    LaunchInstance(Box<LaunchRequest>),
    /// Cloud: delete the machine of a claim, by its provider ID where one is known, and whatever
    /// else carries the claim's UID. Repeated until the cloud knows no such machine.
    TerminateInstance {
        /// The claim.
        claim: ClaimRef,
        /// `status.providerID`; `None` if no launch was ever recorded.
        provider_id: Option<Name>,
    },
}

/// One write to the API server. Every write is idempotent: carried out twice it leaves what it
/// left the first time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Write {
    /// Creates a NodeClaim: the durable intent that precedes every cloud create.
    CreateClaim(Box<NewClaim>),
    /// Adds the finalizer `karpenter.sh/termination` to a claim that somebody else made.
    HoldClaim {
        /// The claim.
        claim: ClaimRef,
    },
    /// Status of a claim: provider ID, capacity, allocatable, `Launched` true; and, as metadata,
    /// the labels that the machine settled.
    RecordLaunched {
        /// The claim.
        claim: ClaimRef,
        /// The machine.
        instance: Box<Instance>,
    },
    /// Labels, taints, owner and finalizer of a node that has joined, in one write; the last thing
    /// that it does is to take the taint `karpenter.sh/unregistered` away.
    RegisterNode(Box<Registration>),
    /// Status of a claim: `nodeName`, `Registered` true.
    RecordRegistered {
        /// The claim.
        claim: ClaimRef,
        /// Its node's name.
        node: Name,
    },
    /// Label `karpenter.sh/initialized: "true"`.
    InitializeNode {
        /// The node.
        node: NodeRef,
    },
    /// Status of a claim: `Initialized` and `Ready` true.
    RecordInitialized {
        /// The claim.
        claim: ClaimRef,
    },
    /// Status of a claim: `lastPodEventTime`.
    RecordPodEvent {
        /// The claim.
        claim: ClaimRef,
        /// When a pod last came or left.
        at: Timestamp,
    },
    /// Adds the taint `karpenter.sh/disrupted:NoSchedule`.
    TaintNode {
        /// The node.
        node: NodeRef,
    },
    /// Takes that taint away again.
    UntaintNode {
        /// The node.
        node: NodeRef,
    },
    /// Status of a claim: condition `DisruptionReason`.
    RecordDisruption {
        /// The claim.
        claim: ClaimRef,
        /// Why.
        reason: RemovalReason,
    },
    /// Status of a claim: condition `DisruptionReason` taken away.
    ClearDisruption {
        /// The claim.
        claim: ClaimRef,
    },
    /// Status of a claim: a condition is true, for that reason.
    RecordCondition {
        /// The claim.
        claim: ClaimRef,
        /// The condition's type.
        kind: Name,
        /// Its reason.
        reason: Name,
    },
    /// Status of a claim: a condition taken away.
    ClearCondition {
        /// The claim.
        claim: ClaimRef,
        /// The condition's type.
        kind: Name,
    },
    /// Deletes a claim, only if it still has that UID. Its finalizer holds it until the machine
    /// and the node are gone.
    DeleteClaim {
        /// The claim.
        claim: ClaimRef,
        /// Why.
        cause: Cause,
    },
    /// Annotation `karpenter.sh/nodeclaim-termination-timestamp` of a claim: by when it is to be
    /// gone, whatever its pods and volumes say. `None` takes it away.
    SetTerminationTime {
        /// The claim.
        claim: ClaimRef,
        /// By when.
        at: Option<Timestamp>,
    },
    /// Has the Deployment of a pod roll, if it is its only one and the new one comes first: the pod
    /// template gets the annotation `berth.sh/replaces-pod`, with the pod's UID. The pod goes once
    /// its successor runs.
    ReplacePod {
        /// The pod.
        pod: PodRef,
        /// Where it runs.
        node: Name,
    },
    /// Asks the eviction API to evict a pod: PodDisruptionBudgets decide.
    EvictPod {
        /// The pod.
        pod: PodRef,
        /// Where it runs.
        node: Name,
    },
    /// Deletes a pod whatever its PodDisruptionBudget says: the claim's terminationGracePeriod is
    /// over.
    DeletePod {
        /// The pod.
        pod: PodRef,
        /// Where it runs.
        node: Name,
        /// How long it may still take to stop.
        grace: Duration,
    },
    /// Status of a pod that is not bound: `nominatedNodeName`. kube-scheduler tries that node first
    /// and alone. (From 1.30 on, the oldest version that Berth is for, it always honours a name
    /// that somebody else wrote; it clears it when the pod does not fit there.)
    NominatePod {
        /// The pod.
        pod: PodRef,
        /// The node; `None` takes the name away.
        node: Option<Name>,
    },
    /// Status of a claim: `Drained` true.
    RecordDrained {
        /// The claim.
        claim: ClaimRef,
    },
    /// Status of a claim: `VolumesDetached` true.
    RecordDetached {
        /// The claim.
        claim: ClaimRef,
    },
    /// Status of a claim: `InstanceTerminating` true.
    RecordTerminating {
        /// The claim.
        claim: ClaimRef,
    },
    /// Deletes a node, only if it still has that UID; its finalizer, if any, still holds it.
    DeleteNode {
        /// The node.
        node: NodeRef,
    },
    /// Takes the finalizer off a node whose machine is gone.
    ReleaseNode {
        /// The node.
        node: NodeRef,
    },
    /// Takes the finalizer off a claim whose machine and node are gone.
    ReleaseClaim {
        /// The claim.
        claim: ClaimRef,
    },
    /// Status of a NodePool.
    RecordPoolStatus(Box<PoolStatus>),
    /// Status of a CapacityBuffer.
    RecordBufferStatus(Box<BufferStatus>),
}

/// Why a claim is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// A decision to disrupt it.
    Disruption(RemovalReason),
    /// The cloud has no such machine now.
    InsufficientCapacity,
    /// Nothing in the catalog meets its requirements.
    NothingFits,
    /// The machine was not there in time.
    LaunchTimeout,
    /// The node did not join in time.
    RegistrationTimeout,
    /// The machine is gone, and nobody here deleted it.
    InstanceGone,
    /// Somebody deleted the node.
    NodeDeleted,
    /// Its static NodePool has more nodes than `replicas`.
    ScaledDown,
}

impl Cause {
    /// As metrics, logs and events name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disruption(reason) => reason.as_str(),
            Self::InsufficientCapacity => "InsufficientCapacity",
            Self::NothingFits => "NothingFits",
            Self::LaunchTimeout => "LaunchTimeout",
            Self::RegistrationTimeout => "RegistrationTimeout",
            Self::InstanceGone => "InstanceGone",
            Self::NodeDeleted => "NodeDeleted",
            Self::ScaledDown => "ScaledDown",
        }
    }

    /// Whether a launch led to no node although the cloud had capacity: the pool's set-up is wrong,
    /// or the cloud is in trouble.
    pub const fn is_no_node(self) -> bool {
        matches!(self, Self::LaunchTimeout | Self::RegistrationTimeout)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A NodeClaim to be created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewClaim {
    /// `metadata.name`.
    pub name: Name,
    /// The NodePool, its owner.
    pub pool: Name,
    /// The NodePool's UID.
    pub pool_uid: Name,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.annotations`: the template's, the template's hash, why, and what the plan says
    /// ([`NewClaim::planned_pods`] and [`NewClaim::price`] are there too).
    pub annotations: Labels,
    /// `spec.requirements`.
    pub requirements: Requirements,
    /// `spec.resources.requests`.
    pub requests: Resources,
    /// `spec.taints`.
    pub taints: Box<[Taint]>,
    /// `spec.startupTaints`.
    pub startup_taints: Box<[Taint]>,
    /// `spec.nodeClassRef`.
    pub node_class: NodeClassReference,
    /// `spec.expireAfter`.
    pub expire_after: ExpireAfter,
    /// `spec.terminationGracePeriod`.
    pub termination_grace_period: Option<Duration>,
    /// The UIDs of the pods that it is for, sorted (annotation `berth.sh/planned-pods`).
    pub planned_pods: Box<[Name]>,
    /// The price that it was chosen at (annotation `berth.sh/price-per-hour`).
    pub price: Price,
}

/// What the cloud is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchRequest {
    /// The claim that it is for; its UID makes the request idempotent.
    pub claim: ClaimRef,
    /// The claim's NodePool.
    pub pool: Name,
    /// The instance type.
    pub instance_type: Name,
    /// The zone.
    pub zone: Name,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// What it costs in an hour.
    pub price: Price,
    /// What the machine has, as the catalog says.
    pub capacity: Resources,
    /// What pods can have of it.
    pub allocatable: Resources,
    /// The labels that its node carries from its first moment on.
    pub labels: Labels,
    /// The taints that its node keeps. The node itself joins with the taint
    /// `karpenter.sh/unregistered:NoExecute`, and registration adds these.
    pub taints: Box<[Taint]>,
    /// Its startup taints.
    pub startup_taints: Box<[Taint]>,
}

/// A machine, as its cloud knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// What the node will have as `spec.providerID`.
    pub provider_id: Name,
    /// The claim that it was created for.
    pub claim: ClaimRef,
    /// The claim's NodePool.
    pub pool: Name,
    /// The instance type.
    pub instance_type: Name,
    /// The zone.
    pub zone: Name,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// The labels that the cloud settled (type, zone, capacity type, and its own).
    pub labels: Labels,
    /// What the machine has.
    pub capacity: Resources,
    /// What pods can have of it.
    pub allocatable: Resources,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// What registration gives a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The node.
    pub node: NodeRef,
    /// Its claim, which becomes its owner.
    pub claim: ClaimRef,
    /// Labels to be set (`karpenter.sh/registered: "true"` among them).
    pub labels: Labels,
    /// Taints to be added if they are not there: the claim's taints and startup taints.
    pub taints: Box<[Taint]>,
}

/// What a NodePool's status says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// The pool.
    pub pool: Name,
    /// `metadata.generation`, as the conditions' `observedGeneration`.
    pub generation: i64,
    /// The capacity of its nodes and of its claims on the way.
    pub resources: Resources,
    /// How many those are.
    pub nodes: u32,
    /// What is wrong with its spec: then `ValidationSucceeded` and `Ready` are false.
    pub defect: Option<Name>,
    /// Whether its NodeClass can be used: `NodeClassReady`.
    pub node_class_ready: bool,
    /// Whether its last launch led to a node: `NodeRegistrationHealthy`. `None`: nobody knows.
    pub registration_healthy: Option<bool>,
}

/// What is known from the provider about the machine of a claim, since the process started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "few at a time, and short-lived")]
pub enum Observation {
    /// The cloud has it.
    Present(Instance),
    /// The cloud accepted to delete it, and may still have it.
    Terminating,
    /// The cloud has none for this claim (said by the cloud, not guessed).
    Gone,
    /// The cloud refused to create it for lack of capacity.
    OutOfCapacity,
}

impl Effect {
    /// A stable name: logs, metrics and the points where tests stop the process use it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LaunchInstance(_) => "LaunchInstance",
            Self::TerminateInstance { .. } => "TerminateInstance",
            Self::Write(write) => write.name(),
        }
    }

    /// What it acts on, as `kind/name`. Two effects of the same name and subject are the same
    /// work and must not run at the same time.
    pub fn subject(&self) -> String {
        match self {
            Self::LaunchInstance(request) => format!("nodeclaim/{}", request.claim.name),
            Self::TerminateInstance { claim, .. } => format!("nodeclaim/{}", claim.name),
            Self::Write(write) => write.subject(),
        }
    }
}

impl From<Write> for Effect {
    fn from(write: Write) -> Self {
        Self::Write(write)
    }
}

impl Write {
    /// A stable name, as [`Effect::name`].
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreateClaim(_) => "CreateClaim",
            Self::HoldClaim { .. } => "HoldClaim",
            Self::RecordLaunched { .. } => "RecordLaunched",
            Self::RegisterNode(_) => "RegisterNode",
            Self::RecordRegistered { .. } => "RecordRegistered",
            Self::InitializeNode { .. } => "InitializeNode",
            Self::RecordInitialized { .. } => "RecordInitialized",
            Self::RecordPodEvent { .. } => "RecordPodEvent",
            Self::TaintNode { .. } => "TaintNode",
            Self::UntaintNode { .. } => "UntaintNode",
            Self::RecordDisruption { .. } => "RecordDisruption",
            Self::ClearDisruption { .. } => "ClearDisruption",
            Self::RecordCondition { .. } => "RecordCondition",
            Self::ClearCondition { .. } => "ClearCondition",
            Self::DeleteClaim { .. } => "DeleteClaim",
            Self::SetTerminationTime { .. } => "SetTerminationTime",
            Self::ReplacePod { .. } => "ReplacePod",
            Self::EvictPod { .. } => "EvictPod",
            Self::DeletePod { .. } => "DeletePod",
            Self::NominatePod { .. } => "NominatePod",
            Self::RecordDrained { .. } => "RecordDrained",
            Self::RecordDetached { .. } => "RecordDetached",
            Self::RecordTerminating { .. } => "RecordTerminating",
            Self::DeleteNode { .. } => "DeleteNode",
            Self::ReleaseNode { .. } => "ReleaseNode",
            Self::ReleaseClaim { .. } => "ReleaseClaim",
            Self::RecordPoolStatus(_) => "RecordPoolStatus",
            Self::RecordBufferStatus(_) => "RecordBufferStatus",
        }
    }

    /// What it acts on, as [`Effect::subject`].
    pub fn subject(&self) -> String {
        match self {
            Self::CreateClaim(new) => format!("nodeclaim/{}", new.name),
            Self::HoldClaim { claim }
            | Self::RecordLaunched { claim, .. }
            | Self::RecordRegistered { claim, .. }
            | Self::RecordInitialized { claim }
            | Self::RecordPodEvent { claim, .. }
            | Self::RecordDisruption { claim, .. }
            | Self::ClearDisruption { claim }
            | Self::SetTerminationTime { claim, .. }
            | Self::DeleteClaim { claim, .. }
            | Self::RecordDrained { claim }
            | Self::RecordDetached { claim }
            | Self::RecordTerminating { claim }
            | Self::ReleaseClaim { claim } => format!("nodeclaim/{}", claim.name),
            // Two conditions of a claim are two pieces of work.
            Self::RecordCondition { claim, kind, .. } | Self::ClearCondition { claim, kind } => {
                format!("nodeclaim/{}/{kind}", claim.name)
            }
            Self::RegisterNode(registration) => format!("node/{}", registration.node.name),
            Self::InitializeNode { node }
            | Self::TaintNode { node }
            | Self::UntaintNode { node }
            | Self::DeleteNode { node }
            | Self::ReleaseNode { node } => format!("node/{}", node.name),
            Self::ReplacePod { pod, .. }
            | Self::EvictPod { pod, .. }
            | Self::DeletePod { pod, .. }
            | Self::NominatePod { pod, .. } => format!("pod/{}", pod.key),
            Self::RecordPoolStatus(status) => format!("nodepool/{}", status.pool),
            Self::RecordBufferStatus(status) => format!("capacitybuffer/{}", status.buffer),
        }
    }
}
