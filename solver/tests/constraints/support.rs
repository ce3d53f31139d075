//! A shop of two machines, and what becomes of pods.

use berth_solver::model::*;
use berth_solver::packing::{Never, Settings, plan};
use berth_solver::testing::*;
use berth_solver::verify::verify;

pub const ZONE: &str = well_known::ZONE_LABEL;
pub const KIND: &str = well_known::INSTANCE_TYPE_LABEL;

/// The plan, which passes `verify`.
pub fn planned_with(cluster: &ClusterBuilder, settings: &Settings) -> Plan {
    let snapshot = cluster.snapshot();
    let plan = plan(&snapshot, settings, Timestamp::from_seconds(1), 7, &Never);
    assert_eq!(verify(&snapshot, &settings.scheduler_names, &plan), []);
    plan
}

pub fn planned(cluster: &ClusterBuilder) -> Plan {
    planned_with(cluster, &Settings::default())
}

/// Where each pod goes, by name: `node NAME`, `TYPE in ZONE`, or `not: REASON`.
pub fn outcome(plan: &Plan) -> Vec<String> {
    let place = |target: &Target| match target {
        Target::Node(name) => format!("node {name}"),
        Target::Claim(name) => {
            plan.launches.iter().find(|launch| launch.name == *name).map_or_else(
                || format!("claim {name}"),
                |launch| format!("{} in {}", launch.instance_type, launch.zone),
            )
        }
    };
    let placed = plan.placements.iter().map(|one| (one.pod.clone(), place(&one.target)));
    let left =
        plan.unschedulable.iter().map(|one| (one.pod.clone(), format!("not: {}", one.reason)));
    let mut all: Vec<_> = placed.chain(left).collect();
    all.sort();
    all.into_iter().map(|(_, what)| what).collect()
}

pub fn in_zone(name: &str, zone: &str, cpu_milli: i64) -> Node {
    let base = node(name, cpu_milli, 8_192);
    Node { labels: base.labels.with([(ZONE.into(), zone.into())]), ..base }
}

/// One pool that sells `small` (2 CPU, 8 pods, 10 GiB disk, 0.1) and `large` (8 CPU, 64 GiB disk,
/// 2 GPUs, huge pages, 0.5) in zone `a`, and in zone `b` a tenth dearer.
pub fn shop() -> (NodePool, Catalog) {
    let everywhere = |price: f64| {
        vec![
            offering("a", CapacityType::OnDemand, price),
            offering("b", CapacityType::OnDemand, price * 1.1),
        ]
    };
    let mut small = instance_type("small", 2_000, 4_096, everywhere(0.1));
    small.capacity.pods = 8;
    small.capacity.ephemeral_storage = Bytes::from_mebibytes(10 << 10);
    let mut large = instance_type("large", 8_000, 32_768, everywhere(0.5));
    large.capacity.ephemeral_storage = Bytes::from_mebibytes(64 << 10);
    large.capacity.set_extended("nvidia.com/gpu".into(), 2);
    large.capacity.set_extended("hugepages-2Mi".into(), 1 << 30);
    (pool("general"), Catalog::new(vec![small, large]))
}

pub fn base() -> ClusterBuilder {
    let (pool, catalog) = shop();
    cluster().pool(pool, catalog)
}
