//! What the peers would do: the policies that Berth is compared with.
//!
//! Each is its peer's algorithm, step by step, on Berth's model: [`Policy::Karpenter`] takes one
//! pod at a time and grows claims that keep their feasible types, [`Policy::ClusterAutoscaler`]
//! scales one node group at a time. What a peer decides without certainty is settled here so that
//! the plan holds at its end: a plan of a baseline passes `verify` like any other. Where that
//! departs from the peer, the code says so.

mod bits;
mod cluster_autoscaler;
mod counters;
mod explain;
mod karpenter;
mod outcome;
mod peer;
mod rules;
mod world;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use cluster_autoscaler::{Expander, plan as cluster_autoscaler};
pub use karpenter::consolidation::{
    Command as KarpenterCommand, Consolidated, consolidate as karpenter_consolidation,
    next_command as karpenter_command,
};
pub use peer::{PeerNode, PeerPlan, UnknownName};

use crate::model::{Plan, Snapshot, Timestamp};
use crate::packing::{Settings, Stop};
use crate::planning;

/// Who decides what to launch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Berth's own solver.
    #[default]
    Berth,
    /// Karpenter's provisioning.
    Karpenter,
    /// Cluster Autoscaler's scale-up, with its default expander.
    ClusterAutoscaler,
}

impl Policy {
    /// All policies, Berth first.
    pub const ALL: [Self; 3] = [Self::Berth, Self::Karpenter, Self::ClusterAutoscaler];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Berth => "berth",
            Self::Karpenter => "karpenter",
            Self::ClusterAutoscaler => "cluster-autoscaler",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no policy: expected berth, karpenter or cluster-autoscaler")
        })
    }
}

/// Finds a place for each pending pod as `policy` does. The baselines leave the plan's bound at
/// nothing, and take no notice of what a node costs beyond its offering's price.
///
/// The same inputs give the same plan, byte for byte, unless `stop` cuts the work short.
pub fn plan(
    policy: Policy,
    snapshot: &Snapshot,
    settings: &Settings,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Plan {
    let plan = match policy {
        Policy::Berth => {
            let planned = planning::plan(snapshot, settings, now, seed, stop);
            let rejected = planned.rejected.into_iter().next().map(|(plan, _)| plan);
            planned.plan.or(rejected).unwrap_or_default()
        }
        Policy::Karpenter => karpenter::plan(snapshot, settings, now, seed, stop),
        Policy::ClusterAutoscaler => {
            cluster_autoscaler(snapshot, settings, Expander::default(), now, seed, stop)
        }
    };
    // Whatever a peer goes by, its plan is compared by the same.
    Plan { price_per_node: settings.price_per_node, ..plan }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_named_as_on_the_command_line() {
        for policy in Policy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!("kaprenter".parse::<Policy>().unwrap_err().contains("expected berth, karpenter"));
    }
}
