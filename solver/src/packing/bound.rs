//! A price that no set of launches can beat that places the same pods.
//!
//! By weak duality: give each group a value so that no machine can hold more than its price's
//! worth, and what the placed pods are worth together is a lower bound, less what nodes that are
//! there can hold for nothing. Values come from the fluid relaxation of each kind of requirement
//! alone and are scaled down together until they are feasible: whatever their source, the bound
//! holds, and it is rounded down.

use std::collections::BTreeMap;

use crate::model::Price;

use super::Stop;
use super::columns::Generation;
use super::duals;
use super::knapsack::Knapsack;
use super::models::{self, Member};
use super::problem::Problem;
use super::repack::Repack;
use super::state::State;

/// How many parts of a search for the best content of a machine are looked at.
const PARTS: u32 = 60;
/// What float arithmetic may have gained.
const SAFETY: f64 = 1.0 - 1e-6;

/// The bound for what the state places.
pub fn lower_bound(state: &State<'_, '_>) -> Price {
    let problem = state.problem;
    let dimensions = problem.dimensions.len();
    let mut demand: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let loads = state.loads.iter().chain(state.nodes.iter().map(|node| &node.load));
    for (group, count) in loads.flat_map(|load| &load.contents) {
        let data = &problem.groups[*group];
        let sums = demand.entry(data.relaxed).or_insert_with(|| vec![0.0; dimensions]);
        for (sum, amount) in sums.iter_mut().zip(&data.demand) {
            *sum += *amount as f64 * f64::from(*count);
        }
    }
    let machines: Vec<(Vec<f64>, f64)> = problem
        .candidates
        .iter()
        .map(|candidate| {
            let room = candidate.room.iter().map(|has| (*has).max(0) as f64).collect();
            (room, candidate.price.as_f64())
        })
        .collect();
    let mut prices: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (signature, sums) in &demand {
        let usable: Vec<(&[f64], f64)> = problem
            .candidates
            .iter()
            .zip(&machines)
            .filter(|(candidate, _)| problem.cells[candidate.cell].allowed[*signature])
            .map(|(_, (room, cost))| (room.as_slice(), *cost))
            .collect();
        prices.insert(*signature, duals::resource_prices(sums, &usable));
    }
    let worth = |room: &[f64], allowed: &dyn Fn(usize) -> bool| -> f64 {
        (0..dimensions)
            .map(|dimension| {
                let dearest = prices
                    .iter()
                    .filter(|(signature, _)| allowed(**signature))
                    .map(|(_, prices)| prices[dimension])
                    .fold(0.0, f64::max);
                room[dimension] * dearest
            })
            .sum()
    };
    let mut scale: f64 = 1.0;
    for (candidate, (room, cost)) in problem.candidates.iter().zip(&machines) {
        let cell = &problem.cells[candidate.cell];
        let content = worth(room, &|signature| cell.allowed[signature]);
        if content > *cost {
            scale = scale.min(cost / content);
        }
    }
    let pods: f64 = demand
        .iter()
        .map(|(signature, sums)| {
            sums.iter().zip(&prices[signature]).map(|(sum, price)| sum * price).sum::<f64>()
        })
        .sum();
    let there: f64 = problem
        .bins
        .iter()
        .enumerate()
        .filter(|(_, bin)| bin.open)
        .map(|(index, _)| {
            // As it was before this plan put anything there, held pods aside.
            let mut free: Vec<f64> =
                state.loads[index].free.iter().map(|has| *has as f64).collect();
            for (group, count) in &state.loads[index].contents {
                for (sum, amount) in free.iter_mut().zip(&problem.groups[*group].demand) {
                    *sum += *amount as f64 * f64::from(*count);
                }
            }
            free.iter_mut().for_each(|has| *has = has.max(0.0));
            worth(&free, &|signature| problem.bin_allowed[signature][index])
        })
        .sum();
    rounded((pods - there) * scale)
}

/// The bound that values from column generation prove. The model's values are those of classes; a
/// bound has to let every pod go wherever its own requirements let it.
///
/// It holds for plans that count a host that is still to come as empty where pods are spread over
/// hosts, as Karpenter does and this planner: kube-scheduler may meet the new nodes in any order.
pub fn by_values(
    state: &State<'_, '_>,
    repack: &Repack,
    generation: &Generation,
    stop: &dyn Stop,
) -> Option<Price> {
    let problem = state.problem;
    let mut placed: BTreeMap<usize, u32> = BTreeMap::new();
    let loads = state.loads.iter().chain(state.nodes.iter().map(|node| &node.load));
    for (group, count) in loads.flat_map(|load| &load.contents) {
        *placed.entry(*group).or_default() += count;
    }
    let members: Vec<Member> =
        placed.iter().map(|(group, count)| Member { group: *group, count: *count }).collect();
    let goes = |member: usize, cell: usize| {
        problem.cells[cell].allowed[problem.groups[members[member].group].relaxed]
    };
    let sets = models::host_sets(problem);
    let relaxed = models::model(problem, &sets, &members, &goes, &|candidate| {
        problem.candidates[candidate].price.as_f64()
    });
    let mut knapsack = Knapsack::default();
    let mut best: Option<Price> = None;
    for proving in [&generation.values, &generation.recent] {
        let values = group_values(repack, proving, &members);
        if values.iter().all(|value| *value <= 0.0) {
            continue;
        }
        let stopping = &mut || stop.should_stop();
        let Some(priced) = relaxed.price(&mut knapsack, &values, PARTS, stopping) else { break };
        let scale = priced.scale.min(1e9);
        let bins = problem.bins.iter().enumerate().filter(|(_, bin)| bin.open);
        let there: f64 = bins
            .map(|(index, _)| {
                let free = free_before(state, index);
                let allowed = |signature: usize| problem.bin_allowed[signature][index];
                worth_in(problem, &mut knapsack, &members, &values, &allowed, &free)
            })
            .sum();
        let gained = by_reservations(problem, &mut knapsack, &members, &values, scale);
        best = best.max(Some(rounded((relaxed.total(&values) - there) * scale - gained)));
    }
    best
}

/// A group's value: the mean of its members'.
fn group_values(repack: &Repack, values: &[f64], members: &[Member]) -> Vec<f64> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (member, value) in repack.members.iter().zip(values) {
        let sum = sums.entry(member.group).or_default();
        sum.0 += value * f64::from(member.count);
        sum.1 += f64::from(member.count);
    }
    let of = |member: &Member| sums.get(&member.group).map_or(0.0, |(sum, count)| sum / count);
    members.iter().map(of).collect()
}

/// What a bin had free before this plan put anything there, held pods aside.
fn free_before(state: &State<'_, '_>, bin: usize) -> Vec<i64> {
    let load = &state.loads[bin];
    let mut free = load.free.clone();
    for (group, count) in &load.contents {
        super::dimensions::give(&mut free, &state.problem.groups[*group].demand, *count);
    }
    free
}

/// What reserved machines, of which there are only so many, can hold beyond their price.
fn by_reservations(
    problem: &Problem<'_>,
    knapsack: &mut Knapsack,
    members: &[Member],
    values: &[f64],
    scale: f64,
) -> f64 {
    let mut most = vec![0.0_f64; problem.reservations.len()];
    for candidate in &problem.candidates {
        let Some(reservation) = candidate.reservation else { continue };
        let allowed = |signature: usize| problem.cells[candidate.cell].allowed[signature];
        let worth = worth_in(problem, knapsack, members, values, &allowed, &candidate.room);
        let gain = (worth * scale - candidate.price.as_f64()).max(0.0);
        most[reservation] = most[reservation].max(gain);
    }
    let left = problem.reservations.iter().map(|reservation| f64::from(reservation.left));
    most.iter().zip(left).map(|(gain, left)| gain * left).sum()
}

/// What pods in that much room can be worth at most.
fn worth_in(
    problem: &Problem<'_>,
    knapsack: &mut Knapsack,
    members: &[Member],
    values: &[f64],
    allowed: &dyn Fn(usize) -> bool,
    free: &[i64],
) -> f64 {
    knapsack.begin(free);
    for (index, member) in members.iter().enumerate() {
        let data = &problem.groups[member.group];
        if allowed(data.relaxed) {
            let most = super::dimensions::room(&data.demand, free).min(member.count);
            knapsack.add(index, values[index], &data.demand, most);
        }
    }
    knapsack.search(0.0, 50).bound
}

/// As a price, a hair's breadth lower.
fn rounded(bound: f64) -> Price {
    // One billionth for the rounding of the price itself.
    let price = Price::per_hour((bound * SAFETY).max(0.0)).unwrap_or_default();
    price.saturating_sub(Price::from_nanos(1))
}
