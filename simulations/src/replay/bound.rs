//! What any policy would have had to pay at least for the pods that ran.

use berth_solver::model::Snapshot;
use berth_solver::packing::{self, Never, pod_values};

use super::demand::Demand;

/// Values are found for so many moments of the trace, its peak among them.
const MOMENTS: usize = 8;
/// Rounds of column generation for each.
const ROUNDS: u32 = 60;

/// Values of pods such that no machine that is sold can hold pods worth more than it costs.
///
/// By weak duality the pods that run at a moment cost at least the sum of their values in an
/// hour, on whatever nodes they run and whoever put them there. Values that were found for one
/// moment hold at every other, so each interval is held against the best of them. It is a bound
/// on the price of machines at list prices; what starting nodes, waiting and moving cost comes on
/// top, so that no policy can reach it on a trace that changes.
#[derive(Clone, Debug, Default)]
pub struct Yardstick {
    /// For each moment, the value per hour of a pod of each shape.
    pub(super) values: Vec<Vec<f64>>,
}

impl Yardstick {
    /// Finds values for a trace. `market` holds the pool and its catalog, and nothing else counts.
    pub fn new(demand: &Demand, market: &Snapshot, settings: &packing::Settings) -> Self {
        let every = demand.samples.len().div_ceil(MOMENTS).max(1);
        let chosen = demand.samples.iter().skip(every / 2).step_by(every);
        let moments = chosen.chain(std::iter::once(&demand.peak));
        let found = moments
            .filter(|counts| counts.iter().any(|count| *count > 0))
            .map(|counts| pod_values(market, &demand.listed(counts), settings, ROUNDS, &Never));
        Self { values: found.collect() }
    }

    /// The largest proven sum for so many pod-hours of each shape.
    pub(super) fn of(&self, hours: &[f64]) -> f64 {
        let sum = |values: &Vec<f64>| -> f64 {
            values.iter().zip(hours).map(|(value, hours)| value * hours).sum()
        };
        self.values.iter().map(sum).fold(0.0, f64::max)
    }

    /// The same with every value multiplied: after prices fell, say.
    #[must_use]
    pub(super) fn times(&self, factor: f64) -> Self {
        let scaled = |values: &Vec<f64>| values.iter().map(|value| value * factor).collect();
        Self { values: self.values.iter().map(scaled).collect() }
    }
}
