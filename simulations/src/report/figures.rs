//! The table of the policies side by side: a figure a row, a policy a column.

use serde::Serialize;

use super::{Told, words};
use crate::replay::Summary;

/// One figure of every policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    name: &'static str,
    /// What the figure is called in `summary.json`.
    key: &'static str,
    cells: Vec<Cell>,
}

/// One figure of one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Cell {
    policy: String,
    text: String,
    /// Whether no policy has a better one, and some have a worse one.
    best: bool,
}

/// Which of two figures is better.
#[derive(Clone, Copy)]
enum Better {
    Less,
    More,
    /// Neither.
    Equal,
}

/// How a figure is found and told.
struct Figure {
    name: &'static str,
    key: &'static str,
    of: fn(&Summary) -> f64,
    text: fn(&Summary) -> String,
    better: Better,
}

const fn figure(
    name: &'static str,
    key: &'static str,
    better: Better,
    of: fn(&Summary) -> f64,
    text: fn(&Summary) -> String,
) -> Figure {
    Figure { name, key, of, text, better }
}

fn money(value: f64) -> String {
    format!("{value:.2}")
}

fn one(value: f64) -> String {
    format!("{value:.1}")
}

fn seconds(value: f64) -> String {
    format!("{value:.1} s")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "only compared")]
const fn count(value: u64) -> f64 {
    value as f64
}

const FIGURES: [Figure; 16] = {
    use Better::{Equal, Less, More};
    [
        figure("cost", "costTotal", Less, |s| s.cost_total, |s| money(s.cost_total)),
        figure(
            "lower bound",
            "costLowerBound",
            Equal,
            |s| s.cost_lower_bound,
            |s| money(s.cost_lower_bound),
        ),
        figure(
            "over the bound",
            "overBound",
            Less,
            |s| s.cost_total / s.cost_lower_bound,
            words::over_bound,
        ),
        figure("node hours", "nodeHours", Equal, |s| s.node_hours, |s| one(s.node_hours)),
        figure("pod hours", "podHours", Equal, |s| s.pod_hours, |s| one(s.pod_hours)),
        figure(
            "CPU used",
            "meanUtilization.cpu",
            More,
            |s| s.mean_utilization.cpu,
            |s| percent(s.mean_utilization.cpu),
        ),
        figure(
            "memory used",
            "meanUtilization.memory",
            More,
            |s| s.mean_utilization.memory,
            |s| percent(s.mean_utilization.memory),
        ),
        figure(
            "wait, half of the pods",
            "pendingSeconds.p50",
            Less,
            |s| s.pending_seconds.p50,
            |s| seconds(s.pending_seconds.p50),
        ),
        figure(
            "wait, 90 %",
            "pendingSeconds.p90",
            Less,
            |s| s.pending_seconds.p90,
            |s| seconds(s.pending_seconds.p90),
        ),
        figure(
            "wait, 99 %",
            "pendingSeconds.p99",
            Less,
            |s| s.pending_seconds.p99,
            |s| seconds(s.pending_seconds.p99),
        ),
        figure(
            "longest wait",
            "pendingSeconds.max",
            Less,
            |s| s.pending_seconds.max,
            |s| seconds(s.pending_seconds.max),
        ),
        figure("unplaced", "unplaced", Less, |s| count(s.unplaced), |s| s.unplaced.to_string()),
        figure("evictions", "evictions", Less, |s| count(s.evictions), |s| s.evictions.to_string()),
        figure("launches", "launches", Equal, |s| count(s.launches), |s| s.launches.to_string()),
        figure("removals", "removals", Equal, |s| count(s.removals), |s| s.removals.to_string()),
        figure(
            "most nodes",
            "peakNodes",
            Equal,
            |s| count(s.peak_nodes),
            |s| s.peak_nodes.to_string(),
        ),
    ]
};

/// All of it.
pub(super) fn rows(policies: &[Told]) -> Vec<Row> {
    FIGURES.iter().map(|figure| row(figure, policies)).collect()
}

fn row(figure: &Figure, policies: &[Told]) -> Row {
    // As they are read: what looks equal is not told apart.
    let worst_first = |told: &Told| {
        let value = (figure.of)(&told.summary);
        match figure.better {
            Better::Less => -value,
            Better::More => value,
            Better::Equal => 0.0,
        }
    };
    let text = |told: &Told| (figure.text)(&told.summary);
    let best = policies.iter().max_by(|one, other| worst_first(one).total_cmp(&worst_first(other)));
    let best = best.map(text).unwrap_or_default();
    let differ = policies.iter().any(|told| text(told) != best);
    let compared = differ && !matches!(figure.better, Better::Equal);
    let cell = |told: &Told| Cell {
        policy: told.summary.policy.clone(),
        best: compared && text(told) == best,
        text: text(told),
    };
    Row { name: figure.name, key: figure.key, cells: policies.iter().map(cell).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policy: &str, cost: f64, cpu: f64, launches: u64) -> Told {
        let mut summary =
            Summary { policy: policy.to_owned(), cost_total: cost, launches, ..Summary::default() };
        summary.mean_utilization.cpu = cpu;
        Told { summary, moments: Vec::new() }
    }

    #[test]
    fn the_best_is_marked_where_there_is_a_better_and_a_worse() {
        let rows =
            rows(&[told("a", 2.0, 0.5, 3), told("b", 1.999, 0.6, 4), told("c", 3.0, 0.4, 5)]);
        let best = |key: &str| -> Vec<&str> {
            let row = rows.iter().find(|row| row.key == key).unwrap();
            row.cells.iter().filter(|cell| cell.best).map(|cell| cell.policy.as_str()).collect()
        };
        // 1.999 reads as 2.00, too.
        assert_eq!(best("costTotal"), ["a", "b"]);
        assert_eq!(best("meanUtilization.cpu"), ["b"]);
        for same in ["evictions", "launches", "nodeHours"] {
            assert_eq!(best(same), [""; 0], "{same}");
        }
    }
}
