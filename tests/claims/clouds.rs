//! Sizes, prices and troubles of four providers.

use std::sync::Arc;
use std::time::Duration;

use berth_cloud_fakes::{Call, Fault, ovh, scaleway};
use serde_json::{Value, json};

use crate::operator;
use crate::world::{PROJECT, TEAM, World, message};

pub(crate) const DATABASE: &str = "PostgreSQLInstance";
pub(crate) const MACHINE: &str = "VirtualMachine";
const SIZES: [&str; 3] = ["small", "medium", "large"];

/// What a provider calls the three sizes of a service; prices double from size to size.
fn sizes(service: &str, plans: [&str; 3], price: u32) -> Vec<Value> {
    let size = |(index, plan): (usize, &str)| {
        json!({ "service": service, "size": SIZES[index], "plan": plan,
                "pricePerMonth": format!("{}.00", price << index) })
    };
    plans.into_iter().enumerate().map(size).collect()
}

/// `gra` at OVH, `par` at Scaleway, with the price of their small databases; and the keys.
pub(crate) async fn two_more(world: &World, price_at_ovh: u32, price_at_scaleway: u32) {
    let [application, secret, consumer] = world.ovh.keys();
    let keys = json!({
        "OVH_APPLICATION_KEY": application, "OVH_APPLICATION_SECRET": secret,
        "OVH_CONSUMER_KEY": consumer,
    });
    world.key("ovh", &keys).await;
    world.key("scaleway", &json!({ "SCW_SECRET_KEY": world.scaleway.secret() })).await;
    let spec = |kind: &str, region: &str, databases: Vec<Value>, machines: Vec<Value>| {
        let sizes = [databases, machines].concat();
        json!({
            "type": kind, "region": region, "project": PROJECT,
            "credentialsSecretRef": { "name": kind },
            "sizes": sizes,
            "postgresql": { "allowedCIDRs": ["192.0.2.1/32"] },
            "virtualMachine": { "images": { "debian-13": "image" }, "publicIP": true },
        })
    };
    let plans = ["essential.db1-4", "business.db1-7", "business.db1-15"];
    let mut databases = sizes("PostgreSQL", plans, price_at_ovh);
    for size in &mut databases {
        size["storageGB"] = json!(80);
    }
    let machines = sizes("VirtualMachine", ["b3-8", "b3-16", "b3-32"], 20);
    world.ovh.world(|world| world.flavors.insert("flavor-b3-32".to_owned(), "b3-32".to_owned()));
    world.apply_provider("gra", &spec("ovh", "GRA11", databases, machines)).await;
    let databases = sizes("PostgreSQL", ["DB-DEV-S", "DB-DEV-M", "DB-GP-XS"], price_at_scaleway);
    let machines = sizes("VirtualMachine", ["DEV1-S", "DEV1-M", "DEV1-L"], 10);
    world.apply_provider("par", &spec("scaleway", "fr-par-1", databases, machines)).await;
}

/// `gva` with three sizes of everything, and `here`: this cluster.
async fn exoscale_and_here(world: &World) {
    let databases = sizes("PostgreSQL", ["startup-4", "business-8", "startup-16"], 52);
    let plans = ["standard.small", "standard.medium", "standard.large"];
    let machines = sizes("VirtualMachine", plans, 17);
    let all = [databases, machines].concat();
    world.provider("gva", "52.00", &json!({ "sizes": all })).await;
    let size = |size: &str, cpu: &str, memory: &str| {
        json!({ "service": "PostgreSQL", "size": size, "cpu": cpu, "memory": memory,
                "storageGB": 20 })
    };
    let sizes =
        [size("small", "500m", "1Gi"), size("medium", "1", "2Gi"), size("large", "2", "4Gi")];
    world.apply_provider("here", &json!({ "type": "kubernetes", "sizes": sizes })).await;
}

/// The plans of the databases at a cloud.
pub(crate) fn plans_at(world: &World, provider: &str) -> Vec<String> {
    let mut plans: Vec<String> = match provider {
        "gva" => world.fake.world(|it| it.databases.values().map(|one| one.plan.clone()).collect()),
        "gra" => world.ovh.world(|it| {
            let plan = |one: &ovh::Database| {
                assert_eq!(one.allowed, ["192.0.2.1/32"]);
                format!("{}.{}", one.plan, one.flavor)
            };
            it.databases.values().map(plan).collect()
        }),
        _ => world.scaleway.world(|it| {
            let plan = |one: &scaleway::Database| {
                assert_eq!(one.acl, ["192.0.2.1/32"], "it is closed before it is ready");
                one.node_type.clone()
            };
            it.databases.values().map(plan).collect()
        }),
    };
    plans.sort_unstable();
    plans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_sizes_come_and_go_on_four_providers() {
    let Some(mut world) = World::new("three_sizes_come_and_go_on_four_providers").await else {
        return;
    };
    let has_operator = operator::install(&world).await;
    exoscale_and_here(&world).await;
    two_more(&world, 48, 61).await;
    world.start(Arc::new(()));
    let claims = claims_of(has_operator);
    let work = async {
        for (kind, name, provider, size) in &claims {
            let spec = json!({
                "parameters": { "size": size },
                "providerSelector": { "matchLabels": { "name": provider } },
                "writeConnectionSecretToRef": { "name": name },
                "deletionPolicy": "Delete",
            });
            world.claim(kind, name, spec).await;
        }
        for (kind, name, provider, _) in &claims {
            let claim = world.until_ready(kind, name).await;
            assert_eq!(claim.data["status"]["provider"], *provider);
            has_what_it_takes_to_connect(&world, kind, name).await;
        }
        everything_is_as_it_was_asked_for(&world, has_operator).await;
        for (kind, name, ..) in &claims {
            world.delete(kind, name).await;
        }
        for (kind, name, ..) in &claims {
            world.until_gone(kind, name).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = operator::operate(world.plane.client()), if has_operator => {}
    }
    everything_was_made_once_and_is_gone(&world);
}

/// Kind, name, provider and size of each.
fn claims_of(has_operator: bool) -> Vec<(&'static str, String, &'static str, &'static str)> {
    let mut claims = Vec::new();
    for size in SIZES {
        for provider in ["gva", "gra", "par"] {
            claims.push((DATABASE, format!("{provider}-{size}"), provider, size));
            claims.push((MACHINE, format!("{provider}-{size}-vm"), provider, size));
        }
        if has_operator {
            claims.push((DATABASE, format!("here-{size}"), "here", size));
        }
    }
    claims
}

async fn has_what_it_takes_to_connect(world: &World, kind: &str, name: &str) {
    let secret = world.secret(name).await;
    let mut keys: Vec<&str> = secret.keys().map(String::as_str).collect();
    keys.retain(|key| *key != "ca.crt");
    let expected: &[&str] = match kind {
        DATABASE => &["database", "endpoint", "host", "password", "port", "uri", "username"],
        // Without a public address.
        _ if name.starts_with("gva") => &["id", "name"],
        _ => &["endpoint", "host", "id", "name"],
    };
    assert_eq!(keys, expected, "{name}");
}

/// The calls that were carried out.
pub(crate) fn done(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.done.is_some()).count()
}

fn everything_was_made_once_and_is_gone(world: &World) {
    let left = world.ovh.world(|it| (it.databases.len(), it.instances.len()));
    assert_eq!(left, (0, 0), "at OVH");
    let left = world.scaleway.world(|it| (it.databases.len(), it.servers.len()));
    assert_eq!(left, (0, 0), "at Scaleway");
    assert_eq!(world.at_exoscale(), Vec::<String>::new());
    assert_eq!(world.creates("create-dbaas-service-pg"), 3);
    assert_eq!(world.creates("create-instance"), 3);
    for call in ["create-database", "create-instance"] {
        assert_eq!(done(&world.ovh.calls(call)), 3, "{call} at OVH");
    }
    for call in ["create-instance", "create-server"] {
        assert_eq!(done(&world.scaleway.calls(call)), 3, "{call} at Scaleway");
    }
}

async fn everything_is_as_it_was_asked_for(world: &World, has_operator: bool) {
    assert_eq!(plans_at(world, "gva"), ["business-8", "startup-16", "startup-4"]);
    assert_eq!(plans_at(world, "gra"), ["business.db1-15", "business.db1-7", "essential.db1-4"]);
    assert_eq!(plans_at(world, "par"), ["DB-DEV-M", "DB-DEV-S", "DB-GP-XS"]);
    // What is in the Secret is what the cloud knows.
    let password = world.secret("gra-small").await["password"].clone();
    let known = world.ovh.world(|it| it.databases.values().any(|one| one.password == password));
    assert!(known, "OVH's password");
    let password = world.secret("par-small").await["password"].clone();
    let known =
        world.scaleway.world(|it| it.databases.values().any(|one| one.users["berth"] == password));
    assert!(known, "Scaleway's password");
    world.scaleway.world(|it| {
        for server in it.servers.values() {
            assert_eq!(server.state, "running");
            assert!(server.user_data["cloud-init"].starts_with("#cloud-config\n"));
            assert_eq!(server.volumes["0"]["volume_type"], "l_ssd", "it ends with its machine");
        }
    });
    world.ovh.world(|it| {
        let told = |one: &ovh::Instance| one.user_data.starts_with("#cloud-c");
        assert!(it.instances.values().all(told));
    });
    if has_operator {
        let clusters = operator::clusters(world).list(&Default::default()).await.unwrap().items;
        let mut cpu: Vec<&str> = clusters
            .iter()
            .map(|one| one.data["spec"]["resources"]["requests"]["cpu"].as_str().unwrap())
            .collect();
        cpu.sort_unstable();
        assert_eq!(cpu, ["1", "2", "500m"]);
        let claim = world.until_ready(DATABASE, "here-small").await;
        assert_eq!(claim.data["status"]["pricePerMonth"], "0.00", "there is room");
    }
    assert!(world.passwords().await.iter().all(|(namespace, _)| namespace == TEAM));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cheapest_cloud_serves_and_a_cloud_that_is_down_is_passed_over() {
    let test = "the_cheapest_cloud_serves_and_a_cloud_that_is_down_is_passed_over";
    let Some(mut world) = World::new(test).await else { return };
    two_more(&world, 48, 61).await;
    world.start(Arc::new(()));
    let spec = json!({ "compositionSelector": { "matchLabels": { "tier": "managed" } } });
    world.claim(DATABASE, "cheap", spec.clone()).await;
    let claim = world.until_ready(DATABASE, "cheap").await;
    assert_eq!(
        claim.data["status"]["choice"],
        "gra for 48.00 a month; not gva: it costs 52.00; not par: it costs 61.00"
    );
    world.ovh.faults("list-databases", 1_000, Fault::refuse(503, "down, says fakeconsumer"));
    world.claim(DATABASE, "robust", spec).await;
    let claim = world.until_ready(DATABASE, "robust").await;
    let choice = claim.data["status"]["choice"].as_str().unwrap();
    assert!(choice.starts_with("gva for 52.00 a month; not gra: not usable now: OVH"), "{choice}");
    assert!(choice.contains("down, says [redacted]"), "{choice}");
    // What is there stays ready, waits, says so, and is changed afterwards.
    world.ovh.faults("get-database", 1_000, Fault::refuse(503, "down"));
    world.patch(DATABASE, "cheap", json!({ "spec": { "parameters": { "size": "medium" } } })).await;
    let waiting = "Synced=False ReconcileError, Ready=True Available";
    let claim = world.until_said(DATABASE, "cheap", waiting).await;
    assert!(message(&claim).contains("OVH get-database: unavailable: down"), "{}", message(&claim));
    world.ovh.clear_faults();
    until_plans(&world, "gra", &["business.db1-7"]).await;
    world.until_ready(DATABASE, "cheap").await;
}

async fn until_plans(world: &World, provider: &str, wanted: &[&str]) {
    berth_controlplane::until("it is changed", crate::world::LIMIT, || async {
        let plans = plans_at(world, provider);
        if plans == wanted { Ok(()) } else { Err(plans.join(", ")) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_at_scaleway_in_a_private_network_is_never_open_to_everybody() {
    let test = "a_database_at_scaleway_in_a_private_network_is_never_open_to_everybody";
    let Some(mut world) = World::new(test).await else { return };
    two_more(&world, 48, 61).await;
    let network = "6170692e-7363-616c-6577-61792e636f6d";
    let spec = json!({
        "type": "scaleway", "region": "fr-par-1", "project": PROJECT,
        "credentialsSecretRef": { "name": "scaleway" },
        "sizes": sizes("PostgreSQL", ["DB-DEV-S", "DB-DEV-M", "DB-GP-XS"], 61),
        "postgresql": { "privateNetwork": network },
    });
    world.apply_provider("inside", &spec).await;
    world.scaleway.world(|it| it.delay = Duration::from_secs(60));
    world.start(Arc::new(()));
    let claim = |provider: &str| {
        json!({
            "providerSelector": { "matchLabels": { "name": provider } },
            "writeConnectionSecretToRef": { "name": provider },
        })
    };
    for provider in ["inside", "par"] {
        world.claim(DATABASE, provider, claim(provider)).await;
    }
    for provider in ["inside", "par"] {
        world.until_ready(DATABASE, provider).await;
    }
    assert_eq!(world.secret("inside").await["host"], "10.0.0.1");
    assert_eq!(world.secret("par").await["host"], "198.51.100.7");
    world.scaleway.world(|it| {
        for one in it.databases.values() {
            assert_eq!(one.open_since, None, "{}", one.name);
            match &one.private_network {
                Some(there) => {
                    assert_eq!((there.as_str(), one.is_public), (network, false));
                    assert_eq!(one.was_open, Duration::ZERO);
                }
                // It is as soon as it serves, and closed at the next look.
                None => assert!(one.was_open > Duration::ZERO),
            }
        }
    });
    // Whoever gives it a public address: it is taken away again.
    world.scaleway.world(|it| {
        let inside = it.databases.values_mut().find(|one| one.private_network.is_some());
        inside.unwrap().is_public = true;
    });
    let larger = json!({ "spec": { "parameters": { "size": "medium" } } });
    world.patch(DATABASE, "inside", larger).await;
    berth_controlplane::until("it is hidden and grows", crate::world::LIMIT, || async {
        let (is_public, node_type) = world.scaleway.world(|it| {
            let one = it.databases.values().find(|one| one.private_network.is_some()).unwrap();
            (one.is_public, one.node_type.clone())
        });
        if !is_public && node_type == "DB-DEV-M" { Ok(()) } else { Err(node_type) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_applies_changes_and_prunes() {
    let Some(mut world) = World::new("git_applies_changes_and_prunes").await else { return };
    two_more(&world, 48, 61).await;
    world.start(Arc::new(()));
    let repository = tempfile::tempdir().unwrap();
    let commit = |claims: &[(&str, &str)]| {
        let claim = |(name, size): &(&str, &str)| {
            json!({
                "apiVersion": "platform.example.org/v1alpha1", "kind": DATABASE,
                "metadata": { "name": name, "namespace": TEAM, "labels": { "app": "shop" } },
                "spec": {
                    "parameters": { "size": size },
                    "providerSelector": { "matchLabels": { "name": "par" } },
                    "deletionPolicy": "Delete",
                },
            })
        };
        let items: Vec<Value> = claims.iter().map(claim).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        std::fs::write(repository.path().join("claims.json"), list.to_string()).unwrap();
    };
    let folder = repository.path().to_str().unwrap();
    let allowed = "--prune-allowlist=platform.example.org/v1alpha1/PostgreSQLInstance";
    let apply = ["apply", "-f", folder, "--prune", "-l", "app=shop", allowed];
    commit(&[("orders", "small"), ("carts", "small")]);
    berth_controlplane::until("the kinds are there", crate::world::LIMIT, || async {
        world.plane.kubectl(&apply).await.map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    for name in ["orders", "carts"] {
        world.until_ready(DATABASE, name).await;
    }
    assert_eq!(plans_at(&world, "par"), ["DB-DEV-S", "DB-DEV-S"]);
    // Nothing that Berth has written fights what is in Git.
    let said = world.plane.kubectl(&apply).await.unwrap();
    assert_eq!(said.matches("unchanged").count(), 2, "{said}");
    commit(&[("orders", "medium")]);
    let said = world.plane.kubectl(&apply).await.unwrap();
    assert!(said.contains("orders configured") && said.contains("carts pruned"), "{said}");
    world.until_gone(DATABASE, "carts").await;
    until_plans(&world, "par", &["DB-DEV-M"]).await;
    world.until_ready(DATABASE, "orders").await;
}
