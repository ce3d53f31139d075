//! Whatever a client sends, its questions are read or refused, and nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::wire::{Question, node_names};

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop::sample::select(vec![
            "metadata",
            "spec",
            "name",
            "namespace",
            "uid",
            "ownerReferences",
            "kind",
            "items",
            "controller",
            "nodeName",
            "priority",
            "priorityClassName",
            "x\u{e9}\n",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// A question as kube-scheduler asks it, or nearly.
fn nearly_a_question() -> impl Strategy<Value = Value> {
    let pod = prop_oneof![
        Just(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {}})),
        any_json(),
    ];
    let names = prop_oneof![Just(json!(["a", "b\"\\\u{1F980}"])), any_json()];
    let spelling = prop::sample::select(vec![
        ["Pod", "NodeNames", "Nodes"],
        ["pod", "nodenames", "nodes"],
        ["pod", "nodeNames", "Nodes"],
    ]);
    (pod, names, any_json(), spelling).prop_map(|(pod, names, nodes, [first, second, third])| {
        json!({first: pod, second: names, third: nodes})
    })
}

/// Reads a question as the handlers do, and looks at all of it.
fn read(body: &[u8]) -> Result<usize, String> {
    let question: Question<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let names = question.node_names.iter().flatten().map(|name| name.as_ref().len());
    let listed = question.nodes.iter().flat_map(node_names).map(str::len);
    let pod = question.pod.as_ref().map(|pod| {
        let pod = pod.in_question();
        pod.name.len() + pod.namespace.len() + pod.uid.len() + pod.node.map_or(0, str::len)
    });
    Ok(names.chain(listed).chain(pod).sum())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body);
    }

    #[test]
    fn no_json_makes_it_panic(question in nearly_a_question()) {
        let body = question.to_string();
        match read(body.as_bytes()) {
            Ok(_) => {}
            Err(error) => prop_assert!(error.contains("line 1 column"), "{error}"),
        }
    }

    #[test]
    fn a_question_that_is_cut_or_scratched_is_read_or_refused(
        question in nearly_a_question(),
        place in any::<prop::sample::Index>(),
        scratch in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut body = question.to_string().into_bytes();
        let place = place.index(body.len());
        if cut {
            body.truncate(place);
            prop_assert!(read(&body).is_err(), "half a question is none");
        } else {
            body[place] = scratch;
            let _ = read(&body);
        }
    }
}

#[test]
fn depth_and_numbers_beyond_all_bounds_are_refused() {
    let deep = format!("{{\"Nodes\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [deep.as_str(), r#"{"Pod":{"spec":{"priority":1e999}}}"#, r#"{"NodeNames":[1]}"#] {
        assert!(read(body.as_bytes()).is_err());
    }
}
