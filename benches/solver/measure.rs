//! How long plans take, and how good they are.

use std::time::{Duration, Instant};

use berth_solver::baselines::{self, Policy};
use berth_solver::model::{Plan, Snapshot, Timestamp};
use berth_solver::packing::{self, Budget, Never, Settings};
use berth_solver::verify::verify;
use criterion::{Criterion, SamplingMode};
use serde::Serialize;

use crate::cases::{Case, SEED};
use crate::memory::{forget_peak, memory};

/// How often a short look is taken.
const TIMES: usize = 3;
/// Looks after which a plan may be within one percent, in milliseconds.
const LOOKS: [u64; 9] = [2, 5, 10, 20, 50, 100, 200, 500, 1_000];
/// More pods than this are not given to the policies of the peers.
const MOST_FOR_PEERS: usize = 20_000;

/// One case, in the keys of `solver.json`. Gaps are in percent, to the best bound that was proven
/// in this run, times in milliseconds, prices per hour.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub catalog: String,
    pub types: &'static str,
    pub workload: &'static str,
    pub pods: usize,
    pub shapes: usize,
    /// The median of criterion's samples.
    pub first_plan_ms: f64,
    pub pods_per_second: f64,
    pub gap_first: f64,
    #[serde(rename = "gap10ms")]
    pub gap_10_ms: f64,
    #[serde(rename = "gap100ms")]
    pub gap_100_ms: f64,
    /// What the plan of 100 ms proves itself.
    #[serde(rename = "ownGap100ms")]
    pub own_gap_100_ms: Option<f64>,
    /// After a second, or as long as the longest look is.
    #[serde(rename = "gap1s")]
    pub gap_1_s: f64,
    /// The shortest look whose plan is within one percent.
    pub one_percent_after_ms: Option<f64>,
    /// By how much the looks of 100 ms and of a second took longer than that, at most.
    pub overrun_ms: f64,
    pub price: f64,
    pub lower_bound: f64,
    pub unplaced: usize,
    /// What the checker finds.
    pub faults: usize,
    pub karpenter: Option<Peer>,
    pub cluster_autoscaler: Option<Peer>,
    /// The most memory that the bench took meanwhile, the pods and the catalog included.
    pub peak_rss_mib: Option<f64>,
}

/// What a peer's policy made of it.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    pub price: f64,
    pub unplaced: usize,
    pub pods_per_second: f64,
}

/// Measures a case.
pub fn row(criterion: &mut Criterion, case: &Case, longest: Duration) -> Row {
    let snapshot = &case.snapshot;
    forget_peak();
    let first_plan = first_plan(criterion, case);
    let (first, _) = planned(snapshot, Duration::ZERO);
    let (within_10, _) = median(snapshot, Duration::from_millis(10));
    let (within_100, over_100) = median(snapshot, Duration::from_millis(100));
    let (best, over) = planned(snapshot, longest);
    let peak_rss_mib = memory("VmHWM").map(|bytes| bytes as f64 / f64::from(1 << 20));
    let bound = [&within_10, &within_100, &best].map(|plan| plan.lower_bound.as_f64());
    let bound = bound.into_iter().fold(0.0, f64::max);
    let gap = |plan: &Plan| (plan.price.as_f64() / bound - 1.0) * 100.0;
    let is_close = |plan: &Plan| gap(plan) <= 1.0;
    let one_percent_after_ms = if is_close(&first) {
        Some(millis(first_plan))
    } else {
        let close = |look: &u64| is_close(&median(snapshot, Duration::from_millis(*look)).0);
        LOOKS.into_iter().find(close).map(|look| look as f64)
    };
    let asked = case.pods <= MOST_FOR_PEERS;
    Row {
        catalog: case.catalog.clone(),
        types: case.types,
        workload: case.workload,
        pods: case.pods,
        shapes: case.shapes(),
        first_plan_ms: millis(first_plan),
        pods_per_second: per_second(case.pods, first_plan),
        gap_first: gap(&first),
        gap_10_ms: gap(&within_10),
        gap_100_ms: gap(&within_100),
        own_gap_100_ms: within_100.gap().map(|gap| gap * 100.0),
        gap_1_s: gap(&best),
        one_percent_after_ms,
        overrun_ms: millis(over.max(over_100)),
        price: best.price.as_f64(),
        lower_bound: bound,
        unplaced: best.unschedulable.len(),
        faults: verify(snapshot, &Settings::default().scheduler_names, &best).len(),
        karpenter: asked.then(|| peer(Policy::Karpenter, case)),
        cluster_autoscaler: asked.then(|| peer(Policy::ClusterAutoscaler, case)),
        peak_rss_mib,
    }
}

/// How long a plan takes that nothing improves.
fn first_plan(criterion: &mut Criterion, case: &Case) -> Duration {
    let mut samples: Vec<Duration> = Vec::new();
    let mut group = criterion.benchmark_group("first plan");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(case.name(), |bencher| {
        bencher.iter_custom(|count| {
            let took: Duration = (0..count).map(|_| timed(case)).sum();
            samples.push(took.div_f64(count as f64));
            took
        });
    });
    group.finish();
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

fn timed(case: &Case) -> Duration {
    let began = Instant::now();
    let plan = plan(&case.snapshot, &Budget(|| 1.0));
    let took = began.elapsed();
    std::hint::black_box(plan);
    took
}

fn plan<F: Fn() -> f64>(snapshot: &Snapshot, budget: &Budget<F>) -> Plan {
    packing::plan(snapshot, &Settings::default(), Timestamp::from_seconds(1), SEED, budget)
}

/// The plan after so long, and how much longer it took.
fn planned(snapshot: &Snapshot, budget: Duration) -> (Plan, Duration) {
    let began = Instant::now();
    let spent = || {
        if budget.is_zero() { 1.0 } else { began.elapsed().as_secs_f64() / budget.as_secs_f64() }
    };
    let plan = plan(snapshot, &Budget(spent));
    (plan, began.elapsed().saturating_sub(budget))
}

/// Of several plans the one whose price is in the middle, and the longest overrun.
fn median(snapshot: &Snapshot, budget: Duration) -> (Plan, Duration) {
    let mut plans: Vec<(Plan, Duration)> = (0..TIMES).map(|_| planned(snapshot, budget)).collect();
    let longest = plans.iter().map(|(_, over)| *over).max().unwrap_or_default();
    plans.sort_by_key(|(plan, _)| plan.price);
    (plans.swap_remove(TIMES / 2).0, longest)
}

fn peer(policy: Policy, case: &Case) -> Peer {
    let (settings, now) = (Settings::default(), Timestamp::from_seconds(1));
    let began = Instant::now();
    let plan = baselines::plan(policy, &case.snapshot, &settings, now, SEED, &Never);
    let took = began.elapsed();
    Peer {
        price: plan.price.as_f64(),
        unplaced: plan.unschedulable.len(),
        pods_per_second: per_second(case.pods, took),
    }
}

fn per_second(pods: usize, took: Duration) -> f64 {
    pods as f64 / took.as_secs_f64().max(1e-9)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
