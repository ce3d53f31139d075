//! Packs nodes one after the other, again and again, by values that learn from what did not pack
//! well: sequential value correction, known from cutting stock problems (Mukhacheva; Belov and
//! Scheithauer).
//!
//! Pods that end up on nodes which cost more than their content is worth are worth more the next
//! time, so that they get their place while there is choice.

use super::columns::Model;
use super::master::Column;
use super::repack::{self, Repack};
use super::rounding::{self, Packer};
use super::state::{NewNode, State};

/// How many times nodes are packed.
const TURNS: u32 = 200;
/// How far a value moves towards what its pods cost on the nodes where they ended.
const STEP: f64 = 0.3;

/// Packs all of the model's pods, with contents of `columns` too, until `enough` time was spent; the first turn may go on until
/// `stop`. The best nodes that were found; `None` if there was no time for one turn.
pub fn pack(
    state: &State<'_, '_>,
    repack: &Repack,
    model: &Model,
    values: &[f64],
    columns: &[&Column],
    enough: &mut dyn FnMut() -> bool,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Vec<NewNode>> {
    let mut values = rounding::positive(model, values);
    let mut packer = Packer::new(model);
    let mut best: Option<(f64, Vec<NewNode>)> = None;
    for _ in 0..TURNS {
        let mut packing = repack.packing(state);
        let mut waiting = packing.waiting().to_vec();
        let mut costs = Costs::new(values.len());
        let mut launch = |machine: usize, counts: &[(usize, u32)], waiting: &mut [u32]| {
            let before = waiting.to_vec();
            let launched = packing.launch(model.machines[machine].candidate, counts);
            waiting.copy_from_slice(packing.waiting());
            let put: Vec<(usize, u32)> =
                counts.iter().map(|(item, _)| (*item, before[*item] - waiting[*item])).collect();
            costs.add(model.machines[machine].cost, &put, &values);
            launched
        };
        let stop: &mut dyn FnMut() -> bool = if best.is_some() { enough } else { stop };
        if !packer.pack(&mut waiting, &values, columns, &mut launch, stop) {
            break;
        }
        let nodes = packing.downsized(stop);
        let cost = repack::cost(state.problem, &nodes);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, nodes));
        }
        costs.correct(&mut values);
    }
    best.map(|(_, nodes)| nodes)
}

/// What pods cost on the nodes where they ended, as multiples of what they are worth.
struct Costs {
    sums: Vec<(f64, f64)>,
}

impl Costs {
    fn new(items: usize) -> Self {
        Self { sums: vec![(0.0, 0.0); items] }
    }

    fn add(&mut self, cost: f64, counts: &[(usize, u32)], values: &[f64]) {
        let worth = super::master::worth(values, counts);
        if worth <= 0.0 {
            return;
        }
        for (item, count) in counts {
            self.sums[*item].0 += f64::from(*count) * cost / worth;
            self.sums[*item].1 += f64::from(*count);
        }
    }

    fn correct(&self, values: &mut [f64]) {
        for (value, (sum, count)) in values.iter_mut().zip(&self.sums) {
            if *count > 0.0 {
                *value *= 1.0 + STEP * (sum / count - 1.0);
            }
        }
    }
}
