//! What consolidation goes by, whoever asks for it.

use std::time::Duration;

use berth_solver::disruption::Settings;
use berth_solver::model::Price;
use berth_solver::packing;
use clap::Args;

use super::values::{duration, price};

/// What moving pods must be good for.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ConsolidationArguments {
    /// A consolidation must save this much over --horizon, in the catalog's currency...
    #[arg(
        long,
        value_name = "PRICE",
        env = "BERTH_LEAST_SAVING",
        default_value = "0.01",
        value_parser = price
    )]
    least_saving: Price,
    /// ...and this much more for each pod that it evicts...
    #[arg(
        long,
        value_name = "PRICE",
        env = "BERTH_PRICE_PER_EVICTION",
        default_value = "0.01",
        value_parser = price
    )]
    price_per_eviction: Price,
    /// ...and so many percent of what that pod costs
    #[arg(
        long,
        value_name = "PERCENT",
        env = "BERTH_EVICTION_PERCENT",
        default_value_t = Settings::default().eviction_percent
    )]
    eviction_percent: u32,
    /// For so long a saving counts, when it is held against evictions
    #[arg(
        long,
        value_name = "DURATION",
        env = "BERTH_HORIZON",
        default_value = "24h",
        value_parser = duration
    )]
    horizon: Duration,
}

impl ConsolidationArguments {
    /// With what packing goes by.
    pub(super) fn settings(&self, packing: packing::Settings) -> Settings {
        Settings {
            least_saving: self.least_saving,
            price_per_eviction: self.price_per_eviction,
            eviction_percent: self.eviction_percent,
            horizon: self.horizon,
            packing,
            ..Settings::default()
        }
    }
}
