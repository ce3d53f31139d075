//! Chance, from one seed.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

/// The seed that everything in a simulation is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of one entity: what is drawn for others does not change it.
    pub fn stream(self, entity: &str) -> Stream {
        self.stream_of(&[entity])
    }

    /// The stream of an entity whose name is in parts.
    pub fn stream_of(self, parts: &[&str]) -> Stream {
        Stream(Xoshiro256PlusPlus::seed_from_u64(self.0.rotate_left(32) ^ hash(parts)))
    }
}

/// FNV-1a: the same on every machine and in every release, which `std`'s hasher is not.
pub(crate) fn hash(parts: &[&str]) -> u64 {
    parts.iter().flat_map(|part| part.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A stream of random draws.
#[derive(Clone, Debug)]
pub struct Stream(Xoshiro256PlusPlus);

impl Stream {
    /// A duration within the delay's bounds, all equally likely, in whole milliseconds.
    pub fn delay(&mut self, delay: Delay) -> Duration {
        let least = millis(delay.least);
        Duration::from_millis(self.0.random_range(least..=millis(delay.most).max(least)))
    }

    /// True in that many of a thousand cases.
    pub fn chance(&mut self, permille: u32) -> bool {
        self.0.random_range(0..1_000_u32) < permille
    }

    /// A number below `count`; 0 if `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        if count == 0 { 0 } else { self.0.random_range(0..count) }
    }

    /// Letters and digits as Kubernetes appends them to generated names.
    pub fn suffix(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| char::from(LETTERS[self.below(LETTERS.len())])).collect()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long something takes: at least, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

impl Delay {
    /// Between so many milliseconds and so many.
    pub const fn millis(least: u64, most: u64) -> Self {
        Self { least: Duration::from_millis(least), most: Duration::from_millis(most) }
    }

    /// No time at all.
    pub const NONE: Self = Self::millis(0, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_has_the_same_stream_whatever_was_drawn_for_others() {
        let draw = |entity: &str| Seed(7).stream(entity).suffix(8);
        let first = draw("pod/a");
        draw("pod/b");
        assert_eq!(first, draw("pod/a"));
        assert_ne!(first, draw("pod/b"));
        assert_ne!(first, Seed(8).stream("pod/a").suffix(8));
        assert_eq!(first, Seed(7).stream_of(&["pod", "/", "a"]).suffix(8));
    }

    #[test]
    fn delays_stay_within_their_bounds() {
        let mut stream = Seed(1).stream("x");
        for _ in 0..1_000 {
            let drawn = stream.delay(Delay::millis(10, 20));
            assert!((10..=20).contains(&drawn.as_millis()), "{drawn:?}");
        }
        assert_eq!(stream.delay(Delay::NONE), Duration::ZERO);
    }
}
