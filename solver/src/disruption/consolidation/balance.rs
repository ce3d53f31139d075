//! The policy `Balanced`: a node goes only if its share of what the pool saves is at least half
//! of its share of what the pool disturbs.

use std::collections::BTreeMap;

use super::super::candidates::{Candidate, eviction_cost, price_of};
use crate::model::{ConsolidationPolicy, Name, Snapshot};

/// The least score, as Karpenter has it.
const LEAST: f64 = 0.5;

/// What the pools of that policy cost, and what it would disturb to empty all their nodes.
#[derive(Debug, Default)]
pub struct Balance(BTreeMap<Name, (f64, f64)>);

impl Balance {
    /// Of a cluster.
    pub fn of(snapshot: &Snapshot) -> Self {
        let is_balanced = |name: &Name| {
            let pool = snapshot.pools.get(name);
            pool.is_some_and(|pool| pool.consolidation_policy == ConsolidationPolicy::Balanced)
        };
        let mut pools: BTreeMap<Name, (f64, f64)> = BTreeMap::new();
        for claim in snapshot.claims.values() {
            let Some(pool) = claim.pool().filter(|pool| is_balanced(pool)) else { continue };
            let sums = pools.entry(pool.clone()).or_default();
            sums.0 += price_of(snapshot, claim).unwrap_or_default().as_f64();
            let state = snapshot.node_of_claim(claim);
            let pods = state.into_iter().flat_map(|state| state.pods.values());
            let moving = pods.filter(|pod| pod.is_alive() && !pod.belongs_to_node());
            sums.1 += 1.0 + moving.map(|pod| eviction_cost(pod).max(0.0)).sum::<f64>();
        }
        Self(pools)
    }

    /// Whether every balanced pool among these candidates agrees that they go for that gain.
    pub fn allows(&self, candidates: &[Candidate<'_>], set: &[usize], gain: f64) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let total: f64 = set.iter().map(|one| candidates[*one].price.as_f64()).sum();
        self.0.iter().all(|(pool, (cost, disturbance))| {
            let mine = set.iter().map(|one| &candidates[*one]).filter(|one| one.pool.name == *pool);
            let (mut price, mut disturbs) = (0.0, 0.0);
            for one in mine {
                price += one.price.as_f64();
                disturbs += one.disturbance;
            }
            if disturbs == 0.0 {
                return true;
            }
            // The gain belongs to the pools in proportion to what they give up.
            let saved = if total > 0.0 { gain * price / total } else { 0.0 };
            (saved / cost.max(1e-12)) / (disturbs / disturbance.max(1e-12)) >= LEAST
        })
    }
}
