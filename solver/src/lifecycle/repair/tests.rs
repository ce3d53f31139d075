use super::*;
use crate::testing::*;

const SINCE: Timestamp = Timestamp::from_seconds(10_000);

fn policies() -> Vec<RepairPolicy> {
    vec![
        RepairPolicy::new("Ready", ConditionStatus::False, Duration::from_secs(900)),
        RepairPolicy::new("DiskPressure", ConditionStatus::True, Duration::from_secs(600)),
    ]
}

fn ailing(kind: &str, status: ConditionStatus) -> Box<[Condition]> {
    Box::from([Condition { kind: kind.into(), status, reason: "Why".into(), since: SINCE }])
}

/// Ten nodes, of which the first so many are not ready, and what else is to be changed of claims.
fn ten(unhealthy: usize, change: impl Fn(usize, &mut NodeClaim)) -> ClusterBuilder {
    let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
    let kind = type_of(&catalog, "standard.small").clone();
    let world = cluster().pool(general.clone(), catalog);
    (0..10).fold(world, |world, index| {
        let mut claim = up(claim(&format!("n{index}"), &general, &kind));
        change(index, &mut claim);
        let mut node = node_of_claim(&claim);
        if index < unhealthy {
            node.conditions = ailing("Ready", ConditionStatus::False);
        }
        world.node(node).claim(claim)
    })
}

fn look(world: &ClusterBuilder, seconds: u64) -> Repairs {
    repairs(&world.snapshot(), &policies(), SINCE + Duration::from_secs(seconds))
}

fn words(repairs: &Repairs) -> Vec<String> {
    let word = |write: &Write| format!("{} {}", write.name(), write.subject());
    repairs.writes.iter().map(word).collect()
}

#[test]
fn what_is_unhealthy_for_too_long_gets_a_deadline_that_is_over_and_is_deleted() {
    let world = ten(1, |_, _| {});
    assert_eq!(look(&world, 899), Repairs::default());
    let found = look(&world, 900);
    let end = SINCE + Duration::from_secs(900);
    let [Write::SetTerminationTime { claim, at }] = &*found.writes else { panic!("{found:?}") };
    assert_eq!((claim.name.as_str(), *at), ("n0", Some(end)));
    assert_eq!(look(&world, 1_000), found, "the same write, whenever it is asked for");
    let marked = ten(1, |index, claim| {
        claim.terminate_by = (index == 0).then_some(end);
    });
    let found = look(&marked, 901);
    let [Write::DeleteClaim { claim, cause }] = &*found.writes else { panic!("{found:?}") };
    assert_eq!(claim.name.as_str(), "n0");
    assert_eq!(*cause, Cause::Disruption(RemovalReason::Unhealthy));
}

#[test]
fn the_deadline_of_a_node_that_is_well_again_is_taken_away() {
    let marked = ten(0, |index, claim| {
        claim.terminate_by = (index == 3).then_some(SINCE);
    });
    assert_eq!(words(&look(&marked, 0)), ["SetTerminationTime nodeclaim/n3"]);
    let going = ten(0, |index, claim| {
        claim.terminate_by = (index == 3).then_some(SINCE);
        claim.deleted = (index == 3).then_some(SINCE);
    });
    assert_eq!(look(&going, 0), Repairs::default(), "one that goes keeps it");
}

#[test]
fn i9_when_more_than_a_fifth_of_a_pool_is_unhealthy_none_of_it_is_repaired() {
    let two = look(&ten(2, |_, _| {}), 900);
    assert_eq!((two.writes.len(), two.blocked.len()), (2, 0));
    let three = look(&ten(3, |_, _| {}), 900);
    assert_eq!((three.writes.len(), three.blocked.len()), (0, 3));
    let first = &three.blocked[0];
    assert_eq!((first.unhealthy, first.nodes, first.condition.as_str()), (3, 10, "Ready"));
    // Those whose time is not over yet count as well: something larger is wrong.
    let mut node = node_of_claim(&ten(0, |_, _| {}).snapshot().claims["n9"]);
    node.conditions = Box::from([Condition {
        since: SINCE + Duration::from_secs(800),
        ..ailing("DiskPressure", ConditionStatus::True)[0].clone()
    }]);
    let growing = look(&ten(2, |_, _| {}).node(node), 900);
    assert_eq!((growing.writes.len(), growing.blocked.len()), (0, 2));
}

#[test]
fn the_only_node_of_a_pool_is_repaired() {
    let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
    let kind = type_of(&catalog, "standard.small").clone();
    let claim = up(claim("only", &general, &kind));
    let mut node = node_of_claim(&claim);
    node.conditions = ailing("DiskPressure", ConditionStatus::True);
    let world = cluster().pool(general, catalog).node(node).claim(claim);
    assert_eq!(look(&world, 599), Repairs::default());
    assert_eq!(words(&look(&world, 600)), ["SetTerminationTime nodeclaim/only"]);
}

#[test]
fn other_conditions_other_statuses_and_nodes_of_others_are_left_alone() {
    let ten_up = ten(0, |_, _| {}).snapshot();
    let with = |name: &str, kind: &str, status| {
        let mut node = node_of_claim(&ten_up.claims[name]);
        node.conditions = ailing(kind, status);
        node
    };
    let foreign = crate::model::Node { provider_id: None, ..node("foreign", 1_000, 1_024) };
    let foreign =
        crate::model::Node { conditions: ailing("Ready", ConditionStatus::False), ..foreign };
    let world = ten(0, |_, _| {})
        .node(with("n9", "Ready", ConditionStatus::Unknown))
        .node(with("n8", "Odd", ConditionStatus::True))
        .node(foreign);
    assert_eq!(look(&world, 1_000_000), Repairs::default());
    assert_eq!(repairs(&ten(5, |_, _| {}).snapshot(), &[], SINCE), Repairs::default());
}
