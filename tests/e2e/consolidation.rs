//! A cluster that was scaled down is moved together, and nobody notices: no PodDisruptionBudget is
//! ever below its minimum, a pod that says do-not-disrupt stays, a StatefulSet keeps its pods.

use std::sync::Arc;
use std::time::Duration;

use berth_controlplane::{ControlPlane, until};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde_json::json;

use crate::questions;
use crate::workload::{self, NAMESPACE};
use crate::world::{LIMIT, UNMANAGED, World, karpenter};

/// The pods that run after scaling down: web, api, the pinned one, and the StatefulSet's.
const LEFT: usize = 24 + 12 + 1 + 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_scaled_down_is_moved_together_and_nobody_notices() {
    let test = "a_cluster_that_was_scaled_down_is_moved_together_and_nobody_notices";
    let Some(mut world) = World::new(test).await else { return };
    // Half of the pool at a time, so that a few rounds are enough.
    let policy = json!({ "spec": { "disruption": {
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
        "consolidateAfter": "1s",
        "budgets": [{ "nodes": "50%" }],
    }}});
    let pools = karpenter(&world.plane, "NodePool");
    pools.patch("general", &PatchParams::default(), &Patch::Merge(policy)).await.unwrap();
    world.start_daemon().await;
    workload::create(&world.plane, &[("web", 120), ("api", 60)]).await;
    create_others(&world.plane).await;
    running(&world, 120 + 60 + 1 + 3).await;
    let before = price(&world).await;
    let pinned = pinned(&world).await;

    workload::scale(&world.plane, &[("web", 24), ("api", 12)]).await;
    running(&world, LEFT).await;
    // What the Deployment's own controller takes away is no disruption.
    wait_for_budget(&world, 24).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watching = tokio::spawn(watch(world.plane.client(), Arc::clone(&seen)));
    // 24 × 250m + 12 × 500m and a little more: less than a third of what it was for.
    let settled = until("the cluster is cheap and calm", LIMIT, || async {
        let price = price(&world).await;
        let claims = world.claims().await?;
        let going = claims.iter().filter(|one| one.metadata.deletion_timestamp.is_some()).count();
        let evicted = world.metric("karpenter_pods_eviction_requests_total", r#"code="201""#).await;
        if price <= before / 2.0 && going == 0 && evicted > 0.0 {
            return Ok(price);
        }
        Err(format!("{price} per hour of {before}, {going} nodes go, {evicted} evictions"))
    })
    .await;
    let after = settled.unwrap_or_else(|error| world.fail(&error));
    running(&world, LEFT).await;
    watching.abort();
    let wrong = seen.lock().clone();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(self::pinned(&world).await, pinned, "the pod that says do-not-disrupt stays");
    assert!(after < before, "{after} {before}");
    let nodes = world.nodes().await.unwrap();
    let tainted = nodes.values().filter(|node| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        taints.into_iter().flatten().any(|taint| taint.key == "karpenter.sh/disrupted")
    });
    let tainted = tainted.count();
    assert!(nodes.contains_key(UNMANAGED));
    println!("{before} -> {after} per hour, {tainted} nodes marked at the end");
    world.daemon.assert_lives().await;
    questions::assert_it_can_be_asked(&world).await;
    world.daemon.kill();
    questions::assert_decisions_are_derived_again(&world).await;
}

async fn price(world: &World) -> f64 {
    world.metric("berth_cluster_price_per_hour", "").await
}

async fn running(world: &World, count: usize) -> Vec<Pod> {
    workload::wait_until_running(&world.plane, count)
        .await
        .unwrap_or_else(|error| world.fail(&error))
}

/// Waits until the budget knows how many pods there are to be.
async fn wait_for_budget(world: &World, pods: i32) {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(world.plane.client(), NAMESPACE);
    let known = until("the budget knows its pods", LIMIT, || async {
        let budget = budgets.get("web").await.map_err(|error| error.to_string())?;
        let expected = budget.status.and_then(|status| status.expected_pods);
        if expected == Some(pods) { Ok(()) } else { Err(format!("{expected:?}")) }
    })
    .await;
    known.unwrap_or_else(|error| world.fail(&error));
}

/// The UID of the pod that says do-not-disrupt.
async fn pinned(world: &World) -> Option<String> {
    let pods = workload::pods(&world.plane).await.unwrap();
    let label = |pod: &&Pod| pod.metadata.labels.as_ref().is_some_and(|all| all["app"] == "pinned");
    pods.iter().find(label).and_then(|pod| pod.metadata.uid.clone())
}

/// A budget for web, a pod that says do-not-disrupt, and a StatefulSet.
async fn create_others(plane: &ControlPlane) {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(plane.client(), NAMESPACE);
    let budget = json!({
        "metadata": { "name": "web" },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    });
    let budget = serde_json::from_value(budget).unwrap();
    budgets.create(&PostParams::default(), &budget).await.unwrap();
    let sets: Api<StatefulSet> = Api::namespaced(plane.client(), NAMESPACE);
    for (name, replicas, annotations) in
        [("pinned", 1, json!({ "karpenter.sh/do-not-disrupt": "true" })), ("store", 3, json!({}))]
    {
        let set = json!({
            "metadata": { "name": name },
            "spec": {
                "serviceName": name,
                "replicas": replicas,
                "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name }, "annotations": annotations },
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{ "name": "main", "image": "none", "resources": {
                            "requests": { "cpu": "300m", "memory": "512Mi" },
                        }}],
                    },
                },
            },
        });
        let set = serde_json::from_value(set).unwrap();
        sets.create(&PostParams::default(), &set).await.unwrap();
    }
}

/// Notes every moment at which a budget has fewer healthy pods than it must.
async fn watch(client: kube::Client, wrong: Arc<Mutex<Vec<String>>>) {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client, NAMESPACE);
    loop {
        if let Ok(list) = budgets.list(&ListParams::default()).await {
            for budget in list.items {
                let Some(status) = budget.status else { continue };
                let behind = status.observed_generation < budget.metadata.generation;
                if !behind && status.current_healthy < status.desired_healthy {
                    let (has, must) = (status.current_healthy, status.desired_healthy);
                    wrong.lock().push(format!("{has:?} pods are healthy, {must:?} must be"));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
