//! What CloudNativePG does, played by the test, on CloudNativePG's own kind.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::json;
use tokio::process::Command;

use crate::world::{TEAM, World};

/// Installs the kind, as CloudNativePG ships it. `false`, with a notice, where it cannot be had.
pub(crate) async fn install(world: &World) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims/cloudnative-pg.sh");
    let found = Command::new(script).output().await.unwrap();
    if !found.status.success() {
        let why = String::from_utf8_lossy(&found.stderr).trim().to_owned();
        assert!(std::env::var_os("CI").is_none(), "{why}");
        println!("skipped: CloudNativePG's kind: {why}");
        return false;
    }
    let file = String::from_utf8(found.stdout).unwrap();
    world.plane.kubectl(&["apply", "--server-side", "-f", file.trim()]).await.unwrap();
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    world.plane.kubectl(&wait).await.unwrap();
    true
}

pub(crate) fn clusters(world: &World) -> Api<DynamicObject> {
    clusters_of(world.plane.client())
}

fn clusters_of(client: Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
    Api::namespaced_with(client, TEAM, &ApiResource::from_gvk(&kind))
}

/// Makes every Cluster healthy, for ever.
pub(crate) async fn operate(client: Client) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), TEAM);
    let clusters = clusters_of(client);
    loop {
        let all = clusters.list(&ListParams::default()).await.unwrap().items;
        for cluster in all.iter().filter(|one| one.data["status"]["phase"].is_null()) {
            let name = cluster.metadata.name.clone().unwrap();
            let secret: Secret = serde_json::from_value(json!({
                "metadata": { "name": format!("{name}-app") },
                "stringData": {
                    "username": "app", "password": "made-by-the-operator", "dbname": "app",
                    "port": "5432", "host": format!("{name}-rw"),
                },
            }))
            .unwrap();
            // It may be there from the look before.
            let _ = secrets.create(&PostParams::default(), &secret).await;
            let healthy = json!({ "status": { "phase": "Cluster in healthy state" } });
            let patch = Patch::Merge(healthy);
            let _ = clusters.patch_status(&name, &PatchParams::default(), &patch).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
