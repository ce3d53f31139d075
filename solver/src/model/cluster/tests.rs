use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Bytes, Limits, MilliCpu, PodPhase, PodShape, Resources, TemplateRef, Timestamp, well_known,
};
use crate::testing::{bound, exoscale_catalog, labels, pod, pool, shape, taint};

fn pod_applied(pod: Pod) -> ClusterEvent {
    ClusterEvent::Pod(Change::Applied(pod))
}

fn node_applied(node: Node) -> ClusterEvent {
    ClusterEvent::Node(Change::Applied(node))
}

fn machine(name: &str) -> Node {
    crate::testing::node(name, 4_000, 8_192)
}

fn web() -> Arc<PodShape> {
    shape(500, 256).build()
}

/// The state after these events.
fn after(events: impl IntoIterator<Item = ClusterEvent>) -> ClusterState {
    let mut state = ClusterState::new();
    for event in events {
        state.apply(event);
    }
    state
}

fn used(state: &ClusterState, node: &str) -> Resources {
    state.picture().nodes[node].used.clone()
}

fn names<T>(map: &imbl::OrdMap<Name, T>) -> Vec<&str> {
    map.keys().map(Name::as_str).collect()
}

#[test]
fn a_pod_bound_before_its_node_is_known_counts_once_the_node_joins() {
    let mut state = after([pod_applied(bound(pod("a", &web()), "n1"))]);
    assert!(state.picture().unbound.is_empty(), "it has a node, though an unknown one");
    state.apply(node_applied(machine("n1")));
    assert_eq!(used(&state, "n1"), web().requests);
}

#[test]
fn a_pod_deleted_before_its_node_is_known_never_counts() {
    let pod = bound(pod("a", &web()), "n1");
    let key = pod.key.clone();
    let mut state = after([pod_applied(pod), ClusterEvent::Pod(Change::Deleted(key))]);
    state.apply(node_applied(machine("n1")));
    assert_eq!(used(&state, "n1"), Resources::default());
    assert!(state.picture().nodes["n1"].pods.is_empty());
}

#[test]
fn a_pod_of_the_same_name_with_another_uid_takes_the_place_of_the_first() {
    let second = Pod { uid: "uid-second".into(), ..pod("a", &shape(100, 64).build()) };
    let state = after([
        node_applied(machine("n1")),
        pod_applied(bound(pod("a", &web()), "n1")),
        pod_applied(second.clone()),
    ]);
    assert_eq!(used(&state, "n1"), Resources::default());
    assert_eq!(state.picture().unbound.values().map(|pod| &**pod).collect::<Vec<_>>(), [&second]);
    assert_eq!(state.picture().pods.len(), 1);
}

#[test]
fn a_node_deleted_and_recreated_has_the_pods_that_are_still_bound_to_it() {
    let again = Node { uid: "uid-again".into(), ..machine("n1") };
    let mut state = after([
        node_applied(machine("n1")),
        pod_applied(bound(pod("a", &web()), "n1")),
        pod_applied(bound(pod("b", &web()), "n1")),
        ClusterEvent::Node(Change::Deleted("n1".into())),
    ]);
    assert!(state.picture().nodes.is_empty());
    assert_eq!(state.picture().pods.len(), 2, "their deletions are still to come");
    state.apply(ClusterEvent::Pod(Change::Deleted(pod("a", &web()).key)));
    state.apply(node_applied(again.clone()));
    assert_eq!(used(&state, "n1"), web().requests);
    assert_eq!(*state.picture().nodes["n1"].node, again);
}

#[test]
fn a_node_replaced_without_a_deletion_in_between_keeps_its_pods() {
    let again = Node { uid: "uid-again".into(), ..machine("n1") };
    let state = after([
        node_applied(machine("n1")),
        pod_applied(bound(pod("a", &web()), "n1")),
        node_applied(again.clone()),
    ]);
    assert_eq!(used(&state, "n1"), web().requests);
    assert_eq!(state.picture().nodes["n1"].node.uid, again.uid);
}

#[test]
fn a_complete_list_leaves_no_ghosts() {
    let state = after([
        node_applied(machine("n1")),
        node_applied(machine("n2")),
        pod_applied(bound(pod("a", &web()), "n1")),
        pod_applied(bound(pod("b", &web()), "n1")),
        pod_applied(pod("c", &web())),
        ClusterEvent::Pod(Change::list([bound(pod("b", &web()), "n1")])),
        ClusterEvent::Node(Change::list([machine("n1"), machine("n3")])),
    ]);
    let picture = state.picture();
    assert_eq!(names(&picture.nodes), ["n1", "n3"]);
    assert_eq!(picture.pods.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(picture.unbound.is_empty());
    assert_eq!(used(&state, "n1"), web().requests);
}

#[test]
fn a_complete_list_of_claims_forgets_the_others_and_whom_they_belonged_to() {
    let pool = pool("default");
    let catalog = exoscale_catalog(&["ch-gva-2"]);
    let kind = crate::testing::type_of(&catalog, "standard.medium");
    let claim = |name: &str, node: &str| NodeClaim {
        node_name: Some(node.into()),
        provider_id: None,
        ..crate::testing::claim(name, &pool, kind)
    };
    let state = after([
        node_applied(machine("n1")),
        node_applied(machine("n2")),
        ClusterEvent::NodeClaim(Change::Applied(claim("one", "n1"))),
        ClusterEvent::NodeClaim(Change::list([claim("two", "n2")])),
    ]);
    let picture = state.picture();
    assert_eq!(picture.claim_of_node(&machine("n1")), None);
    assert_eq!(picture.claim_of_node(&machine("n2")).unwrap().name, "two");
}

#[test]
fn pods_that_have_ended_take_no_room_and_terminating_ones_do() {
    let mut state = after([
        node_applied(machine("n1")),
        pod_applied(bound(pod("a", &web()), "n1")),
        pod_applied(bound(pod("b", &web()), "n1")),
    ]);
    let going = Pod { deleted: Some(crate::model::Timestamp::from_seconds(9)), ..pod("a", &web()) };
    state.apply(pod_applied(bound(going, "n1")));
    assert_eq!(used(&state, "n1"), web().requests.times(2));
    state.apply(pod_applied(Pod { phase: PodPhase::Ended, ..bound(pod("b", &web()), "n1") }));
    assert_eq!(used(&state, "n1"), web().requests);
    assert_eq!(state.picture().pods.len(), 1);
}

#[test]
fn the_same_event_twice_changes_nothing_the_second_time() {
    let events = [
        node_applied(machine("n1")),
        pod_applied(bound(pod("a", &web()), "n1")),
        ClusterEvent::Namespace(Change::Applied(("apps".into(), Labels::default()))),
        ClusterEvent::NodePool(Change::list([pool("default")])),
        ClusterEvent::Pod(Change::Deleted(pod("unknown", &web()).key)),
    ];
    let mut state = after(events.clone());
    let before = state.snapshot();
    for event in events {
        assert!(!state.apply(event));
    }
    assert_eq!(state.snapshot(), before);
    assert_eq!(before.generation, 4);
}

#[test]
fn a_snapshot_does_not_change_when_the_cluster_does() {
    let mut state = after([node_applied(machine("n1")), pod_applied(pod("a", &web()))]);
    let before = state.snapshot();
    state.apply(pod_applied(bound(pod("a", &web()), "n1")));
    assert!(before.nodes["n1"].pods.is_empty());
    assert_eq!(before.unbound.len(), 1);
    assert_eq!(state.picture().nodes["n1"].pods.len(), 1);
}

#[test]
fn a_request_without_bounds_takes_nothing_along_when_it_goes() {
    let endless = shape(100, 64)
        .with(|shape| shape.requests = Resources::new(MilliCpu(i64::MAX), Bytes(i64::MAX)))
        .build();
    let mut state = after([
        node_applied(machine("n1")),
        pod_applied(bound(pod("a", &web()), "n1")),
        pod_applied(bound(pod("endless", &endless), "n1")),
    ]);
    assert_eq!(used(&state, "n1").cpu, MilliCpu(i64::MAX));
    state.apply(ClusterEvent::Pod(Change::Deleted(pod("endless", &endless).key)));
    assert_eq!(used(&state, "n1"), web().requests);
}

#[test]
fn a_node_with_a_claims_name_but_another_provider_id_is_not_the_claims() {
    let pool = pool("default");
    let catalog = exoscale_catalog(&["ch-gva-2"]);
    let kind = crate::testing::type_of(&catalog, "standard.medium");
    let claim = NodeClaim {
        node_name: Some("n1".into()),
        provider_id: Some("exoscale://one".into()),
        ..crate::testing::claim("n1", &pool, kind)
    };
    let mut state = after([ClusterEvent::NodeClaim(Change::Applied(claim.clone()))]);
    let with_provider =
        |id: Option<&str>| Node { provider_id: id.map(Name::from), ..machine("n1") };
    for (id, owned) in [(None, true), (Some("exoscale://one"), true), (Some("other"), false)] {
        let node = with_provider(id);
        state.apply(node_applied(node.clone()));
        assert_eq!(state.picture().claim_of_node(&node).is_some(), owned, "{id:?}");
        assert_eq!(state.picture().node_of_claim(&claim).is_some(), owned, "{id:?}");
    }
    let elsewhere = Node { provider_id: Some("exoscale://one".into()), ..machine("n2") };
    state.apply(node_applied(elsewhere.clone()));
    assert_eq!(state.picture().claim_of_node(&elsewhere).unwrap().name, "n1");
    let unnamed = NodeClaim { node_name: None, ..claim };
    assert_eq!(state.picture().node_of_claim(&unnamed).unwrap().node.name, "n2");
}

/// The cluster as a naive model keeps it: whole maps, everything worked out anew.
#[derive(Default)]
struct Naive {
    pods: BTreeMap<PodKey, Pod>,
    nodes: BTreeMap<Name, Node>,
    claims: BTreeMap<Name, NodeClaim>,
}

impl Naive {
    fn apply(&mut self, event: ClusterEvent) {
        match event {
            ClusterEvent::Pod(change) => update(&mut self.pods, change, |pod| pod.key.clone()),
            ClusterEvent::Node(change) => update(&mut self.nodes, change, |node| node.name.clone()),
            ClusterEvent::NodeClaim(change) => {
                update(&mut self.claims, change, |claim| claim.name.clone());
            }
            _ => unreachable!("not made here"),
        }
    }

    fn alive(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(|pod| pod.is_alive())
    }

    fn check(&self, picture: &Snapshot) {
        assert_eq!(
            picture.pods.values().map(|pod| &**pod).collect::<Vec<_>>(),
            self.alive().collect::<Vec<_>>()
        );
        assert_eq!(
            picture.unbound.values().map(|pod| &**pod).collect::<Vec<_>>(),
            self.alive().filter(|pod| pod.node.is_none()).collect::<Vec<_>>()
        );
        assert_eq!(
            picture.nodes.values().map(|state| &*state.node).collect::<Vec<_>>(),
            self.nodes.values().collect::<Vec<_>>()
        );
        for (name, state) in &picture.nodes {
            let here: Vec<&Pod> =
                self.alive().filter(|pod| pod.node.as_ref() == Some(name)).collect();
            assert_eq!(state.pods.values().map(|pod| &**pod).collect::<Vec<_>>(), here);
            assert_eq!(state.used, here.iter().map(|pod| &pod.shape.requests).sum(), "{name}");
        }
        for node in self.nodes.values() {
            let contradicts = |claim: &NodeClaim| {
                claim.provider_id.is_some()
                    && node.provider_id.is_some()
                    && claim.provider_id != node.provider_id
            };
            let by_name = |claim: &&NodeClaim| {
                claim.node_name.as_ref() == Some(&node.name) && !contradicts(claim)
            };
            let by_provider = |claim: &&NodeClaim| {
                claim.provider_id.is_some() && claim.provider_id == node.provider_id
            };
            let claims = || self.claims.values();
            let expected = claims().find(by_name).or_else(|| claims().find(by_provider));
            assert_eq!(picture.claim_of_node(node).map(|claim| &**claim), expected);
        }
    }
}

fn update<K: Ord, T: Clone>(map: &mut BTreeMap<K, T>, change: Change<K, T>, key: impl Fn(&T) -> K) {
    match change {
        Change::Applied(object) => {
            map.insert(key(&object), object);
        }
        Change::Deleted(key) => {
            map.remove(&key);
        }
        Change::Replaced(objects) => {
            *map = objects
                .into_iter()
                .map(Arc::unwrap_or_clone)
                .map(|object| (key(&object), object))
                .collect();
        }
    }
}

/// Changes of objects of which there are few, so that they meet.
fn change<T: Clone + std::fmt::Debug + 'static, K: std::fmt::Debug + 'static>(
    object: impl Strategy<Value = T> + Clone + 'static,
    key: fn(&T) -> K,
) -> impl Strategy<Value = Change<K, T>> {
    prop_oneof![
        6 => object.clone().prop_map(Change::Applied),
        3 => object.clone().prop_map(move |object| Change::Deleted(key(&object))),
        1 => prop::collection::vec(object, 0..6).prop_map(Change::list),
    ]
}

/// What is kept up to date with every event is what a walk over all nodes finds.
fn check_figures(picture: &Snapshot) {
    assert_eq!(picture.figures.iter().count(), picture.nodes.len());
    let mut numbers = BTreeSet::new();
    for (name, state) in &picture.nodes {
        let claim = picture.claims.get(name).map(AsRef::as_ref);
        let figures = NodeFigures::of(state, claim);
        let (number, known) = picture.figures_of_node(name).unwrap();
        assert_eq!(*known, figures, "{name}");
        assert!(number < picture.numbers_of_nodes() && numbers.insert(number), "{name}");
        assert!(Arc::ptr_eq(picture.numbered_node(number).unwrap(), state), "{name}");
    }
    let is_leaving = |state: &&Arc<NodeState>| crate::placement::is_leaving(picture, state);
    let by_walk: BTreeSet<&Name> =
        picture.nodes.values().filter(is_leaving).map(|state| &state.node.name).collect();
    let said: BTreeSet<&Name> =
        picture.nodes_said_to_leave().filter(is_leaving).map(|state| &state.node.name).collect();
    assert_eq!(said, by_walk);
}

fn any_event() -> impl Strategy<Value = ClusterEvent> {
    let amount = prop_oneof![4 => 0..2_000_i64, 1 => Just(i64::MAX)];
    let pods = (0..6_u8, 0..3_u8, prop::option::of(0..3_u8), amount, 0..3_i64, 0..6_u8).prop_map(
        |(name, uid, node, cpu, gpus, phase)| {
            let shape = shape(100, 64)
                .with(|shape| shape.requests.cpu = MilliCpu(cpu))
                .resource("nvidia.com/gpu", gpus)
                .build();
            let uid = Name::from(format!("uid-{uid}"));
            let pod = Pod { uid, ..pod(&format!("p{name}"), &shape) };
            let pod = match node {
                Some(node) => bound(pod, &format!("n{node}")),
                None => pod,
            };
            if phase == 0 { Pod { phase: PodPhase::Ended, ..pod } } else { pod }
        },
    );
    let provider = || prop::option::of((0..3_u8).prop_map(|id| Name::from(format!("id-{id}"))));
    let nodes = (0..3_u8, 0..2_u8, provider(), 0..4_u8);
    let nodes = nodes.prop_map(|(name, uid, provider_id, state)| Node {
        uid: Name::from(format!("uid-{uid}")),
        provider_id,
        labels: labels(&[(well_known::NODEPOOL_LABEL, "default")]),
        taints: if state == 1 {
            Box::from([taint(well_known::DISRUPTED_TAINT, "")])
        } else {
            Box::default()
        },
        deleted: (state == 2).then(|| Timestamp::from_seconds(1)),
        ..machine(&format!("n{name}"))
    });
    let catalog = exoscale_catalog(&["ch-gva-2"]);
    let kind = crate::testing::type_of(&catalog, "standard.medium").clone();
    let template = crate::testing::claim("template", &pool("default"), &kind);
    let claims = (0..4_u8, prop::option::of(0..3_u8), provider(), any::<bool>()).prop_map(
        move |(name, node, provider_id, deleted)| NodeClaim {
            // Some have the name of a node.
            name: Name::from(format!("{}{name}", if name % 2 == 0 { "n" } else { "c" })),
            deleted: deleted.then(|| Timestamp::from_seconds(1)),
            node_name: node.map(|node| Name::from(format!("n{node}"))),
            provider_id,
            ..template.clone()
        },
    );
    prop_oneof![
        4 => change(pods, |pod: &Pod| pod.key.clone()).prop_map(ClusterEvent::Pod),
        2 => change(nodes, |node: &Node| node.name.clone()).prop_map(ClusterEvent::Node),
        2 => change(claims.boxed(), |claim: &NodeClaim| claim.name.clone())
            .prop_map(ClusterEvent::NodeClaim),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_the_picture_is_what_a_naive_model_says(
        events in prop::collection::vec(any_event(), 0..80)
    ) {
        let (mut state, mut naive) = (ClusterState::new(), Naive::default());
        for event in events {
            naive.apply(event.clone());
            let (before, generation) = (state.snapshot(), state.picture().generation);
            let changed = state.apply(event);
            prop_assert_eq!(state.picture().generation, generation + u64::from(changed));
            prop_assert_eq!(Snapshot { generation, ..state.snapshot() } != before, changed);
            naive.check(state.picture());
            check_figures(state.picture());
        }
    }
}

#[test]
fn buffers_are_worked_out_whatever_comes_first_and_follow_what_they_refer_to() {
    let half_of = |name: &str| {
        let PodKey { namespace, .. } = pod("x", &web()).key;
        ClusterEvent::CapacityBuffer(Change::Applied(CapacityBuffer {
            key: PodKey { namespace, name: "spare".into() },
            uid: "uid-spare".into(),
            generation: 1,
            active: true,
            template: Ok(TemplateRef { kind: TemplateKind::Deployment, name: name.into() }),
            replicas: None,
            percentage: Some(50),
            limits: Limits::default(),
        }))
    };
    let deployment = |name: &str, replicas: u32| Template {
        key: pod(name, &web()).key,
        generation: 1,
        shape: web(),
        replicas,
        defect: None,
    };
    let applied = |template| ClusterEvent::Template(TemplateKind::Deployment, template);
    let places = |state: &ClusterState| {
        let mut buffers = state.picture().buffers.values();
        buffers.next().map(|buffer| (buffer.replicas, buffer.defect.is_some()))
    };

    let mut state = after([half_of("web")]);
    assert_eq!(places(&state), None, "nobody has said which Deployments there are");
    assert!(state.apply(applied(Change::list([deployment("other", 9)]))));
    assert_eq!(places(&state), Some((0, true)), "there is none of that name");
    assert!(state.apply(applied(Change::Applied(deployment("web", 6)))));
    assert_eq!(places(&state), Some((3, false)));
    assert!(!state.apply(applied(Change::Applied(deployment("other", 8)))), "nobody asked");
    assert!(state.apply(half_of("other")));
    assert_eq!(places(&state), Some((4, false)));
    let other = deployment("other", 8).key;
    assert!(state.apply(applied(Change::Deleted(other))));
    assert_eq!(places(&state), Some((0, true)));
    assert!(state.apply(ClusterEvent::CapacityBuffer(Change::Replaced(Vec::new()))));
    assert_eq!(places(&state), None);

    let mut state = after([applied(Change::list([deployment("web", 6)]))]);
    assert_eq!(state.picture().generation, 0, "no buffer, no change");
    assert!(state.apply(half_of("web")));
    assert_eq!(places(&state), Some((3, false)));
}
