//! What goes wrong in the cloud: answers are lost, items are missing from lists and answers, and an
//! operation is pending for ever.

use berth_cloud_fakes::Fault;
use berth_cloud_fakes::exoscale::Change;
use berth_controlplane::until;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::LIMIT;
use super::world::{World, text};

async fn meet(world: &World, operation: &str, times: usize, fault: Fault) {
    world.fake.faults(operation, times, fault).await.unwrap();
}

/// Answers to creates are lost, wrong, or name no instance.
pub async fn with_creates(world: &World) {
    for fault in [
        Fault::LoseReply,
        Fault::FailAfter(502),
        Fault::Throttle(1),
        Fault::Missing("reference".into()),
    ] {
        meet(world, "create-instance", 1, fault).await;
    }
}

/// The next leader does not find the instances in lists at first, nor a network.
pub async fn with_what_starts(world: &World) {
    meet(world, "list-instances", 3, Fault::Missing("instances".into())).await;
    let no_network = Fault::refuse(404, "private network not found");
    meet(world, "attach-instance-to-private-network", 1, no_network).await;
}

/// The first list of types is empty.
pub async fn with_the_first_look(world: &World) {
    meet(world, "list-instance-types", 1, Fault::Missing("instance-types".into())).await;
}

/// An instance that has just been created is not found by its id.
pub async fn with_a_replacement(world: &World) {
    meet(world, "get-instance", 1, Fault::refuse(404, "instance not found")).await;
}

/// Waits until everything that was to go wrong has.
pub async fn until_met(world: &World) {
    let met = until("everything has gone wrong that was to", LIMIT, || async {
        let left = world.fake.faults_left().await.map_err(text)?;
        if left == 0 { Ok(()) } else { Err(format!("{left} faults left")) }
    });
    met.await.unwrap_or_else(|error| world.fail(&error));
}

/// A node class that is not ready for a while.
pub struct Class {
    ready_since: Value,
}

/// The template and the networks of the node class are missing once, and the next delete stays
/// pending for ever.
pub async fn with_classes_and_a_delete(world: &World) -> Class {
    let (status, ready_since) = ready(world).await.unwrap();
    assert_eq!(status, "True");
    meet(world, "get-active-nodepool-template", 1, Fault::refuse(404, "no template")).await;
    let networks = Fault::Missing("private-networks".into());
    meet(world, "list-private-networks", 1, networks).await;
    meet(world, "delete-instance", 1, Fault::OperationStuck).await;
    Class { ready_since }
}

impl Class {
    /// Waits until it is ready again; nothing drifted for it.
    pub async fn until_over(self, world: &World) {
        until_met(world).await;
        let again = until("the class is ready again", LIMIT, || async {
            let (status, since) = ready(world).await?;
            if status == "True" && since != self.ready_since { Ok(()) } else { Err(status) }
        });
        again.await.unwrap_or_else(|error| world.fail(&error));
        for claim in world.claims().await.unwrap() {
            let conditions = claim.data["status"]["conditions"].as_array().unwrap();
            let drifts =
                conditions.iter().find(|one| one["type"].as_str().unwrap().contains("Drift"));
            assert_eq!(drifts, None, "{:?}", claim.metadata.name);
        }
    }
}

/// What the node class' condition Ready says, and since when.
async fn ready(world: &World) -> Result<(String, Value), String> {
    let kind = GroupVersionKind::gvk("karpenter.exoscale.com", "v1", "ExoscaleNodeClass");
    let resource = ApiResource::from_gvk(&kind);
    let classes: Api<DynamicObject> = Api::all_with(world.plane.client(), &resource);
    let class = classes.get("standard").await.map_err(text)?;
    let conditions = class.data["status"]["conditions"].as_array().ok_or("no conditions")?;
    let ready = conditions.iter().find(|one| one["type"] == "Ready").ok_or("not looked at yet")?;
    let status = ready["status"].as_str().unwrap_or_default().to_owned();
    Ok((status, ready["lastTransitionTime"].clone()))
}

/// The instance whose delete is pending for ever: its NodeClaim is still there and holds on to it.
pub async fn the_stuck(world: &World) -> String {
    let alone = until("only one is on its way out", LIMIT, || async {
        let going = world.instances().await?.into_values().filter(|one| one.is_going());
        let going: Vec<String> = going.map(|one| one.id).collect();
        if let [stuck] = &going[..] { Ok(stuck.clone()) } else { Err(format!("{going:?}")) }
    });
    let stuck = alone.await.unwrap_or_else(|error| world.fail(&error));
    assert!(is_recorded(world, &stuck).await.unwrap());
    stuck
}

async fn is_recorded(world: &World, id: &str) -> Result<bool, String> {
    let id = format!("exoscale://{id}");
    let claims = world.claims().await?;
    Ok(claims.iter().any(|claim| claim.data["status"]["providerID"] == *id))
}

/// Somebody at the cloud ends it at last, and its NodeClaim ends with it; asked for once, and it was
/// not given up before.
pub async fn ends(world: &World, stuck: &str) {
    assert!(is_recorded(world, stuck).await.unwrap(), "nothing is let go that is still there");
    world.change(Change::RemoveInstance(stuck.to_owned())).await;
    let path = format!("/instance/{stuck}");
    let journal = world.fake.journal().await.unwrap();
    let deletes = journal.iter().filter(|call| call.method == "DELETE" && call.path == path);
    assert_eq!(deletes.count(), 1);
}
