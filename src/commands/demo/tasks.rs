//! What makes the embedded cluster live: its watch, and its scheduler.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use berth_simulations::cluster::Subscription;
use berth_simulations::scheduler::{Attempt, Outcome};
use berth_solver::model::{Name, Target};
use berth_solver::placement::StandingPlan;

use super::extender::Client;
use super::journal::{Journal, Subject};
use super::witness::{app_of, short};
use crate::cache::{CacheSender, Kind, Stopped};
use crate::provider::simulated::SharedWorld;

/// Tells the cache what changes in the world, lists first, until the cache stops.
pub async fn feed(world: SharedWorld, subscription: Subscription, cache: CacheSender) {
    // An error means that the cache stopped: then there is nobody to tell.
    let _ = try_feed(&world, subscription, &cache).await;
}

async fn try_feed(
    world: &SharedWorld,
    subscription: Subscription,
    cache: &CacheSender,
) -> Result<(), Stopped> {
    let mut changes = world.changes();
    let mut synced = false;
    loop {
        changes.mark_unchanged();
        for event in world.with(|world| world.drain(subscription)) {
            cache.send(event).await?;
        }
        if !synced {
            for kind in Kind::ALL {
                cache.synced(kind).await?;
            }
            synced = true;
        }
        let due = world.look(berth_simulations::World::next_timer_at);
        world.next_change(&mut changes, due).await;
    }
}

/// Where pods went, compared with the plan.
#[derive(Debug, Default)]
pub struct Placed {
    /// Pods bound to the node that the plan gave them.
    pub as_planned: AtomicU64,
    /// Pods bound to another node than the plan gave them.
    pub elsewhere: AtomicU64,
    /// Pods bound that the plan did not speak of.
    pub unplanned: AtomicU64,
}

/// The scheduler of the embedded cluster, which asks the extender over HTTP.
pub struct Scheduling {
    /// The cluster.
    pub world: SharedWorld,
    /// The extender.
    pub extender: Client,
    /// The plan that pods should follow.
    pub plan: Arc<ArcSwap<StandingPlan>>,
    /// Where pods went.
    pub placed: Arc<Placed>,
    /// Where placements are written down.
    pub journal: Journal,
}

impl Scheduling {
    /// Schedules pods until it is dropped.
    pub async fn run(mut self) {
        let mut changes = self.world.changes();
        // Pods bound in one go: node and app.
        let mut bound: BTreeMap<(Name, Name), usize> = BTreeMap::new();
        loop {
            changes.mark_unchanged();
            let Some(attempt) = self.world.with(berth_simulations::World::begin_attempt) else {
                self.tell(&mut bound);
                let due = self.world.look(berth_simulations::World::next_attempt_at);
                self.world.next_change(&mut changes, due).await;
                continue;
            };
            if let Some(node) = self.attempt(&attempt).await {
                *bound.entry((node, app_of(&attempt.pod))).or_default() += 1;
            }
        }
    }

    async fn attempt(&mut self, attempt: &Attempt) -> Option<Name> {
        let pod = &attempt.pod;
        let passed = self.extender.filter(pod, &attempt.candidates).await;
        // kube-scheduler does not ask for scores where there is no choice, and goes without them
        // where they fail.
        let scores = match &passed {
            Ok(passed) if passed.len() > 1 => {
                self.extender.prioritize(pod, passed).await.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let planned = self.plan.load().targets.get(&pod.uid).cloned();
        let passed = passed.map_err(|error| format!("{error:#}"));
        let outcome = self.world.with(|world| world.finish_attempt(attempt, passed, &scores));
        match outcome {
            Outcome::Bound(node) => {
                self.count(&node, planned.as_ref());
                Some(node)
            }
            Outcome::Unschedulable => None,
            Outcome::Retry(why) => {
                let text = format!("{}: {why}", pod.key);
                self.journal.record(self.world.clock().now(), Subject::Trouble, text);
                None
            }
        }
    }

    fn count(&self, node: &Name, planned: Option<&Target>) {
        let counter = match planned {
            None => &self.placed.unplanned,
            Some(Target::Node(name)) if name == node => &self.placed.as_planned,
            Some(Target::Claim(name)) => {
                let there = self.world.look(|world| {
                    let objects = world.cluster().objects();
                    let claim = objects.claims.get(name)?;
                    Some(objects.node_of_claim(claim)?.node.name == *node)
                });
                if there == Some(true) { &self.placed.as_planned } else { &self.placed.elsewhere }
            }
            Some(Target::Node(_)) => &self.placed.elsewhere,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&self, bound: &mut BTreeMap<(Name, Name), usize>) {
        let mut by_node: BTreeMap<Name, Vec<String>> = BTreeMap::new();
        for ((node, app), count) in std::mem::take(bound) {
            by_node.entry(node).or_default().push(format!("{count} {app}"));
        }
        for (node, pods) in by_node {
            let text = format!("{} on {}", pods.join(", "), short(&node));
            self.journal.record(self.world.clock().now(), Subject::Place, text);
        }
    }
}
