//! Few pods settled: the cheapest plan of all, and the proof of it.
//!
//! The pods that a plan places, each free to go wherever its own requirements let it, onto new nodes
//! and onto those that are there: what the cheapest way for them costs is what any plan costs at
//! least. Where nothing but that tells where pods may go, that way is a plan.

use super::beside::Beside;
use super::bound::{self, Relaxed};
use super::columns::Generation;
use super::exact::{self, Node, Place, There};
use super::models::Bin;
use super::problem::Problem;
use super::repack::Stock;
use super::state::State;
use crate::model::Price;

/// Up to so many pods are settled...
pub const FEW_PODS: u32 = 400;
/// ...beside so many nodes that have room for them...
const MOST_NODES: usize = 400;
/// ...and the cheapest plan of all is looked for beside so many.
const FEW_NODES: usize = 40;

/// What the cheapest plan of all is looked for among.
pub struct Settling<'r> {
    relaxed: &'r Relaxed,
    bins: Vec<Bin>,
    beside: Beside,
    /// Whether the cheapest way is a plan.
    is_plan: bool,
}

impl<'r> Settling<'r> {
    /// `is_relaxed` says whether new nodes are packed by the relaxed model itself. `None` if too many
    /// nodes have room, or `stop` left no time to begin.
    pub fn of(
        state: &State<'_, '_>,
        relaxed: &'r Relaxed,
        is_relaxed: bool,
        proof: &Generation<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Self> {
        let bins = relaxed.bins(state);
        if bins.len() > MOST_NODES {
            return None;
        }
        let beside = if bins.is_empty() {
            let (values, bound) = (proof.values.clone(), proof.bound);
            Beside { values, worths: Vec::new(), bound }
        } else {
            let known = proof.master.solution().map(|(column, _)| column.clone()).collect();
            Beside::of(&relaxed.model, &bins, known, stop)?
        };
        let is_free = is_relaxed || launches_freely(state.problem);
        let is_plan = relaxed.is_all
            && is_free
            && (is_relaxed && bins.is_empty() || goes_anywhere(state.problem));
        Some(Self { relaxed, bins, beside, is_plan })
    }

    /// Looks for the cheapest way in so many steps. The state becomes that where it may. Returns what
    /// every plan costs at least.
    pub fn settle(
        &self,
        state: &mut State<'_, '_>,
        steps: usize,
        stop: &mut dyn FnMut() -> bool,
    ) -> Price {
        if self.bins.len() > FEW_NODES {
            return bound::rounded(self.beside.bound);
        }
        let (known, Beside { values, worths, .. }) = (state.cost(), &self.beside);
        let bins = self.bins.iter().zip(worths);
        let node = |(bin, worth): (&Bin, &f64)| There {
            room: bin.room.clone(),
            items: bin.items.clone(),
            worth: *worth,
        };
        let there: Vec<There> = bins.map(node).collect();
        let model = &self.relaxed.model;
        let outcome = exact::solve(model, &there, values, known.as_f64(), steps, stop);
        if outcome.nodes.is_none() && outcome.bound < known.as_f64() {
            // The search was cut short: what it came to rests on values that were rounded.
            return bound::rounded(outcome.bound);
        }
        if let Some(nodes) = outcome.nodes
            && self.is_plan
            && let Some(better) = self.carried_out(state, &nodes).filter(|one| one.cost() < known)
        {
            *state = better;
        }
        // What was found out to be the least is that, but for the rounding of sums.
        let exact = Price::per_hour(outcome.bound.max(0.0) * (1.0 + 1e-12)).unwrap_or_default();
        exact.min(known)
    }

    /// The state with just that placed; `None` if some of it has no place after all.
    fn carried_out<'p, 'a>(&self, state: &State<'p, 'a>, nodes: &[Node]) -> Option<State<'p, 'a>> {
        let problem = state.problem;
        let mut new = State {
            loads: (0..state.loads.len()).map(|bin| state.load_before(bin)).collect(),
            topology: state.topology.clone(),
            held: state.held.clone(),
            ..State::new(problem)
        };
        let mut stock = Stock::of(&self.relaxed.members);
        for (place, counts) in nodes {
            let mut load = match place {
                Place::There(at) => new.loads[self.bins[*at].index].clone(),
                Place::New(machine) => {
                    new.empty_load(self.relaxed.model.machines[*machine].candidate)
                }
            };
            let taken = stock.put_on(problem, &mut load, counts);
            if taken.counts() != *counts || !load.devices_hold(problem) {
                return None;
            }
            stock.take(&taken);
            match place {
                Place::There(at) => new.loads[self.bins[*at].index] = load,
                Place::New(machine) => {
                    let candidate = self.relaxed.model.machines[*machine].candidate;
                    if !new.within_limits(&problem.candidates[candidate]) {
                        return None;
                    }
                    new.launch(candidate, load);
                }
            }
        }
        stock.waiting().iter().all(|count| *count == 0).then_some(new)
    }
}

/// Whether there are few enough pods, of a problem that the relaxed one knows all about.
pub fn are_few(problem: &Problem<'_>, relaxed: &Relaxed) -> bool {
    let pods: u32 = relaxed.members.iter().map(|member| member.count).sum();
    pods <= FEW_PODS && problem.reservations.is_empty()
}

/// Whether nothing but what pods ask of nodes tells where they may go.
fn goes_anywhere(problem: &Problem<'_>) -> bool {
    let topology = &problem.topology;
    let alone = |group: usize| {
        let data = &problem.groups[group];
        topology.domain_rules[group].is_empty()
            && topology.host_rules[group].affinity.is_empty()
            && data.signature == data.relaxed
    };
    (0..problem.groups.len()).all(alone) && problem.bins.iter().all(|bin| bin.has_host || !bin.open)
}

/// Whether any new node is as good as another of its price.
fn launches_freely(problem: &Problem<'_>) -> bool {
    problem.weighs_alike() && problem.pools.iter().all(|data| data.pool.min_values.is_empty())
}
