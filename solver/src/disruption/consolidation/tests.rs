use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Round, Settings, consolidate, replace_drifted};
use crate::disruption::{Inputs, Obstacle};
use crate::model::{
    Catalog, ConsolidateAfter, ConsolidationPolicy, DoNotDisrupt, LabelSelector, Name, Node,
    NodeClaim, NodePool, NodeState, NodesLimit, Owner, Pod, PodDisruptionBudget, PodKey, PodShape,
    Price, RemovalReason, Snapshot, Target, Timestamp, well_known,
};
use crate::packing::{Budget, Never};
use crate::testing::{
    ClusterBuilder, Workload, after_round, bound, claim, cluster, exoscale_catalog,
    half_empty_cluster, mixed_catalog, node_of_claim, percent, pod, pool, price, shape, type_of,
    up,
};
use crate::verify::{verify, verify_disruption};

const LATER: Timestamp = Timestamp::from_seconds(100_000);

fn catalog() -> Catalog {
    exoscale_catalog(&["z"])
}

fn general() -> NodePool {
    NodePool { budgets: percent(100), ..pool("general") }
}

fn of(name: &str, kind: &str) -> NodeClaim {
    up(claim(name, &general(), type_of(&catalog(), kind)))
}

/// A cluster of `general` nodes: name, type, and how many pods of 500m and 1 GiB.
fn nodes(list: &[(&str, &str, usize)]) -> ClusterBuilder {
    let web = web();
    list.iter().fold(cluster().pool(general(), catalog()), |world, (name, kind, count)| {
        let claim = of(name, kind);
        let pods = (0..*count).map(|index| bound(pod(&format!("{name}-{index}"), &web), name));
        world.node(node_of_claim(&claim)).claim(claim).pods(pods)
    })
}

fn web() -> Arc<PodShape> {
    shape(500, 1_024).label("app", "web").build()
}

fn inputs() -> Inputs {
    Inputs { hash_version: "test".into(), ..Inputs::default() }
}

fn round(snapshot: &Snapshot) -> Round {
    let round = consolidate(snapshot, &inputs(), &Settings::default(), LATER, 7, &Never);
    assert_eq!(round.faults, []);
    round
}

fn removed(round: &Round) -> Vec<&str> {
    round.plan.removals.iter().map(|removal| removal.claim.as_str()).collect()
}

fn why(round: &Round, claim: &str) -> Obstacle {
    let kept = round.kept.iter().find(|kept| kept.claim == *claim);
    kept.map(|kept| kept.obstacle.clone()).unwrap_or(Obstacle::NotLookedAt)
}

#[test]
fn a_round_is_the_same_where_pods_say_something_that_changes_nothing() {
    let say = |pod: &Pod| {
        Arc::new(Pod { do_not_disrupt: DoNotDisrupt::For(Duration::ZERO), ..pod.clone() })
    };
    for seed in 0..4 {
        let common = half_empty_cluster(&mixed_catalog(), 30, 0.4, 30, Workload::Diverse, seed);
        let mut said = common.clone();
        said.pods = common.pods.iter().map(|(key, pod)| (key.clone(), say(pod))).collect();
        for (name, state) in &common.nodes {
            let pods = state.pods.iter().map(|(key, pod)| (key.clone(), say(pod).into())).collect();
            let state = NodeState { pods, ..NodeState::clone(state) };
            said.nodes.insert(name.clone(), Arc::new(state));
        }
        let residents = |snapshot: &Snapshot| {
            let all = snapshot.nodes.values().flat_map(|state| state.pods.values());
            all.map(|pod| pod.common().is_some()).collect::<Vec<bool>>()
        };
        assert!(residents(&common).iter().all(|is_common| *is_common));
        assert!(!residents(&said).contains(&true));
        let found = round(&common);
        assert!(!found.is_empty());
        assert_eq!(found, round(&said), "seed {seed}");
    }
}

#[test]
fn a_node_whose_pods_fit_elsewhere_goes_and_the_plan_says_what_that_is_good_for() {
    // A large node offers 3.7 CPU and 7.6 GiB: seven such pods.
    let snapshot = nodes(&[("a", "standard.large", 4), ("b", "standard.large", 3)]).snapshot();
    let found = round(&snapshot);
    assert_eq!(removed(&found), ["b"]);
    assert_eq!(found.moves.len(), 3);
    assert!(found.moves.iter().all(|one| one.from == "b" && one.to == Target::Node("a".into())));
    assert_eq!(found.price_before, price(0.20066));
    assert_eq!(found.price_after, price(0.10033));
    assert!(found.lower_bound <= found.price_after);
    assert_eq!(why(&found, "a"), Obstacle::NothingCheaper);
    assert_eq!(found.plan.removals[0].reason, RemovalReason::Underutilized);
    assert_eq!(found.plan.removals[0].explanation, "3 pods move, 0.10033 per hour less");
}

#[test]
fn a_full_cluster_stays_as_it_is() {
    let snapshot = nodes(&[("a", "standard.large", 7), ("b", "standard.large", 7)]).snapshot();
    let found = round(&snapshot);
    assert!(found.is_empty() && found.moves.is_empty() && found.plan.launches.is_empty());
    assert_eq!(found.price_after, found.price_before);
}

#[test]
fn one_large_node_is_exchanged_for_a_small_one() {
    // Two pods: 1 CPU and 2 GiB. A medium node (1.7 CPU, 3.6 GiB) holds them for less.
    let snapshot = nodes(&[("a", "standard.huge", 2)]).snapshot();
    let found = round(&snapshot);
    assert_eq!(removed(&found), ["a"]);
    let launched: Vec<&str> =
        found.plan.launches.iter().map(|launch| launch.instance_type.as_str()).collect();
    assert_eq!(launched, ["standard.medium"]);
    assert_eq!(found.price_after, price(0.05366));
    let to = Target::Claim(found.plan.launches[0].name.clone());
    assert!(found.moves.iter().all(|one| one.to == to));
}

#[test]
fn one_node_is_exchanged_for_two_cheaper_ones() {
    let kinds = catalog()
        .instance_types
        .into_iter()
        .filter(|kind| ["standard.medium", "standard.huge"].contains(&kind.name.as_str()));
    let few = Catalog::new(kinds.collect());
    let huge = of("a", "standard.huge");
    let pods = (0..6).map(|index| bound(pod(&format!("p-{index}"), &web()), "a"));
    let world = cluster().pool(general(), few).node(node_of_claim(&huge)).claim(huge).pods(pods);
    let found = round(&world.snapshot());
    assert_eq!(removed(&found), ["a"]);
    // Three pods a medium node: two of them at 0.05366 in place of 0.38034.
    assert_eq!(found.plan.launches.len(), 2);
    assert_eq!(found.price_after, price(0.10732));
}

#[test]
fn several_nodes_are_exchanged_for_several_cheaper_ones() {
    let snapshot = nodes(&[
        ("a", "standard.extra-large", 4),
        ("b", "standard.extra-large", 4),
        ("c", "standard.extra-large", 4),
    ])
    .snapshot();
    let found = round(&snapshot);
    // Twelve pods: on two large nodes for 0.20066, or on a large and two medium ones.
    assert!(found.price_after <= price(0.20765), "{}", found.price_after);
    assert_eq!(removed(&found).len(), 3);
}

#[test]
fn budgets_limit_a_round_and_percents_are_rounded_up() {
    let list: Vec<(String, usize)> = (0..11).map(|index| (format!("n{index:02}"), 1)).collect();
    let list: Vec<(&str, &str, usize)> =
        list.iter().map(|(name, count)| (name.as_str(), "standard.large", *count)).collect();
    let with = |budgets: Box<[crate::model::DisruptionBudget]>| {
        let pool = NodePool { budgets, ..general() };
        let found = round(&nodes(&list).pool(pool, catalog()).snapshot());
        (found.plan.removals.len(), found)
    };
    // 10 % of 11 nodes, rounded up.
    let (count, found) = with(percent(10));
    assert_eq!(count, 2);
    assert_eq!(found.kept.len(), 9);
    let stays = found.kept.iter().filter(|kept| kept.obstacle == Obstacle::Budget { limit: 2 });
    assert_eq!(stays.count(), 9);
    assert_eq!(with(percent(0)).0, 0);
    let mut two = percent(100).into_vec();
    two.extend(percent(100));
    two[1].nodes = NodesLimit::Count(3);
    assert_eq!(with(two.clone().into()).0, 3, "the strictest counts");
    two[1].reasons = Box::from([crate::model::DisruptionReason::Drifted]);
    assert!(with(two.clone().into()).0 > 3, "another reason's budget does not");
    two[1] = crate::model::DisruptionBudget { broken: true, ..two[0].clone() };
    assert_eq!(with(two.into()).0, 0, "a schedule that nobody understands allows nothing");
}

#[test]
fn what_is_under_way_uses_up_the_budget() {
    let list = [("a", "standard.large", 1), ("b", "standard.large", 1), ("c", "standard.large", 1)];
    let pool = NodePool { budgets: percent(34), ..general() };
    let snapshot = nodes(&list).pool(pool, catalog()).snapshot();
    let begun = Inputs { under_way: BTreeSet::from([Name::from("uid-a")]), ..inputs() };
    let found = consolidate(&snapshot, &begun, &Settings::default(), LATER, 7, &Never);
    // 34 % of three, rounded up, are two.
    assert_eq!(found.plan.removals.len(), 1);
    assert_eq!(why(&found, "a"), Obstacle::Leaving);
}

fn with_budget(allowed: Option<i32>, list: &[(&str, &str, usize)]) -> Round {
    let budget = PodDisruptionBudget {
        key: PodKey { namespace: "default".into(), name: "web".into() },
        selector: LabelSelector::match_labels(&web().labels),
        disruptions_allowed: allowed,
    };
    round(&nodes(list).pod_disruption_budget(budget).snapshot())
}

#[test]
fn a_round_evicts_no_more_than_a_pod_disruption_budget_allows() {
    let list = [
        ("a", "standard.large", 1),
        ("b", "standard.large", 1),
        ("c", "standard.large", 1),
        ("d", "standard.large", 1),
    ];
    assert_eq!(with_budget(Some(2), &list).plan.removals.len(), 2);
    assert_eq!(with_budget(Some(9), &list).plan.removals.len(), 4);
    assert_eq!(with_budget(Some(0), &list).plan.removals.len(), 0);
    assert_eq!(with_budget(None, &list).plan.removals.len(), 0, "unknown is not many");
    let kept = with_budget(Some(0), &list);
    assert!(matches!(why(&kept, "a"), Obstacle::PodDisruptionBudget(_, _)));
    // A node alone may hold more than go at a time: they go one after the other.
    let pairs =
        [("a", "standard.large", 2), ("b", "standard.large", 2), ("c", "standard.large", 2)];
    assert_eq!(with_budget(Some(1), &pairs).plan.removals.len(), 1);
}

#[test]
fn whatever_forbids_it_keeps_a_node() {
    let base = || nodes(&[("a", "standard.large", 3), ("b", "standard.large", 1)]);
    let on_b = |change: fn(Pod) -> Pod| {
        let pod = change(bound(pod("b-0", &web()), "b"));
        why(&round(&base().pod(pod).snapshot()), "b")
    };
    let key = PodKey { namespace: "default".into(), name: "b-0".into() };
    let never = on_b(|pod| Pod { do_not_disrupt: DoNotDisrupt::Never, ..pod });
    assert_eq!(never, Obstacle::PodForbids(key.clone()));
    let lasting =
        on_b(|pod| Pod { do_not_disrupt: DoNotDisrupt::For(Duration::from_secs(100_001)), ..pod });
    assert_eq!(lasting, Obstacle::PodForbids(key.clone()));
    let over =
        on_b(|pod| Pod { do_not_disrupt: DoNotDisrupt::For(Duration::from_secs(100_000)), ..pod });
    assert_eq!(over, Obstacle::NotLookedAt, "it goes");
    let bare = on_b(|pod| Pod { owner: Owner::None, ..pod });
    assert_eq!(bare, Obstacle::Bare(key));
    let pinned = Node { do_not_disrupt: true, ..node_of_claim(&of("b", "standard.large")) };
    assert_eq!(why(&round(&base().node(pinned).snapshot()), "b"), Obstacle::DoNotDisrupt);
    let with_pool = |change: fn(NodePool) -> NodePool| {
        why(&round(&base().pool(change(general()), catalog()).snapshot()), "b")
    };
    let never = with_pool(|pool| NodePool { consolidate_after: ConsolidateAfter::Never, ..pool });
    assert_eq!(never, Obstacle::Never);
    let only_empty =
        with_pool(|pool| NodePool { consolidation_policy: ConsolidationPolicy::WhenEmpty, ..pool });
    assert_eq!(only_empty, Obstacle::OnlyEmpty);
    let fixed = with_pool(|pool| NodePool { replicas: Some(2), ..pool });
    assert_eq!(fixed, Obstacle::NotConsolidated);
    let soon = with_pool(|pool| NodePool {
        consolidate_after: ConsolidateAfter::After(Duration::from_secs(100_030)),
        ..pool
    });
    assert_eq!(soon, Obstacle::TooSoon(Duration::from_secs(30)));
}

#[test]
fn young_nodes_and_nodes_that_wait_for_pods_stay() {
    let snapshot = nodes(&[("a", "standard.large", 3), ("b", "standard.large", 1)]).snapshot();
    let settings = Settings { least_age: Duration::from_secs(100_001), ..Settings::default() };
    let found = consolidate(&snapshot, &inputs(), &settings, LATER, 7, &Never);
    assert_eq!(why(&found, "b"), Obstacle::TooSoon(Duration::from_secs(1)));
    let waiting = pod("waiting", &web());
    let targets = [(waiting.uid.clone(), Target::Node("b".into()))].into_iter().collect();
    let snapshot =
        nodes(&[("a", "standard.large", 3), ("b", "standard.large", 1)]).pod(waiting).snapshot();
    let expecting = Inputs { targets, ..inputs() };
    let found = consolidate(&snapshot, &expecting, &Settings::default(), LATER, 7, &Never);
    assert_eq!(why(&found, "b"), Obstacle::Expected(1));
    assert_eq!(removed(&found), ["a"]);
}

#[test]
fn a_round_that_saves_too_little_does_not_happen() {
    let snapshot = nodes(&[("a", "standard.large", 4), ("b", "standard.large", 3)]).snapshot();
    let with = |settings: Settings| consolidate(&snapshot, &inputs(), &settings, LATER, 7, &Never);
    // It saves 0.10033 an hour, for three evictions.
    let hour =
        Settings { horizon: Duration::from_hours(1), eviction_percent: 0, ..Settings::default() };
    let absolute = |least: f64| {
        let least_saving = price(least);
        let found =
            with(Settings { least_saving, price_per_eviction: Price::ZERO, ..hour.clone() });
        found.plan.removals.len()
    };
    assert_eq!(absolute(0.10033), 1);
    assert_eq!(absolute(0.10034), 0);
    let each = |eviction: f64| {
        let price_per_eviction = price(eviction);
        with(Settings { least_saving: Price::ZERO, price_per_eviction, ..hour.clone() })
    };
    assert_eq!(removed(&each(0.0334)), ["b"]);
    let found = each(0.03345);
    assert!(found.is_empty(), "three evictions cost 0.10035");
    assert_eq!(found.moves, []);
    assert_eq!(found.price_after, found.price_before);
    let share = |eviction_percent: u32| {
        let (least_saving, price_per_eviction) = (Price::ZERO, Price::ZERO);
        with(Settings { least_saving, price_per_eviction, eviction_percent, ..hour.clone() })
    };
    assert_eq!(removed(&share(100)), ["b"], "the node costs more than its three pods");
    assert!(share(400).is_empty(), "but not four times as much");
}

#[test]
fn balanced_pools_weigh_what_is_saved_against_what_is_disturbed() {
    let balanced = NodePool { consolidation_policy: ConsolidationPolicy::Balanced, ..general() };
    let with = |list: &[(&str, &str, usize)]| {
        let snapshot = nodes(list).pool(balanced.clone(), catalog()).snapshot();
        let settings = Settings { may_launch: false, ..Settings::default() };
        consolidate(&snapshot, &inputs(), &settings, LATER, 7, &Never).plan.removals.len()
    };
    // Half of the price for a third of the disturbance.
    assert_eq!(with(&[("a", "standard.large", 3), ("b", "standard.large", 1)]), 1);
    // A fourteenth of the price for two ninths of the disturbance.
    assert_eq!(with(&[("a", "standard.huge", 6), ("b", "standard.small", 1)]), 0);
}

#[test]
fn drifted_nodes_are_replaced_within_budgets_the_oldest_first() {
    let changed = NodePool { hash: "new".into(), budgets: percent(50), ..general() };
    let older = |name: &str, seconds: i64| NodeClaim {
        created: Timestamp::from_seconds(seconds),
        ..of(name, "standard.large")
    };
    let world = nodes(&[
        ("a", "standard.large", 7),
        ("b", "standard.large", 7),
        ("c", "standard.large", 7),
    ])
    .pool(changed, catalog())
    .claim(older("a", 30))
    .claim(older("b", 10))
    .claim(older("c", 20));
    let snapshot = world.snapshot();
    let found = replace_drifted(&snapshot, &inputs(), &Settings::default(), LATER, 7, &Never);
    assert_eq!(found.faults, []);
    assert_eq!(removed(&found), ["b", "c"]);
    assert!(found.plan.removals[0].explanation.starts_with("NodePoolDrifted"));
    assert_eq!(found.moves.len(), 14);
    assert_eq!(why(&found, "a"), Obstacle::Budget { limit: 2 });
    let ours = Inputs { hash_version: "another".into(), ..inputs() };
    let found = replace_drifted(&snapshot, &ours, &Settings::default(), LATER, 7, &Never);
    assert!(found.is_empty(), "hashes that were made in another way are not compared");
}

#[test]
fn a_drifted_node_of_a_static_pool_whose_pods_fit_nowhere_else_gets_its_successor_first() {
    let fixed = NodePool { replicas: Some(2), budgets: percent(50), ..pool("fixed") };
    let at_home = shape(500, 1_024).node_selector(well_known::NODEPOOL_LABEL, "fixed").build();
    let world = |pool: NodePool| {
        let nodes = cluster().pool(general(), catalog()).pool(pool, catalog());
        ["a", "b"].into_iter().fold(nodes, |world, name| {
            let claim = up(claim(name, &fixed, type_of(&catalog(), "standard.large")));
            let pods = (0..7).map(|index| bound(pod(&format!("{name}-{index}"), &at_home), name));
            world.node(node_of_claim(&claim)).claim(claim).pods(pods)
        })
    };
    let look = |pool: NodePool| {
        let snapshot = world(pool).snapshot();
        replace_drifted(&snapshot, &inputs(), &Settings::default(), LATER, 7, &Never)
    };
    let changed = NodePool { hash: "new".into(), ..fixed.clone() };
    let found = look(changed.clone());
    assert_eq!(found.faults, []);
    assert_eq!(removed(&found), ["a"], "as many as the budget allows");
    let [launch] = &*found.plan.launches else { panic!("{:?}", found.plan.launches) };
    assert_eq!(launch.pool.as_str(), "fixed");
    assert!(found.moves.iter().all(|one| one.to == Target::Claim(launch.name.clone())));
    assert_eq!((found.moves.len(), why(&found, "b")), (7, Obstacle::Budget { limit: 1 }));
    let mut limited = changed.clone();
    limited.limits.nodes = Some(2);
    assert!(look(limited).is_empty(), "the new node would be one too many for a while");
    assert!(look(fixed.clone()).is_empty(), "it has not drifted");
    // Two small nodes for a large one would be one too many.
    let small = catalog().instance_types.into_iter().filter(|kind| kind.name == *"standard.medium");
    let small = Catalog::new(small.collect());
    let snapshot = world(changed.clone()).pool(changed, small).snapshot();
    let found = replace_drifted(&snapshot, &inputs(), &Settings::default(), LATER, 7, &Never);
    assert!(found.is_empty());
    assert_eq!(why(&found, "a"), Obstacle::NothingCheaper);
}

#[test]
fn i18_an_upgrade_with_unchanged_specs_changes_no_node() {
    let snapshot = nodes(&[("a", "standard.large", 7), ("b", "standard.large", 7)]).snapshot();
    let next = Inputs { hash_version: "berth-v2".into(), ..inputs() };
    let found = replace_drifted(&snapshot, &next, &Settings::default(), LATER, 7, &Never);
    assert!(found.is_empty() && found.plan.launches.is_empty());
    assert!(round(&snapshot).is_empty());
}

#[test]
fn i7_a_node_of_unknown_price_is_neither_removed_nor_counted_as_free() {
    let unknown = NodeClaim {
        price: None,
        labels: of("b", "standard.large")
            .labels
            .with([(well_known::INSTANCE_TYPE_LABEL.into(), "unheard-of".into())]),
        ..of("b", "standard.large")
    };
    let world = nodes(&[("a", "standard.large", 3), ("b", "standard.large", 1)]).claim(unknown);
    let found = round(&world.snapshot());
    assert_eq!(why(&found, "b"), Obstacle::NoPrice);
    assert_eq!(found.price_before, price(0.10033));
}

/// Large nodes in the zones `a` and `b` and how many pods of a workload that is spread over zones
/// are on each; the pods by zone after a round, and that round.
fn round_over_zones(homes: &[(&str, &str, usize)]) -> (Round, [usize; 2]) {
    let zones = exoscale_catalog(&["a", "b"]);
    let spread = shape(500, 1_024).label("app", "s").spread(well_known::ZONE_LABEL, 1).build();
    let mut world = cluster().pool(general(), zones.clone());
    for (name, zone, count) in homes {
        let kind = type_of(&zones, "standard.large");
        let offerings = kind.offerings.iter().filter(|offering| *offering.zone == **zone);
        let kind =
            crate::model::InstanceType { offerings: offerings.cloned().collect(), ..kind.clone() };
        let claim = up(claim(name, &general(), &kind));
        let pods = (0..*count).map(|index| bound(pod(&format!("{name}-{index}"), &spread), name));
        world = world.node(node_of_claim(&claim)).claim(claim).pods(pods);
    }
    let snapshot = world.snapshot();
    let found = round(&snapshot);
    let after = after_round(&snapshot, &found, &[(general(), zones)]);
    let count = |zone: &str| {
        let nodes = after.nodes.values().filter(|state| {
            state.node.label(well_known::ZONE_LABEL).is_some_and(|value| value == zone)
        });
        nodes.map(|state| state.pods.len()).sum::<usize>()
    };
    (found, [count("a"), count("b")])
}

#[test]
fn spread_over_zones_survives_a_round() {
    let homes = [("a1", "a", 2), ("a2", "a", 2), ("b1", "b", 2), ("b2", "b", 2)];
    let (found, counts) = round_over_zones(&homes);
    assert!(!found.is_empty());
    assert_eq!(counts, [4, 4]);
}

#[test]
fn pods_of_a_crowded_zone_move_to_the_emptiest_one() {
    // What a workload leaves behind that was scaled down. A large node holds seven such pods.
    let homes = [("a1", "a", 3), ("a2", "a", 3), ("a3", "a", 2), ("b1", "b", 1), ("b2", "b", 1)];
    let (found, counts) = round_over_zones(&homes);
    assert_eq!(found.plan.removals.len(), 3, "{:?}", found.plan.removals);
    assert!(found.plan.launches.is_empty());
    assert_eq!(counts, [5, 5], "{:?}", found.moves);
}

#[test]
fn equal_inputs_give_equal_rounds_and_every_round_passes_the_checker() {
    for (workload, seed) in
        [(Workload::Tiny, 1), (Workload::Diverse, 2), (Workload::Constrained, 3)]
    {
        for (catalog, fill) in [(mixed_catalog(), 0.4), (catalog(), 0.7)] {
            let snapshot = half_empty_cluster(&catalog, 30, fill, 20, workload, seed);
            let found = round_with_faults(&snapshot);
            assert_eq!(found, round_with_faults(&snapshot));
            assert_eq!(verify(&snapshot, &[], &found.plan), []);
            assert_eq!(verify_disruption(&snapshot, inputs().limits(), &found.plan), []);
            assert!(found.plan.removals.len() <= 6);
            assert!(found.lower_bound <= found.price_after, "{workload:?} {fill}");
            assert!(found.price_after <= found.price_before);
            assert_eq!(found.kept.len() + found.plan.removals.len(), 30);
        }
    }
}

fn round_with_faults(snapshot: &Snapshot) -> Round {
    consolidate(snapshot, &inputs(), &Settings::default(), LATER, 7, &Never)
}

#[test]
fn rounds_in_a_steady_cluster_come_to_an_end_and_nothing_moves_for_a_week() {
    let catalog = mixed_catalog();
    let pools = [(NodePool { budgets: percent(100), ..pool("general") }, catalog.clone())];
    let mut snapshot = half_empty_cluster(&catalog, 16, 0.5, 100, Workload::Diverse, 5);
    let mut rounds = 0;
    loop {
        let found = round_with_faults(&snapshot);
        if found.is_empty() {
            break;
        }
        assert!(found.price_after < found.price_before);
        snapshot = after_round(&snapshot, &found, &pools);
        rounds += 1;
        assert!(rounds < 12, "no end of it");
    }
    assert!(rounds > 0);
    for hour in 1..=7 * 24 {
        let (now, seed) = (LATER + Duration::from_hours(hour), hour);
        let found = consolidate(&snapshot, &inputs(), &Settings::default(), now, seed, &Never);
        assert!(found.is_empty(), "hour {hour}: {:?}", found.plan.removals);
    }
}

#[test]
fn i11_a_pod_that_the_eviction_api_fails_on_keeps_its_node_and_no_other() {
    let list = [("a", "standard.large", 3), ("b", "standard.large", 1), ("c", "standard.large", 1)];
    let snapshot = nodes(&list).snapshot();
    let quarantined = BTreeSet::from([Name::from("uid-default-b-0")]);
    let failing = Inputs { quarantined, ..inputs() };
    let found = consolidate(&snapshot, &failing, &Settings::default(), LATER, 7, &Never);
    let key = PodKey { namespace: "default".into(), name: "b-0".into() };
    assert_eq!(why(&found, "b"), Obstacle::Quarantined(key));
    assert!(!found.is_empty());
}

#[test]
fn a_budget_without_room_keeps_no_pod_whose_successor_runs_first() {
    let only = Pod { replace_first: true, ..bound(pod("b-0", &web()), "b") };
    let with = |asks: bool, irreplaceable: BTreeSet<Name>| {
        let list = [("a", "standard.large", 3), ("b", "standard.large", 1)];
        let world = nodes(&list).pod_disruption_budget(PodDisruptionBudget {
            key: PodKey { namespace: "default".into(), name: "all".into() },
            selector: LabelSelector::everything(),
            disruptions_allowed: Some(0),
        });
        let world = if asks { world.pod(only.clone()) } else { world };
        let inputs = Inputs { irreplaceable, ..inputs() };
        let settings = Settings::default();
        consolidate(&world.snapshot(), &inputs, &settings, LATER, 7, &Never)
    };
    assert!(with(false, BTreeSet::new()).is_empty());
    let found = with(true, BTreeSet::new());
    let removed: Vec<&str> = found.plan.removals.iter().map(|one| &*one.claim).collect();
    assert_eq!(removed, ["b"]);
    assert!(with(true, BTreeSet::from([only.uid.clone()])).is_empty());
}

#[test]
fn the_bound_knows_that_pods_stay_whole() {
    // A pod of more than half a node on each of three: none can go, although more than one node's
    // worth is free.
    let big = shape(2_500, 4_096).build();
    let names = ["a", "b", "c"];
    let snapshot = names.iter().fold(cluster().pool(general(), catalog()), |world, name| {
        let claim = of(name, "standard.large");
        world.node(node_of_claim(&claim)).claim(claim).pod(bound(pod(name, &big), name))
    });
    let snapshot = snapshot.snapshot();
    let with = |bound_steps| {
        let settings = Settings { may_launch: false, bound_steps, ..Settings::default() };
        let found = consolidate(&snapshot, &inputs(), &settings, LATER, 7, &Never);
        assert!(found.is_empty());
        (found.price_before - found.lower_bound).as_f64() / found.price_before.as_f64()
    };
    let (fluid, whole) = (with(0), with(Settings::default().bound_steps));
    assert!(fluid > 0.1 && whole < 1e-6, "{fluid} {whole}");
}

#[test]
fn a_round_whose_time_is_over_is_whole_and_passes_the_checker() {
    let catalog = mixed_catalog();
    let snapshot = half_empty_cluster(&catalog, 40, 0.6, 50, Workload::Diverse, 3);
    let best = round_with_faults(&snapshot);
    let asked = std::cell::Cell::new(0.0);
    for most in [0.0, 3.0, 30.0, 300.0, 3_000.0] {
        asked.set(0.0);
        let spent = Budget(|| {
            asked.set(asked.get() + 1.0);
            asked.get() / most
        });
        let found = consolidate(&snapshot, &inputs(), &Settings::default(), LATER, 7, &spent);
        assert!(!found.is_empty(), "{most}");
        assert_eq!(verify(&snapshot, &[], &found.plan), []);
        assert_eq!(verify_disruption(&snapshot, inputs().limits(), &found.plan), []);
        assert!(found.price_after < found.price_before);
        assert!(best.lower_bound <= found.price_after && found.lower_bound <= best.price_after);
    }
}
