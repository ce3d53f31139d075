//! Who comes first, what is kept free, what is on its way.

use berth_solver::model::*;
use berth_solver::testing::*;

use super::support::*;

#[test]
fn higher_priority_comes_first_where_not_all_find_a_place() {
    let (mut general, catalog) = shop();
    general.limits.nodes = Some(1);
    general.requirements = requirements(&[(KIND, Operator::In, &["small"])]);
    let low = shape(1_500, 100).build();
    let high = shape(900, 100).priority(10).build();
    let pods = [pod("a-low", &low), pod("b-high", &high), pod("c-high", &high)];
    assert_eq!(
        outcome(&planned(&cluster().pool(general, catalog).pods(pods))),
        ["not: pool general: its limit of nodes would be exceeded", "small in a", "small in a"]
    );
}

#[test]
fn a_pod_that_others_were_evicted_for_is_not_planned_for_and_keeps_its_room() {
    let waiting = pod("p", &shape(3_000, 100).build());
    let promised = Pod { nominated_node: Some("n".into()), ..waiting.clone() };
    let other = pod("q", &shape(3_000, 100).build());
    let victim = pod("victim", &shape(3_000, 100).build());
    let victim = Pod { deleted: Some(Timestamp::from_seconds(1)), ..bound(victim, "n") };
    let cluster = base().node(in_zone("n", "a", 4_000)).pods([promised, other, victim]);
    assert_eq!(outcome(&planned(&cluster)), ["large in a"]);
    let gone = Pod { nominated_node: Some("gone".into()), ..waiting };
    assert_eq!(outcome(&planned(&base().pod(gone))), ["large in a"]);
}

#[test]
fn room_is_kept_beside_what_waits_and_nobody_is_placed_there() {
    let place = shape(1_000, 100).build();
    let cluster = base().buffer("spare", &place, 3).node(in_zone("n", "a", 1_500));
    let plan = planned(&cluster);
    assert!(plan.placements.is_empty() && plan.unschedulable.is_empty());
    let kept: Vec<(Option<&Target>, u32)> =
        plan.headroom.iter().map(|one| (one.target.as_ref(), one.places)).collect();
    let launched = Target::Claim(plan.launches[0].name.clone());
    assert_eq!(kept, [(Some(&Target::Node("n".into())), 1), (Some(&launched), 2)]);
    assert_eq!(plan.launches.len(), 1);
    assert!(plan.launches[0].reason.starts_with("room is kept for 2 more pods"));
    // A pod that waits has the room first.
    let plan = planned(&cluster.pod(pod("p", &place)));
    assert_eq!(outcome(&plan), ["node n"]);
    assert_eq!(plan.launches.len(), 2);
}

#[test]
fn room_that_there_is_none_for_is_told_and_costs_no_pod_its_place() {
    let (mut general, catalog) = shop();
    general.limits.nodes = Some(1);
    let place = shape(1_500, 100).build();
    let cluster = cluster().pool(general, catalog).buffer("spare", &place, 9).pod(pod("p", &place));
    let plan = planned(&cluster);
    assert!(plan.unschedulable.is_empty());
    let none = plan.headroom.iter().find(|one| one.target.is_none()).unwrap();
    assert!(none.places > 0 && none.reason.contains("limit of nodes"), "{none:?}");
    assert_eq!(plan.headroom.iter().map(|one| one.places).sum::<u32>(), 9);
}

#[test]
fn daemons_and_nodes_on_their_way_are_counted() {
    let daemon = daemon_set("logs", &shape(1_600, 100).build());
    let waiting = pod("p", &shape(500, 100).build());
    let plan = planned(&base().daemon_set(daemon).pod(waiting.clone()));
    assert_eq!(outcome(&plan), ["large in a"], "a small one has 400m left");
    let (general, catalog) = shop();
    let coming = claim("general-1", &general, type_of(&catalog, "small"));
    assert_eq!(outcome(&planned(&base().claim(coming).pod(waiting))), ["claim general-1"]);
}
