//! A thousand pods, then 700, then 300: what the cluster costs once it has settled, and that nobody
//! noticed how it got there.

use std::path::Path;
use std::time::Instant;

use berth_controlplane::until;
use berth_solver::model::{Plan, Timestamp};
use berth_solver::packing::{self, Never};
use berth_solver::testing::{cluster, pod, pool, shape};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::observer::Observer;
use crate::questions;
use crate::workload::{self, NAMESPACE};
use crate::world::{LIMIT, UNMANAGED, World, karpenter};

/// Names, thousandths of a core and mebibytes; replicas at first, then, and at last. The StatefulSet
/// and the pod that says do-not-disrupt are there from beginning to end.
const SIZES: [(&str, i64, i64, [u32; 3]); 4] = [
    ("small", 100, 128, [396, 276, 116]),
    ("web", 250, 512, [300, 210, 90]),
    ("api", 500, 1_024, [200, 140, 60]),
    ("large", 1_000, 2_048, [100, 70, 30]),
];
/// The StatefulSet's pods and the pinned one, each 300m and 512 MiB.
const OTHERS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pods_become_300_within_budgets_and_nobody_notices() {
    let test = "a_thousand_pods_become_300_within_budgets_and_nobody_notices";
    let Some(mut world) = World::new(test).await else { return };
    let policy = json!({ "spec": { "disruption": {
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
        "consolidateAfter": "0s",
        "budgets": [{ "nodes": "10%" }],
    }}});
    let pools = karpenter(&world.plane, "NodePool");
    pools.patch("general", &PatchParams::default(), &Patch::Merge(policy)).await.unwrap();
    world.start_daemon().await;
    create(&world).await;
    settle(&world, 0, f64::INFINITY).await;
    let pinned = uid_of_pinned(&world).await;
    let mut evictions = 0.0;
    for step in [1, 2] {
        let began = Instant::now();
        let before = price(&world).await;
        let replicas: Vec<(&str, i32)> =
            SIZES.iter().map(|(name, _, _, counts)| (*name, to_i32(counts[step]))).collect();
        workload::scale(&world.plane, &replicas).await;
        wait_for_budget(&world, to_i32(SIZES[1].3[step])).await;
        // What the Deployments' own controllers take away is no disruption.
        let observer = Observer::start(world.plane.client()).await;
        let bound = bound(step).lower_bound.as_f64();
        settle(&world, step, bound * MOST_OVER_BOUND).await;
        let seen = observer.stop(&world).await;
        let after = price(&world).await;
        let all = world.metric("karpenter_pods_eviction_requests_total", r#"code="201""#).await;
        println!(
            "{} pods: {before:.4} -> {after:.4} per hour, bound {bound:.4} ({:.1} % over), {} \
             evictions, {} s; {seen}",
            total(step),
            100.0 * (after / bound - 1.0),
            all - evictions,
            began.elapsed().as_secs(),
        );
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        assert!(after < before && after >= bound - 1e-9, "{before} -> {after}, bound {bound}");
        assert!(all - evictions <= f64::from(total(step)), "pods are moved again and again");
        assert_eq!(uid_of_pinned(&world).await, pinned, "the pod that says do-not-disrupt stays");
        evictions = all;
    }
    assert!(world.nodes().await.unwrap().contains_key(UNMANAGED));
    world.daemon.assert_lives().await;
    questions::assert_it_can_be_asked(&world).await;
    world.daemon.kill();
    questions::assert_decisions_are_derived_again(&world).await;
}

/// A settled cluster costs no more than this times what any cluster for its pods costs. Pods that
/// run are moved only where that saves more than moving them is worth.
const MOST_OVER_BOUND: f64 = 1.2;

fn to_i32(count: u32) -> i32 {
    i32::try_from(count).unwrap()
}

fn total(step: usize) -> u32 {
    OTHERS + SIZES.iter().map(|(_, _, _, counts)| counts[step]).sum::<u32>()
}

/// The best plan for all pods of a step on an empty cluster, with its bound.
fn bound(step: usize) -> Plan {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/catalog.csv");
    let catalog = berth::catalog::read(&file).unwrap();
    let others = [("others", 300, 512, [OTHERS; 3])];
    let pods = SIZES.into_iter().chain(others).flat_map(|(name, cpu, memory, counts)| {
        let shape = shape(cpu, memory).label("app", name).build();
        (0..counts[step]).map(move |index| pod(&format!("{name}-{index}"), &shape))
    });
    let snapshot = cluster().pool(pool("general"), catalog).pods(pods).snapshot();
    let settings = packing::Settings::default();
    packing::plan(&snapshot, &settings, Timestamp::from_seconds(1), 1, &Never)
}

async fn price(world: &World) -> f64 {
    world.metric("berth_cluster_price_per_hour", "").await
}

/// Waits until all pods run on nodes that cost no more than `most`, no node is leaving, and a look
/// since the last change has found nothing to disrupt. Nodes are left alone while they are young:
/// one such look alone says nothing.
async fn settle(world: &World, step: usize, most: f64) {
    let wanted = usize::try_from(total(step)).unwrap();
    let last: parking_lot::Mutex<Option<(String, f64)>> = parking_lot::Mutex::default();
    let settled =
        until(&format!("{wanted} pods run and nothing is left to do"), 2 * LIMIT, || async {
            let pods = workload::pods(&world.plane).await?;
            let running = pods.iter().filter(|pod| workload::runs(pod)).count();
            let claims = world.claims().await?;
            let names: Vec<_> = claims.iter().filter_map(|one| one.metadata.name.clone()).collect();
            let going =
                claims.iter().filter(|one| one.metadata.deletion_timestamp.is_some()).count();
            let looks = world
                .metric("karpenter_scheduler_scheduling_duration_seconds_count", "disruption")
                .await;
            let chosen = world.metric("karpenter_voluntary_disruption_eligible_nodes", "").await;
            let price = price(world).await;
            let state = format!(
                "{running} of {} run, {going} of {names:?} go, {price} an hour",
                pods.len()
            );
            let mut last = last.lock();
            let since = match &*last {
                Some((before, since)) if *before == state => *since,
                _ => looks,
            };
            *last = Some((state.clone(), since));
            let calm = pods.len() == wanted && running == wanted && going == 0 && chosen == 0.0;
            let calm = calm && price <= most;
            if calm && looks > since { Ok(()) } else { Err(format!("{state}, {chosen} chosen")) }
        })
        .await;
    settled.unwrap_or_else(|error| world.fail(&error));
}

async fn create(world: &World) {
    let plane = &world.plane;
    plane.create_namespace(NAMESPACE).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    for (name, cpu, memory, counts) in SIZES {
        let object = controller(name, counts[0], cpu, memory, &json!({}));
        let object = serde_json::from_value(object).unwrap();
        deployments.create(&PostParams::default(), &object).await.unwrap();
    }
    let sets: Api<StatefulSet> = Api::namespaced(plane.client(), NAMESPACE);
    let never = json!({ "karpenter.sh/do-not-disrupt": "true" });
    for (name, count, annotations) in [("store", OTHERS - 1, json!({})), ("pinned", 1, never)] {
        let mut object = controller(name, count, 300, 512, &annotations);
        object["spec"]["serviceName"] = json!(name);
        let object = serde_json::from_value(object).unwrap();
        sets.create(&PostParams::default(), &object).await.unwrap();
    }
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(plane.client(), NAMESPACE);
    let budget = json!({
        "metadata": { "name": "web" },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    });
    let budget = serde_json::from_value(budget).unwrap();
    budgets.create(&PostParams::default(), &budget).await.unwrap();
}

fn controller(name: &str, count: u32, cpu: i64, memory: i64, annotations: &Value) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": count,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name }, "annotations": annotations },
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{ "name": "main", "image": "none", "resources": {
                        "requests": { "cpu": format!("{cpu}m"), "memory": format!("{memory}Mi") },
                    }}],
                },
            },
        },
    })
}

/// Waits until the budget knows how many pods there are to be, and all are healthy.
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
async fn uid_of_pinned(world: &World) -> Option<String> {
    let pods = workload::pods(&world.plane).await.unwrap();
    pods.into_iter()
        .find(|pod| pod.metadata.name.as_deref() == Some("pinned-0"))
        .and_then(|pod| pod.metadata.uid)
}
