//! What the metrics say about the cluster, the last plan, and what was done.

use std::time::Duration;

use berth_solver::disruption::{Inputs, Round, allowed};
use berth_solver::lifecycle::{Effect, Write, node_capacity};
use berth_solver::model::{
    DisruptionReason, Headroom, Name, NodeClaim, NodePool, Plan, Price, RemovalReason, Resources,
    Snapshot, Target, Timestamp, well_known,
};

use super::landings::Landed;
use super::planner::Planned;
use crate::metrics::{
    CapacityLabels, ControllerLabels, DecisionLabels, DisruptionLabels, KindLabels, MethodLabels,
    Metrics, PlaceLabels, PoolLabels, PoolReasonLabels, PoolResourceLabels, PoolZoneLabels,
    ReasonLabels, ResourceLabels, UnhealthyLabels,
};

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Says what the cluster is like.
pub(super) fn of_cluster(metrics: &Metrics, snapshot: &Snapshot, inputs: &Inputs) {
    let pending = snapshot.unbound.values().filter(|pod| pod.needs_node());
    metrics.pending_pods.set(count(pending.count()));
    let ignored = snapshot.unbound.values().filter(|pod| pod.defect.is_some());
    metrics.scheduler_ignored_pods.set(count(ignored.count()));
    let defective_pods = snapshot.pods.values().filter(|pod| pod.defect.is_some()).count();
    let defective_pools = snapshot.pools.values().filter(|pool| pool.defect.is_some()).count();
    for (kind, defective) in [("Pod", defective_pods), ("NodePool", defective_pools)] {
        metrics.objects_defective.get_or_create(&KindLabels { kind }).set(count(defective));
    }
    metrics.cluster_state_node_count.set(count(snapshot.nodes.len()));
    metrics.cache_generation.set(i64::try_from(snapshot.generation).unwrap_or(i64::MAX));
    let mut total = Price::ZERO;
    // Pools that are gone must not go on being shown.
    metrics.nodepools_cost.clear();
    metrics.nodepools_usage.clear();
    metrics.nodepools_limit.clear();
    metrics.nodepools_allowed_disruptions.clear();
    for pool in snapshot.pools.values() {
        total += of_pool(metrics, snapshot, pool, inputs);
    }
    metrics.cluster_price.set(total.as_f64());
    of_utilization(metrics, snapshot);
}

/// Says what a pool is like, and returns what it costs.
fn of_pool(metrics: &Metrics, snapshot: &Snapshot, pool: &NodePool, inputs: &Inputs) -> Price {
    let nodepool = pool.name.to_string();
    let catalog = snapshot.catalogs.get(&pool.name);
    let claims = snapshot.claims.values().filter(|claim| claim.pool() == Some(&pool.name));
    let (mut cost, mut usage, mut nodes) = (Price::ZERO, Resources::default(), 0_i64);
    for claim in claims {
        nodes += 1;
        usage = &usage + &node_capacity(claim, catalog.map(AsRef::as_ref));
        cost += price_of(snapshot, pool, claim);
    }
    metrics
        .nodepools_cost
        .get_or_create(&PoolLabels { nodepool: nodepool.clone() })
        .set(cost.as_f64());
    let label = |kind: &str| PoolResourceLabels {
        resource_type: kind.to_owned(),
        nodepool: nodepool.clone(),
    };
    let used = [("cpu", usage.cpu.0), ("memory", usage.memory.0), ("nodes", nodes)];
    let limits =
        [("cpu", pool.limits.cpu), ("memory", pool.limits.memory), ("nodes", pool.limits.nodes)];
    for (kind, amount) in used {
        metrics.nodepools_usage.get_or_create(&label(kind)).set(in_units(kind, amount));
    }
    for (kind, limit) in limits {
        if let Some(limit) = limit {
            metrics.nodepools_limit.get_or_create(&label(kind)).set(in_units(kind, limit));
        }
    }
    let allowance = allowed(snapshot, pool, DisruptionReason::Empty, &inputs.closed_budgets);
    let remaining = allowance.remaining().min(allowance.nodes);
    let labels = PoolReasonLabels { reason: "Empty", nodepool };
    metrics.nodepools_allowed_disruptions.get_or_create(&labels).set(i64::from(remaining));
    cost
}

/// What a claim's machine costs: as the catalog says, or as it was when it was chosen.
fn price_of(snapshot: &Snapshot, pool: &NodePool, claim: &NodeClaim) -> Price {
    let listed = || {
        let catalog = snapshot.catalogs.get(&pool.name)?;
        catalog.price(claim.instance_type()?, claim.zone()?, claim.capacity_type()?)
    };
    listed().or(claim.price).unwrap_or(Price::ZERO)
}

/// CPU is counted in cores, everything else as it is.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn in_units(kind: &str, amount: i64) -> f64 {
    if kind == "cpu" { amount as f64 / 1_000.0 } else { amount as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn of_utilization(metrics: &Metrics, snapshot: &Snapshot) {
    let (mut used, mut offered) = (Resources::default(), Resources::default());
    for state in snapshot.nodes.values().filter(|state| state.node.pool().is_some()) {
        used = &used + &state.used;
        offered = &offered + &state.node.allocatable;
    }
    let pairs = [("cpu", used.cpu.0, offered.cpu.0), ("memory", used.memory.0, offered.memory.0)];
    for (resource_type, used, offered) in pairs {
        let share = if offered > 0 { 100.0 * used as f64 / offered as f64 } else { 0.0 };
        metrics.cluster_utilization.get_or_create(&ResourceLabels { resource_type }).set(share);
    }
}

/// Counts the places of buffers, by where the last plan found room for them.
pub(super) fn of_headroom(metrics: &Metrics, headroom: &[Headroom]) {
    let places = |is_there: fn(&Option<Target>) -> bool| {
        let found = headroom.iter().filter(|found| is_there(&found.target));
        found.map(|found| i64::from(found.places)).sum()
    };
    let all = [
        ("node", places(|target| matches!(target, Some(Target::Node(_))))),
        ("coming", places(|target| matches!(target, Some(Target::Claim(_))))),
        ("nowhere", places(Option::is_none)),
    ];
    for (place, places) in all {
        metrics.buffer_places.get_or_create(&PlaceLabels { place }).set(places);
    }
}

/// Counts pods that were bound.
pub(super) fn of_landed(metrics: &Metrics, landed: Landed) {
    for (place, pods) in [("planned", landed.as_planned), ("elsewhere", landed.elsewhere)] {
        metrics.planned_pods_bound.get_or_create(&PlaceLabels { place }).inc_by(pods);
    }
}

/// Says how planning went.
pub(super) fn of_plan(metrics: &Metrics, planned: &Planned) {
    let method = |plan: &Plan| MethodLabels { method: plan.method.to_string() };
    let controller = || ControllerLabels { controller: "provisioner" };
    let took = planned.took.as_secs_f64();
    metrics.scheduling_duration.get_or_create(&controller()).observe(took);
    for (plan, _) in &planned.rejected {
        metrics.plans_rejected.get_or_create(&method(plan)).inc();
    }
    let Some(plan) = &planned.plan else { return };
    metrics.plans.get_or_create(&method(plan)).inc();
    metrics.plan_duration.get_or_create(&method(plan)).observe(took);
    metrics.plan_price.set(plan.price.as_f64());
    metrics.plan_lower_bound.set(plan.lower_bound.as_f64());
    metrics.plan_gap.set(plan.gap().unwrap_or_default());
    let unplaced = count(plan.unschedulable.len());
    metrics.unschedulable_pods.set(unplaced);
    metrics.scheduler_unschedulable_pods.get_or_create(&controller()).set(unplaced);
}

/// Counts what was done.
pub(super) fn of_effect(metrics: &Metrics, snapshot: &Snapshot, effect: &Effect, now: Timestamp) {
    let claim_of = |claim: &berth_solver::lifecycle::ClaimRef| {
        snapshot.claims.get(&claim.name).filter(|found| found.uid == claim.uid)
    };
    match effect {
        Effect::Write(Write::CreateClaim(new)) => {
            let labels = PoolReasonLabels { reason: "provisioned", nodepool: new.pool.to_string() };
            metrics.nodeclaims_created.get_or_create(&labels).inc();
        }
        Effect::Write(Write::RecordRegistered { claim, .. }) => {
            if let Some(claim) = claim_of(claim) {
                metrics.nodes_created.get_or_create(&pool_labels(claim)).inc();
            }
        }
        Effect::Write(Write::RecordDrained { claim }) => {
            if let Some(claim) = claim_of(claim) {
                metrics.nodes_drained.get_or_create(&pool_labels(claim)).inc();
            }
        }
        Effect::Write(Write::DeleteClaim { claim, cause }) => {
            if let Some(claim) = claim_of(claim) {
                let labels = DisruptionLabels {
                    reason: cause.as_str(),
                    nodepool: pool_labels(claim).nodepool,
                    capacity_type: text(claim.capacity_type()),
                };
                metrics.nodeclaims_disrupted.get_or_create(&labels).inc();
            }
        }
        Effect::Write(Write::ReleaseClaim { claim }) => {
            if let Some(claim) = claim_of(claim) {
                of_end(metrics, claim, now);
            }
        }
        Effect::Write(Write::EvictPod { .. }) => {
            metrics.pods_drained.get_or_create(&ReasonLabels { reason: "drained" }).inc();
        }
        _ => {}
    }
}

/// Counts a node that was told to go because it was unhealthy.
pub(super) fn of_repair(metrics: &Metrics, claim: &NodeClaim, condition: &Name) {
    let labels = UnhealthyLabels {
        condition: condition.to_string(),
        nodepool: pool_labels(claim).nodepool,
        capacity_type: text(claim.capacity_type()),
    };
    metrics.nodeclaims_unhealthy_disrupted.get_or_create(&labels).inc();
}

fn of_end(metrics: &Metrics, claim: &NodeClaim, now: Timestamp) {
    let PoolLabels { nodepool } = pool_labels(claim);
    let zone = text(claim.zone());
    let labels = CapacityLabels {
        nodepool: nodepool.clone(),
        capacity_type: text(claim.capacity_type()),
        zone: zone.clone(),
    };
    metrics.nodeclaims_terminated.get_or_create(&labels).inc();
    if claim.is(well_known::condition::REGISTERED) {
        let labels = PoolZoneLabels { nodepool: nodepool.clone(), zone };
        metrics.nodes_terminated.get_or_create(&labels).inc();
    }
    if let Some(deleted) = claim.deleted {
        let took = now.since(deleted).as_secs_f64();
        let labels = PoolLabels { nodepool };
        metrics.nodeclaims_termination_duration.get_or_create(&labels).observe(took);
    }
}

/// Counts a decision to remove an empty node.
pub(super) fn of_removal(metrics: &Metrics) {
    let labels =
        DecisionLabels { decision: "delete", reason: "Empty", consolidation_type: "empty" };
    metrics.disruption_decisions.get_or_create(&labels).inc();
}

/// Says how a round of disruption was worked out.
pub(super) fn of_round(metrics: &Metrics, round: &Round, took: Duration) {
    let controller = ControllerLabels { controller: "disruption" };
    metrics.scheduling_duration.get_or_create(&controller).observe(took.as_secs_f64());
    let reason = round.reason.as_str();
    let eligible = count(round.plan.removals.len());
    metrics.disruption_eligible_nodes.get_or_create(&ReasonLabels { reason }).set(eligible);
    let decision = if round.plan.launches.is_empty() { "delete" } else { "replace" };
    let consolidation_type = if round.reason == RemovalReason::Drifted { "" } else { "multi" };
    let labels = DecisionLabels { decision, reason, consolidation_type };
    if !round.is_empty() {
        metrics.disruption_decisions.get_or_create(&labels).inc();
    }
}

fn pool_labels(claim: &NodeClaim) -> PoolLabels {
    PoolLabels { nodepool: text(claim.pool()) }
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
