use std::sync::Arc;

use super::*;
use crate::model::{
    Bytes, Change, ClusterEvent, ClusterState, Condition, ConditionStatus, ExpireAfter, Labels,
    MilliCpu, Node, NodeClaim, Pod, PodShape, Price, Requirements, Resources, Taint, TaintEffect,
    Toleration, TolerationOperator, well_known,
};

const NOW: Timestamp = Timestamp::from_seconds(10_000);
const POD: PodInQuestion<'_> = PodInQuestion {
    namespace: "shop",
    name: "web-1",
    uid: "uid-web-1",
    node: None,
    of_daemon_set: false,
    critical: false,
    described: None,
};

fn name(text: &str) -> Name {
    Name::from(text)
}

fn resources(cpu: i64, gibibytes: i64) -> Resources {
    Resources::new(MilliCpu(cpu), Bytes(gibibytes << 30))
}

/// A node of 4 CPUs and 16 GiB that is up and belongs to the pool `default`.
fn node(node_name: &str) -> Node {
    let labels = [
        (name(well_known::NODEPOOL_LABEL), name("default")),
        (name(well_known::INITIALIZED_LABEL), name("true")),
    ];
    Node {
        name: name(node_name),
        uid: name(&format!("uid-{node_name}")),
        labels: labels.into_iter().collect(),
        taints: Box::default(),
        unschedulable: false,
        provider_id: None,
        capacity: resources(4_000, 16),
        allocatable: resources(4_000, 16),
        ready: true,
        ready_since: None,
        conditions: Box::default(),
        created: Timestamp::default(),
        deleted: None,
        has_termination_finalizer: true,
        do_not_disrupt: false,
    }
}

fn unmanaged(node_name: &str) -> Node {
    Node { labels: Labels::default(), ..node(node_name) }
}

/// A node that has joined but is not up yet.
fn starting(node_name: &str) -> Node {
    Node { labels: Labels::default().with([pool_label()]), ready: false, ..node(node_name) }
}

fn pool_label() -> (Name, Name) {
    (name(well_known::NODEPOOL_LABEL), name("default"))
}

fn disrupted(node_name: &str) -> Node {
    let taint = Taint {
        key: name(well_known::DISRUPTED_TAINT),
        value: Name::default(),
        effect: TaintEffect::NoSchedule,
    };
    Node { taints: Box::from([taint]), ..node(node_name) }
}

/// A claim made a minute ago whose node has not joined.
fn claim(claim_name: &str) -> NodeClaim {
    NodeClaim {
        name: name(claim_name),
        uid: name(&format!("uid-{claim_name}")),
        labels: Labels::default(),
        created: Timestamp::from_seconds(9_940),
        deleted: None,
        has_termination_finalizer: true,
        requirements: Requirements::default(),
        requests: Resources::default(),
        taints: Box::default(),
        startup_taints: Box::default(),
        expire_after: ExpireAfter::Never,
        termination_grace_period: None,
        provider_id: None,
        node_name: None,
        capacity: None,
        allocatable: None,
        conditions: Box::default(),
        last_pod_event: None,
        terminate_by: None,
        planned_pods: Box::default(),
        price: None,
        template_hash: None,
        template_hash_version: None,
        reason: None,
    }
}

fn joined(claim_name: &str) -> NodeClaim {
    NodeClaim { node_name: Some(name(claim_name)), ..claim(claim_name) }
}

fn initialized() -> Box<[Condition]> {
    Box::from([Condition {
        kind: name(well_known::condition::INITIALIZED),
        status: ConditionStatus::True,
        reason: Name::default(),
        since: Timestamp::from_seconds(9_970),
    }])
}

fn pod(pod_name: &str, on: Option<&str>, requests: Resources) -> Pod {
    let shape = PodShape::plain(name("shop"), requests);
    let key = PodKey { namespace: name("shop"), name: name(pod_name) };
    let uid = name(&format!("uid-{pod_name}"));
    let node = on.map(name);
    Pod { node, unschedulable: false, ..Pod::waiting(key, uid, Arc::new(shape), NOW) }
}

fn tolerating(pod_name: &str) -> Pod {
    let mut pod = pod(pod_name, None, Resources::default());
    let mut shape = (*pod.shape).clone();
    shape.tolerations = Box::from([Toleration {
        key: Name::default(),
        operator: TolerationOperator::Exists,
        value: Name::default(),
        effect: None,
    }]);
    pod.shape = Arc::new(shape);
    pod
}

fn snapshot(nodes: Vec<Node>, claims: Vec<NodeClaim>, pods: Vec<Pod>) -> Snapshot {
    let mut state = ClusterState::new();
    state.apply(ClusterEvent::Node(Change::list(nodes)));
    state.apply(ClusterEvent::NodeClaim(Change::list(claims)));
    state.apply(ClusterEvent::Pod(Change::list(pods)));
    state.snapshot()
}

fn plan(targets: impl IntoIterator<Item = (&'static str, Target)>) -> StandingPlan {
    StandingPlan {
        confirmed_at: Timestamp::from_seconds(9_999),
        expires_at: Timestamp::from_seconds(10_060),
        targets: targets.into_iter().map(|(uid, target)| (name(uid), target)).collect(),
        kept: Vec::new(),
    }
}

fn to_claim(claim_name: &str) -> StandingPlan {
    plan([("uid-web-1", Target::Claim(name(claim_name)))])
}

fn to_node(node_name: &str) -> StandingPlan {
    plan([("uid-web-1", Target::Node(name(node_name)))])
}

fn placer<'a>(snapshot: &'a Snapshot, plan: &'a StandingPlan) -> Placer<'a> {
    let settings = Settings::default();
    Placer { snapshot: Some(snapshot), plan, expected: None, sent: None, settings, now: NOW }
}

fn answer(snapshot: &Snapshot, plan: &StandingPlan, candidates: &[&str]) -> Filtered {
    ask(&placer(snapshot, plan), &POD, candidates)
}

fn ask(placer: &Placer<'_>, pod: &PodInQuestion<'_>, candidates: &[&str]) -> Filtered {
    placer.filter(pod, &placer.candidates(candidates.iter().copied()))
}

fn scores<'c>(placer: &Placer<'_>, candidates: &[&'c str]) -> Vec<(&'c str, i64)> {
    let candidates = placer.candidates(candidates.iter().copied());
    let scores = placer.prioritize(&POD, &candidates);
    candidates.names().iter().copied().zip(scores).collect()
}

fn filtered(outcome: Outcome, verdicts: &[Option<Refusal>]) -> Filtered {
    Filtered { outcome, verdicts: verdicts.to_vec() }
}

const PASS: Option<Refusal> = None;
const ELSEWHERE: Option<Refusal> = Some(Refusal::PlannedElsewhere);
const WAIT: Option<Refusal> = Some(Refusal::Waiting);
const LEAVES: Option<Refusal> = Some(Refusal::Leaving);

#[test]
fn everything_passes_until_the_picture_is_complete() {
    let plan = to_node("a");
    let picture = Snapshot::default();
    let placer = Placer { snapshot: None, ..placer(&picture, &plan) };
    assert_eq!(ask(&placer, &POD, &["a", "b"]), filtered(Outcome::Unsynced, &[PASS, PASS]));
    assert_eq!(scores(&placer, &["a", "b", "a"]), [("a", 0), ("b", 0)]);
}

#[test]
fn everything_passes_from_the_moment_the_plan_expires() {
    let picture = snapshot(vec![node("a"), disrupted("b")], vec![], vec![]);
    let plan = to_node("a");
    let at = |now| ask(&Placer { now, ..placer(&picture, &plan) }, &POD, &["a", "b"]);
    let stale = filtered(Outcome::Stale, &[PASS, PASS]);
    let last = Timestamp::from_millis(10_059_999);
    assert_eq!(at(last), filtered(Outcome::Planned(name("a")), &[PASS, ELSEWHERE]));
    assert_eq!(at(Timestamp::from_seconds(10_060)), stale);
    // The clock was set back: nobody knows how old the plan is.
    assert_eq!(at(Timestamp::from_seconds(9_998)), stale);
    assert_eq!(answer(&picture, &StandingPlan::default(), &["a", "b"]), stale);
}

#[test]
fn a_pod_goes_to_its_planned_node_and_nowhere_else() {
    let picture = snapshot(vec![node("a"), node("b"), node("c")], vec![], vec![]);
    assert_eq!(
        answer(&picture, &to_node("b"), &["a", "b", "c"]),
        filtered(Outcome::Planned(name("b")), &[ELSEWHERE, PASS, ELSEWHERE])
    );
}

#[test]
fn a_pod_goes_to_the_node_of_its_claim_under_whatever_name_it_joined() {
    let mut other_name = claim("default-x");
    other_name.provider_id = Some(name("cloud://7"));
    let mut machine = node("machine-7");
    machine.provider_id = Some(name("cloud://7"));
    let picture = snapshot(vec![node("a"), machine], vec![other_name], vec![]);
    assert_eq!(
        answer(&picture, &to_claim("default-x"), &["a", "machine-7"]),
        filtered(Outcome::Planned(name("machine-7")), &[ELSEWHERE, PASS])
    );
}

#[test]
fn a_pod_waits_for_the_node_that_is_launched_for_it() {
    let picture = snapshot(vec![node("a"), node("b")], vec![claim("default-x")], vec![]);
    assert_eq!(
        answer(&picture, &to_claim("default-x"), &["a", "b"]),
        filtered(Outcome::Waiting(name("default-x")), &[WAIT, WAIT])
    );
}

#[test]
fn a_pod_waits_while_its_node_has_joined_but_is_not_up() {
    let nodes = vec![node("a"), starting("default-x")];
    let picture = snapshot(nodes, vec![joined("default-x")], vec![]);
    let waiting = filtered(Outcome::Waiting(name("default-x")), &[WAIT]);
    assert_eq!(answer(&picture, &to_claim("default-x"), &["a"]), waiting);
    assert_eq!(answer(&picture, &to_node("default-x"), &["a"]), waiting);
    // kube-scheduler says that it fits there: then the node is good enough.
    assert_eq!(
        answer(&picture, &to_claim("default-x"), &["a", "default-x"]),
        filtered(Outcome::Planned(name("default-x")), &[ELSEWHERE, PASS])
    );
}

#[test]
fn nobody_waits_for_a_claim_past_its_deadline() {
    let mut late = claim("default-x");
    late.created = Timestamp::from_seconds(10_000 - 900);
    let coming = snapshot(vec![node("a")], vec![late.clone()], vec![]);
    let overtaken = filtered(Outcome::Overtaken(name("default-x")), &[PASS]);
    assert_eq!(answer(&coming, &to_claim("default-x"), &["a"]), overtaken);
    late.node_name = Some(name("default-x"));
    let slow = snapshot(vec![node("a"), starting("default-x")], vec![late], vec![]);
    let fell_open = filtered(Outcome::FellOpen(name("default-x")), &[PASS]);
    assert_eq!(answer(&slow, &to_claim("default-x"), &["a"]), fell_open);
    assert_eq!(answer(&slow, &to_node("default-x"), &["a"]), fell_open);
    let mut in_time = claim("default-x");
    in_time.created = Timestamp::from_millis(9_100_001);
    let coming = snapshot(vec![node("a")], vec![in_time], vec![]);
    assert_eq!(
        answer(&coming, &to_claim("default-x"), &["a"]),
        filtered(Outcome::Waiting(name("default-x")), &[WAIT])
    );
}

#[test]
fn a_pod_is_free_when_kube_scheduler_refused_its_planned_node() {
    let nodes = vec![node("a"), node("default-x"), disrupted("z")];
    let picture = snapshot(nodes, vec![joined("default-x")], vec![]);
    let fell_open = filtered(Outcome::FellOpen(name("default-x")), &[PASS, LEAVES]);
    assert_eq!(answer(&picture, &to_claim("default-x"), &["a", "z"]), fell_open);
    assert_eq!(answer(&picture, &to_node("default-x"), &["a", "z"]), fell_open);
}

#[test]
fn a_claim_whose_condition_says_initialized_is_not_waited_for() {
    let mut up = joined("default-x");
    up.conditions = initialized();
    let picture = snapshot(vec![node("a"), starting("default-x")], vec![up.clone()], vec![]);
    let fell_open = filtered(Outcome::FellOpen(name("default-x")), &[PASS]);
    assert_eq!(answer(&picture, &to_claim("default-x"), &["a"]), fell_open);
    assert_eq!(answer(&picture, &to_node("default-x"), &["a"]), fell_open);
    // Somebody deleted the node.
    let bereft = snapshot(vec![node("a")], vec![up], vec![]);
    let overtaken = filtered(Outcome::Overtaken(name("default-x")), &[PASS]);
    assert_eq!(answer(&bereft, &to_claim("default-x"), &["a"]), overtaken);
}

#[test]
fn kube_scheduler_gets_thirty_seconds_to_offer_a_node_that_is_up() {
    let mut up = joined("default-x");
    up.conditions = initialized();
    let picture = snapshot(vec![node("a"), node("default-x")], vec![up], vec![]);
    for plan in [to_claim("default-x"), to_node("default-x")] {
        let at = |now| ask(&Placer { now, ..placer(&picture, &plan) }, &POD, &["a"]);
        let waiting = filtered(Outcome::Waiting(name("default-x")), &[WAIT]);
        assert_eq!(at(Timestamp::from_millis(9_999_999)), waiting);
        assert_eq!(at(NOW), filtered(Outcome::FellOpen(name("default-x")), &[PASS]));
    }
}

#[test]
fn a_free_pod_takes_no_room_that_planned_pods_need() {
    let of = |pod_name, cpu| pod(pod_name, None, resources(cpu, 1));
    let with_priority = |mut pod: Pod, priority| {
        let mut shape = (*pod.shape).clone();
        shape.priority = priority;
        pod.shape = Arc::new(shape);
        pod
    };
    let plan = plan([
        ("uid-1", Target::Node(name("a"))),
        ("uid-2", Target::Claim(name("default-x"))),
        ("uid-3", Target::Claim(name("default-x"))),
        ("uid-4", Target::Claim(name("default-y"))),
        ("uid-bound", Target::Node(name("b"))),
    ]);
    let nodes = || vec![node("a"), node("b"), node("default-x")];
    let claims = || vec![joined("default-x"), claim("default-y")];
    let pods = |free: Pod| {
        let planned = vec![of("1", 1_000), of("2", 1_500), of("3", 1_500), of("4", 4_000)];
        let bound = pod("bound", Some("b"), resources(2_000, 1));
        planned.into_iter().chain([bound, free]).collect::<Vec<_>>()
    };
    let verdicts = |free: Pod| {
        let picture = snapshot(nodes(), claims(), pods(free));
        let expected = Expected::of(&plan, &picture);
        let placer = Placer { expected: Some(&expected), ..placer(&picture, &plan) };
        ask(&placer, &POD, &["a", "b", "default-x", "unknown"]).verdicts
    };
    const HELD: Option<Refusal> = Some(Refusal::Held);
    assert_eq!(verdicts(of("web-1", 1_000)), [PASS, PASS, PASS, PASS]);
    assert_eq!(verdicts(of("web-1", 1_001)), [PASS, PASS, HELD, PASS]);
    // Whether it fits on b is kube-scheduler's to say: nobody is expected there.
    assert_eq!(verdicts(of("web-1", 3_001)), [HELD, PASS, HELD, PASS]);
    assert_eq!(verdicts(with_priority(of("web-1", 3_001), 1)), [PASS, PASS, PASS, PASS]);
    assert_eq!(verdicts(with_priority(of("web-1", 3_001), -1)), [HELD, PASS, HELD, PASS]);
    // A pod that no watch has shown, and of which nothing is known.
    assert_eq!(verdicts(of("other", 4_000)), [PASS, PASS, PASS, PASS]);
}

#[test]
fn nor_does_one_that_no_watch_has_shown_yet() {
    let plan = plan([("uid-1", Target::Node(name("a")))]);
    let verdicts = |shown: Vec<Pod>, described: &Arc<Pod>| {
        let planned = pod("1", None, resources(1_000, 1));
        let picture = snapshot(vec![node("a"), node("b")], vec![], [vec![planned], shown].concat());
        let expected = Expected::of(&plan, &picture);
        let placer = Placer { expected: Some(&expected), ..placer(&picture, &plan) };
        let asked = PodInQuestion { described: Some(described), ..POD };
        ask(&placer, &asked, &["a", "b"]).verdicts
    };
    let of = |cpu| Arc::new(pod("web-1", None, resources(cpu, 1)));
    const HELD: Option<Refusal> = Some(Refusal::Held);
    assert_eq!(verdicts(vec![], &of(3_000)), [PASS, PASS]);
    assert_eq!(verdicts(vec![], &of(3_001)), [HELD, PASS]);
    // What a watch has shown counts more; but not of a pod that had the name before.
    let small = pod("web-1", None, resources(100, 1));
    let predecessor = Pod { uid: "uid-before".into(), ..small.clone() };
    assert_eq!(verdicts(vec![small], &of(3_001)), [PASS, PASS]);
    assert_eq!(verdicts(vec![predecessor], &of(3_001)), [HELD, PASS]);
}

#[test]
fn a_pod_that_kube_scheduler_kept_off_its_node_holds_nothing_against_itself() {
    let picture = snapshot(
        vec![node("a"), node("b")],
        vec![],
        vec![pod("web-1", None, resources(3_000, 1)), pod("2", None, resources(2_000, 1))],
    );
    let plan = plan([("uid-web-1", Target::Node(name("a"))), ("uid-2", Target::Node(name("b")))]);
    let expected = Expected::of(&plan, &picture);
    let placer = Placer { expected: Some(&expected), ..placer(&picture, &plan) };
    assert_eq!(
        ask(&placer, &POD, &["b"]),
        filtered(Outcome::FellOpen(name("a")), &[Some(Refusal::Held)])
    );
    assert_eq!(
        ask(&placer, &POD, &["a", "b"]),
        filtered(Outcome::Planned(name("a")), &[PASS, ELSEWHERE])
    );
}

#[test]
fn a_place_that_is_kept_for_an_evicted_pods_successor_goes_to_no_other() {
    let owner = |of: &str| Owner::Controller(name("ReplicaSet"), name(of));
    let of = |pod_name: &str, of: &str| Pod {
        owner: owner(of),
        ..pod(pod_name, None, resources(3_000, 1))
    };
    let picture = snapshot(
        vec![node("a"), node("b"), node("c")],
        vec![],
        vec![of("web-1", "web"), of("db-1", "db")],
    );
    let kept = |on: &str| Kept {
        node: name(on),
        owner: owner("web"),
        shape: Arc::clone(&of("", "web").shape),
    };
    let with = |kept: Vec<Kept>, pod: &str, candidates: &[&str]| {
        let plan = StandingPlan { kept, ..plan([]) };
        let expected = Expected::of(&plan, &picture);
        let placer = Placer { expected: Some(&expected), ..placer(&picture, &plan) };
        let uid = format!("uid-{pod}");
        ask(&placer, &PodInQuestion { name: pod, uid: &uid, ..POD }, candidates)
    };
    // Each has room for one such pod.
    let successor = filtered(Outcome::Successor, &[ELSEWHERE, PASS]);
    assert_eq!(with(vec![kept("b")], "web-1", &["a", "b"]), successor);
    let other = filtered(Outcome::Unplanned, &[PASS, Some(Refusal::Held)]);
    assert_eq!(with(vec![kept("b")], "db-1", &["a", "b"]), other);
    // Two places, each good for one of them: whichever comes first.
    let either = filtered(Outcome::Successor, &[PASS, ELSEWHERE, PASS]);
    assert_eq!(with(vec![kept("a"), kept("c")], "web-1", &["a", "b", "c"]), either);
    // kube-scheduler does not offer the place: the pod is as free as any other.
    let free = filtered(Outcome::Unplanned, &[PASS]);
    assert_eq!(with(vec![kept("b")], "web-1", &["a"]), free);
}

#[test]
fn a_pod_is_free_when_its_planned_node_or_claim_is_gone_or_leaves() {
    let mut deleted = joined("default-x");
    deleted.deleted = Some(NOW);
    let mut going = node("b");
    going.deleted = Some(NOW);
    let nodes = vec![node("a"), going, disrupted("c"), node("default-x")];
    let picture = snapshot(nodes, vec![deleted, joined("c")], vec![]);
    let candidates = ["a", "b", "c", "default-x"];
    let verdicts = [PASS, LEAVES, LEAVES, LEAVES];
    for target in ["default-x", "c", "gone"] {
        let overtaken = filtered(Outcome::Overtaken(name(target)), &verdicts);
        assert_eq!(answer(&picture, &to_claim(target), &candidates), overtaken, "{target}");
    }
    for target in ["default-x", "b", "c", "gone"] {
        let overtaken = filtered(Outcome::Overtaken(name(target)), &verdicts);
        assert_eq!(answer(&picture, &to_node(target), &candidates), overtaken, "{target}");
    }
}

#[test]
fn unplanned_pods_go_anywhere_but_to_nodes_that_leave() {
    let mut deleted_by_id = claim("default-y");
    deleted_by_id.provider_id = Some(name("cloud://8"));
    deleted_by_id.deleted = Some(NOW);
    let mut machine = node("machine-8");
    machine.provider_id = Some(name("cloud://8"));
    let nodes = vec![node("a"), disrupted("b"), machine, unmanaged("infra")];
    let picture = snapshot(nodes, vec![deleted_by_id], vec![]);
    assert_eq!(
        answer(&picture, &plan([]), &["a", "b", "machine-8", "infra", "unknown"]),
        filtered(Outcome::Unplanned, &[PASS, LEAVES, LEAVES, PASS, PASS])
    );
}

#[test]
fn a_pod_that_tolerates_the_taint_gets_a_leaving_node_if_there_is_nothing_else() {
    let nodes = || vec![node("a"), disrupted("b"), disrupted("c")];
    let picture = snapshot(nodes(), vec![], vec![tolerating("web-1")]);
    let answer_to = |candidates| answer(&picture, &plan([]), candidates).verdicts;
    assert_eq!(answer_to(&["b", "c"]), [PASS, PASS]);
    assert_eq!(answer_to(&["a", "b"]), [PASS, LEAVES]);
    // The taint is not there yet, but kube-scheduler will refuse in a moment anyway.
    let plain = pod("web-1", None, Resources::default());
    let picture = snapshot(nodes(), vec![], vec![plain]);
    assert_eq!(answer(&picture, &plan([]), &["b", "c"]).verdicts, [LEAVES, LEAVES]);
    // A pod that no watch has shown yet is not held up.
    let picture = snapshot(nodes(), vec![], vec![]);
    assert_eq!(answer(&picture, &plan([]), &["b", "c"]).verdicts, [PASS, PASS]);
}

#[test]
fn daemons_critical_pods_and_resizes_are_never_held_up() {
    let picture = snapshot(vec![node("a"), disrupted("b")], vec![claim("default-x")], vec![]);
    let plan = to_claim("default-x");
    let of = |pod: &PodInQuestion<'_>| ask(&placer(&picture, &plan), pod, &["a", "b"]);
    let exempt = filtered(Outcome::Exempt, &[PASS, PASS]);
    assert_eq!(of(&PodInQuestion { critical: true, ..POD }), exempt);
    assert_eq!(of(&PodInQuestion { of_daemon_set: true, ..POD }), exempt);
    let bound = filtered(Outcome::Bound, &[PASS, PASS]);
    assert_eq!(of(&PodInQuestion { node: Some("b"), ..POD }), bound);
}

#[test]
fn the_plan_is_for_a_uid_not_for_a_name() {
    let known = pod("web-1", None, Resources::default());
    let picture = snapshot(vec![node("a"), node("b")], vec![], vec![known]);
    let plan = to_node("b");
    let of = |uid| ask(&placer(&picture, &plan), &PodInQuestion { uid, ..POD }, &["a", "b"]);
    assert_eq!(of("another"), filtered(Outcome::Unplanned, &[PASS, PASS]));
    // Without a UID the name has to do.
    assert_eq!(of(""), filtered(Outcome::Planned(name("b")), &[ELSEWHERE, PASS]));
}

#[test]
fn no_candidates_no_verdicts() {
    let picture = snapshot(vec![node("a")], vec![], vec![]);
    assert_eq!(answer(&picture, &to_node("a"), &[]), filtered(Outcome::FellOpen(name("a")), &[]));
    assert!(scores(&placer(&picture, &to_node("a")), &[]).is_empty());
}

#[test]
fn the_planned_node_scores_ten_a_leaving_one_nothing_an_unmanaged_one_nine() {
    let nodes = vec![node("a"), disrupted("b"), unmanaged("infra"), node("default-x")];
    let picture = snapshot(nodes, vec![joined("default-x")], vec![]);
    let candidates = ["a", "b", "infra", "default-x", "unknown"];
    let plan = to_claim("default-x");
    let each = |scores: [i64; 5]| candidates.into_iter().zip(scores).collect::<Vec<_>>();
    let twice = [candidates, candidates].concat();
    assert_eq!(scores(&placer(&picture, &plan), &twice), each([1, 0, 9, 10, 1]));
    let late = Placer { now: Timestamp::from_seconds(20_000), ..placer(&picture, &plan) };
    assert_eq!(scores(&late, &twice), each([1, 0, 9, 1, 1]));
}

#[test]
fn fuller_nodes_score_more_and_so_do_cheaper_ones() {
    let priced = |claim_name: &str, price: u64| NodeClaim {
        price: Some(Price::from_nanos(price)),
        ..joined(claim_name)
    };
    let mut big = node("big");
    big.allocatable = resources(8_000, 16);
    let names = ["dear", "dear-empty", "dear-fuller", "empty", "free", "full", "half", "over"];
    let nodes = names.into_iter().map(node).chain([big]).collect();
    let prices = [("big", 200), ("dear", 200), ("dear-empty", 200), ("dear-fuller", 150)];
    let cheap = [("empty", 100), ("half", 100), ("nothing", 0)];
    let claims = prices.into_iter().chain(cheap).map(|(name, price)| priced(name, price));
    let pods = vec![
        pod("1", Some("big"), resources(4_000, 0)),
        pod("2", Some("dear"), resources(0, 8)),
        pod("3", Some("dear-fuller"), resources(0, 12)),
        pod("4", Some("full"), resources(4_000, 1)),
        pod("5", Some("half"), resources(2_000, 1)),
        pod("6", Some("over"), resources(9_000, 1)),
    ];
    let picture = snapshot(nodes, claims.collect(), pods);
    let nothing = plan([]);
    let scores = |candidates| scores(&placer(&picture, &nothing), candidates);
    assert_eq!(
        scores(&["big", "half", "dear", "dear-fuller", "empty", "dear-empty"]),
        [("big", 6), ("half", 6), ("dear", 4), ("dear-fuller", 6), ("empty", 4), ("dear-empty", 2),],
        "big, half and empty cost 25 a core, dear-fuller 37, the others 50"
    );
    assert_eq!(
        scores(&["free", "full", "over"]),
        [("free", 1), ("full", 5), ("over", 5)],
        "nobody knows their prices"
    );
    // It is the candidates that are compared, and nobody else.
    assert_eq!(scores(&["dear", "dear-empty"]), [("dear", 6), ("dear-empty", 4)]);
}

fn proposed<'a>(node: &'a str, victims: &[&'a str]) -> Proposal<'a> {
    Proposal { node, victims: victims.to_vec() }
}

#[test]
fn preemption_proposals_stand_save_those_on_nodes_that_leave() {
    let nodes = vec![node("a"), disrupted("b"), unmanaged("infra"), node("c")];
    let mut deleted = joined("c");
    deleted.deleted = Some(NOW);
    let picture = snapshot(nodes, vec![deleted], vec![pod("web-1", None, resources(1, 1))]);
    let proposals: Vec<_> =
        ["a", "b", "infra", "c", "unknown"].map(|node| proposed(node, &["uid-1"])).into();
    let of = |plan: &StandingPlan, pod: &PodInQuestion<'_>| {
        placer(&picture, plan).preempt(pod, &proposals)
    };
    let kept = |outcome, stands: [bool; 5]| Preempted { outcome, stands: stands.into() };
    let staying = [true, false, true, false, true];
    assert_eq!(of(&plan([]), &POD), kept(Outcome::Unplanned, staying));
    assert_eq!(of(&to_node("a"), &POD), kept(Outcome::FellOpen(name("a")), staying));
    assert_eq!(of(&to_node("b"), &POD), kept(Outcome::Overtaken(name("b")), staying));
    assert_eq!(of(&StandingPlan::default(), &POD), kept(Outcome::Stale, staying));
    let all = [true; 5];
    let exempt = kept(Outcome::Exempt, all);
    assert_eq!(of(&plan([]), &PodInQuestion { critical: true, ..POD }), exempt);
    assert_eq!(of(&plan([]), &PodInQuestion { of_daemon_set: true, ..POD }), exempt);
    assert_eq!(of(&plan([]), &PodInQuestion { node: Some("a"), ..POD }), kept(Outcome::Bound, all));
    let unsynced = Placer { snapshot: None, ..placer(&picture, &DEFAULT_PLAN) };
    assert_eq!(unsynced.preempt(&POD, &proposals), kept(Outcome::Unsynced, all));
}

static DEFAULT_PLAN: StandingPlan = StandingPlan {
    kept: Vec::new(),
    confirmed_at: Timestamp::from_seconds(0),
    expires_at: Timestamp::from_seconds(0),
    targets: std::collections::BTreeMap::new(),
};

#[test]
fn nobody_is_evicted_for_a_pod_whose_planned_node_is_on_its_way() {
    let picture = snapshot(
        vec![node("a"), starting("default-y")],
        vec![claim("default-x"), joined("default-y")],
        vec![],
    );
    for target in ["default-x", "default-y"] {
        let preempted = placer(&picture, &to_claim(target))
            .preempt(&POD, &[proposed("a", &["uid-1"]), proposed("unknown", &["uid-2"])]);
        let expected =
            Preempted { outcome: Outcome::Waiting(name(target)), stands: vec![false, false] };
        assert_eq!(preempted, expected);
    }
}

#[test]
fn nobody_is_evicted_where_the_filter_would_refuse_the_pod_all_the_same() {
    let low = |pod_name, on| {
        let pod = pod(pod_name, Some(on), resources(2_000, 1));
        let mut shape = (*pod.shape).clone();
        shape.priority = -1;
        Pod { shape: Arc::new(shape), ..pod }
    };
    // 2,000 are free on each node, 1,500 of them are for pod 1 on `a`.
    let pods = vec![
        pod("web-1", None, resources(3_000, 1)),
        pod("1", None, resources(1_500, 1)),
        low("low-a", "a"),
        low("low-b", "b"),
    ];
    let picture = snapshot(vec![node("a"), node("b")], vec![], pods);
    let plan = plan([("uid-1", Target::Node(name("a")))]);
    let expected = Expected::of(&plan, &picture);
    let placer = Placer { expected: Some(&expected), ..placer(&picture, &plan) };
    let stands = |proposals: &[Proposal<'_>]| placer.preempt(&POD, proposals).stands;
    let (on_a, on_b) = (proposed("a", &["uid-low-a"]), proposed("b", &["uid-low-b"]));
    assert_eq!(stands(&[on_a, on_b]), [false, true]);
    assert_eq!(ask(&placer, &POD, &["a"]).verdicts, [Some(Refusal::Held)]);
    // A victim that no watch has shown: kube-scheduler is believed.
    assert_eq!(stands(&[proposed("a", &["uid-low-a", "uid-unknown"])]), [true]);
}
