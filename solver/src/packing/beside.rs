//! What pods are worth beside nodes that are there.
//!
//! Column generation, as in [`super::columns`], in which those nodes count too: each may be filled
//! once, for nothing. Pods that fit there are worth less than what a new node for them costs. For
//! few pods and few nodes: each of these is searched in every round.

use super::columns::Model;
use super::knapsack::{Best, Knapsack};
use super::master::{Column, Master};
use super::models::Bin;
use super::pricing::{Look, Pricing};

/// More rounds than this are not needed where pods are few.
const MOST_ROUNDS: usize = 200;
/// A master problem this close to the bound is solved.
const CLOSE: f64 = 1e-7;
/// Numbers below this are rounding.
const EPSILON: f64 = 1e-9;
/// How many parts of a search for a node's best content are looked at.
const PARTS: u32 = 400;
/// What no machine of the model is.
const NO_CANDIDATE: usize = usize::MAX;

/// What is known of pods' values.
#[derive(Debug)]
pub struct Beside {
    /// For each item; no content of a machine is worth more than the machine costs.
    pub values: Vec<f64>,
    /// For each node, what it could hold at most by them.
    pub worths: Vec<f64>,
    /// What all pods cost at least.
    pub bound: f64,
}

impl Beside {
    /// Works values out, beginning with columns that are known. `None` if some item fits on no
    /// machine, or `stop` left no time for a first bound.
    pub fn of(
        model: &Model,
        bins: &[Bin],
        known: Vec<Column>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Self> {
        let singles = model.singles(stop)?;
        let items = model.items.len();
        let each = super::columns::each(&singles);
        let needs: Vec<f64> = model
            .items
            .iter()
            .map(|item| f64::from(item.count))
            .chain(bins.iter().map(|_| -1.0))
            .collect();
        // A little dearer than the dearest way.
        let costs = each.iter().map(|each| 1.001 * each).chain(bins.iter().map(|_| f64::INFINITY));
        let mut master = Master::new(&needs, &costs.collect::<Vec<f64>>());
        for column in singles.into_iter().chain(known) {
            let covers = covers(&column.counts).collect();
            master.add(column, covers);
        }
        let (mut pricing, mut knapsack) = (Pricing::new(model), Knapsack::default());
        let mut best: Option<Self> = None;
        for _ in 0..MOST_ROUNDS {
            master.optimise(stop);
            let duals = master.duals();
            let values: Vec<f64> = duals[..items].iter().map(|dual| dual.max(0.0)).collect();
            let rents: Vec<f64> = duals[items..].to_vec();
            let Some(priced) = pricing.price(&values, 0.0, Look::Thorough, stop) else { break };
            let mut worths = Vec::with_capacity(bins.len());
            let mut fresh = false;
            for (at, (bin, rent)) in bins.iter().zip(rents).enumerate() {
                if stop() {
                    return best;
                }
                let Best { contents, value, bound } =
                    search(&mut knapsack, model, bin, &values, rent);
                worths.push(bound);
                for counts in contents {
                    let covers = covers(&counts).chain([(items + at, -1.0)]).collect();
                    master.add(Column { cost: 0.0, candidate: NO_CANDIDATE, counts }, covers);
                    fresh |= value > rent + EPSILON;
                }
            }
            for column in priced.columns {
                let covers = covers(&column.counts).collect();
                fresh |= master.add_if_worth(column, covers, CLOSE);
            }
            let scale = 1.0 / priced.worth.max(EPSILON);
            let bound = scale * (model.total(&values) - worths.iter().sum::<f64>());
            if best.as_ref().is_none_or(|best| bound > best.bound) {
                let values = values.iter().map(|value| value * scale).collect();
                worths.iter_mut().for_each(|worth| *worth *= scale);
                best = Some(Self { values, worths, bound });
            }
            let proven = best.as_ref().map_or(0.0, |best| best.bound);
            if !fresh || master.cost() <= proven * (1.0 + CLOSE) + EPSILON || stop() {
                break;
            }
        }
        best
    }
}

fn covers(counts: &[(usize, u32)]) -> impl Iterator<Item = (usize, f64)> {
    counts.iter().map(|(item, count)| (*item, f64::from(*count)))
}

/// Contents of a node that are worth more than so much.
fn search(knapsack: &mut Knapsack, model: &Model, bin: &Bin, values: &[f64], rent: f64) -> Best {
    knapsack.begin(&bin.room);
    for (item, most) in &bin.items {
        knapsack.add(*item, values[*item], &model.items[*item].demand, *most);
    }
    knapsack.search(rent, 0.0, PARTS, usize::MAX, &mut || false)
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::columns::{Item, Machine};
    use super::*;

    #[test]
    fn pods_that_fit_on_what_is_there_are_worth_nothing() {
        // A node that is there takes two 3s; three of them wait, and new nodes of 6 cost 1.
        let items = vec![(0, 2)];
        let machine = Machine { candidate: 0, cost: 1.0, room: smallvec![6], items: items.clone() };
        let item = |count| Item { demand: smallvec![3], count, kind: 0 };
        let bin = Bin { index: 0, room: smallvec![6], items };
        let bound = |count: u32| {
            let model = Model { items: vec![item(count)], machines: vec![machine.clone()] };
            let bins = std::slice::from_ref(&bin);
            Beside::of(&model, bins, Vec::new(), &mut || false).unwrap().bound
        };
        assert!(bound(2).abs() < 1e-9, "{}", bound(2));
        assert!((bound(3) - 0.5).abs() < 1e-6, "{}", bound(3));
        assert!((bound(6) - 2.0).abs() < 1e-6, "{}", bound(6));
    }
}
