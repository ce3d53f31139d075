//! Makes a plan, and has it checked before anybody follows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_solver::model::{Plan, Snapshot, Timestamp};
use berth_solver::packing;
use berth_solver::verify::{Violation, verify};

/// A plan, or what came instead.
#[derive(Debug)]
pub(super) struct Planned {
    /// What it was made from.
    pub(super) snapshot: Arc<Snapshot>,
    /// The plan, if one passed the checker.
    pub(super) plan: Option<Plan>,
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
    let spent = packing::Budget(|| started.elapsed().as_secs_f64() / budget.as_secs_f64());
    let greedy = packing::Settings { column_rounds: 0, search_rounds: 0, ..settings.clone() };
    let simpler =
        [settings.clone(), greedy.clone(), packing::Settings { keep_claims: false, ..greedy }];
    let mut rejected = Vec::new();
    for settings in simpler {
        let plan = packing::plan(&snapshot, &settings, now, seed, &spent);
        let violations = verify(&snapshot, &settings.scheduler_names, &plan);
        if violations.is_empty() {
            let took = started.elapsed();
            return Planned { snapshot, plan: Some(plan), rejected, took };
        }
        rejected.push((plan, violations));
    }
    // Whoever can be placed is not to wait for those who cannot.
    let last = rejected.last().map(|(plan, _)| plan);
    let plan = last.and_then(|plan| packing::repaired(&snapshot, settings, plan));
    Planned { snapshot, plan, rejected, took: started.elapsed() }
}
