use proptest::prelude::*;

use super::*;
use crate::model::{Change, ClusterEvent, ClusterState, Target, Timestamp};
use crate::placement::Settings;
use crate::testing::{
    bound, claim, exoscale_catalog, node, node_of_claim, pod, pool, shape, type_of,
};

const PODS: usize = 8;
const NODES: usize = 3;

fn name(index: usize) -> Name {
    Name::from(format!("n{index}"))
}

fn planned(index: usize) -> Pod {
    let web = shape(100 + 10 * i64::try_from(index).unwrap(), 64);
    let mut pod = pod(&format!("p{index}"), &web.build());
    Arc::make_mut(&mut pod.shape).priority = i32::try_from(index % 3).unwrap();
    pod
}

/// The first pods go to nodes, the others to claims of the same names.
fn plan() -> StandingPlan {
    let target = |index: usize| {
        let name = name(index % NODES);
        if index.is_multiple_of(2) { Target::Node(name) } else { Target::Claim(name) }
    };
    StandingPlan {
        targets: (0..PODS - 1).map(|index| (planned(index).uid, target(index))).collect(),
        ..StandingPlan::default()
    }
}

fn event(kind: usize, index: usize) -> ClusterEvent {
    let catalog = exoscale_catalog(&["ch-gva-2"]);
    let made = claim(&name(index % NODES), &pool("general"), type_of(&catalog, "standard.medium"));
    let (pod, index) = (planned(index % PODS), index % NODES);
    match kind {
        0 | 1 => ClusterEvent::Pod(Change::Applied(pod)),
        2 => ClusterEvent::Pod(Change::Applied(bound(pod, &name(index)))),
        3 => ClusterEvent::Pod(Change::Deleted(pod.key)),
        4 => {
            let deleted = Some(Timestamp::from_seconds(1));
            ClusterEvent::Pod(Change::Applied(Pod { deleted, ..pod }))
        }
        5 => ClusterEvent::Pod(Change::Applied(Pod { uid: "another".into(), ..pod })),
        6 => ClusterEvent::NodeClaim(Change::Applied(made)),
        7 => ClusterEvent::NodeClaim(Change::Applied(NodeClaim { node_name: None, ..made })),
        8 => ClusterEvent::NodeClaim(Change::Deleted(made.name)),
        9 => ClusterEvent::Node(Change::Applied(node_of_claim(&made))),
        10 => ClusterEvent::Node(Change::Applied(node(&name(index), 4_000, 8_192))),
        _ => ClusterEvent::Node(Change::Deleted(name(index))),
    }
}

/// What the plan keeps free, worked out the long way.
fn walked(plan: &StandingPlan, snapshot: &Snapshot, asking: &Pod, node: &Name) -> Resources {
    let is_there = |target: &Target| match target {
        Target::Node(name) => name == node,
        Target::Claim(name) => snapshot
            .claims
            .get(name)
            .and_then(|claim| snapshot.node_of_claim(claim))
            .is_some_and(|state| state.node.name == *node),
    };
    snapshot
        .unbound
        .values()
        .filter(|pod| plan.targets.get(&pod.uid).is_some_and(is_there))
        .filter(|pod| pod.uid != asking.uid && pod.deleted.is_none())
        .filter(|pod| pod.shape.priority >= asking.shape.priority)
        .map(|pod| &pod.shape.requests)
        .sum()
}

fn held(
    (plan, expected): (&StandingPlan, &Expected),
    snapshot: &Snapshot,
    asking: &Pod,
    node: &Name,
) -> Resources {
    let placer = Placer {
        snapshot: Some(snapshot),
        plan,
        expected: Some(expected),
        sent: None,
        settings: Settings::default(),
        now: Timestamp::from_seconds(1),
    };
    let held = placer.held(snapshot, asking).filter(|held| held.is_any_on(node));
    held.zip(snapshot.nodes.get(node)).and_then(|(held, state)| held.on(state)).unwrap_or_default()
}

proptest! {
    #[test]
    fn what_follows_the_events_keeps_as_much_free_as_a_walk_over_all_pods(
        events in prop::collection::vec((0..12_usize, 0..24_usize), 1..60)
    ) {
        let (plan, mut state) = (plan(), ClusterState::new());
        let mut expected = Expected::of(&plan, &state.snapshot());
        for (kind, index) in events {
            state.apply(event(kind, index));
            let snapshot = state.snapshot();
            // Now and then some changes are taken in together.
            if !index.is_multiple_of(3) {
                expected = expected.follow(&plan, &snapshot);
                prop_assert!(expected.is_up_to_date(&snapshot));
                for asking in (0..PODS).map(planned) {
                    for node in (0..NODES).map(name).filter(|name| snapshot.nodes.contains_key(name)) {
                        let walked = walked(&plan, &snapshot, &asking, &node);
                        prop_assert_eq!(held((&plan, &expected), &snapshot, &asking, &node), walked);
                    }
                }
            }
        }
    }
}
