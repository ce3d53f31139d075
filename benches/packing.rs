//! What others measured packing by: vector bin packing instances with known optima, and snapshots
//! of recorded clusters beside the peers' policies.
//!
//! The data is looked for in `../shared/data` beside the repository, or in the folder that
//! `BERTH_DATA` names; what is not there is left out. `BERTH_BENCH_INSTANCES` and
//! `BERTH_BENCH_SECONDS` say how many instances of each family are packed (20) and for how long
//! each (10), `BERTH_BENCH_SNAPSHOTS` how many snapshots of each trace (10). Writes
//! `target/bench/packing.md` and `packing.json`.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

#[path = "shared/data.rs"]
mod data;
#[path = "shared/number.rs"]
mod number;
#[path = "shared/records.rs"]
mod records;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth::catalog;
use berth_simulations::trace::{Shapes, TraceRecord, snapshots};
use berth_solver::baselines::{self, Policy};
use berth_solver::model::{CapacityType, Catalog, Plan, Snapshot, Timestamp};
use berth_solver::packing::{Budget, Never, Settings};
use berth_solver::planning;
use berth_solver::testing::{cluster, instance_type, offering, pod, pool, shape};
use berth_solver::verify::verify;
use data::data;
use number::number;
use records::records;
use serde_json::{Value, json};

const SEED: u64 = 1;
const FAMILIES: [&str; 3] = ["new", "panigrahy", "triplet"];
const TRACES: [(&str, &str); 2] = [("azure", "azure-v1/v1.dev.txt"), ("openb", "openb")];
const CATALOGS: [&str; 3] = ["aws-us-east-1", "gcp-us-central1", "exoscale-ch-gva-2"];

fn main() {
    let data = data();
    let mut text = format!(
        "# Packing what others packed\n\n{} processors, one used, seed {SEED}.\n\n",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    let mut rows: Vec<Value> = Vec::new();
    instances(&data.join("packing/vectorpack"), &mut text, &mut rows);
    recorded(&data, &mut text, &mut rows);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&folder).expect("target/bench");
    println!("{text}");
    std::fs::write(folder.join("packing.md"), text).expect("packing.md");
    let all = json!({ "seed": SEED, "rows": rows });
    let text = serde_json::to_string_pretty(&all).expect("JSON");
    std::fs::write(folder.join("packing.json"), text).expect("packing.json");
}

fn planned(snapshot: &Snapshot, budget: Duration) -> Plan {
    let began = Instant::now();
    let spent = Budget(|| began.elapsed().as_secs_f64() / budget.as_secs_f64());
    let settings = Settings::default();
    let now = Timestamp::from_seconds(1);
    planning::plan(snapshot, &settings, now, SEED, &spent).plan.expect("a plan that holds")
}

/// The instances of every family: a sample, the same each time.
fn instances(folder: &Path, text: &mut String, rows: &mut Vec<Value>) {
    if !folder.exists() {
        println!("left out: there is no {}", folder.display());
        return;
    }
    let (count, seconds) = (number("BERTH_BENCH_INSTANCES", 20), number("BERTH_BENCH_SECONDS", 10));
    let _ = writeln!(
        text,
        "Vector bin packing, {seconds} s each: how many instances take as many bins as the best \
         heuristic known, fewer, more; how many of those with a known optimum take that; how many \
         are proven.\n\n| family | instances | fewer | as many | more | optimum known | reached | \
         proven |\n|---|---|---|---|---|---|---|---|"
    );
    for family in FAMILIES {
        let known = known(&folder.join(format!("{family}-known.csv")));
        let step = (known.len() / count.max(1)).max(1);
        let wanted: BTreeMap<&str, (i64, i64)> = known
            .iter()
            .step_by(step)
            .take(count)
            .map(|(name, optimum, best)| (name.as_str(), (*optimum, *best)))
            .collect();
        let mut tally = [0_usize; 6];
        let mut packed = 0;
        for (name, problem) in unpacked(&folder.join(format!("{family}.tar.gz")), &wanted) {
            let (optimum, best) = wanted[name.as_str()];
            let plan = planned(&problem, Duration::from_secs(seconds as u64));
            let bins = i64::try_from(plan.launches.len()).expect("a number of bins");
            let bound = plan.lower_bound.as_f64().ceil() as i64;
            println!(
                "{family}/{name}: {bins} bins, best known {best}, optimum {optimum}, bound {bound}"
            );
            packed += 1;
            tally[0] += usize::from(bins < best);
            tally[1] += usize::from(bins == best);
            tally[2] += usize::from(bins > best);
            tally[3] += usize::from(optimum > 0);
            tally[4] += usize::from(optimum > 0 && bins == optimum);
            tally[5] += usize::from(bound == bins);
            assert!(optimum <= 0 || bound <= optimum, "{name}: bound {bound}, optimum {optimum}");
            rows.push(json!({
                "suite": "vectorpack", "family": family, "case": name, "bins": bins,
                "bestKnown": best, "optimum": optimum, "lowerBound": bound,
            }));
        }
        let cells: Vec<String> = tally.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "| {family} | {packed} | {} |", cells.join(" | "));
    }
}

/// Names, optima (below 1: not known) and what the best heuristic needs.
fn known(file: &Path) -> Vec<(String, i64, i64)> {
    let mut reader = csv::Reader::from_path(file).expect("known optima");
    let head = reader.headers().expect("a header").clone();
    let at = |name: &str| head.iter().position(|one| one == name).expect("a column");
    let (name, optimum, best) = (at("instance_name"), at("OPT"), at("best_overall"));
    let rows = reader.records().map(|row| row.expect("a row"));
    let whole = |text: &str| text.parse().expect("a whole number");
    rows.map(|row| (row[name].to_owned(), whole(&row[optimum]), whole(&row[best]))).collect()
}

/// The wanted instances as clusters: one machine type, one resource a dimension.
fn unpacked(file: &Path, wanted: &BTreeMap<&str, (i64, i64)>) -> Vec<(String, Snapshot)> {
    let packed = std::fs::File::open(file).expect("instances");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut found = Vec::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| wanted.contains_key(name.as_str())) else { continue };
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        match instance(&text) {
            Some(problem) => found.push((name, problem)),
            None => println!("left out: {name} has sizes below zero, which no pod asks for"),
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

/// `None` if some size is below zero.
fn instance(text: &str) -> Option<Snapshot> {
    let mut numbers = text.split_whitespace().map(|word| word.parse().expect("a whole number"));
    let mut next = || -> i64 { numbers.next().expect("another number") };
    let dimensions = next();
    let resource = |dimension: i64| format!("example.com/d{dimension}");
    let sold = vec![offering("zone-a", CapacityType::OnDemand, 1.0)];
    let mut bin = instance_type("bin", 1_000, 1_024, sold);
    bin.capacity.pods = i64::from(u16::MAX);
    for dimension in 0..dimensions {
        bin.capacity.set_extended(resource(dimension).as_str().into(), next());
    }
    let mut pods = Vec::new();
    for index in 0..next() {
        let mut item = shape(0, 0);
        for dimension in 0..dimensions {
            let size = next();
            if size < 0 {
                return None;
            }
            item = item.resource(&resource(dimension), size);
        }
        let item = item.build();
        pods.extend((0..next()).map(|copy| pod(&format!("item-{index}-{copy}"), &item)));
    }
    Some(cluster().pool(pool("default"), Catalog::new(vec![bin])).pods(pods).snapshot())
}

/// Snapshots of recorded clusters, packed anew on each catalog.
fn recorded(data: &Path, text: &mut String, rows: &mut Vec<Value>) {
    let count = number("BERTH_BENCH_SNAPSHOTS", 10);
    let _ = writeln!(
        text,
        "\nSnapshots of traces, packed onto new nodes within 1 s: mean price an hour, mean gap to \
         the bound, and how much dearer the policies that pack as the peers do are, on average and \
         at best.\n\n| trace | catalog | snapshots | pods, mean | price | gap, % | karpenter, % | \
         at best, % | cluster-autoscaler, % | at best, % |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for (trace, path) in TRACES {
        let Some(records) = records(&data.join("traces").join(path), SEED) else { continue };
        for name in CATALOGS {
            let file = data.join("catalogs").join(format!("{name}.csv"));
            if !file.exists() {
                println!("left out: there is no {}", file.display());
                continue;
            }
            let catalog = Arc::new(catalog::read(&file).expect("a catalog"));
            let moments = snapshots(&records, u32::try_from(count).expect("a small number"));
            let cases: Vec<Value> = moments
                .iter()
                .filter(|moment| !moment.alive.is_empty())
                .map(|moment| case(trace, name, &catalog, &moment.alive))
                .collect();
            let mean = |key: &str| {
                cases.iter().filter_map(|case| case[key].as_f64()).sum::<f64>()
                    / cases.len().max(1) as f64
            };
            let least = |key: &str| {
                let values = cases.iter().filter_map(|case| case[key].as_f64());
                values.fold(f64::INFINITY, f64::min)
            };
            let _ = writeln!(
                text,
                "| {trace} | {name} | {} | {:.0} | {:.3} | {:.2} | {:+.1} | {:+.1} | {:+.1} | {:+.1} |",
                cases.len(),
                mean("pods"),
                mean("price"),
                mean("gap"),
                mean("karpenterDearer"),
                least("karpenterDearer"),
                mean("clusterAutoscalerDearer"),
                least("clusterAutoscalerDearer"),
            );
            rows.extend(cases);
        }
    }
}

fn case(trace: &str, name: &str, catalog: &Arc<Catalog>, alive: &[&TraceRecord]) -> Value {
    let mut shapes = Shapes::new();
    let pods = alive.iter().map(|record| shapes.pod(record));
    let snapshot = cluster().pool(pool("default"), Arc::clone(catalog)).pods(pods).snapshot();
    let settings = Settings::default();
    let plan = planned(&snapshot, Duration::from_secs(1));
    let dearer = |policy| {
        let now = Timestamp::from_seconds(1);
        let peer = baselines::plan(policy, &snapshot, &settings, now, SEED, &Never);
        let holds = verify(&snapshot, &settings.scheduler_names, &peer).is_empty();
        let same = peer.unschedulable.len() == plan.unschedulable.len();
        (holds && same).then(|| (peer.price.as_f64() / plan.price.as_f64() - 1.0) * 100.0)
    };
    let (karpenter, autoscaler) = (dearer(Policy::Karpenter), dearer(Policy::ClusterAutoscaler));
    println!(
        "{trace}, {name}: {} pods, {} left, {:.3} an hour, karpenter {karpenter:+.1?} %, \
         cluster-autoscaler {autoscaler:+.1?} %",
        alive.len(),
        plan.unschedulable.len(),
        plan.price.as_f64(),
    );
    json!({
        "suite": "traces", "trace": trace, "catalog": name, "pods": alive.len(),
        "price": plan.price.as_f64(), "lowerBound": plan.lower_bound.as_f64(),
        "gap": plan.gap().map(|gap| gap * 100.0), "unplaced": plan.unschedulable.len(),
        "karpenterDearer": karpenter, "clusterAutoscalerDearer": autoscaler,
    })
}
