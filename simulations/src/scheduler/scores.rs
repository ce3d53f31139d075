//! What kube-scheduler's default scores amount to: least allocated first, preferences of nodes
//! and of spread counted more.

use std::sync::Arc;

use berth_solver::model::{NodeState, PodShape, Snapshot, TaintEffect, WhenUnsatisfiable};

use super::domains::{Spread, term_means};

const MOST: i64 = 100;

/// A score for each node, in their order.
pub(super) fn score(shape: &PodShape, nodes: &[Arc<NodeState>], cluster: &Snapshot) -> Vec<i64> {
    let mut scores: Vec<i64> = nodes.iter().map(|state| least_allocated(shape, state)).collect();
    let mut add = |weight: i64, raw: Vec<i64>| {
        for (score, raw) in scores.iter_mut().zip(normalised(&raw)) {
            *score += weight * raw;
        }
    };
    // The weights are those of kube-scheduler's default plugins.
    add(3, each(nodes, |state| -untolerated_preferences(shape, state)));
    if !shape.preferred_node_affinity.is_empty() {
        add(2, each(nodes, |state| preferred_node(shape, state)));
    }
    if !shape.preferred_affinity.is_empty() || !shape.preferred_anti_affinity.is_empty() {
        add(2, each(nodes, |state| preferred_neighbours(shape, state, cluster)));
    }
    for constraint in &*shape.topology_spread {
        if constraint.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway {
            let spread = Spread::new(constraint, shape, cluster, &[&constraint.topology_key]);
            add(2, each(nodes, |state| -spread.pods_near(&state.node)));
        }
    }
    scores
}

fn each(nodes: &[Arc<NodeState>], raw: impl Fn(&NodeState) -> i64) -> Vec<i64> {
    nodes.iter().map(|state| raw(state)).collect()
}

/// Stretched so that the worst is 0 and the best 100; all 0 if all are alike.
fn normalised(raw: &[i64]) -> Vec<i64> {
    let (least, most) =
        (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0));
    raw.iter()
        .map(|score| ((score - least) * MOST).checked_div(most - least).unwrap_or(0))
        .collect()
}

fn least_allocated(shape: &PodShape, state: &NodeState) -> i64 {
    let used = &state.used + &shape.requests;
    let free = |used: i64, of: i64| {
        let share = i128::from(of.saturating_sub(used).max(0)) * i128::from(MOST);
        i64::try_from(share / i128::from(of.max(1))).unwrap_or(0)
    };
    let allocatable = &state.node.allocatable;
    let cpu = free(used.cpu.0, allocatable.cpu.0);
    let memory = free(used.memory.0, allocatable.memory.0);
    i64::midpoint(cpu, memory)
}

fn untolerated_preferences(shape: &PodShape, state: &NodeState) -> i64 {
    let untolerated =
        state.node.taints.iter().filter(|taint| {
            taint.effect == TaintEffect::PreferNoSchedule && !shape.tolerates(taint)
        });
    i64::try_from(untolerated.count()).unwrap_or(0)
}

fn preferred_node(shape: &PodShape, state: &NodeState) -> i64 {
    let met = shape
        .preferred_node_affinity
        .iter()
        .filter(|preference| preference.term.allow(&state.node.labels));
    met.map(|preference| i64::from(preference.weight)).sum()
}

fn preferred_neighbours(shape: &PodShape, state: &NodeState, cluster: &Snapshot) -> i64 {
    let near = |term: &berth_solver::model::PodAffinityTerm| -> bool {
        let Some(domain) = state.node.label(&term.topology_key) else { return false };
        cluster.nodes.values().any(|other| {
            other.node.label(&term.topology_key) == Some(domain)
                && other.pods.values().any(|pod| term_means(term, &pod.shape, cluster))
        })
    };
    let sum = |terms: &[berth_solver::model::Weighted<berth_solver::model::PodAffinityTerm>]| {
        let met = terms.iter().filter(|preference| near(&preference.term));
        met.map(|preference| i64::from(preference.weight)).sum::<i64>()
    };
    sum(&shape.preferred_affinity) - sum(&shape.preferred_anti_affinity)
}
