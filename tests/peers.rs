//! The policy `karpenter` against Karpenter itself: the same work, the same price.
//!
//! It needs Go and the modules of `benches/peers/karpenter/go.mod`.

#![allow(dead_code, clippy::expect_used, reason = "a test that meets nonsense should stop")]

#[path = "../benches/peers/karpenter.rs"]
mod karpenter;
#[path = "../benches/peers/problems.rs"]
mod problems;

use std::io::Write as _;

use berth_controlplane::in_ci;
use berth_solver::baselines::{self, Policy};
use berth_solver::model::Timestamp;
use berth_solver::packing::{Never, Settings};
use karpenter::{Karpenter, Run};
use problems::{AGAIN, Sold, is_same};

/// How many problems are looked at.
const PROBLEMS: u64 = 60;
/// How many of a hundred must have the same price.
const SHARE: usize = 95;

#[test]
fn the_policy_costs_what_karpenter_itself_costs() {
    let karpenter = match Karpenter::build() {
        Ok(karpenter) => karpenter,
        Err(missing) => {
            assert!(!in_ci(), "{missing}");
            // Past the test runner's capture, which would hide it.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED the_policy_costs_what_karpenter_itself_costs: {missing}"
            );
            return;
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    // The same everywhere, whether the shared data is there or not.
    let catalogs = [Sold::built_in(), Sold::built_in(), Sold::benchmark(folder.path())];
    let settings = Settings::default();
    let mut others = Vec::new();
    for seed in 0..PROBLEMS {
        let (sold, snapshot) = problems::random(&catalogs, seed);
        let run = Run { workers: 1, times: 1 };
        let ask = || karpenter.plan(&sold.file, &snapshot, run).expect("Karpenter's plan");
        let now = Timestamp::from_seconds(1);
        let ours = baselines::plan(Policy::Karpenter, &snapshot, &settings, now, 1, &Never);
        let price = ours.price.as_f64();
        let mut theirs = vec![ask().price_per_hour];
        while !is_same(price, &theirs) && theirs.len() <= AGAIN {
            theirs.push(ask().price_per_hour);
        }
        if !is_same(price, &theirs) {
            others.push(format!("seed {seed}, {}: {price}, Karpenter {theirs:.3?}", sold.name));
        }
    }
    println!("{} of {PROBLEMS} differ:\n{}", others.len(), others.join("\n"));
    let allowed = PROBLEMS as usize * (100 - SHARE) / 100;
    assert!(others.len() <= allowed, "{} of {PROBLEMS} differ", others.len());
}
