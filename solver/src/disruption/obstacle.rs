use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Name, PodKey};

/// A claim that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub claim: Name,
    /// Why.
    pub obstacle: Obstacle,
}

/// Why a node is not removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Obstacle {
    /// It is being deleted already.
    Leaving,
    /// It is not fully up yet.
    NotInitialized,
    /// Its node is not known.
    NoNode,
    /// Its NodePool is not known, or is a static one.
    NotConsolidated,
    /// `consolidateAfter: Never`.
    Never,
    /// The NodePool's policy lets only empty nodes go.
    OnlyEmpty,
    /// `karpenter.sh/do-not-disrupt` on the node.
    DoNotDisrupt,
    /// A pod that came from elsewhere runs on it.
    Occupied(PodKey),
    /// A pod forbids that its node be disrupted (`karpenter.sh/do-not-disrupt`, `safe-to-evict`).
    PodForbids(PodKey),
    /// A PodDisruptionBudget lets none of its pods go now: the pod and the budget.
    PodDisruptionBudget(PodKey, PodKey),
    /// More than one PodDisruptionBudget protects a pod: the eviction API refuses that.
    SeveralBudgets(PodKey),
    /// The eviction API has refused to evict this pod, whatever its budget.
    Quarantined(PodKey),
    /// A pod that no controller would make again.
    Bare(PodKey),
    /// It must stay where another pod is.
    Bound(PodKey),
    /// Nobody knows what a pod asks for, or what its volumes do: which pod, and what is wrong.
    Unclear(PodKey, Name),
    /// So many pods that have no node yet are planned for it.
    Expected(usize),
    /// Its room is kept for that buffer.
    Headroom(PodKey),
    /// Left alone for too short a time: so much is still missing.
    TooSoon(Duration),
    /// What it costs is not known.
    NoPrice,
    /// The pool's budgets allow no more now.
    Budget {
        /// What they allow.
        limit: u32,
    },
    /// Its pods fit neither on other nodes nor on something cheaper.
    NothingCheaper,
    /// To move its pods costs more than it saves.
    TooLittleSaved,
    /// Its removal saves less of the pool's price than it disturbs of its pods (policy
    /// `Balanced`).
    Unbalanced,
    /// It is not empty, and no round of consolidation has looked at it.
    NotLookedAt,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaving => formatter.write_str("it is being deleted already"),
            Self::NotInitialized => formatter.write_str("it is not initialized yet"),
            Self::NoNode => formatter.write_str("its node is not known"),
            Self::NotConsolidated => {
                formatter.write_str("its NodePool is unknown or has a fixed number of nodes")
            }
            Self::Never => formatter.write_str("its NodePool says consolidateAfter: Never"),
            Self::OnlyEmpty => {
                formatter.write_str("its NodePool says consolidationPolicy: WhenEmpty")
            }
            Self::DoNotDisrupt => formatter.write_str("the node says do-not-disrupt"),
            Self::Occupied(pod) => write!(formatter, "pod {pod} runs on it"),
            Self::PodForbids(pod) => write!(formatter, "pod {pod} says do-not-disrupt"),
            Self::PodDisruptionBudget(pod, budget) => {
                write!(formatter, "PodDisruptionBudget {budget} lets pod {pod} not go now")
            }
            Self::SeveralBudgets(pod) => {
                write!(formatter, "more than one PodDisruptionBudget protects pod {pod}")
            }
            Self::Quarantined(pod) => write!(formatter, "pod {pod} cannot be evicted"),
            Self::Bare(pod) => write!(formatter, "nothing would make pod {pod} again"),
            Self::Bound(pod) => write!(formatter, "pod {pod} must be where another pod is"),
            Self::Unclear(pod, why) => write!(formatter, "pod {pod} cannot be planned for: {why}"),
            Self::Expected(pods) => write!(formatter, "{pods} pending pods are planned for it"),
            Self::Headroom(buffer) => write!(formatter, "its room is kept for buffer {buffer}"),
            Self::TooSoon(left) => {
                write!(formatter, "consolidateAfter leaves it {} s more", left.as_secs_f64().ceil())
            }
            Self::NoPrice => formatter.write_str("its price is not known"),
            Self::Budget { limit } => {
                write!(formatter, "the disruption budgets allow {limit} nodes at a time")
            }
            Self::NothingCheaper => {
                formatter.write_str("its pods fit neither on other nodes nor on cheaper new ones")
            }
            Self::TooLittleSaved => formatter.write_str("moving its pods costs more than it saves"),
            Self::Unbalanced => {
                formatter.write_str("its removal saves less than it disturbs (policy Balanced)")
            }
            Self::NotLookedAt => formatter.write_str("it has pods"),
        }
    }
}
