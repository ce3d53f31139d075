//! Which disruption budgets are closed now: those with a schedule outside their windows.

use std::collections::BTreeSet;

use berth_solver::model::{Name, Snapshot, Timestamp};

use crate::api::is_open;

/// The budgets (pool and index) that have a schedule and whose window is not open.
///
/// A budget whose schedule or duration is missing where the other is given is broken, and never
/// closed: it allows nothing.
pub fn closed_budgets(snapshot: &Snapshot, now: Timestamp) -> BTreeSet<(Name, usize)> {
    let mut closed = BTreeSet::new();
    for pool in snapshot.pools.values() {
        for (index, budget) in pool.budgets.iter().enumerate() {
            if let (Some(schedule), Some(duration)) = (&budget.schedule, budget.duration)
                && !is_open(schedule, duration, now)
            {
                closed.insert((pool.name.clone(), index));
            }
        }
    }
    closed
}
