use std::time::Duration;

use berth_solver::model::{CapacityType, Name, Timestamp};

/// A pod of a trace. Times are the trace's own: what 0 is, each reader says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// Its namespace.
    pub namespace: Name,
    /// Its name, unique in its namespace.
    pub name: Name,
    /// What it belongs to: pods of one workload are each other's kind.
    pub workload: Name,
    /// When it came. Before 0: it ran already when the trace began.
    pub submit: Timestamp,
    /// When it found a node; `None`: that is not known, and it counts as at once.
    pub start: Option<Timestamp>,
    /// When it left; `None`: after the end of the trace.
    pub end: Option<Timestamp>,
    /// What it asks for.
    pub shape: TraceShape,
}

impl TraceRecord {
    /// Whether it is there at that moment.
    pub fn is_alive_at(&self, moment: Timestamp) -> bool {
        self.submit <= moment && self.end.is_none_or(|end| moment < end)
    }

    /// How long it was there, if that is known.
    pub fn lifetime(&self) -> Option<Duration> {
        self.end.map(|end| end.since(self.submit))
    }

    /// How long it was on a node, if that is known: a replay has it wait anew.
    pub fn running_time(&self) -> Option<Duration> {
        let start = self.start.map_or(self.submit, |start| start.max(self.submit));
        self.end.map(|end| end.since(start))
    }
}

/// What a pod of a trace asks for, and the rules that it comes with.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceShape {
    /// CPU in thousandths.
    pub cpu_milli: i64,
    /// Memory in mebibytes.
    pub memory_mib: i64,
    /// How many graphics cards.
    pub gpu: i64,
    /// The share of a card in thousandths: 1000 for whole ones, less only where `gpu` is 1; 0
    /// where there is none.
    pub gpu_milli: i64,
    /// Models of cards that will do; none: any.
    pub gpu_models: Vec<Name>,
    /// Disk in mebibytes.
    pub ephemeral_mib: i64,
    /// Its priority.
    pub priority: i32,
    /// Labels that its node must have, sorted by key.
    pub node_selector: Vec<(Name, Name)>,
    /// How many more of its workload one zone may hold than another.
    pub zone_spread: Option<u32>,
    /// How many more of its workload one node may hold than another.
    pub host_spread: Option<u32>,
    /// Whether a node holds at most one of its workload.
    pub host_anti_affinity: bool,
    /// How its node must be bought.
    pub capacity_type: Option<CapacityType>,
    /// How many of its workload a node may hold.
    pub max_per_node: Option<u32>,
    /// Extended resources, sorted by name, none of them zero.
    pub resources: Vec<(Name, i64)>,
}
