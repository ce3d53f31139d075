//! The pods that wait to be planned for: when to plan, and where the plans so far send whom.
//!
//! ```text
//!   kube-scheduler says Unschedulable         no new pod for a second, or ten seconds in all
//!   --------------------------------> waiting ---------------------------------------------+
//!                                        ^                                                 v
//!                                        |  a while after its place opened (or there was  planned
//!                                        +--- none) and the last of the plan's pods came ---+
//!                                                                       pod bound or gone -+-> forgotten
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use foldhash::{HashMap, HashSet};

use crate::model::{Name, Plan, Pod, Snapshot, Target, Timestamp};
use crate::placement::{StandingPlan, are_alike, may_exchange};

/// How patient the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Planning begins when no new pod has come for so long...
    pub batch_idle: Duration,
    /// ...and at the latest so long after the first.
    pub batch_longest: Duration,
    /// Pods that no place was found for, or whose place is gone, are planned for again after this
    /// time. So are pods that did not come to their place, counted from when that was open and the
    /// last of those that were planned with them came: kube-scheduler takes one pod at a time, and
    /// a spread may keep one waiting for others.
    pub retry_after: Duration,
    /// For so long the standing plan is followed, unless it is confirmed before.
    pub plan_lifetime: Duration,
}

impl Default for QueueSettings {
    /// Karpenter's batch times: 1 s idle, 10 s in all.
    fn default() -> Self {
        Self {
            batch_idle: Duration::from_secs(1),
            batch_longest: Duration::from_secs(10),
            retry_after: Duration::from_secs(10),
            plan_lifetime: Duration::from_secs(60),
        }
    }
}

/// When to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nobody waits.
    Never,
    /// At this moment, if no pod comes before.
    At(Timestamp),
    /// Now.
    Now,
}

/// What became of a pod that was planned for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Planned {
    /// Its place, if there is one.
    target: Option<Target>,
    /// The number of the plan.
    plan: u64,
    /// When it was planned for.
    at: Timestamp,
    /// Since when nothing keeps it: its place opened, and the last of the plan's pods came.
    since: Timestamp,
}

/// The pods that wait to be planned for, and those that were and are not bound yet.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    settings: QueueSettings,
    /// By UID.
    planned: HashMap<Name, Planned>,
    /// UIDs.
    waiting: HashSet<Name>,
    /// When the first of those that wait came.
    first: Timestamp,
    /// When the last of them came.
    last: Timestamp,
    /// When there was a plan last, or should have been.
    planned_at: Option<Timestamp>,
    /// How many plans there were.
    plans: u64,
}

impl Queue {
    /// A queue that knows of no pod.
    pub fn new(settings: QueueSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// After a restart: pods that a claim was launched for, and that are not bound, go there.
    pub fn adopt(&mut self, snapshot: &Snapshot, now: Timestamp) {
        for claim in snapshot.claims.values().filter(|claim| claim.deleted.is_none()) {
            for uid in &claim.planned_pods {
                let target = Some(Target::Claim(claim.name.clone()));
                self.insert(uid.clone(), target, now);
            }
        }
        self.forget_and_retry(snapshot, now);
    }

    /// Looks at who is pending, and says when to plan.
    pub fn look(&mut self, snapshot: &Snapshot, now: Timestamp) -> Due {
        self.forget_and_retry(snapshot, now);
        let waiting: Vec<&Name> =
            pending(snapshot).filter(|uid| !self.planned.contains_key(*uid)).collect();
        if waiting.is_empty() {
            self.waiting.clear();
            return self.look_at_headroom(snapshot, now);
        }
        if self.waiting.is_empty() {
            self.first = now;
        }
        let some_came = waiting.iter().any(|uid| !self.waiting.contains(*uid));
        if some_came {
            self.last = now;
        }
        // Most of the time it is still the same ones who wait.
        if some_came || waiting.len() != self.waiting.len() {
            self.waiting = waiting.into_iter().cloned().collect();
        }
        let due =
            (self.last + self.settings.batch_idle).min(self.first + self.settings.batch_longest);
        if due <= now { Due::Now } else { Due::At(due) }
    }

    /// Room to keep free is looked after every so often, though nobody waits.
    fn look_at_headroom(&self, snapshot: &Snapshot, now: Timestamp) -> Due {
        if snapshot.buffers.values().all(|buffer| buffer.replicas == 0) {
            return Due::Never;
        }
        match self.planned_at.map(|at| at + self.settings.retry_after) {
            Some(due) if due > now => Due::At(due),
            _ => Due::Now,
        }
    }

    /// Takes note of a plan that is going to be carried out.
    pub fn record(&mut self, plan: &Plan, now: Timestamp) {
        self.plans += 1;
        let placed = plan.placements.iter().map(|one| (&one.uid, Some(&one.target)));
        let unplaced = plan.unschedulable.iter().map(|one| (&one.uid, None));
        for (uid, target) in placed.chain(unplaced) {
            self.insert(uid.clone(), target.cloned(), now);
        }
        // Those that the plan does not speak of are others' to place: they need no plan each second.
        for uid in std::mem::take(&mut self.waiting) {
            if !self.planned.contains_key(&uid) {
                self.insert(uid, None, now);
            }
        }
        self.planned_at = Some(now);
    }

    /// There was no plan that can be carried out: whoever is pending waits for the next try.
    pub fn record_failure(&mut self, snapshot: &Snapshot, now: Timestamp) {
        for uid in pending(snapshot) {
            self.insert(uid.clone(), None, now);
        }
        self.planned_at = Some(now);
        self.waiting.clear();
    }

    /// A claim that pods were planned for does not come into being: they wait for another place.
    pub fn release(&mut self, claim: &Name) {
        self.planned.retain(
            |_, planned| !matches!(&planned.target, Some(Target::Claim(name)) if name == claim),
        );
    }

    /// Pods that were planned for go elsewhere after all.
    pub fn redirect(&mut self, targets: impl IntoIterator<Item = (Name, Target)>, now: Timestamp) {
        self.plans += 1;
        for (uid, target) in targets {
            self.waiting.remove(&uid);
            self.insert(uid, Some(target), now);
        }
    }

    fn insert(&mut self, uid: Name, target: Option<Target>, now: Timestamp) {
        self.planned.insert(uid, Planned { target, plan: self.plans, at: now, since: now });
    }

    /// Where pods that are not bound yet should go, by UID.
    pub fn targets(&self) -> BTreeMap<Name, Target> {
        let placed =
            self.planned.iter().filter_map(|(uid, planned)| Some((uid, planned.target.as_ref()?)));
        placed.map(|(uid, target)| (uid.clone(), target.clone())).collect()
    }

    /// The same for the extender, confirmed now.
    pub fn standing_plan(&self, now: Timestamp) -> StandingPlan {
        StandingPlan {
            confirmed_at: now,
            expires_at: now + self.settings.plan_lifetime,
            targets: self.targets(),
            kept: Vec::new(),
        }
    }

    /// How many pods wait to be planned for.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Where a pod came to the place of another one like it, that one has its place now.
    fn exchange(&mut self, snapshot: &Snapshot, unbound: &Unbound<'_>) {
        // Those who wait, by the nodes of their places.
        let mut waiting: BTreeMap<&Name, Vec<&Pod>> = BTreeMap::new();
        for (uid, planned) in &self.planned {
            let Some(pod) = unbound.get(uid).filter(|pod| may_exchange(pod)) else { continue };
            let node = planned.target.as_ref().and_then(|target| snapshot.node_of_target(target));
            if let Some(node) = node {
                waiting.entry(&node.node.name).or_default().push(pod);
            }
        }
        let mut exchanged = Vec::new();
        for (node, mut losers) in waiting {
            let Some(state) = snapshot.nodes.get(node) else { continue };
            losers.sort_unstable_by(|one, other| one.uid.cmp(&other.uid));
            for winner in state.pods.values().filter(|pod| may_exchange(pod)) {
                let planned = self.planned.get(&winner.uid);
                let Some(target) = planned.and_then(|planned| planned.target.as_ref()) else {
                    continue;
                };
                let own = snapshot.node_of_target(target);
                if own.is_some_and(|own| own.node.name == *node) {
                    continue;
                }
                if let Some(index) = losers.iter().position(|loser| are_alike(loser, winner)) {
                    exchanged.push((losers.remove(index).uid.clone(), target.clone()));
                }
            }
        }
        for (uid, target) in exchanged {
            if let Some(planned) = self.planned.get_mut(&uid) {
                planned.target = Some(target);
            }
        }
    }

    fn forget_and_retry(&mut self, snapshot: &Snapshot, now: Timestamp) {
        if self.planned.is_empty() {
            return;
        }
        let retry_after = self.settings.retry_after;
        let waiting = snapshot.unbound.values().filter(|pod| pod.needs_node());
        let unbound: Unbound<'_> = waiting.map(|pod| (&pod.uid, &**pod)).collect();
        let came = self.planned.iter().filter(|(uid, _)| !unbound.contains_key(uid));
        let came: Vec<(Name, u64)> =
            came.map(|(uid, planned)| (uid.clone(), planned.plan)).collect();
        if !came.is_empty() {
            self.exchange(snapshot, &unbound);
        }
        let coming: BTreeSet<u64> = came.iter().map(|(_, plan)| *plan).collect();
        came.iter().for_each(|(uid, _)| drop(self.planned.remove(uid)));
        // Many pods go to one place.
        let mut places: HashMap<Target, Place> = HashMap::default();
        let mut place_of = |target: &Target| {
            *places.entry(target.clone()).or_insert_with(|| place(snapshot, target))
        };
        self.planned.retain(|_, planned| {
            let counts_from = match &planned.target {
                None => planned.at,
                Some(target) => match place_of(target) {
                    Place::Gone => planned.at,
                    Place::Open if !coming.contains(&planned.plan) => planned.since,
                    Place::Open | Place::Coming => {
                        planned.since = now;
                        now
                    }
                },
            };
            now.since(counts_from) < retry_after
        });
    }
}

/// The UIDs of the pods that kube-scheduler found no node for when it last tried, and for which
/// one has to be found: not of those that are nominated for one.
fn pending(snapshot: &Snapshot) -> impl Iterator<Item = &Name> {
    let pods = snapshot.unbound.values().filter(|pod| pod.needs_node() && pod.unschedulable);
    pods.filter(|pod| !snapshot.is_nominated(pod)).map(|pod| &pod.uid)
}

/// The pods that wait for a node, by UID.
type Unbound<'s> = HashMap<&'s Name, &'s Pod>;

/// What became of the place of a pod that was planned for.
#[derive(Clone, Copy)]
enum Place {
    /// Its node is on its way.
    Coming,
    /// Pods could go there now.
    Open,
    /// There is no such place, or not for long.
    Gone,
}

fn place(snapshot: &Snapshot, target: &Target) -> Place {
    let Target::Claim(name) = target else { return Place::Open };
    match snapshot.claims.get(name).filter(|claim| claim.deleted.is_none()) {
        None => Place::Gone,
        Some(claim) if snapshot.node_of_claim(claim).is_some() => Place::Open,
        Some(_) => Place::Coming,
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{ClusterState, NodeClaim, Placement, Pod, Unschedulable, well_known};
    use crate::testing::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_seconds(1_000) + Duration::from_millis(millis)
    }

    fn waiting_pod(name: &str) -> Pod {
        pod(name, &shape(100, 64).build())
    }

    fn with(pods: &[&str]) -> Snapshot {
        cluster().pods(pods.iter().map(|name| waiting_pod(name))).snapshot()
    }

    fn uid(name: &str) -> Name {
        waiting_pod(name).uid
    }

    #[test]
    fn planning_begins_when_no_pod_has_come_for_a_second() {
        let mut queue = Queue::default();
        assert_eq!(queue.look(&ClusterState::new().snapshot(), at(0)), Due::Never);
        assert_eq!(queue.look(&with(&["a"]), at(0)), Due::At(at(1_000)));
        assert_eq!(queue.look(&with(&["a", "b"]), at(600)), Due::At(at(1_600)));
        assert_eq!(queue.look(&with(&["a", "b"]), at(1_599)), Due::At(at(1_600)));
        assert_eq!(queue.look(&with(&["a", "b"]), at(1_600)), Due::Now);
        assert_eq!(queue.waiting(), 2);
    }

    #[test]
    fn whose_place_another_one_took_has_that_ones() {
        let spread = |name: &str| {
            let spread = shape(100, 64).spread(well_known::ZONE_LABEL, 1);
            Pod { unschedulable: true, ..pod(name, &spread.build()) }
        };
        let (one, two, three) = (spread("one"), spread("two"), spread("three"));
        let world = |pods: [Pod; 3]| {
            let nodes = ["a", "b"].map(|name| node(name, 4_000, 8_192));
            let cluster = nodes.into_iter().fold(cluster(), |cluster, node| cluster.node(node));
            cluster.pods(pods).snapshot()
        };
        let mut queue = Queue::default();
        queue.look(&world([one.clone(), two.clone(), three.clone()]), at(0));
        let on = |pod: &Pod, node: &str| Placement {
            target: Target::Node(node.into()),
            ..place_on_claim(pod, "")
        };
        let mut plan = empty_plan();
        plan.placements = vec![on(&one, "a"), on(&two, "b"), on(&three, "b")];
        queue.record(&plan, at(0));
        queue.look(&world([bound(one, "b"), two.clone(), bound(three, "b")]), at(100));
        assert_eq!(queue.targets(), BTreeMap::from([(two.uid, Target::Node("a".into()))]));
    }

    #[test]
    fn and_after_ten_seconds_though_pods_go_on_coming() {
        let mut queue = Queue::default();
        let names: Vec<String> = (0..30).map(|index| format!("p{index}")).collect();
        for (index, now) in (0..20_u64).map(|index| (index, index * 500)) {
            let come: Vec<&str> =
                names.iter().take(1 + index as usize).map(String::as_str).collect();
            assert!(matches!(queue.look(&with(&come), at(now)), Due::At(_)), "at {now}");
        }
        assert_eq!(queue.look(&with(&["p0"]), at(10_000)), Due::Now);
    }

    #[test]
    fn a_pod_that_kube_scheduler_has_not_looked_at_yet_does_not_wait() {
        let fresh = cluster().pod(Pod { unschedulable: false, ..waiting_pod("a") }).snapshot();
        assert_eq!(Queue::default().look(&fresh, at(0)), Due::Never);
    }

    #[test]
    fn pods_that_were_planned_for_are_sent_there_until_they_are_bound() {
        let mut queue = Queue::default();
        let snapshot = with(&["a", "b"]);
        queue.look(&snapshot, at(0));
        let mut plan = empty_plan();
        plan.placements = vec![place_on_claim(&waiting_pod("a"), "c1")];
        plan.unschedulable = vec![Unschedulable {
            pod: waiting_pod("b").key,
            uid: uid("b"),
            reason: "too large".to_owned(),
        }];
        queue.record(&plan, at(1_000));
        assert_eq!(queue.look(&snapshot, at(1_000)), Due::Never);
        let standing = queue.standing_plan(at(1_000));
        assert_eq!(standing.targets, BTreeMap::from([(uid("a"), Target::Claim("c1".into()))]));
        assert!(standing.is_good_at(at(60_999)) && !standing.is_good_at(at(61_000)));
        queue.look(&with(&["b"]), at(2_000));
        assert!(queue.targets().is_empty());
    }

    #[test]
    fn pods_without_a_place_and_pods_whose_node_is_there_are_tried_again() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["ch-gva-2"]));
        let coming = claim("c1", &general, type_of(&catalog, "standard.medium"));
        let coming = claim_with_condition(coming, well_known::condition::LAUNCHED);
        let base = || {
            cluster()
                .pool(general.clone(), catalog.clone())
                .claim(coming.clone())
                .pods([waiting_pod("a"), waiting_pod("b")])
        };
        let mut queue = Queue::default();
        let mut plan = empty_plan();
        plan.placements = vec![place_on_claim(&waiting_pod("a"), "c1")];
        queue.record(&plan, at(0));
        queue.record_failure(&with(&["b"]), at(0));
        let snapshot = base().snapshot();
        assert_eq!(queue.look(&snapshot, at(9_999)), Due::Never);
        // `b` has no place; `a` goes on waiting for its node.
        assert_eq!(queue.look(&snapshot, at(10_000)), Due::At(at(11_000)));
        assert_eq!(queue.waiting(), 1);
        let snapshot = base().node(node_of_claim(&coming)).snapshot();
        queue.look(&snapshot, at(19_999));
        assert_eq!(queue.waiting(), 1, "its node was not there 10 s ago");
        queue.look(&snapshot, at(20_000));
        assert_eq!(queue.waiting(), 2, "its node is there, and it is not on it");
    }

    #[test]
    fn a_pod_goes_on_waiting_for_its_place_while_others_of_its_plan_come_to_theirs() {
        let mut queue = Queue::default();
        let names = ["a", "b", "c"];
        let mut plan = empty_plan();
        plan.placements = names.map(|name| place_on_node(&waiting_pod(name), "n1")).into();
        queue.record(&plan, at(0));
        let mut later = empty_plan();
        later.placements = vec![place_on_node(&waiting_pod("d"), "n1")];
        queue.record(&later, at(1_000));
        // `a` comes after 9 s, `d`, which was planned for later, after 18: that says nothing of `b`.
        queue.look(&with(&["b", "c", "d"]), at(9_000));
        assert_eq!(queue.look(&with(&["b", "c"]), at(18_000)), Due::Never);
        assert_eq!(queue.targets().len(), 2);
        assert!(matches!(queue.look(&with(&["b", "c"]), at(19_000)), Due::At(_)));
        assert_eq!(queue.waiting(), 2);
    }

    #[test]
    fn room_to_keep_free_is_looked_after_though_nobody_waits() {
        let snapshot = cluster().buffer("spare", &shape(100, 64).build(), 1).snapshot();
        let mut queue = Queue::default();
        assert_eq!(queue.look(&snapshot, at(0)), Due::Now);
        queue.record(&empty_plan(), at(0));
        assert_eq!(queue.look(&snapshot, at(1)), Due::At(at(10_000)));
        assert_eq!(queue.look(&snapshot, at(10_000)), Due::Now);
        let nothing = cluster().buffer("spare", &shape(100, 64).build(), 0).snapshot();
        assert_eq!(queue.look(&nothing, at(10_000)), Due::Never);
    }

    #[test]
    fn a_pod_that_was_promised_a_node_does_not_wait() {
        let promised = |node: &str| {
            let pod = Pod { nominated_node: Some(node.into()), ..waiting_pod("a") };
            // Somebody has to leave for it.
            let victim = Pod { deleted: Some(at(0)), ..bound(waiting_pod("b"), "n") };
            let pods = [pod, victim];
            let snapshot =
                cluster().node(node_named("n")).node(node_named("free")).pods(pods).snapshot();
            Queue::default().look(&snapshot, at(0))
        };
        assert_eq!(promised("n"), Due::Never);
        assert_eq!(promised("gone"), Due::At(at(1_000)));
        assert_eq!(promised("free"), Due::At(at(1_000)), "nothing keeps it waiting there");
    }

    fn node_named(name: &str) -> crate::model::Node {
        node(name, 1_000, 1_000)
    }

    #[test]
    fn a_pod_that_is_nominated_for_its_node_still_goes_there() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["ch-gva-2"]));
        let made = claim("c1", &general, type_of(&catalog, "standard.medium"));
        let up = claim_with_condition(made, well_known::condition::LAUNCHED);
        let steered = Pod { nominated_node: Some("c1".into()), ..waiting_pod("a") };
        let snapshot = cluster()
            .pool(general, catalog)
            .claim(up.clone())
            .node(node_of_claim(&up))
            .pod(steered)
            .snapshot();
        let mut queue = Queue::default();
        let mut plan = empty_plan();
        plan.placements = vec![place_on_claim(&waiting_pod("a"), "c1")];
        queue.record(&plan, at(0));
        assert_eq!(queue.look(&snapshot, at(9_999)), Due::Never);
        assert_eq!(queue.targets(), BTreeMap::from([(uid("a"), Target::Claim("c1".into()))]));
        // The nomination led nowhere.
        assert_eq!(queue.look(&snapshot, at(10_000)), Due::At(at(11_000)));
    }

    #[test]
    fn a_pod_that_plans_do_not_speak_of_is_not_planned_for_each_second() {
        let mut queue = Queue::default();
        let snapshot = with(&["of-another-scheduler"]);
        assert_eq!(queue.look(&snapshot, at(0)), Due::At(at(1_000)));
        queue.record(&empty_plan(), at(1_000));
        assert_eq!(queue.look(&snapshot, at(1_000)), Due::Never);
    }

    #[test]
    fn a_claim_that_cannot_be_made_frees_its_pods() {
        let mut queue = Queue::default();
        let mut plan = empty_plan();
        plan.placements = vec![place_on_claim(&waiting_pod("a"), "c1")];
        queue.record(&plan, at(0));
        queue.release(&"c1".into());
        assert!(queue.targets().is_empty());
        assert_eq!(queue.look(&with(&["a"]), at(0)), Due::At(at(1_000)));
    }

    #[test]
    fn after_a_restart_claims_say_where_their_pods_go() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["ch-gva-2"]));
        let made = claim("c1", &general, type_of(&catalog, "standard.medium"));
        let planned_pods = Box::from([uid("a"), uid("gone")]);
        let snapshot = cluster()
            .pool(general.clone(), catalog)
            .claim(NodeClaim { planned_pods, ..made })
            .pods([waiting_pod("a"), waiting_pod("b")])
            .snapshot();
        let mut queue = Queue::default();
        queue.adopt(&snapshot, at(0));
        assert_eq!(queue.targets(), BTreeMap::from([(uid("a"), Target::Claim("c1".into()))]));
        assert_eq!(queue.look(&snapshot, at(0)), Due::At(at(1_000)), "for b");
    }
}
