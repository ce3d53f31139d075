//! What policies come to on the shared traces and catalogs, and how fast a replay is.
//!
//! Traces and catalogs are looked for in `../shared/data` beside the repository, or in the folder
//! that `BERTH_DATA` names; what is not there is left out. Writes `target/bench/simulation.md` and
//! `simulation.json`. `BERTH_BENCH_POLICIES` names other policies than all, separated by commas,
//! `BERTH_BENCH_TRACE` a part of the names of the cases to run.
//!
//! The case `a week` is a platform on Exoscale: the NodePool of `deploy/examples/exoscale.yaml`,
//! nodes with a disk of 50 GiB, and the first three days of the trace over and over. Machines that
//! outlived the recording run to the end. Its row `karpenter, disk unseen` has the habits of
//! Exoscale's own provider: the cheapest type that the claim allows, by prices without the disk.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

#[path = "shared/data.rs"]
mod data;
#[path = "shared/machine.rs"]
mod machine;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth::catalog;
use berth_simulations::replay::{
    CloudSettings, Content, KarpenterSettings, Moment, PolicyName, PoolSettings, Provider, Replay,
    ReplaySettings, Sink, Source, Summary, Window,
};
use berth_simulations::trace::{Format, TraceRecord};
use berth_solver::model::{Catalog, Timestamp};
use data::data;
use serde_json::{Value, json};

// The allocator of `berth simulate`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// For so many hours the window is replayed over and over, on a platform on Exoscale.
    lasts: Option<i64>,
}

const CASES: [Case; 6] = [
    Case {
        name: "azure-v1, 3.5 days",
        trace: "azure-v1/v1.dev.txt",
        catalog: "aws-us-east-1",
        window: None,
        sample: None,
        lasts: None,
    },
    Case {
        name: "azure-v1, a day, a quarter",
        trace: "azure-v1/v1.dev.txt",
        catalog: "aws-us-east-1",
        window: Some((48, 72)),
        sample: Some(0.25),
        lasts: None,
    },
    Case {
        name: "azure-v1, first 12 h",
        trace: "azure-v1/v1.dev.txt",
        catalog: "gcp-us-central1",
        window: Some((0, 12)),
        sample: None,
        lasts: None,
    },
    Case {
        name: "azure-v1, first 12 h",
        trace: "azure-v1/v1.dev.txt",
        catalog: "exoscale-ch-gva-2",
        window: Some((0, 12)),
        sample: None,
        lasts: None,
    },
    Case {
        name: "openb, days 125 to 130",
        trace: "openb/openb_pod_list_default.csv",
        catalog: "gcp-us-central1",
        window: Some((125 * 24, 130 * 24)),
        sample: None,
        lasts: None,
    },
    Case {
        name: "azure-v1, a week, a tenth",
        trace: "azure-v1/v1.dev.txt",
        catalog: "exoscale-ch-gva-2",
        window: Some((0, 72)),
        sample: Some(0.1),
        lasts: Some(168),
    },
];

/// What 50 GiB cost in an hour.
const DISK: f64 = 50.0 * 0.000_14;
/// The families of the example's NodePool, and the sizes that it leaves out.
const FAMILIES: [&str; 3] = ["standard.", "cpu.", "memory."];
const TOO_SMALL: [&str; 2] = [".micro", ".tiny"];

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
        for (name, policy, settings) in variants(case, &policies) {
            let mut watch = StopWatch::default();
            let started = Instant::now();
            let replay = replay.with_settings(settings);
            let replayed = replay.run(policy, &mut watch).expect("a trace that is read before");
            let wall = started.elapsed().as_secs_f64();
            let summary = Summary { wall_seconds: Some(wall), ..replayed.summary };
            println!(
                "{}, {}, {name}: {:.2} (bound {:.2}) in {wall:.1} s",
                case.name, case.catalog, summary.cost_total, summary.cost_lower_bound
            );
            let mut row = serde_json::to_value(&summary).expect("figures");
            row["trace"] = json!(case.name);
            row["catalog"] = json!(case.catalog);
            row["policy"] = json!(name);
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
    let (source, mut catalog) =
        (repeated(source, case.lasts), catalog::read(&catalog).expect("a catalog"));
    if case.lasts.is_some() {
        keep_the_pool(&mut catalog);
    }
    Some(Replay::prepare(source, catalog, settings(case), SEED).expect("a trace"))
}

/// A window of a trace over and over, until so many hours have passed.
fn repeated(source: Source, lasts: Option<i64>) -> Source {
    let (Some(hours), Window { from, to: Some(to), .. }) = (lasts, source.window) else {
        return source;
    };
    let records = source.records().expect("a trace");
    let once: Vec<TraceRecord> = records.collect::<Result<_, _>>().expect("a trace");
    let (length, until) =
        (to.since(from.unwrap_or_default()), Timestamp::from_seconds(hours * HOUR));
    let mut all = Vec::new();
    for (copy, shift) in (0..).map(|copy| (copy, length * copy)) {
        if Timestamp::default() + shift >= until {
            break;
        }
        let moved = once.iter().map(|record| TraceRecord {
            name: format!("{}-{copy}", record.name).into(),
            workload: format!("{}-{copy}", record.workload).into(),
            submit: record.submit + shift,
            start: record.start.map(|start| start + shift),
            end: record.end.map(|end| end + shift),
            ..record.clone()
        });
        all.extend(moved.filter(|record| record.submit < until));
    }
    let window = Window { from: None, to: Some(until), sample: None };
    Source { content: Content::Kept(Arc::from(all)), window, ..source }
}

/// The types of the example's NodePool.
fn keep_the_pool(catalog: &mut Catalog) {
    let is_in = |kind: &str| {
        FAMILIES.iter().any(|family| kind.starts_with(family))
            && !TOO_SMALL.iter().any(|size| kind.ends_with(size))
    };
    catalog.instance_types.retain(|kind| is_in(&kind.name));
}

fn settings(case: &Case) -> ReplaySettings {
    if case.lasts.is_none() {
        return ReplaySettings::default();
    }
    ReplaySettings {
        pool: PoolSettings {
            consolidate_after_seconds: 120,
            node_price: DISK,
            ..PoolSettings::default()
        },
        cloud: CloudSettings { provider: Provider::Exoscale, ..CloudSettings::default() },
        ..ReplaySettings::default()
    }
}

/// What a case is replayed under.
fn variants(case: &Case, policies: &[PolicyName]) -> Vec<(String, PolicyName, ReplaySettings)> {
    let mut all = Vec::new();
    for policy in policies {
        let settings = settings(case);
        if case.lasts.is_some() && *policy == PolicyName::Karpenter {
            let karpenter = KarpenterSettings { sees_node_price: false, ..settings.karpenter };
            let unseen = ReplaySettings { karpenter, ..settings.clone() };
            all.push(("karpenter, disk unseen".to_owned(), *policy, unseen));
        }
        all.push((policy.to_string(), *policy, settings));
    }
    all
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
    let document = json!({
        "machine": machine::machine(),
        "commit": machine::commit(),
        "seed": SEED,
        "rows": rows,
    });
    let document = serde_json::to_string_pretty(&document).expect("figures");
    std::fs::write(folder.join("simulation.json"), document).expect("simulation.json");
    std::fs::write(folder.join("simulation.md"), &text).expect("simulation.md");
    println!("\n{text}");
}
