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

use karpenter::Karpenter;
use number::number;

fn main() {
    // Under `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let karpenter = match Karpenter::build() {
        Ok(karpenter) => karpenter,
        Err(missing) => {
            println!("SKIPPED: {missing}");
            return;
        }
    };
    let only = std::env::var("BERTH_BENCH_SUITE").unwrap_or_default();
    let wanted = |suite: &str| only.is_empty() || only == suite;
    let mut report = report::Report::default();
    if wanted("benchmark") {
        suites::benchmark(&karpenter, &mut report);
    }
    if wanted("policy") {
        suites::policy(&karpenter, &mut report);
    }
    if wanted("traces") {
        suites::traces(&karpenter, &mut report);
    }
    if wanted("consolidation") {
        consolidation::consolidation(&karpenter, &mut report);
    }
    println!("\n{}", report.text());
}
