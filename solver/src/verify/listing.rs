//! Each pod that needs a node is listed exactly once, and no other pod is.

use std::collections::BTreeMap;

use foldhash::HashSet;

use crate::model::{Name, Plan, Pod, PodKey, Snapshot};

use super::{Code, Findings};

pub(super) fn check(
    snapshot: &Snapshot,
    schedulers: &[Name],
    plan: &Plan,
    findings: &mut Findings,
) {
    let removed = removed_nodes(plan);
    let mut listed: BTreeMap<&PodKey, &Name> = BTreeMap::new();
    let placements = plan.placements.iter().map(|one| (&one.pod, &one.uid, true));
    let unschedulable = plan.unschedulable.iter().map(|one| (&one.pod, &one.uid, false));
    for (key, uid, placed) in placements.chain(unschedulable) {
        if listed.insert(key, uid).is_some() {
            findings.add(Code::PodListedTwice, format!("pod {key} is listed more than once"));
        }
        check_pod(snapshot, &removed, key, uid, placed, findings);
    }
    for pod in snapshot.unbound.values() {
        let ours = schedulers.contains(&pod.shape.scheduler);
        // One that has been promised a node needs no other.
        let promised =
            pod.nominated_node.as_ref().is_some_and(|node| snapshot.nodes.contains_key(node));
        let must = pod.needs_node() && !pod.belongs_to_node() && pod.defect.is_none() && !promised;
        if must && ours && !listed.contains_key(&pod.key) {
            findings.add(
                Code::PodForgotten,
                format!("pod {} needs a node and is neither placed nor unschedulable", pod.key),
            );
        }
    }
}

fn check_pod(
    snapshot: &Snapshot,
    removed: &HashSet<&Name>,
    key: &PodKey,
    uid: &Name,
    placed: bool,
    findings: &mut Findings,
) {
    let Some(pod) = snapshot.pods.get(key) else {
        findings.add(Code::PodUnknown, format!("pod {key} is not there"));
        return;
    };
    if pod.uid != *uid {
        findings.add(
            Code::PodReplaced,
            format!("pod {key} with UID {uid} is gone: the one there now has UID {}", pod.uid),
        );
    }
    let moves = placed && moves(removed, pod);
    if !(pod.needs_node() || moves) || pod.belongs_to_node() {
        findings.add(
            Code::PodNeedsNoNode,
            match &pod.node {
                Some(node) => format!("pod {key} is bound to node {node} already"),
                None => format!("pod {key} is ended, going, held back or its node's own"),
            },
        );
    }
    if let (true, Some(defect)) = (placed, &pod.defect) {
        findings
            .add(Code::PodDefective, format!("pod {key} is placed but makes no sense: {defect}"));
    }
}

/// The names of the nodes that a plan removes.
pub(super) fn removed_nodes(plan: &Plan) -> HashSet<&Name> {
    plan.removals.iter().filter_map(|removal| removal.node.as_ref()).collect()
}

/// Whether the pod needs another node because the one that it is bound to is removed.
pub(super) fn moves(removed: &HashSet<&Name>, pod: &Pod) -> bool {
    leaves(pod) && pod.node.as_ref().is_some_and(|node| removed.contains(node))
}

/// Whether the pod needs another node if its own is removed.
pub(super) fn leaves(pod: &Pod) -> bool {
    pod.is_alive() && pod.deleted.is_none() && !pod.belongs_to_node()
}

#[cfg(test)]
mod tests {
    use crate::model::{Owner, Plan, Pod, Timestamp, Unschedulable};
    use crate::testing::{bound, cluster, node, place_on_node, pod, shape};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes, plan_of};

    fn unschedulable(pod: &Pod) -> Unschedulable {
        Unschedulable { pod: pod.key.clone(), uid: pod.uid.clone(), reason: "a test".to_owned() }
    }

    #[test]
    fn each_pod_that_needs_a_node_is_listed_once() {
        let web = shape(100, 100).build();
        let (one, two) = (pod("one", &web), pod("two", &web));
        let snapshot = cluster().node(node("n", 4000, 4096)).pods([one.clone(), two.clone()]);
        let snapshot = snapshot.snapshot();
        let good = Plan { unschedulable: vec![unschedulable(&two)], ..on_nodes(&[(&one, "n")]) };
        assert_eq!(codes(&snapshot, &good), []);
        assert_eq!(codes(&snapshot, &on_nodes(&[(&one, "n")])), [Code::PodForgotten]);
        let twice = Plan { unschedulable: vec![unschedulable(&one)], ..good.clone() };
        assert_eq!(codes(&snapshot, &twice), [Code::PodListedTwice, Code::PodForgotten]);
        let placed_twice = on_nodes(&[(&one, "n"), (&one, "n"), (&two, "n")]);
        assert_eq!(codes(&snapshot, &placed_twice), [Code::PodListedTwice]);
    }

    #[test]
    fn a_pod_of_another_scheduler_is_not_missed() {
        let other = shape(100, 100).with(|shape| shape.scheduler = "volcano".into()).build();
        let snapshot = cluster().pod(pod("one", &other)).snapshot();
        assert_eq!(codes(&snapshot, &Plan::default()), []);
    }

    #[test]
    fn a_pod_that_is_gone_or_another_one_by_now_is_not_placed() {
        let web = shape(100, 100).build();
        let there = pod("one", &web);
        let snapshot = cluster().node(node("n", 4000, 4096)).pod(there.clone()).snapshot();
        let old = Pod { uid: "old".into(), ..there.clone() };
        assert_eq!(codes(&snapshot, &on_nodes(&[(&old, "n")])), [Code::PodReplaced]);
        let gone = pod("gone", &web);
        let plan = on_nodes(&[(&there, "n"), (&gone, "n")]);
        assert_eq!(codes(&snapshot, &plan), [Code::PodUnknown]);
    }

    #[test]
    fn a_pod_that_needs_no_node_is_not_placed() {
        let web = shape(100, 100).build();
        let base = pod("one", &web);
        for harmless in [
            bound(base.clone(), "n"),
            Pod { gated: true, ..base.clone() },
            Pod { deleted: Some(Timestamp::default()), ..base.clone() },
            Pod { owner: Owner::DaemonSet("logs".into()), ..base.clone() },
        ] {
            let snapshot = cluster().node(node("n", 4000, 4096)).pod(harmless.clone()).snapshot();
            assert_eq!(codes(&snapshot, &Plan::default()), []);
            let plan = plan_of(vec![], vec![place_on_node(&harmless, "n")]);
            assert_eq!(codes(&snapshot, &plan), [Code::PodNeedsNoNode]);
        }
    }

    #[test]
    fn a_pod_that_makes_no_sense_may_only_be_unschedulable() {
        let broken = Pod { defect: Some("cpu".into()), ..pod("one", &shape(1, 1).build()) };
        let snapshot = cluster().node(node("n", 4000, 4096)).pod(broken.clone()).snapshot();
        assert_eq!(codes(&snapshot, &Plan::default()), []);
        assert_eq!(codes(&snapshot, &on_nodes(&[(&broken, "n")])), [Code::PodDefective]);
        let told = Plan { unschedulable: vec![unschedulable(&broken)], ..Plan::default() };
        assert_eq!(codes(&snapshot, &told), []);
    }
}
