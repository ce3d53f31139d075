//! The custom resource definitions: stored as printed, and on a real API server they let the
//! manifests of Karpenter's users in and keep out what Karpenter's own keep out.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod buffers;
mod cases;
mod claims;
mod exoscale;
mod rules;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use berth::api::{ExoscaleNodeClass, KwokNodeClass, NodeClaim, NodePool};
use berth_controlplane::ControlPlane;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_stored_definitions_are_what_berth_crds_prints() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["crds", "--output-dir"])
        .arg(folder.path())
        .status()?;
    assert!(status.success(), "berth crds: {status}");
    let stored = contents(&repository().join("deploy/crds"))?;
    let printed = contents(folder.path())?;
    assert_eq!(stored.len(), 7);
    let stale = "deploy/crds is stale: run `make crds`";
    assert!(stored == printed, "{stale}");
    let all = std::process::Command::new(env!("CARGO_BIN_EXE_berth")).arg("crds").output()?;
    let together: String = stored.into_iter().map(|(_, text)| text).collect();
    assert_eq!(String::from_utf8(all.stdout)?, together);
    Ok(())
}

/// Names and texts of a folder's files, sorted.
fn contents(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, std::fs::read_to_string(entry.path())?));
    }
    files.sort();
    Ok(files)
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_the_exit_status_is_one() -> Result<()> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["crds", "--output-dir", "/nowhere/at/all"])
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr)?;
    assert!(
        message.starts_with("berth: cannot write /nowhere/at/all/autoscaling.x-k8s.io"),
        "{message}"
    );
    Ok(())
}

/// One API server for everything that needs one: each takes seconds to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_takes_the_right_and_refuses_the_wrong() -> Result<()> {
    let name = "an_api_server_takes_the_right_and_refuses_the_wrong";
    let Some(plane) = ControlPlane::builder().api_server_only().start_or_skip(name).await else {
        return Ok(());
    };
    install(&plane).await?;
    rules::are_kept(&plane).await?;
    rules::transitions_are_kept(&plane).await?;
    buffers::defaults_columns_and_versions_are_upstreams(&plane).await?;
    absent_fields_get_the_defaults_of_the_types(&plane).await?;
    manifests_are_taken_whole::<NodePool>(&plane, "manifests", 6).await?;
    manifests_are_taken_whole::<ExoscaleNodeClass>(&plane, "node-classes", 5).await?;
    claims::identities_are_kept(&plane).await?;
    claims::shipped_kinds_keep_their_bounds(&plane).await?;
    exoscale::defaults_are_those_of_the_types(&plane).await?;
    exoscale::the_existing_providers_rules_and_defaults_are_all_there(&plane).await?;
    kubectl_knows_columns_category_and_scale(&plane).await
}

async fn install(plane: &ControlPlane) -> Result<()> {
    let folder = repository().join("deploy/crds");
    let folder = folder.to_str().context("the path is UTF-8")?;
    plane.kubectl(&["apply", "--server-side", "-f", folder]).await?;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", folder];
    plane.kubectl(&wait).await?;
    Ok(())
}

/// The objects of a kind, untyped: what is sent is exactly what is written.
fn api<K: Resource<DynamicType = ()>>(plane: &ControlPlane) -> Api<DynamicObject> {
    Api::all_with(plane.client(), &ApiResource::erase::<K>(&()))
}

fn object(value: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

async fn absent_fields_get_the_defaults_of_the_types(plane: &ControlPlane) -> Result<()> {
    let mut minimal = cases::node_pool();
    minimal["metadata"]["name"] = json!("minimal");
    // A null is as good as nothing.
    minimal["spec"]["disruption"] = Value::Null;
    minimal["spec"]["template"]["spec"]["expireAfter"] = Value::Null;
    let pools = api::<NodePool>(plane);
    let stored = pools.create(&PostParams::default(), &object(minimal.clone())?).await?;
    minimal["spec"]["template"]["spec"].as_object_mut().context("an object")?.remove("expireAfter");
    minimal["spec"].as_object_mut().context("an object")?.remove("disruption");
    let typed: NodePool = serde_json::from_value(minimal)?;
    assert_eq!(stored.data["spec"], serde_json::to_value(&typed.spec)?);
    let disruption = json!({
        "consolidateAfter": "0s",
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
        "budgets": [{ "nodes": "10%" }],
    });
    assert_eq!(stored.data["spec"]["disruption"], disruption);
    assert_eq!(stored.data["spec"]["template"]["spec"]["expireAfter"], "720h");

    let mut minimal = cases::node_claim();
    minimal["metadata"]["name"] = json!("minimal");
    let claims = api::<NodeClaim>(plane);
    let stored = claims.create(&PostParams::default(), &object(minimal.clone())?).await?;
    let typed: NodeClaim = serde_json::from_value(minimal)?;
    assert_eq!(stored.data["spec"], serde_json::to_value(&typed.spec)?);
    assert_eq!(stored.data["spec"]["expireAfter"], "720h");

    // Karpenter takes one without a spec.
    let mut bare = cases::node_class();
    bare["metadata"]["name"] = json!("bare");
    bare.as_object_mut().context("an object")?.remove("spec");
    let classes = api::<KwokNodeClass>(plane);
    let stored = classes.create(&PostParams::default(), &object(bare)?).await?;
    assert_eq!(stored.data["spec"], json!({}));
    Ok(())
}

/// The manifests of a folder are stored and read as they were written.
async fn manifests_are_taken_whole<K>(
    plane: &ControlPlane,
    folder: &str,
    at_least: usize,
) -> Result<()>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let folder = repository().join("tests/crds").join(folder);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    assert!(paths.len() >= at_least, "{paths:?}");
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let written: Value = serde_saphyr::from_str(&text)?;
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let stored = api::<K>(plane)
            .create(&dry_run, &object(written.clone())?)
            .await
            .with_context(|| path.display().to_string())?;
        let stored = serde_json::to_value(&stored)?;
        let missing = first_missing(&written["spec"], &stored["spec"], "spec");
        assert_eq!(missing, None, "{}", path.display());
        let typed: K = serde_json::from_value(written)?;
        let typed = serde_json::to_value(&typed)?;
        let missing = first_missing(&stored["spec"], &typed["spec"], "spec");
        assert_eq!(missing, None, "{}: the type lost it", path.display());
    }
    Ok(())
}

/// The first field of `written` that `stored` has not, or has otherwise.
fn first_missing(written: &Value, stored: &Value, place: &str) -> Option<String> {
    match (written, stored) {
        (Value::Object(fields), Value::Object(kept)) => fields.iter().find_map(|(name, value)| {
            let place = format!("{place}.{name}");
            match kept.get(name) {
                Some(kept) => first_missing(value, kept, &place),
                None => Some(place),
            }
        }),
        (Value::Array(items), Value::Array(kept)) if items.len() == kept.len() => {
            items.iter().zip(kept).enumerate().find_map(|(index, (item, kept))| {
                first_missing(item, kept, &format!("{place}[{index}]"))
            })
        }
        // Quantities may be written as numbers; the types keep their text.
        (Value::Number(number), Value::String(text)) if number.to_string() == *text => None,
        _ => (written != stored).then(|| format!("{place}: {written} became {stored}")),
    }
}

async fn kubectl_knows_columns_category_and_scale(plane: &ControlPlane) -> Result<()> {
    let listed = plane.kubectl(&["get", "nodepools", "-o", "wide"]).await?;
    let header: Vec<&str> = listed.lines().next().unwrap_or_default().split_whitespace().collect();
    let expected = ["NAME", "NODECLASS", "NODES", "READY", "AGE", "WEIGHT", "CPU", "MEMORY"];
    assert_eq!(header, expected);
    let listed = plane.kubectl(&["get", "nodeclaims", "-o", "wide"]).await?;
    let header: Vec<&str> = listed.lines().next().unwrap_or_default().split_whitespace().collect();
    let expected = [
        "NAME",
        "TYPE",
        "CAPACITY",
        "ZONE",
        "NODE",
        "READY",
        "AGE",
        "IMAGEID",
        "ID",
        "NODEPOOL",
        "NODECLASS",
        "DRIFTED",
    ];
    assert_eq!(header, expected);
    let listed = plane.kubectl(&["get", "exoscalenodeclasses"]).await?;
    let header: Vec<&str> = listed.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["NAME", "READY", "AGE"]);
    let listed = plane.kubectl(&["get", "karpenter", "-o", "name"]).await?;
    ensure!(listed.contains("exoscalenodeclass.karpenter.exoscale.com/minimal"), "{listed}");
    ensure!(listed.contains("nodepool.karpenter.sh/minimal"), "{listed}");
    ensure!(listed.contains("nodeclaim.karpenter.sh/minimal"), "{listed}");

    let mut pool = cases::node_pool();
    pool["metadata"]["name"] = json!("static");
    pool["spec"]["replicas"] = json!(1);
    api::<NodePool>(plane).create(&PostParams::default(), &object(pool)?).await?;
    plane.kubectl(&["scale", "nodepool/static", "--replicas=3"]).await?;
    let path = ["get", "nodepool/static", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(plane.kubectl(&path).await?, "3");
    Ok(())
}
