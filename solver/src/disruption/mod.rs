//! What to remove: nodes without pods, nodes whose pods fit elsewhere or on something cheaper,
//! and nodes that are not what their NodePool asks for any more.
//!
//! How many nodes of a pool may go at a time is up to its disruption budgets; which pods may be
//! evicted is up to them and to PodDisruptionBudgets. Every node that stays has a reason
//! ([`Obstacle`]).

mod budgets;
mod candidates;
mod conditions;
pub(crate) mod consolidation;
mod drift;
mod emptiness;
mod gathering;
mod headroom;
mod obstacle;
mod pdbs;
mod reuse;

#[cfg(test)]
mod tests;

pub use budgets::{Allowance, allowed};
pub use candidates::{Candidate, Purpose, candidates, eviction_cost, price_of};
pub use conditions::conditions;
pub use consolidation::{Move, Round, Settings, consolidate, next_round, replace_drifted};
pub use drift::{Drift, drift};
pub use emptiness::{Emptiness, Inputs, emptiness, leftovers};
pub use gathering::Gathering;
pub use obstacle::{Kept, Obstacle};
pub use pdbs::PodBudgets;
pub use reuse::reuse;
