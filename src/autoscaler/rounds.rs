//! The rounds: what is looked at, what is begun, and what is learnt from what ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_solver::disruption::{self, Inputs};
use berth_solver::lifecycle::{Effect, Nominated, PoolHealth, RepairPolicy, steps};
use berth_solver::model::{Name, Snapshot, Timestamp};
use berth_solver::packing::Queue;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::buffer_status::BufferStatuses;
use super::executor::{Executor, Outcome};
use super::hands::{Failure, Hands};
use super::landings::Landings;
use super::machines::{self, Listing, Machines};
use super::moves::Moves;
use super::notices::{self, Notices};
use super::offerings::{self, OfferingKey};
use super::planner::Planned;
use super::pod_events::PodEvents;
use super::pool_status::PoolStatuses;
use super::removal::{Removed, UnderWay};
use super::writer::Notice;
use super::{Parts, Settings, figures, windows};
use crate::api::HASH_VERSION;
use crate::claims::demand;

mod disrupting;
mod learning;
mod planning;
mod removing;
mod repairing;

use disrupting::{Disrupted, Disrupting};

/// The longest wait between two rounds, though nothing changes: time itself makes things due.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// What changes or ends within this time shares a round...
const GATHER: Duration = Duration::from_millis(10);
/// ...and within so long at most where rounds take long: they are not to fill a core.
const GATHER_LONGEST: Duration = Duration::from_millis(250);
/// Figures and conditions are worked out so often: they take a walk over all pods and claims.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// A claim that was created and that the cache does not show after so long is looked for live.
const UNSEEN_AFTER: Duration = Duration::from_secs(10);
/// How many events may wait to be written; more are dropped.
const NOTICES_WAITING: usize = 1_024;

/// The autoscaler.
pub struct Autoscaler {
    parts: Parts,
    settings: Settings,
    /// Which nodes are unhealthy; empty if none is to be repaired.
    repair_policies: Vec<RepairPolicy>,
    hands: Arc<Hands>,
    started: Timestamp,
    executor: Executor,
    exhausted: mpsc::UnboundedSender<OfferingKey>,
    exhausted_inbox: Option<mpsc::UnboundedReceiver<OfferingKey>>,
    notices: mpsc::Sender<Notice>,
    notices_inbox: Option<mpsc::Receiver<Notice>>,
    planning: JoinSet<Planned>,
    removals: JoinSet<Removed>,
    disrupting: JoinSet<Disrupted>,
    listings: JoinSet<(Timestamp, Result<Listing, Failure>)>,
    memory: Memory,
}

/// What is remembered from round to round while this replica leads. All of it can be learnt anew.
#[derive(Default)]
struct Memory {
    leads: bool,
    queue: Queue,
    machines: Machines,
    /// Claims of the last plan that the cache does not show yet: no new plan before it does.
    creating: BTreeMap<Name, Creating>,
    under_way: UnderWay,
    disrupting: Disrupting,
    moves: Moves,
    pod_events: PodEvents,
    pool_statuses: PoolStatuses,
    buffer_statuses: BufferStatuses,
    nominated: Nominated,
    health: PoolHealth,
    landings: Landings,
    told: Notices,
    listed_at: Option<Timestamp>,
    figured_at: Option<Timestamp>,
}

/// A claim on its way into the cache.
struct Creating {
    effect: Effect,
    /// When the API server took it.
    created: Option<Timestamp>,
}

/// Something that woke the loop.
enum Woken {
    Changed,
    Due,
    Ended(Box<Option<Outcome>>),
    Planned(Box<Result<Planned, JoinError>>),
    Removed(Result<Removed, JoinError>),
    Disrupted(Result<Disrupted, JoinError>),
    Listed(Result<(Timestamp, Result<Listing, Failure>), JoinError>),
    Stop,
}

impl Autoscaler {
    /// An autoscaler that has done nothing yet.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let hands = Arc::new(Hands {
            writer: Arc::clone(&parts.writer),
            provider: Arc::clone(&parts.provider),
            clock: parts.clock.clone(),
            leadership: parts.leadership.clone(),
            metrics: Arc::clone(&parts.metrics),
            reporter: Arc::clone(&parts.reporter),
        });
        let repairs = settings.disruption.repair;
        let repair_policies = if repairs { parts.provider.repair_policies() } else { Vec::new() };
        let (exhausted, exhausted_inbox) = mpsc::unbounded_channel();
        let (notices, notices_inbox) = mpsc::channel(NOTICES_WAITING);
        Self {
            started: parts.clock.now(),
            executor: Executor::new(Arc::clone(&hands)),
            memory: Memory::default(),
            planning: JoinSet::new(),
            removals: JoinSet::new(),
            disrupting: JoinSet::new(),
            listings: JoinSet::new(),
            exhausted,
            exhausted_inbox: Some(exhausted_inbox),
            notices,
            notices_inbox: Some(notices_inbox),
            parts,
            settings,
            repair_policies,
            hands,
        }
    }

    /// Works until `stop` is cancelled or the cache stops.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut beside = JoinSet::new();
        if let Some(inbox) = self.exhausted_inbox.take() {
            let (cache, catalogs) = (self.parts.cache.clone(), self.parts.catalogs.clone());
            let keeping = offerings::keep(Arc::clone(&self.hands), cache, catalogs, inbox);
            // It ends with the cache, and so does everything here.
            beside.spawn(async {
                let _ = keeping.await;
            });
        }
        if let Some(mut inbox) = self.notices_inbox.take() {
            let writer = Arc::clone(&self.parts.writer);
            beside.spawn(async move {
                while let Some(notice) = inbox.recv().await {
                    writer.notify(&notice).await;
                }
            });
        }
        loop {
            let began = Instant::now();
            let wait = self.round();
            let gather = began.elapsed().clamp(GATHER, GATHER_LONGEST);
            let woken = self.wake(&stop, wait).await;
            let has_more = matches!(woken, Woken::Changed | Woken::Ended(_));
            if !self.take(woken) {
                break;
            }
            if has_more {
                self.gather(gather).await;
            }
        }
    }

    /// Takes in what woke the loop. Returns whether it goes on.
    fn take(&mut self, woken: Woken) -> bool {
        match woken {
            Woken::Stop => return false,
            Woken::Changed | Woken::Due => {}
            Woken::Ended(outcome) => {
                if let Some(outcome) = *outcome {
                    self.learn(outcome);
                }
            }
            Woken::Planned(planned) => match *planned {
                Ok(planned) => self.follow(planned),
                Err(error) => tracing::error!(%error, "planning broke down"),
            },
            Woken::Removed(removed) => self.removed(removed),
            Woken::Disrupted(disrupted) => self.disrupted(disrupted),
            Woken::Listed(listed) => self.listed(listed),
        }
        true
    }

    /// Takes in what else ends now: hundreds of writes under way are not worth a round each.
    async fn gather(&mut self, time: Duration) {
        let over = tokio::time::sleep(time);
        tokio::pin!(over);
        loop {
            let ended = tokio::select! {
                () = &mut over => return,
                ended = self.executor.next(), if !self.executor.is_idle() => ended,
            };
            if let Some(outcome) = ended {
                self.learn(outcome);
            }
        }
    }

    async fn wake(&mut self, stop: &CancellationToken, wait: Duration) -> Woken {
        tokio::select! {
            () = stop.cancelled() => Woken::Stop,
            outcome = self.executor.next(), if !self.executor.is_idle() => {
                Woken::Ended(Box::new(outcome))
            }
            Some(planned) = self.planning.join_next() => Woken::Planned(Box::new(planned)),
            Some(removed) = self.removals.join_next() => Woken::Removed(removed),
            Some(ended) = self.disrupting.join_next() => Woken::Disrupted(ended),
            Some(listed) = self.listings.join_next() => Woken::Listed(listed),
            changed = self.parts.cache.changed() => {
                if changed.is_ok() { Woken::Changed } else { Woken::Stop }
            }
            () = self.parts.clock.sleep(wait) => Woken::Due,
        }
    }

    /// Looks at everything once, begins what is to be done, and says when to look again.
    fn round(&mut self) -> Duration {
        let now = self.parts.clock.now();
        let leads = self.parts.leadership.is_held();
        self.parts.metrics.leader.set(i64::from(leads));
        let synced = self.parts.cache.is_synced();
        self.parts.metrics.cluster_state_synced.set(i64::from(synced));
        let unsynced = if synced { Duration::ZERO } else { now.since(self.started) };
        self.parts.metrics.cluster_state_unsynced_time.set(unsynced.as_secs_f64());
        if !leads || !synced {
            if self.memory.leads {
                self.stop_leading();
            }
            return LONGEST_WAIT;
        }
        let seen = self.parts.cache.snapshot();
        let snapshot = self.with_expected(&seen);
        if !self.memory.leads {
            self.begin_to_lead(&snapshot, now);
        }
        self.forget(&snapshot, now);
        self.list_machines(&snapshot, now);
        self.advance_claims(&snapshot, now);
        let sent = self.memory.moves.look(&snapshot, now);
        self.memory.queue.redirect(sent, now);
        let wait = self.plan_if_due(&snapshot, now);
        self.publish(&snapshot, now);
        // A pod to come cannot be nominated yet.
        self.steer(&seen);
        let landed = self.memory.landings.look(&snapshot, &self.parts.plan.load().targets);
        figures::of_landed(&self.parts.metrics, landed);
        let inputs = self.inputs(&snapshot, now);
        self.keep_static_pools(&snapshot, now);
        self.remove_empty_nodes(&snapshot, &inputs, now);
        self.disrupt_if_due(&snapshot, &inputs, now);
        let mut statuses = self.memory.pool_statuses.look(&snapshot, &self.memory.health);
        statuses.extend(self.memory.buffer_statuses.look(&snapshot));
        for write in statuses {
            self.executor.start(write.into());
        }
        self.tell(notices::of_defects(&snapshot), now);
        let fresh = |at: Timestamp| at <= now && now.since(at) < FIGURES_EVERY;
        if !self.memory.figured_at.is_some_and(fresh) {
            self.memory.figured_at = Some(now);
            figures::of_cluster(&self.parts.metrics, &snapshot, &inputs);
            figures::of_headroom(&self.parts.metrics, self.memory.buffer_statuses.headroom());
            self.repair_nodes(&snapshot, now);
            for write in disruption::conditions(&snapshot, &inputs, now) {
                self.executor.start(write.into());
            }
        }
        wait.min(LONGEST_WAIT)
    }

    /// The picture with the pods to come.
    fn with_expected(&self, seen: &Arc<Snapshot>) -> Arc<Snapshot> {
        let expected = self.parts.expected.load();
        if expected.is_empty() {
            return Arc::clone(seen);
        }
        Arc::new(demand::overlay(seen, &expected))
    }

    fn begin_to_lead(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let queue = Queue::new(self.settings.queue);
        self.memory = Memory { leads: true, queue, ..Memory::default() };
        self.memory.queue.adopt(snapshot, now);
        let (nodes, claims) = (snapshot.nodes.len(), snapshot.claims.len());
        tracing::info!(nodes, claims, "this replica leads");
    }

    fn stop_leading(&mut self) {
        tracing::warn!("this replica does not lead any more, or lost its picture of the cluster");
        self.memory = Memory::default();
        self.planning.abort_all();
        self.removals.abort_all();
        self.disrupting.abort_all();
    }

    /// Forgets what is over.
    fn forget(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.executor.sweep(now);
        self.memory.machines.keep_known(snapshot);
        self.memory.under_way.keep_unseen(snapshot);
        self.memory.pool_statuses.keep_known(snapshot);
        self.memory.buffer_statuses.keep_known(snapshot);
        self.memory.health.keep_known(snapshot);
        self.memory.nominated.keep_unbound(snapshot);
        self.memory.disrupting.keep_known(snapshot);
        self.memory.creating.retain(|name, _| !snapshot.claims.contains_key(name));
    }

    fn list_machines(&mut self, snapshot: &Arc<Snapshot>, now: Timestamp) {
        let unseen = self.memory.creating.values().filter_map(|creating| creating.created);
        let overdue = unseen.min().is_some_and(|created| now.since(created) >= UNSEEN_AFTER);
        let every = if overdue { UNSEEN_AFTER } else { self.settings.list_every };
        let is_due = self.memory.listed_at.is_none_or(|at| now.since(at) >= every);
        if !is_due || !self.listings.is_empty() {
            return;
        }
        self.memory.listed_at = Some(now);
        let listing = machines::list(Arc::clone(&self.hands), Arc::clone(snapshot));
        self.listings.spawn(async move { (now, listing.await) });
    }

    fn listed(&mut self, listed: Result<(Timestamp, Result<Listing, Failure>), JoinError>) {
        let (began, listing) = match listed {
            Ok((began, Ok(listing))) => (began, listing),
            Ok((_, Err(error))) => {
                return tracing::warn!(%error, "the machines cannot be listed");
            }
            Err(error) => return tracing::error!(%error, "listing machines broke down"),
        };
        self.memory.machines.learn_list(&listing);
        for machine in listing.orphans {
            tracing::warn!(machine = %machine.provider_id, nodeclaim = %machine.claim.name,
                "a machine without its NodeClaim: it is removed");
            let provider_id = Some(machine.provider_id);
            self.executor.start(Effect::TerminateInstance { claim: machine.claim, provider_id });
        }
        // Created before the list, and in the API server no more.
        let lost = |name: &Name, creating: &Creating| {
            creating.created.is_some_and(|at| at < began) && !listing.live_claims.contains(name)
        };
        self.memory.creating.retain(|name, creating| !lost(name, creating));
    }

    fn advance_claims(&mut self, snapshot: &Snapshot, now: Timestamp) {
        for claim in snapshot.claims.values() {
            let observed = self.memory.machines.of(&claim.uid);
            let irreplaceable = self.memory.disrupting.irreplaceable();
            let settings = &self.settings.lifecycle;
            for effect in steps(snapshot, claim, observed, irreplaceable, settings, now) {
                self.executor.start(effect);
            }
        }
        for write in self.memory.pod_events.look(snapshot, now) {
            self.executor.start(write.into());
        }
        for creating in self.memory.creating.values().filter(|one| one.created.is_none()) {
            self.executor.start(creating.effect.clone());
        }
    }

    fn inputs(&self, snapshot: &Snapshot, now: Timestamp) -> Inputs {
        let mut awaited = self.memory.moves.awaited(snapshot);
        awaited.extend(self.memory.disrupting.awaited().cloned());
        Inputs {
            targets: self.memory.queue.targets(),
            pod_events: self.memory.pod_events.times(),
            under_way: self.memory.under_way.uids().clone(),
            closed_budgets: windows::closed_budgets(snapshot, now),
            hash_version: HASH_VERSION.into(),
            awaited,
            quarantined: self.memory.disrupting.quarantined().clone(),
            irreplaceable: self.memory.disrupting.irreplaceable().clone(),
        }
    }
}
