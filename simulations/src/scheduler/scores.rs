//! The scores of kube-scheduler's default profile (1.37), images aside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_solver::model::{
    Bytes, MilliCpu, Name, NodeState, PodAffinityTerm, PodShape, Resources, Snapshot, TaintEffect,
    WhenUnsatisfiable, well_known,
};

use super::domains::{Spread, term_means};

const MOST: i64 = 100;
/// `hardPodAffinityWeight`: what a neighbour's required affinity to the pod counts.
const REQUIRED_WEIGHT: i64 = 1;

/// A score for each node, in their order.
pub(super) fn score(shape: &PodShape, nodes: &[Arc<NodeState>], cluster: &Snapshot) -> Vec<i64> {
    let mut scores: Vec<i64> = nodes
        .iter()
        .map(|state| least_allocated(shape, state) + balanced_allocation(shape, state))
        .collect();
    let mut add = |weight: i64, more: Vec<i64>| {
        for (score, more) in scores.iter_mut().zip(more) {
            *score += weight * more;
        }
    };
    // The weights are those of kube-scheduler's default plugins.
    let unwelcome = of_the_most(&each(nodes, |state| untolerated_preferences(shape, state)));
    add(3, unwelcome.into_iter().map(|share| MOST - share).collect());
    if !shape.preferred_node_affinity.is_empty() {
        add(2, of_the_most(&each(nodes, |state| preferred_node(shape, state))));
    }
    if let Some(liked) = neighbours(shape, nodes, cluster) {
        add(2, stretched(&liked));
    }
    if let Some(crowds) = crowds(shape, nodes, cluster) {
        add(2, emptiest_first(&crowds));
    }
    scores
}

fn each(nodes: &[Arc<NodeState>], raw: impl Fn(&NodeState) -> i64) -> Vec<i64> {
    nodes.iter().map(|state| raw(state)).collect()
}

/// Shares of the most, from 0 to 100; all 0 if that is 0.
fn of_the_most(raw: &[i64]) -> Vec<i64> {
    let most = raw.iter().copied().max().unwrap_or(0);
    raw.iter().map(|score| (score * MOST).checked_div(most).unwrap_or(0)).collect()
}

/// Stretched so that the worst is 0 and the best 100; all 0 if all are alike.
fn stretched(raw: &[i64]) -> Vec<i64> {
    let (least, most) =
        (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0));
    raw.iter()
        .map(|score| ((score - least) * MOST).checked_div(most - least).unwrap_or(0))
        .collect()
}

/// The fullest has what the emptiest has of the most.
fn emptiest_first(crowds: &[i64]) -> Vec<i64> {
    let (least, most) =
        (crowds.iter().copied().min().unwrap_or(0), crowds.iter().copied().max().unwrap_or(0));
    let share = |crowd: &i64| (MOST * (most + least - crowd)).checked_div(most).unwrap_or(MOST);
    crowds.iter().map(share).collect()
}

fn least_allocated(shape: &PodShape, state: &NodeState) -> i64 {
    let assumed: Resources = std::iter::once(shape)
        .chain(state.pods.values().map(|pod| &*pod.shape))
        .map(assumed)
        .fold(Resources::default(), |sum, more| &sum + &more);
    let used = &(&state.used + &shape.requests) + &assumed;
    let free = |used: i64, of: i64| {
        let share = i128::from(of.saturating_sub(used).max(0)) * i128::from(MOST);
        i64::try_from(share / i128::from(of.max(1))).unwrap_or(0)
    };
    let allocatable = &state.node.allocatable;
    let cpu = free(used.cpu.0, allocatable.cpu.0);
    let memory = free(used.memory.0, allocatable.memory.0);
    i64::midpoint(cpu, memory)
}

/// What a pod that asks for no CPU, or no memory, is taken to need: kube-scheduler's 100m and
/// 200 MB.
fn assumed(shape: &PodShape) -> Resources {
    let or_none = |asked: i64, assumed: i64| if asked == 0 { assumed } else { 0 };
    Resources::new(
        MilliCpu(or_none(shape.requests.cpu.0, 100)),
        Bytes(or_none(shape.requests.memory.0, 200 * 1_024 * 1_024)),
    )
}

/// Whether the pod makes the used shares of CPU and memory more alike; around 75 if it does
/// neither.
fn balanced_allocation(shape: &PodShape, state: &NodeState) -> i64 {
    if shape.requests.cpu.0 == 0 && shape.requests.memory.0 == 0 {
        return 0;
    }
    let all = &state.node.allocatable;
    let before = balance(&state.used, all);
    let after = balance(&(&state.used + &shape.requests), all);
    balance_gained(before, after)
}

/// NodeResourcesBalancedAllocation of how alike the used shares are before and after: 50 to 100.
pub(crate) const fn balance_gained(before: i64, after: i64) -> i64 {
    MOST / 2 + (MOST / 2 + after - before) / 2
}

#[expect(clippy::cast_precision_loss, reason = "kube-scheduler reckons with floats here, too")]
fn balance(used: &Resources, all: &Resources) -> i64 {
    if all.cpu.0 == 0 || all.memory.0 == 0 {
        return MOST;
    }
    let share = |used: i64, of: i64| used as f64 / of as f64;
    balance_of(share(used.cpu.0, all.cpu.0), share(used.memory.0, all.memory.0))
}

/// How alike the used shares of CPU and memory are: 50 to 100.
#[expect(clippy::cast_possible_truncation, reason = "50 to 100")]
pub(crate) fn balance_of(cpu: f64, memory: f64) -> i64 {
    let deviation = ((cpu.min(1.0) - memory.min(1.0)) / 2.0).abs();
    ((1.0 - deviation) * MOST as f64) as i64
}

/// What soft spread constraints have against each node: how crowded its domains are.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "kube-scheduler reckons with floats here, too"
)]
fn crowds(shape: &PodShape, nodes: &[Arc<NodeState>], cluster: &Snapshot) -> Option<Vec<i64>> {
    let soft = shape
        .topology_spread
        .iter()
        .filter(|constraint| constraint.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway);
    let spreads: Vec<(Spread<'_>, f64, f64)> = soft
        .map(|constraint| {
            let key = &constraint.topology_key;
            let domains: BTreeSet<_> =
                nodes.iter().filter_map(|state| state.node.label(key)).collect();
            let domains =
                if **key == *well_known::HOSTNAME_LABEL { nodes.len() } else { domains.len() };
            // Domains weigh more where there are more of them.
            let weight = ((domains + 2) as f64).ln();
            let slack = f64::from(constraint.max_skew) - 1.0;
            (Spread::new(constraint, shape, cluster, &[key]), weight, slack)
        })
        .collect();
    if spreads.is_empty() {
        return None;
    }
    let of_node = |state: &NodeState| {
        let sum = spreads
            .iter()
            .map(|(spread, weight, slack)| spread.pods_near(&state.node) as f64 * weight + slack);
        sum.fold(0.0, |sum: f64, crowd| sum + crowd).round() as i64
    };
    Some(each(nodes, of_node))
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

/// InterPodAffinity: what the pod would like of its neighbours and they of it, each of them
/// counted. `None` if nobody would like anything.
fn neighbours(shape: &PodShape, nodes: &[Arc<NodeState>], cluster: &Snapshot) -> Option<Vec<i64>> {
    // By topology key and domain.
    let mut liked: BTreeMap<(&Name, &Name), i64> = BTreeMap::new();
    for state in cluster.nodes.values() {
        let mut like = |term: &PodAffinityTerm, weight: i64, other: &PodShape| {
            if term_means(term, other, cluster)
                && let Some((key, domain)) =
                    state.node.labels.iter().find(|(key, _)| *key == term.topology_key)
            {
                *liked.entry((key, domain)).or_default() += weight;
            }
        };
        for neighbour in state.pods.values().map(|pod| &*pod.shape) {
            for (term, weight) in wishes(shape) {
                like(term, weight, neighbour);
            }
            let required = neighbour.affinity.iter().map(|term| (term, REQUIRED_WEIGHT));
            for (term, weight) in wishes(neighbour).chain(required) {
                like(term, weight, shape);
            }
        }
    }
    if liked.is_empty() {
        return None;
    }
    let of_node = |state: &NodeState| {
        let labels = state.node.labels.iter();
        labels.filter_map(|(key, domain)| liked.get(&(key, domain))).sum()
    };
    Some(each(nodes, of_node))
}

/// What a pod would like of its neighbours, and how much.
fn wishes(shape: &PodShape) -> impl Iterator<Item = (&PodAffinityTerm, i64)> {
    let near = shape.preferred_affinity.iter().map(|one| (&one.term, i64::from(one.weight)));
    let apart = shape.preferred_anti_affinity.iter().map(|one| (&one.term, -i64::from(one.weight)));
    near.chain(apart)
}
