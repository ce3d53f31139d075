//! Names for what is to be launched.

use foldhash::HashSet;

use crate::model::{Name, Snapshot, Timestamp};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// A name is a label's value too (host name), and those end at 63 characters.
const LONGEST_PREFIX: usize = 54;

/// Gives each launch a name of its own that follows from the plan's inputs.
#[derive(Debug)]
pub struct Names<'a> {
    snapshot: &'a Snapshot,
    base: u64,
    given: HashSet<Name>,
}

impl<'a> Names<'a> {
    /// For the plan made from this snapshot, at that time, with that seed.
    pub fn new(snapshot: &'a Snapshot, now: Timestamp, seed: u64) -> Self {
        let mut base = Hash::default();
        base.number(snapshot.generation);
        base.number(now.as_millis().cast_unsigned());
        base.number(seed);
        Self { snapshot, base: base.finish(), given: HashSet::default() }
    }

    /// The name of the launch number `index`, from `pool`, for `first_pod` (a UID) among others.
    pub fn give(&mut self, pool: &str, first_pod: &str, index: usize) -> Name {
        let mut end = pool.len().min(LONGEST_PREFIX);
        while !pool.is_char_boundary(end) {
            end -= 1;
        }
        for attempt in 0_u64.. {
            let mut hash = Hash::default();
            hash.number(self.base);
            hash.text(pool);
            hash.text(first_pod);
            hash.number(index as u64);
            hash.number(attempt);
            // Short names read better; longer ones where short ones run out.
            let length = 5 + usize::try_from(attempt / 8).unwrap_or(3).min(3);
            let name = Name::from(with_suffix(&pool[..end], hash.finish(), length));
            let taken =
                self.snapshot.claims.contains_key(&name) || self.snapshot.nodes.contains_key(&name);
            if !taken && self.given.insert(name.clone()) {
                return name;
            }
        }
        Name::default()
    }
}

/// A prefix, a dash and so many letters and digits.
fn with_suffix(prefix: &str, mut hash: u64, length: usize) -> String {
    let mut text = String::with_capacity(prefix.len() + 1 + length);
    text.push_str(prefix);
    text.push('-');
    for _ in 0..length {
        text.push(char::from(ALPHABET[(hash % 32) as usize]));
        hash /= 32;
    }
    text
}

/// FNV-1a with a final mix: the same on every machine and in every version, unlike the standard
/// library's.
#[derive(Debug)]
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn number(&mut self, number: u64) {
        number.to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
    }

    fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
        self.byte(0xff);
    }

    fn finish(&self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_inputs_and_differ_from_each_other() {
        let snapshot = Snapshot::default();
        let names = |seed| {
            let mut names = Names::new(&snapshot, Timestamp::from_millis(7), seed);
            (0..2_000).map(|index| names.give("default", "uid", index)).collect::<Vec<_>>()
        };
        let first = names(1);
        assert_eq!(first, names(1));
        assert_ne!(first[0], names(2)[0]);
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), first.len());
        for name in &first {
            let (pool, suffix) = name.rsplit_once('-').unwrap();
            assert_eq!(pool, "default");
            assert!((5..=8).contains(&suffix.len()), "{name}");
        }
    }
}
