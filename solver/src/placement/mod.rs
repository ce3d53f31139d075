//! Where kube-scheduler should put a pod: what the extender answers.
//!
//! kube-scheduler asks with the nodes on which the pod would fit, and [`Placer::filter`] says
//! which of them the plan leaves to it. The rules, in this order:
//!
//! 1. Without a complete picture of the cluster, and without a plan that is still good, every
//!    node passes. So does every node for DaemonSet pods, for pods that the system cannot live
//!    without, and for pods that are bound already (an in-place resize).
//! 2. A pod whose planned node is among the candidates goes there and nowhere else. If that node
//!    is still on its way, no candidate passes, and the pod waits for it.
//!    Pods of one owner and shape that must be spread have each other's places: if the planned
//!    node is not among the candidates, or one of them was faster, the places of the others will do.
//! 3. If the planned node is up but not among the candidates, kube-scheduler refused it: the plan
//!    was wrong. If the node or its claim is gone, leaving or overdue, the plan was overtaken. In
//!    both cases the pod is free to go anywhere.
//! 4. A pod that is free (the plan doesn't speak of it, or rule 3) stays off nodes that are
//!    leaving. Only a pod that tolerates their taint gets one, and only if there is nothing else:
//!    Berth must never be the one reason why such a pod is pending. Any other pod would be refused
//!    by kube-scheduler itself as soon as the taint is there.
//!
//! 5. Nor does it take room that other pods need, which the plan sends to that node and which are
//!    not bound yet, unless it has a higher priority.
//! 6. A pod that the plan doesn't speak of may be the successor of one that was evicted:
//!    kube-scheduler often asks about it within the millisecond that its controller made it. If
//!    places are kept for its like, it goes to one of them while rule 5 leaves one to it.
//!
//! When kube-scheduler would evict pods for another one, [`Placer::preempt`] takes those of its
//! proposals away that would lead nowhere.
//!
//! Nothing here looks again at whether the pod fits: kube-scheduler has done that for every
//! candidate, with the pods that it assumes bound and that no watch has shown yet.

mod candidates;
mod exchange;
mod filter;
mod held;
mod leaving;
mod preempt;
mod score;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Name, Owner, Pod, PodKey, PodShape, Snapshot, Target, Timestamp};

pub use candidates::Candidates;
pub use exchange::{Sent, are_alike, may_exchange};
pub use filter::{Filtered, Outcome, Refusal};
pub use held::Expected;
pub(crate) use leaving::is_leaving;
pub use preempt::{Preempted, Proposal};
pub use score::{HIGHEST_SCORE, LOWEST_SCORE, score_of};

/// `spec.priority` from which on a pod is one that the system cannot live without: the lower of
/// the two built-in classes, `system-cluster-critical`.
pub const CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// The part of the latest plans that pods still have to follow: which pod goes where.
///
/// The autoscaler writes it after each round, once the claims of the round are created, and the
/// extender reads it for each call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StandingPlan {
    /// When it was last confirmed against the cluster.
    pub confirmed_at: Timestamp,
    /// From then on it is stale, and the extender passes everything.
    pub expires_at: Timestamp,
    /// Pods' UIDs and their places.
    pub targets: BTreeMap<Name, Target>,
    /// Places of pods that do not exist yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
}

/// A place that is kept for a pod that does not exist yet: its controller makes it once a pod is
/// evicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The node.
    pub node: Name,
    /// Who will make the pod.
    pub owner: Owner,
    /// What it will be like.
    pub shape: Arc<PodShape>,
}

impl Kept {
    /// Whether that pod may have it.
    pub fn suits(&self, pod: &Pod) -> bool {
        pod.is_like(&self.owner, &self.shape)
    }
}

impl StandingPlan {
    /// Whether it may still be followed.
    ///
    /// A plan from the future is not followed either: the clock was set back, and nobody knows
    /// how old it is.
    pub fn is_good_at(&self, now: Timestamp) -> bool {
        self.confirmed_at <= now && now < self.expires_at
    }
}

/// How patient placement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For so long after a NodeClaim's creation pods wait for its node to come up. Karpenter
    /// deletes claims whose node has not registered after 15 minutes.
    pub claim_deadline: Duration,
    /// For so long after a node came up pods that wait for it go on waiting, should
    /// kube-scheduler not offer it: it may not have seen yet that the node is up, or a spread
    /// keeps the pod off it until pods that are planned for other domains are bound.
    pub settle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { claim_deadline: Duration::from_mins(15), settle: Duration::from_secs(30) }
    }
}

/// The pod that kube-scheduler asks about, as its request describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodInQuestion<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.uid`.
    pub uid: &'a str,
    /// `spec.nodeName`, if it is bound already.
    pub node: Option<&'a str>,
    /// Whether a DaemonSet controls it.
    pub of_daemon_set: bool,
    /// Whether its priority is at least [`CRITICAL_PRIORITY`].
    pub critical: bool,
    /// All of it, if no watch has shown it yet: kube-scheduler often asks about a pod within the
    /// millisecond that it is there, and rule 5 has to know what it takes.
    pub described: Option<&'a Arc<Pod>>,
}

impl<'a> PodInQuestion<'a> {
    /// Its namespace and name.
    pub fn key(&self) -> PodKey {
        PodKey { namespace: Name::from(self.namespace), name: Name::from(self.name) }
    }

    /// The pod as the watches have shown it. One of the same name that is gone is another pod.
    pub fn shown<'b>(&self, snapshot: &'b Snapshot) -> Option<&'b Arc<Pod>> {
        let known = snapshot.pods.get(&self.key())?;
        // Clients written by hand send no UID: kube-scheduler always does.
        (self.uid.is_empty() || *known.uid == *self.uid).then_some(known)
    }

    /// As the watches have shown it, or else as the request describes it.
    fn known<'b>(&self, snapshot: &'b Snapshot) -> Option<&'b Arc<Pod>>
    where
        'a: 'b,
    {
        self.shown(snapshot).or(self.described)
    }
}

/// Everything that an answer depends on, the question aside.
#[derive(Clone, Copy, Debug)]
pub struct Placer<'a> {
    /// The picture of the cluster, once it is complete.
    pub snapshot: Option<&'a Snapshot>,
    /// The standing plan.
    pub plan: &'a StandingPlan,
    /// The same the other way round; without it no room is kept for anybody (rule 5).
    pub expected: Option<&'a Expected>,
    /// Who was sent where a moment ago.
    pub sent: Option<&'a Sent>,
    /// How patient to be.
    pub settings: Settings,
    /// The time.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests;
