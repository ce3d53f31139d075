//! Dependencies point one way: solver <- simulations <- berth, and what decides knows no network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Crates that speak to the world, or wait for it.
const NETWORK: [&str; 14] = [
    "hyper",
    "hyper-util",
    "k8s-openapi",
    "kube",
    "kube-client",
    "kube-core",
    "kube-runtime",
    "mio",
    "prometheus-client",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
    "tower",
];

/// The names of every package that `root` is built from, in any of its features, itself included.
fn closure_of(metadata: &Metadata, root: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("cargo metadata resolves");
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
    let edges: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, &node.deps)).collect();
    let first = &metadata.packages.iter().find(|package| package.name == root).expect(root).id;
    let mut found = BTreeSet::new();
    let mut open = vec![first];
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let normal = edges[id].iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            });
            open.extend(normal.map(|dependency| &dependency.pkg));
        }
    }
    found.into_iter().map(|id| names[id].clone()).collect()
}

fn host() -> String {
    let output = std::process::Command::new("rustc").arg("-vV").output().expect("rustc -vV");
    let text = String::from_utf8(output.stdout).expect("rustc prints UTF-8");
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc says host");
    host.to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        // Packages of other platforms may never have been downloaded here.
        .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), host()])
        .exec()
        .expect("cargo metadata")
}

#[test]
fn what_decides_and_what_simulates_know_no_network() {
    let metadata = metadata();
    for root in ["berth-solver", "berth-simulations"] {
        let closure = closure_of(&metadata, root);
        let network: Vec<_> = NETWORK.into_iter().filter(|name| closure.contains(*name)).collect();
        assert_eq!(network, [""; 0], "{root} must not be built from these");
    }
}

#[test]
fn the_parts_depend_on_each_other_in_one_direction() {
    let metadata = metadata();
    let ours = |root: &str| -> Vec<String> {
        let closure = closure_of(&metadata, root);
        closure.into_iter().filter(|name| name.starts_with("berth") && name != root).collect()
    };
    assert_eq!(ours("berth-solver"), [""; 0]);
    assert_eq!(ours("berth-simulations"), ["berth-solver"]);
    assert_eq!(ours("berth"), ["berth-simulations", "berth-solver"]);
    assert_eq!(ours("berth-controlplane"), [""; 0], "the harness tests from outside");
    assert_eq!(ours("berth-cloud-fakes"), [""; 0], "the fakes share no code with the clients");
}
