use crate::Folder;

/// Two large nodes: one with two pods, one with a pod that fits on the first, and a third whose pod
/// must not be disturbed.
const CLUSTER: &str = "
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: { name: general }
spec:
  template:
    spec:
      nodeClassRef: { group: g, kind: K, name: n }
      requirements: []
  disruption: { consolidateAfter: 0s, budgets: [{ nodes: 100% }] }
";

fn node(name: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Node
metadata:
  name: {name}
  labels:
    karpenter.sh/nodepool: general
    node.kubernetes.io/instance-type: large
    topology.kubernetes.io/zone: z1
    karpenter.sh/capacity-type: on-demand
    kubernetes.io/arch: amd64
    kubernetes.io/os: linux
status: {{ allocatable: {{ cpu: \"8\", memory: 16Gi }} }}
"
    )
}

fn pod(name: &str, node: &str, cpu: &str, annotations: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: shop
  annotations: {{ {annotations} }}
  ownerReferences:
  - {{ apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: u, controller: true }}
spec:
  nodeName: {node}
  containers: [{{ name: main, image: none, resources: {{ requests: {{ cpu: \"{cpu}\", memory: 1Gi }} }} }}]
"
    )
}

fn folder() -> Folder {
    let cluster = [
        CLUSTER.to_owned(),
        node("a"),
        node("b"),
        node("c"),
        pod("a-0", "a", "3", ""),
        pod("a-1", "a", "2", ""),
        pod("b-0", "b", "2", ""),
        pod("c-0", "c", "7", "karpenter.sh/do-not-disrupt: \"true\""),
    ];
    Folder::with(&[("cluster.yaml", &cluster.concat())])
}

#[test]
fn a_dry_run_says_what_could_go_what_that_saves_and_why_the_rest_stays() {
    let found = folder().json(&["--manifests", "cluster.yaml", "--consolidate"]);
    // Seven CPUs fit on one spot machine for 0.06: both nodes that may go do.
    let names = |key: &str| -> Vec<String> {
        let list = found[key].as_array().unwrap().iter();
        list.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("remove"), ["a", "b"], "{found}");
    assert_eq!(found["launch"][0]["capacityType"], "spot", "{found}");
    assert_eq!(found["evictions"], 3);
    assert_eq!(found["pricePerHourBefore"], 0.48);
    assert_eq!(found["pricePerHourAfter"], 0.22);
    assert!(found["lowerBoundPerHour"].as_f64().unwrap() <= 0.22);
    assert_eq!(names("stay"), ["c"]);
    assert_eq!(found["stay"][0]["reason"], "pod shop/c-0 says do-not-disrupt");
}

#[test]
fn the_table_says_the_same_to_people() {
    let run =
        folder().run(&["--catalog", "catalog.csv", "--manifests", "cluster.yaml", "--consolidate"]);
    assert_eq!(run.status, Some(0), "{}", run.error);
    for text in
        ["remove", "stay", "pod shop/c-0 says do-not-disrupt", "0.48000 before, 0.22000 after"]
    {
        assert!(run.output.contains(text), "{text}: {}", run.output);
    }
}
