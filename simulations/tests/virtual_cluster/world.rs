use std::sync::Arc;
use std::time::Duration;

use berth_simulations::WorldSettings;
use berth_simulations::cloud::{CloudError, CloudSettings};
use berth_simulations::cluster::{ApiError, Availability, BudgetSpec};
use berth_simulations::random::Delay;
use berth_simulations::scenario::{INFRASTRUCTURE_NODE, Scenario, Step, set_up_demo, shape};
use berth_simulations::scheduler::NoExtender;
use berth_simulations::workloads::{Workload, WorkloadKind};
use berth_solver::model::{LabelSelector, Name, PodKey, PodPhase, PodShape};

use crate::support::{Autoscaler, START, count_pods, nodes, register_nodes, request, text, world};

fn key(name: &str) -> PodKey {
    PodKey { namespace: "shop".into(), name: name.into() }
}

fn workload(name: &str, replicas: u32, shape: PodShape) -> Workload {
    let kind = WorkloadKind::Serving;
    Workload { key: key(name), shape: Arc::new(shape), replicas, kind, replace_first: false }
}

/// A world with so many machines of eight CPUs that have joined and are registered.
fn world_with_nodes(count: usize) -> berth_simulations::World {
    let mut world = world(WorldSettings::new(1));
    for number in 0..count {
        let zone = ["at-vie-1", "ch-gva-2", "de-fra-1"][number % 3];
        world.create_instance(request(&format!("{number}"), "cpu.extra-large", zone)).unwrap();
    }
    world.advance_to(START + Duration::from_secs(60));
    register_nodes(&mut world);
    world
}

#[test]
fn a_machine_becomes_a_node_and_its_pods_run() {
    let mut world = world(WorldSettings::new(1));
    world.perform(Step::Apply(workload("web", 2, shape("shop", "web", 250, 256))));
    world.schedule(&mut NoExtender);
    assert_eq!(count_pods(&world, |pod| pod.unschedulable), 2);

    world.create_instance(request("a", "standard.medium", "ch-gva-2")).unwrap();
    world.advance_to(START + Duration::from_secs(55));
    assert_eq!(nodes(&world, |state| state.node.ready), ["node-a"]);
    world.schedule(&mut NoExtender);
    assert_eq!(count_pods(&world, |pod| pod.node.is_some()), 0, "nobody registered it yet");

    register_nodes(&mut world);
    world.advance_to(START + Duration::from_secs(66));
    assert_eq!(world.schedule(&mut NoExtender), 2);
    world.advance_to(START + Duration::from_secs(75));
    assert_eq!(count_pods(&world, |pod| pod.phase == PodPhase::Running), 2);
    assert_eq!(world.next_event_at(), None, "nothing is left to happen");
}

#[test]
fn a_create_of_the_same_claim_returns_the_same_machine() {
    let mut world = world(WorldSettings::new(1));
    let first = world.create_instance(request("a", "standard.medium", "ch-gva-2")).unwrap();
    let second = world.create_instance(request("a", "standard.medium", "ch-gva-2")).unwrap();
    assert_eq!(first.provider_id, second.provider_id);
    assert_eq!(world.cloud().totals().created, 1);
    world.advance_to(START + Duration::from_secs(60));
    assert_eq!(nodes(&world, |_| true).len(), 1);
}

#[test]
fn what_is_not_sold_is_refused_by_name() {
    let mut world = world(WorldSettings::new(1));
    let error = world.create_instance(request("a", "huge.huge", "ch-gva-2")).unwrap_err();
    assert!(matches!(&error, CloudError::NotSold { .. }));
    assert_eq!(
        error.to_string(),
        "cloud: instance type huge.huge is not sold in zone ch-gva-2 as on-demand"
    );
}

#[test]
fn machines_are_paid_until_they_are_gone() {
    let mut settings = WorldSettings::new(1);
    settings.cloud.gone_after = Delay::millis(60_000, 60_000);
    let mut world = world(settings);
    let made = world.create_instance(request("a", "standard.medium", "ch-gva-2")).unwrap();
    world.advance_to(START + Duration::from_secs(3_540));
    world.delete_instance(&made.provider_id).unwrap();
    world.advance_to(START + Duration::from_secs(7_200));
    assert_eq!(world.cloud().cost(world.now()), made.price, "for one hour");
    let again = world.delete_instance(&made.provider_id);
    assert_eq!(again, Err(CloudError::NotFound(made.provider_id)));
}

#[test]
fn a_machine_that_was_told_to_go_does_not_join_any_more() {
    let mut settings = WorldSettings::new(1);
    settings.cloud.gone_after = Delay::millis(600_000, 600_000);
    let mut world = world(settings);
    let made = world.create_instance(request("a", "standard.medium", "ch-gva-2")).unwrap();
    world.delete_instance(&made.provider_id).unwrap();
    world.advance_to(START + Duration::from_secs(300));
    assert!(world.cloud().get(&made.provider_id).is_some(), "it is not gone yet");
    assert!(world.cluster().objects().nodes.is_empty());
}

#[test]
fn evictions_respect_a_disruption_budget() {
    let mut world = world_with_nodes(3);
    let selector = LabelSelector::match_labels(&shape("shop", "web", 1, 1).labels);
    let availability = Availability::Missing(1);
    world.perform(Step::Budget(BudgetSpec { key: key("web"), selector, availability }));
    world.perform(Step::Apply(workload("web", 3, shape("shop", "web", 250, 256))));
    world.schedule(&mut NoExtender);
    world.advance_to(world.now() + Duration::from_secs(10));

    let pods: Vec<PodKey> = world.cluster().objects().pods.keys().cloned().collect();
    assert_eq!(world.call(|cluster| cluster.evict(&pods[0], None)), Ok(()));
    let refused = world.call(|cluster| cluster.evict(&pods[1], None));
    assert_eq!(
        refused,
        Err(ApiError::TooManyRequests { pod: pods[1].to_string(), budget: "shop/web".to_owned() })
    );

    // The replacement runs: the next one may go.
    world.schedule(&mut NoExtender);
    world.advance_to(world.now() + Duration::from_secs(10));
    assert_eq!(count_pods(&world, |pod| pod.phase == PodPhase::Running), 3);
    assert_eq!(world.call(|cluster| cluster.evict(&pods[1], None)), Ok(()));
    assert_eq!(world.cluster().evictions(), 2);
}

#[test]
fn a_node_with_a_finalizer_stays_until_it_is_taken_off() {
    let mut world = world_with_nodes(1);
    let name = &nodes(&world, |_| true)[0];
    world.call(|cluster| {
        cluster.update_node(name, None, |node| node.has_termination_finalizer = true).unwrap();
        cluster.delete_node(name, None).unwrap();
    });
    assert_eq!(nodes(&world, |state| state.node.deleted.is_some()).len(), 1);
    world.call(|cluster| {
        cluster.update_node(name, None, |node| node.has_termination_finalizer = false).unwrap();
    });
    assert!(nodes(&world, |_| true).is_empty());
}

#[test]
fn pods_of_a_node_that_is_gone_are_made_again() {
    let mut world = world_with_nodes(1);
    world.perform(Step::Apply(workload("web", 2, shape("shop", "web", 250, 256))));
    world.schedule(&mut NoExtender);
    let name = nodes(&world, |_| true)[0].clone();
    world.call(|cluster| cluster.delete_node(&name, None)).unwrap();
    assert_eq!(count_pods(&world, |pod| pod.node.is_none()), 2);
    assert_eq!(count_pods(&world, |_| true), 2);
}

#[test]
fn a_job_ends_and_is_not_started_again() {
    let mut world = world_with_nodes(1);
    let kind = WorkloadKind::Batch { runs: Delay::millis(1_000, 2_000) };
    let job = Workload { kind, ..workload("job", 3, shape("shop", "job", 100, 64)) };
    world.perform(Step::Apply(job));
    assert_eq!(world.schedule(&mut NoExtender), 3);
    world.advance_to(world.now() + Duration::from_secs(30));
    assert_eq!(count_pods(&world, |_| true), 0);
}

#[test]
fn the_same_seed_makes_the_same_history_and_another_one_does_not() {
    let play = |seed: u64| {
        let mut settings = WorldSettings::new(seed);
        settings.cloud.failures_permille = 200;
        let mut world = world(settings);
        let told = world.subscribe();
        set_up_demo(&mut world);
        world.play(&Scenario::demo(Duration::from_secs(300)));
        Autoscaler::default().run(&mut world, START + Duration::from_secs(600));
        text(&world.drain(told))
    };
    let first = play(7);
    assert!(first.len() > 100_000, "{}", first.len());
    assert_eq!(first, play(7));
    assert_ne!(first, play(8));
}

#[test]
fn the_scenario_ends_at_zero_and_leaves_the_infrastructure_node_alone() {
    let mut settings = WorldSettings::new(3);
    settings.cloud = CloudSettings { failures_permille: 300, ..CloudSettings::default() };
    let mut world = world(settings);
    set_up_demo(&mut world);
    let infrastructure = |world: &berth_simulations::World| {
        let found = world.cluster().objects().nodes.get(&Name::from(INFRASTRUCTURE_NODE)).cloned();
        found.map(|state| (Arc::clone(&state.node), state.pods.keys().cloned().collect::<Vec<_>>()))
    };
    let before = infrastructure(&world);
    world.play(&Scenario::demo(Duration::from_secs(600)));
    let mut autoscaler = Autoscaler::default();
    autoscaler.run(&mut world, START + Duration::from_secs(500));
    assert!(count_pods(&world, |pod| pod.phase == PodPhase::Running) > 15);
    autoscaler.run(&mut world, START + Duration::from_secs(900));

    assert!(autoscaler.refused > 0, "creates failed and were tried again");
    assert_eq!(nodes(&world, |_| true), [INFRASTRUCTURE_NODE]);
    assert_eq!(infrastructure(&world), before);
    assert_eq!(world.cloud().instances().count(), 0);
    assert_eq!(count_pods(&world, |pod| pod.key.namespace == "shop"), 0);
    let totals = world.cloud().totals();
    assert_eq!(totals.created, totals.removed);
}
