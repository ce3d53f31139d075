//! How good plans are after how long: generated workloads on the shared catalogs, one thread.
//!
//! The catalogs are looked for in `../shared/data/catalogs` beside the repository, or in the folder
//! that `BERTH_DATA` names; what is not there is left out, and the built-in one of Exoscale always
//! is. Writes `target/bench/solver.md` and `solver.json`.
//!
//! An argument picks those whose `catalog/workload` contains it, and `BERTH_BENCH_SECONDS` gives
//! the longest look more than a second: `BERTH_BENCH_SECONDS=10 cargo bench --bench solver -- aws`.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

#[path = "shared/data.rs"]
mod data;
#[path = "shared/pools.rs"]
mod pools;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth::catalog;
use berth_solver::baselines::{self, Policy};
use berth_solver::model::{Catalog, NodePool, Plan, Snapshot, Timestamp};
use berth_solver::packing::{self, Budget, Never, Settings};
use berth_solver::testing::{ClusterBuilder, Workload, cluster, pool};
use berth_solver::verify::verify;
use data::data;
use pools::usual_pools;
use serde_json::{Value, json};

const SEED: u64 = 1;
const RUNS: usize = 5;
const PODS: usize = 10_000;
const CATALOGS: [&str; 4] =
    ["aws-us-east-1", "gcp-us-central1", "gcp-europe-west1", "exoscale-ch-gva-2"];
const WORKLOADS: [Workload; 5] = [
    Workload::Tiny,
    Workload::Diverse,
    Workload::Constrained,
    Workload::Heavy500,
    Workload::Heavy2000,
];

fn main() {
    let mut rows: Vec<Value> = Vec::new();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    for (name, catalog) in catalogs() {
        for workload in WORKLOADS {
            if !format!("{name}/{}", workload.name()).contains(&wanted) {
                continue;
            }
            let pods = if workload == Workload::Tiny { 50 } else { PODS };
            for (pools, list) in
                [("any", vec![pool("default")]), ("usual", usual_pools(&name, &catalog))]
            {
                println!("{name}, {pools}, {}", workload.name());
                let with = |all: ClusterBuilder, one: NodePool| all.pool(one, Arc::clone(&catalog));
                let pools_of = list.into_iter().fold(cluster(), with);
                let snapshot = pools_of.pods(workload.pods(pods, SEED)).snapshot();
                let mut row = row(&name, workload, pods, &snapshot);
                row["pools"] = json!(pools);
                rows.push(row);
            }
        }
    }
    write(&rows);
}

fn catalogs() -> Vec<(String, Arc<Catalog>)> {
    let folder = data();
    let mut found = vec![(
        "exoscale (built in)".to_owned(),
        Arc::new(catalog::exoscale().expect("the built-in catalog")),
    )];
    for name in CATALOGS {
        let file = folder.join("catalogs").join(format!("{name}.csv"));
        if file.exists() {
            found.push((name.to_owned(), Arc::new(catalog::read(&file).expect("a catalog"))));
        } else {
            println!("left out: there is no {}", file.display());
        }
    }
    found
}

/// The longest that a plan is looked at.
fn longest() -> Duration {
    let seconds = std::env::var("BERTH_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.0))
}

fn planned(snapshot: &Snapshot, budget: Duration) -> (Plan, Duration) {
    let began = Instant::now();
    let spent = || {
        if budget.is_zero() { 1.0 } else { began.elapsed().as_secs_f64() / budget.as_secs_f64() }
    };
    let settings = Settings::default();
    let plan = packing::plan(snapshot, &settings, Timestamp::from_seconds(1), SEED, &Budget(spent));
    (plan, began.elapsed())
}

fn row(catalog: &str, workload: Workload, pods: usize, snapshot: &Snapshot) -> Value {
    let settings = Settings::default();
    let mut times: Vec<Duration> = (0..RUNS).map(|_| planned(snapshot, Duration::ZERO).1).collect();
    times.sort_unstable();
    let first = planned(snapshot, Duration::ZERO).0;
    let (within_100, _) = planned(snapshot, Duration::from_millis(100));
    let (within_longest, took) = planned(snapshot, longest());
    let faults = verify(snapshot, &settings.scheduler_names, &within_longest).len();
    let peer = |policy| {
        let began = Instant::now();
        let now = Timestamp::from_seconds(1);
        let plan = baselines::plan(policy, snapshot, &settings, now, SEED, &Never);
        (plan.price.as_f64(), plan.unschedulable.len(), began.elapsed())
    };
    let (karpenter, karpenter_left, _) = peer(Policy::Karpenter);
    let (autoscaler, autoscaler_left, _) = peer(Policy::ClusterAutoscaler);
    // Of one bound, the best that is known, so that the columns compare.
    let bound = within_longest.lower_bound.max(within_100.lower_bound).as_f64();
    let gap = |plan: &Plan| (plan.price.as_f64() / bound - 1.0) * 100.0;
    json!({
        "catalog": catalog,
        "workload": workload.name(),
        "pods": pods,
        "firstPlanMs": times[RUNS / 2].as_secs_f64() * 1e3,
        "gapFirst": gap(&first),
        "gap100ms": gap(&within_100),
        "gapLongest": gap(&within_longest),
        "elapsedMs": took.as_secs_f64() * 1e3,
        "price": within_longest.price.as_f64(),
        "lowerBound": bound,
        "karpenterPrice": karpenter,
        "karpenterUnplaced": karpenter_left,
        "clusterAutoscalerPrice": autoscaler,
        "clusterAutoscalerUnplaced": autoscaler_left,
        "unplaced": within_longest.unschedulable.len(),
        "faults": faults,
    })
}

fn write(rows: &[Value]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&folder).expect("target/bench");
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let machine = format!("{threads} processors, one used");
    let mut table = format!(
        "# Plans after how long\n\n{machine}, seed {SEED}. Gaps to the best bound that was proven, \
         in %. Types: any that the catalog has, or those of \
         NodePools that people have (the families that guides name). The peers are the policies of this solver, not the programs.\n\n\
         | catalog | types | workload | first plan, ms | gap first | gap 100 ms | gap {} s | price | bound \
         | karpenter | cluster-autoscaler |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
        longest().as_secs_f64()
    );
    for row in rows {
        let number = |key: &str, digits: usize| {
            format!("{:.*}", digits, row[key].as_f64().unwrap_or(f64::NAN))
        };
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let cells = [
            text("catalog"),
            text("pools"),
            text("workload"),
            number("firstPlanMs", 1),
            number("gapFirst", 2),
            number("gap100ms", 2),
            number("gapLongest", 2),
            number("price", 3),
            number("lowerBound", 3),
            number("karpenterPrice", 3),
            number("clusterAutoscalerPrice", 3),
        ];
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    println!("{table}");
    std::fs::write(folder.join("solver.md"), table).expect("solver.md");
    let all = json!({ "machine": machine, "seed": SEED, "rows": rows });
    let text = serde_json::to_string_pretty(&all).expect("JSON");
    std::fs::write(folder.join("solver.json"), text).expect("solver.json");
}
