//! Which nodes may be disrupted although pods run on them, and why the others may not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::conditions::time_left;
use super::drift::{Drift, drift};
use super::emptiness::{Inputs, expected_pods};
use super::headroom;
use super::obstacle::{Kept, Obstacle};
use super::pdbs::PodBudgets;
use crate::model::{
    ConsolidationPolicy, Name, NodeClaim, NodePool, NodeState, Owner, Pod, PodKey, Price, Resident,
    Snapshot, Timestamp, well_known::condition,
};

/// A node that may be disrupted.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Its claim.
    pub claim: &'a Arc<NodeClaim>,
    /// The node and its pods.
    pub state: &'a Arc<NodeState>,
    /// Its NodePool.
    pub pool: &'a Arc<NodePool>,
    /// What it costs in an hour.
    pub price: Price,
    /// The pods that need another place if it goes.
    pub pods: Vec<&'a Resident>,
    /// How many of them each PodDisruptionBudget protects.
    pub protected: Vec<(PodKey, u32)>,
    /// How much it disturbs, as Karpenter counts it: 1, and for each pod between 0 and 10.
    pub disturbance: f64,
    /// How it has drifted, where that is why it is here.
    pub drift: Option<Drift>,
}

/// For what nodes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To save money. Nodes younger than `least_age` stay.
    Consolidation {
        /// How long a node is left alone after it was built.
        least_age: Duration,
    },
    /// To replace what has drifted.
    Drift,
    /// To replace what has drifted in static NodePools, each node by a new one of its pool.
    StaticDrift,
}

impl Purpose {
    /// Whether it is to replace what has drifted.
    pub const fn is_drift(self) -> bool {
        matches!(self, Self::Drift | Self::StaticDrift)
    }
}

/// All nodes that may go for that purpose, by their claims' names, and why each other one stays.
///
/// Empty nodes are candidates as well: one joint plan may need their room.
pub fn candidates<'a>(
    snapshot: &'a Snapshot,
    inputs: &Inputs,
    purpose: Purpose,
    now: Timestamp,
) -> (Vec<Candidate<'a>>, Vec<Kept>) {
    let looking = Looking {
        snapshot,
        inputs,
        purpose,
        now,
        budgets: PodBudgets::of(snapshot),
        expected: expected_pods(snapshot, inputs),
        headroom: headroom::needed(snapshot),
    };
    let (mut found, mut kept) = (Vec::new(), Vec::new());
    for claim in snapshot.claims.values() {
        match looking.at(claim) {
            Ok(candidate) => found.extend(candidate),
            Err(obstacle) => kept.push(Kept { claim: claim.name.clone(), obstacle }),
        }
    }
    (found, kept)
}

struct Looking<'a, 'i> {
    snapshot: &'a Snapshot,
    inputs: &'i Inputs,
    purpose: Purpose,
    now: Timestamp,
    budgets: PodBudgets<'a>,
    expected: BTreeMap<Name, usize>,
    headroom: BTreeMap<Name, PodKey>,
}

impl<'a> Looking<'a, '_> {
    /// The claim as a candidate; nothing if it gives no reason to be one.
    fn at(&self, claim: &'a Arc<NodeClaim>) -> Result<Option<Candidate<'a>>, Obstacle> {
        let under_way = self.inputs.under_way.contains(&claim.uid);
        if claim.deleted.is_some() || under_way {
            return Err(Obstacle::Leaving);
        }
        let initialized = claim
            .condition(condition::INITIALIZED)
            .filter(|_| claim.is(condition::INITIALIZED))
            .ok_or(Obstacle::NotInitialized)?;
        let state = self.snapshot.node_of_claim(claim).ok_or(Obstacle::NoNode)?;
        if state.node.deleted.is_some() {
            return Err(Obstacle::Leaving);
        }
        let pool = claim.pool().and_then(|pool| self.snapshot.pools.get(pool));
        let pool = pool.ok_or(Obstacle::NotConsolidated)?;
        let mut found = None;
        match self.purpose {
            Purpose::Consolidation { least_age } => {
                self.may_be_consolidated(claim, pool, initialized.since, least_age)?;
            }
            Purpose::StaticDrift if pool.replicas.is_none() => return Ok(None),
            Purpose::Drift | Purpose::StaticDrift => {
                found = drift(self.snapshot, claim, pool, &self.inputs.hash_version);
                if found.is_none() {
                    return Ok(None);
                }
            }
        }
        if state.node.do_not_disrupt {
            return Err(Obstacle::DoNotDisrupt);
        }
        if let Some(pods) = self.expected.get(&claim.name) {
            return Err(Obstacle::Expected(*pods));
        }
        if let Some(buffer) = self.headroom.get(&state.node.name) {
            return Err(Obstacle::Headroom(buffer.clone()));
        }
        let price = match price_of(self.snapshot, claim) {
            Some(price) => price,
            // What has drifted is replaced whatever it costs.
            None if self.purpose.is_drift() => Price::ZERO,
            None => return Err(Obstacle::NoPrice),
        };
        let (pods, protected) = self.pods_of(claim, state)?;
        let disturbance = 1.0 + pods.iter().map(|pod| eviction_cost(pod).max(0.0)).sum::<f64>();
        let drift = found;
        Ok(Some(Candidate { claim, state, pool, price, pods, protected, disturbance, drift }))
    }

    fn may_be_consolidated(
        &self,
        claim: &NodeClaim,
        pool: &NodePool,
        initialized: Timestamp,
        least_age: Duration,
    ) -> Result<(), Obstacle> {
        if pool.replicas.is_some() {
            return Err(Obstacle::NotConsolidated);
        }
        if pool.consolidation_policy == ConsolidationPolicy::WhenEmpty {
            return Err(Obstacle::OnlyEmpty);
        }
        let left = time_left(claim, pool, self.inputs, initialized, self.now);
        let missing =
            left.ok_or(Obstacle::Never)?.max(least_age.saturating_sub(self.now.since(initialized)));
        if missing.is_zero() { Ok(()) } else { Err(Obstacle::TooSoon(missing)) }
    }

    /// The pods that need another place, and the budgets that protect them.
    fn pods_of(&self, claim: &NodeClaim, state: &'a NodeState) -> Result<Evictable<'a>, Obstacle> {
        // What must end within a grace period may be drained whatever its pods say.
        let forced = self.purpose.is_drift() && claim.termination_grace_period.is_some();
        let mut pods = Vec::new();
        let mut protected: BTreeMap<&PodKey, u32> = BTreeMap::new();
        for pod in state.pods.values() {
            let is_common = pod.common().is_some();
            if !is_common && !self.moves(pod, forced)? {
                continue;
            }
            if !forced && self.inputs.quarantined.contains(&pod.uid) {
                return Err(Obstacle::Quarantined(pod.key.clone()));
            }
            let saves = matches!(self.purpose, Purpose::Consolidation { .. });
            if saves && !is_common && pod.owner == Owner::None {
                return Err(Obstacle::Bare(pod.key.clone()));
            }
            if is_common || !pod.is_replaced_first(&self.inputs.irreplaceable) {
                match self.budgets.budget_of(pod) {
                    Ok(Some(budget)) => *protected.entry(budget).or_default() += 1,
                    Err(obstacle) if !forced => return Err(obstacle),
                    _ => {}
                }
            }
            pods.push(pod);
        }
        let protected = protected.into_iter().map(|(key, count)| (key.clone(), count)).collect();
        Ok((pods, protected))
    }

    /// Whether a pod needs another place, by what it says itself.
    fn moves(&self, pod: &Pod, forced: bool) -> Result<bool, Obstacle> {
        if !pod.is_alive() || pod.deleted.is_some() {
            return Ok(false);
        }
        if !forced && pod.owner != Owner::Node && pod.forbids_disruption(self.now) {
            return Err(Obstacle::PodForbids(pod.key.clone()));
        }
        match &pod.defect {
            Some(defect) if !pod.belongs_to_node() => {
                Err(Obstacle::Unclear(pod.key.clone(), defect.clone()))
            }
            _ => Ok(!pod.belongs_to_node()),
        }
    }
}

type Evictable<'a> = (Vec<&'a Resident>, Vec<(PodKey, u32)>);

/// What a claim's node costs: as the catalog says now, or as it was when it was chosen.
pub fn price_of(snapshot: &Snapshot, claim: &NodeClaim) -> Option<Price> {
    let listed = || {
        let catalog = snapshot.catalogs.get(claim.pool()?)?;
        catalog.price(claim.instance_type()?, claim.zone()?, claim.capacity_type()?)
    };
    listed().or(claim.price)
}

/// How much it disturbs to evict a pod, as Karpenter counts it: from -10 to 10, 1 for a pod that
/// says nothing about it.
pub fn eviction_cost(pod: &Resident) -> f64 {
    let deletion_cost = pod.common().map_or_else(|| pod.deletion_cost, |_| 0);
    let deletion_cost = f64::from(deletion_cost) / f64::from(1 << 27);
    let priority = f64::from(pod.shape().priority) / f64::from(1 << 25);
    (1.0 + deletion_cost + priority).clamp(-10.0, 10.0)
}
