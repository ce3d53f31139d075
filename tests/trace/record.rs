//! `berth trace record` on a real API server.

use std::path::Path;
use std::time::Duration;

use berth_controlplane::{ControlPlane, until};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::recording::Recording;

/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(60);

fn pod(name: &str, owner: Option<&str>) -> Pod {
    let owners = owner.map(|uid| {
        json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true }])
    });
    let requests = json!({ "cpu": "1500m", "memory": "1Gi" });
    let object = json!({
        "metadata": { "name": name, "ownerReferences": owners.unwrap_or(json!([])) },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{ "name": "main", "image": "none", "resources": { "requests": requests } }],
        },
    });
    serde_json::from_value(object).unwrap()
}

async fn ends(pods: &Api<Pod>, name: &str) {
    let status = json!({ "status": { "phase": "Succeeded" } });
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// A recording in a folder of its own.
struct Recorded {
    recording: Recording,
    out: tempfile::TempDir,
}

impl Recorded {
    fn start(plane: &ControlPlane, more: &[&str]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let recording = Recording::start(plane, out.path(), "trace.csv.zst", more);
        Self { recording, out }
    }

    /// Ends it as Kubernetes and people do; returns what it said and its rows.
    async fn end(self, signal: &str) -> (String, Vec<Vec<String>>) {
        (self.recording.end(signal).await, rows(self.out.path()))
    }

    async fn ended(self) -> (String, Vec<Vec<String>>) {
        (self.recording.ended().await, rows(self.out.path()))
    }
}

/// The cells of each row, after the trace has been read and written again.
fn rows(folder: &Path) -> Vec<Vec<String>> {
    let done = crate::berth(folder, &["convert", "trace.csv.zst", "again.csv"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = std::fs::read_to_string(folder.join("again.csv")).unwrap();
    let mut rows: Vec<Vec<String>> =
        text.lines().skip(1).map(|line| line.split(',').map(ToOwned::to_owned).collect()).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn a_recording_has_every_pod_that_came_and_went() {
    let test = "a_recording_has_every_pod_that_came_and_went";
    let Some(plane) = ControlPlane::builder().api_server_only().start_or_skip(test).await else {
        return;
    };
    // Nobody else makes it here.
    let accounts: Api<ServiceAccount> = Api::namespaced(plane.client(), "default");
    let account = serde_json::from_value(json!({ "metadata": { "name": "default" } })).unwrap();
    let _: Result<ServiceAccount, _> = accounts.create(&PostParams::default(), &account).await;
    let pods: Api<Pod> = Api::namespaced(plane.client(), "default");
    let create = async |name: &str, owner: Option<&str>| {
        pods.create(&PostParams::default(), &pod(name, owner)).await.unwrap();
    };
    create("web-old", Some("uid-1")).await;
    create("over", None).await;
    ends(&pods, "over").await;

    let before = plane.open_watches("pods").await.unwrap();
    let plain = Recorded::start(&plane, &[]);
    let hashed = Recorded::start(&plane, &["--hash-names"]);
    // Both have listed the pods once they have an open watch of them.
    until("both watch", LIMIT, || async {
        let watches = plane.open_watches("pods").await?;
        if watches >= before + 2.0 { Ok(()) } else { Err(format!("{watches}, {before} before")) }
    })
    .await
    .unwrap();
    let now = DeleteParams::default().grace_period(0);
    create("brief", None).await;
    pods.delete("brief", &now).await.unwrap();
    create("done", None).await;
    ends(&pods, "done").await;
    pods.delete("web-old", &now).await.unwrap();
    create("web-new", Some("uid-1")).await;
    // Told to end before it can have heard of all that.
    let (said, rows) = plain.end("-TERM").await;
    assert_eq!(said, "4 pods written to trace.csv.zst\n");
    let names: Vec<(&str, &str)> = rows.iter().map(|row| (&*row[0], &*row[1])).collect();
    let expected = [("brief", "brief"), ("done", "done"), ("web-new", "web"), ("web-old", "web")];
    assert_eq!(names, expected);
    for row in &rows {
        assert_eq!((&*row[4], &*row[5]), ("1500", "1024"), "{row:?}");
        let submit: f64 = row[2].parse().unwrap();
        assert_eq!(row[3].is_empty(), row[0] == "web-new", "all but web-new have left: {row:?}");
        assert!(row[3].is_empty() || row[3].parse::<f64>().unwrap() >= submit.max(0.0), "{row:?}");
        assert!(row[0] != "web-old" || submit <= 0.0, "it was there before: {row:?}");
    }

    let (_, rows) = hashed.end("-INT").await;
    assert_eq!(rows.len(), 4);
    let text = format!("{rows:?}");
    assert!(!text.contains("web") && !text.contains("done"), "{text}");
    let workloads: std::collections::BTreeSet<&String> = rows.iter().map(|row| &row[1]).collect();
    assert_eq!(workloads.len(), 3, "{text}");

    let timed = Recorded::start(&plane, &["--for", "1s"]).ended().await;
    assert_eq!(timed.1.len(), 1, "web-new alone is there: {timed:?}");
}

#[test]
fn what_cannot_be_recorded_is_said_before_it_begins() {
    let folder = crate::folder(&[("config", "no: config\n")]);
    let refused = |arguments: &[&str]| {
        let done = crate::berth(folder.path(), &[&["record"], arguments].concat());
        assert_eq!(done.status.code(), Some(2));
        String::from_utf8(done.stderr).unwrap()
    };
    let nowhere = refused(&["--out", "no/such/folder.csv", "--kubeconfig", "config"]);
    assert!(nowhere.contains("no/such/folder.csv cannot be written"), "{nowhere}");
    let cluster = refused(&["--out", "out.csv", "--kubeconfig", "missing"]);
    assert!(cluster.contains("--kubeconfig"), "{cluster}");
}
