use std::sync::Arc;

use berth_simulations::trace::{
    GPU_RESOURCE, Shapes, TraceRecord, TraceShape, WORKLOAD_LABEL, snapshots,
};
use berth_solver::model::{Change, ClusterEvent, ClusterState, Name, Timestamp, well_known};
use berth_solver::packing::{self, Never, Settings};
use berth_solver::testing;
use berth_solver::verify::verify;

fn record(name: &str, shape: TraceShape) -> TraceRecord {
    TraceRecord {
        namespace: "default".into(),
        name: name.into(),
        workload: "web".into(),
        submit: Timestamp::from_seconds(0),
        start: None,
        end: None,
        shape,
    }
}

fn small() -> TraceShape {
    TraceShape { cpu_milli: 100, memory_mib: 64, ..TraceShape::default() }
}

/// How many nodes a plan launches for four of these pods, checked by `verify`.
fn nodes_for(shape: &TraceShape) -> usize {
    let mut state = ClusterState::new();
    let pool = testing::pool("default");
    let catalog = Arc::new(testing::exoscale_catalog(&["z1", "z2"]));
    state.apply(ClusterEvent::Catalog(Change::Applied((pool.name.clone(), catalog))));
    state.apply(ClusterEvent::NodePool(Change::Applied(pool)));
    let mut shapes = Shapes::new();
    for index in 0..4 {
        let pod = shapes.pod(&record(&format!("web-{index}"), shape.clone()));
        state.apply(ClusterEvent::Pod(Change::Applied(pod)));
    }
    let (snapshot, settings) = (state.snapshot(), Settings::default());
    let plan = packing::plan(&snapshot, &settings, Timestamp::default(), 1, &Never);
    assert_eq!(verify(&snapshot, &settings.scheduler_names, &plan), []);
    assert_eq!((plan.placements.len(), plan.unschedulable.len()), (4, 0));
    plan.launches.len()
}

#[test]
fn rules_hold_in_the_plans_that_are_made_of_them() {
    assert_eq!(nodes_for(&small()), 1);
    assert_eq!(nodes_for(&TraceShape { zone_spread: Some(1), ..small() }), 2);
    assert_eq!(nodes_for(&TraceShape { host_anti_affinity: true, ..small() }), 4);
    assert_eq!(nodes_for(&TraceShape { max_per_node: Some(2), ..small() }), 2);
    assert_eq!(nodes_for(&TraceShape { max_per_node: Some(3), ..small() }), 2);
}

#[test]
fn a_share_of_a_card_takes_a_whole_one_and_other_amounts_are_kept() {
    let mut shapes = Shapes::new();
    let shape = shapes.shape(&record(
        "a",
        TraceShape {
            gpu: 1,
            gpu_milli: 460,
            ephemeral_mib: 3,
            priority: 9,
            node_selector: vec![("a".into(), "b".into())],
            capacity_type: Some(berth_solver::model::CapacityType::Spot),
            gpu_models: vec!["T4".into()],
            resources: vec![("example.com/fpga".into(), 2)],
            ..small()
        },
    ));
    assert_eq!(shape.requests.cpu.0, 100);
    assert_eq!(shape.requests.memory.0, 64 << 20);
    assert_eq!(shape.requests.ephemeral_storage.0, 3 << 20);
    assert_eq!(shape.requests.pods, 1);
    assert_eq!(shape.requests.extended_amount(GPU_RESOURCE), 1);
    assert_eq!(shape.requests.extended_amount("example.com/fpga"), 2);
    assert_eq!(shape.priority, 9);
    assert_eq!(shape.node_selector.get("a").unwrap(), &"b");
    assert_eq!(shape.node_selector.get(well_known::CAPACITY_TYPE_LABEL).unwrap(), &"spot");
    assert_eq!(shape.node_affinity.len(), 1);
}

#[test]
fn pods_of_equal_shape_share_it_and_only_rules_tell_workloads_apart() {
    let mut shapes = Shapes::new();
    let of = |shape: &TraceShape, workload: &str| TraceRecord {
        workload: Name::from(workload),
        ..record("x", shape.clone())
    };
    let first = shapes.shape(&of(&small(), "a"));
    assert!(Arc::ptr_eq(&first, &shapes.shape(&of(&small(), "b"))));
    let alone = TraceShape { host_anti_affinity: true, ..small() };
    let ruled = shapes.shape(&of(&alone, "a"));
    assert_ne!(ruled, shapes.shape(&of(&alone, "b")));
    assert_eq!(ruled.labels.get(WORKLOAD_LABEL).unwrap(), &"a");
    assert_eq!(shapes.len(), 3);
}

#[test]
fn moments_are_evenly_spaced_and_who_has_left_is_not_there() {
    let of = |name: &str, from: i64, to: Option<i64>| TraceRecord {
        submit: Timestamp::from_seconds(from),
        start: None,
        end: to.map(Timestamp::from_seconds),
        ..record(name, small())
    };
    let records = [of("a", 0, Some(50)), of("b", 20, None), of("c", 100, None)];
    let seen: Vec<(i64, Vec<&str>)> = snapshots(&records, 3)
        .into_iter()
        .map(|moment| {
            let names = moment.alive.iter().map(|one| &*one.name).collect();
            (moment.at.as_millis(), names)
        })
        .collect();
    assert_eq!(seen, [(25_000, vec!["a", "b"]), (50_000, vec!["b"]), (75_000, vec!["b"])]);
    assert!(snapshots(&[], 3).is_empty());
}
