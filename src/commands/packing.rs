//! How plans are made, whoever asks for them.

use berth_solver::packing::MinValuesPolicy;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

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
    pub(super) min_values_policy: MinValuesPolicy,
}
