//! The Kubernetes resources that Berth works with: NodePool and NodeClaim of `karpenter.sh/v1`,
//! so that the YAML of Karpenter's users goes on working, CapacityBuffer, the node classes of Exoscale
//! and kwok, and the kinds and providers of claims.
//!
//! Enumerated values (operators, taint effects, policies) are plain strings here: the schema
//! allows only the known ones, but an object that got past an older schema must still decode, so
//! that what is wrong with it can be said. The module `watch` reduces these types to the model.

mod capacity_buffer;
mod claims;
mod common;
pub mod conditions;
mod crds;
mod duration;
mod exoscale;
mod hash;
mod kwok;
mod nodeclaim;
mod nodepool;
mod schedule;
mod validation;

pub use capacity_buffer::{
    ACTIVE_CAPACITY, CapacityBuffer, CapacityBufferSpec, CapacityBufferStatus, LocalReference,
    ScalableReference,
};
pub use claims::{
    Adoptable, ClaimDefinition, ClaimDefinitionSpec, ClaimDefinitionStatus, ClaimNames,
    ClaimParameter, ClaimProvider, ClaimProviderSpec, ClaimSize, ClaimStatus, MachineSettings,
    NamespaceQuota, NamespaceSelection, PostgresqlSettings, SecretReference, SizeMapping,
};
pub use common::{Condition, NodeClassReference, Quantity, Requirement, Taint};
pub(crate) use crds::drop_nullable;
pub use crds::{CrdFile, crd_value, crds};
pub use duration::{InvalidDuration, NEVER, format_duration, parse_duration, parse_never};
pub use exoscale::{
    CONFIGURATION_HASH_ANNOTATION, ContainerRegistry, ExoscaleNodeClass, ExoscaleNodeClassSpec,
    ExoscaleNodeClassStatus, ImageTemplateSelector, KubeReserved, Kubelet, Mirror, MirrorEndpoint,
    NODE_CLASS_FINALIZER, RegistryCredential, SecretKey, SelectorTerm, SystemReserved,
};
pub(crate) use hash::fnv1a;
pub use hash::{HASH_VERSION, template_hash};
pub use kwok::{KwokNodeClass, KwokNodeClassSpec, KwokNodeClassStatus};
pub use nodeclaim::{NodeClaim, NodeClaimSpec, NodeClaimStatus, ResourceRequirements};
pub use nodepool::{
    Budget, Disruption, NodeClaimTemplate, NodeClaimTemplateSpec, NodePool, NodePoolSpec,
    NodePoolStatus, TemplateMetadata,
};
pub use schedule::{InvalidSchedule, is_open, parse_schedule};
