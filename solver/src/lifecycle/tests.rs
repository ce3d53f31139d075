//! Tests of the life cycle.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::model::{
    Change, ClusterEvent, Labels, Name, NodeClaim, Pod, PodPhase, Timestamp, VolumeAttachment,
    VolumeClaim, well_known, well_known::condition,
};
use crate::testing::*;

const DELETED: Timestamp = Timestamp::from_seconds(1_000);

/// A cluster whose only claim is being deleted, its node marked, with these pods on it.
fn leaving(change: impl FnOnce(NodeClaim) -> NodeClaim, pods: Vec<Pod>) -> ClusterBuilder {
    let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
    let kind = type_of(&catalog, "standard.medium").clone();
    let gone = NodeClaim { deleted: Some(DELETED), ..up(claim("n", &general, &kind)) };
    let gone = change(gone);
    let mut node = node_of_claim(&gone);
    node.taints = Box::from([disrupted_taint()]);
    cluster().pool(general, catalog).claim(gone).node(node).pods(pods)
}

fn drained(claim: NodeClaim) -> NodeClaim {
    claim_with_condition(claim, condition::DRAINED)
}

/// What is to be done next, so many seconds after the deletion, in words.
fn next(world: &ClusterBuilder, seconds: u64, irreplaceable: &[&Pod]) -> Vec<String> {
    let snapshot = world.snapshot();
    let irreplaceable: BTreeSet<Name> = irreplaceable.iter().map(|pod| pod.uid.clone()).collect();
    let now = DELETED + Duration::from_secs(seconds);
    let claim = &snapshot.claims["n"];
    let effects = steps(&snapshot, claim, None, &irreplaceable, &Settings::default(), now);
    effects.iter().map(|effect| format!("{} {}", effect.name(), effect.subject())).collect()
}

fn attachment(name: &str, node: &str, volume: Option<&str>) -> ClusterEvent {
    ClusterEvent::VolumeAttachment(Change::Applied(VolumeAttachment {
        name: name.into(),
        node: node.into(),
        volume: volume.map(Name::from),
    }))
}

#[test]
fn a_machine_goes_once_no_volume_is_attached_to_its_node() {
    let elsewhere = leaving(drained, vec![]).event(attachment("a", "another", Some("v")));
    assert_eq!(next(&elsewhere, 1, &[]), ["RecordDetached nodeclaim/n"]);
    let here = leaving(drained, vec![]).event(attachment("a", "n", Some("v")));
    assert_eq!(next(&here, 1, &[]), [""; 0]);
    assert_eq!(next(&here, 1_000_000, &[]), [""; 0], "it waits as long as it takes");
    let away = here.event(ClusterEvent::VolumeAttachment(Change::Deleted("a".into())));
    assert_eq!(next(&away, 1, &[]), ["RecordDetached nodeclaim/n"]);
    let detached = |claim| claim_with_condition(drained(claim), condition::VOLUMES_DETACHED);
    // One that comes later changes nothing any more.
    let detached = leaving(detached, vec![]).event(attachment("late", "n", None));
    assert_eq!(next(&detached, 1, &[]), ["TerminateInstance nodeclaim/n"]);
}

#[test]
fn volumes_are_waited_for_until_the_grace_period_is_over() {
    let hurried = |claim| NodeClaim {
        termination_grace_period: Some(Duration::from_secs(600)),
        ..drained(claim)
    };
    let world = leaving(hurried, vec![]).event(attachment("a", "n", Some("v")));
    assert_eq!(next(&world, 599, &[]), [""; 0]);
    assert_eq!(next(&world, 600, &[]), ["TerminateInstance nodeclaim/n"]);
}

#[test]
fn volumes_of_pods_that_stay_are_not_waited_for() {
    let agent = Pod {
        volume_claims: Box::from([Name::from("data")]),
        phase: PodPhase::Running,
        ..bound(pod("agent", &shape(100, 64).tolerate(well_known::DISRUPTED_TAINT).build()), "n")
    };
    let data = VolumeClaim { volume: Some("of-the-agent".into()), ..volume_claim("data") };
    let world = leaving(drained, vec![agent])
        .event(ClusterEvent::PersistentVolumeClaim(Change::Applied(data)))
        .event(attachment("a", "n", Some("of-the-agent")));
    assert_eq!(next(&world, 1, &[]), ["RecordDetached nodeclaim/n"]);
    let another = world.event(attachment("b", "n", Some("another")));
    assert_eq!(next(&another, 1, &[]), [""; 0]);
}

#[test]
fn a_pod_that_is_to_be_replaced_first_is_evicted_only_if_that_cannot_be() {
    let one = bound(pod("one", &shape(100, 64).build()), "n");
    let one = Pod { replace_first: true, ..one };
    let plain = bound(pod("plain", &shape(100, 64).build()), "n");
    let world = leaving(|claim| claim, vec![one.clone(), plain]);
    let first = ["ReplacePod pod/default/one", "EvictPod pod/default/plain"];
    assert_eq!(next(&world, 1, &[]), first);
    let both = ["EvictPod pod/default/one", "EvictPod pod/default/plain"];
    assert_eq!(next(&world, 1, &[&one]), both);
    let hurried =
        |claim| NodeClaim { termination_grace_period: Some(Duration::from_secs(600)), ..claim };
    let world = leaving(hurried, vec![one]);
    assert_eq!(next(&world, 1, &[]), ["ReplacePod pod/default/one"]);
    assert_eq!(next(&world, 570, &[]), ["DeletePod pod/default/one"], "nobody waits any longer");
}

#[test]
fn i6_what_goes_is_meant_by_its_uid_never_by_its_name_or_by_a_number() {
    let world = leaving(drained, vec![bound(pod("web", &shape(100, 64).build()), "n")]);
    let snapshot = world.snapshot();
    let claim = ClaimRef::from(&*snapshot.claims["n"]);
    let another = ClaimRef { uid: "another".into(), ..claim.clone() };
    let node = NodeRef { name: "n".into(), uid: snapshot.nodes["n"].node.uid.clone() };
    let other_node = NodeRef { uid: "another".into(), ..node.clone() };
    let pod =
        |uid: &str| PodRef { key: snapshot.pods.keys().next().unwrap().clone(), uid: uid.into() };
    let of_pod = snapshot.pods.values().next().unwrap().uid.clone();
    let cause = Cause::ScaledDown;
    let of = |claim: ClaimRef, node: NodeRef, pod: PodRef| {
        let at = Name::from("n");
        [
            Write::DeleteClaim { claim: claim.clone(), cause },
            Write::ReleaseClaim { claim },
            Write::DeleteNode { node: node.clone() },
            Write::ReleaseNode { node: node.clone() },
            Write::TaintNode { node },
            Write::EvictPod { pod: pod.clone(), node: at.clone() },
            Write::ReplacePod { pod: pod.clone(), node: at.clone() },
            Write::DeletePod { pod, node: at, grace: Duration::from_secs(1) },
        ]
    };
    let uid = Name::from("new");
    for write in of(claim, node, pod(&of_pod)) {
        assert!(consequences(&snapshot, &write, &uid, DELETED).is_ok(), "{write:?}");
    }
    for write in of(another, other_node, pod("another")) {
        let refused = consequences(&snapshot, &write, &uid, DELETED);
        assert_eq!(refused, Err(Refused::Conflict), "{write:?}");
    }
}

#[test]
fn a_termination_time_that_is_over_hurries_pods_and_volumes() {
    let over = |claim| NodeClaim { terminate_by: Some(Timestamp::from_seconds(0)), ..claim };
    let web = bound(pod("web", &shape(100, 64).build()), "n");
    let world = leaving(over, vec![web]);
    assert_eq!(next(&world, 1, &[]), ["DeletePod pod/default/web"]);
    let world = leaving(|claim| over(drained(claim)), vec![]);
    let world = world.event(attachment("a", "n", Some("v")));
    assert_eq!(next(&world, 1, &[]), ["TerminateInstance nodeclaim/n"]);
}

#[test]
fn a_machine_is_recorded_before_it_goes_so_that_its_node_goes_too() {
    let unrecorded = |claim| NodeClaim { provider_id: None, node_name: None, ..claim };
    let snapshot = leaving(unrecorded, vec![]).snapshot();
    let claim = &snapshot.claims["n"];
    let next = |observed: Option<&Observation>| -> Vec<&str> {
        let none = BTreeSet::new();
        let effects = steps(&snapshot, claim, observed, &none, &Settings::default(), DELETED);
        effects.iter().map(Effect::name).collect()
    };
    let kind = type_of(&snapshot.catalogs["general"], "standard.medium");
    let instance = Instance {
        provider_id: "i-1".into(),
        claim: ClaimRef::from(&**claim),
        pool: "general".into(),
        instance_type: kind.name.clone(),
        zone: kind.offerings[0].zone.clone(),
        capacity_type: kind.offerings[0].capacity_type,
        labels: Labels::default(),
        capacity: kind.capacity.clone(),
        allocatable: kind.allocatable(),
        created: DELETED,
        terminating: false,
    };
    assert_eq!(next(Some(&Observation::Present(instance))), ["RecordLaunched"]);
    assert_eq!(next(None), ["TerminateInstance"], "it may never have been launched");
    assert_eq!(next(Some(&Observation::Gone)), ["ReleaseClaim"]);
}
