//! What Karpenter does, by small examples.

use crate::baselines::{Policy, plan};
use crate::model::*;
use crate::packing::{Never, Settings};
use crate::testing::*;
use crate::verify::verify;

const ZONE: &str = well_known::ZONE_LABEL;

fn planned(snapshot: &Snapshot) -> Plan {
    let now = Timestamp::from_seconds(1);
    let plan = plan(Policy::Karpenter, snapshot, &Settings::default(), now, 7, &Never);
    assert_eq!(verify(snapshot, &Settings::default().scheduler_names, &plan), []);
    assert_eq!(plan.method, Method::Karpenter);
    plan
}

/// Types of 2, 4, 8 and 16 CPUs with 4 GiB each CPU, at a price of 1 a CPU, on demand in zone a.
fn linear() -> Catalog {
    let types = [2, 4, 8, 16].map(|cpus| {
        let offerings = vec![offering("a", CapacityType::OnDemand, f64::from(cpus))];
        let cpus = i64::from(cpus);
        instance_type(&format!("c{cpus:02}"), cpus * 1_000, cpus << 12, offerings)
    });
    Catalog::new(types.to_vec())
}

/// The launched types and the pods on each, in the order of the launches.
fn contents(plan: &Plan) -> Vec<(String, Vec<String>)> {
    plan.launches
        .iter()
        .map(|launch| {
            let target = Target::Claim(launch.name.clone());
            let here = plan.placements.iter().filter(|placement| placement.target == target);
            let names = here.map(|placement| placement.pod.name.to_string()).collect();
            (launch.instance_type.to_string(), names)
        })
        .collect()
}

fn named(kind: &str, pods: &[&str]) -> (String, Vec<String>) {
    (kind.to_owned(), pods.iter().map(|pod| (*pod).to_owned()).collect())
}

#[test]
fn a_claim_grows_until_the_largest_type_is_full() {
    let snapshot = cluster()
        .pool(pool("default"), linear())
        .pods(pods("p", 9, &shape(1_900, 100).build()))
        .snapshot();
    // Nine nodes of two CPUs would hold one each; eight pods fit the largest type.
    let plan = planned(&snapshot);
    let sizes: Vec<(String, usize)> =
        contents(&plan).into_iter().map(|(kind, pods)| (kind, pods.len())).collect();
    assert_eq!(sizes, [("c16".to_owned(), 8), ("c02".to_owned(), 1)]);
    assert_eq!(plan.price, price(18.0));
}

#[test]
fn pods_come_by_cpu_and_never_mix_for_memory() {
    // On two CPUs and 8 GiB a CPU-heavy and a memory-heavy pod would share a node; the CPU-heavy
    // ones come first and fill a claim of their own.
    let catalog = Catalog::new(vec![instance_type(
        "m2",
        2_000,
        8 << 10,
        vec![offering("a", CapacityType::OnDemand, 1.0)],
    )]);
    let heavy = shape(1_000, 512).build();
    let tall = shape(900, 7 << 10).build();
    let snapshot = cluster()
        .pool(pool("default"), catalog)
        .pods(pods("heavy", 2, &heavy))
        .pods(pods("tall", 2, &tall))
        .snapshot();
    assert_eq!(
        contents(&planned(&snapshot)),
        [named("m2", &["heavy-0", "heavy-1"]), named("m2", &["tall-0"]), named("m2", &["tall-1"])]
    );
}

#[test]
fn one_on_demand_pod_turns_a_whole_spot_claim_on_demand() {
    let either = shape(1_000, 100).build();
    let steady =
        shape(500, 100).node_selector(well_known::CAPACITY_TYPE_LABEL, "on-demand").build();
    let spot = cluster()
        .pool(pool("default"), mixed_catalog())
        .pods(pods("either", 3, &either))
        .snapshot();
    let types = |plan: &Plan| -> Vec<CapacityType> {
        plan.launches.iter().map(|launch| launch.capacity_type).collect()
    };
    assert_eq!(types(&planned(&spot)), [CapacityType::Spot]);
    let mixed = cluster()
        .pool(pool("default"), mixed_catalog())
        .pods(pods("either", 3, &either))
        .pod(pod("steady", &steady))
        .snapshot();
    assert_eq!(types(&planned(&mixed)), [CapacityType::OnDemand]);
}

#[test]
fn the_claim_with_the_fewest_pods_takes_the_next() {
    // Pods that avoid each other open two claims; of the next two each gets one. Claims with as
    // many pods stay in the order in which they were.
    let alone = shape(1_000, 100).label("app", "db").alone_in(well_known::HOSTNAME_LABEL).build();
    let snapshot = cluster()
        .pool(pool("default"), linear())
        .pods(pods("db", 2, &alone))
        .pods(pods("web", 2, &shape(500, 100).build()))
        .pod(pod("last", &shape(100, 100).build()))
        .snapshot();
    assert_eq!(
        contents(&planned(&snapshot)),
        [named("c02", &["db-0", "web-0"]), named("c02", &["db-1", "last", "web-1"])]
    );
}

#[test]
fn nodes_that_are_there_come_first_by_name_whatever_they_hold() {
    let snapshot = cluster()
        .pool(pool("default"), linear())
        .node(node("b", 4_000, 4_096))
        .node(node("a", 1_000, 4_096))
        .pods(pods("p", 3, &shape(1_000, 100).build()))
        .snapshot();
    let plan = planned(&snapshot);
    assert!(plan.launches.is_empty());
    let targets: Vec<Target> = plan.placements.iter().map(|one| one.target.clone()).collect();
    assert_eq!(targets, ["a", "b", "b"].map(|name| Target::Node(name.into())));
}

#[test]
fn the_heaviest_pool_that_works_launches_then_the_last_by_name() {
    let weighed = |name: &str, weight| NodePool { weight, ..pool(name) };
    let snapshot = |weight| {
        cluster()
            .pool(weighed("a", weight), linear())
            .pool(weighed("b", 0), linear())
            .pod(pod("p", &shape(1_000, 100).build()))
            .snapshot()
    };
    assert_eq!(planned(&snapshot(0)).launches[0].pool, "b");
    assert_eq!(planned(&snapshot(10)).launches[0].pool, "a");
}

#[test]
fn spread_pins_claims_to_the_domain_that_holds_fewest() {
    let web = shape(500, 512).label("app", "web").spread(ZONE, 1).build();
    let snapshot =
        cluster().pool(pool("default"), mixed_catalog()).pods(pods("web", 6, &web)).snapshot();
    let plan = planned(&snapshot);
    let mut zones: Vec<&str> = plan.launches.iter().map(|one| one.zone.as_str()).collect();
    zones.sort_unstable();
    assert_eq!(zones, ["zone-a", "zone-b", "zone-c"]);
    assert_eq!(plan.placements.len(), 6);
}

#[test]
fn a_claim_that_could_be_anywhere_keeps_zone_anti_affinity_from_a_second() {
    let alone = shape(500, 512).label("app", "db").alone_in(ZONE).build();
    let snapshot =
        cluster().pool(pool("default"), mixed_catalog()).pods(pods("db", 3, &alone)).snapshot();
    let plan = planned(&snapshot);
    assert_eq!(plan.launches.len(), 1);
    assert_eq!(plan.unschedulable.len(), 2);
    assert!(plan.unschedulable[0].reason.contains("anti-affinity"), "{:?}", plan.unschedulable);
}

#[test]
fn limits_count_each_claim_as_the_largest_that_it_could_be() {
    // Two small nodes would be within 16 CPUs, but the first claim could have become all of them.
    let limits = Limits { cpu: Some(17_000), ..Limits::default() };
    let alone = shape(1_000, 100).label("app", "db").alone_in(well_known::HOSTNAME_LABEL).build();
    let snapshot = cluster()
        .pool(NodePool { limits, ..pool("default") }, linear())
        .pods(pods("db", 2, &alone))
        .snapshot();
    let plan = planned(&snapshot);
    assert_eq!(contents(&plan), [named("c02", &["db-0"])]);
    assert_eq!(
        plan.unschedulable[0].reason,
        "pool default: its limits leave no room for another node"
    );
}

#[test]
fn min_values_keep_a_claim_from_growing_too_far() {
    let min_values = Box::from([(Name::from(well_known::INSTANCE_TYPE_LABEL), 2)]);
    let snapshot = cluster()
        .pool(NodePool { min_values, ..pool("default") }, linear())
        .pods(pods("p", 5, &shape(1_900, 100).build()))
        .snapshot();
    // With five pods only the largest type would be left.
    let sizes: Vec<usize> =
        contents(&planned(&snapshot)).iter().map(|(_, pods)| pods.len()).collect();
    assert_eq!(sizes, [4, 1]);
}

#[test]
fn wishes_are_kept_where_they_can_be_and_given_up_where_not() {
    let wishing = |zone: &str| {
        let term = requirements(&[(ZONE, Operator::In, &[zone])]);
        shape(500, 512)
            .with(|shape| {
                shape.preferred_node_affinity = Box::from([Weighted { weight: 1, term }]);
            })
            .build()
    };
    let zone_of = |shape| {
        let snapshot =
            cluster().pool(pool("default"), mixed_catalog()).pod(pod("p", &shape)).snapshot();
        planned(&snapshot).launches[0].zone.to_string()
    };
    assert_eq!(zone_of(wishing("zone-c")), "zone-c");
    assert_eq!(zone_of(wishing("nowhere")), "zone-a");
}

#[test]
fn what_fits_nowhere_says_why() {
    let huge = pod("huge", &shape(64_000, 100).build());
    let snapshot = cluster().pool(pool("default"), linear()).pod(huge).snapshot();
    let plan = planned(&snapshot);
    assert_eq!(
        plan.unschedulable[0].reason,
        "pool default: largest type c16: cpu 16000m free, the pod asks for cpu 64000m"
    );
}

#[test]
fn a_stop_leaves_the_rest_without_a_place() {
    let snapshot = cluster()
        .pool(pool("default"), linear())
        .pods(pods("p", 3, &shape(1_000, 100).build()))
        .snapshot();
    let settings = Settings::default();
    let now = Timestamp::from_seconds(1);
    let plan = plan(Policy::Karpenter, &snapshot, &settings, now, 7, &|| true);
    assert_eq!(plan.unschedulable.len(), 3);
    assert_eq!(verify(&snapshot, &settings.scheduler_names, &plan), []);
}
