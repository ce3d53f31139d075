//! Draws from distributions that are given by their quantiles. Only additions and
//! multiplications: the same on every machine.

use berth_solver::model::Timestamp;

use super::settings::{Quantiles, millis};
use crate::random::{Seed, Stream};

/// The shares that lie below the five values.
const SHARES: [f64; 5] = [0.0, 0.5, 0.9, 0.99, 1.0];
const PARTS: usize = 1 << 30;
const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;

/// A number from 0 up to 1.
pub(super) fn unit(stream: &mut Stream) -> f64 {
    stream.below(PARTS) as f64 / PARTS as f64
}

/// A duration in milliseconds.
pub(super) fn draw(quantiles: Quantiles, stream: &mut Stream) -> i64 {
    let share = unit(stream);
    let Quantiles(values) = quantiles;
    let upper = SHARES.iter().position(|one| share < *one).unwrap_or(4);
    let (from, to) = (SHARES[upper - 1], SHARES[upper]);
    let part = (share - from) / (to - from);
    millis(values[upper - 1] + part * (values[upper] - values[upper - 1]))
}

/// When a spot machine that was launched at `from` is taken back, if that happens within `hours`:
/// each minute is as dangerous as the other.
pub(super) fn interruption(
    per_hour: f64,
    from: Timestamp,
    until: Timestamp,
    stream: &mut Stream,
) -> Option<Timestamp> {
    const MINUTE: i64 = 60_000;
    if per_hour <= 0.0 {
        return None;
    }
    let danger = (per_hour / 60.0).min(1.0);
    let mut at = from.as_millis();
    while at < until.as_millis() {
        if unit(stream) < danger {
            let within = millis(unit(stream) * 60.0);
            return Some(Timestamp::from_millis(at + within));
        }
        at += MINUTE;
    }
    None
}

/// Until when an offering is out at a moment, if it is: each day has its own draws, so that
/// nothing has to be remembered.
pub(super) fn shortage(
    seed: Seed,
    offering: &str,
    per_day: f64,
    lasts: Quantiles,
    at: Timestamp,
) -> Option<Timestamp> {
    if per_day <= 0.0 {
        return None;
    }
    let today = at.as_millis().div_euclid(DAY_MILLIS);
    // None lasts longer than a day or two.
    (today - 2..=today).rev().find_map(|day| {
        let mut stream = seed.stream(&format!("shortage/{offering}/{day}"));
        let most = per_day.ceil() as usize;
        (0..most).find_map(|_| {
            let happens = unit(&mut stream) < per_day / most as f64;
            let begins = day * DAY_MILLIS + (unit(&mut stream) * DAY_MILLIS as f64) as i64;
            let ends = begins + draw(lasts, &mut stream);
            (happens && (begins..ends).contains(&at.as_millis()))
                .then(|| Timestamp::from_millis(ends))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_quantiles() {
        let quantiles = Quantiles([1.0, 2.0, 4.0, 8.0, 16.0]);
        let mut stream = Seed(3).stream("x");
        let mut drawn: Vec<i64> = (0..10_000).map(|_| draw(quantiles, &mut stream)).collect();
        drawn.sort_unstable();
        let near = |index: usize, expected: i64| {
            let error = (drawn[index] - expected).abs();
            assert!(error < expected / 10, "{} {expected}", drawn[index]);
        };
        near(5_000, 2_000);
        near(9_000, 4_000);
        near(9_900, 8_000);
        assert!(drawn[0] >= 1_000 && drawn[9_999] <= 16_000);
    }

    #[test]
    fn interruptions_come_as_often_as_they_should() {
        let until = Timestamp::from_millis(10 * HOUR_MILLIS);
        let hits = (0..2_000).filter(|index| {
            let mut stream = Seed(1).stream(&format!("node/{index}"));
            interruption(0.1, Timestamp::default(), until, &mut stream).is_some()
        });
        // 1 - e^-1 of them within ten hours.
        let share = hits.count() as f64 / 2_000.0;
        assert!((share - 0.632).abs() < 0.04, "{share}");
        let mut stream = Seed(1).stream("x");
        assert_eq!(interruption(0.0, Timestamp::default(), until, &mut stream), None);
    }

    #[test]
    fn shortages_last_and_are_the_same_whoever_asks() {
        let lasts = Quantiles([3_600.0; 5]);
        let short = |minute: i64| {
            let at = Timestamp::from_millis(minute * 60_000);
            shortage(Seed(1), "m5.large/a/on-demand", 2.0, lasts, at).is_some()
        };
        let minutes: Vec<bool> = (0..14_400).map(short).collect();
        let out = minutes.iter().filter(|short| **short).count();
        // Two hours a day for ten days, overlaps aside.
        assert!((900..=1_200).contains(&out), "{out}");
    }
}
