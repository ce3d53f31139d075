//! What a policy comes to.

use serde::{Deserialize, Serialize};

/// Half of the pods waited no longer than `p50` seconds, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantities {
    /// The median.
    pub p50: f64,
    /// What one pod in ten exceeds.
    pub p90: f64,
    /// What one pod in a hundred exceeds.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// The share of what was paid for that pods asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Utilization {
    /// Of CPU.
    pub cpu: f64,
    /// Of memory.
    pub memory: f64,
}

/// A policy's replay in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Who decided.
    pub policy: String,
    /// What all nodes cost together, in the catalog's currency.
    pub cost_total: f64,
    /// What the pods that ran cost at least, when they ran.
    pub cost_lower_bound: f64,
    /// Hours of nodes that were paid for.
    pub node_hours: f64,
    /// Hours of pods that were bound to a node.
    pub pod_hours: f64,
    /// How long pods waited to be bound, each time that they did; those that still wait at the
    /// end included.
    pub pending_seconds: Quantities,
    /// Pods that wait at the end.
    pub unplaced: u64,
    /// Pods evicted, each time counted.
    pub evictions: u64,
    /// Nodes asked for.
    pub launches: u64,
    /// Nodes told to go.
    pub removals: u64,
    /// The most nodes at once.
    pub peak_nodes: u64,
    /// How much of what was paid for was used.
    pub mean_utilization: Utilization,
    /// How long the replayed time is.
    pub simulated_seconds: f64,
    /// How long that took here; nothing in files, which are the same each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_seconds: Option<f64>,
    /// Pods that came, were bound and ended, nodes that came and went, looks of the policy.
    pub events: u64,
}
