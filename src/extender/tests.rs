use berth_solver::model::{Name, Snapshot, Target, Timestamp, well_known};
use berth_solver::testing::{claim, cluster, instance_type, node, offering, pool, taint};
use hyper::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::*;
use crate::cache::{self, Kind};

mod hazards;
mod protocol;

const ELSEWHERE: &str = "the plan has another node for this pod";
const WAITING: &str = "waiting for the node that the plan launches for this pod";

/// Nodes `a`, `b` and `leaving`, and the claim `default-x` on its way.
fn picture() -> Snapshot {
    let capacity = berth_solver::model::CapacityType::OnDemand;
    let kind = instance_type("small", 4_000, 8_192, vec![offering("zone-1", capacity, 0.1)]);
    let mut leaving = node("leaving", 4_000, 8_192);
    leaving.taints = Box::from([taint(well_known::DISRUPTED_TAINT, "")]);
    cluster()
        .node(node("a", 4_000, 8_192))
        .node(node("b", 4_000, 8_192))
        .node(leaving)
        .claim(claim("default-x", &pool("default"), &kind))
        .snapshot()
}

/// `to-b` is planned for node `b`, `to-x` for the claim `default-x`.
fn plan() -> StandingPlan {
    let targets = [
        (Name::from("to-b"), Target::Node(Name::from("b"))),
        (Name::from("to-x"), Target::Claim(Name::from("default-x"))),
    ];
    StandingPlan {
        confirmed_at: Timestamp::from_seconds(100),
        expires_at: Timestamp::from_seconds(200),
        targets: targets.into(),
        ..StandingPlan::default()
    }
}

fn extender_at(cache: Cache, seconds: i64) -> Extender {
    let clock = Clock::running(Timestamp::from_seconds(seconds), 1.0);
    clock.set_running(false);
    Extender::new(ExtenderState {
        cache,
        plan: Arc::new(ArcSwap::from_pointee(plan())),
        settings: Settings::default(),
        clock,
        metrics: Arc::new(Metrics::new()),
        binder: None,
    })
}

fn extender() -> Extender {
    extender_at(Cache::of(picture()), 101)
}

fn pod(uid: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": uid, "ownerReferences": null},
        "spec": {"containers": [{"name": "main"}], "priority": 0, "nodeName": ""},
        "status": {},
    })
}

fn ask(uid: &str, names: Value) -> Value {
    json!({"Pod": pod(uid), "Nodes": null, "NodeNames": names})
}

/// The answer, if it comes at once.
fn now(reply: Reply) -> Response<Bytes> {
    match reply {
        Reply::Now(response) => response,
        Reply::Later(_) => panic!("an answer that takes its time"),
    }
}

fn post(extender: &Extender, path: &str, body: impl Into<Bytes>) -> (u16, String) {
    let request = Request::post(path).body(body.into()).unwrap();
    let response = now(extender.handle(request));
    (response.status().as_u16(), String::from_utf8(response.into_body().into()).unwrap())
}

fn answer_of(extender: &Extender, path: &str, body: &Value) -> Value {
    let (status, text) = post(extender, path, body.to_string());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn filter(body: &Value) -> Value {
    answer_of(&extender(), "/filter", body)
}

fn filtered(passed: &[&str], refused: Value) -> Value {
    json!({
        "Nodes": null,
        "NodeNames": passed,
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": refused,
        "Error": "",
    })
}

#[test]
fn filter_answers_with_go_field_names_and_every_refused_node_is_named() {
    assert_eq!(
        filter(&ask("to-b", json!(["a", "b", "leaving"]))),
        filtered(&["b"], json!({"a": ELSEWHERE, "leaving": ELSEWHERE}))
    );
    assert_eq!(
        filter(&ask("to-x", json!(["a", "b"]))),
        filtered(&[], json!({"a": WAITING, "b": WAITING}))
    );
    assert_eq!(
        filter(&ask("nobody", json!(["a", "leaving", "b"]))),
        filtered(&["a", "b"], json!({"leaving": "the node is about to be removed"}))
    );
}

#[test]
fn filter_sends_no_name_back_twice_and_passes_names_that_it_does_not_know() {
    assert_eq!(
        filter(&ask("nobody", json!(["b", "new", "b", "a", "new"]))),
        filtered(&["b", "new", "a"], json!({}))
    );
    assert_eq!(
        filter(&ask("to-b", json!(["b", "a", "b", "a"]))),
        filtered(&["b"], json!({"a": ELSEWHERE}))
    );
}

#[test]
fn filter_takes_hand_written_spellings_and_ignores_fields_that_it_does_not_know() {
    for names in ["NodeNames", "nodeNames", "nodenames"] {
        for (pod_field, nodes) in [("Pod", "Nodes"), ("pod", "nodes")] {
            let body = json!({
                names: ["a", "b"], nodes: null, "Future": {"deep": [1, {}]}, pod_field: pod("to-b"),
            });
            assert_eq!(filter(&body), filtered(&["b"], json!({"a": ELSEWHERE})), "{body}");
        }
    }
}

#[test]
fn filter_reads_names_with_escapes() {
    let body = r#"{"Pod":{"metadata":{"uid":"\u0074o-b"}},"NodeNames":["\u0061","b"]}"#;
    let (status, text) = post(&extender(), "/filter", body);
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer, filtered(&["b"], json!({"a": ELSEWHERE})));
}

#[test]
fn filter_of_a_request_with_whole_nodes_gives_them_all_back() {
    let nodes = json!({
        "metadata": {}, "items": [
            {"metadata": {"name": "template-1"}, "status": {"images": [{"sizeBytes": 9_007_199_254_740_993_i64}]}},
            {"metadata": {"name": "leaving"}},
        ],
    });
    let body = json!({"Pod": pod("to-b"), "Nodes": nodes, "NodeNames": null});
    let expected = json!({
        "Nodes": nodes, "NodeNames": null,
        "FailedNodes": {}, "FailedAndUnresolvableNodes": {}, "Error": "",
    });
    assert_eq!(filter(&body), expected);
    assert_eq!(
        answer_of(&extender(), "/prioritize", &body),
        json!([{"Host": "template-1", "Score": 0}, {"Host": "leaving", "Score": 0}])
    );
}

#[test]
fn domain_errors_are_200_with_error_because_other_bodies_are_thrown_away() {
    for (body, word) in [
        (json!({"Pod": pod("to-b"), "Nodes": null, "NodeNames": null}), "NodeNames is missing"),
        (json!({"Pod": pod("to-b")}), "NodeNames is missing"),
        (json!({"Pod": null, "NodeNames": ["a"]}), "Pod is missing"),
        (json!({}), "Pod is missing"),
    ] {
        let answer = filter(&body);
        assert!(answer["Error"].as_str().unwrap().starts_with(word), "{answer}");
        assert_eq!(answer["NodeNames"], Value::Null);
        // A bare list has no field for an error.
        let (status, text) = post(&extender(), "/prioritize", body.to_string());
        assert!(status == 400 && text.starts_with(word), "{status} {text}");
    }
    assert_eq!(filter(&ask("to-b", json!([]))), filtered(&[], json!({})));
}

#[test]
fn prioritize_answers_a_bare_list_with_each_host_once() {
    assert_eq!(
        answer_of(&extender(), "/prioritize", &ask("to-b", json!(["a", "b", "leaving", "a"]))),
        json!([
            {"Host": "a", "Score": 9},
            {"Host": "b", "Score": 10},
            {"Host": "leaving", "Score": 0},
        ])
    );
    assert_eq!(answer_of(&extender(), "/prioritize", &ask("to-b", json!([]))), json!([]));
}

#[test]
fn daemons_critical_pods_and_resizes_pass_everywhere() {
    let mut daemon = pod("to-x");
    daemon["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true}]);
    let mut critical = pod("to-x");
    critical["spec"]["priority"] = json!(2_000_000_000);
    let mut by_class = pod("to-x");
    by_class["spec"]["priorityClassName"] = json!("system-node-critical");
    let mut resized = pod("to-x");
    resized["spec"]["nodeName"] = json!("b");
    for pod in [daemon, critical, by_class, resized] {
        let body = json!({"Pod": pod, "NodeNames": ["a", "leaving"]});
        assert_eq!(filter(&body), filtered(&["a", "leaving"], json!({})), "{body}");
    }
    let mut replica = pod("to-x");
    replica["metadata"]["ownerReferences"] =
        json!([{"kind": "ReplicaSet", "controller": true}, {"kind": "DaemonSet"}]);
    replica["spec"]["priority"] = json!(1_999_999_999);
    let body = json!({"Pod": replica, "NodeNames": ["a"]});
    assert_eq!(filter(&body), filtered(&[], json!({"a": WAITING})));
}

#[test]
fn everything_passes_while_the_cache_is_unsynced_and_when_the_plan_is_stale() {
    let body = ask("to-x", json!(["a", "leaving"]));
    let (_writer, _sender, unsynced) = cache::channel(cache::Settings::default(), [Kind::Pod]);
    for extender in [extender_at(unsynced, 101), extender_at(Cache::of(picture()), 200)] {
        let answer = answer_of(&extender, "/filter", &body);
        assert_eq!(answer, filtered(&["a", "leaving"], json!({})));
    }
}

#[test]
fn broken_json_is_400_with_a_message_and_never_more() {
    let whole = ask("to-b", json!(["a", "b"])).to_string();
    let deep = |open: &str, count: usize| open.repeat(count);
    let in_a_field = |field: &str, open: &str| format!(r#"{{"{field}":{}"#, deep(open, 100_000));
    for body in [
        String::new(),
        " ".to_owned(),
        "null".to_owned(),
        "\u{feff}{}".to_owned(),
        format!("{whole}x"),
        whole[..whole.len() / 2].to_owned(),
        r#"{"NodeNames":["a",1]}"#.to_owned(),
        r#"{"NodeNames":["a",null]}"#.to_owned(),
        r#"{"NodeNames":{"a":1}}"#.to_owned(),
        r#"{"NodeNames":["\ud800"]}"#.to_owned(),
        r#"{"Pod":{"spec":{"priority":1e999}}}"#.to_owned(),
        r#"{"Pod":{"spec":{"priority":99999999999}}}"#.to_owned(),
        r#"{"Pod":{"metadata":{"uid":7}}}"#.to_owned(),
        r#"{"NodeNames":["a"],"nodenames":["b"]}"#.to_owned(),
        deep("[", 100_000),
        deep(r#"{"a":"#, 100_000),
        in_a_field("Nodes", "["),
        in_a_field("Future", "["),
        in_a_field("Pod", r#"{"metadata":"#),
    ] {
        for path in ["/filter", "/prioritize"] {
            let (status, text) = post(&extender(), path, body.clone());
            let start: String = body.chars().take(60).collect();
            assert_eq!(status, 400, "{start}");
            assert!(text.starts_with("the body is no ExtenderArgs: "), "{start}: {text}");
        }
    }
    let (status, _) = post(&extender(), "/filter", &b"{\"NodeNames\":[\"\xff\"]}"[..]);
    assert_eq!(status, 400);
}

#[test]
fn nesting_in_fields_that_are_not_read_does_no_harm() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"Future":{deep},"Pod":{{"spec":{{"x":{deep}}}}},"NodeNames":["a"]}}"#);
    let (status, text) = post(&extender(), "/filter", body);
    assert_eq!(status, 200, "{text}");
}

#[test]
fn other_verbs_paths_and_methods_are_refused_with_a_clear_text() {
    for path in ["/scheduler/filter", "/", "/v1", "/v2/filter", "/filter/", "/v1filter"] {
        let (status, text) = post(&extender(), path, "{}");
        assert_eq!(status, 404, "{path}");
        assert!(text.contains("serves /filter, /prioritize, /preempt and /bind"), "{text}");
    }
    let extender = extender();
    assert_eq!(post(&extender, "/v1/filter", ask("to-b", json!(["a"])).to_string()).0, 200);
    let get = Request::get("/filter").body(Bytes::new()).unwrap();
    let response = now(extender.handle(get));
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()[ALLOW], "POST");
    let zipped = Request::post("/filter").header("Content-Encoding", "gzip");
    let zipped = zipped.body(Bytes::new()).unwrap();
    assert_eq!(now(extender.handle(zipped)).status(), 415);
}

#[test]
fn answers_say_that_they_are_json() {
    let body = ask("to-b", json!(["a"])).to_string();
    let request = Request::post("/filter").body(body.into()).unwrap();
    let response = now(extender().handle(request));
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
}

#[test]
fn calls_and_verdicts_are_counted() {
    let extender = extender();
    for uid in ["to-b", "to-b", "to-x", "nobody"] {
        post(&extender, "/filter", ask(uid, json!(["a", "b"])).to_string());
    }
    post(&extender, "/prioritize", ask("to-b", json!(["a", "b"])).to_string());
    extender.answered("/v1/filter", StatusCode::OK, Duration::from_millis(2));
    extender.answered("/nowhere", StatusCode::NOT_FOUND, Duration::ZERO);
    let text = extender.state.metrics.encode().unwrap();
    for line in [
        r#"berth_extender_verdicts_total{verdict="planned"} 2"#,
        r#"berth_extender_verdicts_total{verdict="waiting"} 1"#,
        r#"berth_extender_verdicts_total{verdict="unplanned"} 1"#,
        r#"berth_extender_requests_total{verb="filter",code="200"} 1"#,
        r#"berth_extender_requests_total{verb="other",code="404"} 1"#,
        r#"berth_extender_duration_seconds_sum{verb="filter"} 0.002"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
    }
}
