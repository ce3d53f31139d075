//! What people ask a daemon, and what it wrote down: `berth explain`, `berth plan --live`,
//! `berth replay`.

use std::process::Output;

use serde_json::Value;

use crate::world::{UNMANAGED, World};

async fn berth(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_berth"));
    command.args(arguments).output().await.unwrap()
}

/// The JSON that a command prints.
async fn json_of(arguments: &[&str]) -> Value {
    let output = berth(&[arguments, &["--output", "json"]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the daemon says of a subject.
pub async fn explain(world: &World, subject: &str) -> Value {
    json_of(&["explain", subject, "--address", &address(world)]).await
}

fn address(world: &World) -> String {
    format!("127.0.0.1:{}", world.daemon.ports.metrics)
}

/// Asks about every node, a pod and things that are not there, and has a round worked out from
/// outside.
pub async fn assert_it_can_be_asked(world: &World) {
    for name in world.nodes().await.unwrap().into_keys() {
        let explained = explain(world, &format!("node/{name}")).await;
        let verdict = explained["verdict"].as_str().unwrap();
        if name == UNMANAGED {
            assert_eq!(verdict, "it stays: Berth never touches it");
        } else {
            assert!(verdict.starts_with("it "), "{explained}");
            assert_ne!(explained["reasons"].as_array().unwrap().len(), 0, "{explained}");
            let facts = explained["facts"].as_array().unwrap();
            assert!(facts.iter().any(|fact| fact["name"] == "instance type"), "{explained}");
        }
    }
    let pods = crate::workload::pods(&world.plane).await.unwrap();
    let bound = pods.iter().find(|pod| crate::workload::runs(pod)).unwrap();
    let (namespace, name) =
        (bound.metadata.namespace.as_ref().unwrap(), bound.metadata.name.as_ref().unwrap());
    let explained = explain(world, &format!("pod/{namespace}/{name}")).await;
    let node = bound.spec.as_ref().unwrap().node_name.as_ref().unwrap();
    assert_eq!(explained["verdict"], format!("it runs on node {node}"));

    let missing = berth(&["explain", "node/moon", "--address", &address(world)]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("node/moon is not in the cluster"));

    let kubeconfig = world.daemon.kubeconfig.to_str().unwrap();
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/catalog.csv");
    let live = ["plan", "--live", "--kubeconfig", kubeconfig, "--catalog", catalog];
    let round = json_of(&[&live[..], &["--consolidate"]].concat()).await;
    assert!(round["pricePerHourBefore"].as_f64().unwrap() > 0.0, "{round}");
}

/// Derives what the daemon decided again: all of it comes out the same.
pub async fn assert_decisions_are_derived_again(world: &World) {
    let folder = world.daemon.decisions();
    let replayed = json_of(&["replay", folder.to_str().unwrap()]).await;
    let decisions = replayed["decisions"].as_array().unwrap();
    let count = |what: &str, of: &str| {
        let did = |one: &&Value| one["decision"] == what && one[of].as_u64().unwrap() > 0;
        decisions.iter().filter(did).count()
    };
    assert_eq!(replayed["different"], 0);
    assert_ne!(count("provision", "launches"), 0, "{replayed}");
    assert_ne!(count("disrupt", "removals"), 0, "{replayed}");
}
