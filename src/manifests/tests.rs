use std::fs;
use std::path::PathBuf;

use berth_solver::model::{Name, Owner, Pod, PodKey};
use tempfile::TempDir;

use super::*;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn read_files(files: &[(&str, &str)]) -> Result<Manifests, String> {
    let folder = folder(files);
    let prefix = format!("{}/", folder.path().display());
    read(&[folder.path().to_owned()], &Interner::new())
        .map_err(|error| error.to_string().replace(&prefix, ""))
}

fn read_one(text: &str) -> Result<Manifests, String> {
    read_files(&[("m.yaml", text)])
}

fn pod(manifests: &Manifests, name: &str) -> Pod {
    let (namespace, name) = name.split_once('/').unwrap();
    let key = PodKey { namespace: namespace.into(), name: name.into() };
    (**manifests.cluster.picture().pods.get(&key).unwrap()).clone()
}

fn names(manifests: &Manifests) -> Vec<String> {
    manifests.cluster.picture().pods.keys().map(ToString::to_string).collect()
}

const TEMPLATE: &str = "template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: main, resources: { requests: { cpu: 250m, memory: 1Gi } } }] }";

fn workload(kind: &str, name: &str, spec: &str) -> String {
    let group = if kind == "Job" { "batch" } else { "apps" };
    format!(
        "apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{ name: {name}, uid: uid-{name} }}\nspec:\n  \
         {spec}\n  {TEMPLATE}\n---\n"
    )
}

fn owned(name: &str, owner: &str, phase: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, ownerReferences: [{{ kind: X, uid: \
         {owner}, controller: true }}] }}\nspec: {{ nodeName: n, containers: [{{ name: main }}] \
         }}\nstatus: {{ phase: {phase} }}\n---\n"
    )
}

#[test]
fn workloads_become_the_pods_that_they_ask_for() {
    let text = [
        workload("Deployment", "web", "replicas: 2"),
        workload("StatefulSet", "web", "replicas: 2"),
        workload("ReplicaSet", "one", "selector: {}"),
        workload("Job", "batch", "parallelism: 5\n  completions: 3"),
        workload("Job", "held", "suspend: true"),
        workload("Deployment", "none", "replicas: 0"),
    ];
    let manifests = read_one(&text.concat()).unwrap();
    assert_eq!(
        names(&manifests),
        [
            "default/batch-0",
            "default/batch-1",
            "default/batch-2",
            "default/one-0",
            "default/web-0",
            "default/web-1",
            "default/web-2",
            "default/web-3",
        ]
    );
    let of = |name: &str| match pod(&manifests, name).owner {
        Owner::Controller(kind, _) => kind.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of("default/web-1"), "StatefulSet", "its names are its own");
    assert_eq!(of("default/web-2"), "ReplicaSet", "a Deployment's next free names");
    let web = pod(&manifests, "default/web-2");
    assert_eq!((web.shape.requests.cpu.0, web.shape.requests.memory.0), (250, 1 << 30));
    assert_eq!(web.shape.labels.get("app").unwrap(), &"web");
    assert_eq!(manifests.objects, 6);
}

#[test]
fn pods_that_a_workload_has_are_not_made_again() {
    let text = [
        workload("Deployment", "web", "replicas: 3"),
        workload("ReplicaSet", "web-x", "replicas: 2").replace(
            "uid: uid-web-x",
            "uid: uid-web-x, ownerReferences: [{ kind: Deployment, uid: uid-web, controller: true }]",
        ),
        owned("web-x-a", "uid-web-x", "Running"),
        owned("web-x-b", "uid-web-x", "Failed"),
        workload("StatefulSet", "db", "replicas: 2"),
        owned("db-1", "uid-db", "Running"),
    ];
    let manifests = read_one(&text.concat()).unwrap();
    assert_eq!(
        names(&manifests),
        ["default/db-0", "default/db-1", "default/web-0", "default/web-1", "default/web-x-a"]
    );
    assert_eq!(manifests.stray_pods, 2, "there is no node n");
}

#[test]
fn what_a_cluster_would_fill_in_is_filled_in() {
    let manifests = read_files(&[
        (
            "a/node.yml",
            "apiVersion: v1\nkind: Node\nmetadata: { name: n }\nstatus: { capacity: { cpu: 2, memory: 4Gi } }",
        ),
        (
            "b/pods.json",
            r#"{"apiVersion":"v1","kind":"PodList","items":[
                {"metadata":{"name":"a"},"spec":{"priorityClassName":"high","containers":[{"name":"m"}]}},
                {"metadata":{"name":"b","namespace":"x"},"spec":{"nodeName":"n","containers":[{"name":"m"}]}}]}"#,
        ),
        (
            "c.yaml",
            "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: { name: high }\nvalue: 7\n---\n\
             apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: { name: low }\nvalue: -3\nglobalDefault: true\n---\n\
             apiVersion: v1\nkind: Namespace\nmetadata: { name: y, labels: { team: z } }\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: { name: c }\n---\n\
             apiVersion: example.com/v1\nkind: Pod\nmetadata: { name: another }\n",
        ),
        ("notes.txt", "no manifest"),
    ])
    .unwrap();
    let picture = manifests.cluster.picture();
    let node = &picture.nodes.get("n").unwrap().node;
    assert!(node.ready);
    assert_eq!((node.allocatable.cpu.0, node.allocatable.pods), (2_000, 110));
    assert_eq!(node.labels.get("kubernetes.io/hostname").unwrap(), &"n");
    assert_eq!(pod(&manifests, "default/a").shape.priority, 7);
    let bound = pod(&manifests, "x/b");
    assert_eq!((bound.shape.priority, bound.node), (-3, Some(Name::from("n"))));
    let labels: Vec<String> =
        picture.namespaces.iter().map(|(name, labels)| format!("{name}: {labels}")).collect();
    assert_eq!(
        labels,
        [
            "default: kubernetes.io/metadata.name=default",
            "x: kubernetes.io/metadata.name=x",
            "y: kubernetes.io/metadata.name=y,team=z",
        ]
    );
    let skipped: Vec<_> = manifests.skipped.iter().map(|(kind, count)| (&**kind, *count)).collect();
    assert_eq!(skipped, [("ConfigMap", 1), ("Pod", 1)]);
    assert_eq!(manifests.stray_pods, 0);
}

#[test]
fn what_makes_no_sense_is_refused_with_file_line_object_and_field() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: m }] }\n---\n";
    let with = |spec: &str| {
        format!(
            "# a comment\n---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: a }}\nspec: {{ {spec} }}\n"
        )
    };
    let main = "containers: [{ name: m }]";
    let node =
        |rest: &str| format!("apiVersion: v1\nkind: Node\nmetadata: {{ name: n }}\n{rest}\n");
    let request = |amount: &str| {
        with(&format!(
            "containers: [{{ name: m, resources: {{ requests: {{ cpu: {amount} }} }} }}]"
        ))
    };
    for (text, expected) in [
        (request("lots"), "m.yaml: line 3: Pod default/a: spec.containers[0].resources.requests.cpu: \"lots\" is no quantity"),
        (request("-1"), "m.yaml: line 3: Pod default/a: spec.containers[0].resources.requests.cpu: \"-1\" is negative"),
        (request("[1]"), "m.yaml: line 3: Pod default/a: spec.containers[0].resources.requests.cpu: invalid type: sequence, expected a quantity"),
        (with(&format!("{main}, priority: high")), "m.yaml: line 3: Pod default/a: spec.priority: invalid type: string \"high\""),
        (with(&format!("{main}, priorityClassName: gold")), "m.yaml: line 3: Pod default/a: spec.priorityClassName: there is no PriorityClass gold: expected one of"),
        (with(&format!("{main}, nodeSelector: {{ a: 1.5 }}")), "m.yaml: line 3: Pod default/a: spec.nodeSelector.a: invalid type: floating point"),
        (with(&format!("{main}, tolerations: [{{ operator: Like }}]")), "m.yaml: line 3: Pod default/a: spec.tolerations[0].operator: \"Like\" is unknown"),
        (with("nodeName: x"), "m.yaml: line 3: Pod default/a: spec.containers is missing"),
        ("kind: Pod\n".to_owned(), "m.yaml: line 1: Pod: apiVersion is missing"),
        ("apiVersion: v1\nkind: Pod\n".to_owned(), "m.yaml: line 1: Pod: metadata.name is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata: x\n".to_owned(), "m.yaml: line 1: Pod: metadata.name is missing"),
        ("- a\n".to_owned(), "m.yaml: line 1: is no object: expected apiVersion, kind, ..."),
        ("apiVersion: v1\nkind: List\n".to_owned(), "m.yaml: line 1: items is missing"),
        ("a: 1\nb: [\n".to_owned(), "m.yaml: line "),
        ("a: 1\na: 2\n".to_owned(), "m.yaml: line 2: is no YAML: duplicate mapping key"),
        (format!("{pod}{pod}"), "m.yaml: line 6: Pod default/a: is there already, m.yaml line 1"),
        (workload("Deployment", "w", "replicas: -1"), "m.yaml: line 1: Deployment default/w: spec.replicas: -1 is not possible: expected a whole number"),
        (workload("Deployment", "w", "replicas: many"), "m.yaml: line 1: Deployment default/w: spec.replicas: \"many\" is not possible"),
        (workload("Deployment", "w", "replicas: 0").replace("250m", "lots"), "m.yaml: line 1: Deployment default/w: spec.template.spec.containers[0].resources.requests.cpu: \"lots\""),
        (workload("DaemonSet", "w", "x: 1").replace("250m", "lots"), "m.yaml: line 1: DaemonSet default/w: spec.template.spec.containers[0].resources.requests.cpu: \"lots\""),
        (workload("Job", "w", "x: 1").replace("containers", "container"), "m.yaml: line 1: Job default/w: spec.template.spec.containers is missing"),
        (node(""), "m.yaml: line 1: Node n: status.allocatable.cpu is missing"),
        (node("status: { allocatable: { cpu: 1, memory: lots } }"), "m.yaml: line 1: Node n: status.allocatable.memory: \"lots\" is no quantity"),
        (node("status: { allocatable: { cpu: 2, memory: 1Gi }, capacity: { cpu: 1, memory: 1Gi } }"), "m.yaml: line 1: Node n: status.allocatable.cpu: 2 is more than the capacity 1"),
        (node("spec: { taints: [{ key: a, effect: Never }] }\nstatus: { capacity: { cpu: 1, memory: 1Gi } }"), "m.yaml: line 1: Node n: spec.taints[0].effect: \"Never\" is unknown"),
        ("apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: { name: p }\nspec: { limits: { cpu: -1 }, template: { spec: { requirements: [], nodeClassRef: { group: g, kind: K, name: n } } } }\n".to_owned(), "m.yaml: line 1: NodePool p: spec.limits.cpu: -1 is negative"),
        ("apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: { name: p }\nspec: { template: { spec: { requirements: [] } } }\n".to_owned(), "m.yaml: line 1: NodePool p: spec.template.spec: missing field `nodeClassRef`"),
        ("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: { name: p }\nvalue: 1e30\n".to_owned(), "m.yaml: line 1: PriorityClass p: value: 1e"),
    ] {
        let refused = read_one(&text).unwrap_err();
        assert!(refused.starts_with(expected), "{text}\n{refused}");
        assert!(!refused.contains('\n'), "{refused}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let refused = read(&[PathBuf::from("no/such.yaml")], &Interner::new()).unwrap_err();
    assert!(refused.to_string().starts_with("no/such.yaml: cannot be read: "), "{refused}");
    let refused = read_files(&[("notes.txt", "")]).unwrap_err();
    assert!(refused.contains("holds no .yaml, .yml or .json file"), "{refused}");
    let refused = read_files(&[("m.json", "{\n \"a\": }")]).unwrap_err();
    assert!(refused.starts_with("m.json: line 2: is no JSON: expected value"), "{refused}");
    let folder = folder(&[]);
    let path = folder.path().join("m.yaml");
    fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
    let refused = read(&[path], &Interner::new()).unwrap_err();
    assert_eq!(refused.line, Some(2), "{refused}");
    assert!(refused.problem.starts_with("is not UTF-8"), "{refused}");
}

#[test]
fn aliases_that_unfold_without_end_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for index in 1..10 {
        let before = format!("*a{}, ", index - 1).repeat(10);
        text.push_str(&format!("a{index}: &a{index} [{before}x]\n"));
    }
    let refused = read_one(&text).unwrap_err();
    assert!(refused.contains("is no YAML: "), "{refused}");
}

#[test]
fn a_pool_is_assumed_that_allows_everything() {
    let pool = assumed_pool(&Interner::new()).unwrap();
    assert_eq!((pool.defect.clone(), pool.ready, &*pool.name), (None, true, "default"));
    assert_eq!(pool.requirements.iter().count(), 0);
    assert_eq!(pool.limits, berth_solver::model::Limits::default());
}
