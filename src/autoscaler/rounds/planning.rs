//! Plans: when they are made, who is told, and what follows from them.

use std::sync::Arc;
use std::time::Duration;

use berth_solver::decisions::{Answer, Decision, Pace, Question};
use berth_solver::lifecycle::{Cause, Effect, Write, new_claim, nominations};
use berth_solver::model::{Launch, NodePool, Plan, Snapshot, Target, Timestamp};
use berth_solver::packing::{Due, static_pools};

use super::{Autoscaler, Creating, LONGEST_WAIT};
use crate::api::HASH_VERSION;
use crate::autoscaler::planner::{self, Planned};
use crate::autoscaler::{Settings, figures, notices};
use crate::background;

impl Autoscaler {
    /// Begins to plan, if it is time and nothing of the last plan is still on its way into the
    /// cache: a plan that did not see it would launch it again.
    pub(super) fn plan_if_due(&mut self, snapshot: &Arc<Snapshot>, now: Timestamp) -> Duration {
        let due = self.memory.queue.look(snapshot, now);
        if !self.planning.is_empty() || !self.memory.creating.is_empty() {
            return LONGEST_WAIT;
        }
        match due {
            Due::Never => LONGEST_WAIT,
            Due::At(at) => at.since(now),
            Due::Now if !has_catalogs(snapshot) => LONGEST_WAIT,
            Due::Now => {
                let snapshot = self.memory.health.rested(snapshot, now);
                let snapshot = self.memory.moves.overlay(snapshot);
                let settings = self.settings.clone();
                self.planning.spawn_blocking(move || {
                    let Settings { packing, seed, plan_budget, .. } = settings;
                    background::run(|| planner::plan(snapshot, &packing, now, seed, plan_budget))
                });
                LONGEST_WAIT
            }
        }
    }

    pub(super) fn follow(&mut self, planned: Planned) {
        if !self.memory.leads {
            return;
        }
        let now = self.parts.clock.now();
        figures::of_plan(&self.parts.metrics, &planned);
        for (plan, violations) in &planned.rejected {
            let first = violations.first().map(ToString::to_string).unwrap_or_default();
            let (method, faults) = (plan.method, violations.len());
            tracing::error!(%method, faults, first, "a plan did not pass the checker: dropped");
        }
        let question = Question::Provision { settings: self.settings.packing.clone() };
        let answer = Answer::Plan(planned.plan.clone().map(Box::new));
        self.report(&planned.snapshot, planned.at, question, planned.pace, answer);
        let Some(plan) = planned.plan else {
            self.memory.queue.record_failure(&planned.snapshot, now);
            return;
        };
        log_plan(&plan, planned.took);
        self.create(&planned.snapshot, &plan);
        self.memory.queue.record(&plan, now);
        self.memory.buffer_statuses.planned(&plan);
        self.tell(notices::of_plan(&plan), now);
    }

    /// Tells what was decided.
    pub(super) fn report(
        &self,
        snapshot: &Arc<Snapshot>,
        at: Timestamp,
        question: Question,
        pace: Pace,
        answer: Answer,
    ) {
        let decision = Decision { at, seed: self.settings.seed, question, pace, answer };
        self.parts.journal.record(snapshot, &Arc::new(decision));
    }

    pub(super) fn publish(&self, snapshot: &Snapshot, now: Timestamp) {
        let latest = self.parts.plan.load();
        let mut standing = self.memory.queue.standing_plan(now);
        let fresh = now.since(latest.confirmed_at) < LONGEST_WAIT && latest.is_good_at(now);
        standing.kept = self.memory.moves.kept(snapshot);
        if fresh && latest.targets == standing.targets && latest.kept == standing.kept {
            return;
        }
        let pods = i64::try_from(standing.targets.len()).unwrap_or(i64::MAX);
        self.parts.metrics.standing_plan_pods.set(pods);
        self.parts.plan.store(Arc::new(standing));
    }

    /// Nominates planned pods for their nodes. The extender has the plan by now.
    pub(super) fn steer(&mut self, snapshot: &Snapshot) {
        if !self.settings.steer {
            return;
        }
        let plan = self.parts.plan.load();
        for write in nominations(snapshot, &plan.targets, &self.memory.nominated) {
            self.executor.start(write.into());
        }
    }

    /// From the next round on, creates the claims of a plan's launches.
    pub(super) fn create(&mut self, snapshot: &Snapshot, plan: &Plan) {
        for effect in creates(snapshot, plan) {
            if let Effect::Write(Write::CreateClaim(new)) = &effect {
                let creating = Creating { effect: effect.clone(), created: None };
                self.memory.creating.insert(new.name.clone(), creating);
            }
        }
    }

    /// Gives static pools the nodes that they are short of, and takes those that are too many.
    pub(super) fn keep_static_pools(&mut self, snapshot: &Arc<Snapshot>, now: Timestamp) {
        let is_static = |pool: &Arc<NodePool>| pool.replicas.is_some();
        let settled = self.planning.is_empty() && self.memory.creating.is_empty();
        if !settled || !snapshot.pools.values().any(is_static) {
            return;
        }
        let snapshot = self.memory.health.rested(snapshot, now);
        let seed = self.settings.seed;
        let coming = self.memory.disrupting.coming(&snapshot);
        let found = static_pools(&snapshot, self.memory.under_way.uids(), &coming, now, seed);
        for claim in found.surplus {
            tracing::info!(nodeclaim = %claim.name, "its static pool has too many nodes");
            let cause = Cause::ScaledDown;
            self.executor.start(Write::DeleteClaim { claim, cause }.into());
        }
        let plan = Plan { launches: found.launches, ..Plan::default() };
        self.create(&snapshot, &plan);
    }
}

/// Whether it is known what each pool's cloud sells. Before that a plan would say of every pod
/// that nothing holds it.
pub(super) fn has_catalogs(snapshot: &Snapshot) -> bool {
    snapshot.pools.keys().all(|pool| snapshot.catalogs.contains_key(pool))
}

/// The claims that carry out a plan's launches.
fn creates(snapshot: &Snapshot, plan: &Plan) -> Vec<Effect> {
    let of_launch = |launch: &Launch| {
        let pool = snapshot.pools.get(&launch.pool)?;
        let to_it = plan.placements.iter().filter(
            |placement| matches!(&placement.target, Target::Claim(name) if *name == launch.name),
        );
        let pods = to_it.map(|placement| placement.uid.clone());
        let claim = new_claim(launch, pool, pods, HASH_VERSION);
        Some(Effect::Write(Write::CreateClaim(Box::new(claim))))
    };
    plan.launches.iter().filter_map(of_launch).collect()
}

fn log_plan(plan: &Plan, took: Duration) {
    tracing::info!(
        method = %plan.method,
        generation = plan.generation,
        seed = plan.seed,
        launches = plan.launches.len(),
        placements = plan.placements.len(),
        unschedulable = plan.unschedulable.len(),
        price_per_hour = plan.price.as_f64(),
        lower_bound_per_hour = plan.lower_bound.as_f64(),
        gap = plan.gap(),
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "planned"
    );
    for launch in &plan.launches {
        tracing::info!(
            nodeclaim = %launch.name,
            instance_type = %launch.instance_type,
            zone = %launch.zone,
            capacity_type = %launch.capacity_type,
            price_per_hour = launch.price.as_f64(),
            reason = launch.reason,
            "launching"
        );
    }
}
