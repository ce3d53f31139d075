//! What was measured, for people and for machines.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::machine::{commit, machine};
use crate::picture;

/// The key, its heading, and how many digits follow the point.
const COLUMNS: [(&str, &str, usize); 12] = [
    ("allRunningSeconds", "all run after, s", 1),
    ("settledSeconds", "settled after, s", 0),
    ("nodes", "nodes then", 0),
    ("pricePerHour", "price an hour then", 3),
    ("cost", "cost of the phase", 3),
    ("waitingSeconds", "pods waited, s", 0),
    ("evictions", "evictions", 0),
    ("cpuPercent", "CPU asked, %", 0),
    ("memoryPercent", "memory asked, %", 0),
    ("processorSeconds", "its CPU, s", 1),
    ("peakMebibytes", "its peak, MiB", 0),
    ("requests", "its API calls", 0),
];

#[derive(Default)]
pub struct Report {
    /// One a suite, phase, controller and run.
    pub rows: Vec<Value>,
}

impl Report {
    /// Writes `target/bench/peers-online.md` and `.json`, and a picture a suite.
    pub fn write(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder).expect("a folder");
        let machine = machine();
        let mut text = format!(
            "# Karpenter 1.14.1 and Berth on a real control plane\n\n{machine}, which etcd, \
             kube-apiserver, kube-controller-manager, kube-scheduler, kwok and the controller \
             share. Medians of the runs. Settled: after the last change of a node; then come 90 \
             seconds without one (NaN: not within ten minutes; the figures are those of then). \
             Memory is the most since the start.\n\n"
        );
        let headings: Vec<&str> = COLUMNS.iter().map(|(_, heading, _)| *heading).collect();
        let _ =
            writeln!(text, "| suite | small + large pods | | runs | {} |", headings.join(" | "));
        let _ = writeln!(text, "|---|---|---|---|{}", "---|".repeat(COLUMNS.len()));
        let mut seen = BTreeSet::new();
        for row in &self.rows {
            let name = |row: &Value| {
                ["suite", "phase", "controller"]
                    .map(|key| row[key].as_str().unwrap_or_default().to_owned())
            };
            if !seen.insert(name(row)) {
                continue;
            }
            let runs: Vec<&Value> =
                self.rows.iter().filter(|other| name(other) == name(row)).collect();
            let cells: Vec<String> = COLUMNS
                .iter()
                .map(|(key, _, digits)| format!("{:.*}", digits, median(&runs, key)))
                .collect();
            let (names, cells) = (name(row).join(" | "), cells.join(" | "));
            let _ = writeln!(text, "| {names} | {} | {cells} |", runs.len());
        }
        println!("{text}");
        std::fs::write(folder.join("peers-online.md"), text).expect("peers-online.md");
        let all = json!({ "machine": machine, "commit": commit(), "rows": self.rows });
        let text = serde_json::to_string_pretty(&all).expect("JSON");
        std::fs::write(folder.join("peers-online.json"), text).expect("peers-online.json");
        self.draw(&folder);
    }

    fn draw(&self, folder: &Path) {
        let of = |row: &Value| row["suite"].as_str().unwrap_or_default().to_owned();
        let suites: BTreeSet<String> = self.rows.iter().map(of).collect();
        for suite in suites {
            let rows: Vec<&Value> = self.rows.iter().filter(|row| of(row) == suite).collect();
            let picture = picture::price(&suite, &rows).expect("a picture");
            let file = folder.join(format!("peers-online-{}.svg", suite.replace(' ', "-")));
            std::fs::write(file, picture).expect("a picture");
        }
    }
}

fn median(runs: &[&Value], key: &str) -> f64 {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| run[key].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
