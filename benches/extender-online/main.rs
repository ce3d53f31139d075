//! What Berth does to the real kube-scheduler: etcd, kube-apiserver, kube-controller-manager,
//! kube-scheduler and kwok, as `tests/controlplane` builds them.
//!
//! * **Throughput**: pods a second without an extender and with ours, in several settings, one
//!   after the other on one control plane, several times over. Whole pods are created while
//!   kube-scheduler is stopped; it is timed from its first binding to its last.
//! * **Quality**: the same arrivals and departures with the plain kube-scheduler and with the one
//!   that asks us; `berth serve` launches and removes the nodes in both.
//!
//! `make bench-extender-online` writes `target/bench/extender-online.md` and `.json`.
//! `BERTH_BENCH_PART=throughput` or `quality` runs one half.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

#[path = "../shared/churn.rs"]
mod churn;
#[path = "../shared/data.rs"]
mod data;
#[path = "../shared/machine.rs"]
mod machine;
mod objects;
#[path = "../extender/processor.rs"]
mod processor;
mod quality;
mod report;
mod side;
mod throughput;

use berth_controlplane::Assets;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Under `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    if let Err(error) = Assets::find() {
        println!("SKIPPED: {error:#}");
        return;
    }
    let part = std::env::var("BERTH_BENCH_PART").unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut report = report::Report::default();
    if part != "quality" {
        runtime.block_on(throughput::measure(&mut report));
    }
    if part != "throughput" {
        runtime.block_on(quality::measure(&mut report));
    }
    report.write();
}
