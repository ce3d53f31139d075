//! The same work done by Karpenter itself and by Berth, on the same machine, in the same run.
//!
//! * **traces**: snapshots of recorded clusters, packed onto new nodes of three clouds' catalogs;
//!   once with a NodePool that allows everything, once with the NodePools that people have.
//! * **benchmark**: Karpenter's own scheduling benchmark, its 400 types and five kinds of pods.
//! * **policy**: random problems, the policy `karpenter` beside Karpenter itself.
//! * **consolidation**: clusters that were scaled down, until nothing more is to be saved.
//!
//! `make bench-peers` writes `target/bench/peers.md` and `.json`. `BERTH_BENCH_SNAPSHOTS` says how
//! many snapshots of each trace (4), `BERTH_BENCH_PROBLEMS` how many random problems (200),
//! `BERTH_BENCH_SUITE` which suite alone, `BERTH_BENCH_TRACE` which trace alone,
//! `BERTH_BENCH_CATALOG` which catalog alone, `BERTH_BENCH_MOST_PODS` leaves out larger cases,
//! `BERTH_BENCH_NODES` says how many nodes are consolidated (60).

#![allow(missing_docs, dead_code, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

mod consolidation;
mod karpenter;
#[path = "../shared/machine.rs"]
mod machine;
#[path = "../shared/number.rs"]
mod number;
mod problems;
#[path = "../shared/records.rs"]
mod records;
mod report;
mod suites;

use std::process::ExitCode;

use karpenter::Karpenter;
use number::number;
use report::Report;

/// A suite's name, and what runs it.
type Suite = (&'static str, fn(&Karpenter, &mut Report));

const SUITES: [Suite; 4] = [
    ("benchmark", suites::benchmark),
    ("policy", suites::policy),
    ("traces", suites::traces),
    ("consolidation", consolidation::consolidation),
];

fn main() -> ExitCode {
    // Under `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let only = std::env::var("BERTH_BENCH_SUITE").unwrap_or_default();
    let (chosen, others): (Vec<Suite>, Vec<Suite>) =
        SUITES.into_iter().partition(|(name, _)| only.is_empty() || *name == only);
    if chosen.is_empty() {
        let names: Vec<&str> = others.iter().map(|(name, _)| *name).collect();
        println!("there is no suite {only:?}: expected one of {}", names.join(", "));
        return ExitCode::from(2);
    }
    let karpenter = match Karpenter::build() {
        Ok(karpenter) => karpenter,
        Err(missing) => {
            println!("SKIPPED: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    let mut report = Report::default();
    for (_, run) in chosen {
        run(&karpenter, &mut report);
    }
    println!("\n{}", report.text());
    ExitCode::SUCCESS
}
