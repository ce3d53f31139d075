//! Karpenter: its batches, its provisioning, its disruption loop with its waits.

use berth_solver::baselines::{self, KarpenterCommand, Policy as Baseline, karpenter_command};
use berth_solver::disruption::Inputs;
use berth_solver::model::{ClusterState, Timestamp};
use berth_solver::packing::{self, Due, Never, Queue, QueueSettings};

use super::swap::Swap;
use super::{Decision, Policy, decision, earlier, empties, look_interval};
use crate::replay::demand::Demand;
use crate::replay::fleet::NodeId;
use crate::replay::objects;
use crate::replay::settings::{KarpenterSettings, ReplaySettings, duration, millis};
use crate::replay::world::World;

/// What its disruption loop is about. It does one thing at a time.
enum Doing {
    /// Empty nodes that go once they were validated.
    Emptying(Vec<(NodeId, u64)>, Timestamp),
    /// A command that begins once it was validated.
    Validating(KarpenterCommand, Timestamp),
    /// A command that is carried out.
    Swapping(Swap),
}

/// Karpenter.
pub(super) struct Karpenter {
    settings: KarpenterSettings,
    packing: packing::Settings,
    queue: Queue,
    seed: u64,
    /// Milliseconds between two looks for commands.
    every: i64,
    polled: Timestamp,
    searched: Timestamp,
    doing: Option<Doing>,
}

impl Karpenter {
    pub fn new(settings: &ReplaySettings, demand: &Demand, seed: u64) -> Self {
        let own = settings.karpenter;
        let queue = QueueSettings {
            batch_idle: duration(own.batch_idle_seconds),
            batch_longest: duration(own.batch_max_seconds),
            ..QueueSettings::default()
        };
        Self {
            settings: own,
            packing: packing::Settings::default(),
            queue: Queue::new(queue),
            seed,
            every: look_interval(settings, demand, own.poll_seconds),
            polled: demand.from,
            searched: demand.from,
            doing: None,
        }
    }

    fn provision(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) {
        let snapshot = world.those_to_plan_for();
        let (now, seed) = (world.now, self.seed);
        let plan =
            baselines::plan(Baseline::Karpenter, &snapshot, &self.packing, now, seed, &Never);
        self.queue.record(&plan, now);
        let mut decision = Decision {
            unschedulable: plan.unschedulable.len(),
            price_per_hour: plan.price.as_f64(),
            method: plan.method.to_string(),
            ..decision(world, "launch")
        };
        for launch in plan.launches {
            decision.count(&launch);
            // What the cloud refuses is planned for again.
            let name = launch.name.clone();
            if world.launch(launch, Box::default()).is_err() {
                self.queue.release(&name);
            }
        }
        log.push(decision);
    }

    /// One step of the loop. Returns when the next is due.
    fn disrupt(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> Option<Timestamp> {
        let poll = millis(self.settings.poll_seconds).max(100);
        match self.doing.take() {
            Some(doing) => self.go_on(world, doing, log),
            None => {
                let due = Timestamp::from_millis(self.polled.as_millis() + poll);
                if due > world.now {
                    return Some(due).filter(|_| world.fleet.alive() > 0);
                }
                self.polled = world.now;
                self.search(world);
            }
        }
        let now = world.now.as_millis();
        match &self.doing {
            Some(Doing::Emptying(_, at) | Doing::Validating(_, at)) => Some(*at),
            Some(Doing::Swapping(_)) => Some(Timestamp::from_millis(now + 10_000)),
            None if world.fleet.alive() == 0 => None,
            // With nothing empty, nothing happens before the next look for commands.
            None if world.fleet.empty.is_empty() => {
                let next = self.searched.as_millis() + self.every;
                Some(Timestamp::from_millis(next.max(now + poll)))
            }
            None => Some(Timestamp::from_millis(now + poll)),
        }
    }

    fn search(&mut self, world: &mut World<'_>) {
        let inputs = empties::inputs(world);
        let validated = Timestamp::from_millis(
            world.now.as_millis() + millis(self.settings.validation_seconds),
        );
        if !world.fleet.empty.is_empty() {
            let (_, found) = empties::found(world, ClusterState::new(), &inputs);
            let serial = |node: NodeId| Some((node, world.fleet.get(node)?.serial));
            let nodes = found.iter().filter_map(|removal| world.fleet.find(&removal.claim));
            let found: Vec<_> = nodes.filter_map(serial).collect();
            if !found.is_empty() {
                self.doing = Some(Doing::Emptying(found, validated));
                return;
            }
        }
        let due = self.searched.as_millis() + self.every <= world.now.as_millis();
        if !self.settings.consolidate || !due || world.waiting() > 0 {
            return;
        }
        // Looks that find nothing are thinned out, not those that lead to another.
        self.searched = world.now;
        if let (Some(command), seconds) = self.command(world, &inputs) {
            self.searched = Timestamp::from_millis(world.now.as_millis() - self.every);
            let at = validated.as_millis() + millis(seconds);
            self.doing = Some(Doing::Validating(command, Timestamp::from_millis(at)));
        }
    }

    fn command(&self, world: &mut World<'_>, inputs: &Inputs) -> (Option<KarpenterCommand>, f64) {
        let now = world.now;
        karpenter_command(world.picture(), inputs, &self.packing, now)
    }

    fn go_on(&mut self, world: &mut World<'_>, doing: Doing, log: &mut Vec<Decision>) {
        match doing {
            Doing::Emptying(nodes, at) if at > world.now => {
                self.doing = Some(Doing::Emptying(nodes, at));
            }
            Doing::Validating(command, at) if at > world.now => {
                self.doing = Some(Doing::Validating(command, at));
            }
            Doing::Emptying(nodes, _) => {
                let mut decision = decision(world, "remove-empty");
                for (node, serial) in nodes {
                    let still = world.fleet.get(node).filter(|row| row.serial == serial);
                    if let Some(row) = still.filter(|row| row.is_empty()) {
                        decision.removals.push(row.name.to_string());
                        world.remove(node);
                    }
                }
                if !decision.removals.is_empty() {
                    log.push(decision);
                }
            }
            Doing::Validating(command, _) => self.begin(world, &command, log),
            Doing::Swapping(mut swap) => {
                if swap.go_on(world).is_none() {
                    self.doing = Some(Doing::Swapping(swap));
                }
            }
        }
    }

    /// Validates a command as Karpenter does, by working it out again, and begins it.
    fn begin(
        &mut self,
        world: &mut World<'_>,
        command: &KarpenterCommand,
        log: &mut Vec<Decision>,
    ) {
        let inputs = empties::inputs(world);
        let (Some(again), _) = self.command(world, &inputs) else { return };
        // The same nodes, and nothing dearer in their place.
        let still = command.claims.iter().all(|claim| again.claims.contains(claim));
        if !still || command.replacement.is_some() != again.replacement.is_some() {
            return;
        }
        let going: Vec<NodeId> =
            command.claims.iter().filter_map(|claim| world.fleet.find(claim)).collect();
        let mut decision = Decision {
            removals: command.claims.iter().map(ToString::to_string).collect(),
            method: "karpenter".to_owned(),
            ..decision(world, "consolidate")
        };
        decision.evictions =
            going.iter().filter_map(|node| world.fleet.get(*node)).map(|row| row.pods.len()).sum();
        let mut coming = Vec::new();
        if let Some((_, instance_type, offering)) = &command.replacement {
            let market = &world.market;
            let reason = "replaces dearer nodes".to_owned();
            let launch =
                objects::launch(&market.pool, &market.catalog, instance_type, offering, reason);
            let Some(launch) = launch else { return };
            decision.count(&launch);
            decision.price_per_hour = launch.price.as_f64();
            match world.launch(launch, Box::default()) {
                Ok(node) => coming.push(node),
                Err(_) => return,
            }
        }
        log.push(decision);
        let mut swap = Swap::begin(world, &going, &coming, std::collections::BTreeMap::new());
        if swap.go_on(world).is_none() {
            self.doing = Some(Doing::Swapping(swap));
        }
    }
}

impl Policy for Karpenter {
    fn look(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> Option<Timestamp> {
        let mut next = world.forget_exclusions();
        match self.queue.look(world.those_who_wait(), world.now) {
            Due::Now => {
                self.provision(world, log);
                next = earlier(next, Some(world.now + QueueSettings::default().retry_after));
            }
            Due::At(at) => next = earlier(next, Some(at)),
            Due::Never if world.waiting() > 0 => {
                next = earlier(next, Some(world.now + QueueSettings::default().retry_after));
            }
            Due::Never => {}
        }
        earlier(next, self.disrupt(world, log))
    }
}
