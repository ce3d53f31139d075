//! Whose places are each other's.
//!
//! Pods of one owner and shape are as good as each other. Where they must be spread evenly,
//! kube-scheduler lets a pod into no domain but the emptiest, and it takes the pods in an order of
//! its own: a pod that insists on its own place in another domain waits until the others have
//! happened to come in the right order, and with dozens of them that takes minutes. So it has the
//! place of any of them, and that one has its.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;

use super::candidates::Candidates;
use super::filter::{Outcome, Place};
use super::{Expected, Placer, PodInQuestion};
use crate::model::{
    Name, NodeState, Owner, Pod, PodShape, Resident, Snapshot, Target, Timestamp, WhenUnsatisfiable,
};

/// Whether the place of another pod like it will do for this one.
pub fn may_exchange(pod: &Pod) -> bool {
    let strict = |when| when == WhenUnsatisfiable::DoNotSchedule;
    matches!(pod.owner, Owner::Controller(..))
        && pod.shape.topology_spread.iter().any(|spread| strict(spread.when_unsatisfiable))
}

/// Whether one pod is as good as another.
pub fn are_alike(one: &Pod, other: &Pod) -> bool {
    one.is_like(&other.owner, &other.shape)
}

/// The places of pods that are not bound yet and may exchange them, by their owners.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange(GenericHashMap<Owner, Vec<Alike>, RandomState, DefaultSharedPtr>);

/// Pods of one owner and shape: how many of them are to come to each place.
#[derive(Clone, Debug, PartialEq)]
struct Alike {
    shape: Arc<PodShape>,
    places: BTreeMap<Target, usize>,
}

impl Exchange {
    pub(super) fn add(&mut self, pod: &Pod, target: &Target) {
        if !may_exchange(pod) {
            return;
        }
        let of_owner = self.0.entry(pod.owner.clone()).or_default();
        let alike = match of_owner.iter().position(|alike| alike.shape == pod.shape) {
            Some(index) => &mut of_owner[index],
            None => {
                of_owner.push_mut(Alike { shape: Arc::clone(&pod.shape), places: BTreeMap::new() })
            }
        };
        *alike.places.entry(target.clone()).or_default() += 1;
    }

    pub(super) fn remove(&mut self, pod: &Pod, target: &Target) {
        let Some(of_owner) = self.0.get_mut(&pod.owner) else { return };
        for alike in of_owner.iter_mut().filter(|alike| alike.shape == pod.shape) {
            if let Some(count) = alike.places.get_mut(target) {
                *count -= 1;
                if *count == 0 {
                    alike.places.remove(target);
                }
            }
        }
        of_owner.retain(|alike| !alike.places.is_empty());
        if of_owner.is_empty() {
            self.0.remove(&pod.owner);
        }
    }

    /// How many pods like this one are to come to a node.
    fn count(&self, pod: &Pod, snapshot: &Snapshot, state: &NodeState) -> usize {
        let node = Target::Node(state.node.name.clone());
        let claim = snapshot.claim_of_node(&state.node);
        let claim = claim.map(|claim| Target::Claim(claim.name.clone()));
        let targets = [Some(node), claim];
        let alike = self.alike(pod);
        let counts =
            alike.flat_map(|alike| targets.iter().flatten().map(|to| alike.places.get(to)));
        counts.flatten().sum()
    }

    /// Where pods like this one are to come, and how many.
    fn places(&self, pod: &Pod) -> impl Iterator<Item = (&Target, usize)> {
        let places = self.alike(pod).flat_map(|alike| &alike.places);
        places.map(|(target, count)| (target, *count))
    }

    fn alike(&self, pod: &Pod) -> impl Iterator<Item = &Alike> {
        let of_owner = self.0.get(&pod.owner).into_iter().flatten();
        of_owner.filter(|alike| alike.shape == pod.shape)
    }
}

/// A pod that is not there after this time was sent in vain.
const GOES_FOR: Duration = Duration::from_secs(5);
/// So many are kept before those are forgotten that were sent long ago.
const MOST_GOING: usize = 256;

/// Who was sent where a moment ago: until a watch shows a pod on its node, its place would seem to
/// be free.
#[derive(Clone, Debug, Default)]
pub struct Sent(GenericHashMap<Name, Going, RandomState, DefaultSharedPtr>);

#[derive(Clone, Debug)]
struct Going {
    pod: Arc<Pod>,
    node: Name,
    at: Timestamp,
}

impl Going {
    fn is_to_come(&self, snapshot: &Snapshot) -> bool {
        snapshot.unbound.get(&self.pod.key).is_some_and(|pod| pod.uid == self.pod.uid)
    }
}

impl Sent {
    /// The same, and this pod to that node.
    #[must_use]
    pub fn with(&self, pod: Arc<Pod>, node: Name, now: Timestamp) -> Self {
        let mut next = self.clone();
        if next.0.len() >= MOST_GOING {
            next.0.retain(|_, going| now.since(going.at) < GOES_FOR);
        }
        next.0.insert(pod.uid.clone(), Going { pod, node, at: now });
        next
    }

    /// Others like this one.
    fn alike<'s>(&'s self, pod: &'s Pod, now: Timestamp) -> impl Iterator<Item = &'s Going> {
        let going = self.0.values().filter(move |going| now.since(going.at) < GOES_FOR);
        going.filter(|going| going.pod.uid != pod.uid && are_alike(&going.pod, pod))
    }
}

impl Placer<'_> {
    /// Of the candidates, one with a place that is free for this pod, though it may be planned for
    /// another one like it: `own`, which is one of them, or else the first in the order of targets.
    pub(super) fn free_place(
        &self,
        expected: &Expected,
        snapshot: &Snapshot,
        pod: &Pod,
        own: Option<&Name>,
        candidates: &Candidates<'_, '_>,
    ) -> Option<Name> {
        let going: Vec<&Going> = self.sent.map_or_else(Vec::new, |sent| {
            sent.alike(pod, self.now).filter(|going| going.is_to_come(snapshot)).collect()
        });
        let is_free = |node: &Name| {
            let going = going.iter().filter(|going| going.node == *node).count();
            snapshot.nodes.get(node).is_some_and(|state| {
                let count = expected.exchange().count(pod, snapshot, state);
                self.taken(snapshot, state, pod) + going < count
            })
        };
        if let Some(own) = own.filter(|own| is_free(own)) {
            return Some(own.clone());
        }
        // Both may be thousands: the first that will do ends the search.
        expected.exchange().places(pod).find_map(|(target, _)| match self.place(snapshot, target) {
            Place::Up(node) | Place::Starting { node, .. } => {
                (candidates.contains(snapshot, &node) && is_free(&node)).then_some(node)
            }
            Place::Coming { .. } | Place::Lost(_) => None,
        })
    }

    /// Whom the answer sends where, so that nobody else has that place meanwhile: a pod that may
    /// exchange it.
    pub fn sends(&self, pod: &PodInQuestion<'_>, outcome: &Outcome) -> Option<(Arc<Pod>, Name)> {
        let (Outcome::Planned(node) | Outcome::Exchanged(node)) = outcome else { return None };
        let known = pod.known(self.snapshot?).filter(|pod| may_exchange(pod))?;
        Some((Arc::clone(known), node.clone()))
    }

    /// Whether others like it are to come, too.
    pub(super) fn others_wait(&self, pod: &Pod) -> bool {
        let places = self.expected.map(|expected| expected.exchange().places(pod));
        places.is_some_and(|places| places.map(|(_, count)| count).sum::<usize>() > 1)
    }

    /// How many pods like this one are on a node in the place of others: the plan does not know
    /// yet that they came.
    fn taken(&self, snapshot: &Snapshot, state: &NodeState, pod: &Pod) -> usize {
        let elsewhere = |one: &&Resident| {
            let target = self.plan.targets.get(&one.uid);
            let planned = target.and_then(|target| snapshot.node_of_target(target));
            target.is_some() && planned.is_none_or(|node| node.node.name != state.node.name)
        };
        state.pods.values().filter(|one| are_alike(one, pod)).filter(elsewhere).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::well_known::ZONE_LABEL;
    use crate::placement::{Filtered, Refusal, Settings, StandingPlan};
    use crate::testing::{bound, cluster, node, pod, shape};

    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const PASS: Option<Refusal> = None;
    const ELSEWHERE: Option<Refusal> = Some(Refusal::PlannedElsewhere);

    fn spread(name: &str) -> Pod {
        pod(name, &shape(500, 256).spread(ZONE_LABEL, 1).build())
    }

    fn plan(to: &[(&Pod, &str)]) -> StandingPlan {
        let target = |node: &str| Target::Node(node.into());
        StandingPlan {
            confirmed_at: NOW,
            expires_at: Timestamp::from_seconds(1_060),
            targets: to.iter().map(|(pod, node)| (pod.uid.clone(), target(node))).collect(),
            kept: Vec::new(),
        }
    }

    fn world(pods: impl IntoIterator<Item = Pod>) -> Snapshot {
        let nodes = ["a", "b", "c"].map(|name| node(name, 4_000, 8_192));
        nodes.into_iter().fold(cluster(), |cluster, node| cluster.node(node)).pods(pods).snapshot()
    }

    fn answer(picture: &Snapshot, plan: &StandingPlan, pod: &Pod, candidates: &[&str]) -> Filtered {
        answer_after(picture, plan, &Sent::default(), pod, candidates)
    }

    fn answer_after(
        picture: &Snapshot,
        plan: &StandingPlan,
        sent: &Sent,
        pod: &Pod,
        candidates: &[&str],
    ) -> Filtered {
        let expected = Expected::of(plan, picture);
        let placer = Placer {
            snapshot: Some(picture),
            plan,
            expected: Some(&expected),
            sent: Some(sent),
            settings: Settings::default(),
            now: NOW,
        };
        let (namespace, name) = (&*pod.key.namespace, &*pod.key.name);
        let question = PodInQuestion { namespace, name, uid: &pod.uid, ..PodInQuestion::default() };
        let blind = Placer { expected: None, ..placer };
        let candidates = placer.candidates(candidates.iter().copied());
        let outcome = blind.filter(&question, &candidates).outcome;
        assert!(
            !matches!(outcome, Outcome::Exchanged(_)),
            "nobody knows of the others: {outcome:?}"
        );
        placer.filter(&question, &candidates)
    }

    #[test]
    fn a_pod_whose_turn_comes_elsewhere_has_the_place_of_another_one_like_it() {
        let (one, two) = (spread("one"), spread("two"));
        let other = pod("other", &shape(500, 256).build());
        let picture = world([one.clone(), two.clone(), other.clone()]);
        let plan = plan(&[(&one, "a"), (&two, "b"), (&other, "c")]);
        let own = answer(&picture, &plan, &one, &["a", "b", "c"]);
        assert_eq!(own.outcome, Outcome::Planned("a".into()), "its own place comes first");
        assert_eq!(own.verdicts, [PASS, ELSEWHERE, ELSEWHERE]);
        // kube-scheduler takes no node of the zone of "a".
        let exchanged = answer(&picture, &plan, &one, &["c", "b"]);
        assert_eq!(exchanged.outcome, Outcome::Exchanged("b".into()));
        assert_eq!(exchanged.verdicts, [ELSEWHERE, PASS]);
        // Its turn comes when the other one has come...
        let waits = answer(&picture, &plan, &one, &["c"]);
        assert_eq!(waits.outcome, Outcome::Waiting("a".into()));
        // ...and when nobody else is to come, it is as free as ever.
        let picture_later = world([one.clone(), bound(two.clone(), "b")]);
        let free = answer(&picture_later, &plan, &one, &["c"]);
        assert_eq!(free.outcome, Outcome::FellOpen("a".into()));
        // Pods that are not to be spread keep their places.
        let plain = answer(&picture, &plan, &other, &["a", "b"]);
        assert_eq!(plain.outcome, Outcome::FellOpen("c".into()));
    }

    #[test]
    fn a_place_that_another_one_took_is_taken_before_the_plan_knows() {
        let (one, two) = (spread("one"), spread("two"));
        let picture = world([bound(one.clone(), "b"), two.clone()]);
        let plan = plan(&[(&one, "a"), (&two, "b")]);
        let taken = answer(&picture, &plan, &two, &["a", "b"]);
        assert_eq!(taken.outcome, Outcome::Waiting("b".into()));
        // One that was there before takes nobody's place.
        let picture = world([bound(spread("old"), "b"), two.clone()]);
        let free = answer(&picture, &plan, &two, &["a", "b"]);
        assert_eq!(free.outcome, Outcome::Planned("b".into()));
    }

    #[test]
    fn a_pod_on_its_way_has_its_place_until_it_is_seen_there_or_did_not_come() {
        let [one, two, three] = ["one", "two", "three"].map(spread);
        let picture = world([one.clone(), two.clone(), three.clone()]);
        let plan = plan(&[(&one, "a"), (&two, "b"), (&three, "c")]);
        let sent_at = |at: i64| {
            let at = Timestamp::from_seconds(at);
            Sent::default().with(Arc::new(one.clone()), "b".into(), at)
        };
        let asks = |picture: &Snapshot, sent: &Sent, pod: &Pod| {
            answer_after(picture, &plan, sent, pod, &["b"]).outcome
        };
        let waits = |node: &str| Outcome::Waiting(node.into());
        assert_eq!(asks(&picture, &sent_at(996), &three), waits("c"), "the place is taken");
        assert_eq!(asks(&picture, &sent_at(996), &two), waits("b"));
        assert_eq!(asks(&picture, &sent_at(996), &one), Outcome::Exchanged("b".into()), "its own");
        assert_eq!(asks(&picture, &sent_at(995), &three), Outcome::Exchanged("b".into()));
        // Seen there: it counts once.
        let there = world([bound(one.clone(), "b"), two.clone(), three.clone()]);
        assert_eq!(asks(&there, &sent_at(996), &two), waits("b"));
        let elsewhere = world([bound(one.clone(), "a"), two.clone(), three.clone()]);
        assert_eq!(asks(&elsewhere, &sent_at(996), &two), Outcome::Planned("b".into()));
    }

    #[test]
    fn who_is_alike_is_known_as_pods_come_and_go() {
        let (one, two) = (spread("one"), spread("two"));
        let larger = pod("larger", &shape(600, 256).spread(ZONE_LABEL, 1).build());
        let plan = plan(&[(&one, "a"), (&two, "b"), (&larger, "c")]);
        let places = |expected: &Expected| {
            let places = expected.exchange().places(&one);
            places.map(|(target, count)| (target.clone(), count)).collect::<Vec<_>>()
        };
        let to = |node: &str| (Target::Node(node.into()), 1);
        let expected = Expected::of(&plan, &world([one.clone(), two.clone(), larger.clone()]));
        assert_eq!(places(&expected), [to("a"), to("b")]);
        let fewer = expected.follow(&plan, &world([bound(one.clone(), "b"), two, larger.clone()]));
        assert_eq!(places(&fewer), [to("b")]);
        assert_eq!(places(&fewer.follow(&plan, &world([larger]))), []);
    }
}
