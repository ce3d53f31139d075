//! Karpenter itself and Berth, each with its kwok provider, each on a fresh real control plane:
//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok.
//!
//! The same instance types, the same NodePool, the same workload: those of Karpenter's own
//! performance suites (`test/suites/performance`), in a size that this machine bears, and a slice of
//! a recorded trace. An observer that knows neither of them watches nodes and pods: time until all
//! pods run, price per hour over time and after settling, nodes, utilisation, evictions, and the
//! processor time, memory and API calls of the controller.
//!
//! `make bench-peers-online` writes `target/bench/peers-online.md` and `.json`, and a picture a suite.
//! An argument picks a suite, `BERTH_BENCH_RUNS` says how often each is run (1; figures are medians),
//! `BERTH_BENCH_SHARE` divides the number of pods, for a quick look.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

#[path = "../shared/churn.rs"]
mod churn;
mod controller;
#[path = "../shared/data.rs"]
mod data;
#[path = "../shared/go.rs"]
mod go;
#[path = "../shared/machine.rs"]
mod machine;
#[path = "../shared/number.rs"]
mod number;
mod observer;
mod picture;
mod report;
mod slice;
mod suites;
#[path = "../shared/ticks.rs"]
mod ticks;

use std::process::ExitCode;

use berth_controlplane::Assets;
use controller::{Controller, Karpenter};
use number::number;
use serde_json::json;
use suites::Suite;

fn main() -> ExitCode {
    // Under `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    let (chosen, others): (Vec<Suite>, Vec<Suite>) =
        suites::all().into_iter().partition(|suite| suite.name.contains(&wanted));
    if chosen.is_empty() {
        let names: Vec<&str> = others.iter().map(|suite| suite.name).collect();
        println!("there is no suite {wanted:?}: expected one of {}", names.join(", "));
        return ExitCode::from(2);
    }
    if let Err(error) = Assets::find() {
        println!("SKIPPED: {error:#}");
        return ExitCode::SUCCESS;
    }
    let karpenter = match Karpenter::build() {
        Ok(karpenter) => karpenter,
        Err(missing) => {
            println!("SKIPPED: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut report = report::Report::default();
    for suite in chosen {
        for run in 0..number("BERTH_BENCH_RUNS", 1).max(1) {
            for controller in [Controller::Berth, Controller::Karpenter] {
                println!("{}, run {}, {}", suite.name, run + 1, controller.name());
                let phases = runtime.block_on(suite.run(controller, &karpenter));
                for mut row in phases.expect("a run") {
                    row["run"] = json!(run + 1);
                    // The points of the picture are too many to read.
                    let looks = row["looks"].take();
                    println!("{row}");
                    row["looks"] = looks;
                    report.rows.push(row);
                }
                // What is there is worth keeping, whatever happens to the next.
                report.write();
            }
        }
    }
    ExitCode::SUCCESS
}
