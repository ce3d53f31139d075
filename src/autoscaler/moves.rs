//! The places that a round of disruption has for the pods that it evicts.
//!
//! An evicted pod does not come back: its controller makes another one. The first pod of the same
//! controller and shape that waits gets the place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_solver::disruption::Round;
use berth_solver::model::{
    Change, Name, Owner, Pod, PodKey, PodShape, Snapshot, Target, Timestamp,
};
use berth_solver::placement::Kept;

/// Once the pod that leaves is gone, its successor comes within this time, or nobody does: its
/// workload may have become smaller. A controller makes some twenty pods a second: while it makes
/// any, the others are still to come.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// A pod that is not bound so long after it was sent is one as any other.
const SENT_FOR: Duration = Duration::from_secs(30);

/// Places that are kept, and pods that were sent to them.
#[derive(Debug, Default)]
pub(super) struct Moves {
    waiting: BTreeMap<Owner, Vec<Waiting>>,
    /// The UIDs of new pods, and when they were sent to their places.
    sent: BTreeMap<Name, Timestamp>,
    /// UIDs of pods that take no place: they were there before, or have one.
    known: BTreeSet<Name>,
}

#[derive(Debug)]
struct Waiting {
    shape: Arc<PodShape>,
    /// The pod that is evicted for it: while it runs, nobody else comes.
    leaving: (PodKey, Name),
    /// Its node.
    from: Name,
    to: Target,
    /// Since when it is gone and its controller has made no other.
    quiet: Option<Timestamp>,
}

impl Waiting {
    /// Whether a pod has come that the extender let have the place before it was sent there.
    fn is_taken(&self, owner: &Owner, snapshot: &Snapshot, known: &mut BTreeSet<Name>) -> bool {
        let Some(state) = snapshot.node_of_target(&self.to) else { return false };
        let mut alike = state.pods.values().filter(|pod| pod.is_like(owner, &self.shape));
        let new = alike.find(|pod| !known.contains(&pod.uid));
        new.is_some_and(|pod| known.insert(pod.uid.clone()))
    }
}

impl Moves {
    /// Keeps the places of a round that begins.
    pub(super) fn expect(&mut self, snapshot: &Snapshot, round: &Round) {
        let owners: BTreeSet<&Owner> = round
            .moves
            .iter()
            .filter_map(|one| snapshot.pods.get(&one.pod))
            .map(|pod| &pod.owner)
            .collect();
        let others = snapshot.pods.values().filter(|pod| owners.contains(&pod.owner));
        self.known.extend(others.map(|pod| pod.uid.clone()));
        for one in &round.moves {
            let Some(pod) = snapshot.pods.get(&one.pod).filter(|pod| pod.uid == one.uid) else {
                continue;
            };
            self.waiting.entry(pod.owner.clone()).or_default().push(Waiting {
                shape: Arc::clone(&pod.shape),
                leaving: (pod.key.clone(), pod.uid.clone()),
                from: one.from.clone(),
                to: one.to.clone(),
                quiet: None,
            });
        }
    }

    /// Gives up the places of pods whose nodes stay after all: only these go.
    pub(super) fn keep_only(&mut self, going: &BTreeSet<Name>) {
        self.waiting.retain(|_, list| {
            list.retain(|one| going.contains(&one.from));
            !list.is_empty()
        });
    }

    /// Sends new pods to the places of those that left: says which, by UID, and where.
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Timestamp) -> Vec<(Name, Target)> {
        let mut new = Vec::new();
        let unbound: BTreeSet<&Name> =
            snapshot.unbound.values().filter(|pod| pod.needs_node()).map(|pod| &pod.uid).collect();
        self.sent.retain(|uid, at| unbound.contains(uid) && now.since(*at) < SENT_FOR);
        self.waiting.retain(|owner, list| {
            let mut came = false;
            list.retain_mut(|one| {
                let (key, uid) = &one.leaving;
                let there = snapshot.pods.get(key).is_some_and(|pod| pod.uid == *uid);
                if !there {
                    one.quiet.get_or_insert(now);
                }
                let taken = one.is_taken(owner, snapshot, &mut self.known);
                came |= taken;
                !taken && one.quiet.is_none_or(|since| now.since(since) < COMES_WITHIN)
            });
            if came {
                more_will_come(list, now);
            }
            !list.is_empty()
        });
        if self.waiting.is_empty() {
            self.known.clear();
            return new;
        }
        for pod in snapshot.unbound.values().filter(|pod| pod.needs_node()) {
            if self.sent.contains_key(&pod.uid) {
                continue;
            }
            let Some(list) = self.waiting.get_mut(&pod.owner) else { continue };
            let place =
                list.iter().position(|one| one.leaving.1 != pod.uid && one.shape == pod.shape);
            if let Some(place) = place {
                let to = list.remove(place).to;
                more_will_come(list, now);
                self.known.insert(pod.uid.clone());
                self.sent.insert(pod.uid.clone(), now);
                new.push((pod.uid.clone(), to));
            }
        }
        self.waiting.retain(|_, list| !list.is_empty());
        new
    }

    /// The places of pods that do not exist yet.
    pub(super) fn kept(&self, snapshot: &Snapshot) -> Vec<Kept> {
        let kept = |owner: &Owner, one: &Waiting| {
            let node = snapshot.node_of_target(&one.to)?.node.name.clone();
            Some(Kept { node, owner: owner.clone(), shape: Arc::clone(&one.shape) })
        };
        let all = self.waiting.iter();
        all.flat_map(|(owner, list)| list.iter().filter_map(move |one| kept(owner, one))).collect()
    }

    /// The cluster as it is for everybody else: with pods in the places that are kept.
    pub(super) fn overlay(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        if self.waiting.is_empty() {
            return snapshot;
        }
        let pods = self.waiting.iter().flat_map(|(owner, list)| {
            list.iter().filter_map(|one| {
                let node = snapshot.node_of_target(&one.to)?.node.name.clone();
                let ((leaving, uid), shape) = (&one.leaving, Arc::clone(&one.shape));
                // The one that leaves is there under its own name still.
                let key =
                    PodKey { name: format!("{}/kept", leaving.name).into(), ..leaving.clone() };
                let uid = format!("kept/{uid}").into();
                let waiting = Pod::waiting(key, uid, shape, Timestamp::default());
                let bound = Pod { node: Some(node), owner: owner.clone(), ..waiting };
                Some(Change::Applied(bound))
            })
        });
        Arc::new(snapshot.imagine(pods))
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

/// Its controller has just made a pod.
fn more_will_come(list: &mut [Waiting], now: Timestamp) {
    list.iter_mut().filter_map(|one| one.quiet.as_mut()).for_each(|since| *since = now);
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
    use berth_solver::decisions::difference;
    use berth_solver::disruption::{Inputs, Move, consolidate};
    use berth_solver::model::ClusterState;
    use berth_solver::packing::Never;
    use berth_solver::testing::{bound, cluster, node, pod, shape};

    /// A round that moves the pod from the first node to another.
    fn moving(snapshot: &Snapshot, pod: &str, to: &str) -> Round {
        let (inputs, now) = (Inputs::default(), Timestamp::from_seconds(0));
        let mut round = consolidate(snapshot, &inputs, &Default::default(), now, 1, &Never);
        let pod = PodKey { namespace: "default".into(), name: pod.into() };
        let uid = snapshot.pods[&pod].uid.clone();
        round.moves = vec![Move { pod, uid, from: "n1".into(), to: Target::Node(to.into()) }];
        round
    }

    #[test]
    fn the_first_new_pod_of_the_same_kind_gets_the_place() {
        let (web, other) = (shape(100, 64).build(), shape(200, 64).build());
        let old = bound(pod("old", &web), "n1");
        let world = || cluster().node(node("n1", 1_000, 1_024)).node(node("n2", 1_000, 1_024));
        let before = world().pod(old.clone()).snapshot();
        let at = Timestamp::from_seconds;
        let round = moving(&before, "old", "n2");
        let mut moves = Moves::default();
        moves.expect(&before, &round);
        let place = Kept { node: "n2".into(), owner: old.owner, shape: Arc::clone(&web) };
        assert_eq!(moves.kept(&before), [place]);
        let taken = |moves: &Moves| {
            let with = moves.overlay(Arc::new(before.clone()));
            let mut written_down = ClusterState::new();
            for event in difference(&Snapshot::default(), &with) {
                written_down.apply(event);
            }
            assert_eq!(written_down.picture().nodes, with.nodes, "replays see it, too");
            with.nodes["n2"].used == web.requests
        };
        assert!(taken(&moves));
        assert_eq!(moves.look(&before, at(1)), [], "nobody waits");
        let new = |name: &str| pod(name, &web);
        let stranger = Pod { owner: Owner::None, ..new("stranger") };
        let after = world().pod(pod("larger", &other)).pod(stranger).pod(new("a")).pod(new("b"));
        let after = after.snapshot();
        assert_eq!(moves.look(&after, at(2)), [(new("a").uid, Target::Node("n2".into()))]);
        assert_eq!(moves.kept(&after), []);
        assert!(!taken(&moves), "a pod that is there takes its room itself");
        assert_eq!(moves.look(&after, at(31)), []);
        assert!(!moves.is_empty());
        moves.look(&after, at(32));
        assert!(moves.is_empty(), "it was sent long ago");

        moves.expect(&before, &round);
        let nobody = world().snapshot();
        moves.look(&nobody, at(40));
        moves.look(&nobody, at(59));
        assert!(!moves.is_empty());
        moves.look(&nobody, at(60));
        assert!(moves.is_empty(), "nobody came for it");

        moves.expect(&before, &round);
        moves.keep_only(&BTreeSet::new());
        assert!(moves.is_empty(), "its node stays");
    }

    #[test]
    fn places_are_kept_while_the_controller_makes_pods() {
        let web = shape(100, 64).build();
        let world = || cluster().node(node("n1", 1_000, 1_024)).node(node("n2", 1_000, 1_024));
        let both = ["one", "two"].map(|name| bound(pod(name, &web), "n1"));
        let before = world().pods(both).snapshot();
        let at = Timestamp::from_seconds;
        let mut moves = Moves::default();
        for name in ["one", "two"] {
            moves.expect(&before, &moving(&before, name, "n2"));
        }
        moves.look(&world().snapshot(), at(1));
        let came = world().pod(bound(pod("new", &web), "n2")).snapshot();
        moves.look(&came, at(15));
        moves.look(&came, at(34));
        assert_eq!(moves.kept(&came).len(), 1, "the other one will come, too");
        moves.look(&came, at(35));
        assert!(moves.is_empty());
    }

    #[test]
    fn a_pod_that_took_the_place_before_it_was_sent_there_has_it() {
        let web = shape(100, 64).build();
        let on = |name: &str, node: &str| bound(pod(name, &web), node);
        let world = || {
            let nodes = cluster().node(node("n1", 1_000, 1_024)).node(node("n2", 1_000, 1_024));
            nodes.pod(on("there before", "n2"))
        };
        let before = world().pod(on("old", "n1")).snapshot();
        let at = Timestamp::from_seconds;
        let mut moves = Moves::default();
        moves.expect(&before, &moving(&before, "old", "n2"));
        moves.look(&world().snapshot(), at(1));
        assert!(!moves.is_empty(), "the one that was there before is none that came");
        moves.look(&world().pod(on("new", "n2")).snapshot(), at(2));
        assert!(moves.is_empty());
    }
}
