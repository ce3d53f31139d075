//! Everything together: the API server, the cloud, controllers, kubelets and the scheduler.

mod daemons;
mod kubelet;
mod machines;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_solver::lifecycle::{Refused, Write};
use berth_solver::model::{Catalog, Change, ClusterEvent, Name, PodKey, Timestamp};

use crate::cloud::{Cloud, CloudError, CloudSettings, Instance, InstanceRequest};
use crate::cluster::{Cluster, Subscription};
use crate::events::EventQueue;
use crate::random::{Delay, Seed};
use crate::scenario::{Scenario, Step};
use crate::scheduler::{Attempt, Extender, Outcome, QueueSettings, Scheduler};
use crate::workloads::Workloads;

use kubelet::Kubelets;

/// How nodes and their kubelets behave.
#[derive(Clone, Copy, Debug)]
pub struct KubeletSettings {
    /// From a node's joining to its being ready.
    pub ready_after: Delay,
    /// From a pod's binding (or its node's readiness) to its running: images, probes.
    pub pod_starts_after: Delay,
    /// From a pod's deletion to its being gone.
    pub pod_gone_after: Delay,
}

impl Default for KubeletSettings {
    fn default() -> Self {
        Self {
            ready_after: Delay::millis(2_000, 6_000),
            pod_starts_after: Delay::millis(1_000, 4_000),
            pod_gone_after: Delay::millis(500, 3_000),
        }
    }
}

/// How the world behaves.
#[derive(Clone, Debug)]
pub struct WorldSettings {
    /// The seed that everything random is drawn from.
    pub seed: Seed,
    /// The cloud.
    pub cloud: CloudSettings,
    /// Nodes and kubelets.
    pub kubelet: KubeletSettings,
    /// The scheduler's queue.
    pub queue: QueueSettings,
    /// The `schedulerName` that the scheduler serves.
    pub scheduler: Name,
}

impl WorldSettings {
    /// Default behaviour from this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed: Seed(seed),
            cloud: CloudSettings::default(),
            kubelet: KubeletSettings::default(),
            queue: QueueSettings::default(),
            scheduler: Name::from("default-scheduler"),
        }
    }
}

/// What is due at some time.
#[derive(Clone, Debug)]
enum Timer {
    InstanceJoins(Name),
    InstanceGone(Name),
    NodeReady { node: Name, uid: Name },
    PodStarts { pod: PodKey, uid: Name },
    PodEnds { pod: PodKey, uid: Name },
    PodGone { pod: PodKey, uid: Name },
    Step { title: String, step: Step },
}

/// A virtual cluster with its cloud, on a virtual clock.
#[derive(Debug)]
pub struct World {
    settings: WorldSettings,
    cluster: Cluster,
    cloud: Cloud,
    workloads: Workloads,
    scheduler: Scheduler,
    kubelets: Kubelets,
    /// Pods bound to each node, whether the node is there or not.
    pods_on: BTreeMap<Name, BTreeSet<PodKey>>,
    timers: EventQueue<Timer>,
    own: Subscription,
    notes: Vec<(Timestamp, String)>,
}

impl World {
    /// An empty cluster, and a cloud that sells this.
    pub fn new(now: Timestamp, settings: WorldSettings, catalog: Arc<Catalog>) -> Self {
        let mut cluster = Cluster::new(now);
        let own = cluster.subscribe();
        let seed = settings.seed;
        Self {
            cloud: Cloud::new(settings.cloud.clone(), catalog, seed),
            workloads: Workloads::new(seed),
            scheduler: Scheduler::new(settings.scheduler.clone(), settings.queue, seed),
            kubelets: Kubelets::default(),
            pods_on: BTreeMap::new(),
            timers: EventQueue::default(),
            notes: Vec::new(),
            settings,
            cluster,
            own,
        }
    }

    /// What time it is.
    pub const fn now(&self) -> Timestamp {
        self.cluster.now()
    }

    /// The API server, to look at.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cloud, to look at.
    pub const fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The workloads, to look at.
    pub const fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// How many pods wait for the scheduler.
    pub fn pending(&self) -> usize {
        self.scheduler.pending()
    }

    /// A new subscriber to everything that changes.
    pub fn subscribe(&mut self) -> Subscription {
        self.cluster.subscribe()
    }

    /// What changed since the subscriber last asked.
    pub fn drain(&mut self, subscription: Subscription) -> Vec<ClusterEvent> {
        self.cluster.drain(subscription)
    }

    /// What the scenario did since this was last asked, and when.
    pub fn take_notes(&mut self) -> Vec<(Timestamp, String)> {
        std::mem::take(&mut self.notes)
    }

    /// Calls the API server: whatever is done there, controllers and kubelets take notice.
    pub fn call<T>(&mut self, act: impl FnOnce(&mut Cluster) -> T) -> T {
        let result = act(&mut self.cluster);
        self.react();
        result
    }

    /// Does what the autoscaler writes to the API server.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn write(&mut self, write: &Write) -> Result<(), Refused> {
        self.call(|cluster| cluster.write(write))?;
        if let Write::ReplacePod { pod, .. } = write {
            let possible = self.workloads.replace(&pod.key, &mut self.cluster);
            self.react();
            return if possible { Ok(()) } else { Err(Refused::NotFound) };
        }
        Ok(())
    }

    /// Has the cloud create a machine; a second call for the same claim returns the same one.
    ///
    /// # Errors
    /// [`CloudError`].
    pub fn create_instance(&mut self, request: InstanceRequest) -> Result<Instance, CloudError> {
        let (instance, new) = self.cloud.create(request, self.cluster.now())?;
        if let Some(at) = instance.joins_at.filter(|_| new) {
            self.timers.schedule(at, Timer::InstanceJoins(instance.provider_id.clone()));
        }
        Ok(instance)
    }

    /// Has the cloud delete a machine.
    ///
    /// # Errors
    /// [`CloudError::NotFound`].
    pub fn delete_instance(&mut self, provider_id: &str) -> Result<(), CloudError> {
        if let Some(delay) = self.cloud.delete(provider_id)? {
            let gone = Timer::InstanceGone(Name::from(provider_id));
            self.timers.schedule(self.cluster.now() + delay, gone);
        }
        Ok(())
    }

    /// Does a scenario's step now.
    pub fn perform(&mut self, step: Step) {
        match step {
            Step::Apply(workload) => self.workloads.apply(workload, &mut self.cluster),
            Step::Scale(key, replicas) => {
                self.workloads.scale(&key, replicas, &mut self.cluster);
            }
            Step::ScaleAllToZero => self.workloads.scale_all_to_zero(&mut self.cluster),
            Step::DaemonSet(daemon_set) => self.cluster.set_daemon_set(daemon_set),
            Step::Budget(budget) => self.cluster.set_budget(budget),
        }
        self.react();
    }

    /// Has a scenario played from now on.
    pub fn play(&mut self, scenario: &Scenario) {
        let start = self.cluster.now();
        for scripted in &scenario.steps {
            let timer = Timer::Step { title: scripted.title.clone(), step: scripted.step.clone() };
            self.timers.schedule(start + scripted.at, timer);
        }
    }

    /// When something happens next if nobody interferes, the scheduler's work aside.
    pub fn next_timer_at(&self) -> Option<Timestamp> {
        self.timers.next_at()
    }

    /// When the scheduler tries the next pod; a time in the past means now.
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        self.scheduler.next_attempt_at()
    }

    /// When something happens next if nobody interferes.
    pub fn next_event_at(&self) -> Option<Timestamp> {
        let next = [self.next_timer_at(), self.next_attempt_at()].into_iter().flatten().min();
        next.map(|at| at.max(self.cluster.now()))
    }

    /// Lets time pass until `now`, and everything happen that is due by then, the scheduler's
    /// work aside. Returns how many things happened.
    pub fn advance_to(&mut self, now: Timestamp) -> usize {
        let mut happened = 0;
        while let Some((at, timer)) = self.timers.pop_due(now) {
            self.cluster.set_now(at);
            self.fire(timer);
            self.react();
            happened += 1;
        }
        self.cluster.set_now(now);
        happened
    }

    /// Takes the next pod that the scheduler tries, with the nodes that its own filters leave.
    pub fn begin_attempt(&mut self) -> Option<Attempt> {
        let attempt = self.scheduler.begin(&mut self.cluster);
        self.react();
        attempt
    }

    /// Ends an attempt with what the extender said.
    pub fn finish_attempt(
        &mut self,
        attempt: &Attempt,
        passed: Result<Vec<Name>, String>,
        scores: &[(Name, i64)],
    ) -> Outcome {
        let outcome = self.scheduler.finish(attempt, passed, scores, &mut self.cluster);
        self.react();
        outcome
    }

    /// Has the scheduler try every pod that is due. Returns how many were bound.
    pub fn schedule(&mut self, extender: &mut dyn Extender) -> usize {
        let mut bound = 0;
        while let Some(attempt) = self.begin_attempt() {
            let passed = extender.filter(&attempt.pod, &attempt.candidates);
            let scores = match &passed {
                Ok(passed) if passed.len() > 1 => extender.prioritize(&attempt.pod, passed),
                _ => Vec::new(),
            };
            let outcome = self.finish_attempt(&attempt, passed, &scores);
            bound += usize::from(matches!(outcome, Outcome::Bound(_)));
        }
        bound
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::InstanceJoins(id) => self.join(&id),
            Timer::InstanceGone(id) => self.lose(&id),
            Timer::NodeReady { node, uid } => self.make_ready(&node, &uid),
            Timer::PodStarts { pod, uid } => self.start_pod(&pod, &uid),
            Timer::PodEnds { pod, uid } => self.end_pod(&pod, &uid),
            Timer::PodGone { pod, uid } => self.finish_pod(&pod, &uid),
            Timer::Step { title, step } => {
                self.notes.push((self.cluster.now(), title));
                self.perform(step);
            }
        }
    }

    /// Lets everybody take notice of what changed, until nothing changes any more.
    fn react(&mut self) {
        loop {
            let events = self.cluster.drain(self.own);
            if events.is_empty() {
                return;
            }
            for event in &events {
                self.scheduler.observe(event, self.cluster.now());
                self.workloads.observe(event, &mut self.cluster);
                self.observe_pods(event);
                self.observe_nodes(event);
            }
        }
    }

    fn observe_pods(&mut self, event: &ClusterEvent) {
        match event {
            ClusterEvent::Pod(Change::Applied(pod)) => self.follow_pod(pod),
            ClusterEvent::Pod(Change::Deleted(key)) => self.forget_pod(key),
            _ => {}
        }
    }

    fn observe_nodes(&mut self, event: &ClusterEvent) {
        match event {
            ClusterEvent::Node(Change::Applied(node)) => self.place_daemons_on(&node.name),
            ClusterEvent::Node(Change::Deleted(node)) => self.collect_pods_of(node),
            ClusterEvent::DaemonSet(_) => self.place_daemons(),
            _ => {}
        }
    }
}
