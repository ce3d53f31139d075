//! How good plans are after how long: generated workloads on the shared catalogs, one thread. And
//! how many pods a second, beside the policy `karpenter`, on the workload of Karpenter's own
//! scheduling benchmark.
//!
//! The catalogs are looked for in `../shared/data/catalogs` beside the repository, or in the folder
//! that `BERTH_DATA` names; what is not there is left out, and the built-in one of Exoscale always
//! is. Writes `target/bench/solver.md` and `solver.json`. First plans are timed by criterion, whose
//! own figures are in `target/criterion`.
//!
//! An argument picks the cases whose name contains it (`catalog/types/workload/pods`), and
//! `BERTH_BENCH_SECONDS` gives the longest look more than a second:
//! `BERTH_BENCH_SECONDS=10 cargo bench --bench solver -- aws-us-east-1/any/heavy`.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

mod cases;
#[path = "../shared/data.rs"]
mod data;
#[path = "../shared/machine.rs"]
mod machine;
mod measure;
#[path = "../shared/memory.rs"]
mod memory;
#[path = "../shared/pools.rs"]
mod pools;
mod report;

use std::time::Duration;

use criterion::Criterion;

// The allocator of `berth`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    let longest = std::env::var("BERTH_BENCH_SECONDS").ok().map_or(1.0, |text| {
        text.parse().expect("BERTH_BENCH_SECONDS is to be a number of seconds, 1 or more")
    });
    let longest = Duration::from_secs_f64(f64::max(longest, 1.0));
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    let cases = cases::all().filter(|case| case.name().contains(&wanted));
    let rows: Vec<measure::Row> = cases
        .map(|case| {
            println!("{}", case.name());
            measure::row(&mut criterion, &case, longest)
        })
        .collect();
    report::write(&rows, longest);
}
