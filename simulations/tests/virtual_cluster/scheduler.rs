//! The model of kube-scheduler places pods by the rules of the real one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_simulations::scenario::{Step, shape};
use berth_simulations::scheduler::{Extender, NoExtender};
use berth_simulations::workloads::{Workload, WorkloadKind};
use berth_simulations::{World, WorldSettings};
use berth_solver::model::{
    HostPort, LabelSelector, Name, NodeInclusion, Pod, PodAffinityTerm, PodKey, PodShape, Protocol,
    Taint, TaintEffect, TopologySpread, WhenUnsatisfiable, well_known,
};

use crate::support::{START, count_pods, register_nodes, request, world};

/// Three nodes of eight CPUs, `node-0` to `node-2`, each in a zone of its own.
fn three_nodes() -> World {
    let mut world = world(WorldSettings::new(1));
    for (number, zone) in ["at-vie-1", "ch-gva-2", "de-fra-1"].iter().enumerate() {
        world.create_instance(request(&number.to_string(), "cpu.extra-large", zone)).unwrap();
    }
    world.advance_to(START + Duration::from_secs(60));
    register_nodes(&mut world);
    world
}

fn apply(world: &mut World, name: &str, replicas: u32, shape: PodShape) {
    let key = PodKey { namespace: "shop".into(), name: name.into() };
    let shape = Arc::new(shape);
    let kind = WorkloadKind::Serving;
    world.perform(Step::Apply(Workload { key, shape, replicas, kind, replace_first: false }));
}

fn pods_by_node(world: &World) -> BTreeMap<Name, usize> {
    let mut nodes = BTreeMap::new();
    for pod in world.cluster().objects().pods.values() {
        if let Some(node) = &pod.node {
            *nodes.entry(node.clone()).or_default() += 1;
        }
    }
    nodes
}

fn counts(world: &World) -> Vec<usize> {
    pods_by_node(world).into_values().collect()
}

fn term(topology_key: &str, app: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: topology_key.into(),
        selector: LabelSelector::match_labels(&shape("shop", app, 1, 1).labels),
        namespaces: Box::from([Name::from("shop")]),
        namespace_selector: None,
    }
}

#[test]
fn the_least_allocated_node_comes_first() {
    let mut world = three_nodes();
    apply(&mut world, "web", 9, shape("shop", "web", 500, 512));
    assert_eq!(world.schedule(&mut NoExtender), 9);
    assert_eq!(counts(&world), [3, 3, 3]);
}

#[test]
fn anti_affinity_allows_one_pod_a_host_and_works_against_newcomers_too() {
    let mut world = three_nodes();
    let mut lonely = shape("shop", "lonely", 100, 64);
    lonely.anti_affinity = Box::from([
        term(well_known::HOSTNAME_LABEL, "lonely"),
        term(well_known::HOSTNAME_LABEL, "web"),
    ]);
    apply(&mut world, "lonely", 4, lonely);
    world.schedule(&mut NoExtender);
    assert_eq!(counts(&world), [1, 1, 1]);
    assert_eq!(count_pods(&world, |pod| pod.unschedulable), 1);

    apply(&mut world, "web", 1, shape("shop", "web", 100, 64));
    world.schedule(&mut NoExtender);
    assert_eq!(count_pods(&world, |pod| pod.unschedulable), 2, "web is kept out by lonely");
}

#[test]
fn affinity_brings_pods_into_one_zone_the_first_one_by_itself() {
    let mut world = three_nodes();
    let mut sociable = shape("shop", "sociable", 100, 64);
    sociable.affinity = Box::from([term(well_known::ZONE_LABEL, "sociable")]);
    apply(&mut world, "sociable", 5, sociable);
    world.schedule(&mut NoExtender);
    assert_eq!(counts(&world), [5]);
}

#[test]
fn a_hard_spread_keeps_the_skew_whatever_the_nodes_have_left() {
    let mut world = three_nodes();
    world.call(|cluster| {
        let cordoned = |node: &mut berth_solver::model::Node| node.unschedulable = true;
        cluster.update_node("node-2", None, cordoned).unwrap();
    });
    let mut web = shape("shop", "web", 100, 64);
    web.topology_spread = Box::from([TopologySpread {
        topology_key: well_known::ZONE_LABEL.into(),
        max_skew: 2,
        min_domains: None,
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: LabelSelector::match_labels(&web.labels),
        node_affinity_policy: NodeInclusion::Honor,
        node_taints_policy: NodeInclusion::Ignore,
    }]);
    apply(&mut world, "web", 9, web);
    world.schedule(&mut NoExtender);
    // The cordoned node's zone counts, with no pods: two are the most elsewhere.
    assert_eq!(counts(&world), [2, 2]);
}

#[test]
fn taints_selectors_and_ports_keep_pods_off() {
    let mut world = three_nodes();
    world.call(|cluster| {
        let taint = Taint {
            key: "dedicated".into(),
            value: Name::default(),
            effect: TaintEffect::NoSchedule,
        };
        cluster.update_node("node-0", None, |node| node.taints = Box::from([taint])).unwrap();
    });
    let mut gate = shape("shop", "gate", 100, 64);
    gate.host_ports =
        Box::from([HostPort { ip: "0.0.0.0".into(), protocol: Protocol::Tcp, port: 80 }]);
    apply(&mut world, "gate", 3, gate);
    world.schedule(&mut NoExtender);
    let by_node = pods_by_node(&world);
    assert_eq!(by_node, BTreeMap::from([("node-1".into(), 1), ("node-2".into(), 1)]));
}

/// Passes `node-2` alone and counts.
#[derive(Default)]
struct OnlyTheThird {
    calls: usize,
    broken: bool,
}

impl Extender for OnlyTheThird {
    fn filter(&mut self, _: &Pod, candidates: &[Name]) -> Result<Vec<Name>, String> {
        self.calls += 1;
        if self.broken {
            return Err("out of order".to_owned());
        }
        Ok(candidates.iter().filter(|name| ***name == *"node-2").cloned().collect())
    }

    fn prioritize(&mut self, _: &Pod, _: &[Name]) -> Vec<(Name, i64)> {
        Vec::new()
    }
}

#[test]
fn pods_go_where_the_extender_lets_them() {
    let mut world = three_nodes();
    let mut extender = OnlyTheThird::default();
    apply(&mut world, "web", 4, shape("shop", "web", 100, 64));
    assert_eq!(world.schedule(&mut extender), 4);
    assert_eq!(extender.calls, 4);
    assert_eq!(pods_by_node(&world), BTreeMap::from([("node-2".into(), 4)]));
}

#[test]
fn a_pod_whose_extender_fails_is_tried_again_and_is_not_called_unschedulable() {
    let mut world = three_nodes();
    let mut extender = OnlyTheThird { broken: true, ..OnlyTheThird::default() };
    apply(&mut world, "web", 1, shape("shop", "web", 100, 64));
    assert_eq!(world.schedule(&mut extender), 0);
    assert_eq!(count_pods(&world, |pod| pod.unschedulable), 0);
    let again = world.now() + Duration::from_secs(1);
    assert_eq!(world.next_event_at(), Some(again));
    extender.broken = false;
    world.advance_to(again);
    assert_eq!(world.schedule(&mut extender), 1);
}

#[test]
fn a_node_that_filled_while_the_extender_was_asked_is_not_overbooked() {
    let mut world = three_nodes();
    apply(&mut world, "large", 2, shape("shop", "large", 5_000, 64));
    let first = world.begin_attempt().unwrap();
    let second = world.begin_attempt().unwrap();
    let only = vec![Name::from("node-0")];
    world.finish_attempt(&first, Ok(only.clone()), &[]);
    world.finish_attempt(&second, Ok(only), &[]);
    assert_eq!(pods_by_node(&world), BTreeMap::from([("node-0".into(), 1)]));
}
