use crate::{Folder, shop};

#[test]
fn the_table_says_what_to_launch_what_it_costs_and_what_has_no_place() {
    let output = shop().plan(&["--manifests", "shop"]);
    for wanted in [
        "to launch",
        "price each",
        "on-demand",
        "cpu",
        "memory",
        " %",
        "1 node already there",
        "2 pods without a place",
        "shop/lost: ",
        "shop/waiting: its schedulingGates hold it back",
        "price per hour",
        "lower bound",
        "gap ",
        "found by",
        "seed 0",
        "karpenter would cost",
        "cluster-autoscaler would cost",
    ] {
        assert!(output.contains(wanted), "{wanted:?} is missing in:\n{output}");
    }
}

#[test]
fn pods_without_a_place_are_grouped_by_reason() {
    let deployment = "apiVersion: apps/v1
kind: Deployment
metadata: { name: huge }
spec:
  replicas: 3
  template:
    spec: { containers: [{ name: main, resources: { requests: { cpu: \"100\" } } }] }
";
    let folder = Folder::with(&[("m.yaml", deployment)]);
    let output = folder.plan(&["--manifests", "m.yaml"]);
    assert!(output.contains("no nodes to launch"), "{output}");
    assert!(output.contains("3 pods without a place"), "{output}");
    assert!(
        output.contains("  default/huge-0 and 2 more: pool default: largest type large"),
        "{output}"
    );
    let price = output.lines().find(|line| line.starts_with("price per hour"));
    assert!(price.is_some_and(|line| line.ends_with(" 0.00000")), "{output}");
}

#[test]
fn skipped_kinds_are_noted() {
    let folder = shop();
    let run = folder.run(&["--catalog", "catalog.csv", "--manifests", "shop/cluster.yaml"]);
    assert_eq!(run.status, Some(0), "{}", run.error);
    let note = "berth: note: objects of kinds that do not matter here were skipped: Service (1)";
    assert!(run.error.contains(note), "{}", run.error);
    assert!(run.output.contains("1 node already there, none takes a pod"), "{}", run.output);
}
