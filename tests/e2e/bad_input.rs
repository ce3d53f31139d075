//! Webhook bodies that no kube-scheduler would send: a clear answer, and the process lives.

use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::world::{UNMANAGED, World};

fn question(names: &[&str]) -> Vec<u8> {
    let pod = json!({
        "metadata": { "name": "asked", "namespace": "default", "uid": "asked-uid" },
        "spec": { "containers": [{ "name": "main", "image": "none" }] },
    });
    json!({ "Pod": pod, "Nodes": null, "NodeNames": names }).to_string().into_bytes()
}

/// 4xx with a message, or 200 with `Error`: both tell kube-scheduler's operator what is wrong.
fn assert_refused(what: &str, answer: &Answer) {
    let error = serde_json::from_str::<Value>(&answer.body)
        .ok()
        .and_then(|body| body["Error"].as_str().map(str::to_owned))
        .unwrap_or_default();
    let refused = match answer.status {
        400..=499 => !answer.body.trim().is_empty(),
        200 => !error.is_empty(),
        _ => false,
    };
    assert!(refused, "{what}: {} {:?}", answer.status, answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_webhook_bodies_are_refused_and_the_rest_goes_on() {
    let test = "malformed_webhook_bodies_are_refused_and_the_rest_goes_on";
    let Some(mut world) = World::new(test).await else { return };
    world.start_daemon().await;
    let port = world.daemon.ports.extender;
    let good = question(&[UNMANAGED]);

    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let deep_pod = format!(
        r#"{{"Pod":{{"metadata":{{"name":"a"}},"spec":{}1{}}},"NodeNames":["x"]}}"#,
        r#"{"a":"#.repeat(100_000),
        "}".repeat(100_000)
    );
    let huge = [&good[..good.len() - 1], &b" ".repeat(10 << 20), b"}"].concat();
    let bodies: [(&str, Vec<u8>); 8] = [
        ("truncated", good[..good.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("not JSON", b"\xff\xfe\x00".to_vec()),
        ("another type", b"[1, 2, 3]".to_vec()),
        ("no pod", br#"{"NodeNames":["x"]}"#.to_vec()),
        ("names that are numbers", br#"{"Pod":{"metadata":{}},"NodeNames":[1]}"#.to_vec()),
        ("depth 100,000", deep),
        ("10 MB", huge),
    ];
    for verb in ["/filter", "/prioritize"] {
        for (what, body) in &bodies {
            let answer = http::post(port, verb, body).await.unwrap_or_else(|error| {
                world.fail(&format!("{verb} {what}: {error}"));
            });
            assert_refused(&format!("{verb} {what}"), &answer);
            let answer = http::post(port, verb, &good).await.unwrap();
            assert_eq!(answer.status, 200, "after {verb} {what}: {}", answer.body);
            world.daemon.assert_lives().await;
        }
        // Fields that the extender does not read are skipped, whatever is in them.
        let answer = http::post(port, verb, deep_pod.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{verb} a pod of depth 100,000: {}", answer.body);
        // A body that ends before its announced length: refused, or the connection just ends.
        if let Ok(answer) = http::post_claiming(port, verb, &good, good.len() + 100).await {
            assert_refused(&format!("{verb} cut short"), &answer);
        }
    }
    let answer = http::get(port, "/filter").await.unwrap();
    assert_eq!(answer.status, 405, "{}", answer.body);
    let answer = http::post(port, "/nonsense", &good).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.body);
    world.daemon.assert_lives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_doubled_node_names_pass_once() {
    let test = "unknown_and_doubled_node_names_pass_once";
    let Some(mut world) = World::new(test).await else { return };
    world.start_daemon().await;
    let port = world.daemon.ports.extender;

    let body = question(&["never-heard-of", UNMANAGED, UNMANAGED, "", "never-heard-of"]);
    let answer = http::post(port, "/filter", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let result: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(result["Error"], "", "{result}");
    let names: Vec<_> =
        result["NodeNames"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(names.len(), once.len(), "kube-scheduler does not remove doubles: {names:?}");
    assert!(names.contains(&UNMANAGED) && names.contains(&"never-heard-of"), "{names:?}");

    let answer = http::post(port, "/prioritize", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let scores: Value = serde_json::from_str(&answer.body).unwrap();
    for entry in scores.as_array().unwrap() {
        let score = entry["Score"].as_i64().unwrap();
        assert!((0..=10).contains(&score), "{entry}");
    }
    world.daemon.assert_lives().await;
}
