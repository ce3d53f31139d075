use std::fmt;

use anyhow::anyhow;
use berth_solver::model::{Plan, Snapshot, Timestamp};
use berth_solver::packing::{self, Settings, Stop};
use clap::ValueEnum;

use crate::commands::Failure;

/// Who plans (`--policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Policy {
    /// Berth
    Berth,
    /// As Karpenter does
    Karpenter,
    /// As Cluster Autoscaler does
    ClusterAutoscaler,
}

impl Policy {
    /// The policies that this build has to compare with.
    pub(super) const fn baselines() -> [Self; 0] {
        []
    }

    /// Has it plan.
    pub(super) fn plan(
        self,
        snapshot: &Snapshot,
        settings: &Settings,
        now: Timestamp,
        seed: u64,
        stop: &dyn Stop,
    ) -> Result<Plan, Failure> {
        match self {
            Self::Berth => Ok(packing::plan(snapshot, settings, now, seed, stop)),
            Self::Karpenter | Self::ClusterAutoscaler => {
                let message =
                    anyhow!("--policy {self}: this build does not have it: expected berth");
                Err(Failure::BadInput(message))
            }
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Berth => "berth",
            Self::Karpenter => "karpenter",
            Self::ClusterAutoscaler => "cluster-autoscaler",
        })
    }
}
