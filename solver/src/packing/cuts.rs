//! What only whole contents keep: rows that cut relaxed ones off.
//!
//! Of what takes more than half of the room, there is room for one; of what takes more than a third,
//! for two. A relaxed content may have a part of one more. Such rows follow from the room by rounding
//! (mixed-integer rounding: Nemhauser and Wolsey, 1990): sizes are measured in a divisor, whole
//! multiples count, and of the rest what goes beyond the rest of the room.

/// Rooms are divided into equal parts, up to so many, for the sake of large pods...
const MOST_PARTS: u32 = 8;
/// ...and by what pods take, their halves and their thirds.
const PARTS_OF_PODS: u32 = 3;
/// A room is divided into no more parts than this.
const LEAST_DIVISOR: f64 = 1e-3;
/// Rows that cut off less than this share are not worth having.
const LEAST_VIOLATION: f64 = 1e-4;
/// Rooms are taken for larger by that share, and divisors for smaller, so that no rounding of numbers
/// cuts anything off that fits.
const HAIR: f64 = 1e-12;
/// And what counts beyond whole multiples counts for that much less.
const SAFETY: f64 = 1e-9;

/// The row by rounding that the relaxed content breaks most. `shares` says what each choice takes of
/// each dimension, one row of as many numbers as there are `prices` a choice; `levels` which choices
/// are in the content and how many of each. Returns what each choice takes of the new dimension: all
/// that a whole content takes is no more than 1. `None` if no row is worth having.
pub fn most_violated(shares: &[f64], prices: &[f64], levels: &[(usize, f64)]) -> Option<Vec<f64>> {
    let dimensions = prices.len();
    let choice = |index: usize| &shares[index * dimensions..(index + 1) * dimensions];
    let mut best: Option<(f64, Vec<f64>, Rounding)> = None;
    for weights in weights(prices) {
        let sizes: Vec<(f64, f64)> =
            levels.iter().map(|(index, level)| (size(choice(*index), &weights), *level)).collect();
        for rounding in roundings(&sizes) {
            let taken: f64 = sizes.iter().map(|(size, level)| level * rounding.share(*size)).sum();
            let violation = taken - 1.0;
            if violation > best.as_ref().map_or(LEAST_VIOLATION, |(most, ..)| *most) {
                best = Some((violation, weights.clone(), rounding));
            }
        }
    }
    let (_, weights, rounding) = best?;
    Some(shares.chunks_exact(dimensions).map(|row| rounding.share(size(row, &weights))).collect())
}

/// What rows are made of: each dimension that costs something, and all of them by what they cost.
fn weights(prices: &[f64]) -> Vec<Vec<f64>> {
    let priced = (0..prices.len()).filter(|row| prices[*row] > 0.0);
    let alone = |row| (0..prices.len()).map(|other| f64::from(u8::from(other == row))).collect();
    let mut weights: Vec<Vec<f64>> = priced.map(alone).collect();
    if weights.len() > 1 {
        let sum: f64 = prices.iter().sum();
        weights.push(prices.iter().map(|price| price / sum).collect());
    }
    weights
}

fn size(shares: &[f64], weights: &[f64]) -> f64 {
    shares.iter().zip(weights).map(|(share, weight)| share * weight).sum()
}

/// Divisors to try: parts of the room, and of what is in it.
fn roundings(sizes: &[(f64, f64)]) -> impl Iterator<Item = Rounding> {
    // A little more than a part: of what takes just that much, all parts may be had.
    let of_room = (2..=MOST_PARTS).map(|parts| (1.0 + SAFETY) / f64::from(parts));
    let of_pods = sizes.iter().flat_map(|(size, _)| {
        (1..=PARTS_OF_PODS).map(move |parts| size / f64::from(parts) * (1.0 - HAIR))
    });
    let usable = |divisor: &f64| (LEAST_DIVISOR..=1.0).contains(divisor);
    of_room.chain(of_pods).filter(usable).map(Rounding::by)
}

/// A room of 1, measured in a divisor.
#[derive(Clone, Copy, Debug)]
struct Rounding {
    divisor: f64,
    /// How many whole ones there are.
    whole: f64,
    /// What there is of one more.
    rest: f64,
}

impl Rounding {
    fn by(divisor: f64) -> Self {
        let room = (1.0 + HAIR) / divisor;
        Self { divisor, whole: room.floor(), rest: room - room.floor() }
    }

    /// What something of that size takes of the whole ones.
    fn share(&self, size: f64) -> f64 {
        let count = size / self.divisor;
        let beyond = (count - count.floor() - self.rest) / (1.0 - self.rest) - SAFETY;
        (count.floor() + beyond.max(0.0)) / self.whole
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn of_what_takes_more_than_half_there_is_room_for_one() {
        // One and two thirds of it in the relaxed content.
        let row = most_violated(&[0.6, 0.1], &[1.0], &[(0, 5.0 / 3.0)]).unwrap();
        assert!((row[0] - 1.0).abs() < 1e-9 && row[1] == 0.0, "{row:?}");
        assert!(most_violated(&[0.5, 0.1], &[1.0], &[(0, 2.0)]).is_none());
    }

    #[test]
    fn no_row_cuts_off_a_content_that_fits() {
        let random = &mut SmallRng::seed_from_u64(5);
        let mut rows = 0;
        for _ in 0..2_000 {
            let room = [random.random_range(5..60), random.random_range(5..60)];
            let amounts: Vec<[i64; 2]> =
                (0..4).map(|_| room.map(|room: i64| random.random_range(0..=room))).collect();
            let shares: Vec<f64> = amounts
                .iter()
                .flat_map(|amount| [0, 1].map(|row| amount[row] as f64 / room[row] as f64))
                .collect();
            let levels: Vec<(usize, f64)> =
                (0..4).map(|index| (index, random.random_range(0.0..1.5))).collect();
            let prices = [random.random_range(0.1..1.0), random.random_range(0.1..1.0)];
            let Some(row) = most_violated(&shares, &prices, &levels) else { continue };
            rows += 1;
            for counts in 0..256_i64 {
                let counts = [0, 2, 4, 6].map(|shift| counts >> shift & 3);
                let taken = |row: usize| -> i64 {
                    counts.iter().zip(&amounts).map(|(count, amount)| count * amount[row]).sum()
                };
                if taken(0) <= room[0] && taken(1) <= room[1] {
                    let pairs = counts.iter().zip(&row);
                    let taken: f64 = pairs.map(|(count, share)| *count as f64 * share).sum();
                    assert!(taken <= 1.0 + 1e-9, "{room:?} {amounts:?} {counts:?} {row:?}");
                }
            }
        }
        assert!(rows > 1_000, "{rows}");
    }
}
