//! A model of kube-scheduler: its queue, the filters and scores that matter for placement, and
//! an extender.
//!
//! An attempt is taken apart so that a caller can ask a real extender over the network in
//! between, without holding the cluster: [`Scheduler::begin`] filters, the caller has the
//! extender filter and score what is left, [`Scheduler::finish`] chooses and binds.
//! [`Scheduler::run`] does it in one go with an [`Extender`] in the same process.

mod domains;
mod filters;
mod queue;
pub(crate) mod scores;

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_solver::model::{
    Change, ClusterEvent, Name, NodeState, Pod, PodKey, PodShape, Timestamp,
};

use crate::cluster::Cluster;
use crate::random::Seed;

pub use queue::QueueSettings;

use queue::Queue;

/// An extender in the same process: it says which of the candidates a pod may go to, and how
/// good each is.
pub trait Extender {
    /// The candidates that may be used; any error fails the attempt.
    ///
    /// # Errors
    /// What went wrong, for people.
    fn filter(&mut self, pod: &Pod, candidates: &[Name]) -> Result<Vec<Name>, String>;

    /// Scores, 0 to 10; a candidate that is not listed gets 0.
    fn prioritize(&mut self, pod: &Pod, candidates: &[Name]) -> Vec<(Name, i64)>;
}

/// No extender: every candidate passes, all alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoExtender;

impl Extender for NoExtender {
    fn filter(&mut self, _: &Pod, candidates: &[Name]) -> Result<Vec<Name>, String> {
        Ok(candidates.to_vec())
    }

    fn prioritize(&mut self, _: &Pod, _: &[Name]) -> Vec<(Name, i64)> {
        Vec::new()
    }
}

/// A pod that is being scheduled.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The nodes that the scheduler's own filters leave, sorted by name.
    pub candidates: Vec<Name>,
    /// How often it was tried, this time included.
    pub number: u32,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The pod is bound to that node.
    Bound(Name),
    /// It fits nowhere for now.
    Unschedulable,
    /// The extender failed, or the pod or node changed meanwhile; it is tried again.
    Retry(String),
}

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    name: Name,
    seed: Seed,
    queue: Queue,
    /// Bound pods that keep others away, which every filter has to look at.
    repelling: BTreeMap<PodKey, (Name, Arc<PodShape>)>,
    /// What the extender's scores are multiplied by: its weight times 10.
    extender_factor: i64,
}

impl Scheduler {
    /// A scheduler for pods with this `schedulerName`.
    pub fn new(name: Name, settings: QueueSettings, seed: Seed) -> Self {
        Self {
            name,
            seed,
            queue: Queue::new(settings),
            repelling: BTreeMap::new(),
            extender_factor: 1_000,
        }
    }

    /// Follows what happened to the cluster.
    pub fn observe(&mut self, event: &ClusterEvent, now: Timestamp) {
        let pod = match event {
            ClusterEvent::Pod(Change::Applied(pod)) => Some(&pod.key),
            _ => None,
        };
        self.queue.wake_refused(pod, now);
        match event {
            ClusterEvent::Pod(Change::Applied(pod)) => self.observe_pod(pod, now),
            ClusterEvent::Pod(Change::Deleted(key)) => {
                self.repelling.remove(key);
                if !self.queue.remove(key) {
                    // A pod that held room is gone.
                    self.queue.wake_all(now);
                }
            }
            ClusterEvent::Node(_) => self.queue.wake_all(now),
            _ => {}
        }
    }

    fn observe_pod(&mut self, pod: &Pod, now: Timestamp) {
        if let Some(node) = &pod.node {
            self.queue.remove(&pod.key);
            if pod.is_alive() && !pod.shape.anti_affinity.is_empty() {
                self.repelling.insert(pod.key.clone(), (node.clone(), Arc::clone(&pod.shape)));
            }
            if !pod.is_alive() {
                self.repelling.remove(&pod.key);
                self.queue.wake_all(now);
            }
        } else if pod.needs_node() && pod.shape.scheduler == self.name {
            self.queue.add(&pod.key, pod.shape.priority, now);
        } else {
            self.queue.remove(&pod.key);
        }
    }

    /// How many pods wait for a node.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// When the next pod may be tried (maybe in the past: now); `None`: not before something
    /// changes.
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        self.queue.next_at()
    }

    /// Takes the next pod and filters the nodes for it. Pods that fit nowhere are put back
    /// without bothering the extender. Returns `None` when no pod is due.
    pub fn begin(&mut self, cluster: &mut Cluster) -> Option<Attempt> {
        let now = cluster.now();
        while let Some((key, number)) = self.queue.pop(now) {
            let Some(pod) = cluster.objects().unbound.get(&key).map(Arc::clone) else {
                self.queue.remove(&key);
                continue;
            };
            let candidates = filters::feasible(&pod, cluster.objects(), &self.repelling);
            if !candidates.is_empty() {
                return Some(Attempt { pod, candidates, number });
            }
            self.put_back(&pod, cluster);
        }
        None
    }

    /// The scheduler's own scores of an attempt's candidates, without an extender's.
    pub fn scores(attempt: &Attempt, cluster: &Cluster) -> Vec<(Name, i64)> {
        let nodes = &cluster.objects().nodes;
        let states: Vec<Arc<NodeState>> =
            attempt.candidates.iter().filter_map(|name| nodes.get(name).map(Arc::clone)).collect();
        let scores = scores::score(&attempt.pod.shape, &states, cluster.objects());
        states.iter().zip(scores).map(|(state, score)| (state.node.name.clone(), score)).collect()
    }

    /// Ends an attempt: of the candidates that passed the extender's filter takes the best by
    /// the scheduler's own scores and the extender's, and binds the pod to it.
    pub fn finish(
        &mut self,
        attempt: &Attempt,
        passed: Result<Vec<Name>, String>,
        scores: &[(Name, i64)],
        cluster: &mut Cluster,
    ) -> Outcome {
        let pod = &attempt.pod;
        let now = cluster.now();
        let passed = match passed {
            Ok(passed) => passed,
            Err(message) => {
                self.queue.retry_later(&pod.key, now);
                return Outcome::Retry(message);
            }
        };
        // As kube-scheduler does: a name that it did not ask about is an error.
        if let Some(unknown) = passed.iter().find(|name| !attempt.candidates.contains(name)) {
            self.queue.retry_later(&pod.key, now);
            return Outcome::Retry(format!("the extender passed {unknown}, which is no candidate"));
        }
        if passed.is_empty() {
            self.queue.park_refused(&pod.key, now);
            Self::call_unschedulable(pod, cluster);
            return Outcome::Unschedulable;
        }
        // While the extender was asked, nodes may have filled or gone.
        let still: Vec<Arc<NodeState>> = {
            let feasible = filters::feasible(pod, cluster.objects(), &self.repelling);
            let nodes = &cluster.objects().nodes;
            passed
                .iter()
                .filter(|name| feasible.binary_search(name).is_ok())
                .filter_map(|name| nodes.get(name).map(Arc::clone))
                .collect()
        };
        let Some(node) = self.choose(attempt, &still, scores, cluster) else {
            self.put_back(pod, cluster);
            return Outcome::Unschedulable;
        };
        drop(still);
        match cluster.bind(&pod.key, &pod.uid, &node) {
            Ok(()) => {
                self.queue.remove(&pod.key);
                Outcome::Bound(node)
            }
            Err(error) => {
                self.queue.retry_later(&pod.key, now);
                Outcome::Retry(error.to_string())
            }
        }
    }

    /// Schedules every pod that is due.
    pub fn run(&mut self, extender: &mut dyn Extender, cluster: &mut Cluster) -> usize {
        let mut bound = 0;
        while let Some(attempt) = self.begin(cluster) {
            let passed = extender.filter(&attempt.pod, &attempt.candidates);
            let scores = match &passed {
                Ok(passed) if passed.len() > 1 => extender.prioritize(&attempt.pod, passed),
                _ => Vec::new(),
            };
            let outcome = self.finish(&attempt, passed, &scores, cluster);
            bound += usize::from(matches!(outcome, Outcome::Bound(_)));
        }
        bound
    }

    fn choose(
        &self,
        attempt: &Attempt,
        nodes: &[Arc<NodeState>],
        scores: &[(Name, i64)],
        cluster: &Cluster,
    ) -> Option<Name> {
        let pod = &attempt.pod;
        let from_extender: BTreeMap<&Name, i64> =
            scores.iter().map(|(name, score)| (name, *score)).collect();
        let own = scores::score(&pod.shape, nodes, cluster.objects());
        let total = |(state, own): (&Arc<NodeState>, i64)| {
            let extender = from_extender.get(&state.node.name).copied().unwrap_or(0);
            (own + extender.saturating_mul(self.extender_factor), state.node.name.clone())
        };
        let totals: Vec<(i64, Name)> = nodes.iter().zip(own).map(total).collect();
        let best = totals.iter().map(|(score, _)| *score).max()?;
        let mut ties: Vec<&Name> =
            totals.iter().filter(|(score, _)| *score == best).map(|(_, name)| name).collect();
        ties.sort();
        let mut chance = self.seed.stream(&format!("schedule/{}/{}", pod.key, attempt.number));
        ties.get(chance.below(ties.len())).map(|name| (*name).clone())
    }

    fn put_back(&mut self, pod: &Pod, cluster: &mut Cluster) {
        self.queue.park(&pod.key, cluster.now());
        Self::call_unschedulable(pod, cluster);
    }

    fn call_unschedulable(pod: &Pod, cluster: &mut Cluster) {
        // It may be gone meanwhile; then there is nothing to say.
        let _ = cluster.set_unschedulable(&pod.key, &pod.uid, true);
    }
}
