//! The life of claims, on an API server and a fake cloud.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::world::{TEAM, World, conditions, exoscale_key, message};

const DATABASE: &str = "PostgreSQLInstance";
const MACHINE: &str = "VirtualMachine";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_live_as_their_makers_say() {
    let Some(world) = World::new("claims_live_as_their_makers_say").await else { return };
    let mut world = world.with_prism().await;
    world.provider("zrh", "61.00", &json!({})).await;
    world.start(Arc::new(()));
    a_database_has_a_secret_and_the_cheaper_provider(&world).await;
    it_is_changed_in_place_and_its_password_rotated(&world).await;
    paused_nothing_happens(&world).await;
    it_outlives_its_claim_unless_the_claim_says_otherwise(&world).await;
    a_machine_comes_and_goes(&world).await;
    what_cannot_be_served_says_why(&world).await;
    of_two_that_grow_at_once_one_takes_what_is_left_of_the_budget(&world).await;
    a_foreign_secret_is_never_touched(&world).await;
    a_provider_that_is_down_is_passed_over(&world).await;
    a_definition_stays_while_claims_live(&world).await;
    figures_are_told(&world).await;
    world.assert_no_violation();
}

async fn a_database_has_a_secret_and_the_cheaper_provider(world: &World) {
    let spec = json!({
        "parameters": { "size": "small", "version": "17" },
        "compositionSelector": { "matchLabels": { "tier": "managed" } },
        "writeConnectionSecretToRef": { "name": "orders-db" },
    });
    world.claim(DATABASE, "orders", spec).await;
    let claim = world.until_ready(DATABASE, "orders").await;
    let status = &claim.data["status"];
    assert_eq!(status["provider"], "gva");
    assert_eq!(status["pricePerMonth"], "52.00");
    assert_eq!(status["choice"], "gva for 52.00 a month; not zrh: it costs 61.00");
    let name = status["externalName"].as_str().unwrap();
    assert_eq!(world.at_exoscale(), [name]);
    let database = world.fake.world(|world| world.databases[name].clone());
    assert_eq!((database.plan.as_str(), database.version.as_str()), ("startup-4", "17"));
    assert_eq!(database.ip_filter, ["192.0.2.1/32"]);
    let secret = world.secret("orders-db").await;
    let keys: Vec<&str> = secret.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["ca.crt", "database", "endpoint", "host", "password", "port", "uri", "username"]
    );
    assert_eq!(secret["password"], database.users["avnadmin"]);
    let told = events(world, "orders").await;
    for event in ["Normal ProviderChosen", "Normal Available"] {
        assert!(told.iter().any(|told| told == event), "{event}: {told:?}");
    }
    let written = world.secrets(TEAM).get("orders-db").await.unwrap();
    assert_eq!(written.metadata.labels.unwrap()["backstage.io/kubernetes-id"], "orders");
}

async fn it_is_changed_in_place_and_its_password_rotated(world: &World) {
    let name = world.at_exoscale().remove(0);
    let before = world.secret("orders-db").await["password"].clone();
    world
        .patch(
            DATABASE,
            "orders",
            json!({
                "metadata": { "annotations": { "claims.berth.sh/rotate-password": "1" } },
                "spec": { "parameters": { "size": "medium", "allowedCIDRs": ["10.0.0.0/8"] } },
            }),
        )
        .await;
    berth_controlplane::until("it is changed", crate::world::LIMIT, || async {
        let claim = world.databases().get("orders").await.map_err(|error| error.to_string())?;
        let password = world.secret("orders-db").await["password"].clone();
        let done = claim.data["status"]["rotated"] == "1" && password != before;
        if done { Ok(()) } else { Err(claim.data["status"].to_string()) }
    })
    .await
    .unwrap();
    let claim = world.until_ready(DATABASE, "orders").await;
    assert_eq!(claim.data["status"]["plan"], "business-8");
    assert_eq!(claim.data["status"]["pricePerMonth"], "104.00");
    let database = world.fake.world(|world| world.databases[&name].clone());
    assert_eq!(database.plan, "business-8");
    assert_eq!(database.ip_filter, ["10.0.0.0/8"]);
    assert_eq!(world.secret("orders-db").await["password"], database.users["avnadmin"]);
    assert_eq!(world.fake.calls("reset-dbaas-postgres-user-password").len(), 1);
}

async fn paused_nothing_happens(world: &World) {
    let annotations =
        |value| json!({ "metadata": { "annotations": { "crossplane.io/paused": value } } });
    world.patch(DATABASE, "orders", annotations("true")).await;
    world
        .until_said(DATABASE, "orders", "Synced=False ReconcilePaused, Ready=True Available")
        .await;
    world.patch(DATABASE, "orders", json!({ "spec": { "parameters": { "size": "small" } } })).await;
    let calls = world.fake.journal().len();
    // Another claim goes all the way while this one rests.
    world.claim(DATABASE, "other", json!({ "deletionPolicy": "Delete" })).await;
    world.until_ready(DATABASE, "other").await;
    assert!(world.fake.journal().len() > calls);
    assert_eq!(world.fake.calls("update-dbaas-service-pg").len(), 1);
    world.patch(DATABASE, "orders", annotations("false")).await;
    world.until_ready(DATABASE, "orders").await;
}

async fn it_outlives_its_claim_unless_the_claim_says_otherwise(world: &World) {
    assert_eq!(world.at_exoscale().len(), 2);
    world.delete(DATABASE, "other").await;
    world.until_gone(DATABASE, "other").await;
    assert_eq!(world.at_exoscale().len(), 1, "deletionPolicy: Delete");
    let name = world.at_exoscale().remove(0);
    world.delete(DATABASE, "orders").await;
    world.until_gone(DATABASE, "orders").await;
    assert_eq!(world.at_exoscale(), std::slice::from_ref(&name), "retained");

    // One of the old name is another database, and takes nothing over...
    world.claim(DATABASE, "orders", json!({ "deletionPolicy": "Delete" })).await;
    let claim = world.until_ready(DATABASE, "orders").await;
    assert_ne!(claim.data["status"]["externalName"], name.as_str());
    // ...unless it asks for it, and may.
    let adopt = json!({ "adopt": { "externalName": name }, "deletionPolicy": "Delete" });
    world.claim(DATABASE, "adopted", adopt).await;
    let waiting = "Synced=False ReconcileError, Ready=False Waiting";
    let claim = world.until_said(DATABASE, "adopted", waiting).await;
    assert!(message(&claim).contains("it does not let the namespace adopt"), "{}", message(&claim));
    let adoptable = json!([{ "namespace": TEAM, "externalName": name }]);
    world.provider("gva", "52.00", &json!({ "adoptable": adoptable })).await;
    let claim = world.until_ready(DATABASE, "adopted").await;
    assert_eq!(claim.data["status"]["externalName"], name.as_str());
    for name in ["orders", "adopted"] {
        world.delete(DATABASE, name).await;
        world.until_gone(DATABASE, name).await;
    }
    assert!(world.at_exoscale().is_empty());
}

async fn a_machine_comes_and_goes(world: &World) {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA somebody";
    let spec = json!({
        "parameters": { "size": "small", "sshPublicKeys": [key] },
        "providerSelector": { "matchLabels": { "name": "gva" } },
        "writeConnectionSecretToRef": { "name": "runner" },
    });
    world.claim(MACHINE, "runner", spec).await;
    let claim = world.until_ready(MACHINE, "runner").await;
    let name = claim.data["status"]["externalName"].as_str().unwrap().to_owned();
    let machines =
        || world.fake.world(|world| world.instances.values().cloned().collect::<Vec<_>>());
    assert_eq!(machines().len(), 1);
    assert_eq!(machines()[0].labels["berth.sh/claim"], name);
    assert_eq!(world.creates("create-instance"), 1);
    assert_eq!(world.secret("runner").await["name"], name);
    // It stays what it is; the API server says so.
    let larger = json!({ "spec": { "parameters": { "size": "medium" } } });
    let params = PatchParams::default();
    let answer = world.claims(MACHINE).patch("runner", &params, &Patch::Merge(larger)).await;
    let refusal = answer.unwrap_err().to_string();
    assert!(refusal.contains("size is immutable: make another claim"), "{refusal}");
    world.delete(MACHINE, "runner").await;
    world.until_gone(MACHINE, "runner").await;
    let left = machines().into_iter().filter(|one| one.state == "running").count();
    assert_eq!(left, 0);
}

async fn what_cannot_be_served_says_why(world: &World) {
    let nowhere = json!({ "compositionSelector": { "matchLabels": { "tier": "free" } } });
    world.claim(DATABASE, "nowhere", nowhere).await;
    let waiting = "Synced=False ReconcileError, Ready=False Waiting";
    let claim = world.until_said(DATABASE, "nowhere", waiting).await;
    assert_eq!(
        message(&claim),
        "no ClaimProvider serves it: gva: its label tier is \"managed\", not \"free\"; zrh: its \
         label tier is \"managed\", not \"free\""
    );
    let told = events(world, "nowhere").await;
    assert!(told.contains(&"Warning ReconcileError".to_owned()), "{told:?}");
    world.delete(DATABASE, "nowhere").await;
    world.until_gone(DATABASE, "nowhere").await;
}

async fn of_two_that_grow_at_once_one_takes_what_is_left_of_the_budget(world: &World) {
    let budget = |amount: &str| json!({ "monthlyBudget": amount });
    world.provider("gva", "52.00", &budget("156")).await;
    let spec = json!({
        "providerSelector": { "matchLabels": { "name": "gva" } }, "deletionPolicy": "Delete",
    });
    for name in ["one", "two"] {
        world.claim(DATABASE, name, spec.clone()).await;
    }
    for name in ["one", "two"] {
        world.until_ready(DATABASE, name).await;
    }
    until_told(world, "berth_claims{kind=\"PostgreSQLInstance\",state=\"ready\"} 2").await;
    let price = "berth_claims_price_per_month{namespace=\"team-a\",provider=\"gva\"} 104.0";
    until_told(world, price).await;
    let larger = || json!({ "spec": { "parameters": { "size": "medium" } } });
    let before = world.fake.calls("update-dbaas-service-pg").len();
    let grow = ["one", "two"].map(|name| world.patch(DATABASE, name, larger()));
    futures::future::join_all(grow).await;
    let said = |claim: &DynamicObject| (conditions(claim), claim.data["status"]["size"].clone());
    let given = ("Synced=True ReconcileSuccess, Ready=True Available".to_owned(), json!("medium"));
    let held = ("Synced=False ReconcileError, Ready=True Available".to_owned(), json!("small"));
    let waits = berth_controlplane::until("one grows", crate::world::LIMIT, || async {
        let claims = [world.databases().get("one").await, world.databases().get("two").await];
        let [one, two] = claims.map(|claim| claim.map_err(|error| error.to_string()));
        let (one, two) = (one?, two?);
        match (said(&one), said(&two)) {
            (first, second) if first == given && second == held => Ok(two),
            (first, second) if first == held && second == given => Ok(one),
            both => Err(format!("{both:?}")),
        }
    })
    .await
    .unwrap();
    assert_eq!(
        message(&waits),
        "size medium with 20 GB is not given, it stays size small with 20 GB for 52.00 a month: \
         gva: 104.00 a month is 52.00 over its budget: 104.00 of 156.00 are used: take the change \
         back, or have the platform team raise monthlyBudget of ClaimProvider gva"
    );
    until_told(world, "berth_claims{kind=\"PostgreSQLInstance\",state=\"ready\"} 1").await;
    until_told(world, "berth_claims{kind=\"PostgreSQLInstance\",state=\"held\"} 1").await;
    assert_eq!(plans(world), ["business-8", "startup-4"]);
    assert_eq!(world.fake.calls("update-dbaas-service-pg").len(), before + 1, "one was asked for");
    world.provider("gva", "52.00", &budget("208")).await;
    for name in ["one", "two"] {
        let claim = world.until_ready(DATABASE, name).await;
        assert_eq!(claim.data["status"]["pricePerMonth"], "104.00");
    }
    berth_controlplane::until("both have grown", crate::world::LIMIT, || async {
        let plans = plans(world);
        if plans == ["business-8"; 2] { Ok(()) } else { Err(plans.join(", ")) }
    })
    .await
    .unwrap();
    for name in ["one", "two"] {
        world.delete(DATABASE, name).await;
        world.until_gone(DATABASE, name).await;
    }
    world.provider("gva", "52.00", &json!({})).await;
}

/// Claims are counted after they have said what they are.
async fn until_told(world: &World, line: &str) {
    berth_controlplane::until(line, crate::world::LIMIT, || async {
        let told = world.metrics.encode().unwrap();
        if told.lines().any(|told| told == line) { Ok(()) } else { Err(told) }
    })
    .await
    .unwrap();
}

fn plans(world: &World) -> Vec<String> {
    let mut plans: Vec<String> =
        world.fake.world(|it| it.databases.values().map(|one| one.plan.clone()).collect());
    plans.sort_unstable();
    plans
}

/// The events of a claim: type and reason.
async fn events(world: &World, name: &str) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(world.plane.client(), TEAM);
    let all = events.list(&ListParams::default()).await.unwrap().items;
    let of_it = all
        .into_iter()
        .filter(|one| one.regarding.as_ref().and_then(|about| about.name.as_deref()) == Some(name));
    let said = of_it
        .map(|one| format!("{} {}", one.type_.unwrap_or_default(), one.reason.unwrap_or_default()));
    said.collect()
}

async fn a_foreign_secret_is_never_touched(world: &World) {
    let foreign: Secret = serde_json::from_value(json!({
        "metadata": { "name": "foreign" }, "stringData": { "mine": "yes" },
    }))
    .unwrap();
    world.secrets(TEAM).create(&PostParams::default(), &foreign).await.unwrap();
    let before = world.creates("create-dbaas-service-pg");
    let spec = json!({ "writeConnectionSecretToRef": { "name": "foreign" } });
    world.claim(DATABASE, "greedy", spec).await;
    let waiting = "Synced=False ReconcileError, Ready=False Waiting";
    let claim = world.until_said(DATABASE, "greedy", waiting).await;
    assert!(message(&claim).contains("Secret foreign is there and is not this claim's"));
    assert_eq!(world.creates("create-dbaas-service-pg"), before, "nothing was paid for");
    assert_eq!(world.secret("foreign").await.keys().collect::<Vec<_>>(), ["mine"]);
    world.delete(DATABASE, "greedy").await;
    world.until_gone(DATABASE, "greedy").await;
}

async fn a_provider_that_is_down_is_passed_over(world: &World) {
    world.key("wrong", &exoscale_key("EXOwrong", "wrong-secret")).await;
    let down = json!({ "credentialsSecretRef": { "name": "wrong" } });
    world.provider("down", "1.00", &down).await;
    world.claim(DATABASE, "robust", json!({ "deletionPolicy": "Delete" })).await;
    let claim = world.until_ready(DATABASE, "robust").await;
    assert_eq!(claim.data["status"]["provider"], "gva");
    let choice = claim.data["status"]["choice"].as_str().unwrap();
    assert!(choice.contains("not down: not usable now: Exoscale"), "{choice}");
    assert!(!choice.contains("wrong-secret"), "{choice}");
}

async fn a_definition_stays_while_claims_live(world: &World) {
    world
        .plane
        .kubectl(&["delete", "claimdefinition", "postgresqlinstances", "--wait=false"])
        .await
        .unwrap();
    let path = "jsonpath={.status.conditions[0].reason} {.status.conditions[0].message}";
    let get = ["get", "claimdefinition", "postgresqlinstances", "-o", path];
    berth_controlplane::until("it says that it is in use", crate::world::LIMIT, || async {
        let said = world.plane.kubectl(&get).await.map_err(|error| error.to_string())?;
        let expected = "InUse 1 claims of kind PostgreSQLInstance are there: delete them first";
        if said.starts_with(expected) { Ok(()) } else { Err(said) }
    })
    .await
    .unwrap();
    assert_eq!(world.at_exoscale().len(), 1);
    world.delete(DATABASE, "robust").await;
    world.until_gone(DATABASE, "robust").await;
    berth_controlplane::until("definition and kind are gone", crate::world::LIMIT, || async {
        let names = world.plane.kubectl(&["get", "claimdefinitions,crds", "-o", "name"]).await;
        let names = names.map_err(|error| error.to_string())?;
        if names.contains("postgresqlinstances") { Err(names) } else { Ok(()) }
    })
    .await
    .unwrap();
    assert!(world.at_exoscale().is_empty());
}

async fn figures_are_told(world: &World) {
    let text = world.metrics.encode().unwrap();
    let ready = "berth_claim_ready_duration_seconds_count{size=\"small\",provider=\"gva\"}";
    assert!(text.lines().any(|line| line.starts_with(ready)), "{text}");
    assert!(
        text.contains("berth_claim_effects_total{effect=\"CreateExternal\",outcome=\"done\"}"),
        "{text}"
    );
    // Nothing is left, and nothing is told of it.
    assert!(!text.contains("berth_claims{"), "{text}");
    assert!(!text.contains("berth_claims_price_per_month{"), "{text}");
}
