//! What to launch, and where pending pods go.
//!
//! Pods of equal shape are one group ([`groups`]); offerings that no requirement tells apart are
//! one cell and only the undominated of them candidates ([`offerings`]). Rules over shared
//! domains (zones) are settled by dealing a group's pods out over domains ([`assign`]), few of them
//! in many ways ([`dealing`]); what remains is packing: nodes that are there or on their way are filled first, where there are GPUs
//! so that these stay of use ([`descent`], [`fragmentation`]); then nodes are launched, each time
//! the offering whose content is worth most for its price ([`greedy`], [`fill`]), by the dual
//! values of the fluid relaxation ([`duals`]). At last nodes that leave over what nobody can use
//! become fewer larger ones of the same price ([`join`]).
//!
//! When to plan, and which pods follow which plan, is up to the [`Queue`].

pub(crate) mod assemble;
pub(crate) mod assign;
mod beside;
pub(crate) mod bins;
mod bound;
mod columns;
mod cuts;
mod dealing;
mod descent;
pub(crate) mod dimensions;
mod dive;
pub(crate) mod duals;
mod exact;
mod explain;
mod fill;
pub mod fragmentation;
pub(crate) mod greedy;
pub(crate) mod groups;
pub(crate) mod headroom;
mod held;
pub(crate) mod improve;
pub(crate) mod inventory;
mod join;
pub(crate) mod knapsack;
mod layers;
mod master;
mod min_values;
mod models;
pub(crate) mod names;
pub(crate) mod offerings;
mod patterns;
mod pricing;
mod priorities;
pub(crate) mod problem;
mod queue;
mod ranked;
pub(crate) mod raw_cells;
mod relaxation;
pub(crate) mod repack;
mod repair;
mod reserved;
mod rounding;
mod rows;
mod search;
mod sequential;
mod settings;
mod settle;
mod side_by_side;
mod stages;
pub(crate) mod state;
mod static_pools;
pub(crate) mod topology;
pub(crate) mod values;
mod work;

#[cfg(test)]
mod tests;

pub use queue::{Due, Queue, QueueSettings};
pub use repair::repaired;
pub(crate) use settings::Part;
pub use settings::{Budget, MinValuesPolicy, Never, Settings, Stop};
pub use static_pools::{StaticPools, static_pools};
pub use values::pod_values;

use crate::model::{Method, Plan, Snapshot, Timestamp};
use improve::Scope;

/// Finds a place for each pending pod, on nodes that are there, on the way, or to be launched, at
/// the lowest price.
///
/// The same snapshot, settings, `now` and `seed` give the same plan, byte for byte, unless `stop`
/// cuts the work short. A plan without launches, placements and unschedulable pods is what an
/// empty queue of pods gives.
pub fn plan(
    snapshot: &Snapshot,
    settings: &Settings,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Plan {
    let mut plan = Plan {
        generation: snapshot.generation,
        made_at: now,
        seed,
        price_per_node: settings.price_per_node,
        ..Plan::default()
    };
    let mut pending = groups::Pending::of(snapshot, settings);
    if pending.groups.is_empty() && pending.defective.is_empty() {
        return plan;
    }
    let problem = problem::Problem::new(snapshot, settings, &pending);
    let mut state = state::State::new(&problem);
    if settings.keep_claims {
        held::keep(&mut state, &mut pending);
    } else {
        held::release(&mut pending);
    }
    let dealing::Packed { mut state, leftovers, classes } =
        dealing::pack(state, &pending, settings, seed, stop);
    plan.method = Method::Greedy;
    let improved = improve::improve(&mut state, &classes, Scope::Everything, settings, seed, stop);
    plan.method = improved.method.unwrap_or(plan.method);
    join::join(&mut state);
    let bound = bound::lower_bound(&state).max(improved.bound.unwrap_or_default());
    assemble::assemble(&state, pending, &leftovers, &mut plan);
    plan.lower_bound = bound.min(plan.cost());
    plan
}
