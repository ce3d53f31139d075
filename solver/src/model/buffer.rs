use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, PodKey, PodShape, Target};

/// Room that is to be kept free: a CapacityBuffer (`autoscaling.x-k8s.io/v1beta1`) with its
/// template and its number of replicas worked out by whoever feeds it.
///
/// The planner treats it as that many pods of the lowest priority: it keeps a place for each,
/// launches nodes for them, and nothing is ever bound there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// Namespace and name.
    pub key: PodKey,
    /// `metadata.uid`.
    pub uid: Name,
    /// What one of its places is for.
    pub shape: Arc<PodShape>,
    /// How many places.
    pub replicas: u32,
}

/// Places of a buffer on one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Headroom {
    /// The buffer.
    pub buffer: PodKey,
    /// The node that they are on, there or to be launched; `None` for those that no place was
    /// found for.
    pub target: Option<Target>,
    /// How many.
    pub places: u32,
    /// Why there is no place, for people; empty where there is one.
    pub reason: String,
}
