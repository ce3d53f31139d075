//! Resources, and what pools and their clouds say about machines.

use berth_solver::model::*;
use berth_solver::packing::{MinValuesPolicy, Settings};
use berth_solver::testing::*;

use super::support::*;

#[test]
fn every_resource_counts() {
    let disk = |mebibytes| {
        shape(100, 100)
            .with(move |shape| shape.requests.ephemeral_storage = Bytes::from_mebibytes(mebibytes))
    };
    let largest = |has: &str, asks: &str| {
        format!("not: pool general: largest type large has {has}, the pod asks for {asks}")
    };
    let rows = [
        (disk(1), "small in a".to_owned()),
        (disk(20 << 10), "large in a".to_owned()),
        (disk(65 << 10), largest("ephemeral-storage 65536Mi", "ephemeral-storage 66560Mi")),
        (shape(100, 100).resource("hugepages-2Mi", 1 << 21), "large in a".to_owned()),
        (
            shape(100, 100).resource("hugepages-2Mi", 1 << 31),
            largest("hugepages-2Mi 1073741824", "hugepages-2Mi 2147483648"),
        ),
        (shape(100, 100).resource("nvidia.com/gpu", 2), "large in a".to_owned()),
        (
            shape(100, 100).resource("nvidia.com/gpu", 3),
            largest("nvidia.com/gpu 2", "nvidia.com/gpu 3"),
        ),
        (shape(100, 100).resource("gpu-milli", 300), "large in a".to_owned()),
        (shape(100, 100).resource("gpu-milli", 3_000), largest("gpu-milli 2000", "gpu-milli 3000")),
    ];
    for (shape, expected) in rows {
        let shape = shape.build();
        let found = outcome(&planned(&base().pod(pod("one", &shape))));
        assert_eq!(found, [expected], "{:?}", shape.requests);
    }
    let many = base().pods(pods("tiny", 17, &shape(10, 10).build()));
    assert_eq!(planned(&many).launches.len(), 3, "eight pods a small one");
}

#[test]
fn shares_of_a_gpu_lie_on_one_device() {
    let gpus = |list: &[(&str, i64)]| {
        let pods = list.iter().enumerate().map(|(index, (name, amount))| {
            pod(&format!("p{index}"), &shape(100, 100).resource(name, *amount).build())
        });
        let plan = planned(&base().pods(pods));
        assert!(plan.unschedulable.is_empty());
        plan.launches.len()
    };
    let share = |milli| ("gpu-milli", milli);
    assert_eq!(gpus(&[share(600), share(600), share(400), share(400)]), 1);
    assert_eq!(gpus(&[share(600), share(600), share(600)]), 2, "600 and 600 share no device");
    assert_eq!(gpus(&[share(600), ("nvidia.com/gpu", 1)]), 1);
    assert_eq!(gpus(&[share(600), ("nvidia.com/gpu", 2)]), 2);
    assert_eq!(gpus(&[share(250); 8]), 1);
    let mut here = node("n", 4_000, 8_192);
    here.allocatable.set_extended("nvidia.com/gpu".into(), 1);
    let of = |name: &str, milli| pod(name, &shape(100, 100).resource("gpu-milli", milli).build());
    let pods = [bound(of("old", 600), "n"), of("a", 400), of("b", 500)];
    assert_eq!(
        outcome(&planned(&cluster().node(here).pods(pods))),
        [
            "node n",
            "not: there is no NodePool to launch nodes from; node n: gpu-milli 0 free, the pod asks \
             for gpu-milli 500",
        ]
    );
}

#[test]
fn so_many_kinds_must_remain_possible() {
    let with = |key: &str, count: u32, policy, cpu: i64| {
        let (mut general, catalog) = shop();
        general.min_values = Box::from([(key.into(), count)]);
        let cluster = cluster().pool(general, catalog).pod(pod("p", &shape(cpu, 100).build()));
        planned_with(&cluster, &Settings { min_values: policy, ..Settings::default() })
    };
    let strict = MinValuesPolicy::Strict;
    assert_eq!(outcome(&with(KIND, 2, strict, 1_000)), ["small in a"]);
    assert_eq!(
        outcome(&with(KIND, 2, strict, 3_000)),
        ["not: pool general: its minValues of node.kubernetes.io/instance-type is 2, and the pod \
          fits with 1 of them"]
    );
    let relaxed = with(KIND, 2, MinValuesPolicy::BestEffort, 3_000);
    assert_eq!(outcome(&relaxed), ["large in a"]);
    assert!(relaxed.launches[0].min_values_relaxed);
    assert_eq!(outcome(&with(ZONE, 2, strict, 3_000)), ["large in a"]);
    assert_eq!(
        outcome(&with(ZONE, 3, strict, 100)),
        ["not: pool general: its minValues of topology.kubernetes.io/zone is 3, and the pod fits \
          with 2 of them"]
    );
    // What is put on one node stays within what both types hold.
    let (mut general, catalog) = shop();
    general.min_values = Box::from([(KIND.into(), 2)]);
    let many = cluster().pool(general, catalog).pods(pods("p", 6, &shape(1_000, 100).build()));
    assert_eq!(planned(&many).launches.len(), 3);
}

#[test]
fn bounds_on_numbers_hold_for_pools_and_pods() {
    let rows = [
        (Operator::Gt, "4", "large in a"),
        (Operator::Gte, "8", "large in a"),
        (Operator::Lt, "8", "small in a"),
        (Operator::Lte, "2", "small in a"),
    ];
    for (operator, bound, expected) in rows {
        let (general, mut catalog) = shop();
        for (kind, cpus) in catalog.instance_types.iter_mut().zip(["8", "2"]) {
            kind.labels.require("cpus".into(), &values(Operator::In, &[cpus]));
        }
        let required = requirements(&[("cpus", operator, &[bound])]);
        let strict = NodePool { requirements: required, ..general.clone() };
        let plain = pod("p", &shape(100, 100).build());
        let plan = planned(&cluster().pool(strict, catalog.clone()).pod(plain));
        assert_eq!(outcome(&plan), [expected], "pool: {operator:?} {bound}");
        let choosy = pod("p", &shape(100, 100).require("cpus", operator, &[bound]).build());
        let plan = planned(&cluster().pool(general, catalog).pod(choosy));
        assert_eq!(outcome(&plan), [expected], "pod: {operator:?} {bound}");
    }
}

#[test]
fn a_pool_may_cost_only_so_much() {
    let (mut general, catalog) = shop();
    general.limits.price = Some(price(0.25));
    let alone = shape(100, 100).label("app", "x").alone_in(well_known::HOSTNAME_LABEL).build();
    let plan = planned(&cluster().pool(general, catalog).pods(pods("p", 3, &alone)));
    assert_eq!(
        outcome(&plan),
        ["small in a", "small in a", "not: pool general: its limit of price would be exceeded"]
    );
}

/// The shop with two machines of `small` reserved in zone `a`.
fn with_reserved() -> (NodePool, Catalog) {
    let (general, mut catalog) = shop();
    let mut reserved = offering("a", CapacityType::Reserved, 0.0);
    reserved.reserved_count = Some(2);
    for kind in catalog.instance_types.iter_mut().filter(|kind| kind.name == "small") {
        kind.offerings.push(reserved.clone());
    }
    (general, Catalog::new(catalog.instance_types))
}

#[test]
fn reserved_machines_are_used_first_and_no_more_than_there_are() {
    use CapacityType::{OnDemand, Reserved};
    let (general, catalog) = with_reserved();
    let bought = |plan: &Plan| {
        let mut list: Vec<CapacityType> =
            plan.launches.iter().map(|launch| launch.capacity_type).collect();
        list.sort();
        list
    };
    let big = shape(1_500, 100).build();
    let four = cluster().pool(general.clone(), catalog.clone()).pods(pods("p", 4, &big));
    assert_eq!(bought(&planned(&four)), [Reserved, Reserved, OnDemand, OnDemand]);
    let mut taken = claim("general-old", &general, type_of(&catalog, "small"));
    taken.labels = taken.labels.with([(well_known::CAPACITY_TYPE_LABEL.into(), "reserved".into())]);
    taken.allocatable = Some(Resources::default());
    let plan = planned(&four.claim(taken));
    assert_eq!(bought(&plan), [Reserved, OnDemand, OnDemand, OnDemand]);
    let bought_so: &[(&str, Operator, &[&str])] =
        &[(well_known::CAPACITY_TYPE_LABEL, Operator::In, &["reserved"])];
    let only = NodePool { requirements: requirements(bought_so), ..general };
    let plan = planned(&cluster().pool(only, catalog).pods(pods("p", 3, &big)));
    assert_eq!(
        outcome(&plan)[2],
        "not: pool general: all 2 reserved machines of small in a are in use"
    );
}
