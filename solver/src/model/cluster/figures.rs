use foldhash::fast::RandomState;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;

use super::NodeState;
use crate::model::{Name, NodeClaim, Price, Resources};

/// What scoring wants to know of each node, by name. Kept up to date with every event, so that a
/// question about thousands of nodes walks over none of their objects.
pub(super) type Figures = GenericHashMap<Name, NodeFigures, RandomState, DefaultSharedPtr>;

/// What scoring wants to know of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeFigures {
    /// Whether it is in a NodePool.
    pub is_managed: bool,
    /// The larger used share of its CPU and memory, in thousandths, 1,000 at most.
    pub fullness: u16,
    /// What a core of it costs in an hour, in billionths; `None` if nobody knows. Only the price
    /// of a claim of the node's own name counts.
    pub rate: Option<u64>,
}

impl NodeFigures {
    pub(super) fn of(state: &NodeState, claim: Option<&NodeClaim>) -> Self {
        let is_managed = state.node.pool().is_some();
        let price = claim.and_then(|claim| claim.price);
        Self::new(is_managed, &state.used, &state.node.allocatable, price)
    }

    /// What pods take of what they can have, and what the node costs in an hour, if that is known.
    pub fn new(is_managed: bool, used: &Resources, all: &Resources, price: Option<Price>) -> Self {
        let fullness =
            thousandths(used.cpu.0, all.cpu.0).max(thousandths(used.memory.0, all.memory.0));
        let rate = price.filter(|_| is_managed).and_then(|price| {
            let cpu = u64::try_from(all.cpu.0).ok().filter(|cpu| *cpu > 0)?;
            let rate = match price.as_nanos().checked_mul(1_000) {
                Some(thousands) => thousands / cpu,
                None => (price.as_nanos() / cpu).saturating_mul(1_000),
            };
            Some(rate)
        });
        Self { is_managed, fullness, rate }
    }
}

fn thousandths(used: i64, of: i64) -> u16 {
    if of <= 0 {
        return 0;
    }
    let share = match used.checked_mul(1_000) {
        Some(thousands) => thousands / of,
        None => i64::try_from(i128::from(used) * 1_000 / i128::from(of)).unwrap_or(i64::MAX),
    };
    u16::try_from(share.clamp(0, 1_000)).unwrap_or(0)
}
