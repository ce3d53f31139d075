//! Rounds of consolidation on clusters that were scaled down, beside what Karpenter would do: one
//! thread, one cluster a case, its processor time.
//!
//! The catalogs are looked for in `../shared/data/catalogs` beside the repository, or in the folder
//! that `BERTH_DATA` names; what is not there is left out, and the built-in sizes always are in.
//! Writes `target/bench/disruption.md` and `disruption.json`. `BERTH_BENCH_NODES` names other sizes
//! than 500, 2000 and 5000, `BERTH_BENCH_FILLS` other fills than 0.3, 0.5 and 0.7, and
//! `BERTH_BENCH_CATALOG` one catalog.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_solver::baselines::karpenter_consolidation;
use berth_solver::disruption::{Inputs, Round, Settings, consolidate};
use berth_solver::model::{
    CapacityType, Catalog, InstanceType, NodePool, Price, Snapshot, Timestamp,
};
use berth_solver::packing::Budget;
use berth_solver::testing::{
    Workload, after_round, exoscale_catalog, half_empty_cluster, instance_type, offering, percent,
    pool,
};
use cpu_time::ThreadTime;
use serde_json::{Value, json};

const SEED: u64 = 1;
const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
const CATALOGS: [&str; 3] = ["aws-us-east-1", "gcp-us-central1", "exoscale-ch-gva-2"];
/// Rounds without a limit are followed so far.
const MOST_ROUNDS: u32 = 6;

fn main() {
    let sizes: Vec<usize> = numbers("BERTH_BENCH_NODES", "500,2000,5000");
    let fills: Vec<f64> = numbers("BERTH_BENCH_FILLS", "0.3,0.5,0.7");
    let only = std::env::var("BERTH_BENCH_CATALOG").unwrap_or_default();
    let mut rows: Vec<Value> = Vec::new();
    for (name, catalog) in catalogs().into_iter().filter(|(name, _)| name.contains(&only)) {
        for nodes in &sizes {
            if *nodes >= 2_000 {
                crowded(&name, &catalog, *nodes, &mut rows);
            }
            for fill in &fills {
                case(&name, &catalog, *nodes, *fill, &mut rows);
            }
        }
    }
    write(&rows);
}

/// The numbers that a variable of the environment names, or these.
fn numbers<T: std::str::FromStr>(variable: &str, usual: &str) -> Vec<T> {
    let text = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    text.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}

fn case(name: &str, catalog: &Catalog, nodes: usize, fill: f64, rows: &mut Vec<Value>) {
    let make = |budget| half_empty_cluster(catalog, nodes, fill, budget, Workload::Diverse, SEED);
    let tenth = make(10);
    let mut add = |budget: &str, policy: &str, figures: Figures| {
        rows.push(row(name, &tenth, fill, budget, policy, figures));
    };
    let peer = karpenter(&tenth);
    add("10%", "karpenter", peer);
    add("10%", "berth", berth(&tenth, &quick(), 1, None));
    let all = make(100);
    let evictions = u32::try_from(peer.evictions).unwrap_or(u32::MAX);
    let same = Settings { most_evictions: evictions, ..quick() };
    add("the same evictions", "berth", berth(&all, &same, 1, None));
    add("none", "karpenter", karpenter(&all));
    let world = [(NodePool { budgets: percent(100), ..pool("general") }, catalog.clone())];
    add("none", "berth", berth(&all, &quick(), MOST_ROUNDS, Some(&world)));
}

/// One round over nodes with dozens of pods each: how long it takes.
fn crowded(name: &str, catalog: &Catalog, nodes: usize, rows: &mut Vec<Value>) {
    let fill = 0.3;
    let full = half_empty_cluster(catalog, nodes, fill, 10, Workload::Small, SEED);
    let figures = berth(&full, &quick(), 1, None);
    rows.push(row(name, &full, fill, "10%, small pods", "berth", figures));
}

fn row(
    name: &str,
    snapshot: &Snapshot,
    fill: f64,
    budget: &str,
    policy: &str,
    figures: Figures,
) -> Value {
    let (nodes, pods) = (snapshot.nodes.len(), snapshot.pods.len());
    println!("{name}, {nodes} nodes, {pods} pods, fill {fill}, {budget}, {policy}: {figures:?}");
    json!({
        "catalog": name, "nodes": nodes, "pods": pods, "fill": fill, "budget": budget,
        "policy": policy, "priceBefore": figures.before.as_f64(),
        "priceAfter": figures.after.as_f64(), "lowerBound": figures.bound.map(Price::as_f64),
        "evictions": figures.evictions, "removals": figures.removals,
        "rounds": figures.rounds, "elapsedMs": figures.elapsed.as_secs_f64() * 1e3,
        "modelledSeconds": figures.modelled, "faults": figures.faults,
    })
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
struct Figures {
    before: Price,
    after: Price,
    bound: Option<Price>,
    evictions: u64,
    removals: usize,
    rounds: u32,
    elapsed: Duration,
    modelled: Option<f64>,
    faults: usize,
}

/// Every pod counts for something, but whatever saves is taken: Karpenter asks for nothing.
fn quick() -> Settings {
    Settings {
        least_saving: Price::ZERO,
        price_per_eviction: Price::from_nanos(1_000),
        eviction_percent: 0,
        least_age: Duration::ZERO,
        ..Settings::default()
    }
}

/// The first round may take 1 s, on 5,000 nodes 5 s.
fn berth(
    snapshot: &Snapshot,
    settings: &Settings,
    most_rounds: u32,
    world: Option<&[(NodePool, Catalog)]>,
) -> Figures {
    let limit = if snapshot.nodes.len() > 2_000 { 5.0 } else { 1.0 };
    let mut snapshot = snapshot.clone();
    let mut all: Option<Figures> = None;
    for _ in 0..most_rounds {
        let began = ThreadTime::now();
        let spent = Budget(|| began.elapsed().as_secs_f64() / limit);
        let round = consolidate(&snapshot, &Inputs::default(), settings, NOW, SEED, &spent);
        let elapsed = began.elapsed();
        if all.is_some() && round.is_empty() {
            break;
        }
        all = Some(sum(all, &round, elapsed));
        let Some(world) = world else { break };
        snapshot = after_round(&snapshot, &round, world);
    }
    all.expect("a round")
}

fn sum(all: Option<Figures>, round: &Round, elapsed: Duration) -> Figures {
    let before = all.map_or(round.price_before, |all| all.before);
    // The bound of the first round holds for all: later ones start from less.
    let bound = all.map_or(Some(round.lower_bound), |all| all.bound);
    Figures {
        before,
        after: round.price_after,
        bound,
        evictions: all.map_or(0, |all| all.evictions) + round.moves.len() as u64,
        removals: all.map_or(0, |all| all.removals) + round.plan.removals.len(),
        rounds: all.map_or(0, |all| all.rounds) + 1,
        elapsed: all.map_or(Duration::ZERO, |all| all.elapsed).max(elapsed),
        modelled: None,
        faults: all.map_or(0, |all| all.faults) + round.faults.len(),
    }
}

fn karpenter(snapshot: &Snapshot) -> Figures {
    let began = ThreadTime::now();
    let settings = berth_solver::packing::Settings::default();
    let found = karpenter_consolidation(snapshot, &Inputs::default(), &settings, NOW);
    Figures {
        before: found.price_before,
        after: found.price_after,
        bound: None,
        evictions: found.evictions,
        removals: found.removals,
        rounds: found.rounds,
        elapsed: began.elapsed(),
        modelled: Some(found.seconds),
        faults: 0,
    }
}

fn catalogs() -> Vec<(String, Catalog)> {
    let folder = std::env::var_os("BERTH_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let mut found = Vec::new();
    for name in CATALOGS {
        let file = folder.join("catalogs").join(format!("{name}.csv"));
        match std::fs::read_to_string(&file) {
            Ok(text) => found.push((name.to_owned(), read(&text))),
            Err(_) => println!("left out: there is no {}", file.display()),
        }
    }
    if found.is_empty() {
        found.push(("exoscale (built in)".to_owned(), exoscale_catalog(&["z"])));
    }
    found
}

/// The amd64 types of a catalog's on-demand offerings, in its first three zones.
fn read(text: &str) -> Catalog {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let column = |name: &str| header.iter().position(|other| *other == name).expect("a column");
    let [kind, arch, cpu, memory, zone, capacity, price] = [
        "instance_type",
        "arch",
        "cpu_milli",
        "memory_mib",
        "zone",
        "capacity_type",
        "price_per_hour",
    ]
    .map(column);
    let mut zones: Vec<String> = Vec::new();
    let mut types: BTreeMap<String, InstanceType> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[arch] != "amd64" || cells[capacity] != "on-demand" {
            continue;
        }
        if !zones.iter().any(|known| known == cells[zone]) {
            zones.push(cells[zone].to_owned());
        }
        if zones.iter().position(|known| known == cells[zone]) >= Some(3) {
            continue;
        }
        let amount = |index: usize| cells[index].parse::<i64>().expect("an amount");
        let price = cells[price].parse::<f64>().expect("a price");
        let entry = types
            .entry(cells[kind].to_owned())
            .or_insert_with(|| instance_type(cells[kind], amount(cpu), amount(memory), Vec::new()));
        entry.offerings.push(offering(cells[zone], CapacityType::OnDemand, price));
    }
    Catalog::new(types.into_values().collect())
}

fn write(rows: &[Value]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder).expect("target/bench");
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let machine = format!("{threads} processors, one used");
    let mut table = format!(
        "# Rounds of consolidation\n\n{machine}, seed {SEED}. `karpenter` is the policy of this \
         solver, not the program. Time is the processor's, that of the longest round.\n\n\
         | catalog | nodes | pods | fill | budget | policy | before | after | bound | evictions \
         | removals | rounds | ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let number = |key: &str, digits: usize| {
            row[key].as_f64().map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let cells = [
            text("catalog"),
            number("nodes", 0),
            number("pods", 0),
            number("fill", 1),
            text("budget"),
            text("policy"),
            number("priceBefore", 2),
            number("priceAfter", 2),
            number("lowerBound", 2),
            number("evictions", 0),
            number("removals", 0),
            number("rounds", 0),
            number("elapsedMs", 0),
        ];
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    println!("{table}");
    std::fs::write(folder.join("disruption.md"), table).expect("disruption.md");
    let all = json!({ "machine": machine, "seed": SEED, "rows": rows });
    let text = serde_json::to_string_pretty(&all).expect("JSON");
    std::fs::write(folder.join("disruption.json"), text).expect("disruption.json");
}
