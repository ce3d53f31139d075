use std::sync::Arc;

use super::candidates::{Candidates, Known};
use super::exchange::may_exchange;
use super::leaving::{is_leaving, leaving};
use super::{Placer, PodInQuestion};
use crate::constraints::resources;
use crate::model::{
    ConditionStatus, Name, Node, NodeClaim, Pod, Snapshot, Taint, TaintEffect, Target, Timestamp,
    well_known,
};

/// Why a node was refused.
///
/// kube-scheduler counts refusals by their text (`4999 waiting for ...`), so there are few texts
/// and none speaks of a particular node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The plan has another node for the pod.
    PlannedElsewhere,
    /// The plan launches a node for the pod, and it is on its way.
    Waiting,
    /// The node is about to be removed.
    Leaving,
    /// The pod fits, but then other pods would not, which the plan sends there.
    Held,
}

impl Refusal {
    /// What kube-scheduler is told.
    pub const fn message(self) -> &'static str {
        match self {
            Self::PlannedElsewhere => "the plan has another node for this pod",
            Self::Waiting => "waiting for the node that the plan launches for this pod",
            Self::Leaving => "the node is about to be removed",
            Self::Held => "the room on the node is kept for pods that the plan sends there",
        }
    }
}

/// Which rule answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The picture of the cluster is not complete: everything passes.
    Unsynced,
    /// The plan is too old to follow, or there is none: everything passes.
    Stale,
    /// The pod is bound already: everything passes.
    Bound,
    /// A DaemonSet's pod or a critical one: everything passes.
    Exempt,
    /// The plan doesn't speak of the pod: every node passes that stays.
    Unplanned,
    /// Nor of this one, but it keeps places for its like: these pass.
    Successor,
    /// The pod goes to its planned node, this one.
    Planned(Name),
    /// The pod goes to a node that is planned for others like it, this one.
    Exchanged(Name),
    /// The pod waits for the node of this claim.
    Waiting(Name),
    /// kube-scheduler refused the planned node, this one: every node passes that stays.
    FellOpen(Name),
    /// The planned node or claim, this one, is gone, leaving or overdue: every node passes that
    /// stays.
    Overtaken(Name),
}

impl Outcome {
    /// Its name in metrics and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unsynced => "unsynced",
            Self::Stale => "stale",
            Self::Bound => "bound",
            Self::Exempt => "exempt",
            Self::Unplanned => "unplanned",
            Self::Successor => "successor",
            Self::Planned(_) => "planned",
            Self::Exchanged(_) => "exchanged",
            Self::Waiting(_) => "waiting",
            Self::FellOpen(_) => "fell_open",
            Self::Overtaken(_) => "overtaken",
        }
    }

    /// The node or claim that it speaks of.
    pub const fn target(&self) -> Option<&Name> {
        match self {
            Self::Planned(name)
            | Self::Exchanged(name)
            | Self::Waiting(name)
            | Self::FellOpen(name)
            | Self::Overtaken(name) => Some(name),
            Self::Unsynced
            | Self::Stale
            | Self::Bound
            | Self::Exempt
            | Self::Unplanned
            | Self::Successor => None,
        }
    }
}

/// The answer to a filter call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// Which rule answered.
    pub outcome: Outcome,
    /// One entry per candidate, in their order: `None` passes.
    pub verdicts: Vec<Option<Refusal>>,
}

/// What became of the node that a pod was planned for.
pub(super) enum Place {
    /// It is up, and kube-scheduler knows.
    Up(Name),
    /// It is there, but startup taints, its kubelet or the like still keep pods away, or did a
    /// moment ago.
    Starting { claim: Name, node: Name },
    /// It has not joined.
    Coming { claim: Name },
    /// There will be no such node, or not for long.
    Lost(Name),
}

impl Placer<'_> {
    /// Which of the candidates, on all of which the pod fits, the plan leaves to it.
    pub fn filter(&self, pod: &PodInQuestion<'_>, candidates: &Candidates<'_, '_>) -> Filtered {
        let all = |verdict: Option<Refusal>| vec![verdict; candidates.len()];
        let pass_all = |outcome| Filtered { outcome, verdicts: all(None) };
        let Some(snapshot) = self.snapshot else { return pass_all(Outcome::Unsynced) };
        if pod.node.is_some() {
            return pass_all(Outcome::Bound);
        }
        if pod.critical || pod.of_daemon_set {
            return pass_all(Outcome::Exempt);
        }
        if !self.plan.is_good_at(self.now) {
            return pass_all(Outcome::Stale);
        }
        let outcome = self.outcome(snapshot, pod, candidates);
        if outcome == Outcome::Unplanned
            && let Some(verdicts) = self.successor(snapshot, pod, candidates)
        {
            return Filtered { outcome: Outcome::Successor, verdicts };
        }
        if let Some(exchanged) = self.exchanged(snapshot, pod, candidates, &outcome) {
            return exchanged;
        }
        let verdicts = match &outcome {
            Outcome::Planned(node) => only(node, candidates),
            Outcome::Waiting(_) => all(Some(Refusal::Waiting)),
            _ => self.free(snapshot, pod, candidates),
        };
        Filtered { outcome, verdicts }
    }

    /// The answer for a planned pod that has the places of others like it, unless its own is there
    /// and free.
    fn exchanged(
        &self,
        snapshot: &Snapshot,
        pod: &PodInQuestion<'_>,
        candidates: &Candidates<'_, '_>,
        outcome: &Outcome,
    ) -> Option<Filtered> {
        let (Outcome::Planned(own) | Outcome::Waiting(own) | Outcome::FellOpen(own)) = outcome
        else {
            return None;
        };
        let known = pod.known(snapshot).filter(|pod| may_exchange(pod))?;
        let standing = match outcome {
            Outcome::Planned(own) => Some(own),
            _ => None,
        };
        let free = self.free_place(self.expected?, snapshot, known, standing, candidates);
        let Some(free) = free else {
            // Another one has its place, and the plan does not know yet whose it has for that; or
            // kube-scheduler lets it into no domain that has places left, and will once others
            // have come. If none comes, it is planned for anew.
            let waits = standing.is_some() || self.others_wait(known);
            let wait = || Filtered {
                outcome: Outcome::Waiting(own.clone()),
                verdicts: vec![Some(Refusal::Waiting); candidates.len()],
            };
            return waits.then(wait);
        };
        if standing == Some(&free) {
            return None;
        }
        // One alone, so that it is known which place is taken.
        let verdicts = only(&free, candidates);
        Some(Filtered { outcome: Outcome::Exchanged(free), verdicts })
    }

    fn outcome(
        &self,
        snapshot: &Snapshot,
        pod: &PodInQuestion<'_>,
        candidates: &Candidates<'_, '_>,
    ) -> Outcome {
        let Some(target) = self.target(snapshot, pod) else { return Outcome::Unplanned };
        let is_candidate = |node: &Name| candidates.contains(snapshot, node);
        match self.place(snapshot, target) {
            Place::Up(node) if is_candidate(&node) => Outcome::Planned(node),
            Place::Up(node) => Outcome::FellOpen(node),
            Place::Starting { node, .. } if is_candidate(&node) => Outcome::Planned(node),
            Place::Starting { claim, .. } | Place::Coming { claim } => Outcome::Waiting(claim),
            Place::Lost(name) => Outcome::Overtaken(name),
        }
    }

    /// The verdicts on a pod that is free to go anywhere: rules 4 and 5.
    fn free(
        &self,
        snapshot: &Snapshot,
        pod: &PodInQuestion<'_>,
        candidates: &Candidates<'_, '_>,
    ) -> Vec<Option<Refusal>> {
        let known = pod.known(snapshot);
        let held = known.and_then(|pod| self.held(snapshot, pod));
        let leaving = leaving(snapshot);
        let mut stays = false;
        // Whether nothing is left for it beside what is held for others.
        let is_held = |name: &str, node: Option<Known<'_>>| {
            let held = held.as_ref().filter(|held| held.is_any_on(name))?;
            let node = snapshot.numbered_node(node?.number)?;
            let left = &node.free() - &held.on(node)?;
            (!resources::check(&known?.shape.requests, &left)).then_some(Refusal::Held)
        };
        let verdicts = candidates
            .iter()
            .map(|(name, node)| {
                if leaving.contains(name) {
                    return Some(Refusal::Leaving);
                }
                stays = true;
                is_held(name, node)
            })
            .collect();
        if !stays && tolerates_disruption(known) {
            return vec![None; candidates.len()];
        }
        verdicts
    }

    /// The verdicts on a pod for whose like places are kept, if it can have one: rule 6.
    fn successor(
        &self,
        snapshot: &Snapshot,
        pod: &PodInQuestion<'_>,
        candidates: &Candidates<'_, '_>,
    ) -> Option<Vec<Option<Refusal>>> {
        if self.plan.kept.is_empty() {
            return None;
        }
        let known = pod.known(snapshot)?;
        let places: Vec<&str> = self
            .plan
            .kept
            .iter()
            .filter(|kept| kept.suits(known))
            .map(|kept| kept.node.as_str())
            .collect();
        let elsewhere =
            |candidate: &&str| (!places.contains(candidate)).then_some(Refusal::PlannedElsewhere);
        let free = self.free(snapshot, pod, candidates).into_iter().zip(candidates.names());
        let verdicts: Vec<Option<Refusal>> =
            free.map(|(refused, candidate)| refused.or_else(|| elsewhere(candidate))).collect();
        verdicts.iter().any(Option::is_none).then_some(verdicts)
    }

    /// Where the plan wants the pod.
    pub(super) fn target(&self, snapshot: &Snapshot, pod: &PodInQuestion<'_>) -> Option<&Target> {
        if pod.uid.is_empty() {
            return self.plan.targets.get(&pod.shown(snapshot)?.uid);
        }
        self.plan.targets.get(pod.uid)
    }

    /// The planned node, if it is there and stays: what scoring prefers.
    pub(super) fn standing_node(&self, snapshot: &Snapshot, target: &Target) -> Option<Name> {
        match self.place(snapshot, target) {
            Place::Up(node) | Place::Starting { node, .. } => Some(node),
            Place::Coming { .. } | Place::Lost(_) => None,
        }
    }

    pub(super) fn place(&self, snapshot: &Snapshot, target: &Target) -> Place {
        match target {
            Target::Node(name) => match snapshot.nodes.get(name) {
                Some(state) if is_leaving(snapshot, state) => Place::Lost(name.clone()),
                Some(state) => self.place_of_node(snapshot, &state.node),
                None => Place::Lost(name.clone()),
            },
            Target::Claim(name) => match snapshot.claims.get(name) {
                Some(claim) => self.place_of_claim(snapshot, claim),
                None => Place::Lost(name.clone()),
            },
        }
    }

    fn place_of_node(&self, snapshot: &Snapshot, node: &Node) -> Place {
        // A node of nobody's claim is never waited for: nobody says when it will be up.
        let claim = node.pool().and_then(|_| snapshot.claim_of_node(node));
        claim.map_or_else(|| Place::Up(node.name.clone()), |claim| self.progress(node, claim))
    }

    fn place_of_claim(&self, snapshot: &Snapshot, claim: &NodeClaim) -> Place {
        if claim.deleted.is_some() {
            return Place::Lost(claim.name.clone());
        }
        match snapshot.node_of_claim(claim) {
            Some(state) if is_leaving(snapshot, state) => Place::Lost(claim.name.clone()),
            Some(state) => self.progress(&state.node, claim),
            // Overdue, or it was up and somebody deleted the node.
            None if self.is_overdue(claim) || claim.is(well_known::condition::INITIALIZED) => {
                Place::Lost(claim.name.clone())
            }
            None => Place::Coming { claim: claim.name.clone() },
        }
    }

    /// How far a claim's node is that has joined and stays.
    fn progress(&self, node: &Node, claim: &NodeClaim) -> Place {
        let settled =
            up_since(node, claim).is_some_and(|since| self.now >= since + self.settings.settle);
        if settled || self.is_overdue(claim) {
            Place::Up(node.name.clone())
        } else {
            Place::Starting { claim: claim.name.clone(), node: node.name.clone() }
        }
    }

    fn is_overdue(&self, claim: &NodeClaim) -> bool {
        self.now >= claim.created + self.settings.claim_deadline
    }
}

/// The verdicts by which one node passes.
fn only(node: &Name, candidates: &Candidates<'_, '_>) -> Vec<Option<Refusal>> {
    let refused = |one: &&str| (**one != **node).then_some(Refusal::PlannedElsewhere);
    candidates.names().iter().map(refused).collect()
}

/// Since when everything is over that pods have to wait for at a node's start.
fn up_since(node: &Node, claim: &NodeClaim) -> Option<Timestamp> {
    let by_condition = claim
        .condition(well_known::condition::INITIALIZED)
        .filter(|condition| condition.status == ConditionStatus::True)
        .map(|condition| condition.since);
    let by_label = || {
        node.label(well_known::INITIALIZED_LABEL)
            .filter(|value| **value == "true")
            .map(|_| node.ready_since.unwrap_or(node.created))
    };
    by_condition.or_else(by_label)
}

/// Whether kube-scheduler will go on offering the pod nodes that are tainted for removal. A pod
/// that no watch has shown yet gets the benefit of the doubt.
fn tolerates_disruption(pod: Option<&Arc<Pod>>) -> bool {
    let taint = Taint {
        key: Name::from(well_known::DISRUPTED_TAINT),
        value: Name::default(),
        effect: TaintEffect::NoSchedule,
    };
    pod.is_none_or(|pod| pod.tolerates(&taint))
}
