//! Decisions as they are written down, and how they are derived again.
//!
//! A decision is a function of a snapshot, settings, a time, a seed and how much of its time was
//! spent when it asked ([`Pace`]). A [`Line`] of a decision log holds all of these: the snapshot as
//! what has changed since the line before. [`Replay`] reads lines and hands out snapshots,
//! [`Question::answer`] decides again.

mod difference;
mod pace;
mod replay;

use serde::{Deserialize, Serialize};

use crate::disruption::{self, Inputs, Round};
use crate::model::{ClusterEvent, Name, Plan, Snapshot, Timestamp};
use crate::packing::{self, Stop};
use crate::planning;

pub use difference::difference;
pub use pace::{Pace, Paced, Recorded};
pub use replay::{Misplaced, Replay};

/// The version of the format: a reader refuses others.
pub const VERSION: u32 = 1;

/// What was to be decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Which nodes to launch for pending pods, and where the pods go.
    Provision {
        /// What the packer goes by.
        settings: packing::Settings,
    },
    /// Which nodes with pods go: those that have drifted, otherwise those that cost too much.
    Disrupt {
        /// What is known beside the snapshot.
        inputs: Box<Inputs>,
        /// What a round goes by.
        settings: Box<disruption::Settings>,
    },
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A plan for pending pods, if one passed the checker.
    Plan(Option<Box<Plan>>),
    /// A round of disruption. It may do nothing.
    Round(Box<Round>),
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was asked for.
    pub at: Timestamp,
    /// The seed of its random choices.
    pub seed: u64,
    /// What was to be decided.
    pub question: Question,
    /// How its time went by.
    pub pace: Pace,
    /// What was decided.
    pub answer: Answer,
}

/// A line of a decision log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The format: [`VERSION`].
    pub version: u32,
    /// Which version of Berth decided. Another one may decide otherwise.
    pub berth: Name,
    /// Which series of snapshots it was decided on: a daemon has one, a replay of a trace two (what
    /// waits, and everything).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub series: u8,
    /// Whether the changes begin with an empty cluster, as those of a series' first line do.
    pub complete: bool,
    /// The generation of the snapshot that was decided on.
    pub generation: u64,
    /// What makes that snapshot of the last line's of the same series.
    pub changes: Vec<ClusterEvent>,
    /// What was decided.
    pub decision: Decision,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(series: &u8) -> bool {
    *series == 0
}

impl Question {
    /// Decides. The same arguments give the same answer, byte for byte.
    pub fn answer(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
        seed: u64,
        stop: &dyn Stop,
    ) -> Answer {
        match self {
            Self::Provision { settings } => {
                let planned = planning::plan(snapshot, settings, now, seed, stop);
                Answer::Plan(planned.plan.map(Box::new))
            }
            Self::Disrupt { inputs, settings } => Answer::Round(Box::new(disruption::next_round(
                snapshot, inputs, settings, now, seed, stop,
            ))),
        }
    }
}

impl Decision {
    /// Decides again on that snapshot, at the pace at which it was decided then.
    pub fn again(&self, snapshot: &Snapshot) -> Answer {
        self.question.answer(snapshot, self.at, self.seed, &Paced::new(&self.pace))
    }
}

#[cfg(test)]
mod tests;
