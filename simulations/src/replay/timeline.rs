//! What was going on, interval by interval.

use std::collections::BTreeMap;

use berth_solver::model::Name;
use serde::Serialize;

/// An interval of a replay. Rates and numbers are means over it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When it begins, in seconds of the trace.
    pub at_seconds: f64,
    /// How long it is, in seconds.
    pub seconds: f64,
    /// What the nodes cost in an hour.
    pub cost_per_hour: f64,
    /// What the pods that were bound cost at least in an hour.
    pub bound_per_hour: f64,
    /// Nodes that were paid for.
    pub nodes: f64,
    /// Pods that were bound to a node.
    pub pods: f64,
    /// Pods that waited for a node.
    pub pending: f64,
    /// CPUs that bound pods asked for.
    pub cpu_used: f64,
    /// CPUs that pods could have had of the nodes.
    pub cpu: f64,
    /// GiB of memory that bound pods asked for.
    pub memory_used: f64,
    /// GiB of memory that pods could have had of the nodes.
    pub memory: f64,
    /// Nodes asked for.
    pub launches: u64,
    /// Nodes told to go.
    pub removals: u64,
    /// Pods evicted.
    pub evictions: u64,
    /// The longest that a pod had waited that was bound in the interval, in seconds.
    pub longest_wait: f64,
    /// Nodes by instance type.
    #[serde(skip)]
    pub types: BTreeMap<Name, f64>,
}

impl Moment {
    /// The header of the table `timeline.csv`.
    pub const HEADER: &str = "at_seconds,seconds,cost_per_hour,bound_per_hour,nodes,pods,pending,\
                              cpu_used,cpu,memory_used_gib,memory_gib,launches,removals,\
                              evictions,longest_wait_seconds";

    /// A row of that table.
    pub fn row(&self) -> String {
        format!(
            "{:.3},{:.3},{:.6},{:.6},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{},{},{},{:.3}",
            self.at_seconds,
            self.seconds,
            self.cost_per_hour,
            self.bound_per_hour,
            self.nodes,
            self.pods,
            self.pending,
            self.cpu_used,
            self.cpu,
            self.memory_used,
            self.memory,
            self.launches,
            self.removals,
            self.evictions,
            self.longest_wait,
        )
    }
}
