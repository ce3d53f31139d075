//! Random problems thrown at all three policies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use berth_solver::baselines::{Expander, Policy, cluster_autoscaler, plan};
use berth_solver::model::*;
use berth_solver::packing::{Never, Settings};
use berth_solver::testing::*;
use berth_solver::verify::verify;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;

/// How many random problems are looked at where the seeds are fixed.
const PROBLEMS: u64 = 500;

/// Seeds whose plans once broke topology spread.
const FORMER_FAULTS: [u64; 4] = [6_236_134_724_429_182_717, 10_978_874_132_317_816_188, 21, 38];

/// Small problems on which Berth was once worse than a baseline: 3, 3, 4, 5, 9 and 9 pods.
const FORMER_LOSSES: [u64; 6] = [87, 142, 291, 137, 62, 186];

fn now() -> Timestamp {
    Timestamp::from_seconds(1)
}

fn planned(policy: Policy, snapshot: &Snapshot) -> Plan {
    plan(policy, snapshot, &Settings::default(), now(), 7, &Never)
}

/// What is wrong with a plan, if anything.
fn fault(snapshot: &Snapshot, plan: &Plan) -> Option<String> {
    let violations = verify(snapshot, &Settings::default().scheduler_names, plan);
    if !violations.is_empty() {
        return Some(format!("{violations:?}"));
    }
    let placed = plan.placements.iter().map(|one| &one.pod);
    let listed: Vec<&PodKey> =
        placed.chain(plan.unschedulable.iter().map(|one| &one.pod)).collect();
    let distinct: BTreeSet<&PodKey> = listed.iter().copied().collect();
    if distinct.len() != listed.len() || distinct.len() != snapshot.unbound.len() {
        return Some(format!("{} of {} pods are listed", listed.len(), snapshot.unbound.len()));
    }
    let silent = plan.unschedulable.iter().find(|one| one.reason.trim().is_empty());
    silent.map(|one| format!("no reason for {}", one.pod))
}

/// What makes Berth's plan worse than a baseline's, if anything: fewer pods, or a higher price for
/// the same pods.
fn worse(berth: &Plan, other: &Plan) -> Option<String> {
    let pods = |plan: &Plan| -> BTreeSet<PodKey> {
        plan.placements.iter().map(|one| one.pod.clone()).collect()
    };
    let (ours, theirs) = (pods(berth), pods(other));
    if ours.len() < theirs.len() {
        return Some(format!("{}: {} pods, it places {}", other.method, ours.len(), theirs.len()));
    }
    (ours == theirs && berth.price > other.price)
        .then(|| format!("{}: {} against {}", other.method, berth.price, other.price))
}

/// Whether some pod would like something: Cluster Autoscaler ignores that, and may be cheaper for
/// it.
fn has_wishes(snapshot: &Snapshot) -> bool {
    snapshot.unbound.values().any(|pod| {
        let shape = &pod.shape;
        let soft =
            |one: &TopologySpread| one.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway;
        !shape.preferred_node_affinity.is_empty() || shape.topology_spread.iter().any(soft)
    })
}

/// Where Berth is worse than a baseline.
fn losses(snapshot: &Snapshot) -> Vec<String> {
    let berth = planned(Policy::Berth, snapshot);
    let mut others = vec![planned(Policy::Karpenter, snapshot)];
    if !has_wishes(snapshot) {
        others.push(planned(Policy::ClusterAutoscaler, snapshot));
    }
    let hold = others.iter().filter(|other| fault(snapshot, other).is_none());
    hold.filter_map(|other| worse(&berth, other)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_plan_of_berth_holds(seed in any::<u64>()) {
        let snapshot = random_problem(seed);
        let plan = planned(Policy::Berth, &snapshot);
        let fault = fault(&snapshot, &plan);
        prop_assert!(fault.is_none(), "seed {seed}: {}", fault.unwrap_or_default());
    }

    #[test]
    fn equal_inputs_give_equal_plans(seed in any::<u64>()) {
        let snapshot = random_problem(seed);
        for policy in Policy::ALL {
            prop_assert_eq!(planned(policy, &snapshot), planned(policy, &snapshot));
        }
    }
}

#[test]
fn plans_of_former_faults_hold() {
    for seed in FORMER_FAULTS {
        let snapshot = random_problem(seed);
        assert_eq!(fault(&snapshot, &planned(Policy::Berth, &snapshot)), None, "seed {seed}");
    }
}

/// The baselines do as the peers do, which decide in an order of their own: a pod that came later
/// may upset the spread of one that came before.
#[test]
fn plans_of_baselines_hold_nearly_always() {
    let expanders = [Expander::LeastWaste, Expander::Price];
    let mut faults = 0;
    for seed in 0..PROBLEMS {
        let snapshot = random_problem(seed);
        let settings = Settings::default();
        let autoscalers =
            expanders.map(|one| cluster_autoscaler(&snapshot, &settings, one, now(), 7, &Never));
        let plans = autoscalers.into_iter().chain([planned(Policy::Karpenter, &snapshot)]);
        faults += plans.filter(|plan| fault(&snapshot, plan).is_some()).count();
    }
    assert!(faults * 20 <= 3 * PROBLEMS as usize, "{faults} of {} plans", 3 * PROBLEMS);
}

#[test]
fn berth_is_never_worse_than_a_baseline_whose_plan_holds() {
    for seed in (0..PROBLEMS).chain(FORMER_LOSSES) {
        let snapshot = random_problem(seed);
        assert_eq!(losses(&snapshot), Vec::<String>::new(), "seed {seed}");
    }
}

/// 400 types of 1 to 400 CPUs, at prices in proportion, as Karpenter's scheduling benchmark has
/// them.
fn benchmark_catalog() -> Catalog {
    let types = (1..=400_i64).map(|cpus| {
        let per_hour = 0.1 * cpus as f64 + 0.1 * (cpus << 31) as f64 / 1e9;
        let sold = [
            ("zone-1", CapacityType::Spot),
            ("zone-2", CapacityType::Spot),
            ("zone-1", CapacityType::OnDemand),
            ("zone-2", CapacityType::OnDemand),
            ("zone-3", CapacityType::OnDemand),
        ];
        let offerings = sold.map(|(zone, capacity)| offering(zone, capacity, per_hour)).to_vec();
        let name = format!("fake-{cpus:03}");
        let mut kind = instance_type(&name, cpus * 1_000, cpus << 11, offerings);
        kind.capacity.pods = cpus * 10;
        kind.overhead = Resources::new(MilliCpu(100), Bytes::from_mebibytes(10));
        kind
    });
    Catalog::new(types.collect())
}

/// A fifth each: plain, spread over zones, spread over hosts, together in a zone, alone on a host.
fn benchmark_pods(count: usize) -> Vec<Pod> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(42);
    let mut shapes: BTreeMap<Arc<PodShape>, Arc<PodShape>> = BTreeMap::new();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    (0..count)
        .map(|index| {
            let cpu = [100, 250, 500, 1_000, 1_500][random.random_range(0..5)];
            let memory = [100, 256, 512, 1_024, 2_048, 4_096][random.random_range(0..6)];
            let (own, other) = (random.random_range(0..7), random.random_range(0..7));
            let selector = LabelSelector::match_labels(&labels(&[("my-label", names[other])]));
            let spread = |key: &str| TopologySpread {
                topology_key: key.into(),
                max_skew: 1,
                min_domains: None,
                when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
                selector: selector.clone(),
                node_affinity_policy: NodeInclusion::Honor,
                node_taints_policy: NodeInclusion::Ignore,
            };
            let plain = shape(cpu, memory);
            let labelled = plain.clone().label("my-label", names[own]);
            let built = match index * 5 / count {
                0 => labelled,
                1 => labelled.spread_by(spread(well_known::ZONE_LABEL)),
                2 => labelled.spread_by(spread(well_known::HOSTNAME_LABEL)),
                3 => plain
                    .label("my-affinity", names[own])
                    .affinity(well_known::ZONE_LABEL, &[("my-affinity", names[own])]),
                _ => plain.label("app", "nginx").alone_in(well_known::HOSTNAME_LABEL),
            }
            .build();
            let shared = shapes.entry(Arc::clone(&built)).or_insert(built);
            pod(&format!("pod-{index:05}"), shared)
        })
        .collect()
}

#[test]
#[ignore = "prints timings"]
fn pods_per_second_on_karpenters_benchmark() {
    for count in [1_000, 5_000, 20_000] {
        let snapshot = cluster()
            .pool(pool("default"), benchmark_catalog())
            .pods(benchmark_pods(count))
            .snapshot();
        let most = if count > 5_000 { 2 } else { 3 };
        for policy in
            [Policy::Karpenter, Policy::ClusterAutoscaler, Policy::Berth].iter().take(most)
        {
            let started = Instant::now();
            let plan = planned(*policy, &snapshot);
            let seconds = started.elapsed().as_secs_f64();
            println!(
                "{count} pods, {policy}: {seconds:.3} s, {:.0} pods/s, {} nodes, price {}, {} left",
                count as f64 / seconds,
                plan.launches.len(),
                plan.price,
                plan.unschedulable.len()
            );
        }
    }
}
