//! What the autoscaler decided: kept in memory for [`crate::explain`], and in files for
//! `berth replay`.
//!
//! ```text
//!  autoscaler --> DecisionJournal --+--> the latest decisions (explain)
//!                                                +--> queue -> a thread -> decisions-*.jsonl.gz
//! ```
//!
//! The files hold [`berth_solver::decisions::Line`]s, one JSON object a line, compressed. Each
//! file begins with the whole cluster and can be read by itself.

mod log;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_solver::decisions::{Answer, Decision};
use berth_solver::model::{Name, Plan, Snapshot};

pub use log::{DecisionLog, LogSettings};
pub use read::{Lines, ReadError, files};

/// The latest decisions.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    /// About pending pods.
    pub plan: Option<Arc<Decision>>,
    /// About nodes with pods.
    pub round: Option<Arc<Decision>>,
    /// Why each NodeClaim was made, by its name, as far as this process made it and it is there.
    pub launched: BTreeMap<Name, String>,
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
        latest.launched.retain(|claim, _| snapshot.claims.contains_key(claim));
        let plan = match &decision.answer {
            Answer::Plan(plan) => {
                latest.plan = Some(Arc::clone(decision));
                plan.as_deref()
            }
            Answer::Round(round) => {
                latest.round = Some(Arc::clone(decision));
                Some(&round.plan)
            }
        };
        latest.launched.extend(plan.into_iter().flat_map(launched));
        self.latest.store(Arc::new(latest));
        if let Some(log) = &self.log {
            log.write(snapshot, decision);
        }
    }
}

fn launched(plan: &Plan) -> impl Iterator<Item = (Name, String)> {
    plan.launches.iter().map(|launch| (launch.name.clone(), launch.reason.clone()))
}

#[cfg(test)]
mod tests;
