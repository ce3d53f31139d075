use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::model::{Catalog, Change, Name, NodePool, NodeState};
use crate::testing::{
    Workload, after_round, bound, exoscale_catalog, half_empty_cluster, percent, pod, pool,
    random_problem, shape,
};

/// A budget that is over after so many questions.
fn questions(count: u32) -> Recorded<impl Fn() -> f64> {
    let asked = Cell::new(0);
    Recorded::new(move || {
        asked.set(asked.get() + 1);
        f64::from(asked.get()) / f64::from(count)
    })
}

/// A line as it is written and read.
fn line(before: Option<&Snapshot>, snapshot: &Snapshot, question: Question, count: u32) -> Line {
    let (at, seed) = (Timestamp::from_seconds(100_000), 7);
    let budget = questions(count);
    let answer = question.answer(snapshot, at, seed, &budget);
    let line = Line {
        version: VERSION,
        berth: "test".into(),
        series: 0,
        complete: before.is_none(),
        generation: snapshot.generation,
        changes: difference(before.unwrap_or(&Snapshot::default()), snapshot),
        decision: Decision { at, seed, question, pace: budget.into_pace(), answer },
    };
    let text = serde_json::to_string(&line).unwrap();
    let read: Line = serde_json::from_str(&text).unwrap();
    assert_eq!(read, line);
    read
}

fn catalog() -> Catalog {
    exoscale_catalog(&["z"])
}

fn half_empty(nodes: usize) -> Snapshot {
    half_empty_cluster(&catalog(), nodes, 0.3, 100, Workload::Diverse, 3)
}

fn provision() -> Question {
    Question::Provision { settings: packing::Settings::default() }
}

fn disrupt() -> Question {
    let inputs = Inputs { hash_version: "test".into(), ..Inputs::default() };
    Question::Disrupt { inputs: Box::new(inputs), settings: Box::default() }
}

fn bytes(answer: &Answer) -> String {
    serde_json::to_string(answer).unwrap()
}

#[test]
fn decisions_on_random_clusters_are_derived_again_byte_for_byte() {
    for seed in 0..60 {
        let mut snapshot = random_problem(seed);
        // A cluster that lived before it was looked at first.
        snapshot.generation += 1_000;
        let count = [3, 40, 1_000][seed as usize % 3];
        for question in [provision(), disrupt()] {
            let mut line = line(None, &snapshot, question, count);
            let replayed = Replay::default().advance(&mut line).unwrap();
            assert_eq!(replayed, snapshot, "seed {seed}");
            let again = line.decision.again(&replayed);
            assert_eq!(bytes(&again), bytes(&line.decision.answer), "seed {seed}");
        }
    }
}

#[test]
fn a_decision_that_was_cut_short_is_derived_again_as_far_as_it_went() {
    let snapshot = half_empty(40);
    let cut: Vec<String> = [1, 5, 30, 200]
        .into_iter()
        .map(|count| {
            let mut line = line(None, &snapshot, disrupt(), count);
            let replayed = Replay::default().advance(&mut line).unwrap();
            let again = bytes(&line.decision.again(&replayed));
            assert_eq!(again, bytes(&line.decision.answer), "after {count} questions");
            again
        })
        .collect();
    assert!(cut.iter().any(|one| *one != cut[0]), "no budget made a difference: nothing is shown");
}

#[test]
fn a_line_holds_only_what_has_changed() {
    let before = half_empty(20);
    let mut replay = Replay::default();
    let mut first = line(None, &before, disrupt(), 1_000);
    assert_eq!(replay.advance(&mut first).unwrap(), before);
    let Answer::Round(round) = &first.decision.answer else { panic!("no round") };
    assert!(!round.is_empty());
    let general = NodePool { budgets: percent(100), ..pool("general") };
    let after = after_round(&before, round, &[(general, catalog())]);
    let mut second = line(Some(&before), &after, disrupt(), 1_000);
    let touched = round.plan.removals.len() * 2 + round.plan.launches.len() * 2 + round.moves.len();
    assert!(second.changes.len() <= touched, "{} changes", second.changes.len());
    assert_eq!(replay.advance(&mut second).unwrap(), after);
    let again = second.decision.again(&after);
    assert_eq!(bytes(&again), bytes(&second.decision.answer));
}

#[test]
fn a_node_that_only_got_a_pod_is_not_written_down_again() {
    let before = half_empty(3);
    let node: Name = before.nodes.keys().next().unwrap().clone();
    let one = bound(pod("one-more", &shape(100, 64).build()), &node);
    let mut after = before.clone();
    after.pods.insert(one.key.clone(), one.clone().into());
    let state = NodeState::clone(&after.nodes[&node]);
    let pods =
        state.pods.into_iter().chain([(one.key.clone(), Arc::new(one.clone()).into())]).collect();
    after.nodes.insert(node, NodeState { pods, ..state }.into());
    assert_eq!(difference(&before, &after), [ClusterEvent::Pod(Change::Applied(one))]);
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let snapshot = random_problem(1);
    let mut headless = line(None, &snapshot, provision(), 3);
    headless.complete = false;
    let error = Replay::default().advance(&mut headless).unwrap_err();
    assert_eq!(error, Misplaced::Headless);
    headless.version = 9;
    let error = Replay::default().advance(&mut headless).unwrap_err().to_string();
    assert_eq!(error, "version: 9: expected 1");
}
