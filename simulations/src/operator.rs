//! The autoscaler in a simulation: the deciding code of the daemon, each decision carried out at
//! once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_solver::disruption::{self, Inputs};
use berth_solver::lifecycle::{
    self, Cause, ClaimRef, Effect, NodeRef, Observation, Write, new_claim, steps,
};
use berth_solver::model::{Name, Plan, Pod, Removal, Snapshot, Target, Timestamp};
use berth_solver::packing::{self, Due, Queue, QueueSettings, Stop};
use berth_solver::placement::{self, Expected, Placer, PodInQuestion, StandingPlan};
use berth_solver::planning;

use crate::World;
use crate::cloud::{CloudError, InstanceState};
use crate::scheduler::Extender;

/// How the autoscaler works.
#[derive(Clone, Debug, Default)]
pub struct OperatorSettings {
    /// What the packer goes by.
    pub packing: packing::Settings,
    /// How long claims may take.
    pub lifecycle: lifecycle::Settings,
    /// The seed of its random choices.
    pub seed: u64,
    /// When it plans.
    pub queue: QueueSettings,
}

/// The autoscaler.
#[derive(Debug, Default)]
pub struct Operator {
    settings: OperatorSettings,
    observed: BTreeMap<Name, Observation>,
    queue: Queue,
    done: Vec<Done>,
    rejected: u64,
}

/// Something that was carried out, or failed.
#[derive(Clone, Debug)]
pub enum Done {
    /// A write to the API server.
    Written(Box<Write>),
    /// The cloud did not create the machine of a claim.
    NotCreated {
        /// The claim.
        claim: ClaimRef,
        /// Why.
        error: CloudError,
    },
}

impl Operator {
    /// An autoscaler that knows nothing yet.
    pub fn new(settings: OperatorSettings) -> Self {
        Self { queue: Queue::new(settings.queue), settings, ..Self::default() }
    }

    /// Looks at the world and does what is to be done now. Returns the plan, if it made one.
    pub fn step(&mut self, world: &mut World, stop: &dyn Stop) -> Option<Plan> {
        self.observe(world);
        self.advance_claims(world);
        let due = self.queue.look(world.cluster().objects(), world.now());
        let plan = (due == Due::Now).then(|| self.plan(world, stop));
        self.remove_empty_nodes(world);
        plan
    }

    /// What was carried out since this was last asked, in order.
    pub fn take_done(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.done)
    }

    /// How many plans the checker found a fault in, and that were dropped.
    pub const fn rejected(&self) -> u64 {
        self.rejected
    }

    fn write(&mut self, world: &mut World, write: Write) -> bool {
        // What is refused is tried again in the next step, if it is still to be done.
        let taken = world.write(&write).is_ok();
        if taken {
            self.done.push(Done::Written(Box::new(write)));
        }
        taken
    }

    /// When it should look again at the latest, though nothing changes.
    pub fn next_look_at(&self, now: Timestamp) -> Timestamp {
        now + Duration::from_secs(1)
    }

    /// Where pods that are not bound yet should go.
    pub fn standing_plan(&self, now: Timestamp) -> StandingPlan {
        self.queue.standing_plan(now)
    }

    /// An extender that has pods follow the plan in the cluster as it is now.
    pub fn extender(&self, world: &World) -> PlanFollower {
        let snapshot = world.cluster().objects().clone();
        let plan = self.standing_plan(world.now());
        let expected = Expected::of(&plan, &snapshot);
        PlanFollower { snapshot, plan, expected, now: world.now() }
    }

    fn observe(&mut self, world: &World) {
        let claims = &world.cluster().objects().claims;
        let known: BTreeSet<&Name> = claims.values().map(|claim| &claim.uid).collect();
        self.observed.retain(|uid, seen| {
            known.contains(uid) && matches!(seen, Observation::Gone | Observation::OutOfCapacity)
        });
        for machine in world.cloud().instances() {
            let seen = match machine.state {
                InstanceState::Running => Observation::Present(machine.into()),
                InstanceState::Terminating => Observation::Terminating,
            };
            self.observed.insert(machine.request.claim_uid.clone(), seen);
        }
    }

    fn advance_claims(&mut self, world: &mut World) {
        let snapshot = world.cluster().objects().clone();
        let settings = &self.settings.lifecycle;
        let effects: Vec<Effect> = snapshot
            .claims
            .values()
            .flat_map(|claim| {
                let observed = self.observed.get(&claim.uid);
                steps(&snapshot, claim, observed, &BTreeSet::new(), settings, world.now())
            })
            .collect();
        drop(snapshot);
        for effect in effects {
            self.perform(world, effect);
        }
    }

    fn perform(&mut self, world: &mut World, effect: Effect) {
        match effect {
            Effect::Write(write) => {
                self.write(world, write);
            }
            Effect::LaunchInstance(request) => {
                let uid = request.claim.uid.clone();
                match world.create_instance((&*request).into()) {
                    Ok(machine) => {
                        self.observed.insert(uid, Observation::Present((&machine).into()));
                    }
                    Err(error) => {
                        if let CloudError::InsufficientCapacity { .. } = &error {
                            self.observed.insert(uid, Observation::OutOfCapacity);
                        }
                        let claim = request.claim.clone();
                        self.done.push(Done::NotCreated { claim, error });
                    }
                }
            }
            Effect::TerminateInstance { claim, .. } => {
                let machine = world
                    .cloud()
                    .instances()
                    .find(|machine| machine.request.claim_uid == claim.uid)
                    .map(|machine| machine.provider_id.clone());
                let seen = match machine.map(|id| world.delete_instance(&id)) {
                    Some(Ok(())) => Observation::Terminating,
                    Some(Err(_)) | None => Observation::Gone,
                };
                self.observed.insert(claim.uid, seen);
            }
        }
    }

    fn plan(&mut self, world: &mut World, stop: &dyn Stop) -> Plan {
        let (now, snapshot) = (world.now(), world.cluster().objects().clone());
        let settings = &self.settings;
        let planned = planning::plan(&snapshot, &settings.packing, now, settings.seed, stop);
        self.rejected += planned.rejected.len() as u64;
        let Some(plan) = planned.plan else {
            self.queue.record_failure(&snapshot, now);
            return Plan { generation: snapshot.generation, made_at: now, ..Plan::default() };
        };
        for launch in &plan.launches {
            let Some(pool) = snapshot.pools.get(&launch.pool) else { continue };
            let to_it = plan.placements.iter().filter(
                |placement| matches!(&placement.target, Target::Claim(name) if *name == launch.name),
            );
            let pods = to_it.map(|placement| placement.uid.clone());
            let claim = new_claim(launch, pool, pods, "simulation");
            // Where the name is taken the pods are planned for again.
            self.write(world, Write::CreateClaim(Box::new(claim)));
        }
        self.queue.record(&plan, now);
        plan
    }

    fn remove_empty_nodes(&mut self, world: &mut World) {
        let inputs = Inputs { targets: self.queue.targets(), ..Inputs::default() };
        let empty = disruption::emptiness(world.cluster().objects(), &inputs, world.now());
        for removal in &empty.removals {
            for write in removal_writes(world, removal) {
                if !self.write(world, write) {
                    break;
                }
            }
        }
    }
}

/// The daemon's extender, in the same process.
#[derive(Debug)]
pub struct PlanFollower {
    snapshot: Snapshot,
    plan: StandingPlan,
    expected: Expected,
    now: Timestamp,
}

impl PlanFollower {
    fn placer(&self) -> Placer<'_> {
        Placer {
            snapshot: Some(&self.snapshot),
            plan: &self.plan,
            expected: Some(&self.expected),
            // Its scheduler shows what it binds at once.
            sent: None,
            settings: placement::Settings::default(),
            now: self.now,
        }
    }
}

fn in_question(pod: &Pod) -> PodInQuestion<'_> {
    PodInQuestion {
        namespace: &pod.key.namespace,
        name: &pod.key.name,
        uid: &pod.uid,
        node: pod.node.as_deref(),
        of_daemon_set: pod.belongs_to_node(),
        critical: pod.shape.priority >= placement::CRITICAL_PRIORITY,
        described: None,
    }
}

impl Extender for PlanFollower {
    // The scheduler names each node once.

    fn filter(&mut self, pod: &Pod, candidates: &[Name]) -> Result<Vec<Name>, String> {
        let placer = self.placer();
        let asked = placer.candidates(candidates.iter().map(Name::as_str));
        let verdicts = placer.filter(&in_question(pod), &asked).verdicts;
        let passed = candidates.iter().zip(verdicts).filter(|(_, refusal)| refusal.is_none());
        Ok(passed.map(|(name, _)| name.clone()).collect())
    }

    fn prioritize(&mut self, pod: &Pod, candidates: &[Name]) -> Vec<(Name, i64)> {
        let placer = self.placer();
        let asked = placer.candidates(candidates.iter().map(Name::as_str));
        let scores = placer.prioritize(&in_question(pod), &asked);
        candidates.iter().cloned().zip(scores).collect()
    }
}

fn removal_writes(world: &World, removal: &Removal) -> Vec<Write> {
    let claim = ClaimRef::from(removal);
    let state = removal.node.as_ref().and_then(|name| world.cluster().objects().nodes.get(name));
    let taint = state.map(|state| Write::TaintNode {
        node: NodeRef { name: state.node.name.clone(), uid: state.node.uid.clone() },
    });
    let rest = [
        Write::RecordDisruption { claim: claim.clone(), reason: removal.reason },
        Write::DeleteClaim { claim, cause: Cause::Disruption(removal.reason) },
    ];
    taint.into_iter().chain(rest).collect()
}
