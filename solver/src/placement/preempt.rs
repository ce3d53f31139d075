use std::sync::Arc;

use super::filter::Place;
use super::leaving::leaving;
use super::{Outcome, Placer, PodInQuestion};
use crate::model::{NodeState, Pod, Resources};

/// A node on which kube-scheduler would make room for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The UIDs of the pods that it would evict.
    pub victims: Vec<&'a str>,
}

/// The answer to a preempt call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preempted {
    /// Which rule answered.
    pub outcome: Outcome,
    /// One entry per proposal, in their order: whether it stands.
    pub stands: Vec<bool>,
}

impl Placer<'_> {
    /// Which of kube-scheduler's proposals to evict pods stand.
    ///
    /// Everything stands without a complete picture, and for pods that are never held up. Else:
    ///
    /// * No node that is leaving: whatever is evicted there, nothing new should land on it.
    /// * Nothing at all while the node is on its way that the plan has for the pod. Room is being
    ///   made for it already, without evicting anybody.
    /// * No node on which [`Placer::filter`] would refuse the pod even after the evictions, for
    ///   the sake of pods that the plan sends there: they would be for nothing.
    pub fn preempt(&self, pod: &PodInQuestion<'_>, proposals: &[Proposal<'_>]) -> Preempted {
        let all = |outcome| Preempted { outcome, stands: vec![true; proposals.len()] };
        let Some(snapshot) = self.snapshot else { return all(Outcome::Unsynced) };
        if pod.node.is_some() {
            return all(Outcome::Bound);
        }
        if pod.critical || pod.of_daemon_set {
            return all(Outcome::Exempt);
        }
        let is_good = self.plan.is_good_at(self.now);
        let place = self
            .target(snapshot, pod)
            .filter(|_| is_good)
            .map(|target| self.place(snapshot, target));
        let outcome = match place {
            Some(Place::Starting { claim, .. } | Place::Coming { claim }) => {
                let stands = vec![false; proposals.len()];
                return Preempted { outcome: Outcome::Waiting(claim), stands };
            }
            Some(Place::Up(node)) => Outcome::FellOpen(node),
            Some(Place::Lost(name)) => Outcome::Overtaken(name),
            None if is_good => Outcome::Unplanned,
            None => Outcome::Stale,
        };
        let known = pod.known(snapshot).filter(|_| is_good);
        let held = known.and_then(|pod| self.held(snapshot, pod));
        let leaving = leaving(snapshot);
        let stands = proposals.iter().map(|proposal| {
            if leaving.contains(proposal.node) {
                return false;
            }
            let state = snapshot.nodes.get(proposal.node);
            let taken = held.as_ref().zip(state).and_then(|(held, state)| held.on(state));
            match (known, state, taken) {
                (Some(pod), Some(state), Some(taken)) => has_room(pod, state, proposal, &taken),
                _ => true,
            }
        });
        Preempted { outcome, stands: stands.collect() }
    }
}

/// Whether the pod fits on the node once the victims have gone, beside what is held there. The
/// picture may lack a victim: then nobody knows, and kube-scheduler is believed.
fn has_room(pod: &Arc<Pod>, state: &NodeState, proposal: &Proposal<'_>, held: &Resources) -> bool {
    let of_uid = |uid: &&str| state.pods.values().find(|other| other.uid == **uid);
    let victims: Option<Vec<_>> = proposal.victims.iter().map(of_uid).collect();
    let Some(victims) = victims else { return true };
    let freed: Resources = victims.iter().map(|victim| &victim.shape.requests).sum();
    let left = &(&state.free() + &freed) - held;
    pod.shape.requests.fits(&left)
}
