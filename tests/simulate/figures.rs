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
    for file in ["report.html", "summary.json", "timeline.csv", "rounds.jsonl", "decisions.jsonl"] {
        let first = folder.read(&format!("first/{file}"));
        assert_eq!(first, folder.read(&format!("second/{file}")), "{file}");
        assert!(first.lines().count() > 1, "{file}");
    }
    let summary: Value = serde_json::from_str(&folder.read("first/summary.json")).unwrap();
    assert!(summary["policies"][0].get("wallSeconds").is_none());
    for line in folder.read("first/rounds.jsonl").lines() {
        let decision: Value = serde_json::from_str(line).unwrap();
        assert!(decision["policy"].is_string() && decision["atSeconds"].is_number(), "{line}");
    }
    let timeline = folder.read("first/timeline.csv");
    let columns = timeline.lines().next().unwrap().split(',').count();
    assert!(timeline.lines().all(|line| line.split(',').count() == columns));
}

/// Pods that are spread over zones, and nodes that are worth moving pods away from.
fn spread_and_shrinking() -> String {
    let mut text = "name,workload,submit_s,end_s,cpu_milli,memory_mib,zone_spread\n".to_owned();
    for pod in 0..24 {
        let end = if pod % 3 == 0 { String::new() } else { format!("{}", 1_200 + pod * 10) };
        text.push_str(&format!("a-{pod},a,{},{end},700,900,{}\n", pod * 5, 1 + pod % 2));
    }
    text.push_str("last,b,7200,,100,100,\n");
    text
}

#[test]
fn what_berth_decided_in_a_replay_is_decided_again() {
    let folder = Folder::with(&[("trace.csv", spread_and_shrinking())]);
    let run = folder.run(&["--trace", "trace.csv", "--policy", "karpenter,berth", "--out", "out"]);
    assert_eq!(run.status, Some(0), "{}", run.error);
    let again = folder.command("replay", &["out/decisions.jsonl", "--output", "json"]);
    assert_eq!(again.status, Some(0), "{}{}", again.output, again.error);
    let again: Value = serde_json::from_str(&again.output).unwrap();
    assert_eq!(again["different"], 0);
    let decisions = again["decisions"].as_array().unwrap();
    // As many as there were, each of them with what it did.
    let rounds = folder.read("out/rounds.jsonl");
    let rounds = rounds.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_berth = |round: &Value| round["policy"] == "berth";
    let rounds: Vec<Value> = rounds.filter(of_berth).collect();
    for (kind, decision) in [("launch", "provision"), ("consolidate", "disrupt")] {
        let expected = rounds.iter().filter(|round| round["round"] == kind).count();
        let found = decisions.iter().filter(|one| one["decision"] == decision).count();
        assert!(found == expected && found > 0, "{kind}: {found} of {expected}");
    }
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
