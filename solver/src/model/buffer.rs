//! Room that is to be kept free.

mod capacity_buffer;
mod template;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, PodKey, PodShape, Target};

pub use capacity_buffer::CapacityBuffer;
pub use template::{Template, TemplateKind, TemplateRef};

/// Room that is to be kept free: a [`CapacityBuffer`] with its template and its number of replicas
/// worked out.
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
    /// How many places; none where it has a defect.
    pub replicas: u32,
    /// `metadata.generation` of the CapacityBuffer.
    pub generation: i64,
    /// The PodTemplate that the shape is of, and its `metadata.generation`.
    pub template: Option<(Name, i64)>,
    /// Why nothing can be kept free for it.
    pub defect: Option<BufferDefect>,
}

impl Buffer {
    /// More places than this of one buffer are not kept.
    pub const MOST_PLACES: u32 = 10_000;

    /// That many places for pods of this shape.
    pub const fn new(key: PodKey, uid: Name, shape: Arc<PodShape>, replicas: u32) -> Self {
        Self { key, uid, shape, replicas, generation: 0, template: None, defect: None }
    }
}

/// Why nothing can be kept free for a CapacityBuffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferDefect {
    /// In one word: the reason of its condition `ReadyForProvisioning`.
    pub reason: BufferDefectReason,
    /// In a sentence, for people.
    pub message: Name,
}

/// Why nothing can be kept free for a CapacityBuffer, in a word. The words are Karpenter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BufferDefectReason {
    /// The PodTemplate that it refers to is not there.
    PodTemplateNotFound,
    /// The workload that it refers to is not there.
    ScalableRefNotFound,
    /// What it says, or what it refers to, makes no sense.
    ResolutionFailed,
}

impl BufferDefectReason {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PodTemplateNotFound => "PodTemplateNotFound",
            Self::ScalableRefNotFound => "ScalableRefNotFound",
            Self::ResolutionFailed => "ResolutionFailed",
        }
    }
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
