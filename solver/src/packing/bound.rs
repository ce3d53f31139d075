//! A price that no set of launches can beat that places the same pods.
//!
//! By weak duality: give each group a value so that no machine can hold more than its price's
//! worth, and what the placed pods are worth together is a lower bound, less what nodes that are
//! there can hold for nothing. Values come from the fluid relaxation of each kind of requirement
//! alone and are scaled down together until they are feasible: whatever their source, the bound
//! holds, and it is rounded down.

use std::collections::BTreeMap;

use crate::model::Price;

use super::duals;
use super::state::State;

/// What float arithmetic may have gained.
const SAFETY: f64 = 1.0 - 1e-9;

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
    let bound = (pods - there) * scale * SAFETY;
    // One billionth for the rounding of the price itself.
    let rounded = Price::per_hour(bound.max(0.0)).unwrap_or_default();
    rounded.saturating_sub(Price::from_nanos(1))
}
