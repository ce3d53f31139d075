//! The places that a round of disruption has for the pods that it evicts.
//!
//! An evicted pod does not come back: its controller makes another one. The first pod of the same
//! controller and shape that waits gets the place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_solver::disruption::Round;
use berth_solver::model::{Name, Owner, PodKey, PodShape, Snapshot, Target, Timestamp};

/// Once the pod that leaves is gone, its successor comes within this time, or nobody does: its
/// workload may have become smaller.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// A pod that is not bound so long after it was sent is planned for as any other.
const SENT_FOR: Duration = Duration::from_secs(30);

/// Places that are kept, and pods that were sent to them.
#[derive(Debug, Default)]
pub(super) struct Moves {
    waiting: BTreeMap<Owner, Vec<Waiting>>,
    /// By the UIDs of the new pods.
    sent: BTreeMap<Name, (Target, Timestamp)>,
}

#[derive(Debug)]
struct Waiting {
    shape: Arc<PodShape>,
    /// The pod that is evicted for it: while it runs, nobody else comes.
    leaving: (PodKey, Name),
    to: Target,
    /// Since when it is gone.
    gone: Option<Timestamp>,
}

impl Moves {
    /// Keeps the places of the pods of these nodes.
    pub(super) fn expect(&mut self, snapshot: &Snapshot, round: &Round, nodes: &BTreeSet<Name>) {
        for one in round.moves.iter().filter(|one| nodes.contains(&one.from)) {
            let Some(pod) = snapshot.pods.get(&one.pod).filter(|pod| pod.uid == one.uid) else {
                continue;
            };
            self.waiting.entry(pod.owner.clone()).or_default().push(Waiting {
                shape: Arc::clone(&pod.shape),
                leaving: (pod.key.clone(), pod.uid.clone()),
                to: one.to.clone(),
                gone: None,
            });
        }
    }

    /// Sends new pods to the places of those that left.
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let unbound: BTreeSet<&Name> =
            snapshot.unbound.values().filter(|pod| pod.needs_node()).map(|pod| &pod.uid).collect();
        self.sent.retain(|uid, (_, at)| unbound.contains(uid) && now.since(*at) < SENT_FOR);
        self.waiting.retain(|_, list| {
            list.retain_mut(|one| {
                let (key, uid) = &one.leaving;
                let there = snapshot.pods.get(key).is_some_and(|pod| pod.uid == *uid);
                if !there {
                    one.gone.get_or_insert(now);
                }
                one.gone.is_none_or(|at| now.since(at) < COMES_WITHIN)
            });
            !list.is_empty()
        });
        if self.waiting.is_empty() {
            return;
        }
        for pod in snapshot.unbound.values().filter(|pod| pod.needs_node()) {
            if self.sent.contains_key(&pod.uid) {
                continue;
            }
            let Some(list) = self.waiting.get_mut(&pod.owner) else { continue };
            let place = list.iter().position(|one| {
                one.leaving.1 != pod.uid
                    && (Arc::ptr_eq(&one.shape, &pod.shape) || one.shape == pod.shape)
            });
            if let Some(place) = place {
                let to = list.remove(place).to;
                self.sent.insert(pod.uid.clone(), (to, now));
            }
        }
        self.waiting.retain(|_, list| !list.is_empty());
    }

    /// Where pods were sent, by their UIDs.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&Name, &Target)> {
        self.sent.iter().map(|(uid, (target, _))| (uid, target))
    }

    /// Whether every place is taken, or nobody comes for it.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    /// The names of the claims whose nodes are to receive pods.
    pub(super) fn awaited(&self, snapshot: &Snapshot) -> BTreeSet<Name> {
        let targets = self.waiting.values().flatten().map(|one| &one.to);
        targets.filter_map(|target| claim_of(snapshot, target)).collect()
    }
}

/// The name of the claim that a target means.
pub(super) fn claim_of(snapshot: &Snapshot, target: &Target) -> Option<Name> {
    match target {
        Target::Claim(name) => Some(name.clone()),
        Target::Node(name) => {
            let state = snapshot.nodes.get(name)?;
            Some(snapshot.claim_of_node(&state.node)?.name.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_solver::disruption::{Move, consolidate};
    use berth_solver::model::Pod;
    use berth_solver::packing::Never;
    use berth_solver::testing::{bound, cluster, node, pod, shape};

    #[test]
    fn the_first_new_pod_of_the_same_kind_gets_the_place() {
        let (web, other) = (shape(100, 64).build(), shape(200, 64).build());
        let old = bound(pod("old", &web), "n1");
        let world = || cluster().node(node("n1", 1_000, 1_024)).node(node("n2", 1_000, 1_024));
        let before = world().pod(old.clone()).snapshot();
        let at = Timestamp::from_seconds;
        let inputs = berth_solver::disruption::Inputs::default();
        let mut round = consolidate(&before, &inputs, &Default::default(), at(0), 1, &Never);
        round.moves = vec![Move {
            pod: PodKey { namespace: "default".into(), name: "old".into() },
            uid: old.uid.clone(),
            from: "n1".into(),
            to: Target::Node("n2".into()),
        }];
        let mut moves = Moves::default();
        moves.expect(&before, &round, &BTreeSet::from(["n1".into()]));
        moves.look(&before, at(1));
        assert_eq!(moves.targets().count(), 0, "nobody waits");
        let new = |name: &str| pod(name, &web);
        let stranger = Pod { owner: Owner::None, ..new("stranger") };
        let after = world().pod(pod("larger", &other)).pod(stranger).pod(new("a")).pod(new("b"));
        let after = after.snapshot();
        moves.look(&after, at(2));
        let sent: Vec<_> = moves.targets().collect();
        assert_eq!(sent, [(&new("a").uid, &Target::Node("n2".into()))]);
        moves.look(&after, at(31));
        assert_eq!(moves.targets().count(), 1);
        moves.look(&after, at(32));
        assert!(moves.is_empty(), "it was sent long ago");
        moves.expect(&before, &round, &BTreeSet::from(["n1".into()]));
        let nobody = world().snapshot();
        moves.look(&nobody, at(40));
        moves.look(&nobody, at(59));
        assert!(!moves.is_empty());
        moves.look(&nobody, at(60));
        assert!(moves.is_empty(), "nobody came for it");
    }
}
