//! Makes a plan, and has it checked before anybody follows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_solver::decisions::{Pace, Recorded};
use berth_solver::model::{Plan, Snapshot, Timestamp};
use berth_solver::packing;
use berth_solver::planning;
use berth_solver::verify::Violation;

/// A plan, or what came instead.
#[derive(Debug)]
pub(super) struct Planned {
    /// What it was made from.
    pub(super) snapshot: Arc<Snapshot>,
    /// When it was asked for.
    pub(super) at: Timestamp,
    /// The plan, if one passed the checker.
    pub(super) plan: Option<Plan>,
    /// How its time went by.
    pub(super) pace: Pace,
    /// Plans that did not pass, and what is wrong with them.
    pub(super) rejected: Vec<(Plan, Vec<Violation>)>,
    /// How long it all took.
    pub(super) took: Duration,
}

/// Makes a plan within about `budget`. If the checker finds a fault in it, the next simpler method
/// is tried.
pub(super) fn plan(
    snapshot: Arc<Snapshot>,
    settings: &packing::Settings,
    now: Timestamp,
    seed: u64,
    budget: Duration,
) -> Planned {
    let started = Instant::now();
    let budget = budget.max(Duration::from_millis(1));
    let spent = Recorded::new(|| started.elapsed().as_secs_f64() / budget.as_secs_f64());
    let planning::Planned { plan, rejected } =
        planning::plan(&snapshot, settings, now, seed, &spent);
    let pace = spent.into_pace();
    Planned { snapshot, at: now, plan, pace, rejected, took: started.elapsed() }
}
