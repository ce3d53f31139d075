//! Kubernetes objects that make no sense: a clear message, and the rest goes on.

use berth_controlplane::until;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

use crate::world::{LIMIT, PLANNED_PODS, World, create, karpenter, node_pool};

fn pod(name: &str, requests: &Value, extra: &Value) -> Pod {
    let mut spec = extra.clone();
    spec["containers"] =
        json!([{ "name": "main", "image": "none", "resources": { "requests": requests } }]);
    let labels = json!({ "app": name });
    let metadata = json!({ "name": name, "labels": labels });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

/// The messages of the events that the daemon wrote about an object.
async fn events(world: &World, kind: &str, name: &str) -> Result<Vec<String>, String> {
    let events: Api<Event> = Api::all(world.plane.client());
    let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
    let list = events.list(&ListParams::default().fields(&fields)).await;
    let list = list.map_err(|error| error.to_string())?;
    let ours = list.items.into_iter().filter(|event| {
        let by = event.reporting_component.as_deref().unwrap_or_default();
        let source = event.source.as_ref().and_then(|source| source.component.as_deref());
        by.contains("berth") || source.is_some_and(|source| source.contains("berth"))
    });
    Ok(ours.filter_map(|event| event.message).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senseless_pods_are_named_and_the_others_get_their_nodes() {
    let test = "senseless_pods_are_named_and_the_others_get_their_nodes";
    let Some(mut world) = World::new(test).await else { return };
    world.start_daemon().await;
    let pods: Api<Pod> = Api::default_namespaced(world.plane.client());
    let params = PostParams::default();

    // The API server itself turns this one away.
    let negative = pod("negative", &json!({ "cpu": "-1" }), &json!({}));
    let refused = pods.create(&params, &negative).await.unwrap_err().to_string();
    assert!(refused.contains("must be greater than or equal to 0"), "{refused}");

    // These it lets in. A selector that is not there selects nothing.
    let spread = json!({ "topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
    }]});
    let term = json!([{ "topologyKey": "kubernetes.io/hostname" }]);
    let anti = json!({ "affinity": { "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": term,
    }}});
    let small = json!({ "cpu": "100m" });
    let wanted = [
        pod("gigantic", &json!({ "cpu": "1e30", "memory": "1e30" }), &json!({})),
        pod("fraction", &json!({ "cpu": "1e-30", "memory": "1n" }), &json!({})),
        pod("spread-over-nothing", &small, &spread),
        pod("apart-from-nothing", &small, &anti),
        pod("plain", &small, &json!({})),
    ];
    for one in &wanted {
        pods.create(&params, one).await.unwrap();
    }

    let sound = ["fraction", "spread-over-nothing", "apart-from-nothing", "plain"];
    let run = until("the sound pods run", LIMIT, || async {
        for name in sound {
            let pod = pods.get(name).await.map_err(|error| error.to_string())?;
            if !crate::workload::runs(&pod) {
                return Err(format!("{name}: {:?}", pod.status));
            }
        }
        Ok(())
    })
    .await;
    run.unwrap_or_else(|error| world.fail(&error));

    let told = until("an event about the gigantic pod", LIMIT, || async {
        let messages = events(&world, "Pod", "gigantic").await?;
        if messages.is_empty() { Err("none".to_owned()) } else { Ok(messages) }
    })
    .await
    .unwrap_or_else(|error| world.fail(&error));
    assert!(told.iter().any(|message| message.contains("cpu")), "{told:?}");
    // What kube-scheduler makes of such an amount is its own affair: nothing was launched for it.
    for claim in world.claims().await.unwrap() {
        let planned = claim.metadata.annotations.unwrap_or_default();
        let gigantic = pods.get("gigantic").await.unwrap().metadata.uid.unwrap();
        assert!(!planned[PLANNED_PODS].contains(&gigantic), "{planned:?}");
    }
    world.daemon.assert_lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senseless_pools_are_named_and_the_others_serve() {
    let test = "senseless_pools_are_named_and_the_others_serve";
    let Some(mut world) = World::new(test).await else { return };
    world.start_daemon().await;

    // The schema turns these away, with the field's name.
    let mut operator = node_pool("operator", &json!([]));
    operator["spec"]["template"]["spec"]["requirements"][0]["operator"] = json!("Near");
    let refused = create(&world.plane, operator).await.unwrap_err().to_string();
    assert!(refused.contains("operator") && refused.contains("Near"), "{refused}");
    let mut schedule = node_pool("schedule", &json!([]));
    schedule["spec"]["disruption"]["budgets"] =
        json!([{ "nodes": "0", "schedule": "whenever", "duration": "1h" }]);
    let refused = create(&world.plane, schedule).await.unwrap_err().to_string();
    assert!(refused.contains("schedule") && refused.contains("whenever"), "{refused}");

    // This one it takes for a schedule.
    let mut schedule = node_pool("schedule", &json!([]));
    schedule["spec"]["weight"] = json!(100);
    schedule["spec"]["disruption"]["budgets"] =
        json!([{ "nodes": "0", "schedule": "61 25 * * *", "duration": "1h" }]);
    create(&world.plane, schedule).await.unwrap();
    let told = until("the pool's condition says what is wrong", LIMIT, || async {
        let pool = karpenter(&world.plane, "NodePool").get("schedule").await;
        let pool = pool.map_err(|error| error.to_string())?;
        let conditions = pool.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let said = conditions.iter().find(|one| one["type"] == "ValidationSucceeded");
        match said {
            Some(said) if said["status"] == "False" => Ok(said["message"].to_string()),
            _ => Err(format!("{conditions:?}")),
        }
    })
    .await
    .unwrap_or_else(|error| world.fail(&error));
    assert!(told.contains("61 25 * * *"), "{told}");

    // The other pools serve.
    let pods: Api<Pod> = Api::default_namespaced(world.plane.client());
    let plain = pod("plain", &json!({ "cpu": "100m" }), &json!({}));
    pods.create(&PostParams::default(), &plain).await.unwrap();
    let run = until("the pod runs", LIMIT, || async {
        let pod = pods.get("plain").await.map_err(|error| error.to_string())?;
        if crate::workload::runs(&pod) { Ok(()) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
    run.unwrap_or_else(|error| world.fail(&error));
    world.daemon.assert_lives().await;
}
