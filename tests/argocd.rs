//! Argo CD's check of claims, run by a Lua interpreter of the version that Argo CD has.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use mlua::{Lua, LuaSerdeExt as _, Table};
use serde_json::{Value, json};

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/argocd");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// What Argo CD says of an object.
fn health(object: &Value) -> (String, String) {
    let lua = Lua::new();
    let options = mlua::SerializeOptions::new().serialize_none_to_null(false);
    lua.globals().set("obj", lua.to_value_with(object, options).unwrap()).unwrap();
    let health: Table = lua.load(read("health.lua")).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

fn claim(synced: [&str; 3], ready: [&str; 3]) -> Value {
    let condition = |kind: &str, [status, reason, message]: [&str; 3]| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "observedGeneration": 2,
        })
    };
    json!({
        "metadata": { "name": "orders", "generation": 2 },
        "status": { "conditions": [condition("Synced", synced), condition("Ready", ready)] },
    })
}

#[test]
fn a_claim_has_the_health_that_its_conditions_say() {
    let good = ["True", "ReconcileSuccess", ""];
    let failed = ["False", "ReconcileError", "over quota"];
    let paused = ["False", "ReconcilePaused", "paused"];
    let creating = ["False", "Creating", "it is being created"];
    let gone = ["False", "Unavailable", "it is not there"];
    let ready = ["True", "Available", ""];
    for (object, status, message) in [
        (json!({ "metadata": {} }), "Progressing", "waiting for Berth"),
        (json!({ "metadata": {}, "status": {} }), "Progressing", "waiting for Berth"),
        (claim(good, creating), "Progressing", "it is being created"),
        (claim(good, ready), "Healthy", ""),
        (claim(good, gone), "Degraded", "it is not there"),
        (claim(failed, ready), "Degraded", "over quota"),
        (claim(failed, creating), "Degraded", "over quota"),
        (claim(paused, ready), "Suspended", "paused"),
    ] {
        let expected = (status.to_owned(), message.to_owned());
        assert_eq!(health(&object), expected, "{object}");
    }
    let mut changed = claim(good, ready);
    changed["metadata"]["generation"] = json!(3);
    assert_eq!(health(&changed).1, "the last change was not looked at yet");
    let mut leaving = claim(good, ready);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-01T00:00:00Z");
    assert_eq!(health(&leaving), ("Progressing".to_owned(), "being deleted".to_owned()));
}

#[test]
fn the_config_map_holds_that_very_script() {
    let map: Value = serde_saphyr::from_str(&read("argocd-cm.yaml")).unwrap();
    let customizations = map["data"]["resource.customizations"].as_str().unwrap();
    let customizations: Value = serde_saphyr::from_str(customizations).unwrap();
    assert_eq!(customizations["platform.example.org/*"]["health.lua"], read("health.lua"));
}
