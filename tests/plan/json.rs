use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Folder, shop, texts};

fn price(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn every_pod_has_one_place_and_prices_add_up() {
    let plan = shop().json(&["--manifests", "shop", "--seed", "3"]);
    let keys: Vec<&String> = plan.as_object().unwrap().keys().collect();
    let expected = [
        "elapsedMs",
        "existing",
        "gap",
        "lowerBoundPerHour",
        "method",
        "nodes",
        "pricePerHour",
        "seed",
        "unschedulable",
    ];
    assert_eq!(keys.into_iter().collect::<BTreeSet<_>>().len(), expected.len());
    assert!(expected.iter().all(|key| plan.get(key).is_some()), "{plan}");

    let nodes = plan["nodes"].as_array().unwrap();
    let existing = plan["existing"].as_array().unwrap();
    let without = plan["unschedulable"].as_array().unwrap();
    let mut pods: Vec<String> =
        nodes.iter().chain(existing).flat_map(|node| texts(&node["pods"])).collect();
    pods.extend(without.iter().map(|one| one["pod"].as_str().unwrap().to_owned()));
    pods.sort_unstable();
    let mut wanted: Vec<String> = (0..6).map(|index| format!("shop/web-{index}")).collect();
    wanted.extend(["shop/db-0", "shop/db-1", "shop/lost", "shop/waiting"].map(str::to_owned));
    wanted.sort_unstable();
    assert_eq!(pods, wanted, "bound pods, daemons and skipped objects are not among them");

    let sum: f64 = nodes.iter().map(|node| price(&node["pricePerHour"])).sum();
    let total = price(&plan["pricePerHour"]);
    let bound = price(&plan["lowerBoundPerHour"]);
    assert!((sum - total).abs() < 1e-9, "{sum} {total}");
    assert!(bound > 0.0 && bound <= total, "{bound} {total}");
    assert!((price(&plan["gap"]) - (total - bound) / bound).abs() < 1e-9, "{plan}");
    for node in nodes {
        assert_eq!(node["capacityType"], "on-demand", "the pool allows no spot: {node}");
        assert!(["small", "large"].contains(&node["instanceType"].as_str().unwrap()), "{node}");
        assert!(node["name"].as_str().unwrap().starts_with("general-"), "{node}");
        assert!(!texts(&node["pods"]).is_empty(), "{node}");
    }
    assert_eq!(existing.len(), 1);
    assert_eq!(existing[0]["name"], "old");
    assert_eq!(plan["seed"], 3);
    let hosts_of_db = nodes
        .iter()
        .chain(existing)
        .filter(|node| texts(&node["pods"]).iter().any(|pod| pod.starts_with("shop/db-")));
    assert_eq!(hosts_of_db.count(), 2, "anti-affinity keeps them apart");
}

#[test]
fn a_selector_that_nothing_matches_leaves_the_pod_without_a_place_and_says_why() {
    let plan = shop().json(&["--manifests", "shop"]);
    let reason = |pod: &str| {
        let without = plan["unschedulable"].as_array().unwrap();
        let found = without.iter().find(|one| one["pod"] == pod).unwrap();
        found["reason"].as_str().unwrap().to_owned()
    };
    assert!(reason("shop/lost").contains("disk"), "{}", reason("shop/lost"));
    assert_eq!(reason("shop/waiting"), "its schedulingGates hold it back");
}

#[test]
fn min_values_are_kept_or_given_up_as_the_policy_says() {
    let pool = "apiVersion: karpenter.sh/v1
kind: NodePool
metadata: { name: wide }
spec:
  template:
    spec:
      nodeClassRef: { group: g, kind: K, name: n }
      requirements:
      - { key: node.kubernetes.io/instance-type, operator: Exists, minValues: 2 }
";
    // Only the large type holds it.
    let pod = "apiVersion: v1
kind: Pod
metadata: { name: big }
spec: { containers: [{ name: m, resources: { requests: { cpu: \"6\" } } }] }
";
    let folder = Folder::with(&[("pool.yaml", pool), ("pod.yaml", pod)]);
    let strict = folder.json(&["--manifests", "."]);
    assert_eq!(strict["unschedulable"][0]["pod"], "default/big", "{strict}");
    let policy = ["--min-values-policy", "BestEffort"];
    let relaxed = folder.json(&[&["--manifests", "."], &policy[..]].concat());
    assert_eq!(relaxed["nodes"][0]["minValuesRelaxed"], true, "{relaxed}");
    assert_eq!(relaxed["nodes"][0]["pods"][0], "default/big", "{relaxed}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_but_for_the_time_it_took() {
    let folder = shop();
    let bytes = || {
        let output = folder.plan(&["--manifests", "shop", "--seed", "9", "--output", "json"]);
        let timeless = |line: &&str| !line.contains("\"elapsedMs\"");
        let lines: Vec<String> = output.lines().filter(timeless).map(str::to_owned).collect();
        assert_eq!(lines.len() + 1, output.lines().count());
        lines
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn without_a_pool_every_offering_is_allowed() {
    let folder = Folder::with(&[(
        "pods.csv",
        "name,workload,submit_s,end_s,cpu_milli,memory_mib\na,w,0,,7000,1024\n",
    )]);
    let plan = folder.json(&["--pods", "pods.csv"]);
    let nodes = plan["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{plan}");
    assert_eq!(
        (&nodes[0]["instanceType"], &nodes[0]["capacityType"]),
        (&"large".into(), &"spot".into())
    );
    assert_eq!(plan["pricePerHour"], 0.06);
    assert_eq!(plan["existing"], Value::Array(Vec::new()));
}

#[test]
fn of_a_trace_the_pods_of_its_time_0_are_placed() {
    let folder = Folder::with(&[(
        "pods.csv",
        "name,workload,submit_s,end_s,cpu_milli,memory_mib\n\
         here,w,-5,,100,64\nnow,w,0,60,100,64\nlater,w,1,,100,64\nover,w,-9,0,100,64\n",
    )]);
    let run = folder.run(&["--catalog", "catalog.csv", "--pods", "pods.csv", "--output", "json"]);
    assert_eq!(run.status, Some(0), "{}", run.error);
    let plan: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(texts(&plan["nodes"][0]["pods"]), ["default/here", "default/now"]);
    let note =
        "pods.csv: 1 pods that come after time 0 and 1 that have ended by then were left out";
    assert!(run.error.contains(note), "{}", run.error);
}

#[test]
fn nothing_to_place_is_an_empty_plan() {
    let folder = Folder::with(&[("m.yaml", "# nothing\n")]);
    let plan = folder.json(&["--manifests", "m.yaml"]);
    assert_eq!(plan["nodes"], Value::Array(Vec::new()));
    assert_eq!((&plan["pricePerHour"], &plan["gap"]), (&0.0.into(), &0.0.into()));
    assert_eq!(plan["method"], "nothing");
}

#[test]
fn the_baselines_plan_for_the_same_pods_against_the_same_bound() {
    let folder = shop();
    let of = |policy: &str| folder.json(&["--manifests", "shop", "--policy", policy]);
    let own = of("berth");
    for policy in ["karpenter", "cluster-autoscaler"] {
        let plan = of(policy);
        assert_eq!(plan["method"], policy);
        let nodes = plan["nodes"].as_array().unwrap();
        let sum: f64 = nodes.iter().map(|node| price(&node["pricePerHour"])).sum();
        assert!((sum - price(&plan["pricePerHour"])).abs() < 1e-9, "{plan}");
        let pods = |plan: &Value| -> BTreeSet<String> {
            let without = plan["unschedulable"].as_array().unwrap().iter();
            without.map(|one| one["pod"].as_str().unwrap().to_owned()).collect()
        };
        if pods(&plan) == pods(&own) {
            let (bound, total) = (price(&plan["lowerBoundPerHour"]), price(&plan["pricePerHour"]));
            assert!(bound > 0.0 && bound <= total, "{plan}");
        }
    }
}
