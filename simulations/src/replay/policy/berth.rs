//! Berth: the daemon's queue, planner, extender and consolidation.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_solver::decisions::{self, Answer, Pace, Question, Recorded as Paced};
use berth_solver::disruption::{self, Gathering, Round, next_round, reuse};
use berth_solver::model::{Launch, Name, Plan, PodKey, Price, Snapshot, Target, Timestamp};
use berth_solver::packing::{self, Due, Queue, QueueSettings, Stop as _};
use berth_solver::planning;

use super::swap::Swap;
use super::{Decision, Policy, Steps, decision, earlier, empties, look_interval};
use crate::replay::demand::Demand;
use crate::replay::fleet::NodeId;
use crate::replay::settings::{ReplaySettings, duration};
use crate::replay::world::{Recorded, World};

/// The daemon looks for empty nodes after every change; here, so often at most (milliseconds).
const EMPTIES_EVERY: i64 = 1_000;

/// The series of snapshots that are written down.
const THOSE_WHO_WAIT: u8 = 0;
const EVERYTHING: u8 = 1;

/// The daemon's loop.
pub(super) struct Berth {
    packing: packing::Settings,
    disruption: disruption::Settings,
    consolidates: bool,
    steers: bool,
    steps: u32,
    every: i64,
    queue: Queue,
    seed: u64,
    swap: Option<Swap>,
    looked: Timestamp,
    /// Nodes that are waited for before the next look.
    gathering: Gathering,
    emptied: Timestamp,
}

impl Berth {
    pub fn new(settings: &ReplaySettings, demand: &Demand, seed: u64) -> Self {
        let own = &settings.berth;
        let packing = packing::Settings {
            price_per_node: Price::per_hour(own.price_per_node).unwrap_or_default(),
            column_rounds: own.column_rounds,
            search_rounds: own.search_rounds,
            ..packing::Settings::default()
        };
        let queue = QueueSettings {
            batch_idle: duration(own.batch_idle_seconds),
            batch_longest: duration(own.batch_longest_seconds),
            ..QueueSettings::default()
        };
        let every = look_interval(settings, demand, own.consolidate_every_seconds);
        Self {
            disruption: disruption::Settings {
                horizon: duration(own.horizon_hours * 3_600.0),
                price_per_eviction: Price::per_hour(own.price_per_eviction).unwrap_or_default(),
                eviction_percent: own.eviction_percent,
                orders: own.orders,
                exchanges: own.exchanges,
                // Thousands of rounds: the simplest bound has to do.
                bound_steps: 0,
                packing: packing::Settings {
                    column_rounds: 0,
                    search_rounds: 0,
                    ..packing.clone()
                },
                ..disruption::Settings::default()
            },
            packing,
            consolidates: own.consolidate,
            steers: own.steer,
            steps: own.steps,
            every,
            queue: Queue::new(queue),
            seed,
            swap: None,
            looked: demand.from,
            gathering: Gathering::default(),
            emptied: Timestamp::from_millis(i64::MIN / 2),
        }
    }

    /// The time that a decision has, in steps of the daemon's log, so that it can be written down.
    fn budget(&self) -> Paced<impl Fn() -> f64 + use<>> {
        let steps = Steps::new(self.steps);
        Paced::new(move || steps.spent())
    }

    const fn decision(
        &self,
        at: Timestamp,
        question: Question,
        pace: Pace,
        answer: Answer,
    ) -> decisions::Decision {
        decisions::Decision { at, seed: self.seed, question, pace, answer }
    }

    fn plan(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) {
        let snapshot = world.those_to_plan_for();
        let now = world.now;
        let budget = self.budget();
        let planned = planning::plan(&snapshot, &self.packing, now, self.seed, &budget);
        if let Some(recorded) = &mut world.recorded {
            let question = Question::Provision { settings: self.packing.clone() };
            let answer = Answer::Plan(planned.plan.clone().map(Box::new));
            let decision = self.decision(now, question, budget.into_pace(), answer);
            let snapshot = Arc::new(without_hopeless(&snapshot));
            recorded.push(Recorded { series: THOSE_WHO_WAIT, snapshot, decision });
        }
        let Some(mut plan) = planned.plan else {
            self.queue.record_failure(&snapshot, now);
            return;
        };
        let mut decision = Decision {
            unschedulable: plan.unschedulable.len(),
            price_per_hour: plan.price.as_f64(),
            lower_bound_per_hour: plan.lower_bound.as_f64(),
            method: plan.method.to_string(),
            ..decision(world, "launch")
        };
        let mut planned: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        for one in &plan.placements {
            if let Target::Claim(claim) = &one.target {
                planned.entry(claim.clone()).or_default().push(one.uid.clone());
            }
        }
        let mut named: BTreeMap<Name, Option<Name>> = BTreeMap::new();
        for launch in std::mem::take(&mut plan.launches) {
            decision.count(&launch);
            let mut pods = planned.remove(&launch.name).unwrap_or_default();
            pods.sort_unstable();
            let before = launch.name.clone();
            let node = world.launch(launch, pods.into()).ok();
            let name = node.and_then(|node| world.fleet.get(node)).map(|row| row.name.clone());
            named.insert(before, name);
        }
        log.push(decision);
        self.follow(world, plan, &named);
    }

    /// Sends pods where the plan wants them; those whose node the cloud refused wait.
    fn follow(
        &mut self,
        world: &mut World<'_>,
        mut plan: Plan,
        named: &BTreeMap<Name, Option<Name>>,
    ) {
        plan.placements.retain_mut(|one| {
            if let Target::Claim(claim) = &mut one.target
                && let Some(name) = named.get(claim)
            {
                match name {
                    Some(name) => *claim = name.clone(),
                    None => return false,
                }
            }
            true
        });
        self.queue.record(&plan, world.now);
        self.send(world, plan.placements.iter().map(|one| (&one.uid, &one.target)));
    }

    /// The extender has pods go to their places.
    fn send<'t>(
        &self,
        world: &mut World<'_>,
        targets: impl IntoIterator<Item = (&'t Name, &'t Target)>,
    ) {
        for (uid, target) in targets.into_iter().filter(|_| self.steers) {
            let (Target::Claim(name) | Target::Node(name)) = target;
            if let (Some(pod), Some(node)) = (world.pods.find(uid), world.fleet.find(name)) {
                world.aim(pod, node);
            }
        }
    }

    fn remove_empties(
        &mut self,
        world: &mut World<'_>,
        log: &mut Vec<Decision>,
    ) -> Option<Timestamp> {
        let due = empties::due(world)?;
        let again = Timestamp::from_millis(self.emptied.as_millis() + EMPTIES_EVERY);
        let due = due.max(again);
        if due > world.now {
            return Some(due);
        }
        self.emptied = world.now;
        let awaited = self.swap.as_ref().map(|swap| swap.awaited(world)).unwrap_or_default();
        let targets = self.queue.targets();
        let inputs = disruption::Inputs { targets, awaited, ..empties::inputs(world) };
        let (picture, found) = empties::found(world, world.mirror.those_who_wait(), &inputs);
        let reused = reuse(picture.picture(), &inputs, &found);
        if !found.is_empty() {
            let mut decision = decision(world, "remove-empty");
            for removal in found {
                let Some(node) = world.fleet.find(&removal.claim) else { continue };
                if !reused.values().any(|target| *target == Target::Node(removal.claim.clone())) {
                    decision.removals.push(removal.claim.to_string());
                    world.remove(node);
                }
            }
            log.push(decision);
        }
        self.queue.redirect(reused.clone(), world.now);
        self.send(world, &reused);
        empties::due(world)
            .map(|due| due.max(Timestamp::from_millis(world.now.as_millis() + EMPTIES_EVERY)))
    }

    /// A round when it is time and nothing else is going on, as the daemon has it.
    fn consolidate(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> Option<Timestamp> {
        if let Some(swap) = &mut self.swap {
            if swap.go_on(world).is_none() {
                return Some(Timestamp::from_millis(world.now.as_millis() + 10_000));
            }
            self.swap = None;
        }
        if !self.consolidates || world.fleet.alive() == 0 {
            return None;
        }
        let due = Timestamp::from_millis(self.looked.as_millis() + self.every);
        if due > world.now {
            return Some(due);
        }
        // Pods that wait and nodes on their way come first; every change wakes the policy.
        if world.waiting() > 0 || !world.fleet.coming.is_empty() {
            return None;
        }
        let inputs = disruption::Inputs { targets: self.queue.targets(), ..empties::inputs(world) };
        let (now, seed) = (world.now, self.seed);
        if self.gathering.waits(world.picture(), &inputs, now) {
            return Some(Timestamp::from_millis(now.as_millis() + self.every));
        }
        self.looked = now;
        let budget = self.budget();
        let round = next_round(world.picture(), &inputs, &self.disruption, now, seed, &budget);
        if !round.is_empty() {
            let snapshot = world.recorded.is_some().then(|| Arc::new(world.picture().clone()));
            if let (Some(recorded), Some(snapshot)) = (&mut world.recorded, snapshot) {
                let (inputs, settings) = (Box::new(inputs), Box::new(self.disruption.clone()));
                let question = Question::Disrupt { inputs, settings };
                let answer = Answer::Round(Box::new(round.clone()));
                let decision = self.decision(now, question, budget.into_pace(), answer);
                recorded.push(Recorded { series: EVERYTHING, snapshot, decision });
            }
            self.begin(world, round, log);
        }
        Some(Timestamp::from_millis(world.now.as_millis() + self.every))
    }

    fn begin(&mut self, world: &mut World<'_>, round: Round, log: &mut Vec<Decision>) {
        let mut decision = Decision {
            evictions: round.moves.len(),
            price_per_hour: round.price_after.as_f64(),
            lower_bound_per_hour: round.lower_bound.as_f64(),
            method: round.plan.method.to_string(),
            ..decision(world, "consolidate")
        };
        let removals = &round.plan.removals;
        decision.removals = removals.iter().map(|one| one.claim.to_string()).collect();
        let going: Vec<NodeId> =
            removals.iter().filter_map(|one| world.fleet.find(&one.claim)).collect();
        let mut named: BTreeMap<Name, NodeId> = BTreeMap::new();
        let mut refused = false;
        for launch in round.plan.launches {
            decision.count(&launch);
            let before = launch.name.clone();
            match world.launch(launch, Box::default()) {
                Ok(node) => {
                    named.insert(before, node);
                }
                Err(_) => refused = true,
            }
        }
        log.push(decision);
        let place = |target: &Target| match target {
            Target::Claim(name) => named.get(name).copied().or_else(|| world.fleet.find(name)),
            Target::Node(name) => world.fleet.find(name),
        };
        let moves = round.moves.iter().filter_map(|one| Some((one.uid.clone(), place(&one.to)?)));
        let moves = moves.collect();
        let coming: Vec<NodeId> = named.values().copied().collect();
        let mut swap = Swap::begin(world, &going, &coming, moves);
        if refused {
            return swap.give_up(world);
        }
        if swap.go_on(world).is_none() {
            self.swap = Some(swap);
        }
    }
}

/// The snapshot without pods that wait and are not planned for: who reads its pods again would plan
/// for them.
fn without_hopeless(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    let pods = snapshot.pods.iter().filter(|(_, pod)| pod.node.is_none());
    let hopeless = pods.filter(|(key, _)| !snapshot.unbound.contains_key(*key));
    for key in hopeless.map(|(key, _)| key.clone()).collect::<Vec<PodKey>>() {
        snapshot.pods.remove(&key);
    }
    snapshot
}

impl Policy for Berth {
    fn look(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> Option<Timestamp> {
        let mut next = world.forget_exclusions();
        match self.queue.look(world.those_who_wait(), world.now) {
            Due::Now => {
                self.plan(world, log);
                let again = world.now + QueueSettings::default().retry_after;
                next = earlier(next, Some(again));
            }
            Due::At(at) => next = earlier(next, Some(at)),
            Due::Never if world.waiting() > 0 => {
                // Those that found no place are tried again.
                let again = world.now + QueueSettings::default().retry_after;
                next = earlier(next, Some(again));
            }
            Due::Never => {}
        }
        let swapped = self.consolidate(world, log);
        let emptied = self.remove_empties(world, log);
        earlier(next, earlier(swapped, emptied))
    }
}

impl Decision {
    /// Counts a launch.
    pub(super) fn count(&mut self, launch: &Launch) {
        let Launch { instance_type, zone, capacity_type, .. } = launch;
        *self.launches.entry(format!("{instance_type}/{zone}/{capacity_type}")).or_default() += 1;
    }
}
