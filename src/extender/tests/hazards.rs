//! What goes wrong around an extender: one test a hazard, on a cache that changes.

use berth_solver::model::{Change, ClusterEvent, Node, Pod, PodKey, Resources};
use berth_solver::testing::{bound, pod as model_pod, shape};

use super::*;
use crate::cache::CacheSender;

const HELD: &str = "the room on the node is kept for pods that the plan sends there";
const LEAVING: &str = "the node is about to be removed";

/// An extender on a cache that events change. Pod `p1` (2 of node `n1`'s 4 CPUs) is planned for
/// node `n1`; nobody planned for pod `other`, which wants 3.
struct Live {
    extender: Extender,
    cache: Cache,
    sender: CacheSender,
}

fn applied(pod: Pod) -> ClusterEvent {
    ClusterEvent::Pod(Change::Applied(pod))
}

fn machine(name: &str) -> Node {
    node(name, 4_000, 8_192)
}

fn node_applied(node: Node) -> ClusterEvent {
    ClusterEvent::Node(Change::Applied(node))
}

fn p1() -> Pod {
    model_pod("p1", &shape(2_000, 64).build())
}

fn other() -> Pod {
    model_pod("other", &shape(3_000, 64).build())
}

fn key(name: &str) -> PodKey {
    model_pod(name, &shape(1, 1).build()).key
}

impl Live {
    async fn new() -> Self {
        let (writer, sender, cache) = cache::channel(cache::Settings::default(), [Kind::Pod]);
        tokio::spawn(writer.run());
        let extender = extender_at(cache.clone(), 101);
        let targets = [(p1().uid, Target::Node(Name::from("n1")))];
        extender.state.plan.store(Arc::new(StandingPlan { targets: targets.into(), ..plan() }));
        let mut live = Self { extender, cache, sender };
        for name in ["n1", "n2"] {
            live.apply(node_applied(machine(name))).await;
        }
        live.apply(applied(p1())).await;
        live.apply(applied(other())).await;
        live
    }

    async fn apply(&mut self, event: ClusterEvent) {
        self.sender.send(event).await.unwrap();
        // The second event changes nothing: once it is taken, the first one is published.
        self.sender.synced(Kind::Pod).await.unwrap();
        self.cache.until_synced().await.unwrap();
        let generation = self.cache.snapshot().generation;
        let marker = ClusterEvent::Namespace(Change::Applied((
            Name::from("marker"),
            berth_solver::testing::labels(&[("generation", &generation.to_string())]),
        )));
        self.sender.send(marker).await.unwrap();
        while self.cache.snapshot().generation == generation {
            self.cache.changed().await.unwrap();
        }
    }

    fn filter(&self, pod: &Pod, names: &[&str]) -> Value {
        let body = json!({
            "Pod": {"metadata": {
                "namespace": pod.key.namespace.as_str(), "name": pod.key.name.as_str(),
                "uid": pod.uid.as_str(),
            }},
            "NodeNames": names,
        });
        answer_of(&self.extender, "/filter", &body)
    }

    fn used(&self, node: &str) -> Resources {
        self.cache.snapshot().nodes[node].used.clone()
    }
}

fn passes(names: &[&str]) -> Value {
    filtered(names, json!({}))
}

#[tokio::test]
async fn bind_done_and_informer_late_counts_the_pod_once() {
    let mut live = Live::new().await;
    let without_n1 = filtered(&["n2"], json!({"n1": HELD}));
    assert_eq!(live.filter(&other(), &["n1", "n2"]), without_n1, "its room is kept");
    // kube-scheduler has bound it by now; until a watch shows that, its room is kept, and after
    // that it is taken. kube-scheduler itself refuses `n1` then, and a pod that still fits passes.
    live.apply(applied(bound(p1(), "n1"))).await;
    assert_eq!(live.used("n1").cpu.0, 2_000);
    let small = model_pod("small", &shape(2_000, 64).build());
    live.apply(applied(small.clone())).await;
    assert_eq!(live.filter(&small, &["n1"]), passes(&["n1"]), "not held a second time");
}

#[tokio::test]
async fn informer_event_before_the_bind_reply_changes_no_answer_twice() {
    let mut live = Live::new().await;
    live.apply(applied(bound(p1(), "n1"))).await;
    live.apply(applied(bound(p1(), "n1"))).await;
    assert_eq!(live.used("n1").cpu.0, 2_000);
    // A late retry of its attempt, with the pod as it was.
    assert_eq!(live.filter(&p1(), &["n1"]), passes(&["n1"]));
}

#[tokio::test]
async fn same_name_and_new_uid_is_another_pod() {
    let mut live = Live::new().await;
    let again = Pod { uid: Name::from("uid-again"), ..p1() };
    live.apply(applied(again.clone())).await;
    assert_eq!(live.filter(&again, &["n1", "n2"]), passes(&["n1", "n2"]), "no plan for it");
    assert_eq!(live.filter(&other(), &["n1"]), passes(&["n1"]), "and no room kept for the old one");
}

#[tokio::test]
async fn a_question_that_comes_before_the_informer_s_event_takes_no_room_that_is_kept() {
    let live = Live::new().await;
    let ask = |cpu: &str| {
        let body = json!({
            "Pod": {
                "metadata": {"namespace": "shop", "name": "new", "uid": "uid-new"},
                "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]},
            },
            "NodeNames": ["n1", "n2"],
        });
        answer_of(&live.extender, "/filter", &body)
    };
    assert_eq!(ask("3"), filtered(&["n2"], json!({"n1": HELD})), "as the question describes it");
    assert_eq!(ask("2"), passes(&["n1", "n2"]));
    // What cannot be read is never a reason to refuse a node.
    assert_eq!(ask("many"), passes(&["n1", "n2"]));
}

#[tokio::test]
async fn a_planned_pod_that_is_deleted_releases_its_room() {
    let mut live = Live::new().await;
    let going = Pod { deleted: Some(Timestamp::from_seconds(101)), ..p1() };
    live.apply(applied(going)).await;
    assert_eq!(live.filter(&other(), &["n1"]), passes(&["n1"]));
    live.apply(ClusterEvent::Pod(Change::Deleted(key("p1")))).await;
    assert_eq!(live.filter(&other(), &["n1"]), passes(&["n1"]));
}

#[tokio::test]
async fn a_bind_that_failed_leaves_the_pod_planned_and_its_room_kept() {
    let live = Live::new().await;
    assert_eq!(live.filter(&p1(), &["n1", "n2"]), filtered(&["n1"], json!({"n2": ELSEWHERE})));
    // The bind fails: nothing is heard of it, and everything is as before.
    assert_eq!(live.filter(&p1(), &["n1", "n2"]), filtered(&["n1"], json!({"n2": ELSEWHERE})));
    assert_eq!(live.filter(&other(), &["n1"]), filtered(&[], json!({"n1": HELD})));
}

#[tokio::test]
async fn filter_repeated_without_bind_and_then_another_node_chosen() {
    let mut live = Live::new().await;
    for _ in 0..3 {
        assert_eq!(live.filter(&other(), &["n2"]), passes(&["n2"]));
    }
    // A question reserves nothing: another pod may have all of `n2`.
    let rival = model_pod("rival", &shape(4_000, 64).build());
    live.apply(applied(rival.clone())).await;
    assert_eq!(live.filter(&rival, &["n2"]), passes(&["n2"]));
    // kube-scheduler chose otherwise than the plan: it binds, and the room kept is free again.
    live.apply(applied(bound(p1(), "n2"))).await;
    assert_eq!(live.filter(&other(), &["n1"]), passes(&["n1"]));
}

#[tokio::test]
async fn restart_in_the_middle_of_a_burst_passes_everything_until_synced() {
    let (writer, sender, cache) = cache::channel(cache::Settings::default(), [Kind::Pod]);
    tokio::spawn(writer.run());
    let restarted = extender_at(cache.clone(), 101);
    let body = ask("to-b", json!(["a", "b"]));
    assert!(!cache.is_synced());
    assert_eq!(answer_of(&restarted, "/filter", &body), passes(&["a", "b"]));
    let scores = answer_of(&restarted, "/prioritize", &body);
    assert_eq!(scores, json!([{"Host": "a", "Score": 0}, {"Host": "b", "Score": 0}]));
    sender.synced(Kind::Pod).await.unwrap();
}

#[tokio::test]
async fn watch_gap_and_relist_with_missed_deletes() {
    let mut live = Live::new().await;
    // `p1` was deleted while the watch was down: the next complete list lacks it.
    live.apply(ClusterEvent::Pod(Change::list([other()]))).await;
    assert_eq!(live.filter(&other(), &["n1"]), passes(&["n1"]));
    // And the same for nodes: `n1` is unknown now, and kube-scheduler is believed.
    live.apply(ClusterEvent::Node(Change::list([machine("n2")]))).await;
    assert_eq!(live.filter(&other(), &["n1", "n2"]), passes(&["n1", "n2"]));
}

#[tokio::test]
async fn nodes_that_the_cache_does_not_know_pass_and_known_ones_that_went_do_too() {
    let mut live = Live::new().await;
    assert_eq!(live.filter(&other(), &["new", "n2"]), passes(&["new", "n2"]));
    live.apply(ClusterEvent::Node(Change::Deleted(Name::from("n1")))).await;
    // The planned node is gone: the pod is free.
    assert_eq!(live.filter(&p1(), &["n1", "n2"]), passes(&["n1", "n2"]));
    // Another node of that name is the planned one as far as anybody can tell.
    live.apply(node_applied(Node { uid: Name::from("uid-again"), ..machine("n1") })).await;
    assert_eq!(live.filter(&p1(), &["n1", "n2"]), filtered(&["n1"], json!({"n2": ELSEWHERE})));
}

#[tokio::test]
async fn cordon_taint_or_shrink_between_filter_and_bind() {
    let mut live = Live::new().await;
    assert_eq!(live.filter(&p1(), &["n1"]), passes(&["n1"]));
    // Cordoned or shrunk: kube-scheduler does not offer it any more, and the pod is free.
    live.apply(node_applied(Node { unschedulable: true, ..machine("n1") })).await;
    assert_eq!(live.filter(&p1(), &["n2"]), passes(&["n2"]));
    live.apply(node_applied(node("n1", 1_000, 8_192))).await;
    assert_eq!(live.filter(&p1(), &["n2"]), passes(&["n2"]));
    // Tainted for removal: refused even before kube-scheduler has seen the taint.
    let mut leaving = machine("n1");
    leaving.taints = Box::from([taint(well_known::DISRUPTED_TAINT, "")]);
    live.apply(node_applied(leaving)).await;
    let refused = filtered(&["n2"], json!({"n1": LEAVING}));
    assert_eq!(live.filter(&p1(), &["n1", "n2"]), refused);
}

#[tokio::test]
async fn nominated_pods_count_once_and_a_nomination_to_a_missing_node_does_no_harm() {
    let mut live = Live::new().await;
    let nominated = |node: &str| Pod { nominated_node: Some(Name::from(node)), ..p1() };
    live.apply(applied(nominated("n1"))).await;
    let small = model_pod("small", &shape(2_000, 64).build());
    live.apply(applied(small.clone())).await;
    // 4 CPUs, 2 of them for `p1`, which is nominated and planned: 2 are left, not 0.
    assert_eq!(live.filter(&small, &["n1"]), passes(&["n1"]));
    assert_eq!(live.filter(&other(), &["n1"]), filtered(&[], json!({"n1": HELD})));
    live.apply(applied(nominated("gone"))).await;
    assert_eq!(live.filter(&p1(), &["n1", "n2"]), filtered(&["n1"], json!({"n2": ELSEWHERE})));
    assert_eq!(live.filter(&small, &["n1"]), passes(&["n1"]));
}

#[tokio::test]
async fn preempt_with_uids_that_we_lack_keeps_them() {
    let live = Live::new().await;
    let victims = json!({"n1": {"Pods": [{"UID": "never-seen"}], "NumPDBViolations": 0}});
    let body = json!({"Pod": pod("nobody"), "NodeNameToMetaVictims": victims});
    let answer = answer_of(&live.extender, "/preempt", &body);
    assert_eq!(answer, json!({"NodeNameToMetaVictims": victims}));
}

#[tokio::test]
async fn two_schedulers_and_two_replicas_get_the_same_answers() {
    let live = Live::new().await;
    let replica = Extender::new(live.extender.state.clone());
    let body = |uid: &str| ask(uid, json!(["n1", "n2"]));
    let uid = p1().uid;
    for path in ["/filter", "/prioritize"] {
        for uid in [uid.as_str(), "nobody"] {
            let first = answer_of(&live.extender, path, &body(uid));
            let interleaved = answer_of(&replica, path, &body("another"));
            assert_eq!(answer_of(&replica, path, &body(uid)), first, "{path} {interleaved}");
        }
    }
}

#[tokio::test]
async fn a_replica_that_does_not_lead_has_no_plan_and_passes_everything() {
    let live = Live::new().await;
    let plan = Arc::new(ArcSwap::from_pointee(StandingPlan::default()));
    let standby = Extender::new(ExtenderState { plan, ..live.extender.state.clone() });
    let body = ask(&p1().uid, json!(["n1", "n2"]));
    assert_eq!(answer_of(&standby, "/filter", &body), passes(&["n1", "n2"]));
}

#[tokio::test]
async fn gang_trial_rolled_back_leaves_no_trace() {
    let live = Live::new().await;
    let before = [live.filter(&p1(), &["n1", "n2"]), live.filter(&other(), &["n1", "n2"])];
    // A trial asks pod after pod, assumes each in kube-scheduler's own memory, and gives it up.
    for _ in 0..3 {
        for index in 0..50 {
            let member = model_pod(&format!("gang-{index}"), &shape(1_000, 64).build());
            live.filter(&member, &["n2"]);
        }
    }
    assert_eq!([live.filter(&p1(), &["n1", "n2"]), live.filter(&other(), &["n1", "n2"])], before);
}

#[tokio::test]
async fn a_clock_set_back_makes_the_plan_stale_and_passes_everything() {
    let live = Live::new().await;
    let early = extender_at(live.cache.clone(), 99);
    early.state.plan.store(live.extender.state.plan.load_full());
    let body = ask(&p1().uid, json!(["n1", "n2"]));
    assert_eq!(answer_of(&early, "/filter", &body), passes(&["n1", "n2"]));
}
