//! Nodes appear for pending pods, every pod lands where the plan said, and nodes go away again.

use std::collections::{BTreeMap, BTreeSet};

use berth_controlplane::{free_port, until};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::workload::{self, DEPLOYMENTS, FEW, SOME, total};
use crate::world::{LIMIT, PLANNED_PODS, UNMANAGED, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_gets_its_nodes_lands_as_planned_and_leaves_none() {
    let test = "a_workload_gets_its_nodes_lands_as_planned_and_leaves_none";
    let Some(mut world) = World::new(test).await else { return };
    // However slowly the pods are made, they are planned for at once: one that came later could have
    // room on a node that was launched for others.
    world.start_daemon_with(&["--batch-idle=5s", "--batch-longest=2m"]).await;
    let unmanaged = wait_for_calm_node(&world).await;

    workload::create(&world.plane, &DEPLOYMENTS).await;
    let pods = running(&world, total(&DEPLOYMENTS)).await;
    assert_constraints_hold(&world, &pods).await;
    let planned = assert_planned_pods_landed(&world, &pods).await;
    assert_eq!(planned, pods.len(), "every pod was planned for, and landed where the plan said");
    assert_nothing_doubled_or_lost(&world).await;

    // Each pod's placement asked the filter at least once. A planned pod leaves kube-scheduler
    // nothing to score: prioritize is asked about one that fits into room that is left.
    let filters = world.metric("berth_extender_requests_total", r#"verb="filter""#).await;
    assert!(filters >= pods.len() as f64, "{filters} calls of filter for {} pods", pods.len());
    workload::create_tiny_pod(&world.plane).await;
    let asked = until("prioritize is asked", LIMIT, || async {
        let verb = r#"verb="prioritize""#;
        let asked = world.metric("berth_extender_requests_total", verb).await;
        if asked >= 1.0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    asked.unwrap_or_else(|error| world.fail(&error));
    workload::delete_tiny_pod(&world.plane).await;

    workload::scale(&world.plane, &FEW).await;
    running(&world, total(&FEW)).await;
    let nodes_for_few = wait_until_no_node_is_empty(&world).await;
    assert!(nodes_for_few <= total(&FEW), "{nodes_for_few} nodes for {} pods", total(&FEW));

    workload::scale(&world.plane, &FEW.map(|(name, _)| (name, 0))).await;
    world.wait_until_empty().await;
    assert_untouched(&unmanaged, &world.nodes().await.unwrap()[UNMANAGED]);
    world.daemon.assert_lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_halfway_and_restarted_doubles_and_loses_nothing() {
    let test = "a_daemon_killed_halfway_and_restarted_doubles_and_loses_nothing";
    let Some(mut world) = World::new(test).await else { return };
    world.start_daemon().await;
    let unmanaged = wait_for_calm_node(&world).await;

    // The first death: claims are written, not every machine has been created.
    workload::create(&world.plane, &DEPLOYMENTS).await;
    let claims = until("the first claim", LIMIT, || async {
        match world.claims().await?.len() {
            0 => Err("no claim yet".to_owned()),
            count => Ok(count),
        }
    })
    .await;
    claims.unwrap_or_else(|error| world.fail(&error));
    world.daemon.kill();
    world.start_daemon().await;

    // The second: some pods run.
    let some = until("a few pods run", LIMIT, || async {
        let pods = workload::pods(&world.plane).await?;
        let running = pods.iter().filter(|pod| workload::runs(pod)).count();
        if running > 0 { Ok(running) } else { Err("none runs".to_owned()) }
    })
    .await;
    some.unwrap_or_else(|error| world.fail(&error));
    world.daemon.kill();
    world.start_daemon().await;

    let pods = running(&world, total(&DEPLOYMENTS)).await;
    assert_constraints_hold(&world, &pods).await;
    assert_nothing_doubled_or_lost(&world).await;

    // The third: while nodes are being removed.
    workload::scale(&world.plane, &DEPLOYMENTS.map(|(name, _)| (name, 0))).await;
    let before = world.claims().await.unwrap().len();
    let fewer = until("the first claim goes", LIMIT, || async {
        let claims = world.claims().await?;
        let going = claims.iter().any(|claim| claim.metadata.deletion_timestamp.is_some());
        if going || claims.len() < before { Ok(()) } else { Err("none goes".to_owned()) }
    })
    .await;
    fewer.unwrap_or_else(|error| world.fail(&error));
    world.daemon.kill();
    world.start_daemon().await;
    world.wait_until_empty().await;
    assert_untouched(&unmanaged, &world.nodes().await.unwrap()[UNMANAGED]);
    world.daemon.assert_lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduling_goes_on_when_the_extender_is_gone() {
    let test = "scheduling_goes_on_when_the_extender_is_gone";
    // kube-scheduler asks the extender through a door that the test can shut.
    let door = free_port().unwrap();
    let Some(mut world) = World::with_extender(test, |_| door).await else { return };
    world.start_daemon().await;
    let opened = tokio::spawn(open_door(door, world.daemon.ports.extender));

    workload::create(&world.plane, &DEPLOYMENTS).await;
    let some = until("the extender is asked", LIMIT, || async {
        let asked = world.metric("berth_extender_requests_total", r#"verb="filter""#).await;
        if asked >= 1.0 { Ok(asked) } else { Err("not yet".to_owned()) }
    })
    .await;
    some.unwrap_or_else(|error| world.fail(&error));
    opened.abort();
    let _ = opened.await;
    running(&world, total(&DEPLOYMENTS)).await;

    // Nor do they need the daemon, as long as there is room.
    world.daemon.kill();
    workload::scale(&world.plane, &FEW).await;
    running(&world, total(&FEW)).await;
    workload::scale(&world.plane, &SOME).await;
    running(&world, total(&SOME)).await;
}

/// Passes bytes on between two ports, for as long as the task lives.
async fn open_door(from: u16, to: u16) {
    let listener = TcpListener::bind(("127.0.0.1", from)).await.unwrap();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (mut outside, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            if let Ok(mut inside) = TcpStream::connect(("127.0.0.1", to)).await {
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}

async fn running(world: &World, count: usize) -> Vec<Pod> {
    workload::wait_until_running(&world.plane, count)
        .await
        .unwrap_or_else(|error| world.fail(&error))
}

/// The unmanaged node, once its own controllers have said all they have to say.
async fn wait_for_calm_node(world: &World) -> Node {
    let calm = until("the unmanaged node is ready", LIMIT, || async {
        let mut nodes = world.nodes().await?;
        let node = nodes.remove(UNMANAGED).ok_or("not there")?;
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).map_or(0, Vec::len);
        let annotations = node.metadata.annotations.as_ref().map_or(0, BTreeMap::len);
        if taints == 1 && annotations >= 2 { Ok(node) } else { Err(format!("{:?}", node.spec)) }
    })
    .await;
    calm.unwrap_or_else(|error| world.fail(&error))
}

/// Nothing but heartbeats changed, and nobody but the cluster's own wrote to it.
fn assert_untouched(before: &Node, after: &Node) {
    let essence = |node: &Node| -> Value {
        let mut node = serde_json::to_value(node).unwrap();
        let metadata = node["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        node["status"].as_object_mut().unwrap().remove("conditions");
        node
    };
    assert_eq!(essence(before), essence(after));
    let entries = after.metadata.managed_fields.iter().flatten();
    let writers: BTreeSet<_> = entries.filter_map(|entry| entry.manager.as_deref()).collect();
    let strangers: Vec<_> = writers.iter().filter(|writer| writer.contains("berth")).collect();
    assert!(strangers.is_empty(), "{strangers:?} wrote to the unmanaged node");
}

/// Each pod that a claim was launched for is on that claim's node, or where it must be spread one
/// like it; gives how many there are.
async fn assert_planned_pods_landed(world: &World, pods: &[Pod]) -> usize {
    let by_uid: BTreeMap<_, _> =
        pods.iter().map(|pod| (pod.metadata.uid.as_deref().unwrap(), pod)).collect();
    let mut landed = BTreeSet::new();
    let mut elsewhere = Vec::new();
    // By node and Deployment: how many were planned there, less those that are there.
    let mut spread: BTreeMap<(Option<String>, String), i32> = BTreeMap::new();
    for claim in world.claims().await.unwrap() {
        let annotations = claim.metadata.annotations.clone().unwrap_or_default();
        let node = claim.data["status"]["nodeName"].as_str().map(str::to_owned);
        let planned = annotations.get(PLANNED_PODS).cloned().unwrap_or_default();
        for uid in planned.split(',').filter(|uid| !uid.is_empty()) {
            let Some(pod) = by_uid.get(uid) else { continue };
            let bound = pod.spec.as_ref().unwrap().node_name.clone();
            if is_spread(pod) {
                let app = pod.metadata.labels.as_ref().unwrap()["app"].clone();
                *spread.entry((node.clone(), app.clone())).or_default() += 1;
                *spread.entry((bound, app)).or_default() -= 1;
                landed.insert(uid.to_owned());
            } else if bound == node {
                landed.insert(uid.to_owned());
            } else {
                let name = pod.metadata.name.as_deref().unwrap();
                elsewhere.push(format!("{name} is on {bound:?}, planned for {node:?}"));
            }
        }
    }
    for ((node, app), missing) in spread.into_iter().filter(|(_, missing)| *missing > 0) {
        elsewhere.push(format!("{missing} pods of {app} are not on {node:?}"));
    }
    if !elsewhere.is_empty() {
        let answers = world.metrics("berth_extender").await;
        world.fail(&format!("{}: {elsewhere:#?}\n{answers}", elsewhere.len()));
    }
    landed.len()
}

fn is_spread(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref().unwrap();
    let mut constraints = spec.topology_spread_constraints.iter().flatten();
    constraints.any(|constraint| constraint.when_unsatisfiable == "DoNotSchedule")
}

/// One machine, one claim, one node, and they name each other.
async fn assert_nothing_doubled_or_lost(world: &World) {
    let settled = until("machines, claims and nodes agree", LIMIT, || async {
        let mut nodes: Vec<_> = world.nodes().await?.into_keys().collect();
        nodes.retain(|name| name != UNMANAGED);
        let claims = world.claims().await?;
        let mut named: Vec<_> = claims
            .iter()
            .filter_map(|claim| claim.data["status"]["nodeName"].as_str().map(str::to_owned))
            .collect();
        named.sort();
        let instances = world.instances().await?.len();
        if nodes == named && claims.len() == nodes.len() && instances == nodes.len() {
            return Ok(());
        }
        Err(format!("nodes {nodes:?}, claims' nodes {named:?}, {instances} machines"))
    })
    .await;
    settled.unwrap_or_else(|error| world.fail(&error));
}

/// Waits until every managed node has a pod of a Deployment; gives how many nodes there are.
async fn wait_until_no_node_is_empty(world: &World) -> usize {
    let settled = until("no node is empty", LIMIT, || async {
        let pods = workload::pods(&world.plane).await?;
        let used: BTreeSet<_> =
            pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
        let mut nodes: BTreeSet<_> = world.nodes().await?.into_keys().collect();
        nodes.remove(UNMANAGED);
        if nodes == used { Ok(nodes.len()) } else { Err(format!("{nodes:?}, used {used:?}")) }
    })
    .await;
    settled.unwrap_or_else(|error| world.fail(&error))
}

/// What the pods ask for is so: kube-scheduler's word, read off the API.
async fn assert_constraints_hold(world: &World, pods: &[Pod]) {
    let nodes = world.nodes().await.unwrap();
    let label = |pod: &Pod, key: &str| -> String {
        let node = &nodes[pod.spec.as_ref().unwrap().node_name.as_deref().unwrap()];
        let labels = node.metadata.labels.as_ref().unwrap();
        labels.get(key).cloned().unwrap_or_else(|| panic!("a node lacks the label {key}"))
    };
    let of = |name: &str| -> Vec<&Pod> {
        let is = |pod: &&Pod| pod.metadata.labels.as_ref().unwrap()["app"] == name;
        pods.iter().filter(is).collect()
    };
    let count = |pods: Vec<&Pod>, key: &str| -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for pod in pods {
            *counts.entry(label(pod, key)).or_default() += 1;
        }
        counts
    };
    assert!(
        pods.iter().all(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() != Some(UNMANAGED))
    );
    let hosts = count(of("db"), "kubernetes.io/hostname");
    assert!(hosts.values().all(|count| *count == 1), "{hosts:?}");
    let pools = count(of("batch"), "karpenter.sh/nodepool");
    assert_eq!(json!(pools), json!({ "batch": 40 }));
    let zones = count(of("cache"), "topology.kubernetes.io/zone");
    assert_eq!(json!(zones), json!({ "zone-b": 20 }));
    let capacity = count(of("jobs"), "karpenter.sh/capacity-type");
    assert_eq!(json!(capacity), json!({ "on-demand": 24 }));
    let spread = count(of("api"), "topology.kubernetes.io/zone");
    let (least, most) = (spread.values().min().unwrap(), spread.values().max().unwrap());
    assert!(spread.len() == 3 && most - least <= 1, "{spread:?}");
}
