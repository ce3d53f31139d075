//! The controller is killed before and after each external write. Whoever comes next finishes:
//! nothing is doubled, lost or left, and no Secret is where it should not be.

use std::sync::Arc;

use berth_cloud_fakes::Fault;
use berth_controlplane::until;
use kube::api::ListParams;
use serde_json::json;

use crate::clouds::{DATABASE, MACHINE, done, plans_at, two_more};
use crate::operator;
use crate::world::{LIMIT, Stopper, TEAM, World};

/// On the way to a database that is ready.
const CREATING: [&str; 6] = [
    "HoldClaim",
    "RecordChoice",
    "RecordCreateRequest",
    "CreateExternal",
    "RecordStatus",
    "WriteConnectionSecret",
];
/// While one that is ready is changed and gets a new password.
const CHANGING: [&str; 2] = ["UpdateExternal", "RotatePassword"];
/// On its way out.
const LEAVING: [&str; 2] = ["DeleteExternal", "ReleaseClaim"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_write_doubles_loses_and_leaks_nothing() {
    let test = "a_kill_at_any_write_doubles_loses_and_leaks_nothing";
    let Some(mut world) = World::new(test).await else { return };
    let mut databases = 0;
    for when in ["before", "after"] {
        for write in CREATING.into_iter().chain(LEAVING) {
            let name = format!("{when}-{}", write.to_lowercase());
            let stopper = Stopper::at(when, write);
            world.start(Arc::<Stopper>::clone(&stopper));
            let spec = json!({
                "writeConnectionSecretToRef": { "name": name }, "deletionPolicy": "Delete",
            });
            world.claim(DATABASE, &name, spec).await;
            if LEAVING.contains(&write) {
                world.until_ready(DATABASE, &name).await;
                world.delete(DATABASE, &name).await;
            }
            stopper.reached().await;
            world.kill().await;
            world.start(Arc::new(()));
            if CREATING.contains(&write) {
                world.until_ready(DATABASE, &name).await;
                assert_eq!(world.at_exoscale().len(), 1, "{name}");
                assert!(world.passwords().await.contains(&(TEAM.to_owned(), name.clone())));
                world.delete(DATABASE, &name).await;
            }
            world.until_gone(DATABASE, &name).await;
            world.kill().await;
            databases += 1;
            assert_eq!(world.at_exoscale(), Vec::<String>::new(), "{name}: nothing is left");
            assert_eq!(world.creates("create-dbaas-service-pg"), databases, "{name}: one each");
        }
    }
    // Nobody collects garbage here; but none of them is in another namespace.
    assert!(world.passwords().await.iter().all(|(namespace, _)| namespace == TEAM));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_and_a_deletion_during_creation_leave_nothing() {
    let test = "a_lost_answer_and_a_deletion_during_creation_leave_nothing";
    let Some(mut world) = World::new(test).await else { return };
    // The answer to the create of a machine is lost: it is found by its label, not made again.
    world.fake.fault("create-instance", Fault::LoseReply);
    world.start(Arc::new(()));
    world.claim(MACHINE, "lost", json!({ "parameters": { "size": "small" } })).await;
    world.until_ready(MACHINE, "lost").await;
    assert_eq!(world.creates("create-instance"), 1);
    world.delete(MACHINE, "lost").await;
    world.until_gone(MACHINE, "lost").await;
    let alive = world
        .fake
        .world(|world| world.instances.values().filter(|one| one.state == "running").count());
    assert_eq!(alive, 0);
    world.kill().await;

    // A database whose claim is deleted while it is made: it held nothing, and goes.
    let stopper = Stopper::at("after", "CreateExternal");
    world.start(Arc::<Stopper>::clone(&stopper));
    world.fake.world(|world| world.timing.database = std::time::Duration::from_secs(3_600));
    world.claim(DATABASE, "early", json!({ "deletionPolicy": "Retain" })).await;
    stopper.reached().await;
    world.kill().await;
    assert_eq!(world.at_exoscale().len(), 1);
    world.delete(DATABASE, "early").await;
    world.start(Arc::new(()));
    world.until_gone(DATABASE, "early").await;
    assert!(world.at_exoscale().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_a_database_is_changed_leaves_it_changed_and_its_secret_right() {
    let test = "a_kill_while_a_database_is_changed_leaves_it_changed_and_its_secret_right";
    let Some(mut world) = World::new(test).await else { return };
    two_more(&world, 48, 61).await;
    for (provider, plan) in [("gva", "business-8"), ("gra", "business.db1-7"), ("par", "DB-DEV-M")]
    {
        for (when, write) in
            ["before", "after"].into_iter().flat_map(|when| CHANGING.map(|write| (when, write)))
        {
            let name = format!("{provider}-{when}-{}", write.to_lowercase());
            world.start(Arc::new(()));
            let spec = json!({
                "providerSelector": { "matchLabels": { "name": provider } },
                "writeConnectionSecretToRef": { "name": name }, "deletionPolicy": "Delete",
            });
            world.claim(DATABASE, &name, spec).await;
            world.until_ready(DATABASE, &name).await;
            world.kill().await;
            let before = world.secret(&name).await["password"].clone();
            let stopper = Stopper::at(when, write);
            world.start(Arc::<Stopper>::clone(&stopper));
            let change = json!({
                "metadata": { "annotations": { "claims.berth.sh/rotate-password": "1" } },
                "spec": { "parameters": { "size": "medium" } },
            });
            world.patch(DATABASE, &name, change).await;
            stopper.reached().await;
            world.kill().await;
            world.start(Arc::new(()));
            until(&format!("{name} is changed"), LIMIT, || async {
                let claim = world.databases().get(&name).await.map_err(|it| it.to_string())?;
                let password = world.secret(&name).await["password"].clone();
                let is_known = world.knows_password(&password);
                let done = claim.data["status"]["rotated"] == "1" && password != before;
                let is_changed = plans_at(&world, provider) == [plan];
                if done && is_known && is_changed {
                    Ok(())
                } else {
                    Err(claim.data["status"].to_string())
                }
            })
            .await
            .unwrap();
            world.delete(DATABASE, &name).await;
            world.until_gone(DATABASE, &name).await;
            world.kill().await;
        }
    }
    assert!(world.passwords().await.iter().all(|(namespace, _)| namespace == TEAM));
}

/// The creates at OVH and Scaleway that were done, whether or not their answer arrived.
fn creates(world: &World) -> usize {
    let at_ovh = ["create-database", "create-instance"].map(|name| world.ovh.calls(name));
    let at_scaleway = ["create-instance", "create-server"].map(|name| world.scaleway.calls(name));
    at_ovh.iter().chain(&at_scaleway).map(|calls| done(calls)).sum()
}

/// What there is at OVH and Scaleway.
fn there(world: &World) -> usize {
    world.ovh.world(|it| it.databases.len() + it.instances.len())
        + world.scaleway.world(|it| it.databases.len() + it.servers.len())
}

/// Neither cloud refuses a second create: what was asked for is looked for first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_around_a_create_at_ovh_or_scaleway_doubles_and_loses_nothing() {
    let test = "a_kill_around_a_create_at_ovh_or_scaleway_doubles_and_loses_nothing";
    let Some(mut world) = World::new(test).await else { return };
    two_more(&world, 48, 61).await;
    let mut made = 0;
    let writes = [
        ("gra", DATABASE, "CreateExternal"),
        ("gra", MACHINE, "CreateExternal"),
        ("par", DATABASE, "CreateExternal"),
        ("par", MACHINE, "CreateExternal"),
        // A machine of Scaleway's is started by a call of its own, a database closed by one.
        ("par", MACHINE, "UpdateExternal"),
        ("par", DATABASE, "UpdateExternal"),
    ];
    for (provider, kind, write) in writes {
        for when in ["before", "after"] {
            let name =
                format!("{provider}-{}-{when}-{}", kind.to_lowercase(), write.to_lowercase());
            let stopper = Stopper::at(when, write);
            world.start(Arc::<Stopper>::clone(&stopper));
            let spec = json!({
                "parameters": { "size": "small" },
                "providerSelector": { "matchLabels": { "name": provider } },
                "writeConnectionSecretToRef": { "name": name }, "deletionPolicy": "Delete",
            });
            world.claim(kind, &name, spec).await;
            stopper.reached().await;
            world.kill().await;
            world.start(Arc::new(()));
            world.until_ready(kind, &name).await;
            made += 1;
            assert_eq!((there(&world), creates(&world)), (1, made), "{name}: one");
            world.delete(kind, &name).await;
            world.until_gone(kind, &name).await;
            world.kill().await;
            assert_eq!(there(&world), 0, "{name}: nothing is left");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_whose_answer_is_lost_is_found_again_and_a_claim_deleted_meanwhile_leaves_nothing()
{
    let test =
        "a_create_whose_answer_is_lost_is_found_again_and_a_claim_deleted_meanwhile_leaves_nothing";
    let Some(mut world) = World::new(test).await else { return };
    two_more(&world, 48, 61).await;
    world.start(Arc::new(()));
    world.ovh.fault("create-database", Fault::LoseReply);
    world.ovh.fault("create-instance", Fault::FailAfter(502));
    world.scaleway.fault("create-instance", Fault::LoseReply);
    world.scaleway.fault("create-server", Fault::FailAfter(502));
    let cases = [("gra", DATABASE), ("gra", MACHINE), ("par", DATABASE), ("par", MACHINE)];
    let spec = |provider: &str| {
        json!({
            "parameters": { "size": "small" }, "deletionPolicy": "Delete",
            "providerSelector": { "matchLabels": { "name": provider } },
        })
    };
    for (provider, kind) in cases {
        world.claim(kind, &format!("lost-{provider}"), spec(provider)).await;
    }
    for (provider, kind) in cases {
        world.until_ready(kind, &format!("lost-{provider}")).await;
    }
    assert_eq!((there(&world), creates(&world)), (4, 4));
    for (provider, kind) in cases {
        world.delete(kind, &format!("lost-{provider}")).await;
    }
    for (provider, kind) in cases {
        world.until_gone(kind, &format!("lost-{provider}")).await;
    }
    assert_eq!(there(&world), 0);
    world.kill().await;

    // Deleted right after it was asked for, while it is being made.
    for (provider, kind) in cases {
        let name = format!("early-{provider}");
        let stopper = Stopper::at("after", "CreateExternal");
        world.start(Arc::<Stopper>::clone(&stopper));
        world.claim(kind, &name, spec(provider)).await;
        stopper.reached().await;
        world.kill().await;
        assert_eq!(there(&world), 1, "{name}");
        world.delete(kind, &name).await;
        world.start(Arc::new(()));
        world.until_gone(kind, &name).await;
        assert_eq!(there(&world), 0, "{name}");
        world.kill().await;
    }
}

/// Kinds come and go: each write about one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_a_kind_is_installed_or_removed_leaves_it_so() {
    let test = "a_kill_while_a_kind_is_installed_or_removed_leaves_it_so";
    let Some(mut world) = World::new(test).await else { return };
    let remove = ["delete", "claimdefinitions", "--all", "--wait=false"];
    for write in ["HoldDefinition", "InstallDefinition", "RemoveDefinition", "ReleaseDefinition"] {
        for when in ["before", "after"] {
            world.define().await;
            let stopper = Stopper::at(when, write);
            world.start(Arc::<Stopper>::clone(&stopper));
            if ["RemoveDefinition", "ReleaseDefinition"].contains(&write) {
                world.until_defined().await;
                world.plane.kubectl(&remove).await.unwrap();
                stopper.reached().await;
            } else {
                stopper.reached().await;
                world.kill().await;
                world.start(Arc::new(()));
                world.until_defined().await;
                world.plane.kubectl(&remove).await.unwrap();
            }
            world.kill().await;
            world.start(Arc::new(()));
            world.until_undefined().await;
            world.kill().await;
        }
    }
    // After all that they are as good as new.
    world.define().await;
    world.start(Arc::new(()));
    for kind in [DATABASE, MACHINE] {
        world.claim(kind, "last", json!({ "parameters": { "size": "small" } })).await;
    }
    for kind in [DATABASE, MACHINE] {
        world.until_ready(kind, "last").await;
    }
}

/// On this cluster what is external is a Cluster of CloudNativePG.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_around_each_write_of_a_database_on_this_cluster_doubles_and_loses_nothing() {
    let test = "a_kill_around_each_write_of_a_database_on_this_cluster_doubles_and_loses_nothing";
    let Some(mut world) = World::new(test).await else { return };
    if !operator::install(&world).await {
        return;
    }
    let size = |size: &str, cpu: &str| {
        json!({ "service": "PostgreSQL", "size": size, "cpu": cpu, "memory": "1Gi",
                "storageGB": 20 })
    };
    let sizes = [size("small", "500m"), size("medium", "1")];
    world.apply_provider("here", &json!({ "type": "kubernetes", "sizes": sizes })).await;
    // The operator works on, whoever of ours is killed.
    let plane = world.plane.client();
    let operator = tokio::spawn(async move { operator::operate(plane).await });
    let writes = ["CreateExternal", "WriteConnectionSecret", "UpdateExternal", "RotatePassword"];
    for write in writes.into_iter().chain(["DeleteExternal"]) {
        for when in ["before", "after"] {
            let name = format!("{when}-{}", write.to_lowercase());
            let stopper = Stopper::at(when, write);
            world.start(Arc::<Stopper>::clone(&stopper));
            let spec = json!({
                "providerSelector": { "matchLabels": { "name": "here" } },
                "writeConnectionSecretToRef": { "name": name }, "deletionPolicy": "Delete",
            });
            world.claim(DATABASE, &name, spec).await;
            if !["CreateExternal", "WriteConnectionSecret"].contains(&write) {
                world.until_ready(DATABASE, &name).await;
                let change = json!({
                    "metadata": { "annotations": { "claims.berth.sh/rotate-password": "1" } },
                    "spec": { "parameters": { "size": "medium" } },
                });
                match write {
                    "DeleteExternal" => world.delete(DATABASE, &name).await,
                    _ => world.patch(DATABASE, &name, change).await,
                }
            }
            stopper.reached().await;
            world.kill().await;
            world.start(Arc::new(()));
            let clusters = operator::clusters(&world);
            if write != "DeleteExternal" {
                until(&format!("{name} is as it should be"), LIMIT, || async {
                    let claim = world.until_ready(DATABASE, &name).await;
                    let all = clusters.list(&ListParams::default()).await;
                    let all = all.map_err(|error| error.to_string())?.items;
                    let [cluster] = &all[..] else { return Err(format!("{} Clusters", all.len())) };
                    let cpu = &cluster.data["spec"]["resources"]["requests"]["cpu"];
                    let made = format!("{}-app", cluster.metadata.name.clone().unwrap_or_default());
                    let same = world.secret(&made).await["password"]
                        == world.secret(&name).await["password"];
                    let is_changed = claim.data["spec"]["parameters"]["size"] != "medium"
                        || (cpu == "1" && claim.data["status"]["rotated"] == "1");
                    if same && is_changed { Ok(()) } else { Err(claim.data["status"].to_string()) }
                })
                .await
                .unwrap();
                world.delete(DATABASE, &name).await;
            }
            world.until_gone(DATABASE, &name).await;
            world.kill().await;
            let left = clusters.list(&ListParams::default()).await.unwrap().items.len();
            assert_eq!(left, 0, "{name}: nothing is left");
        }
    }
    operator.abort();
    assert!(world.passwords().await.iter().all(|(namespace, _)| namespace == TEAM));
}
