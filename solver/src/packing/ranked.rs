//! What is ranked by a number, for heaps.

use std::cmp::Ordering;

/// Something, and what it is ranked by. The greatest has the greatest rank; of equals it is the
/// first.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<T> {
    /// What it is ranked by.
    pub rank: f64,
    /// What is ranked.
    pub of: T,
}

impl<T: Ord> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.total_cmp(&other.rank).then_with(|| other.of.cmp(&self.of))
    }
}

impl<T: Ord> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Ranked<T> {}
