//! Cluster Autoscaler: every scan either one node group is scaled up, or nodes are scaled down.

use std::collections::BTreeMap;

use berth_solver::baselines::{Expander, cluster_autoscaler};
use berth_solver::model::{Resources, Timestamp};
use berth_solver::packing::{self, Never};

use super::{Decision, Policy, decision};
use crate::replay::fleet::{NodeId, NodeRow, Phase};
use crate::replay::place::fits;
use crate::replay::settings::{AutoscalerSettings, ReplaySettings, millis};
use crate::replay::world::World;

/// Cluster Autoscaler.
pub(super) struct Autoscaler {
    settings: AutoscalerSettings,
    expander: Expander,
    packing: packing::Settings,
    seed: u64,
    scanned: Option<Timestamp>,
    added: Timestamp,
    /// Since when a node has not been needed, by row and serial number.
    unneeded: BTreeMap<(NodeId, u64), Timestamp>,
}

impl Autoscaler {
    pub fn new(settings: &ReplaySettings, expander: Expander, seed: u64) -> Self {
        Self {
            settings: settings.cluster_autoscaler,
            expander,
            packing: packing::Settings::default(),
            seed,
            scanned: None,
            added: Timestamp::from_millis(i64::MIN / 2),
            unneeded: BTreeMap::new(),
        }
    }

    /// Scales one node group up, if that helps any pod. Returns whether it did.
    fn scale_up(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> bool {
        if world.waiting() == 0 {
            return false;
        }
        let snapshot = world.those_to_plan_for();
        let (now, seed) = (world.now, self.seed);
        let plan = cluster_autoscaler(&snapshot, &self.packing, self.expander, now, seed, &Never);
        // One node group a loop: what else the plan launches is left for the next.
        let Some(first) = plan.launches.first().cloned() else { return false };
        let mut decision = Decision {
            unschedulable: plan.unschedulable.len(),
            method: plan.method.to_string(),
            ..decision(world, "launch")
        };
        for launch in plan.launches {
            let same = launch.instance_type == first.instance_type
                && launch.zone == first.zone
                && launch.capacity_type == first.capacity_type;
            if same {
                decision.count(&launch);
                decision.price_per_hour += launch.price.as_f64();
                // What the cloud refuses, the next loop wants elsewhere.
                let _ = world.launch(launch, Box::default());
            }
        }
        log.push(decision);
        self.added = now;
        true
    }

    /// Notes which nodes are not needed, and removes those that have not been for long enough.
    fn scale_down(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) {
        let candidates = self.candidates(world);
        let now = world.now;
        let known = std::mem::take(&mut self.unneeded);
        let mut movable: Vec<NodeId> = Vec::new();
        let mut looked = 0;
        for (node, serial, empty) in candidates {
            if !empty {
                looked += 1;
                if looked > self.settings.non_empty_candidates || !can_move(world, node) {
                    continue;
                }
            }
            let since = known.get(&(node, serial)).copied().unwrap_or(now);
            self.unneeded.insert((node, serial), since);
            movable.push(node);
        }
        let wait = millis(self.settings.delay_after_add_seconds);
        if now.as_millis() - self.added.as_millis() < wait {
            return;
        }
        let unneeded_for = millis(self.settings.unneeded_seconds);
        let ripe: Vec<NodeId> = self
            .unneeded
            .iter()
            .filter(|(_, since)| now.as_millis() - since.as_millis() >= unneeded_for)
            .map(|((node, _), _)| *node)
            .collect();
        self.remove(world, &ripe, log);
    }

    /// Empty nodes together, up to a limit; else one node with pods (`--max-drain-parallelism`).
    fn remove(&mut self, world: &mut World<'_>, ripe: &[NodeId], log: &mut Vec<Decision>) {
        let is_empty = |node: &&NodeId| world.fleet.get(**node).is_some_and(NodeRow::is_empty);
        let empty: Vec<NodeId> =
            ripe.iter().filter(is_empty).take(self.settings.max_empty_at_once).copied().collect();
        let going = if empty.is_empty() {
            ripe.iter().find(|node| can_move(world, **node)).copied().into_iter().collect()
        } else {
            empty
        };
        if going.is_empty() {
            return;
        }
        let pods = |node: &NodeId| world.fleet.get(*node).map_or(0, |row| row.pods.len());
        let evictions: usize = going.iter().map(pods).sum();
        let round = if evictions == 0 { "remove-empty" } else { "consolidate" };
        let mut decision = Decision { evictions, ..decision(world, round) };
        for node in going {
            decision.removals.extend(world.fleet.get(node).map(|row| row.name.to_string()));
            world.remove(node);
        }
        log.push(decision);
    }

    /// Nodes whose pods ask for little, and whether they are empty; by row.
    fn candidates(&self, world: &World<'_>) -> Vec<(NodeId, u64, bool)> {
        let threshold = self.settings.utilization_threshold;
        world
            .fleet
            .iter()
            .filter(|(_, row)| row.phase == Phase::Up && utilization(row) < threshold)
            .map(|(node, row)| (node, row.serial, row.pods.is_empty()))
            .collect()
    }
}

/// The larger share of CPU and memory that is asked for; of GPUs where there are any.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn utilization(row: &NodeRow) -> f64 {
    let share = |used: i64, of: i64| if of > 0 { used as f64 / of as f64 } else { 0.0 };
    let all = &row.launch.allocatable;
    if let Some((name, amount)) = all.extended().iter().find(|(name, _)| name.ends_with("/gpu")) {
        return share(row.used.extended_amount(name), *amount);
    }
    let cpu = share(row.used.cpu.0, all.cpu.0);
    cpu.max(share(row.used.memory.0, all.memory.0))
}

/// Whether each of a node's pods fits on some other node that stays, all of them together.
fn can_move(world: &mut World<'_>, node: NodeId) -> bool {
    let Some(row) = world.fleet.get(node) else { return false };
    let mut taken: BTreeMap<NodeId, Resources> = BTreeMap::new();
    for pod in row.pods.clone() {
        let Some(shape) = world.pods.get(pod).map(|pod| pod.shape) else { continue };
        let requests = world.kinds.get(shape).shape.requests.clone();
        let found = world.fleet.slots().iter().position(|slot| {
            slot.node != node && fits(&mut world.kinds, &world.fleet, shape, slot, false) && {
                let free = world.fleet.get(slot.node).map(|at| &at.launch.allocatable - &at.used);
                let already = taken.get(&slot.node);
                free.is_some_and(|free| match already {
                    Some(taken) => requests.fits(&(&free - taken)),
                    None => true,
                })
            }
        });
        let Some(found) = found else { return false };
        let other = world.fleet.slots()[found].node;
        *taken.entry(other).or_default() += &requests;
    }
    true
}

impl Policy for Autoscaler {
    fn look(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> Option<Timestamp> {
        let scan = millis(self.settings.scan_seconds).max(100);
        let due = self.scanned.map(|at| Timestamp::from_millis(at.as_millis() + scan));
        if let Some(due) = due.filter(|due| *due > world.now) {
            return Some(due);
        }
        self.scanned = Some(world.now);
        let _ = world.forget_exclusions();
        if !self.scale_up(world, log) {
            self.scale_down(world, log);
        }
        let idle = world.fleet.alive() == 0 && world.waiting() == 0;
        (!idle).then(|| Timestamp::from_millis(world.now.as_millis() + scan))
    }
}
