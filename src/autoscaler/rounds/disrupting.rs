//! When a round of disruption is worked out, and what becomes of it. One round at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_solver::decisions::{Answer, Pace, Question, Recorded};
use berth_solver::disruption::{Gathering, Inputs, Round, next_round};
use berth_solver::model::{Name, Snapshot, Timestamp, well_known::condition};
use tokio::task::JoinError;

use super::Autoscaler;
use crate::autoscaler::figures;
use crate::autoscaler::moves::claim_of;
use crate::autoscaler::notices;
use crate::autoscaler::round::{Carried, Tools, carry_out};
use crate::background;
use crate::metrics::ReasonLabels;

/// A cluster that has not changed is looked at again after so long: time alone makes nodes old
/// enough, and opens budgets.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// A step of a round that has ended.
pub(super) enum Disrupted {
    /// A round was worked out.
    Planned(Box<Worked>),
    /// A round was carried out, as far as it was.
    Carried(Box<Carried>),
}

/// A round that was worked out, from what, when, and how long that took.
pub(super) struct Worked {
    snapshot: Arc<Snapshot>,
    at: Timestamp,
    inputs: Inputs,
    round: Round,
    pace: Pace,
    took: Duration,
}

/// What is remembered of rounds.
#[derive(Default)]
pub(super) struct Disrupting {
    /// When the last look was, and at which generation of the cluster.
    looked: Option<(Timestamp, u64)>,
    /// Nodes that are waited for before the next look.
    gathering: Gathering,
    /// The UIDs of the claims that the round under way removes.
    removing: BTreeSet<Name>,
    /// The names of the claims whose nodes it moves pods to.
    awaited: BTreeSet<Name>,
    /// The claims that it creates, and their pools, by name.
    launching: BTreeMap<Name, Name>,
    /// The UIDs of pods that the eviction API failed to evict.
    quarantined: BTreeSet<Name>,
    /// The UIDs of pods that asked to be replaced before they go, and that cannot be.
    irreplaceable: BTreeSet<Name>,
}

impl Disrupting {
    /// The names of the claims whose nodes are to receive pods of the round under way.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &Name> {
        self.awaited.iter()
    }

    /// How many claims the round under way is still to create, by pool.
    pub(super) fn coming(&self, snapshot: &Snapshot) -> BTreeMap<Name, usize> {
        let mut coming = BTreeMap::new();
        let unseen =
            self.launching.iter().filter(|(claim, _)| !snapshot.claims.contains_key(*claim));
        for (_, pool) in unseen {
            *coming.entry(pool.clone()).or_default() += 1;
        }
        coming
    }

    /// Pods that are left alone.
    pub(super) const fn quarantined(&self) -> &BTreeSet<Name> {
        &self.quarantined
    }

    /// Leaves a pod alone from now on.
    pub(super) fn quarantine(&mut self, uid: &Name) {
        self.quarantined.insert(uid.clone());
    }

    /// Pods that asked to be replaced before they go, and that cannot be.
    pub(super) const fn irreplaceable(&self) -> &BTreeSet<Name> {
        &self.irreplaceable
    }

    /// From now on a pod is evicted like any other.
    pub(super) fn evict_plainly(&mut self, uid: &Name) {
        self.irreplaceable.insert(uid.clone());
    }

    /// Forgets pods that are gone.
    pub(super) fn keep_known(&mut self, snapshot: &Snapshot) {
        if self.quarantined.is_empty() && self.irreplaceable.is_empty() {
            return;
        }
        let known: BTreeSet<&Name> = snapshot.pods.values().map(|pod| &pod.uid).collect();
        for uids in [&mut self.quarantined, &mut self.irreplaceable] {
            uids.retain(|uid| known.contains(uid));
        }
    }

    fn is_due(&self, every: Duration, generation: u64, now: Timestamp) -> bool {
        self.looked.is_none_or(|(at, seen)| {
            let wait = if seen == generation { AGAIN_AFTER.max(every) } else { every };
            now.since(at) >= wait
        })
    }
}

impl Autoscaler {
    /// Begins to work out a round, if it is time and nothing else is going on: pods that a plan in
    /// the making may place, nodes on their way, pods on the move.
    pub(super) fn disrupt_if_due(
        &mut self,
        snapshot: &Arc<Snapshot>,
        inputs: &Inputs,
        now: Timestamp,
    ) {
        let settings = &self.settings.disruption;
        let quiet = self.planning.is_empty()
            && self.memory.creating.is_empty()
            && self.disrupting.is_empty()
            && self.memory.under_way.uids().is_empty()
            && self.memory.moves.is_empty()
            && self.memory.queue.waiting() == 0
            && super::planning::has_catalogs(snapshot);
        let due = self.memory.disrupting.is_due(settings.every, snapshot.generation, now);
        if !settings.enabled || !quiet || !due || snapshot.claims.is_empty() {
            return;
        }
        if self.memory.disrupting.gathering.waits(snapshot, inputs, now) {
            return;
        }
        self.memory.disrupting.looked = Some((now, snapshot.generation));
        let allowed = settings.unready_allowed;
        if is_unwell(snapshot, settings.most_unready_percent, allowed) {
            tracing::warn!("too many nodes are not ready: none is disrupted");
            return;
        }
        let (snapshot, inputs) = (self.memory.health.rested(snapshot, now), inputs.clone());
        let (settings, seed) = (settings.clone(), self.settings.seed);
        self.disrupting.spawn_blocking(move || {
            Disrupted::Planned(Box::new(background::run(|| {
                let began = Instant::now();
                let budget = settings.budget.max(Duration::from_millis(1));
                let spent = Recorded::new(|| began.elapsed().as_secs_f64() / budget.as_secs_f64());
                let round = next_round(&snapshot, &inputs, &settings.round, now, seed, &spent);
                let (took, pace) = (began.elapsed(), spent.into_pace());
                Worked { snapshot, at: now, inputs, round, pace, took }
            })))
        });
    }

    /// Takes in what became of a step of a round.
    pub(super) fn disrupted(&mut self, ended: Result<Disrupted, JoinError>) {
        match ended {
            Ok(Disrupted::Planned(worked)) => self.begin_round(*worked),
            Ok(Disrupted::Carried(carried)) => self.end_round(&carried),
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                tracing::error!(%error, "a round of disruption broke down");
                self.memory.moves.keep_only(&BTreeSet::new());
                self.forget_round(&BTreeSet::new());
            }
        }
    }

    fn begin_round(&mut self, worked: Worked) {
        if !self.memory.leads {
            return;
        }
        let Worked { snapshot, at, inputs, round, pace, took } = worked;
        let settings = Box::new(self.settings.disruption.round.clone());
        let question = Question::Disrupt { inputs: Box::new(inputs.clone()), settings };
        self.report(&snapshot, at, question, pace, Answer::Round(Box::new(round.clone())));
        let now = self.parts.clock.now();
        figures::of_round(&self.parts.metrics, &round, took);
        for fault in &round.faults {
            tracing::warn!(%fault, "an earlier version of a round did not pass the checker");
        }
        self.tell(notices::of_round(&snapshot, &round), now);
        // Something may have begun while the round was worked out.
        let quiet = self.planning.is_empty()
            && self.memory.creating.is_empty()
            && self.memory.under_way.uids().is_empty();
        if round.is_empty() || !quiet {
            return;
        }
        log_round(&round, took);
        for removal in &round.plan.removals {
            self.memory.under_way.begin(&removal.claim_uid);
            self.memory.disrupting.removing.insert(removal.claim_uid.clone());
        }
        let launches = round.plan.launches.iter();
        self.memory.disrupting.launching =
            launches.map(|one| (one.name.clone(), one.pool.clone())).collect();
        let targets = round.moves.iter().map(|one| &one.to);
        self.memory.disrupting.awaited =
            targets.filter_map(|target| claim_of(&snapshot, target)).collect();
        self.memory.moves.expect(&snapshot, &round);
        let tools = Tools {
            hands: Arc::clone(&self.hands),
            cache: self.parts.cache.clone(),
            inputs,
            patience: self.settings.disruption.patience,
        };
        self.disrupting
            .spawn(async move { Disrupted::Carried(Box::new(carry_out(tools, round).await)) });
    }

    fn end_round(&mut self, carried: &Carried) {
        let removals = carried.round.plan.removals.iter();
        let going: BTreeSet<Name> = removals
            .clone()
            .filter(|removal| {
                removal.node.as_ref().is_some_and(|node| carried.going.contains(node))
            })
            .map(|removal| removal.claim_uid.clone())
            .collect();
        self.memory.moves.keep_only(&carried.going);
        let labels = ReasonLabels { reason: carried.round.reason.as_str() };
        for (claim, why) in &carried.dropped {
            let failed = &self.parts.metrics.disruption_failed_validations;
            failed.get_or_create(&labels).inc();
            tracing::info!(nodeclaim = %claim, why, "a node stays: the step was dropped");
        }
        for (pod, why) in &carried.irreplaceable {
            self.memory.disrupting.evict_plainly(&pod.uid);
            self.tell(vec![notices::of_irreplaceable(pod, why)], self.parts.clock.now());
        }
        let (going_count, dropped) = (going.len(), carried.dropped.len());
        tracing::info!(
            going = going_count,
            dropped,
            "a round of disruption is under way to its end"
        );
        self.forget_round(&going);
    }

    /// The round is over but for the nodes that go.
    fn forget_round(&mut self, going: &BTreeSet<Name>) {
        let removing = std::mem::take(&mut self.memory.disrupting.removing);
        for uid in removing.difference(going) {
            self.memory.under_way.give_up(uid);
        }
        self.memory.disrupting.awaited.clear();
        self.memory.disrupting.launching.clear();
    }
}

/// Whether so many nodes are not ready that something larger is wrong.
fn is_unwell(snapshot: &Snapshot, most_percent: usize, allowed: usize) -> bool {
    let (mut nodes, mut unready) = (0, 0);
    for claim in snapshot.claims.values().filter(|claim| claim.is(condition::INITIALIZED)) {
        nodes += 1;
        unready += usize::from(!snapshot.node_of_claim(claim).is_some_and(|at| at.node.ready));
    }
    unready > allowed && unready * 100 > nodes * most_percent
}

fn log_round(round: &Round, took: Duration) {
    tracing::info!(
        reason = %round.reason,
        removals = round.plan.removals.len(),
        launches = round.plan.launches.len(),
        evictions = round.moves.len(),
        price_before = round.price_before.as_f64(),
        price_after = round.price_after.as_f64(),
        lower_bound = round.lower_bound.as_f64(),
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "a round of disruption begins"
    );
    for removal in &round.plan.removals {
        let why = &removal.explanation;
        tracing::info!(nodeclaim = %removal.claim, why, "removing a node");
    }
}
