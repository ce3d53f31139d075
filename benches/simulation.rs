//! What policies come to on the shared traces and catalogs, and how fast a replay is.
//!
//! Traces and catalogs are looked for in `../shared/data` beside the repository, or in the folder
//! that `BERTH_DATA` names; what is not there is left out. Writes `target/bench/simulation.md` and
//! `simulation.json`. `BERTH_BENCH_POLICIES` names other policies than all, separated by commas,
//! `BERTH_BENCH_TRACE` a part of the names of the cases to run.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

#[path = "shared/data.rs"]
mod data;
#[path = "shared/machine.rs"]
mod machine;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use berth::catalog;
use berth_simulations::replay::{
    Content, Moment, PolicyName, Replay, ReplaySettings, Sink, Source, Summary, Window,
};
use berth_simulations::trace::Format;
use berth_solver::model::Timestamp;
use data::data;
use serde_json::{Value, json};

const SEED: u64 = 1;
const HOUR: i64 = 3_600;

/// A part of a trace on a catalog.
struct Case {
    name: &'static str,
    trace: &'static str,
    catalog: &'static str,
    /// From and to, in hours.
    window: Option<(i64, i64)>,
    /// The share of the tenants' batches.
    sample: Option<f64>,
}

const CASES: [Case; 5] = [
    Case {
        name: "azure-v1, 3.5 days",
        trace: "azure-v1/v1.dev.txt",
        catalog: "aws-us-east-1",
        window: None,
        sample: None,
    },
    Case {
        name: "azure-v1, a day, a quarter",
        trace: "azure-v1/v1.dev.txt",
        catalog: "aws-us-east-1",
        window: Some((48, 72)),
        sample: Some(0.25),
    },
    Case {
        name: "azure-v1, first 12 h",
        trace: "azure-v1/v1.dev.txt",
        catalog: "gcp-us-central1",
        window: Some((0, 12)),
        sample: None,
    },
    Case {
        name: "azure-v1, first 12 h",
        trace: "azure-v1/v1.dev.txt",
        catalog: "exoscale-ch-gva-2",
        window: Some((0, 12)),
        sample: None,
    },
    Case {
        name: "openb, days 125 to 130",
        trace: "openb/openb_pod_list_default.csv",
        catalog: "gcp-us-central1",
        window: Some((125 * 24, 130 * 24)),
        sample: None,
    },
];

/// Hears how long the policy takes.
#[derive(Default)]
struct StopWatch {
    began: Option<Instant>,
    deciding: Duration,
}

impl Sink for StopWatch {
    fn moment(&mut self, _: &Moment) {}
    fn decision(&mut self, _: &str) {}
    fn progress(&mut self, _: f64) {}

    fn look_begins(&mut self) {
        self.began = Some(Instant::now());
    }

    fn look_ends(&mut self) {
        self.deciding += self.began.take().map(|began| began.elapsed()).unwrap_or_default();
    }
}

fn main() {
    let named = std::env::var("BERTH_BENCH_POLICIES").unwrap_or_default();
    let policies: Vec<PolicyName> = if named.is_empty() {
        PolicyName::ALL.to_vec()
    } else {
        named.split(',').map(|name| name.trim().parse().expect("a policy")).collect()
    };
    let mut rows: Vec<Value> = Vec::new();
    let wanted = std::env::var("BERTH_BENCH_TRACE").unwrap_or_default();
    for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
        let Some(replay) = prepare(case) else {
            println!("skipped: {} or {} is not in the data folder", case.trace, case.catalog);
            continue;
        };
        for policy in &policies {
            let mut watch = StopWatch::default();
            let started = Instant::now();
            let replayed = replay.run(*policy, &mut watch).expect("a trace that is read before");
            let wall = started.elapsed().as_secs_f64();
            let summary = Summary { wall_seconds: Some(wall), ..replayed.summary };
            println!(
                "{}, {}, {policy}: {:.2} (bound {:.2}) in {wall:.1} s",
                case.name, case.catalog, summary.cost_total, summary.cost_lower_bound
            );
            let mut row = serde_json::to_value(&summary).expect("figures");
            row["trace"] = json!(case.name);
            row["catalog"] = json!(case.catalog);
            row["decidingSeconds"] = json!(watch.deciding.as_secs_f64());
            rows.push(row);
        }
    }
    write(&rows);
}

fn prepare(case: &Case) -> Option<Replay> {
    let path = data().join("traces").join(case.trace);
    let catalog = data().join("catalogs").join(format!("{}.csv", case.catalog));
    if !path.exists() || !catalog.exists() {
        return None;
    }
    let format = Format::recognise(&path).expect("a trace");
    let at = |hours: i64| Timestamp::from_seconds(hours * HOUR);
    let window = Window {
        from: case.window.map(|(from, _)| at(from)),
        to: case.window.map(|(_, to)| at(to)),
        sample: case.sample,
    };
    let source = Source { path, content: Content::File(format), window, seed: SEED };
    let catalog = catalog::read(&catalog).expect("a catalog");
    Some(Replay::prepare(source, catalog, ReplaySettings::default(), SEED).expect("a trace"))
}

fn write(rows: &[Value]) {
    let mut text = String::from(
        "| trace | catalog | policy | cost | over the bound | CPU used | wait p50 / p99, s | \
         unplaced | evictions | nodes at most | wall, s | \
         deciding, s | other events/s |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        let number = |pointer: &str| row.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
        let (cost, bound) = (number("/costTotal"), number("/costLowerBound"));
        let over = if bound > 0.0 { (cost / bound - 1.0) * 100.0 } else { 0.0 };
        let (wall, deciding) = (number("/wallSeconds"), number("/decidingSeconds"));
        writeln!(
            text,
            "| {} | {} | {} | {cost:.0} | {over:.1} % | {:.1} % | {:.0} / {:.0} | {} | {} | {} | \
             {wall:.1} | {deciding:.1} | {:.0} |",
            row["trace"].as_str().unwrap_or(""),
            row["catalog"].as_str().unwrap_or(""),
            row["policy"].as_str().unwrap_or(""),
            number("/meanUtilization/cpu") * 100.0,
            number("/pendingSeconds/p50"),
            number("/pendingSeconds/p99"),
            row["unplaced"],
            row["evictions"],
            row["peakNodes"],
            number("/events") / (wall - deciding).max(1e-9),
        )
        .expect("text");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&folder).expect("target/bench");
    let commit = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let document = json!({
        "machine": machine::machine(),
        "commit": commit.unwrap_or_default(),
        "seed": SEED,
        "rows": rows,
    });
    let document = serde_json::to_string_pretty(&document).expect("figures");
    std::fs::write(folder.join("simulation.json"), document).expect("simulation.json");
    std::fs::write(folder.join("simulation.md"), &text).expect("simulation.md");
    println!("\n{text}");
}
