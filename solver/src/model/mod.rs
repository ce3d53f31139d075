//! The words of the problem: what a cluster is made of, reduced to what decisions need.
//!
//! Kubernetes objects are reduced to these records when they arrive (see the daemon's `watch`
//! module) and dropped. Strings are shared ([`Name`]), resources are integers ([`Resources`]),
//! prices are integers too ([`Price`]). A [`ClusterState`] is the one mutable picture and has one
//! writer; a [`Snapshot`] of it is immutable and cheap to take.

mod buffer;
mod claim;
mod cluster;
mod labels;
mod name;
mod node;
mod offering;
mod plan;
mod pod;
mod pool;
mod price;
mod requirements;
mod resources;
mod time;
mod volume;
pub mod well_known;

pub use buffer::{
    Buffer, BufferDefect, BufferDefectReason, CapacityBuffer, Headroom, Template, TemplateKind,
    TemplateRef,
};
pub use claim::{Condition, ConditionStatus, NodeClaim};
pub use cluster::{Change, ClusterEvent, ClusterState, NodeFigures, NodeState, Resident, Snapshot};
pub use labels::{LabelSelector, Labels, SelectorOperator, SelectorRequirement};
pub use name::Name;
pub use node::{Node, Taint, TaintEffect};
pub use offering::{CapacityType, Catalog, InstanceType, Offering};
pub use plan::{Launch, Method, Placement, Plan, Removal, RemovalReason, Target, Unschedulable};
pub use pod::{
    DaemonSet, DoNotDisrupt, HostPort, NodeInclusion, Owner, Pod, PodAffinityTerm,
    PodDisruptionBudget, PodKey, PodPhase, PodShape, Protocol, Toleration, TolerationOperator,
    TopologySpread, Weighted, WhenUnsatisfiable,
};
pub use pool::{
    ConsolidateAfter, ConsolidationPolicy, DisruptionBudget, DisruptionReason, ExpireAfter, Limits,
    NodeClassReference, NodePool, NodesLimit,
};
pub use price::{InvalidPrice, Price};
pub use requirements::{Operator, Requirements, ValueSet};
pub use resources::{Bytes, MilliCpu, Resources};
pub use time::Timestamp;
pub use volume::{CsiNode, StorageClass, Volume, VolumeAttachment, VolumeBinding, VolumeClaim};
