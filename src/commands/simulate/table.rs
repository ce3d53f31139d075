//! The figures as a table for people.

use std::fmt::Write as _;

use berth_simulations::replay::{Replay, Summary};

use crate::commands::output::table;

const HEADER: [&str; 11] = [
    "policy",
    "cost",
    "over bound",
    "node hours",
    "CPU used",
    "mem. used",
    "wait p50",
    "p99",
    "unplaced",
    "evictions",
    "wall",
];

/// All of it, with a line end.
pub(super) fn text(replay: &Replay, policies: &[Summary]) -> String {
    let mut rows = table(HEADER, 1);
    for one in policies {
        rows.add_row(row(one));
    }
    let demand = &replay.demand;
    let hours = demand.until.since(demand.from).as_secs_f64() / 3_600.0;
    let mut text = format!("{rows}\n");
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{} pods of {} shapes, at most {} at once, {hours:.1} h from {} on, seed {}",
        demand.pods,
        demand.shapes(),
        demand.most_pods,
        demand.from,
        replay.seed,
    );
    text
}

fn row(one: &Summary) -> [String; 11] {
    let over = if one.cost_lower_bound > 0.0 {
        format!("{:.1} %", (one.cost_total / one.cost_lower_bound - 1.0) * 100.0)
    } else {
        "?".to_owned()
    };
    [
        one.policy.clone(),
        format!("{:.2}", one.cost_total),
        over,
        format!("{:.1}", one.node_hours),
        format!("{:.1} %", one.mean_utilization.cpu * 100.0),
        format!("{:.1} %", one.mean_utilization.memory * 100.0),
        format!("{:.1} s", one.pending_seconds.p50),
        format!("{:.1} s", one.pending_seconds.p99),
        one.unplaced.to_string(),
        one.evictions.to_string(),
        format!("{:.1} s", one.wall_seconds.unwrap_or_default()),
    ]
}
