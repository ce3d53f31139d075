//! What was measured, for people and for machines.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cases::SEED;
use crate::machine::{commit, machine};
use crate::measure::Row;

/// Writes `target/bench/solver.md` and `solver.json`.
pub fn write(rows: &[Row], longest: Duration) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&folder).expect("target/bench");
    let text = format!(
        "# Plans after how long\n\n{}, one processor used, seed {SEED}.\n\n{}\n{}",
        machine(),
        quality(rows, longest),
        speed(rows)
    );
    println!("{text}");
    std::fs::write(folder.join("solver.md"), text).expect("solver.md");
    let all = json!({
        "machine": machine(), "commit": commit(), "seed": SEED,
        "longestSeconds": longest.as_secs_f64(), "rows": rows,
    });
    let text = serde_json::to_string_pretty(&all).expect("JSON");
    std::fs::write(folder.join("solver.json"), text).expect("solver.json");
}

fn quality(rows: &[Row], longest: Duration) -> String {
    let head = [
        "catalog".to_owned(),
        "types".to_owned(),
        "workload".to_owned(),
        "pods".to_owned(),
        "gap first".to_owned(),
        "10 ms".to_owned(),
        "100 ms".to_owned(),
        format!("{} s", longest.as_secs_f64()),
        "1 % after, ms".to_owned(),
        "price".to_owned(),
        "bound".to_owned(),
        "karpenter".to_owned(),
        "cluster-autoscaler".to_owned(),
    ];
    let cells = rows.iter().map(|row| {
        let gap = |gap: f64| format!("{gap:.2}");
        let price = |price: f64| format!("{price:.3}");
        [
            row.catalog.clone(),
            row.types.to_owned(),
            row.workload.to_owned(),
            row.pods.to_string(),
            gap(row.gap_first),
            gap(row.gap_10_ms),
            gap(row.gap_100_ms),
            gap(row.gap_1_s),
            or_dash(row.one_percent_after_ms.map(|after| format!("{after:.0}"))),
            price(row.price),
            price(row.lower_bound),
            or_dash(row.karpenter.map(|peer| price(peer.price))),
            or_dash(row.cluster_autoscaler.map(|peer| price(peer.price))),
        ]
    });
    format!(
        "## How good\n\nGaps in % to the best bound that was proven in this run; of three plans of \
         10 and 100 ms the one in the middle. Types: any that the catalog has, or those of NodePools \
         that people have (the families that guides name). The peers are the policies of this solver, \
         not the programs; they may leave pods out (`solver.json` says how many).\n\n{}",
        table(head, cells)
    )
}

fn speed(rows: &[Row]) -> String {
    let head = [
        "catalog",
        "types",
        "workload",
        "pods",
        "kinds",
        "first plan, ms",
        "pods a second",
        "policy karpenter",
        "times as many",
        "overrun at most, ms",
        "memory at most, MiB",
    ];
    let cells = rows.iter().map(|row| {
        let peer = row.karpenter.map(|peer| peer.pods_per_second);
        [
            row.catalog.clone(),
            row.types.to_owned(),
            row.workload.to_owned(),
            row.pods.to_string(),
            row.shapes.to_string(),
            format!("{:.2}", row.first_plan_ms),
            format!("{:.0}", row.pods_per_second),
            or_dash(peer.map(|peer| format!("{peer:.0}"))),
            or_dash(peer.map(|peer| format!("{:.0}", row.pods_per_second / peer))),
            format!("{:.1}", row.overrun_ms),
            or_dash(row.peak_rss_mib.map(|peak| format!("{peak:.0}"))),
        ]
    });
    format!(
        "## How fast\n\nFirst plans, which nothing improves: medians of criterion's samples. By how \
         much plans of 100 ms and of a second took longer than that. Memory is the bench's own, pods \
         and catalog included.\n\n{}",
        table(head.map(str::to_owned), cells)
    )
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn table<const N: usize>(head: [String; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(N));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
