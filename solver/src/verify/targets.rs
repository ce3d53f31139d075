//! Pods go only where there is, or will be, a node that takes pods.

use crate::model::{Plan, Taint, TaintEffect, Target, well_known};

use super::picture::keeps_off;
use super::{Code, Findings, Picture};

pub(super) fn check(picture: &Picture<'_>, plan: &Plan, findings: &mut Findings) {
    for placement in &plan.placements {
        if picture.host_of(&placement.target).is_none() {
            let target = match &placement.target {
                Target::Node(name) => format!("node {name}"),
                Target::Claim(name) => format!("NodeClaim {name}"),
            };
            findings.add(
                Code::TargetUnknown,
                format!("pod {} goes to {target}, which is not there", placement.pod),
            );
        }
    }
    let cordon = Taint {
        key: well_known::UNSCHEDULABLE_TAINT.into(),
        value: "".into(),
        effect: TaintEffect::NoSchedule,
    };
    for placed in &picture.placed {
        let host = &picture.hosts[placed.host];
        let (pod, title) = (&placed.pod.key, &host.title);
        if let Some(why) = host.leaving {
            findings.add(Code::TargetLeaving, format!("pod {pod} goes to {title}, which {why}"));
        }
        if host.cordoned && keeps_off(&cordon, &placed.pod.shape) {
            findings
                .add(Code::TargetCordoned, format!("pod {pod} goes to {title}, which is cordoned"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Node, NodeClaim, Plan, Removal, RemovalReason, Timestamp, well_known};
    use crate::testing::{
        claim, claim_with_condition, cluster, exoscale_catalog, node, node_of_claim,
        place_on_claim, pod, pool, shape, taint, type_of,
    };
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes, plan_of};

    #[test]
    fn a_target_must_be_there() {
        let one = pod("one", &shape(100, 100).build());
        let snapshot = cluster().node(node("n", 4000, 4096)).pod(one.clone()).snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&one, "n")])), []);
        assert_eq!(codes(&snapshot, &on_nodes(&[(&one, "m")])), [Code::TargetUnknown]);
        let plan = plan_of(vec![], vec![place_on_claim(&one, "n")]);
        assert_eq!(codes(&snapshot, &plan), [Code::TargetUnknown]);
    }

    #[test]
    fn a_target_must_be_open_and_staying() {
        let one = pod("one", &shape(100, 100).tolerate("karpenter.sh/disrupted").build());
        let base = node("n", 4000, 4096);
        for (bad, code) in [
            (Node { deleted: Some(Timestamp::default()), ..base.clone() }, Code::TargetLeaving),
            (
                Node {
                    taints: Box::from([taint(well_known::DISRUPTED_TAINT, "")]),
                    ..base.clone()
                },
                Code::TargetLeaving,
            ),
            (Node { unschedulable: true, ..base.clone() }, Code::TargetCordoned),
        ] {
            let snapshot = cluster().node(bad).pod(one.clone()).snapshot();
            assert_eq!(codes(&snapshot, &on_nodes(&[(&one, "n")])), [code]);
        }
        let careless = pod("two", &shape(1, 1).tolerate(well_known::UNSCHEDULABLE_TAINT).build());
        let cordoned = Node { unschedulable: true, ..base };
        let snapshot = cluster().node(cordoned).pod(careless.clone()).snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&careless, "n")])), []);
    }

    #[test]
    fn a_claim_is_a_target_before_and_after_its_node_joins_but_not_when_it_goes() {
        let one = pod("one", &shape(100, 100).build());
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let coming = claim("general-1", &general, type_of(&catalog, "standard.small"));
        let plan = plan_of(vec![], vec![place_on_claim(&one, "general-1")]);
        let with = |claim: NodeClaim| {
            cluster().pool(general.clone(), catalog.clone()).claim(claim).pod(one.clone())
        };
        assert_eq!(codes(&with(coming.clone()).snapshot(), &plan), []);
        let joined = claim_with_condition(
            claim_with_condition(coming.clone(), well_known::condition::LAUNCHED),
            well_known::condition::REGISTERED,
        );
        let not_ready = Node {
            taints: Box::from([taint(well_known::NOT_READY_TAINT, "")]),
            labels: coming.node_labels(),
            ..node_of_claim(&joined)
        };
        assert_eq!(codes(&with(joined).node(not_ready).snapshot(), &plan), []);
        let unknown = NodeClaim { allocatable: None, ..coming.clone() };
        assert_eq!(codes(&with(unknown).snapshot(), &plan), []);
        let going = NodeClaim { deleted: Some(Timestamp::default()), ..coming.clone() };
        assert_eq!(codes(&with(going).snapshot(), &plan), [Code::TargetLeaving]);
        let removal = Removal {
            claim: coming.name.clone(),
            claim_uid: coming.uid.clone(),
            node: None,
            reason: RemovalReason::Empty,
            explanation: "a test".to_owned(),
        };
        let both = Plan { removals: vec![removal], ..plan };
        assert_eq!(codes(&with(coming).snapshot(), &both), [Code::TargetLeaving]);
    }
}
