//! The controller is killed before and after each external write. Whoever comes next finishes:
//! nothing is doubled, lost or left, and no Secret is where it should not be.

use std::sync::Arc;

use berth_exoscale_fake::Fault;
use serde_json::json;

use crate::world::{Stopper, TEAM, World};

const DATABASE: &str = "PostgreSQLInstance";
const MACHINE: &str = "VirtualMachine";
/// On the way to a database that is ready.
const CREATING: [&str; 5] =
    ["HoldClaim", "RecordChoice", "RecordCreateRequest", "CreateExternal", "WriteConnectionSecret"];
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
