use std::sync::Arc;

use berth_solver::decisions::{Decision, Question, Recorded};
use berth_solver::testing::*;

use super::*;
use crate::decisions::{DecisionJournal, DecisionLog, LogSettings};

/// Logs one plan into a folder; the answer is what `change` makes of it.
fn log(change: impl FnOnce(&mut Plan)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings::new(folder.path().to_owned());
    let journal = DecisionJournal::new(Some(DecisionLog::open(settings).unwrap()));
    let shape = shape(500, 512).build();
    let world =
        cluster().pool(pool("general"), exoscale_catalog(&["z"])).pods(pods("a", 5, &shape));
    let snapshot = Arc::new(world.snapshot());
    let question = Question::Provision { settings: Default::default() };
    let (at, budget) = (Timestamp::from_seconds(1_800_000_000), Recorded::new(|| 0.0));
    let Answer::Plan(Some(mut plan)) = question.answer(&snapshot, at, 7, &budget) else {
        panic!("no plan");
    };
    change(&mut plan);
    let (pace, answer) = (budget.into_pace(), Answer::Plan(Some(plan)));
    journal.record(&snapshot, &Arc::new(Decision { at, seed: 7, question, pace, answer }));
    drop(journal);
    folder
}

fn replayed(folder: &tempfile::TempDir, output: Output) -> (String, Result<(), Failure>) {
    let files = vec![folder.path().to_owned()];
    let mut text = Vec::new();
    let result = run(&Arguments { files, brief: false, output }, &mut text);
    (String::from_utf8(text).unwrap(), result)
}

#[test]
fn a_decision_that_comes_out_the_same_is_said_to() {
    let (text, result) = replayed(&log(|_| {}), Output::Table);
    result.unwrap();
    assert!(text.contains("2027-01-15T08:00:00Z"), "{text}");
    assert!(text.ends_with("1 decision: 1 came out the same, 0 otherwise\n"), "{text}");
}

#[test]
fn a_decision_that_comes_out_otherwise_is_named_with_the_first_difference() {
    let folder = log(|plan| plan.launches[0].zone = "moon".into());
    let (text, result) = replayed(&folder, Output::Table);
    assert_eq!(result.unwrap_err().to_string(), "1 decision came out otherwise");
    assert!(text.contains(r#":1: plan.launches.0.zone: "moon" then, "z" now"#), "{text}");
    let (text, _) = replayed(&folder, Output::Json);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&document["different"], &document["same"]), (&1.into(), &0.into()));
}

#[test]
fn a_folder_without_decisions_is_bad_input() {
    let (_, result) = replayed(&tempfile::tempdir().unwrap(), Output::Table);
    assert!(matches!(result, Err(Failure::BadInput(_))));
}
