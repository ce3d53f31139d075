//! Everything Berth decides, as pure functions.
//!
//! No I/O, no clock, no Kubernetes client: a decision is a function of a [`model::Snapshot`],
//! settings, a time and a seed, and the same inputs give the same decision, byte for byte.
//!
//! * [`decisions`]: decisions as they are written down, and how they are derived again
//! * [`disruption`]: what to remove
//! * [`lifecycle`]: what happens to a NodeClaim next
//! * [`model`]: the words of the problem (resources, pods, nodes, offerings, pools, the snapshot, the plan)
//! * [`verify`]: an independent checker that every plan must pass
//! * `testing` (feature `testing`): builders of all of these for tests
//! * [`constraints`]: what keeps a pod off a node, one rule a file
//! * [`packing`]: what to launch, and where pending pods go
//! * [`baselines`]: what Karpenter and Cluster Autoscaler would launch
//! * [`placement`]: where kube-scheduler should put a pod

pub mod baselines;
pub mod constraints;
pub mod decisions;
pub mod disruption;
pub mod lifecycle;
pub mod model;
pub mod packing;
pub mod placement;
pub mod planning;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod verify;
