use std::fs;
use std::io::Write;

use berth_solver::decisions::{Question, Recorded, Replay};
use berth_solver::model::Timestamp;
use berth_solver::testing::*;

use super::*;

fn provision(snapshot: &Snapshot, seconds: i64) -> Arc<Decision> {
    let question = Question::Provision { settings: Default::default() };
    let (at, budget) = (Timestamp::from_seconds(seconds), Recorded::new(|| 0.0));
    let answer = question.answer(snapshot, at, 7, &budget);
    Arc::new(Decision { at, seed: 7, question, pace: budget.into_pace(), answer })
}

/// A cluster with that many pods that wait.
fn waiting(pods: usize) -> Arc<Snapshot> {
    let shape = shape(500, 512).build();
    let names = (0..pods).map(|index| pod(&format!("web-{index}"), &shape));
    let world = cluster().pool(pool("general"), exoscale_catalog(&["z"])).pods(names);
    Arc::new(world.snapshot())
}

fn read_all(folder: &std::path::Path) -> Vec<(String, Arc<Snapshot>, Decision)> {
    let mut read = Vec::new();
    for file in files(folder).unwrap() {
        let mut replay = Replay::default();
        for line in Lines::open(&file, |file| file).unwrap() {
            let mut line = line.unwrap();
            let snapshot = replay.advance(&mut line).unwrap();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            read.push((name, Arc::new(snapshot), line.decision));
        }
    }
    read
}

#[test]
fn what_is_decided_can_be_read_from_the_files_and_derived_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings::new(folder.path().join("log"));
    let journal = DecisionJournal::new(Some(DecisionLog::open(settings.clone()).unwrap()));
    let decided: Vec<_> = (1..6)
        .map(|round| {
            let snapshot = waiting(round * 3);
            let decision = provision(&snapshot, round as i64);
            journal.record(&snapshot, &decision);
            (snapshot, decision)
        })
        .collect();
    assert_eq!(journal.latest().plan.as_deref(), Some(&*decided[4].1));
    drop(journal);
    let read = read_all(&settings.folder);
    assert_eq!(read.len(), decided.len());
    for ((_, snapshot, decision), (was, made)) in read.iter().zip(&decided) {
        assert_eq!((snapshot, decision), (was, &**made));
        assert_eq!(decision.again(snapshot), decision.answer);
    }
}

#[test]
fn files_are_begun_anew_and_the_oldest_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings { file_bytes: 1, files: 3, folder: folder.path().to_owned() };
    fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    let journal = DecisionJournal::new(Some(DecisionLog::open(settings).unwrap()));
    let snapshot = waiting(2);
    for _ in 0..5 {
        // The same moment each time: no file is written over.
        journal.record(&snapshot, &provision(&snapshot, 1));
    }
    drop(journal);
    let read = read_all(folder.path());
    let names: Vec<&str> = read.iter().map(|(name, ..)| name.as_str()).collect();
    let expected = [2, 3, 4].map(|index| format!("decisions-000000000100{index}.jsonl.gz"));
    assert_eq!(names, expected);
    assert!(folder.path().join("notes.txt").exists());
}

#[test]
fn a_file_that_is_cut_off_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings::new(folder.path().to_owned());
    let journal = DecisionJournal::new(Some(DecisionLog::open(settings).unwrap()));
    for pods in [1, 2] {
        let snapshot = waiting(pods);
        journal.record(&snapshot, &provision(&snapshot, 1));
    }
    drop(journal);
    let file = files(folder.path()).unwrap().remove(0);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 40]).unwrap();
    let mut lines = Lines::open(&file, |file| file).unwrap();
    assert!(lines.next().unwrap().is_ok());
    assert!(lines.by_ref().all(|line| line.is_ok()));
    assert!(lines.is_cut_off());
}

#[test]
fn a_line_that_is_none_is_named_with_file_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions-1.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    writeln!(file, r#"{{"version":1,"berth":"x","complete":"yes"}}"#).unwrap();
    let error = Lines::open(&path, |file| file).unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("decisions-1.jsonl:1: complete: invalid type: string"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(DecisionLog::open(LogSettings::new(file.path().to_owned())).is_err());
}
