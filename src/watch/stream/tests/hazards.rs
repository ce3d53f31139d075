//! Hazards of following a cluster, one test each.

use berth_solver::model::{Name, PodKey, Resources};

use super::follower::{Follower, Truth, run};
use super::server::{Fault, ModelServer, NODES, PODS};
use super::*;

/// More turns than anything here takes.
const LONG: usize = 500;

fn pod(name: &str, uid: &str, node: Option<&str>) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "apps", "uid": uid},
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": "1"}}}]},
        "status": {"phase": "Pending"}})
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

fn node(name: &str, uid: &str) -> Value {
    json!({"metadata": {"name": name, "uid": uid}, "spec": {},
        "status": {"allocatable": {"cpu": "8", "pods": "110"}}})
}

fn used(follower: &Follower, node: &str) -> Option<(i64, i64)> {
    let picture = follower.cache.snapshot();
    let used: &Resources = &picture.nodes.get(node)?.used;
    Some((used.cpu.0, used.pods))
}

fn uid(follower: &Follower, name: &str) -> Option<Name> {
    let key = PodKey { namespace: "apps".into(), name: name.into() };
    follower.cache.snapshot().pods.get(&key).map(|pod| pod.uid.clone())
}

/// A server with a node, and a replica that holds it. Events wait until they are delivered.
async fn one_node() -> (ModelServer, Follower) {
    let server = ModelServer::default();
    server.put(NODES, node("n", "n-1"));
    let mut follower = Follower::start(&server);
    follower.settles_at(&server).await;
    run(LONG).await;
    (server, follower)
}

#[tokio::test]
async fn a_bind_heard_of_late_or_twice_is_counted_once() {
    let (server, mut follower) = one_node().await;
    server.put(PODS, pod("a", "1", None));
    server.deliver(follower.client, PODS, 1);
    follower.settles_at(&server).await;
    server.put(PODS, pod("a", "1", Some("n")));
    run(LONG).await;
    assert_eq!(used(&follower, "n"), Some((0, 0)), "nobody has told it");
    server.deliver(follower.client, PODS, 1);
    server.repeat(follower.client, PODS, 2);
    follower.settles_at(&server).await;
    run(LONG).await;
    assert_eq!(used(&follower, "n"), Some((1_000, 1)));
}

#[tokio::test]
async fn a_bind_heard_of_before_its_node_counts_when_the_node_comes() {
    let (server, mut follower) = one_node().await;
    server.put(NODES, node("m", "m-1"));
    server.put(PODS, pod("a", "1", Some("m")));
    server.deliver(follower.client, PODS, 1);
    run(LONG).await;
    assert_eq!((used(&follower, "m"), uid(&follower, "a")), (None, Some("1".into())));
    server.deliver(follower.client, NODES, 1);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "m"), Some((1_000, 1)));
}

#[tokio::test]
async fn a_pod_of_the_same_name_with_a_new_uid_takes_the_place_of_the_old_one() {
    let (server, mut follower) = one_node().await;
    server.put(PODS, pod("a", "1", Some("n")));
    server.put(PODS, pod("a", "2", None));
    server.deliver(follower.client, PODS, 1);
    run(LONG).await;
    assert_eq!(used(&follower, "n"), Some((1_000, 1)));
    // The deletion in between is never heard of; the new one is.
    server.lose(follower.client, PODS, 1);
    server.deliver(follower.client, PODS, 1);
    follower.settles_at(&server).await;
    assert_eq!((used(&follower, "n"), uid(&follower, "a")), (Some((0, 0)), Some("2".into())));
}

#[tokio::test]
async fn a_node_of_the_same_name_with_a_new_uid_has_only_its_own_pods() {
    let (server, mut follower) = one_node().await;
    server.put(PODS, pod("old", "1", Some("n")));
    server.deliver(follower.client, PODS, 1);
    follower.settles_at(&server).await;
    server.put(NODES, node("n", "n-2"));
    server.delete(PODS, "apps/old");
    server.put(PODS, pod("new", "2", Some("n")));
    server.deliver(follower.client, PODS, 2);
    server.deliver(follower.client, NODES, 2);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((1_000, 1)));
    assert_eq!(follower.cache.snapshot().nodes["n"].node.uid, "n-2");
}

#[tokio::test]
async fn deletions_missed_in_a_watch_gap_are_made_up_for_by_the_next_list() {
    let (server, mut follower) = one_node().await;
    for name in ["a", "b", "c"] {
        server.put(PODS, pod(name, name, Some("n")));
    }
    server.deliver(follower.client, PODS, 3);
    follower.settles_at(&server).await;
    server.delete(PODS, "apps/a");
    server.delete(PODS, "apps/b");
    server.forget(PODS);
    server.cut(follower.client, PODS);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((1_000, 1)));
    let notes = follower.notes.0.lock().clone();
    assert_eq!(notes.iter().filter(|note| *note == "Pod failed expired").count(), 1, "{notes:?}");
}

#[tokio::test]
async fn a_410_in_place_of_a_watch_leads_to_a_new_list_too() {
    let (server, mut follower) = one_node().await;
    server.put(PODS, pod("a", "1", Some("n")));
    server.lose(follower.client, PODS, 1);
    server.fail_next(follower.client, PODS, Fault::Status(410));
    server.close(follower.client, PODS);
    follower.settles_at(&server).await;
    let lists =
        follower.notes.0.lock().iter().filter(|note| note.starts_with("Pod listed")).count();
    assert_eq!(lists, 2, "not asked for the same version again and again");
}

#[tokio::test]
async fn a_list_that_dies_between_pages_is_never_seen() {
    let server = ModelServer::with_pages_of(2);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        server.put(PODS, pod(name, name, None));
    }
    let mut follower = Follower::start(&server);
    // Each time the first page comes, and the second one does not.
    for fault in [Fault::Status(410), Fault::Unreachable, Fault::Cut, Fault::Status(500)] {
        server.pass_next(follower.client, PODS);
        server.fail_next(follower.client, PODS, fault);
    }
    while follower.notes.0.lock().iter().filter(|note| note.starts_with("Pod failed")).count() < 4 {
        follower.check();
        run(1).await;
    }
    follower.settles_at(&server).await;
    assert_eq!(pod_names(&follower.cache), names);
    let lists: Vec<String> = follower
        .notes
        .0
        .lock()
        .iter()
        .filter(|note| note.starts_with("Pod listed"))
        .cloned()
        .collect();
    assert_eq!(lists, ["Pod listed 5"]);
}

#[tokio::test]
async fn restarted_in_a_burst_it_is_not_ready_before_it_is_complete() {
    let (server, mut first) = one_node().await;
    for number in 0..20 {
        server.put(PODS, pod(&format!("a{number}"), "1", Some("n")));
        server.deliver(first.client, PODS, 1);
    }
    first.settles_at(&server).await;
    first.stop();
    let mut second = Follower::start(&server);
    for _ in 0..3 {
        server.fail_next(second.client, NODES, Fault::Status(503));
    }
    for number in 20..60 {
        let holds_all = Truth::of(&server).differs(&second.cache.snapshot()).is_none();
        assert!(holds_all || !second.cache.is_synced() || number > 20);
        second.check();
        server.put(PODS, pod(&format!("a{number}"), "1", Some("n")));
        server.deliver(second.client, PODS, 1);
        run(1).await;
    }
    server.heal();
    second.settles_at(&server).await;
    assert_eq!(used(&second, "n"), Some((60_000, 60)));
}

#[tokio::test]
async fn two_schedulers_bind_to_one_node_and_both_are_counted() {
    let (server, mut follower) = one_node().await;
    server.put(PODS, pod("ours", "1", Some("n")));
    let mut theirs = pod("theirs", "2", Some("n"));
    theirs["spec"]["schedulerName"] = json!("another-scheduler");
    server.put(PODS, theirs);
    server.deliver(follower.client, PODS, 2);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((2_000, 2)));
}

#[tokio::test]
async fn after_a_failover_the_other_replica_holds_the_same() {
    let (server, mut leader) = one_node().await;
    let mut standby = Follower::start(&server);
    server.put(PODS, pod("a", "1", None));
    server.put(PODS, pod("a", "1", Some("n")));
    server.deliver(leader.client, PODS, 2);
    leader.settles_at(&server).await;
    leader.stop();
    server.put(PODS, pod("b", "2", Some("n")));
    server.heal();
    standby.settles_at(&server).await;
    assert_eq!(used(&standby, "n"), Some((2_000, 2)));
}

#[tokio::test]
async fn pods_that_have_ended_are_not_counted_and_terminating_ones_are() {
    let (server, mut follower) = one_node().await;
    for (name, phase) in [("a", "Succeeded"), ("b", "Failed"), ("c", "Running"), ("d", "Unknown")] {
        server.put(PODS, with(pod(name, name, Some("n")), "/status/phase", json!(phase)));
    }
    let mut going = pod("e", "e", Some("n"));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    server.put(PODS, going);
    server.deliver(follower.client, PODS, 5);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((3_000, 3)));
    server.put(PODS, with(pod("c", "c", Some("n")), "/status/phase", json!("Succeeded")));
    server.deliver(follower.client, PODS, 1);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((2_000, 2)));
}

#[tokio::test]
async fn a_nominated_pod_is_counted_once_and_only_where_it_is_bound() {
    let (server, mut follower) = one_node().await;
    for (name, nominated) in [("a", "n"), ("b", "missing")] {
        let mut object = pod(name, name, None);
        object["status"]["nominatedNodeName"] = json!(nominated);
        server.put(PODS, object);
    }
    server.deliver(follower.client, PODS, 2);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((0, 0)), "a nomination is no binding");
    let picture = follower.cache.snapshot();
    let nominated = picture.unbound.values().map(|pod| pod.nominated_node.clone());
    assert_eq!(nominated.collect::<Vec<_>>(), [Some("n".into()), Some("missing".into())]);
    let mut bound = pod("a", "a", Some("n"));
    bound["status"]["nominatedNodeName"] = json!("n");
    server.put(PODS, bound);
    server.deliver(follower.client, PODS, 1);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((1_000, 1)));
    assert_eq!(follower.cache.snapshot().unbound.len(), 1);
}

#[tokio::test]
async fn what_a_clock_that_jumps_writes_is_taken_in_the_order_of_the_watch() {
    let (server, mut follower) = one_node().await;
    for (year, target) in [("2038", None), ("1970", Some("n")), ("2026", Some("n"))] {
        let mut object = pod("a", "1", target);
        object["metadata"]["creationTimestamp"] = json!(format!("{year}-01-01T00:00:00Z"));
        server.put(PODS, object);
    }
    server.deliver(follower.client, PODS, 3);
    follower.settles_at(&server).await;
    assert_eq!(used(&follower, "n"), Some((1_000, 1)));
}

#[tokio::test]
async fn a_cordon_a_taint_and_less_room_are_in_the_next_picture() {
    let (server, mut follower) = one_node().await;
    let before = follower.cache.snapshot();
    let mut shrunk = node("n", "n-1");
    shrunk["spec"] =
        json!({"unschedulable": true, "taints": [{"key": "k", "effect": "NoExecute"}]});
    shrunk["status"]["allocatable"]["cpu"] = json!("500m");
    server.put(NODES, shrunk);
    server.deliver(follower.client, NODES, 1);
    follower.settles_at(&server).await;
    let after = follower.cache.snapshot();
    let node = &after.nodes["n"].node;
    assert!(node.unschedulable && node.has_taint("k"));
    assert_eq!(node.allocatable.cpu.0, 500);
    assert_eq!(before.nodes["n"].node.allocatable.cpu.0, 8_000, "a picture never changes");
}
