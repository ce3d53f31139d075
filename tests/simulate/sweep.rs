use std::fs;

use serde_json::Value;

use crate::{Folder, hour};

const SWEEP: &str = "policies: [berth, karpenter]\nsettings:\n  pool.consolidateAfterSeconds: [0, \
                     300]\n  berth.batchIdleSeconds: [1, 5]\n";

fn lines(folder: &Folder, out: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        folder.read(&format!("{out}/results.jsonl")).lines().map(ToOwned::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn folder() -> Folder {
    Folder::with(&[("trace.csv", hour().as_bytes()), ("sweep.yaml", SWEEP.as_bytes())])
}

fn sweep<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["--trace", "trace.csv", "--sweep", "sweep.yaml", "--out", out];
    arguments.extend(["--output", "json"]);
    arguments.extend(more);
    arguments
}

#[test]
fn a_sweep_goes_on_where_it_was_and_slices_come_to_the_same() {
    let folder = folder();
    let whole = folder.run(&sweep("whole", &[]));
    assert_eq!(whole.status, Some(0), "{}", whole.error);
    let all = lines(&folder, "whole");
    assert_eq!(all.len(), 8);
    // Cut off in the middle of a line: it is done again, and nothing else is.
    let path = folder.0.path().join("whole/results.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 40]).unwrap();
    let again = folder.run(&sweep("whole", &[]));
    assert_eq!((again.status, &again.output), (Some(0), &whole.output));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 9);
    // Three machines.
    let slices = ["0/3", "1/3", "2/3"];
    for (slice, out) in slices.into_iter().zip(["s0", "s1", "s2"]) {
        assert_eq!(folder.run(&sweep(out, &["--slice", slice])).status, Some(0));
    }
    let mut parts: Vec<String> =
        ["s0", "s1", "s2"].iter().flat_map(|out| lines(&folder, out)).collect();
    parts.sort_unstable();
    assert_eq!(parts, all);
    let merged = folder.command("pareto", &["s0", "s1", "s2", "--output", "json"]);
    assert_eq!((merged.status, merged.output), (Some(0), whole.output));
}

#[test]
fn what_a_result_follows_from_is_tried_again_when_it_changes() {
    let folder = folder();
    let few = "policies: [static]\nsettings:\n  pool.consolidateAfterSeconds: [0, 300]\n";
    let write = |name: &str, text: &str| fs::write(folder.0.path().join(name), text).unwrap();
    write("sweep.yaml", few);
    write("base.yaml", "pool: {spot: false}\n");
    let run = |more: &[&str]| -> (usize, f64) {
        let run = folder.run(&sweep("out", more));
        assert_eq!(run.status, Some(0), "{}", run.error);
        let front: Value = serde_json::from_str(&run.output).unwrap();
        assert_eq!(front["candidates"], 2, "of this sweep alone");
        (lines(&folder, "out").len(), front["front"][0]["costTotal"].as_f64().unwrap())
    };
    let (count, with_spot) = run(&[]);
    assert_eq!((count, run(&[])), (2, (2, with_spot)));
    let (count, without_spot) = run(&["--settings", "base.yaml"]);
    assert!(count == 4 && without_spot > with_spot, "{count}: {without_spot} {with_spot}");
    assert_eq!(run(&["--to", "50m"]).0, 6);
    assert_eq!(run(&["--sample", "0.9"]).0, 8);
    assert_eq!(run(&["--seed", "1"]).0, 10);
    write("trace.csv", &hour().replace(",700,", ",600,"));
    assert_eq!(run(&[]).0, 12);
    let catalog = folder.read("catalog.csv").replace("0.16", "0.12");
    write("catalog.csv", &catalog);
    assert_eq!(run(&[]).0, 14);
    assert_eq!(run(&[]).0, 14);
    let mixed = folder.command("pareto", &["out"]);
    assert_eq!(mixed.status, Some(2));
    assert!(mixed.error.contains("follow from different things"), "{}", mixed.error);
}

#[test]
fn the_front_is_of_those_that_were_tried() {
    let folder = folder();
    let run = folder.run(&sweep("out", &[]));
    let front: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(front["candidates"], 8);
    let front = front["front"].as_array().unwrap();
    assert!(!front.is_empty());
    let costs: Vec<f64> = lines(&folder, "out")
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|one| one["summary"]["costTotal"].as_f64().unwrap())
        .collect();
    let cheapest = costs.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(front[0]["costTotal"].as_f64().unwrap(), cheapest);
}

#[test]
fn a_setting_that_is_none_is_refused() {
    let folder = Folder::with(&[
        ("trace.csv", hour().as_bytes()),
        ("sweep.yaml", b"settings:\n  berth.horizon: [1]\n"),
    ]);
    let run = folder.run(&sweep("out", &[]));
    assert_eq!(run.status, Some(2));
    assert!(run.error.contains("sweep.yaml: berth.horizon is no setting"), "{}", run.error);
}
