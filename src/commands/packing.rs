//! How plans are made, whoever asks for them.

use berth_solver::model::{Name, Price};
use berth_solver::packing::{MinValuesPolicy, Settings};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::values::price;

/// What planning goes by.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct PackingArguments {
    /// What becomes of a node for which its NodePool's minValues cannot be kept: with Strict it is
    /// not launched, with BestEffort it is, and its NodeClaim says so by an annotation
    #[arg(
        long,
        value_name = "POLICY",
        env = "MIN_VALUES_POLICY",
        default_value_t = MinValuesPolicy::Strict,
        value_parser = PossibleValuesParser::new(MinValuesPolicy::ALL.map(MinValuesPolicy::as_str))
            .try_map(|text| text.parse::<MinValuesPolicy>())
    )]
    min_values_policy: MinValuesPolicy,
    /// What a node counts for in an hour beyond its price, in the catalog's currency, where plans
    /// are compared: what is paid for its being there (a licence, an address), or how much dearer
    /// fewer nodes may be. Lower bounds include it, prices do not
    #[arg(
        long,
        value_name = "PRICE",
        env = "BERTH_PRICE_PER_NODE",
        default_value = "0",
        value_parser = price
    )]
    price_per_node: Price,
}

impl PackingArguments {
    /// For pods of these schedulers.
    pub(super) fn settings(&self, scheduler_names: Box<[Name]>) -> Settings {
        Settings {
            scheduler_names,
            min_values: self.min_values_policy,
            price_per_node: self.price_per_node,
            ..Settings::default()
        }
    }
}
