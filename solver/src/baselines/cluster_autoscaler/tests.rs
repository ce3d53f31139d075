//! What Cluster Autoscaler does, by small examples.

use super::Expander;
use crate::baselines::cluster_autoscaler;
use crate::model::*;
use crate::packing::{Never, Settings};
use crate::testing::*;
use crate::verify::verify;

const ZONE: &str = well_known::ZONE_LABEL;

fn planned_with(snapshot: &Snapshot, expander: Expander) -> Plan {
    let settings = Settings::default();
    let now = Timestamp::from_seconds(1);
    let plan = cluster_autoscaler(snapshot, &settings, expander, now, 7, &Never);
    assert_eq!(verify(snapshot, &settings.scheduler_names, &plan), []);
    assert_eq!(plan.method, Method::ClusterAutoscaler);
    plan
}

fn planned(snapshot: &Snapshot) -> Plan {
    planned_with(snapshot, Expander::LeastWaste)
}

fn on_demand(name: &str, cpus: i64, gibibytes: i64, per_hour: f64) -> InstanceType {
    let offerings = vec![offering("a", CapacityType::OnDemand, per_hour)];
    instance_type(name, cpus * 1_000, gibibytes << 10, offerings)
}

fn types(plan: &Plan) -> Vec<&str> {
    plan.launches.iter().map(|launch| launch.instance_type.as_str()).collect()
}

fn pods_on(plan: &Plan, launch: usize) -> Vec<&str> {
    let target = Target::Claim(plan.launches[launch].name.clone());
    let here = plan.placements.iter().filter(|placement| placement.target == target);
    here.map(|placement| placement.pod.name.as_str()).collect()
}

#[test]
fn pods_go_into_one_group_first_fit_the_largest_first() {
    let catalog = Catalog::new(vec![on_demand("m4", 4, 16, 1.0)]);
    let snapshot = cluster()
        .pool(pool("default"), catalog)
        .pods(pods("a-small", 3, &shape(1_000, 1_024).build()))
        .pods(pods("large", 2, &shape(3_000, 1_024).build()))
        .snapshot();
    let plan = planned(&snapshot);
    assert_eq!(types(&plan), ["m4", "m4", "m4"]);
    assert_eq!(pods_on(&plan, 0), ["a-small-0", "large-0"]);
    assert_eq!(pods_on(&plan, 1), ["a-small-1", "large-1"]);
    assert_eq!(pods_on(&plan, 2), ["a-small-2"]);
}

#[test]
fn least_waste_looks_at_shares_and_price_at_money() {
    // Filled to the brim by eight pods, and ten times as dear as what is half empty.
    let catalog = Catalog::new(vec![on_demand("dear", 4, 4, 10.0), on_demand("roomy", 4, 16, 1.0)]);
    let snapshot = cluster()
        .pool(pool("default"), catalog)
        .pods(pods("p", 8, &shape(1_000, 1_024).build()))
        .snapshot();
    let wasteless = planned_with(&snapshot, Expander::LeastWaste);
    assert_eq!(types(&wasteless), ["dear", "dear"]);
    assert_eq!(wasteless.price, price(20.0));
    let thrifty = planned_with(&snapshot, Expander::Price);
    assert_eq!(types(&thrifty), ["roomy", "roomy"]);
    assert_eq!(thrifty.price, price(2.0));
}

#[test]
fn one_group_is_scaled_up_a_loop_until_none_helps() {
    // The group that wastes least takes the pods that it can; the next loop serves the others.
    let catalog = Catalog::new(vec![on_demand("big", 16, 64, 9.0), on_demand("small", 2, 8, 1.0)]);
    let snapshot = cluster()
        .pool(pool("default"), catalog)
        .pods(pods("a", 2, &shape(2_000, 8 << 10).build()))
        .pod(pod("b", &shape(9_000, 36 << 10).build()))
        .pod(pod("never", &shape(90_000, 1).build()))
        .snapshot();
    let plan = planned(&snapshot);
    assert_eq!(types(&plan), ["small", "small", "big"]);
    assert_eq!(pods_on(&plan, 2), ["b"]);
    assert_eq!(
        plan.unschedulable[0].reason,
        "pool default: largest type big: cpu 16000m free, the pod asks for cpu 90000m"
    );
}

#[test]
fn groups_that_waste_alike_are_told_apart_by_price() {
    let snapshot = cluster()
        .pool(pool("default"), mixed_catalog())
        .pod(pod("p", &shape(2_000, 4_096).build()))
        .snapshot();
    let plan = planned(&snapshot);
    assert_eq!(types(&plan), ["c2.arm64"]);
    assert_eq!(plan.launches[0].zone, "zone-a");
    assert_eq!(plan.launches[0].capacity_type, CapacityType::Spot);
}

#[test]
fn a_scale_up_adds_a_thousand_nodes_at_most_and_the_next_the_rest() {
    let catalog = Catalog::new(vec![on_demand("m1", 1, 4, 1.0)]);
    let snapshot = cluster()
        .pool(pool("default"), catalog)
        .pods(pods("p", 1_200, &shape(1_000, 1_024).build()))
        .snapshot();
    assert_eq!(planned(&snapshot).launches.len(), 1_200);
}

#[test]
fn spread_pods_end_up_even_and_limits_hold() {
    let web = shape(500, 512).label("app", "web").spread(ZONE, 1).build();
    let snapshot = |limits| {
        cluster()
            .pool(NodePool { limits, ..pool("default") }, mixed_catalog())
            .pods(pods("web", 7, &web))
            .snapshot()
    };
    let plan = planned(&snapshot(Limits::default()));
    assert_eq!(plan.placements.len(), 7);
    let mut zones: Vec<&str> = plan.launches.iter().map(|one| one.zone.as_str()).collect();
    zones.sort_unstable();
    assert_eq!(zones, ["zone-a", "zone-b", "zone-c"]);
    // Two nodes only: two zones get pods, as many as the empty third one allows.
    let plan = planned(&snapshot(Limits { nodes: Some(2), ..Limits::default() }));
    assert_eq!(plan.launches.len(), 2);
    assert_eq!(plan.placements.len() + plan.unschedulable.len(), 7);
}

#[test]
fn pods_that_must_be_together_or_apart_are() {
    const HOST: &str = well_known::HOSTNAME_LABEL;
    let alone = shape(500, 512).label("app", "db").alone_in(HOST).build();
    let flock = shape(500, 512).label("app", "flock").affinity(HOST, &[("app", "flock")]).build();
    let follower = shape(500, 512).affinity(ZONE, &[("app", "db")]).build();
    let snapshot = cluster()
        .pool(pool("default"), mixed_catalog())
        .pods(pods("db", 3, &alone))
        .pods(pods("flock", 2, &flock))
        .pods(pods("follower", 2, &follower))
        .snapshot();
    let plan = planned(&snapshot);
    assert_eq!(plan.placements.len(), 7);
    assert!(plan.launches.len() >= 3);
}

#[test]
fn heavier_pools_have_priority() {
    let small = Catalog::new(vec![on_demand("small", 2, 8, 1.0)]);
    let big = Catalog::new(vec![on_demand("big", 16, 64, 9.0)]);
    let snapshot = cluster()
        .pool(NodePool { weight: 5, ..pool("heavy") }, big)
        .pool(pool("light"), small)
        .pod(pod("p", &shape(1_500, 1_024).build()))
        .snapshot();
    assert_eq!(types(&planned(&snapshot)), ["big"]);
}
