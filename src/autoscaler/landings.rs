//! Whether pods landed where the plan sent them.

use std::collections::BTreeMap;

use berth_solver::model::{Name, Pod, PodKey, Snapshot, Target};

/// The pods that were sent somewhere and are not bound yet.
#[derive(Debug, Default)]
pub(super) struct Landings {
    /// By UID. The last place counts, though the plan has let go of the pod since: it meant that
    /// place until it had another one.
    sent: BTreeMap<Name, (PodKey, Target)>,
}

/// How many pods were bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Landed {
    /// On the node that the plan had for them.
    pub(super) as_planned: u64,
    /// On another one.
    pub(super) elsewhere: u64,
}

impl Landings {
    /// Takes in where pods are sent now, and says who was bound since the last look.
    pub(super) fn look(&mut self, snapshot: &Snapshot, targets: &BTreeMap<Name, Target>) -> Landed {
        let mut landed = Landed::default();
        self.sent.retain(|uid, (key, target)| {
            let Some(pod) = snapshot.pods.get(key).filter(|pod| pod.uid == *uid) else {
                return false;
            };
            match &pod.node {
                None => return true,
                Some(node) if is_node_of(snapshot, target, node) => landed.as_planned += 1,
                Some(node) => {
                    tracing::debug!(pod = %key, planned = ?target, %node, "a pod landed elsewhere");
                    landed.elsewhere += 1;
                }
            }
            false
        });
        let sent = |pod: &Pod| Some((pod.key.clone(), targets.get(&pod.uid)?.clone()));
        let unbound = snapshot.unbound.values().map(AsRef::as_ref);
        self.sent.extend(unbound.filter_map(|pod| Some((pod.uid.clone(), sent(pod)?))));
        landed
    }
}

fn is_node_of(snapshot: &Snapshot, target: &Target, node: &Name) -> bool {
    match target {
        Target::Node(name) => name == node,
        Target::Claim(name) => snapshot
            .claims
            .get(name)
            .and_then(|claim| snapshot.node_of_claim(claim))
            .is_some_and(|state| state.node.name == *node),
    }
}

#[cfg(test)]
mod tests {
    use berth_solver::testing::{
        bound, claim, claim_with_condition, cluster, exoscale_catalog, node, node_of_claim, pod,
        pool, shape, type_of,
    };

    use super::*;
    use berth_solver::model::well_known::condition;

    fn landed(as_planned: u64, elsewhere: u64) -> Landed {
        Landed { as_planned, elsewhere }
    }

    #[test]
    fn pods_count_once_when_they_are_bound_where_they_were_sent_or_elsewhere() {
        let kind = type_of(&exoscale_catalog(&["ch-gva-2"]), "standard.medium").clone();
        let made = claim("c1", &pool("general"), &kind);
        let made = claim_with_condition(made, condition::LAUNCHED);
        let made = claim_with_condition(made, condition::REGISTERED);
        let home = node_of_claim(&made);
        let pods = ["a", "b", "c"].map(|name| pod(name, &shape(100, 64).build()));
        let [a, b, c] = &pods;
        let targets = BTreeMap::from([
            (a.uid.clone(), Target::Claim("c1".into())),
            (b.uid.clone(), Target::Node("n1".into())),
        ]);
        let base =
            || cluster().node(node("n1", 4_000, 8_192)).node(home.clone()).claim(made.clone());
        let mut landings = Landings::default();
        let waiting = base().pods(pods.clone()).snapshot();
        assert_eq!(landings.look(&waiting, &targets), landed(0, 0));
        // The plan lets go of them.
        assert_eq!(landings.look(&waiting, &BTreeMap::new()), landed(0, 0));
        let placed = base()
            .pod(bound(a.clone(), &home.name))
            .pod(bound(b.clone(), &home.name))
            .pod(bound(c.clone(), "n1"))
            .snapshot();
        assert_eq!(landings.look(&placed, &targets), landed(1, 1));
        assert_eq!(landings.look(&placed, &targets), landed(0, 0), "once");
    }

    #[test]
    fn pods_that_are_gone_or_replaced_count_nowhere() {
        let old = pod("a", &shape(100, 64).build());
        let new = bound(Pod { uid: "another".into(), ..old.clone() }, "n1");
        let targets = BTreeMap::from([(old.uid.clone(), Target::Node("n1".into()))]);
        let base = || cluster().node(node("n1", 4_000, 8_192));
        let mut landings = Landings::default();
        landings.look(&base().pod(old).snapshot(), &targets);
        assert_eq!(landings.look(&base().pod(new).snapshot(), &targets), landed(0, 0));
        assert!(landings.sent.is_empty());
    }
}
