//! What `berth plan` takes for many pods of few shapes: each plan in a process of its own, so that
//! nothing else is counted.

use std::fmt::Write as _;
use std::path::Path;

use berth::commands::plan;
use berth_solver::testing::Workload;
use clap::Parser;
use serde_json::{Value, json};

use super::data::data;
use super::{memory, mib};

/// Tells a child of this bench the list of pods to plan.
const PODS: &str = "BERTH_BENCH_PLAN_PODS";
const SEED: u64 = 1;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    plan: plan::Arguments,
}

/// Plans if this process is a child that was started for that; whether it was.
pub fn done_as_child() -> bool {
    let list = std::env::var(PODS).ok();
    if let Some(list) = &list {
        println!("{}", planned(list));
    }
    list.is_some()
}

/// Plans so many pods of 25 shapes in another process, which knows nothing but their list.
pub fn in_child(pods: usize) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("pods.csv");
    std::fs::write(&list, csv(pods)).expect("a list of pods");
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program).env(PODS, &list).output();
    let mut row: Value = serde_json::from_slice(&output.expect("a child").stdout).expect("JSON");
    row["pods"] = json!(pods);
    row
}

/// The first plan for a list of pods on the AWS catalog, or on Exoscale's where that is not there:
/// how long it took without reading, and the most memory that all of it took.
fn planned(list: &str) -> Value {
    let shared = data().join("catalogs/aws-us-east-1.csv");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/exoscale.csv");
    let catalog = if shared.exists() { shared } else { built_in };
    let catalog = catalog.display().to_string();
    let words = ["plan", "--catalog", &catalog, "--pods", list, "--budget", "1ms"];
    let arguments = Arguments::parse_from(words.iter().chain(&["--output", "json"]));
    let mut printed = Vec::new();
    plan::run(&arguments.plan, &mut printed).expect("a plan");
    let plan: Value = serde_json::from_slice(&printed).expect("JSON");
    json!({
        "planPeakMib": mib(memory("VmHWM")),
        "firstPlanMs": plan["elapsedMs"],
        "nodes": plan["nodes"].as_array().map(Vec::len),
    })
}

fn csv(pods: usize) -> String {
    let mut text = String::from("name,workload,submit_s,end_s,cpu_milli,memory_mib\n");
    for pod in Workload::Diverse.pods(pods, SEED) {
        let (name, asks) = (&pod.key.name, &pod.shape.requests);
        let workload = name.rsplit_once('-').map_or(name.as_str(), |(workload, _)| workload);
        let memory = asks.memory.0 >> 20;
        let _ = writeln!(text, "{name},{workload},0,,{},{memory}", asks.cpu.0);
    }
    text
}
