//! The daemon's deciding code runs the virtual cluster: nodes come for pods and go again, to
//! zero.

use std::sync::Arc;
use std::time::Duration;

use berth_simulations::operator::{Operator, OperatorSettings};
use berth_simulations::scenario::{INFRASTRUCTURE_NODE, Scenario, set_up_demo};
use berth_simulations::{World, WorldSettings};
use berth_solver::model::{Name, PodPhase, Timestamp};
use berth_solver::packing::Never;

use crate::support::{START, count_pods, nodes, text, world};

/// What was seen while it ran.
#[derive(Default)]
struct Seen {
    plans: usize,
    placed: usize,
}

fn run(operator: &mut Operator, world: &mut World, until: Timestamp) -> Seen {
    let mut seen = Seen::default();
    while world.now() < until {
        seen.plans += usize::from(operator.step(world, &Never).is_some());
        let mut extender = operator.extender(world);
        seen.placed += world.schedule(&mut extender);
        let next = world.next_event_at().unwrap_or(until);
        let next = next.min(operator.next_look_at(world.now())).min(until);
        world.advance_to(next.max(world.now() + Duration::from_millis(10)));
    }
    seen
}

fn settings(seed: u64) -> WorldSettings {
    let mut settings = WorldSettings::new(seed);
    settings.cloud.failures_permille = 250;
    settings
}

#[test]
fn workloads_run_as_planned_and_nothing_is_left_at_zero() {
    let mut world = world(settings(5));
    set_up_demo(&mut world);
    let infrastructure = |world: &World| {
        let found = world.cluster().objects().nodes.get(&Name::from(INFRASTRUCTURE_NODE)).cloned();
        found.map(|state| (Arc::clone(&state.node), state.pods.keys().cloned().collect::<Vec<_>>()))
    };
    let before = infrastructure(&world);
    world.play(&Scenario::demo(Duration::from_secs(1_200)));
    let mut operator = Operator::new(OperatorSettings::default());

    let seen = run(&mut operator, &mut world, START + Duration::from_secs(800));
    assert!(seen.plans >= 5 && seen.placed > 60, "{} plans, {} placed", seen.plans, seen.placed);
    assert_eq!(count_pods(&world, |pod| pod.phase == PodPhase::Pending), 0);
    assert!(world.cloud().totals().failed_creates > 0, "creates failed and were tried again");

    run(&mut operator, &mut world, START + Duration::from_secs(1_400));
    assert_eq!(nodes(&world, |_| true), [INFRASTRUCTURE_NODE]);
    assert_eq!(infrastructure(&world), before);
    assert!(world.cluster().objects().claims.is_empty());
    let totals = world.cloud().totals();
    assert_eq!((world.cloud().instances().count(), totals.created), (0, totals.removed));
    assert_eq!(world.cluster().evictions(), 0, "only empty nodes were removed");
}

#[test]
fn the_same_seed_makes_the_same_decisions() {
    let play = |seed: u64| {
        let mut world = world(settings(seed));
        let told = world.subscribe();
        set_up_demo(&mut world);
        world.play(&Scenario::demo(Duration::from_secs(300)));
        let mut operator = Operator::new(OperatorSettings::default());
        run(&mut operator, &mut world, START + Duration::from_secs(500));
        text(&world.drain(told))
    };
    let first = play(7);
    assert!(first.len() > 100_000, "{}", first.len());
    assert!(first == play(7), "two histories of one seed differ");
    assert!(first != play(8), "two seeds make one history");
}
