//! Room kept for buffers is on nodes that would take such pods, and is all accounted for. That it
//! fits beside the plan's pods is checked with these.

use std::collections::BTreeMap;

use crate::model::{Plan, PodKey, Snapshot};

use super::picture::{keeps_off, selects};
use super::{Code, Findings, Picture};

pub(super) fn check(
    snapshot: &Snapshot,
    picture: &Picture<'_>,
    plan: &Plan,
    findings: &mut Findings,
) {
    let mut told: BTreeMap<&PodKey, u32> = BTreeMap::new();
    for headroom in &plan.headroom {
        let sum = told.entry(&headroom.buffer).or_default();
        *sum = sum.saturating_add(headroom.places);
        let (Some(buffer), Some(target)) =
            (snapshot.buffers.get(&headroom.buffer), &headroom.target)
        else {
            continue;
        };
        let Some(host) = picture.host_of(target) else {
            let problem = format!("room for buffer {} is kept nowhere", headroom.buffer);
            findings.add(Code::TargetUnknown, problem);
            continue;
        };
        let host = &picture.hosts[host];
        let unwelcome = host.taints.iter().any(|taint| keeps_off(taint, &buffer.shape))
            || !selects(&buffer.shape, &host.labels);
        if let Some(why) = host.leaving {
            let (buffer, title) = (&headroom.buffer, &host.title);
            findings.add(
                Code::TargetLeaving,
                format!("room for buffer {buffer} is kept on {title}, which {why}"),
            );
        }
        if unwelcome || host.cordoned {
            findings.add(
                Code::Headroom,
                format!("{} would not take a pod of buffer {}", host.title, headroom.buffer),
            );
        }
    }
    for (key, places) in &told {
        if snapshot.buffers.get(*key).is_none_or(|buffer| buffer.replicas < *places) {
            let problem = format!("buffer {key} does not ask for {places} places");
            findings.add(Code::Headroom, problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Headroom, Plan, Target};
    use crate::testing::{ClusterBuilder, cluster, node, pod, shape, taint};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes};

    fn with_buffer(replicas: u32) -> ClusterBuilder {
        cluster().buffer("spare", &shape(1_000, 100).build(), replicas)
    }

    #[test]
    fn room_is_kept_where_such_pods_could_go_and_fits_beside_the_plan() {
        let mut closed = node("closed", 4_000, 4_000);
        closed.taints = Box::from([taint("team", "a")]);
        let new = pod("new", &shape(1_500, 100).build());
        let snapshot =
            with_buffer(2).node(node("n", 4_000, 4_000)).node(closed).pod(new.clone()).snapshot();
        let found = |node: &str, places: u32| {
            let headroom = vec![Headroom {
                buffer: pod("spare", &new.shape).key,
                target: Some(Target::Node(node.into())),
                places,
                reason: String::new(),
            }];
            codes(&snapshot, &Plan { headroom, ..on_nodes(&[(&new, "n")]) })
        };
        assert_eq!(found("n", 2), []);
        assert_eq!(found("n", 3), [Code::TooLittleRoom, Code::Headroom]);
        assert_eq!(found("closed", 1), [Code::Headroom]);
        assert_eq!(found("nowhere", 1), [Code::TargetUnknown]);
    }
}
