//! What was measured, for people and for machines.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::machine::{commit, machine};

#[derive(Default)]
pub struct Report {
    pub throughput: Vec<Value>,
    pub quality: Vec<Value>,
}
/// A table with these columns: the key, its heading and how many digits follow the point.
fn table(rows: &[Value], columns: &[(&str, &str, usize)]) -> String {
    let headings: Vec<&str> = columns.iter().map(|(_, heading, _)| *heading).collect();
    let mut table = format!("| {} |\n|{}\n", headings.join(" | "), "---|".repeat(columns.len()));
    for row in rows {
        let cell = |(key, _, digits): &(&str, &str, usize)| match &row[*key] {
            Value::Number(number) => format!("{:.*}", digits, number.as_f64().unwrap_or_default()),
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

impl Report {
    /// Writes `target/bench/extender-online.md` and `.json`.
    pub fn write(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder).expect("a folder");
        let (machine, commit) = (machine(), commit().unwrap_or_default());
        let mut text = format!(
            "# The real kube-scheduler with Berth\n\n{machine}, commit {commit}. etcd, \
             kube-apiserver, kube-controller-manager, kube-scheduler, kwok and Berth share the \
             machine; others is what processes beside the bench and them, and they, took of it.\n"
        );
        if !self.throughput.is_empty() {
            let columns = [
                ("nodes", "nodes", 0),
                ("setting", "setting", 0),
                ("percentageOfNodesToScore", "percentageOfNodesToScore", 0),
                ("schedulerPodsPerSecond", "pods/s", 0),
                ("ratioToPlain", "of plain", 2),
                ("algorithmMs", "choice, ms", 2),
                ("filterCalls", "filter calls", 0),
                ("filterMs", "filter, ms", 3),
                ("prioritizeCalls", "prioritize calls", 0),
                ("landedPercent", "landed as planned, %", 1),
            ];
            let _ = write!(text, "\n## Pods a second\n\n{}", table(&self.throughput, &columns));
        }
        if !self.quality.is_empty() {
            let columns = [
                ("scheduler", "scheduler", 0),
                ("pods", "pods", 0),
                ("seconds", "seconds", 0),
                ("meanNodes", "mean nodes", 1),
                ("peakNodes", "peak nodes", 0),
                ("launches", "launches", 0),
                ("pricePerHour", "mean price per hour", 3),
                ("pendingPods", "mean pending pods", 1),
                ("plannedPods", "planned pods bound", 0),
                ("landedPercent", "landed as planned, %", 2),
            ];
            let _ = write!(text, "\n## The same churn\n\n{}", table(&self.quality, &columns));
        }
        println!("{text}");
        let rows: Vec<&Value> = self.throughput.iter().chain(&self.quality).collect();
        let all = json!({ "machine": machine, "commit": commit, "seed": 1, "rows": rows });
        std::fs::write(folder.join("extender-online.md"), text).expect("a file");
        std::fs::write(folder.join("extender-online.json"), format!("{all:#}\n")).expect("a file");
    }
}
