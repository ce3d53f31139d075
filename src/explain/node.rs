//! Why a node is there, and why it stays or goes.

use berth_solver::decisions::{Answer, Question};
use berth_solver::disruption::{Inputs, Obstacle, Purpose, Round, Settings, candidates, emptiness};
use berth_solver::model::{
    Name, NodeClaim, NodeState, Removal, Target, Timestamp, well_known::condition,
};

use super::{Explanation, Fact, NotThere, Picture, Subject, fact};
use crate::api::HASH_VERSION;
use crate::autoscaler::closed_budgets;

/// More pods than these are counted, not named.
const MOST_PODS: usize = 5;

impl Picture<'_> {
    pub(super) fn node(&self, subject: &Subject, name: &Name) -> Result<Explanation, NotThere> {
        let Some(state) = self.snapshot.nodes.get(name) else {
            let nodes = self.snapshot.nodes.len();
            let hint = format!(", which has {nodes} nodes; kubectl get nodes lists them");
            return Err(NotThere(subject.to_string(), hint));
        };
        if let Some(claim) = self.snapshot.claim_of_node(&state.node) {
            return Ok(self.of_claim(subject, claim, Some(state)));
        }
        let mut facts = self.facts_of_node(state);
        facts.extend(state.node.provider_id.as_ref().map(|id| fact("provider ID", id)));
        let verdict = "it stays: Berth never touches it".to_owned();
        let reason = "no NodeClaim is its own: somebody else launched it".to_owned();
        Ok(self.explained(subject, (verdict, vec![reason]), facts))
    }

    pub(super) fn claim(&self, subject: &Subject, name: &Name) -> Result<Explanation, NotThere> {
        let Some(claim) = self.snapshot.claims.get(name) else {
            let claims = self.snapshot.claims.len();
            let hint =
                format!(", which has {claims} NodeClaims; kubectl get nodeclaims lists them");
            return Err(NotThere(subject.to_string(), hint));
        };
        let state = self.snapshot.node_of_claim(claim);
        Ok(self.of_claim(subject, claim, state.map(AsRef::as_ref)))
    }

    fn of_claim(
        &self,
        subject: &Subject,
        claim: &NodeClaim,
        state: Option<&NodeState>,
    ) -> Explanation {
        let mut facts = vec![fact("NodeClaim", &claim.name)];
        let named = [
            ("NodePool", claim.pool()),
            ("instance type", claim.instance_type()),
            ("zone", claim.zone()),
        ];
        facts.extend(named.into_iter().filter_map(|(name, value)| Some(fact(name, value?))));
        facts.extend(claim.capacity_type().map(|bought| fact("capacity type", bought)));
        let price = berth_solver::disruption::price_of(self.snapshot, claim);
        let price = price.map_or("not known".to_owned(), |price| price.to_string());
        facts.push(fact("price per hour", price));
        facts.push(fact("created", self.ago(claim.created)));
        facts.extend(claim.reason.as_ref().map(|why| fact("launched because", why)));
        facts.extend(state.into_iter().flat_map(|state| self.facts_of_node(state)));
        let expected = self.expected(claim);
        if expected > 0 {
            facts.push(fact("pods planned for it", expected));
        }
        self.explained(subject, self.fate(claim, state), facts)
    }

    fn facts_of_node(&self, state: &NodeState) -> Vec<Fact> {
        let (used, has) = (&state.used, &state.node.allocatable);
        vec![
            fact("ready", if state.node.ready { "yes" } else { "no" }),
            fact("pods", format!("{} of {}", state.pods.len(), has.pods)),
            fact("cpu asked for", format!("{}m of {}m", used.cpu.0, has.cpu.0)),
            fact(
                "memory asked for",
                format!("{}Mi of {}Mi", used.memory.0 >> 20, has.memory.0 >> 20),
            ),
        ]
    }

    fn expected(&self, claim: &NodeClaim) -> usize {
        let is_here = |target: &&Target| match target {
            Target::Claim(name) => *name == claim.name,
            Target::Node(name) => Some(name) == claim.node_name.as_ref(),
        };
        self.standing.targets.values().filter(is_here).count()
    }

    /// What becomes of it, and why.
    fn fate(&self, claim: &NodeClaim, state: Option<&NodeState>) -> (String, Vec<String>) {
        if let Some(deleted) = claim.deleted {
            return self.leaving(claim, state, deleted);
        }
        if !claim.is(condition::INITIALIZED) {
            return self.coming_up(claim);
        }
        if let Some((removal, at)) = self.chosen(claim) {
            let verdict = format!("it goes: chosen {}, {}", self.ago(at), removal.reason);
            return (verdict, vec![removal.explanation.clone()]);
        }
        ("it stays".to_owned(), self.reasons_to_stay(claim))
    }

    fn leaving(
        &self,
        claim: &NodeClaim,
        state: Option<&NodeState>,
        deleted: Timestamp,
    ) -> (String, Vec<String>) {
        let mut reasons = Vec::new();
        let why = claim.condition(condition::DISRUPTION_REASON).map(|why| why.reason.to_string());
        reasons.push(why.unwrap_or_else(|| "somebody deleted its NodeClaim or node".to_owned()));
        let left: Vec<String> = state
            .into_iter()
            .flat_map(|state| state.pods.values())
            .filter(|pod| pod.is_alive() && !pod.belongs_to_node())
            .map(|pod| pod.key.to_string())
            .collect();
        if !left.is_empty() {
            let (first, more) = left.split_at(left.len().min(MOST_PODS));
            let more = match more.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            reasons.push(format!("still to leave: {}{more}", first.join(", ")));
        } else if claim.is(condition::INSTANCE_TERMINATING) {
            reasons.push("its machine is being deleted".to_owned());
        }
        (format!("it goes: being removed since {}", self.ago(deleted)), reasons)
    }

    fn coming_up(&self, claim: &NodeClaim) -> (String, Vec<String>) {
        let steps = [condition::LAUNCHED, condition::REGISTERED, condition::INITIALIZED];
        let missing = steps.into_iter().find(|step| !claim.is(step));
        let reasons = missing.map(|step| match claim.condition(step) {
            Some(found) => {
                format!("{step} is not true since {}: {}", self.ago(found.since), found.reason)
            }
            None => format!("{step} is not true yet"),
        });
        let verdict = format!("it is coming up: created {}", self.ago(claim.created));
        (verdict, reasons.into_iter().collect())
    }

    fn last_round(&self) -> Option<(&Round, &Inputs, &Settings, Timestamp)> {
        let decision = self.latest.round.as_ref()?;
        match (&decision.answer, &decision.question) {
            (Answer::Round(round), Question::Disrupt { inputs, settings }) => {
                Some((round, inputs, settings, decision.at))
            }
            _ => None,
        }
    }

    /// Its removal, if the last round chose it.
    fn chosen(&self, claim: &NodeClaim) -> Option<(&Removal, Timestamp)> {
        let (round, _, _, at) = self.last_round()?;
        let removal = round.plan.removals.iter().find(|one| one.claim_uid == claim.uid)?;
        Some((removal, at))
    }

    fn reasons_to_stay(&self, claim: &NodeClaim) -> Vec<String> {
        let mut reasons = Vec::new();
        let last = self.last_round();
        let inputs = Inputs {
            closed_budgets: closed_budgets(self.snapshot, self.now),
            hash_version: HASH_VERSION.into(),
            targets: self.standing.targets.clone(),
            ..last.map(|(_, inputs, ..)| inputs.clone()).unwrap_or_default()
        };
        let settings = last.map(|(_, _, settings, _)| settings.clone()).unwrap_or_default();
        let empty = emptiness(self.snapshot, &inputs, self.now);
        if let Some(removal) = empty.removals.iter().find(|one| one.claim_uid == claim.uid) {
            return vec![format!("it is about to go: {}", removal.explanation)];
        }
        let kept = empty.kept.iter().find(|kept| kept.claim == claim.name);
        if let Some(obstacle @ Obstacle::Headroom(_)) = kept.map(|kept| &kept.obstacle) {
            reasons.push(obstacle.to_string());
        }
        let purposes = [
            ("to replace it", Purpose::Drift),
            ("to consolidate it", Purpose::Consolidation { least_age: settings.least_age }),
        ];
        for (doing, purpose) in purposes {
            let (found, kept) = candidates(self.snapshot, &inputs, purpose, self.now);
            if let Some(kept) = kept.iter().find(|kept| kept.claim == claim.name) {
                let reason = kept.obstacle.to_string();
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
            if let Some(one) = found.iter().find(|one| one.claim.name == claim.name) {
                reasons.extend(one.drift.as_ref().map(|drift| format!("it has drifted: {drift}")));
                reasons.push(self.of_last_round(doing, claim));
            }
        }
        reasons
    }

    /// It may go. What did the last round make of it?
    fn of_last_round(&self, doing: &str, claim: &NodeClaim) -> String {
        let Some((round, _, _, at)) = self.last_round() else {
            return format!("nothing speaks against it, but no round has looked {doing} yet");
        };
        let kept = round.kept.iter().find(|kept| kept.claim == claim.name);
        let why =
            kept.map_or("it was no candidate then".to_owned(), |kept| kept.obstacle.to_string());
        format!("the last round, {}, looked {doing}: {why}", self.ago(at))
    }
}
