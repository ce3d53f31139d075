//! What the autoscaler decided: kept in memory for [`crate::explain`], and in files for
//! `berth replay`.
//!
//! ```text
//!  autoscaler --> DecisionJournal --+--> the latest decisions (explain)
//!                                  +--> queue -> a thread -> decisions-*.jsonl.gz
//! ```
//!
//! The files hold [`berth_solver::decisions::Line`]s, one JSON object a line, compressed. Each
//! file begins with the whole cluster and can be read by itself.

mod log;
mod read;

use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_solver::decisions::{Answer, Decision};
use berth_solver::model::Snapshot;

pub use log::{DecisionLog, LineWriter, LogSettings};
pub use read::{Lines, ReadError, files};

/// The latest decisions.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    /// About pending pods.
    pub plan: Option<Arc<Decision>>,
    /// About nodes with pods.
    pub round: Option<Arc<Decision>>,
}

/// Is told what is decided, remembers the latest, and has it written down.
#[derive(Debug, Default)]
pub struct DecisionJournal {
    latest: ArcSwap<Latest>,
    log: Option<DecisionLog>,
}

impl DecisionJournal {
    /// Writes into this log, if there is one.
    pub fn new(log: Option<DecisionLog>) -> Self {
        Self { latest: ArcSwap::default(), log }
    }

    /// The latest decisions.
    pub fn latest(&self) -> Arc<Latest> {
        self.latest.load_full()
    }

    /// Something was decided about that snapshot, though it may be to do nothing. Never waits.
    pub fn record(&self, snapshot: &Arc<Snapshot>, decision: &Arc<Decision>) {
        let mut latest = Latest::clone(&self.latest.load());
        match &decision.answer {
            Answer::Plan(_) => latest.plan = Some(Arc::clone(decision)),
            Answer::Round(_) => latest.round = Some(Arc::clone(decision)),
        }
        self.latest.store(Arc::new(latest));
        if let Some(log) = &self.log {
            log.write(snapshot, decision);
        }
    }
}

#[cfg(test)]
mod tests;
