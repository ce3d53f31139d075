//! A CapacityBuffer: nodes come before pods do, pods take the room and it is filled up again, and
//! without the buffer the nodes go.

use std::collections::{BTreeMap, BTreeSet};

use berth::api::CapacityBuffer;
use berth_controlplane::until;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::questions::explain;
use crate::workload::{self, NAMESPACE};
use crate::world::{LIMIT, UNMANAGED, World};

/// Places that the buffer asks for: one node of the cheapest type holds them, and one more pod.
const PLACES: i64 = 6;
/// Pods that come: what is left on that node is less than the buffer asks for.
const PODS: i32 = 4;
/// Of each of them, in thousandths of a CPU.
const CPU: i64 = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_is_there_before_pods_come_and_again_when_they_have_taken_it() {
    let test = "room_is_there_before_pods_come_and_again_when_they_have_taken_it";
    let Some(mut world) = World::new(test).await else { return };
    world.start_daemon().await;
    workload::create(&world.plane, &[("web", 0)]).await;
    let buffers: Api<CapacityBuffer> = Api::namespaced(world.plane.client(), NAMESPACE);
    create(&buffers).await;
    let before = room_is_there(&world, &buffers).await;
    assert!(workload::pods(&world.plane).await.unwrap().is_empty(), "no pod has come");

    workload::scale(&world.plane, &[("web", PODS)]).await;
    let count = usize::try_from(PODS).unwrap();
    let running = workload::wait_until_running(&world.plane, count).await;
    for pod in running.unwrap_or_else(|error| world.fail(&error)) {
        let node = pod.spec.unwrap().node_name.unwrap();
        assert!(before.contains(&node), "{node} is not one of {before:?}, which were there");
    }
    let after = room_is_there(&world, &buffers).await;
    assert!(after.len() > before.len(), "{before:?} {after:?}");

    // Without the pods one node is enough. It is empty, and stays.
    workload::scale(&world.plane, &[("web", 0)]).await;
    let left = until("one node is left", LIMIT, || async {
        let mut nodes = managed(&world).await?;
        if nodes.len() == 1 { Ok(nodes.pop_first().unwrap()) } else { Err(format!("{nodes:?}")) }
    })
    .await;
    let left = left.unwrap_or_else(|error| world.fail(&error));
    room_is_there(&world, &buffers).await;
    let explained = explain(&world, &format!("node/{left}")).await;
    assert_eq!(explained["verdict"], "it stays", "{explained}");
    let why = json!(format!("its room is kept for buffer {NAMESPACE}/spare"));
    assert!(explained["reasons"].as_array().unwrap().contains(&why), "{explained}");

    buffers.delete("spare", &DeleteParams::default()).await.unwrap();
    world.wait_until_empty().await;
    world.daemon.assert_lives().await;
}

async fn create(buffers: &Api<CapacityBuffer>) {
    let buffer = json!({
        "apiVersion": "autoscaling.x-k8s.io/v1beta1",
        "kind": "CapacityBuffer",
        "metadata": { "name": "spare" },
        "spec": { "scalableRef": { "kind": "Deployment", "name": "web" }, "replicas": PLACES },
    });
    let buffer = serde_json::from_value(buffer).unwrap();
    buffers.create(&PostParams::default(), &buffer).await.unwrap();
}

/// Waits until nodes have the room that the buffer asks for, and its status says so. Gives the
/// nodes.
async fn room_is_there(world: &World, buffers: &Api<CapacityBuffer>) -> BTreeSet<String> {
    let found = until("the room is there", LIMIT, || async {
        let nodes = managed(world).await?;
        let room = room(world, &nodes).await?;
        let buffer = buffers.get("spare").await.map_err(|error| error.to_string())?;
        let status = buffer.status.unwrap_or_default();
        let said: BTreeMap<_, _> = status
            .conditions
            .iter()
            .map(|one| (one.r#type.as_str(), (one.status.as_str(), one.reason.as_str())))
            .collect();
        let ready = said.get("ReadyForProvisioning") == Some(&("True", "Resolved"));
        let provided = said.get("Provisioning") == Some(&("True", "FitsExistingCapacity"));
        if room >= PLACES && status.replicas == i32::try_from(PLACES).ok() && ready && provided {
            return Ok(nodes);
        }
        Err(format!("room for {room} on {nodes:?}, replicas {:?}, {said:?}", status.replicas))
    })
    .await;
    found.unwrap_or_else(|error| world.fail(&error))
}

/// How many pods of `web` fit on these nodes beside what is there.
async fn room(world: &World, nodes: &BTreeSet<String>) -> Result<i64, String> {
    let all = world.nodes().await?;
    let pods: Api<Pod> = Api::all(world.plane.client());
    let pods = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    let free = nodes.iter().filter_map(|name| {
        let here =
            |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(name);
        let used: i64 = pods.items.iter().filter(here).map(cpu_of).sum();
        Some((allocatable(all.get(name)?)? - used) / CPU)
    });
    Ok(free.sum())
}

fn allocatable(node: &Node) -> Option<i64> {
    milli(&node.status.as_ref()?.allocatable.as_ref()?.get("cpu")?.0)
}

fn cpu_of(pod: &Pod) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requests = containers.filter_map(|one| one.resources.as_ref()?.requests.as_ref());
    requests.filter_map(|requests| milli(&requests.get("cpu")?.0)).sum()
}

fn milli(quantity: &str) -> Option<i64> {
    match quantity.strip_suffix('m') {
        Some(milli) => milli.parse().ok(),
        None => Some(quantity.parse::<i64>().ok()? * 1_000),
    }
}

/// The nodes that Berth launched.
async fn managed(world: &World) -> Result<BTreeSet<String>, String> {
    let nodes = world.nodes().await?.into_keys();
    Ok(nodes.filter(|name| name != UNMANAGED).collect())
}
