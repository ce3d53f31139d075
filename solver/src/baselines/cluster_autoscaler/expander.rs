//! Which of several node groups is scaled up.

use serde::{Deserialize, Serialize};

use crate::baselines::world::World;
use crate::model::Price;

use super::estimate::Estimate;

/// How Cluster Autoscaler chooses between node groups.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Expander {
    /// The one that leaves the smallest share of CPU and memory unused.
    #[default]
    LeastWaste,
    /// The one whose price is least for what it takes, small clusters preferring small nodes.
    Price,
}

/// The proportion of GCE's rates for a vCPU and a gigabyte, by which the price expander values
/// pods.
const CPU_RATE: f64 = 0.033_174;
const MEMORY_RATE: f64 = 0.004_446;
/// A pod that steadies the price expander's ratio: 500m CPU and 500 MiB.
const STEADYING: (i64, i64) = (500, 500 << 20);
/// Nodes with devices are a last resort for pods that need none.
const DEVICE_UNFITNESS: f64 = 1_000.0;

/// What pods are worth: the cloud's cheapest CPU and memory, in GCE's proportion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates(f64);

impl Rates {
    /// The rates of a catalog.
    pub fn of(world: &World<'_>) -> Self {
        let scale = world
            .rows
            .iter()
            .filter_map(|row| {
                let capacity = &world.machine(row)?.capacity;
                let units = units(capacity.cpu.0, capacity.memory.0);
                (units > 0.0 && row.price > Price::ZERO).then(|| row.price.as_f64() / units)
            })
            .min_by(f64::total_cmp);
        Self(scale.unwrap_or(1.0))
    }

    fn price(self, cpu_milli: i64, memory: i64) -> f64 {
        self.0 * units(cpu_milli, memory)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a score's precision is a float's")]
fn units(cpu_milli: i64, memory: i64) -> f64 {
    const GIB: f64 = (1_u64 << 30) as f64;
    CPU_RATE * cpu_milli as f64 / 1_000.0 + MEMORY_RATE * memory as f64 / GIB
}

impl Expander {
    /// How bad a scale-up is; the least score wins. `nodes` is the cluster's size.
    pub(super) fn score(
        self,
        world: &World<'_>,
        rates: Rates,
        row: usize,
        estimate: &Estimate,
        nodes: usize,
    ) -> f64 {
        let Some(machine) = world.machine(&world.rows[row]) else { return f64::INFINITY };
        match self {
            Self::LeastWaste => {
                waste(estimate.cpu, machine.capacity.cpu.0, estimate.nodes)
                    + waste(estimate.memory, machine.capacity.memory.0, estimate.nodes)
            }
            Self::Price => {
                let steadying = rates.price(STEADYING.0, STEADYING.1);
                let price = world.rows[row].price.as_f64() * f64::from(estimate.nodes);
                let worth = rates.price(estimate.cpu, estimate.memory);
                let unfitness = if machine.capacity.extended().is_empty() {
                    let unfitness = unfitness(machine.capacity.cpu.0, nodes);
                    let many = (f64::from(estimate.nodes.saturating_sub(1)) / 15.0).tanh();
                    (unfitness - 1.0) * (1.0 - many) + 1.0
                } else {
                    DEVICE_UNFITNESS
                };
                unfitness * (price + steadying) / (worth + steadying)
            }
        }
    }
}

/// The share of a resource that stays unused.
#[expect(clippy::cast_precision_loss, reason = "a score's precision is a float's")]
fn waste(requested: i64, capacity: i64, nodes: u32) -> f64 {
    let available = capacity as f64 * f64::from(nodes);
    if available > 0.0 { (available - requested as f64) / available } else { 0.0 }
}

/// How far a node's CPU is from what suits a cluster of so many nodes.
#[expect(clippy::cast_precision_loss, reason = "a score's precision is a float's")]
fn unfitness(cpu_milli: i64, nodes: usize) -> f64 {
    let preferred = match nodes {
        0..=2 => 1_000.0,
        3..=6 => 2_000.0,
        7..=20 => 4_000.0,
        21..=60 => 8_000.0,
        61..=200 => 16_000.0,
        _ => 32_000.0,
    };
    let cpu = (cpu_milli as f64).max(1.0);
    f64::max(preferred / cpu, cpu / preferred)
}
