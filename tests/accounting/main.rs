//! What pods take from a node, against Kubernetes' own helper.
//!
//! The Go program in this folder makes some hundred pods and has `k8s.io/component-helpers` count
//! them with kube-scheduler's options. It needs Go and the modules of its `go.mod`.

#![allow(clippy::expect_used, reason = "a test that meets nonsense should stop")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use berth::watch::Interner;
use berth::watch::accounting::pod_requests;
use berth::watch::objects::decode;
use berth::watch::reduce::Defects;
use berth_controlplane::in_ci;
use berth_solver::model::Resources;
use serde::Deserialize;

/// As many as there are in the helper's own table.
const AT_LEAST: usize = 125;

/// A pod and what the helper counts.
#[derive(Deserialize)]
struct Vector {
    name: String,
    pod: serde_json::Value,
    requests: BTreeMap<String, Amount>,
}

#[derive(Deserialize)]
struct Amount {
    milli: i64,
    units: i64,
}

#[test]
fn pods_take_what_kubernetes_own_helper_says() {
    let vectors = match vectors() {
        Ok(vectors) => vectors,
        Err(missing) => {
            assert!(!in_ci(), "{missing}");
            // Past the test runner's capture, which would hide it.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED pods_take_what_kubernetes_own_helper_says: {missing}"
            );
            return;
        }
    };
    assert!(vectors.len() >= AT_LEAST, "only {} vectors", vectors.len());
    let wrong: Vec<String> = vectors.iter().filter_map(difference).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

/// What is counted differently, if anything is.
fn difference(vector: &Vector) -> Option<String> {
    let mut defects = Defects::default();
    let pod = decode(vector.pod.clone()).expect("a pod as the API server writes it");
    let ours = shown(&pod_requests(&pod, &Interner::new(), &mut defects));
    let theirs: BTreeMap<&str, i64> = vector
        .requests
        .iter()
        .filter(|(name, amount)| is_counted(name) && amount.units != 0)
        .map(|(name, amount)| {
            (name.as_str(), if name == "cpu" { amount.milli } else { amount.units })
        })
        .collect();
    let ours: BTreeMap<&str, i64> =
        ours.iter().map(|(name, amount)| (name.as_str(), *amount)).collect();
    let defect = defects.first();
    (ours != theirs || defect.is_some())
        .then(|| format!("{}: ours {ours:?}, theirs {theirs:?}, defect {defect:?}", vector.name))
}

/// kube-scheduler looks at no others (`Resource.Add`).
fn is_counted(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
        || name.contains('/')
        || name.starts_with("hugepages-")
        || name.starts_with("attachable-volumes-")
}

fn shown(requests: &Resources) -> BTreeMap<String, i64> {
    let plain = [
        ("cpu", requests.cpu.0),
        ("memory", requests.memory.0),
        ("ephemeral-storage", requests.ephemeral_storage.0),
    ];
    let plain = plain.into_iter().map(|(name, amount)| (name.to_owned(), amount));
    let extended = requests.extended().iter().map(|(name, amount)| (name.to_string(), *amount));
    plain.chain(extended).filter(|(_, amount)| *amount != 0).collect()
}

/// Has the program make them, or says what is missing for that.
fn vectors() -> Result<Vec<Vector>, String> {
    let go = |arguments: &[&str]| -> Result<Output, String> {
        Command::new("go")
            .args(arguments)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accounting"))
            .env("GOFLAGS", "-mod=readonly")
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("Go 1.26 or newer is needed: {error}"))
    };
    let modules = go(&["mod", "download"])?;
    if !modules.status.success() {
        let error = String::from_utf8_lossy(&modules.stderr);
        return Err(format!("the modules of tests/accounting/go.mod are needed: {error}"));
    }
    let output = go(&["run", "."])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
}
