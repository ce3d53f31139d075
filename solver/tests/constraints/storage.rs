//! Volumes.

use berth_solver::model::*;
use berth_solver::testing::*;

use super::support::*;

fn storage(cluster: ClusterBuilder) -> ClusterBuilder {
    let on = |zones: &[&str]| requirements(&[(ZONE, Operator::In, zones)]);
    let waiting = storage_class("waiting", VolumeBinding::WaitForFirstConsumer);
    let class = |class| ClusterEvent::StorageClass(Change::Applied(class));
    let claim = |name: &str, volume: &str, class: &str| {
        ClusterEvent::PersistentVolumeClaim(Change::Applied(VolumeClaim {
            volume: (!volume.is_empty()).then(|| volume.into()),
            class: (!class.is_empty()).then(|| class.into()),
            exclusive: name == "exclusive",
            ..volume_claim(name)
        }))
    };
    let volume = |name, nodes: &[Requirements]| {
        ClusterEvent::PersistentVolume(Change::Applied(volume(name, nodes)))
    };
    let on_n = requirements(&[(well_known::HOSTNAME_LABEL, Operator::In, &["n"])]);
    cluster
        .event(volume("v-b", &[on(&["b"])]))
        .event(volume("v-n", &[on_n]))
        .event(volume("v-c", &[on(&["c"])]))
        .event(class(StorageClass {
            name: "only-b".into(),
            allowed_topologies: Box::from([on(&["b"])]),
            ..waiting.clone()
        }))
        .event(class(waiting))
        .event(class(storage_class("immediate", VolumeBinding::Immediate)))
        .event(claim("in-b", "v-b", ""))
        .event(claim("on-n", "v-n", ""))
        .event(claim("in-c", "v-c", ""))
        .event(claim("exclusive", "v-b", ""))
        .event(claim("new", "", "waiting"))
        .event(claim("new-2", "", "waiting"))
        .event(claim("new-in-b", "", "only-b"))
        .event(claim("late", "", "immediate"))
}

fn using(name: &str, claims: &[&str]) -> Pod {
    let volume_claims = claims.iter().map(|claim| Name::from(*claim)).collect();
    Pod { volume_claims, ..pod(name, &shape(500, 512).build()) }
}

#[test]
fn volumes_say_where_a_pod_goes() {
    let rows: [(&[&str], &str); 9] = [
        (&["in-b"], "small in b"),
        (&["on-n"], "node n"),
        (&["new"], "node n"),
        (&["new-in-b"], "small in b"),
        (&["in-b", "new"], "small in b"),
        (&["exclusive"], "small in b"),
        (
            &["on-n", "in-b"],
            "not: pool general: the pod's volumes can be used where kubernetes.io/hostname in [n], \
             the node has no such label; node n: the pod's volumes can be used where \
             topology.kubernetes.io/zone in [b], the node's is a",
        ),
        (
            &["in-c"],
            "not: pool general: the pod's volumes can be used where topology.kubernetes.io/zone in \
             [c], the node's is a; node n: the pod's volumes can be used where \
             topology.kubernetes.io/zone in [c], the node's is a",
        ),
        (
            &["late"],
            "not: its PersistentVolumeClaim default/late is not bound yet: its StorageClass \
             immediate binds Immediate, before a pod is placed",
        ),
    ];
    for (claims, expected) in rows {
        let cluster = storage(base()).node(in_zone("n", "a", 4_000)).pod(using("db", claims));
        assert_eq!(outcome(&planned(&cluster)), [expected], "{claims:?}");
    }
    let nobody = base().pod(using("db", &["nowhere"]));
    let expected = "not: its PersistentVolumeClaim default/nowhere is not there";
    assert_eq!(outcome(&planned(&nobody)), [expected]);
}

#[test]
fn two_pods_do_not_get_a_claim_that_is_for_one() {
    let pods = [using("db-0", &["exclusive"]), using("db-1", &["exclusive"])];
    let expected = [
        "small in b",
        "not: its PersistentVolumeClaim default/exclusive is ReadWriteOncePod and pod default/db-0 \
         has it",
    ];
    assert_eq!(outcome(&planned(&storage(base()).pods(pods))), expected);
}

#[test]
fn a_node_attaches_no_more_volumes_than_its_csi_node_says() {
    let pods = [using("db-0", &["new"]), using("db-1", &["new-2"])];
    let csi = |limit| {
        let drivers = Box::from([("csi.test".into(), Some(limit))]);
        ClusterEvent::CsiNode(Change::Applied(CsiNode { name: "n".into(), drivers }))
    };
    let rows: [(u32, [&str; 2]); 3] = [
        (2, ["node n", "node n"]),
        (1, ["node n", "small in a"]),
        (0, ["small in a", "small in a"]),
    ];
    for (limit, expected) in rows {
        let cluster =
            storage(base()).node(in_zone("n", "a", 4_000)).pods(pods.clone()).event(csi(limit));
        assert_eq!(outcome(&planned(&cluster)), expected, "limit {limit}");
    }
    let alone = storage(cluster()).node(in_zone("n", "a", 4_000)).event(csi(0));
    assert_eq!(
        outcome(&planned(&alone.pod(pods[0].clone()))),
        [
            "not: there is no NodePool to launch nodes from; node n: 0 more volumes of csi.test can be \
          attached, the pod has 1"
        ]
    );
}
