use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a node costs in an hour, in billionths of the catalog's currency unit.
///
/// An integer, so that sums are exact and the same on every machine. Written as a decimal number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u64);

/// A number that is no price.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a price per hour: expected a number from 0 to 1,000,000,000")]
pub struct InvalidPrice(pub f64);

const UNIT: f64 = 1e9;

impl Price {
    /// No price at all, and the price of nothing.
    pub const ZERO: Self = Self(0);

    /// That many billionths per hour.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Billionths per hour.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// Rounds to the nearest billionth.
    ///
    /// # Errors
    /// [`InvalidPrice`] for NaN, infinities, negative numbers and anything over a billion.
    pub fn per_hour(value: f64) -> Result<Self, InvalidPrice> {
        if !(0.0..=1e9).contains(&value) {
            return Err(InvalidPrice(value));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range, checked above"
        )]
        Ok(Self((value * UNIT).round() as u64))
    }

    /// The price as a number, for objectives and for people.
    #[expect(clippy::cast_precision_loss, reason = "the objective's precision is a float's")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / UNIT
    }

    /// The difference, zero if `other` is dearer.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Price {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Price {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Price {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl Mul<u64> for Price {
    type Output = Self;

    fn mul(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Sum for Price {
    fn sum<I: Iterator<Item = Self>>(prices: I) -> Self {
        prices.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = formatter.precision().unwrap_or(5);
        write!(formatter, "{:.decimals$}", self.as_f64())
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::per_hour(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_price() {
        for bad in [f64::NAN, f64::INFINITY, -0.01, 1e30] {
            assert!(Price::per_hour(bad).is_err(), "{bad}");
        }
        assert_eq!(Price::per_hour(0.04666).unwrap_or_default().as_nanos(), 46_660_000);
    }
}
