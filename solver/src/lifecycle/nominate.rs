use std::collections::BTreeMap;

use super::effect::{PodRef, Write};
use crate::model::{Name, NodeState, Owner, Pod, PodKey, Snapshot, Target, well_known::condition};
use crate::placement::{is_leaving, may_exchange};

/// Which pods this process nominated for which nodes, so that it takes back its own nominations
/// and never one that kube-scheduler made when it preempted others. A process that has forgotten
/// them does no harm: kube-scheduler clears those that lead nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nominated {
    /// UID and node.
    pods: BTreeMap<PodKey, (Name, Name)>,
}

impl Nominated {
    /// Takes note of a nomination that was written.
    pub fn record(&mut self, pod: &PodRef, node: Option<&Name>) {
        match node {
            Some(node) => {
                self.pods.insert(pod.key.clone(), (pod.uid.clone(), node.clone()));
            }
            None => {
                self.pods.remove(&pod.key);
            }
        }
    }

    /// Forgets pods that are bound or gone.
    pub fn keep_unbound(&mut self, snapshot: &Snapshot) {
        self.pods
            .retain(|key, (uid, _)| snapshot.unbound.get(key).is_some_and(|pod| pod.uid == *uid));
    }

    fn is_ours(&self, pod: &Pod, node: &Name) -> bool {
        self.pods.get(&pod.key).is_some_and(|(uid, ours)| *uid == pod.uid && ours == node)
    }
}

/// Where kube-scheduler should look first: a nomination for each pod that waits, whose place the
/// plan has settled (`targets`, by UID) and whose node is up; and none any more where the plan has
/// changed its mind.
///
/// A nomination for a node that is not up would be of no use: kube-scheduler would try it, fail
/// and clear it. Nor are pods nominated that may have each other's places, as long as several wait:
/// a nominated pod keeps its node's room from the others, and with it the place that they could
/// have before it.
pub fn nominations(
    snapshot: &Snapshot,
    targets: &BTreeMap<Name, Target>,
    nominated: &Nominated,
) -> Vec<Write> {
    let waiting = || snapshot.unbound.values().filter(|pod| pod.needs_node());
    let mut alike: BTreeMap<&Owner, usize> = BTreeMap::new();
    for pod in waiting().filter(|pod| may_exchange(pod) && targets.contains_key(&pod.uid)) {
        *alike.entry(&pod.owner).or_default() += 1;
    }
    let is_alone =
        |pod: &Pod| !may_exchange(pod) || alike.get(&pod.owner).is_none_or(|all| *all < 2);
    let of_pod = |pod: &Pod| {
        let target = targets.get(&pod.uid).filter(|_| is_alone(pod));
        let wanted = target.and_then(|target| open_node(snapshot, target));
        let node = match (wanted, &pod.nominated_node) {
            (Some(wanted), None) => Some(wanted.node.name.clone()),
            (Some(wanted), Some(now)) if wanted.node.name == *now => return None,
            (wanted, Some(now)) if nominated.is_ours(pod, now) => {
                wanted.map(|wanted| wanted.node.name.clone())
            }
            _ => return None,
        };
        let pod = PodRef { key: pod.key.clone(), uid: pod.uid.clone() };
        Some(Write::NominatePod { pod, node })
    };
    waiting().filter_map(|pod| of_pod(pod)).collect()
}

/// The node of a place, if pods can go there now.
fn open_node<'a>(snapshot: &'a Snapshot, target: &Target) -> Option<&'a NodeState> {
    let state = match target {
        Target::Node(name) => snapshot.nodes.get(name)?,
        Target::Claim(name) => {
            let claim = snapshot.claims.get(name)?;
            claim.is(condition::INITIALIZED).then(|| snapshot.node_of_claim(claim)).flatten()?
        }
    };
    let is_open = state.node.ready && !state.node.unschedulable && !is_leaving(snapshot, state);
    is_open.then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Node, NodeClaim, Timestamp, well_known};
    use crate::testing::*;

    fn waiting(name: &str, nominated: Option<&str>) -> Pod {
        let pod = pod(name, &shape(100, 64).build());
        Pod { nominated_node: nominated.map(Name::from), ..pod }
    }

    fn nominate(pod: &Pod, node: Option<&str>) -> Write {
        let pod = PodRef { key: pod.key.clone(), uid: pod.uid.clone() };
        Write::NominatePod { pod, node: node.map(Name::from) }
    }

    fn initialized(name: &str) -> NodeClaim {
        let kind = type_of(&exoscale_catalog(&["ch-gva-2"]), "standard.medium").clone();
        let claim = claim(name, &pool("general"), &kind);
        let claim = claim_with_condition(claim, well_known::condition::REGISTERED);
        claim_with_condition(claim, well_known::condition::INITIALIZED)
    }

    fn to(pod: &Pod, target: Target) -> BTreeMap<Name, Target> {
        BTreeMap::from([(pod.uid.clone(), target)])
    }

    fn node_target(name: &str) -> Target {
        Target::Node(Name::from(name))
    }

    #[test]
    fn a_planned_pod_is_nominated_for_its_node_once_that_is_up() {
        let (up, pod) = (initialized("c1"), waiting("a", None));
        let target = to(&pod, Target::Claim("c1".into()));
        let node = node_of_claim(&up);
        let at = |node: Option<Node>, claim: NodeClaim| {
            let cluster = cluster().pod(pod.clone()).claim(claim);
            let cluster = node.into_iter().fold(cluster, |cluster, node| cluster.node(node));
            nominations(&cluster.snapshot(), &target, &Nominated::default())
        };
        let name = node.name.to_string();
        assert_eq!(at(Some(node.clone()), up.clone()), [nominate(&pod, Some(&name))]);
        assert_eq!(at(None, up.clone()), []);
        let starting = NodeClaim { conditions: Box::default(), ..up.clone() };
        assert_eq!(at(Some(node.clone()), starting), []);
        let deleted = NodeClaim { deleted: Some(Timestamp::from_seconds(1)), ..up.clone() };
        assert_eq!(at(Some(node.clone()), deleted), []);
        assert_eq!(at(Some(Node { ready: false, ..node.clone() }), up.clone()), []);
        assert_eq!(at(Some(Node { unschedulable: true, ..node }), up), []);
    }

    #[test]
    fn bound_pods_and_pods_without_a_place_are_left_alone() {
        let (free, planned) = (waiting("free", None), bound(waiting("bound", None), "n1"));
        let snapshot =
            cluster().node(node("n1", 4_000, 8_192)).pod(free).pod(planned.clone()).snapshot();
        let targets = to(&planned, node_target("n1"));
        assert_eq!(nominations(&snapshot, &targets, &Nominated::default()), []);
    }

    #[test]
    fn pods_that_may_have_each_others_places_are_not_nominated_while_several_wait() {
        let spread = |name: &str| {
            let spread = shape(100, 64).spread(well_known::ZONE_LABEL, 1);
            pod(name, &spread.build())
        };
        let (one, two) = (spread("one"), spread("two"));
        let targets: BTreeMap<Name, Target> =
            [&one, &two].map(|pod| (pod.uid.clone(), node_target("n1"))).into();
        let with = |pods: [Pod; 2]| {
            let snapshot = cluster().node(node("n1", 4_000, 8_192)).pods(pods).snapshot();
            nominations(&snapshot, &targets, &Nominated::default())
        };
        assert_eq!(with([one.clone(), two.clone()]), []);
        assert_eq!(with([bound(one, "n1"), two.clone()]), [nominate(&two, Some("n1"))]);
    }

    #[test]
    fn our_nominations_follow_the_plan_and_those_of_kube_scheduler_stay() {
        let pod = waiting("a", Some("n1"));
        let snapshot = cluster()
            .node(node("n1", 4_000, 8_192))
            .node(node("n2", 4_000, 8_192))
            .pod(pod.clone())
            .snapshot();
        let mut nominated = Nominated::default();
        let to_n2 = to(&pod, node_target("n2"));
        let nothing = BTreeMap::new();
        assert_eq!(nominations(&snapshot, &to_n2, &nominated), [], "not ours");
        assert_eq!(nominations(&snapshot, &nothing, &nominated), [], "not ours");
        let reference = PodRef { key: pod.key.clone(), uid: pod.uid.clone() };
        nominated.record(&reference, Some(&"n1".into()));
        assert_eq!(nominations(&snapshot, &to(&pod, node_target("n1")), &nominated), []);
        assert_eq!(nominations(&snapshot, &to_n2, &nominated), [nominate(&pod, Some("n2"))]);
        assert_eq!(nominations(&snapshot, &nothing, &nominated), [nominate(&pod, None)]);
        nominated.record(&reference, None);
        assert_eq!(nominations(&snapshot, &nothing, &nominated), []);
        nominated.record(&PodRef { uid: "another".into(), ..reference }, Some(&"n1".into()));
        assert_eq!(nominations(&snapshot, &nothing, &nominated), [], "another pod of that name");
        nominated.keep_unbound(&snapshot);
        assert_eq!(nominated, Nominated::default());
    }
}
