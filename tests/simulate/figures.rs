use serde_json::Value;

use crate::{Folder, hour};

/// The keys of a policy's figures.
const KEYS: [&str; 15] = [
    "costLowerBound",
    "costTotal",
    "events",
    "evictions",
    "launches",
    "meanUtilization",
    "nodeHours",
    "peakNodes",
    "pendingSeconds",
    "podHours",
    "policy",
    "removals",
    "simulatedSeconds",
    "unplaced",
    "wallSeconds",
];

#[test]
fn every_policy_is_told_in_the_same_figures() {
    let hour = hour();
    let folder = Folder::with(&[("trace.csv", hour.as_bytes())]);
    let run = folder.run(&["--trace", "trace.csv", "--policy", "all", "--output", "json"]);
    assert_eq!(run.status, Some(0), "{}", run.error);
    let document: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(document["trace"], "trace.csv");
    assert_eq!(document["catalog"], "catalog.csv");
    assert_eq!(document["seed"], 0);
    let policies = document["policies"].as_array().unwrap();
    let names: Vec<&str> = policies.iter().map(|one| one["policy"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["berth", "karpenter", "cluster-autoscaler", "cluster-autoscaler-price", "static"]
    );
    for policy in policies {
        let mut keys: Vec<&String> = policy.as_object().unwrap().keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, KEYS.iter().collect::<Vec<_>>());
        let cost = policy["costTotal"].as_f64().unwrap();
        assert!(policy["costLowerBound"].as_f64().unwrap() <= cost);
        assert_eq!(policy["unplaced"], 0, "{policy}");
        assert_eq!(policy["simulatedSeconds"], 3_600.0);
    }
}

#[test]
fn what_is_written_is_the_same_twice() {
    let hour = hour();
    let folder = Folder::with(&[("trace.csv", hour.as_bytes())]);
    let arguments = |out| ["--trace", "trace.csv", "--policy", "all", "--seed", "3", "--out", out];
    for out in ["first", "second"] {
        assert_eq!(folder.run(&arguments(out)).status, Some(0));
    }
    for file in ["report.html", "summary.json", "timeline.csv", "decisions.jsonl"] {
        let first = folder.read(&format!("first/{file}"));
        assert_eq!(first, folder.read(&format!("second/{file}")), "{file}");
        assert!(first.lines().count() > 5, "{file}");
    }
    let summary: Value = serde_json::from_str(&folder.read("first/summary.json")).unwrap();
    assert!(summary["policies"][0].get("wallSeconds").is_none());
    for line in folder.read("first/decisions.jsonl").lines() {
        let decision: Value = serde_json::from_str(line).unwrap();
        assert!(decision["policy"].is_string() && decision["atSeconds"].is_number(), "{line}");
    }
    let timeline = folder.read("first/timeline.csv");
    let columns = timeline.lines().next().unwrap().split(',').count();
    assert!(timeline.lines().all(|line| line.split(',').count() == columns));
}

#[test]
fn people_get_a_table() {
    let hour = hour();
    let folder = Folder::with(&[("trace.csv", hour.as_bytes())]);
    let run = folder.run(&["--trace", "trace.csv", "--policy", "berth,static"]);
    assert_eq!(run.status, Some(0), "{}", run.error);
    let lines: Vec<&str> = run.output.lines().collect();
    assert!(lines.iter().any(|line| line.contains("berth")), "{}", run.output);
    assert!(lines.iter().any(|line| line.contains("static")), "{}", run.output);
    let last = lines.last().unwrap();
    assert_eq!(*last, "27 pods of 3 shapes, at most 26 at once, 1.0 h from 0.000s on, seed 0");
}
