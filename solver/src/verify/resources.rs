//! What is planned for a node fits beside what is there and the daemons to come, and a launch says
//! truly what will be asked of it.

use crate::model::Resources;

use super::devices;
use super::{Code, Findings, Picture};

pub(super) fn check(picture: &Picture<'_>, findings: &mut Findings) {
    for host in &picture.hosts {
        let title = &host.title;
        if host.planned != Resources::default() {
            match &host.allocatable {
                None => findings.add(
                    Code::TargetCapacityUnknown,
                    format!("pods are placed on {title}, and nobody knows what it has"),
                ),
                Some(allocatable) => {
                    let free = allocatable - &host.taken;
                    let planned = devices::without_shares(&host.planned);
                    if let Some(resource) = planned.first_exceeding(&free) {
                        findings.add(
                            Code::TooLittleRoom,
                            format!(
                                "{title} has too little {resource}: {} are planned for it, {free} \
                                 are free",
                                host.planned
                            ),
                        );
                    }
                }
            }
        }
        let asked = &host.planned + &host.daemons;
        if let Some(launch) = host.launch.filter(|launch| launch.requests != asked) {
            findings.add(
                Code::LaunchRequests,
                format!("{title} says that {} are asked of it: {asked} are", launch.requests),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Node, NodeClaim};
    use crate::testing::{
        bound, claim, cluster, daemon_set, exoscale_catalog, node, place_on_claim, pod, pods, pool,
        shape, type_of,
    };
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes, on_one_launch, plan_of};

    #[test]
    fn pods_must_fit_beside_those_that_are_there() {
        let half = shape(500, 100).build();
        let old = bound(pod("old", &half), "n");
        let (one, two) = (pod("one", &half), pod("two", &half));
        let at = |node: Node| {
            let cluster = cluster().node(node).pods([old.clone(), one.clone(), two.clone()]);
            codes(&cluster.snapshot(), &on_nodes(&[(&one, "n"), (&two, "n")]))
        };
        assert_eq!(at(node("n", 1500, 1024)), []);
        assert_eq!(at(node("n", 1499, 1024)), [Code::TooLittleRoom]);
        assert_eq!(at(node("n", 1500, 299)), [Code::TooLittleRoom]);
        let mut few_slots = node("n", 1500, 1024);
        few_slots.allocatable.pods = 2;
        assert_eq!(at(few_slots), [Code::TooLittleRoom]);
    }

    #[test]
    fn a_node_to_come_keeps_room_for_its_daemons() {
        // 2 CPU less 300m overhead.
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let big = pod("big", &shape(1500, 100).build());
        let daemon = |cpu| daemon_set("logs", &shape(cpu, 100).build());
        let elsewhere = daemon_set("gpu", &shape(900, 100).node_selector("gpu", "yes").build());
        let base = cluster().pool(general.clone(), catalog.clone()).pod(big.clone());
        let base = base.daemon_set(elsewhere).snapshot();
        let mut plan = on_one_launch(&general, &catalog, "standard.small", &[&big]);
        assert_eq!(codes(&base, &plan), []);
        plan.launches[0].requests += &daemon(200).shape.requests;
        assert_eq!(codes(&base, &plan), [Code::LaunchRequests]);
        let with = |cpu| {
            let cluster = cluster().pool(general.clone(), catalog.clone()).pod(big.clone());
            cluster.daemon_set(daemon(cpu)).snapshot()
        };
        assert_eq!(codes(&with(200), &plan), []);
        assert_eq!(codes(&with(201), &plan), [Code::TooLittleRoom, Code::LaunchRequests]);
    }

    #[test]
    fn a_claim_under_way_has_what_was_promised() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let kind = type_of(&catalog, "standard.small");
        let waiting = pods("web", 4, &shape(500, 100).build());
        let at = |claim: NodeClaim, count: usize| {
            let cluster = cluster()
                .pool(general.clone(), catalog.clone())
                .claim(claim)
                .pods(waiting[..count].to_vec());
            let placements =
                waiting[..count].iter().map(|pod| place_on_claim(pod, "general-1")).collect();
            codes(&cluster.snapshot(), &plan_of(vec![], placements))
        };
        let coming = claim("general-1", &general, kind);
        assert_eq!(at(coming.clone(), 3), []);
        assert_eq!(at(coming.clone(), 4), [Code::TooLittleRoom]);
        let unlisted = NodeClaim {
            allocatable: None,
            labels: crate::testing::labels(&[]),
            requirements: crate::testing::requirements(&[]),
            ..coming
        };
        assert_eq!(at(unlisted, 1), [Code::TargetCapacityUnknown]);
    }
}
