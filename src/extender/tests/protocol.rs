//! What kube-scheduler's side of the protocol takes for granted: one test a fact.

use super::*;

/// A binder that remembers, and answers as it is told to.
#[derive(Default)]
struct Recorder {
    bound: parking_lot::Mutex<Vec<Binding>>,
    error: Option<&'static str>,
}

#[async_trait::async_trait]
impl Binder for Recorder {
    async fn bind(&self, binding: &Binding) -> Result<(), String> {
        self.bound.lock().push(binding.clone());
        self.error.map_or(Ok(()), |error| Err(error.to_owned()))
    }
}

fn extender_that_binds(binder: &Arc<Recorder>) -> Extender {
    let state = extender().state.clone();
    Extender::new(ExtenderState { binder: Some(binder.clone()), ..state })
}

fn binding() -> Value {
    json!({"PodName": "web", "PodNamespace": "shop", "PodUID": "u1", "Node": "a"})
}

async fn bind(extender: &Extender, body: &Value) -> Value {
    let request = Request::post("/v1/bind").body(body.to_string().into()).unwrap();
    let response = match extender.handle(request) {
        Reply::Now(response) => response,
        Reply::Later(work) => work.await,
    };
    assert_eq!(response.status(), 200);
    serde_json::from_slice(response.body()).unwrap()
}

fn preempt(body: &Value) -> Value {
    answer_of(&extender(), "/preempt", body)["NodeNameToMetaVictims"].clone()
}

#[test]
fn filter_never_answers_with_a_node_that_was_not_a_candidate() {
    // `to-b` is planned for `b`, which kube-scheduler did not offer.
    for names in [json!(["a"]), json!(["a", "leaving"]), json!([])] {
        let answer = filter(&ask("to-b", names.clone()));
        let passed = answer["NodeNames"].as_array().unwrap();
        assert!(passed.iter().all(|name| names.as_array().unwrap().contains(name)), "{answer}");
    }
}

#[test]
fn filter_that_passes_nothing_answers_an_empty_list_not_null() {
    // kube-scheduler would take `Nodes` if `NodeNames` were null.
    assert_eq!(filter(&ask("to-x", json!(["a"])))["NodeNames"], json!([]));
    assert_eq!(filter(&ask("to-x", json!([])))["NodeNames"], json!([]));
}

#[test]
fn filter_says_why_in_few_texts_that_name_no_node() {
    // kube-scheduler counts equal texts: "4999 <text>".
    let names: Vec<String> = (0..5_000).map(|index| format!("node-{index}")).collect();
    let answer = filter(&ask("to-x", json!(names)));
    let refused = answer["FailedAndUnresolvableNodes"].as_object().unwrap();
    assert_eq!(refused.len(), 5_000, "every refused node is named");
    assert!(refused.values().all(|text| text == WAITING));
}

#[test]
fn filter_names_a_refused_node_as_unresolvable_and_not_twice() {
    let answer = filter(&ask("to-b", json!(["a", "b"])));
    assert_eq!(answer["FailedNodes"], json!({}));
    assert_eq!(answer["FailedAndUnresolvableNodes"], json!({"a": ELSEWHERE}));
}

#[test]
fn names_are_a_live_question_though_whole_nodes_come_with_them() {
    let nodes = json!({"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]});
    let body = json!({"Pod": pod("to-b"), "Nodes": nodes, "NodeNames": ["a", "b"]});
    assert_eq!(filter(&body), filtered(&["b"], json!({"a": ELSEWHERE})));
}

#[test]
fn a_simulation_with_whole_nodes_gets_nodes_back_and_no_names() {
    // Cluster Autoscaler's: an answer with names only would veto every scale-up.
    let nodes = json!({"items": [{"metadata": {"name": "template"}}]});
    let answer = filter(&json!({"Pod": pod("to-x"), "Nodes": nodes, "NodeNames": null}));
    assert_eq!((&answer["Nodes"], &answer["NodeNames"]), (&nodes, &Value::Null));
}

#[test]
fn a_nominated_node_is_asked_about_alone_and_then_all_are() {
    let extender = extender();
    let alone = |name: &str| answer_of(&extender, "/filter", &ask("to-b", json!([name])));
    assert_eq!(alone("b"), filtered(&["b"], json!({})));
    // Nominated for another one: refused when it is the only one, so that the full call follows.
    let all = answer_of(&extender, "/filter", &ask("to-b", json!(["a", "b"])));
    assert_eq!(all, filtered(&["b"], json!({"a": ELSEWHERE})));
}

#[test]
fn a_batching_hint_cannot_lead_a_planned_pod_astray_as_far_as_filter_sees_its_node() {
    // Opportunistic batching skips prioritize: the plan is enforced in filter.
    let answer = filter(&ask("to-x", json!(["a"])));
    assert_eq!(answer, filtered(&[], json!({"a": WAITING})));
}

#[test]
fn prioritize_is_a_bare_array_with_scores_from_zero_to_ten() {
    let answer = answer_of(&extender(), "/prioritize", &ask("to-b", json!(["a", "b", "leaving"])));
    for entry in answer.as_array().unwrap() {
        assert!((0..=10).contains(&entry["Score"].as_i64().unwrap()), "{entry}");
        assert_eq!(entry.as_object().unwrap().len(), 2);
    }
}

#[test]
fn preempt_answers_in_uids_whatever_the_form_of_the_question() {
    let by_uid = json!({
        "Pod": pod("nobody"),
        "NodeNameToVictims": null,
        "NodeNameToMetaVictims": {
            "a": {"Pods": [{"UID": "u1"}, {"UID": "u2"}], "NumPDBViolations": 2},
        },
    });
    let in_full = json!({
        "Pod": pod("nobody"),
        "NodeNameToMetaVictims": null,
        "NodeNameToVictims": {
            "a": {"Pods": [pod("u1"), pod("u2")], "NumPDBViolations": 2},
        },
    });
    let expected = json!({"a": {"Pods": [{"UID": "u1"}, {"UID": "u2"}], "NumPDBViolations": 2}});
    assert_eq!(preempt(&by_uid), expected);
    assert_eq!(preempt(&in_full), expected);
}

#[test]
fn preempt_drops_nodes_that_leave_and_nodes_without_victims() {
    // A node without victims would be an error to kube-scheduler; one that is left out is dropped.
    let victims = json!({"Pods": [{"UID": "u1"}], "NumPDBViolations": 0});
    let body = json!({
        "Pod": pod("nobody"),
        "NodeNameToMetaVictims": {
            "a": victims,
            "b": {"Pods": [], "NumPDBViolations": 0},
            "c": {"Pods": null, "NumPDBViolations": 0},
            "d": null,
            "leaving": victims,
        },
    });
    assert_eq!(preempt(&body), json!({"a": victims}));
}

#[test]
fn preempt_of_a_pod_whose_node_is_on_its_way_is_an_empty_map_so_that_nobody_is_evicted() {
    let victims = json!({"Pods": [{"UID": "u1"}], "NumPDBViolations": 0});
    let body = json!({"Pod": pod("to-x"), "NodeNameToMetaVictims": {"a": victims}});
    assert_eq!(preempt(&body), json!({}));
}

#[test]
fn preempt_with_nothing_proposed_is_an_empty_map_and_without_a_pod_400() {
    for nothing in [json!(null), json!({})] {
        let body = json!({"Pod": pod("nobody"), "NodeNameToMetaVictims": nothing});
        assert_eq!(preempt(&body), json!({}));
    }
    let (status, text) = post(&extender(), "/preempt", "{}");
    assert!(status == 400 && text.starts_with("Pod is missing"), "{status} {text}");
}

#[test]
fn bind_is_not_served_unless_it_is_asked_for() {
    let (status, text) = post(&extender(), "/bind", binding().to_string());
    assert_eq!(status, 404);
    assert!(text.contains("--extender-bind is not given"), "{text}");
}

#[tokio::test]
async fn bind_binds_and_an_error_is_200_with_error() {
    let binder = Arc::new(Recorder::default());
    let answer = bind(&extender_that_binds(&binder), &binding()).await;
    assert_eq!(answer, json!({"Error": ""}));
    let text = |text: &str| text.to_owned();
    let expected =
        Binding { pod: text("web"), namespace: text("shop"), uid: text("u1"), node: text("a") };
    assert_eq!(*binder.bound.lock(), [expected]);
    let refused = Arc::new(Recorder { error: Some("no"), ..Recorder::default() });
    assert_eq!(bind(&extender_that_binds(&refused), &binding()).await, json!({"Error": "no"}));
}

#[tokio::test]
async fn bind_without_a_uid_or_a_node_binds_nothing() {
    let binder = Arc::new(Recorder::default());
    for field in ["PodName", "PodNamespace", "PodUID", "Node"] {
        let mut body = binding();
        body[field] = json!("");
        let answer = bind(&extender_that_binds(&binder), &body).await;
        let error = format!("{field} is empty: expected the pod and its node");
        assert_eq!(answer, json!({ "Error": error }));
    }
    assert!(binder.bound.lock().is_empty());
    let (status, _) = post(&extender_that_binds(&binder), "/bind", "{}");
    assert_eq!(status, 400);
}
