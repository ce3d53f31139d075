//! Invariants of the whole that concern what is decided, each test named after its invariant.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::BTreeSet;

use berth_solver::disruption::{self, Inputs, consolidate};
use berth_solver::model::{
    Change, ClusterEvent, LabelSelector, Name, NodeClaim, NodePool, Plan, Pod, PodDisruptionBudget,
    PodKey, Requirements, Snapshot, Timestamp,
};
use berth_solver::packing::{Due, Never, Queue, Settings, Stop};
use berth_solver::planning;
use berth_solver::testing::{
    ClusterBuilder, bound, claim, cluster, exoscale_catalog, labels, node_of_claim, percent, pod,
    pods, pool, shape, type_of, up,
};

const NOW: Timestamp = Timestamp::from_seconds(100_000);
const SEED: u64 = 7;

/// No time at all.
struct Spent;

impl Stop for Spent {
    fn should_stop(&self) -> bool {
        true
    }
}

fn world() -> ClusterBuilder {
    cluster().pool(pool("general"), exoscale_catalog(&["z"]))
}

fn planned(snapshot: &Snapshot, stop: &dyn Stop) -> Plan {
    planning::plan(snapshot, &Settings::default(), NOW, SEED, stop).plan.unwrap()
}

/// Pods of sixty shapes that nothing holds, so many of each.
fn hopeless(each: usize) -> impl Iterator<Item = Pod> {
    (0..60).flat_map(move |index| {
        let gigantic = shape(1_000_000 + index, 64).build();
        pods(&format!("hopeless-{index}"), each, &gigantic)
    })
}

#[test]
fn i13_a_backlog_that_fits_nowhere_keeps_nobody_waiting_though_there_is_no_time() {
    let web = || pods("web", 100, &shape(500, 512).build());
    let alone = planned(&world().pods(web()).snapshot(), &Spent);
    let snapshot = world().pods(web()).pods(hopeless(50)).snapshot();
    let plan = planned(&snapshot, &Spent);
    assert_eq!(plan.placements.len(), 100);
    assert_eq!(plan.price, alone.price, "the backlog costs nothing");
    // Each pod is spoken of once: what is kept of a backlog is no more than that.
    assert_eq!(plan.unschedulable.len(), 3_000);
    let told: BTreeSet<&Name> = plan.unschedulable.iter().map(|one| &one.uid).collect();
    assert_eq!(told.len(), 3_000);
}

#[test]
fn i13_a_backlog_is_not_planned_for_again_at_once_and_newcomers_are() {
    let second = |second: i64| Timestamp::from_seconds(100_000 + second);
    let backlog = world().pods(hopeless(10)).snapshot();
    let mut queue = Queue::default();
    queue.look(&backlog, second(0));
    assert_eq!(queue.look(&backlog, second(1)), Due::Now);
    queue.record(&planned(&backlog, &Never), second(1));
    assert_eq!(queue.look(&backlog, second(2)), Due::Never);
    let with_news = world().pods(hopeless(10)).pods(pods("web", 1, &shape(500, 512).build()));
    let with_news = with_news.snapshot();
    assert_eq!(queue.look(&with_news, second(3)), Due::At(second(4)));
    assert_eq!(queue.waiting(), 1, "the backlog rests");
    // Whoever comes after a restart knows nothing, and is no longer about it.
    let mut restarted = Queue::default();
    restarted.adopt(&with_news, second(3));
    restarted.look(&with_news, second(3));
    assert_eq!(restarted.look(&with_news, second(4)), Due::Now);
    assert_eq!(planned(&with_news, &Never).placements.len(), 1);
}

/// Objects that make no sense, each on its own.
fn senseless() -> Vec<(&'static str, ClusterEvent)> {
    let pod_event = |pod: Pod| ClusterEvent::Pod(Change::Applied(pod));
    let gigantic = Pod {
        defect: Some("requests.cpu: 1e30 is too large".into()),
        ..pod("gigantic", &shape(100, 64).build())
    };
    let volumes = Box::from([Name::from("nowhere")]);
    let homeless = Pod { volume_claims: volumes, ..pod("homeless", &shape(100, 64).build()) };
    let broken = NodePool { defect: Some("spec: bad".into()), weight: 100, ..pool("broken") };
    let general = pool("general");
    let catalog = exoscale_catalog(&["z"]);
    let lost = NodeClaim {
        labels: labels(&[]),
        requirements: Requirements::default(),
        capacity: None,
        allocatable: None,
        ..up(claim("lost", &general, type_of(&catalog, "standard.small")))
    };
    let budget = PodDisruptionBudget {
        key: PodKey { namespace: "default".into(), name: "unknown".into() },
        selector: LabelSelector::match_labels(&labels(&[])),
        disruptions_allowed: None,
    };
    vec![
        ("pod", pod_event(gigantic)),
        ("volume", pod_event(homeless)),
        ("pool", ClusterEvent::NodePool(Change::Applied(broken))),
        ("claim", ClusterEvent::NodeClaim(Change::Applied(lost))),
        ("budget", ClusterEvent::PodDisruptionBudget(Change::Applied(budget))),
    ]
}

#[test]
fn i14_one_object_that_makes_no_sense_is_left_out_and_the_others_are_served() {
    let web = || pods("web", 30, &shape(500, 512).build());
    let sound = planned(&world().pods(web()).snapshot(), &Never);
    for (what, event) in senseless() {
        let plan = planned(&world().pods(web()).event(event).snapshot(), &Never);
        assert_eq!(plan.placements.len(), 30, "{what}");
        assert_eq!(plan.price, sound.price, "{what}");
        assert!(plan.unschedulable.iter().all(|one| !one.reason.is_empty()), "{what}");
    }
}

#[test]
fn i14_one_object_that_makes_no_sense_keeps_its_own_node_and_no_other() {
    let (general, catalog) =
        (NodePool { budgets: percent(100), ..pool("general") }, exoscale_catalog(&["z"]));
    // Three half-empty nodes: one of them can go.
    let nodes = || {
        ["a", "b", "c"].into_iter().fold(
            world().pool(general.clone(), catalog.clone()),
            |world, name| {
                let claim = up(claim(name, &general, type_of(&catalog, "standard.large")));
                let web = shape(500, 1_024).build();
                let pods = (0..3).map(|index| bound(pod(&format!("{name}-{index}"), &web), name));
                world.node(node_of_claim(&claim)).claim(claim).pods(pods)
            },
        )
    };
    let settings = disruption::Settings { may_launch: false, ..disruption::Settings::default() };
    let look = |world: ClusterBuilder| {
        let round =
            consolidate(&world.snapshot(), &Inputs::default(), &settings, NOW, SEED, &Never);
        assert_eq!(round.faults, []);
        round.plan.removals.iter().map(|one| one.claim.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(look(nodes()).len(), 1);
    for (what, event) in senseless() {
        // A budget for all pods of which nothing is known keeps all of them.
        let expected = usize::from(what != "budget");
        assert_eq!(look(nodes().event(event)).len(), expected, "{what}");
    }
    let odd = Pod {
        defect: Some("requests.cpu: 1e30 is too large".into()),
        ..bound(pod("odd", &shape(100, 64).build()), "a")
    };
    let gone = look(nodes().pod(odd));
    assert_eq!(gone.len(), 1);
    assert!(!gone.contains(&"a".to_owned()), "nobody knows what the pod on it needs");
}
