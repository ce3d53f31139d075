use serde_json::json;

use crate::Folder;

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 8
  template:
    spec: { containers: [{ name: main, resources: { requests: { cpu: \"1\" } } }] }
";

fn buffer(spec: &str) -> String {
    format!(
        "apiVersion: autoscaling.x-k8s.io/v1beta1\nkind: CapacityBuffer\n\
         metadata: {{ name: spare }}\nspec: {spec}\n"
    )
}

const OF_WEB: &str = "{ scalableRef: { kind: Deployment, name: web }, percentage: 50 }";

#[test]
fn room_is_kept_for_a_share_of_a_deployment_beside_its_pods() {
    let spare = buffer(OF_WEB);
    let folder = Folder::with(&[("web.yaml", WEB), ("spare.yaml", spare.as_str())]);
    let without = folder.json(&["--manifests", "web.yaml"]);
    assert_eq!(without.get("headroom"), None, "{without}");
    let plan = folder.json(&["--manifests", "."]);
    let rooms = plan["headroom"].as_array().unwrap();
    let places: u64 = rooms.iter().map(|room| room["places"].as_u64().unwrap()).sum();
    assert_eq!(places, 4, "{plan}");
    let nodes: Vec<_> =
        plan["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert!(rooms.iter().all(|room| nodes.contains(&&room["node"])), "{plan}");
    assert!(rooms.iter().all(|room| room["buffer"] == "default/spare"), "{plan}");
    assert_eq!(plan["unschedulable"], json!([]));
    let price = |plan: &serde_json::Value| plan["pricePerHour"].as_f64().unwrap();
    assert!(price(&plan) > price(&without), "{plan} {without}");

    let table = folder.plan(&["--manifests", "."]);
    assert!(table.contains("room for 4 more of buffer default/spare\n"), "{table}");
    for peer in ["karpenter", "cluster-autoscaler"] {
        let peers = folder.json(&["--manifests", ".", "--policy", peer]);
        let rooms = peers["headroom"].as_array().unwrap();
        let places: u64 = rooms.iter().map(|room| room["places"].as_u64().unwrap()).sum();
        assert_eq!(places, 4, "{peer} keeps room too: {peers}");
    }
}

#[test]
fn room_that_no_node_has_is_told() {
    let template = "apiVersion: v1
kind: PodTemplate
metadata: { name: huge }
template:
  spec: { containers: [{ name: main, resources: { requests: { cpu: \"100\" } } }] }
";
    let spare = buffer("{ podTemplateRef: { name: huge }, replicas: 2 }");
    let folder = Folder::with(&[("huge.yaml", template), ("spare.yaml", spare.as_str())]);
    let table = folder.plan(&["--manifests", "."]);
    let expected = "room for 0 more of buffer default/spare, none for 2: pool default: ";
    assert!(table.contains(expected), "{table}");
}

#[test]
fn a_buffer_that_refers_to_nothing_is_refused_with_its_line() {
    let spare = buffer("{ podTemplateRef: { name: gone }, replicas: 2 }");
    let folder = Folder::with(&[("web.yaml", WEB), ("spare.yaml", spare.as_str())]);
    let run = folder.run(&["--catalog", "catalog.csv", "--manifests", "."]);
    assert_eq!(run.status, Some(2), "{}", run.error);
    let expected = "spare.yaml: line 1: CapacityBuffer default/spare: there is no PodTemplate gone \
                    in namespace default";
    assert!(run.error.contains(expected), "{}", run.error);
}
