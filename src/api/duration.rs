use std::time::Duration;

use thiserror::Error;

/// Stands for no duration at all: what would happen after it never does.
pub const NEVER: &str = "Never";

const NANOSECOND: i128 = 1;
const MICROSECOND: i128 = 1_000 * NANOSECOND;
const MILLISECOND: i128 = 1_000 * MICROSECOND;
const SECOND: i128 = 1_000 * MILLISECOND;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;

/// That a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no duration: expected hours, minutes and seconds, such as 720h, 1h30m or 90s")]
pub struct InvalidDuration(String);

/// A duration as Go writes them: `1h30m`, `1.5h`, `300ms`, `0`.
///
/// # Errors
///
/// If it is not one, is negative, or is longer than Go's own can be (292 years).
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(invalid());
    }
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let unit_at = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(invalid)?;
        let (number, after) = rest.split_at(unit_at);
        let unit_end = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let nanoseconds =
            unit_nanoseconds(unit).and_then(|unit| scaled(number, unit)).ok_or_else(invalid)?;
        total = total.saturating_add(nanoseconds);
        rest = after;
    }
    let total = i64::try_from(total).map_err(|_| invalid())?;
    Ok(Duration::from_nanos(total.unsigned_abs()))
}

/// A duration, or `None` for `Never`.
///
/// # Errors
///
/// If it is neither.
pub fn parse_never(text: &str) -> Result<Option<Duration>, InvalidDuration> {
    if text == NEVER { Ok(None) } else { parse_duration(text).map(Some) }
}

/// The duration in whole hours, minutes and seconds, as the schemas want it: `1h30m`. Fractions
/// of a second are dropped.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts
        .iter()
        .filter(|(amount, _)| *amount > 0)
        .map(|(amount, unit)| format!("{amount}{unit}"))
        .collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

const fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit.as_bytes() {
        b"h" => HOUR,
        b"m" => MINUTE,
        b"s" => SECOND,
        b"ms" => MILLISECOND,
        // The second and third are the two characters that Unicode has for micro.
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => MICROSECOND,
        b"ns" => NANOSECOND,
        _ => return None,
    })
}

/// `number`, a decimal without sign, times `unit`; a part of a nanosecond is dropped.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut total = 0;
    if !whole.is_empty() {
        total = whole.parse::<i64>().ok().map(|whole| i128::from(whole) * unit)?;
    }
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        total += i128::from(digit.to_digit(10)?) * place;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("720h", 2_592_000_000),
            ("720h0m0s", 2_592_000_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("300ms", 300),
            ("1500us", 1),
            ("1500\u{b5}s", 1),
        ] {
            let parsed = parse_duration(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, Ok(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in [
            "",
            "h",
            "5",
            "5d",
            "-5s",
            "1h 30m",
            "Never",
            ".s",
            "1.2.3s",
            "\u{661}s",
            "99999999999999h",
            "2562048h",
        ] {
            assert_eq!(parse_duration(text), Err(InvalidDuration(text.to_owned())), "{text}");
        }
        assert_eq!(
            parse_duration("5d").unwrap_err().to_string(),
            "\"5d\" is no duration: expected hours, minutes and seconds, such as 720h, 1h30m or 90s"
        );
    }

    #[test]
    fn never_is_no_duration_but_is_understood_where_it_may_stand() {
        assert_eq!(parse_never("Never"), Ok(None));
        assert_eq!(parse_never("1m"), Ok(Some(Duration::from_secs(60))));
        assert!(parse_never("never").is_err());
    }

    #[test]
    fn a_formatted_duration_is_read_back_the_same() {
        for seconds in [0, 1, 59, 60, 61, 3600, 3661, 5400, 2_592_000] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        assert_eq!(format_duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }
}
