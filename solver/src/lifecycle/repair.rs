//! Nodes that are unhealthy for too long, by what their provider says of that.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{
    Condition, ConditionStatus, Name, Node, NodeClaim, RemovalReason, Snapshot, Timestamp,
    well_known::condition,
};

use super::effect::{Cause, ClaimRef, NodeRef, Write};
use super::steps::node_ref;

/// If more percent than this of a pool's nodes (rounded up) are unhealthy, none is repaired: what
/// is wrong is not the nodes. Karpenter's figure.
pub const MOST_UNHEALTHY_PERCENT: usize = 20;

/// A node of which this is true for so long is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairPolicy {
    /// The type of a node's condition.
    pub condition: Name,
    /// The status that is unhealthy.
    pub status: ConditionStatus,
    /// For how long that is put up with.
    pub toleration: Duration,
}

impl RepairPolicy {
    /// A policy.
    pub fn new(condition: &str, status: ConditionStatus, toleration: Duration) -> Self {
        Self { condition: condition.into(), status, toleration }
    }

    /// What of a node is unhealthy by this policy.
    fn unhealthy<'n>(&self, node: &'n Node) -> Option<&'n Condition> {
        node.conditions.iter().find(|one| one.kind == self.condition && one.status == self.status)
    }
}

/// What there is to repair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repairs {
    /// What is to be written next.
    pub writes: Vec<Write>,
    /// Nodes that would be repaired if there were not so many.
    pub blocked: Vec<RepairBlocked>,
}

/// A node that is not repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairBlocked {
    /// The node.
    pub node: NodeRef,
    /// Its NodePool.
    pub pool: Name,
    /// What is wrong with it.
    pub condition: Name,
    /// So many of the pool's nodes are unhealthy...
    pub unhealthy: usize,
    /// ...of so many.
    pub nodes: usize,
}

/// What is to be done about unhealthy nodes: their claims are deleted, with a deadline that is over
/// already, so that neither pods nor volumes that cannot leave hold them. Disruption budgets do not
/// count, as in Karpenter.
///
/// The deadline of a claim that is not deleted, and not to be repaired (any more), is taken away: it
/// would turn a later, friendly removal into a forceful one.
pub fn repairs(snapshot: &Snapshot, policies: &[RepairPolicy], now: Timestamp) -> Repairs {
    let mut all = Repairs::default();
    let mut pools: BTreeMap<&Name, (usize, usize)> = BTreeMap::new();
    for (claim, node) in joined(snapshot) {
        let Some(pool) = claim.pool() else { continue };
        let (unhealthy, nodes) = pools.entry(pool).or_default();
        *unhealthy += usize::from(policies.iter().any(|one| one.unhealthy(node).is_some()));
        *nodes += 1;
    }
    let mut due: BTreeMap<&Name, (Timestamp, &Name)> = BTreeMap::new();
    for (claim, node) in joined(snapshot).filter(|(claim, _)| claim.deleted.is_none()) {
        let (Some(pool), Some((since, condition))) = (claim.pool(), overdue(node, policies, now))
        else {
            continue;
        };
        let (unhealthy, nodes) = pools.get(pool).copied().unwrap_or_default();
        if unhealthy > (nodes * MOST_UNHEALTHY_PERCENT).div_ceil(100) {
            let (node, pool) = (node_ref(node), pool.clone());
            let condition = condition.clone();
            all.blocked.push(RepairBlocked { node, pool, condition, unhealthy, nodes });
        } else {
            due.insert(&claim.name, (since, condition));
        }
    }
    let staying = snapshot.claims.values().filter(|claim| claim.deleted.is_none());
    for claim in staying {
        let reference = ClaimRef::from(&**claim);
        // The same time whenever it is asked: the write can be repeated.
        let at = due.get(&claim.name).map(|(since, _)| *since);
        if at.is_some() && claim.terminate_by.is_some_and(|end| end <= now) {
            let cause = Cause::Disruption(RemovalReason::Unhealthy);
            all.writes.push(Write::DeleteClaim { claim: reference, cause });
        } else if at.is_some() || claim.terminate_by.is_some() {
            all.writes.push(Write::SetTerminationTime { claim: reference, at });
        }
    }
    all
}

/// Claims whose node has joined, and the node.
fn joined(snapshot: &Snapshot) -> impl Iterator<Item = (&NodeClaim, &Node)> {
    let registered = snapshot.claims.values().filter(|claim| claim.is(condition::REGISTERED));
    registered.filter_map(|claim| Some((&**claim, &*snapshot.node_of_claim(claim)?.node)))
}

/// The condition by which a claim's node has been unhealthy for too long.
pub fn unhealthy_by<'s>(
    snapshot: &'s Snapshot,
    claim: &NodeClaim,
    policies: &[RepairPolicy],
    now: Timestamp,
) -> Option<&'s Name> {
    let node = &snapshot.node_of_claim(claim)?.node;
    overdue(node, policies, now).map(|(_, condition)| condition)
}

/// Since when a node has been unhealthy for too long, and by which condition: the first that was.
fn overdue<'n>(
    node: &'n Node,
    policies: &[RepairPolicy],
    now: Timestamp,
) -> Option<(Timestamp, &'n Name)> {
    let over = policies.iter().filter_map(|policy| {
        let found = policy.unhealthy(node)?;
        let end = found.since + policy.toleration;
        (end <= now).then_some((end, &found.kind))
    });
    over.min()
}

#[cfg(test)]
mod tests;
