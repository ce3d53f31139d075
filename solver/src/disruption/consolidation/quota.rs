//! What a round may still take: the pools' disruption budgets and the PodDisruptionBudgets.

use std::collections::BTreeMap;

use super::super::budgets::allowed;
use super::super::candidates::Candidate;
use super::super::emptiness::{Inputs, in_pool_under_way};
use crate::model::{DisruptionReason, Name, PodKey, Snapshot};

/// What is left of all budgets.
#[derive(Clone, Debug)]
pub struct Quota {
    /// For each pool how many nodes may go, and what the budgets allow in all.
    pub pools: Vec<(usize, u32)>,
    /// Pools by name.
    index: BTreeMap<Name, usize>,
    /// For each PodDisruptionBudget how many pods may go, and how many do.
    pods: BTreeMap<PodKey, (u32, u32)>,
    /// How many evictions are left.
    pub evictions: usize,
}

impl Quota {
    /// Before anything is taken.
    pub fn of(
        snapshot: &Snapshot,
        inputs: &Inputs,
        reason: DisruptionReason,
        most_evictions: u32,
    ) -> Self {
        let mut quota = Self {
            pools: Vec::new(),
            index: BTreeMap::new(),
            pods: BTreeMap::new(),
            evictions: usize::try_from(most_evictions).unwrap_or(usize::MAX),
        };
        for pool in snapshot.pools.values() {
            let allowance = allowed(snapshot, pool, reason, &inputs.closed_budgets);
            let remaining = usize::try_from(allowance.remaining()).unwrap_or(usize::MAX);
            let remaining = remaining.saturating_sub(in_pool_under_way(snapshot, pool, inputs));
            quota.index.insert(pool.name.clone(), quota.pools.len());
            quota.pools.push((remaining, allowance.limit.unwrap_or(u32::MAX)));
        }
        for budget in snapshot.pod_disruption_budgets.values() {
            let allowed = budget.disruptions_allowed.unwrap_or(0).max(0).unsigned_abs();
            quota.pods.insert(budget.key.clone(), (allowed, 0));
        }
        quota
    }

    /// The pool's index.
    pub fn pool(&self, name: &str) -> usize {
        self.index.get(name).copied().unwrap_or(usize::MAX)
    }

    /// Whether the pool of a candidate may lose one more node.
    pub fn has_node(&self, candidate: &Candidate<'_>) -> bool {
        self.pools.get(self.pool(&candidate.pool.name)).is_some_and(|(left, _)| *left > 0)
    }

    /// Whether a candidate may go. A node on which more pods of one PodDisruptionBudget run than it
    /// lets go at a time may go alone: they are evicted as the budget lets them.
    pub fn allows(&self, candidate: &Candidate<'_>) -> bool {
        self.has_node(candidate)
            && candidate.pods.len() <= self.evictions
            && candidate.protected.iter().all(|(budget, count)| {
                let (allowed, taken) = self.pods.get(budget).copied().unwrap_or_default();
                allowed > 0 && (taken == 0 || taken.saturating_add(*count) <= allowed)
            })
    }

    /// Takes what a candidate needs.
    pub fn take(&mut self, candidate: &Candidate<'_>) {
        let pool = self.pool(&candidate.pool.name);
        if let Some((left, _)) = self.pools.get_mut(pool) {
            *left = left.saturating_sub(1);
        }
        self.evictions = self.evictions.saturating_sub(candidate.pods.len());
        for (budget, count) in &candidate.protected {
            if let Some((_, taken)) = self.pods.get_mut(budget) {
                *taken = taken.saturating_add(*count);
            }
        }
    }

    /// Gives back what a candidate has taken.
    pub fn give(&mut self, candidate: &Candidate<'_>) {
        let pool = self.pool(&candidate.pool.name);
        if let Some((left, _)) = self.pools.get_mut(pool) {
            *left = left.saturating_add(1);
        }
        self.evictions = self.evictions.saturating_add(candidate.pods.len());
        for (budget, count) in &candidate.protected {
            if let Some((_, taken)) = self.pods.get_mut(budget) {
                *taken = taken.saturating_sub(*count);
            }
        }
    }
}
