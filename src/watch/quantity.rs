//! Resource quantities: `100m`, `1.5Gi`, `2e3`.

use std::fmt;

/// A resource quantity (`resource.Quantity`): `100m`, `1.5Gi`, `2e3`, in thousandths of its unit,
/// rounded up, as the API server rounds what it stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// Thousandths.
    milli: i128,
    /// Whether it was larger than [`Quantity::LARGEST`], which is what it became.
    cut: bool,
}

/// That a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no quantity: expected a number with an optional suffix, such as 250m, 2, 1.5Gi or 1e3"
)]
pub struct InvalidQuantity(String);

/// More digits than this cannot make a difference below [`Quantity::LARGEST`], but for rounding.
const DIGITS: u32 = 20;
/// Exponents beyond this make everything too large, or as good as nothing.
const LARGEST_EXPONENT: i32 = 1_000;

impl Quantity {
    /// The largest quantity, which larger ones become: 2^63 - 1 units.
    pub const LARGEST: Self = Self { milli: i64::MAX as i128 * 1_000, cut: false };

    /// Reads a quantity.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        Self::read(text).ok_or_else(|| InvalidQuantity(text.chars().take(64).collect()))
    }

    /// Thousandths, rounded up; what would not fit is `i64::MAX` (Go's `MilliValue`).
    pub fn milli(self) -> i64 {
        saturate(self.milli)
    }

    /// Whole units, rounded up (Go's `Value`).
    pub fn units(self) -> i64 {
        let (whole, rest) = (self.milli.div_euclid(1_000), self.milli.rem_euclid(1_000));
        saturate(whole + i128::from(rest != 0))
    }

    /// Whether it is less than zero.
    pub const fn is_negative(self) -> bool {
        self.milli < 0
    }

    /// Whether it was written larger than [`Self::LARGEST`].
    pub const fn was_too_large(self) -> bool {
        self.cut
    }

    /// Both together, at most [`Self::LARGEST`].
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            milli: (self.milli + other.milli).min(Self::LARGEST.milli),
            cut: self.cut || other.cut,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(number_end);
        let decimal = Decimal::read(number)?;
        let (binary_exponent, decimal_exponent) = suffix_exponents(suffix)?;
        let milli = decimal.scaled(binary_exponent, decimal_exponent + 3);
        let cut = milli > Self::LARGEST.milli;
        let milli = milli.min(Self::LARGEST.milli);
        Some(Self { milli: if negative { -milli } else { milli }, cut })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli % 1_000 == 0 {
            write!(formatter, "{}", self.milli / 1_000)
        } else {
            write!(formatter, "{}m", self.milli)
        }
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// The powers of two and of ten that a suffix stands for.
fn suffix_exponents(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => (0, exponent(suffix.strip_prefix(['e', 'E'])?)?),
    })
}

/// A decimal exponent, cut to what makes a difference.
fn exponent(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i32>().unwrap_or(LARGEST_EXPONENT).min(LARGEST_EXPONENT);
    Some(sign * size)
}

/// A decimal number: `digits` times ten to the power of `exponent`, and a little more if `rest`.
#[derive(Default)]
struct Decimal {
    digits: u128,
    exponent: i32,
    rest: bool,
}

impl Decimal {
    /// Reads digits with at most one point and at least one digit.
    fn read(text: &str) -> Option<Self> {
        let mut number = Self::default();
        let (mut taken, mut any, mut after_point) = (0, false, false);
        for letter in text.bytes() {
            if letter == b'.' {
                if after_point {
                    return None;
                }
                after_point = true;
                continue;
            }
            any = true;
            let digit = u128::from(letter - b'0');
            if taken < DIGITS {
                number.digits = number.digits * 10 + digit;
                taken += u32::from(number.digits != 0);
                number.exponent = number.exponent.saturating_sub(i32::from(after_point));
            } else {
                number.rest |= digit != 0;
                number.exponent = number.exponent.saturating_add(i32::from(!after_point));
            }
        }
        any.then_some(number)
    }

    /// Times these powers, rounded up; at most a little more than [`Quantity::LARGEST`].
    fn scaled(&self, binary_exponent: u32, decimal_exponent: i32) -> i128 {
        const ENOUGH: u128 = i128::MAX as u128;
        // 20 digits times 2^60 are less than 2^127.
        let mut value = self.digits << binary_exponent;
        let mut exponent = self.exponent.saturating_add(decimal_exponent);
        let mut rest = self.rest;
        while exponent > 0 && value != 0 && value < ENOUGH {
            value = value.checked_mul(10).unwrap_or(ENOUGH);
            exponent -= 1;
        }
        while exponent < 0 && value != 0 {
            rest |= !value.is_multiple_of(10);
            value /= 10;
            exponent += 1;
        }
        i128::try_from(value + u128::from(rest)).unwrap_or(i128::MAX)
    }
}

#[cfg(test)]
mod tests {
    use kube_quantity::ParsedQuantity;
    use proptest::prelude::*;

    use super::*;

    fn milli(text: &str) -> i64 {
        Quantity::parse(text).unwrap().milli()
    }

    fn units(text: &str) -> i64 {
        Quantity::parse(text).unwrap().units()
    }

    #[test]
    fn every_suffix_is_understood() {
        for (text, expected) in [
            ("0", 0),
            ("7", 7),
            ("+7", 7),
            ("007", 7),
            ("1k", 1_000),
            ("1M", 1_000_000),
            ("1G", 1_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1P", 1_000_000_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1Ki", 1 << 10),
            ("1Mi", 1 << 20),
            ("1Gi", 1 << 30),
            ("1Ti", 1 << 40),
            ("1Pi", 1 << 50),
            ("1Ei", 1 << 60),
            ("1.5Gi", 3 << 29),
            (".5Ki", 512),
            ("5.", 5),
            ("1e3", 1_000),
            ("1E3", 1_000),
            ("1e+3", 1_000),
            ("1500e-3", 2),
            ("129e6", 129_000_000),
            ("-3", -3),
        ] {
            assert_eq!(units(text), expected, "{text}");
        }
    }

    #[test]
    fn fractions_are_rounded_up() {
        for (text, in_milli, in_units) in [
            ("100m", 100, 1),
            ("1n", 1, 1),
            ("1u", 1, 1),
            ("1001u", 2, 1),
            ("0.1", 100, 1),
            ("0.0001", 1, 1),
            ("1.0000000001", 1_001, 2),
            ("0.00000000000000000000000000000000000000000001", 1, 1),
            ("1e-900", 1, 1),
            ("0e-900", 0, 0),
            ("0.3Ki", 307_200, 308),
            ("1000m", 1_000, 1),
        ] {
            assert_eq!((milli(text), units(text)), (in_milli, in_units), "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        for text in ["1e30", "9223372036854775808", "8Ei", "1e999999999999999999999", "99999999E"] {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!((quantity.milli(), quantity.units()), (i64::MAX, i64::MAX), "{text}");
            assert!(quantity.was_too_large(), "{text}");
        }
        let largest = Quantity::parse("9223372036854775807").unwrap();
        assert_eq!(largest.units(), i64::MAX);
        assert!(!largest.was_too_large());
        assert_eq!(largest.plus(largest).units(), i64::MAX);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "", " ", "m", "-", "+", ".", "1.2.3", "1 Gi", "1gi", "1KI", "1mi", "0x10", "1e", "1e+",
            "1e1.5", "e3", "--1", "1Gib", "NaN", "inf", "١", "1,5",
        ] {
            assert!(Quantity::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Quantity::parse("12Gb").unwrap_err().to_string(),
            "\"12Gb\" is no quantity: expected a number with an optional suffix, such as 250m, 2, \
             1.5Gi or 1e3"
        );
    }

    #[test]
    fn quantities_are_shown_so_that_they_are_read_back_the_same() {
        for text in ["0", "250m", "1.5Gi", "7"] {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!(Quantity::parse(&quantity.to_string()), Ok(quantity));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn nothing_that_looks_like_a_quantity_makes_it_panic(
            text in "[+-]?[0-9.]{0,60}([numkMGTPEe]i?)?[+-]?[0-9]{0,20}"
        ) {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn agrees_with_another_parser(
            whole in 0_u32..8_000_000,
            fraction in proptest::option::of(0_u16..1_000),
            suffix in prop::sample::select(vec!["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]),
        ) {
            let text = match fraction {
                Some(fraction) => format!("{whole}.{fraction:03}{suffix}"),
                None => format!("{whole}{suffix}"),
            };
            let theirs = ParsedQuantity::try_from(text.as_str()).unwrap();
            // Their conversion drops fractions; ours rounds them up.
            let theirs_milli = theirs.to_bytes_f64().unwrap() * 1_000.0;
            let ours = Quantity::parse(&text).unwrap();
            prop_assert!((ours.milli() as f64 - theirs_milli).abs() <= 1.0 + theirs_milli * 1e-12,
                "{text}: {} and {theirs_milli}", ours.milli());
            prop_assert!((ours.units() as f64 - theirs_milli / 1e3).abs() <= 1.0 + theirs_milli * 1e-15);
        }
    }
}
