use std::time::Duration;

use berth_solver::decisions::{Answer, Decision, Question, Recorded};
use berth_solver::disruption::{Inputs, Settings, next_round};
use berth_solver::model::{Catalog, ConsolidationPolicy, NodePool, Owner, Pod, Unschedulable};
use berth_solver::testing::*;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(100_000);

fn catalog() -> Catalog {
    exoscale_catalog(&["z"])
}

fn general() -> NodePool {
    NodePool { budgets: percent(100), ..pool("general") }
}

/// A pool with one node of a type that is far too large for its pods.
fn world() -> ClusterBuilder {
    let claim = up(claim("n1", &general(), type_of(&catalog(), "standard.huge")));
    let shape = shape(500, 512).label("app", "web").build();
    let pods = pods("web", 2, &shape).into_iter().map(|pod| bound(pod, "n1"));
    cluster().pool(general(), catalog()).node(node_of_claim(&claim)).claim(claim).pods(pods)
}

fn explain(snapshot: &Snapshot, latest: &Latest, subject: &str) -> Result<Explanation, NotThere> {
    explain_with(snapshot, latest, &StandingPlan::default(), subject)
}

fn explain_with(
    snapshot: &Snapshot,
    latest: &Latest,
    standing: &StandingPlan,
    subject: &str,
) -> Result<Explanation, NotThere> {
    let schedulers = ["default-scheduler".into()];
    let picture = Picture { snapshot, standing, latest, now: NOW, schedulers: &schedulers };
    picture.explain(&subject.parse().unwrap())
}

fn round_of(snapshot: &Snapshot, settings: Settings) -> Latest {
    let inputs = Inputs { hash_version: HASH_VERSION.into(), ..Inputs::default() };
    let budget = Recorded::new(|| 0.0);
    let at = Timestamp::from_seconds(99_990);
    let round = next_round(snapshot, &inputs, &settings, at, 7, &budget);
    let question = Question::Disrupt { inputs: Box::new(inputs), settings: Box::new(settings) };
    let (pace, answer) = (budget.into_pace(), Answer::Round(Box::new(round)));
    let decision = Decision { at, seed: 7, question, pace, answer };
    Latest { round: Some(Arc::new(decision)), ..Latest::default() }
}

use crate::api::HASH_VERSION;

#[test]
fn subjects_are_understood_or_refused_with_what_was_expected() {
    let parsed: Subject = "pod/shop/web-0".parse().unwrap();
    assert_eq!(parsed.to_string(), "pod/shop/web-0");
    for bad in ["web-0", "pod/web-0", "node/", "node/a/b", "service/a/b"] {
        let error = bad.parse::<Subject>().unwrap_err().to_string();
        assert!(error.ends_with("expected node/NAME, nodeclaim/NAME or pod/NAMESPACE/NAME"));
    }
}

#[test]
fn a_node_of_somebody_else_is_never_touched() {
    let snapshot = cluster().node(node("static-1", 4_000, 8_192)).snapshot();
    let said = explain(&snapshot, &Latest::default(), "node/static-1").unwrap();
    assert_eq!(said.verdict, "it stays: Berth never touches it");
}

#[test]
fn what_is_not_there_is_named() {
    let snapshot = world().snapshot();
    let error = explain(&snapshot, &Latest::default(), "node/moon").unwrap_err().to_string();
    assert!(error.starts_with("node/moon is not in the cluster, which has 1 nodes"), "{error}");
}

#[test]
fn a_node_that_a_round_chose_says_why() {
    let snapshot = world().snapshot();
    let latest = round_of(&snapshot, Settings::default());
    let said = explain(&snapshot, &latest, "node/n1").unwrap();
    assert!(said.verdict.starts_with("it goes: chosen 10 s ago, Underutilized"), "{said:?}");
    assert!(!said.reasons[0].is_empty());
}

#[test]
fn a_node_that_stays_says_what_the_last_round_made_of_it() {
    let snapshot = world().snapshot();
    let settings = Settings { may_launch: false, ..Settings::default() };
    let said = explain(&snapshot, &round_of(&snapshot, settings), "node/n1").unwrap();
    assert_eq!(said.verdict, "it stays");
    let expected = "the last round, 10 s ago, looked to consolidate it: its pods fit neither on \
                    other nodes nor on cheaper new ones";
    assert_eq!(said.reasons, [expected]);
    let said = explain(&snapshot, &Latest::default(), "nodeclaim/n1").unwrap();
    assert!(said.reasons[0].contains("no round has looked"), "{:?}", said.reasons);
}

#[test]
fn an_empty_node_whose_room_is_kept_says_for_which_buffer() {
    let pool = NodePool { consolidation_policy: ConsolidationPolicy::WhenEmpty, ..general() };
    let claim = up(claim("n1", &pool, type_of(&catalog(), "standard.huge")));
    let empty = cluster().pool(pool, catalog()).node(node_of_claim(&claim)).claim(claim);
    let reasons = |cluster: &ClusterBuilder| {
        explain(&cluster.snapshot(), &Latest::default(), "node/n1").unwrap().reasons
    };
    assert!(reasons(&empty)[0].starts_with("it is about to go: "), "{:?}", reasons(&empty));
    let kept = empty.buffer("spare", &shape(500, 512).build(), 1);
    assert_eq!(reasons(&kept)[0], "its room is kept for buffer default/spare");
}

#[test]
fn what_keeps_a_node_is_said_though_no_round_has_looked() {
    let bare = bound(pod("bare", &shape(100, 64).build()), "n1");
    let snapshot = world().pod(Pod { owner: Owner::None, ..bare }).snapshot();
    let said = explain(&snapshot, &Latest::default(), "node/n1").unwrap();
    assert_eq!(said.reasons, ["nothing would make pod default/bare again"]);
}

#[test]
fn a_bound_pod_says_where_it_is_and_what_becomes_of_the_node() {
    let snapshot = world().snapshot();
    let said = explain(&snapshot, &Latest::default(), "pod/default/web-0").unwrap();
    assert_eq!(said.verdict, "it runs on node n1");
    assert_eq!(said.reasons, ["its node: it stays"]);
}

#[test]
fn a_waiting_pod_says_why_it_waits() {
    let lonely = pod("lonely", &shape(100, 64).build());
    let snapshot = world().pod(lonely.clone()).snapshot();
    let said = |latest: &Latest| {
        let said = explain(&snapshot, latest, "pod/default/lonely").unwrap();
        assert_eq!(said.verdict, "it waits: it has no place yet");
        said.reasons
    };
    assert_eq!(said(&Latest::default()), ["no plan has been made yet"]);
    let latest = |change: fn(&mut berth_solver::model::Plan, Unschedulable)| {
        let mut plan = empty_plan();
        let (key, uid) = (lonely.key.clone(), lonely.uid.clone());
        change(&mut plan, Unschedulable { pod: key, uid, reason: "no zone mars".to_owned() });
        let question = Question::Provision { settings: Default::default() };
        let answer = Answer::Plan(Some(Box::new(plan)));
        let at = NOW - Duration::from_secs(300);
        let decision = Decision { at, seed: 0, question, pace: Default::default(), answer };
        Latest { plan: Some(Arc::new(decision)), ..Latest::default() }
    };
    let refused = latest(|plan, one| plan.unschedulable.push(one));
    assert_eq!(said(&refused), ["the last plan, 5 min ago: no zone mars"]);
    let unseen = latest(|_, _| {});
    assert_eq!(said(&unseen), ["the last plan, 5 min ago, did not look at it: the next one will"]);
}

#[test]
fn a_planned_pod_says_what_it_waits_for() {
    let lonely = pod("lonely", &shape(100, 64).build());
    let coming = claim("n2", &general(), type_of(&catalog(), "standard.small"));
    let snapshot = world().pod(lonely.clone()).claim(coming).snapshot();
    let target = |target| StandingPlan {
        confirmed_at: NOW,
        expires_at: NOW + Duration::from_secs(10),
        targets: [(lonely.uid.clone(), target)].into(),
        ..StandingPlan::default()
    };
    let said = |standing| {
        explain_with(&snapshot, &Latest::default(), &standing, "pod/default/lonely").unwrap()
    };
    let there = said(target(berth_solver::model::Target::Node("n1".into())));
    assert_eq!(there.verdict, "it waits for kube-scheduler: it is planned for node n1");
    let coming = said(target(berth_solver::model::Target::Claim("n2".into())));
    assert_eq!(coming.verdict, "it waits for its node: it is planned for that of NodeClaim n2");
    assert!(coming.reasons[1].starts_with("Launched is not true"), "{:?}", coming.reasons);
}

#[test]
fn a_pod_that_is_not_planned_for_says_why() {
    let mut foreign =
        pod("foreign", &shape(100, 64).with(|one| one.scheduler = "yunikorn".into()).build());
    foreign.gated = false;
    let gated = Pod { gated: true, ..pod("gated", &shape(100, 64).build()) };
    let snapshot = world().pod(foreign).pod(gated).snapshot();
    let reason = |subject| {
        let said = explain(&snapshot, &Latest::default(), subject).unwrap();
        assert_eq!(said.verdict, "it waits, and nothing is planned for it");
        said.reasons[0].clone()
    };
    assert!(reason("pod/default/foreign").starts_with("its scheduler is yunikorn"));
    assert!(reason("pod/default/gated").starts_with("it has scheduling gates"));
}
