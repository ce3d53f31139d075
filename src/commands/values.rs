//! Values of options, as people write them.

use std::time::Duration;

use berth_solver::model::Price;

/// A length of time with its units, such as `90s` or `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    crate::api::parse_duration(text).map_err(|error| error.to_string())
}

/// An amount of money, in the catalog's currency.
pub(super) fn price(text: &str) -> Result<Price, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    Price::per_hour(number).map_err(|error| error.to_string())
}
