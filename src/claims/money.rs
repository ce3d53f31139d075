//! Prices per month.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};
use std::str::FromStr;

use berth_solver::model::Price;
use serde::{Serialize, Serializer};

/// An amount of money for a month, in ten-thousandths of a unit of the one currency that all prices
/// here are in. An integer, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monthly(u64);

/// Ten-thousandths in a unit.
const UNIT: u64 = 10_000;
/// The hours of a month, as clouds count them: 365 days of 24 hours, by twelve.
const HOURS: u64 = 730;

/// A text that is no amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount: expected a number from 0 to 99999999.99 with up to two decimals")]
pub struct InvalidAmount(pub String);

impl Monthly {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many ten-thousandths of a unit.
    pub const fn from_fractions(fractions: u64) -> Self {
        Self(fractions)
    }

    /// What something costs in a month that costs this in an hour, rounded up to a ten-thousandth:
    /// what costs anything never seems free.
    pub const fn of_hourly(price: Price) -> Self {
        let nanos = price.as_nanos().saturating_mul(HOURS);
        Self(nanos.div_ceil(1_000_000_000 / UNIT))
    }

    /// As a number, for metrics.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 10_000.0
    }
}

impl FromStr for Monthly {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let invalid = || InvalidAmount(text.to_owned());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            !part.is_empty() && part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 8) || !digits(decimals, 2) {
            return Err(invalid());
        }
        let whole: u64 = whole.parse().map_err(|_| invalid())?;
        let hundredths: u64 = format!("{decimals:0<2}").parse().map_err(|_| invalid())?;
        Ok(Self(whole * UNIT + hundredths * (UNIT / 100)))
    }
}

impl fmt::Display for Monthly {
    /// With two decimals, rounded up.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0.div_ceil(UNIT / 100);
        write!(formatter, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

impl Serialize for Monthly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl Add for Monthly {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Monthly {
    type Output = Self;

    /// Nothing, where more is taken away than there is.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Monthly {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Sum for Monthly {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_to_the_cent() {
        for (text, written) in [
            ("0", "0.00"),
            ("52", "52.00"),
            ("52.5", "52.50"),
            ("52.05", "52.05"),
            ("99999999.99", "99999999.99"),
        ] {
            assert_eq!(text.parse::<Monthly>().unwrap().to_string(), written);
        }
        for text in ["", ".5", "5.", "1.234", "-1", "1e3", "NaN", "100000000", "1,5", " 1"] {
            assert!(text.parse::<Monthly>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_hour_costs_a_730th_of_a_month_and_nothing_is_rounded_to_free() {
        let hourly = |value| Monthly::of_hourly(Price::per_hour(value).unwrap());
        assert_eq!(hourly(0.1).to_string(), "73.00");
        assert_eq!(hourly(0.0).to_string(), "0.00");
        assert_eq!(hourly(0.000_000_001).to_string(), "0.01");
    }
}
