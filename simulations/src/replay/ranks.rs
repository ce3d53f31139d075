//! The nodes as each shape of pod sees them, kept from one look to the next.
//!
//! A look at a thousand nodes for each pod would be most of a replay. Between two pods of a shape
//! few nodes change: only these are scored again. A tree over the slots has, for each range of
//! them, how many nodes fit, the highest score, how many have it, and the lowest rate. What
//! [`super::place::scan`] would find among all of them is found, the same node, on a few paths down.

use std::cmp::Ordering;
use std::ops::Range;

use foldhash::HashMap;

use super::fleet::{Fleet, Slot};
use super::kinds::ShapeId;
use super::place::Seen;

/// A tree pays off where no more than one of so many slots has changed since it was made: a leaf
/// costs some times what a slot costs in a scan.
const CHANGED_SHARE: usize = 8;
/// Trees of so many shapes are kept, so that memory does not grow with the number of shapes.
const MOST_TREES: usize = 64;
/// The rate of a range in which nobody's is known.
const NO_RATE: u64 = u64::MAX;

/// The trees of the shapes that are asked for often.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    trees: HashMap<ShapeId, Tree>,
    /// When each shape was last asked for, in changes of the fleet.
    asked: Vec<Option<u64>>,
}

/// A shape's view of all slots.
#[derive(Debug)]
pub(super) struct Tree {
    /// Up to which change of the fleet it is right.
    until: u64,
    /// The rate that scores were made with.
    cheapest: Option<u64>,
    /// How many leaves there is room for: a power of two.
    width: usize,
    /// The root is at 1, the children of `n` at `2n` and `2n + 1`, the leaves from `width` on.
    ranges: Vec<Span>,
}

/// What is known of a range of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    fit: u32,
    top: Top,
    cheapest: u64,
}

/// The highest score of some slots, and how many of them have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Top {
    pub score: i64,
    pub count: u32,
}

impl Top {
    pub const NOTHING: Self = Self { score: i64::MIN, count: 0 };

    pub const fn one(score: i64) -> Self {
        Self { score, count: 1 }
    }

    /// Of the slots of both.
    pub fn and(self, other: Self) -> Self {
        match self.score.cmp(&other.score) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal => Self { count: self.count + other.count, ..self },
        }
    }
}

impl Span {
    const NOTHING: Self = Self { fit: 0, top: Top::NOTHING, cheapest: NO_RATE };

    fn both(self, other: Self) -> Self {
        Self {
            fit: self.fit + other.fit,
            top: self.top.and(other.top),
            cheapest: self.cheapest.min(other.cheapest),
        }
    }

    fn of(seen: Option<Seen>) -> Self {
        seen.map_or(Self::NOTHING, |Seen { score, rate }| Self {
            fit: 1,
            top: Top::one(score),
            cheapest: rate.unwrap_or(NO_RATE),
        })
    }
}

impl Ranks {
    /// The tree of a shape, up to date; `None` if it would not pay off. `see` is what a pod of the
    /// shape sees in a slot, given the cheapest rate of all that fit.
    pub fn tree(
        &mut self,
        shape: ShapeId,
        fleet: &Fleet,
        mut see: impl FnMut(&Slot, Option<u64>) -> Option<Seen>,
    ) -> Option<&Tree> {
        let now = fleet.changes();
        let index = shape as usize;
        if self.asked.len() <= index {
            self.asked.resize(index + 1, None);
        }
        let before = self.asked[index].replace(now);
        let most = (fleet.slots().len() / CHANGED_SHARE) as u64;
        if before.is_none_or(|before| now - before > most) {
            return None;
        }
        if !self.trees.contains_key(&shape) && self.trees.len() >= MOST_TREES {
            let oldest = self.trees.iter().min_by_key(|(shape, tree)| (tree.until, **shape));
            if let Some(oldest) = oldest.map(|(shape, _)| *shape) {
                self.trees.remove(&oldest);
            }
        }
        let tree = self.trees.entry(shape).or_insert_with(Tree::new);
        tree.follow(fleet, &mut see);
        Some(tree)
    }
}

impl Tree {
    const fn new() -> Self {
        Self { until: 0, cheapest: None, width: 0, ranges: Vec::new() }
    }

    /// Sees again what has changed since, or all of it.
    fn follow(&mut self, fleet: &Fleet, see: &mut impl FnMut(&Slot, Option<u64>) -> Option<Seen>) {
        let slots = fleet.slots();
        match fleet.changed_since(self.until) {
            Some(changed) if slots.len() <= self.width && changed.len() <= slots.len() => {
                for index in changed {
                    let index = *index as usize;
                    let slot = slots.get(index);
                    let span = Span::of(slot.and_then(|slot| see(slot, self.cheapest)));
                    self.set(index, span);
                }
            }
            _ => self.see_all(slots, self.cheapest, see),
        }
        self.until = fleet.changes();
        let cheapest = Some(self.ranges[1].cheapest).filter(|rate| *rate != NO_RATE);
        if cheapest != self.cheapest {
            self.see_all(slots, cheapest, see);
        }
    }

    fn see_all(
        &mut self,
        slots: &[Slot],
        cheapest: Option<u64>,
        see: &mut impl FnMut(&Slot, Option<u64>) -> Option<Seen>,
    ) {
        self.cheapest = cheapest;
        self.width = slots.len().next_power_of_two().max(1);
        self.ranges.clear();
        self.ranges.resize(self.width, Span::NOTHING);
        self.ranges.extend(slots.iter().map(|slot| Span::of(see(slot, cheapest))));
        self.ranges.resize(2 * self.width, Span::NOTHING);
        for node in (1..self.width).rev() {
            self.ranges[node] = self.ranges[2 * node].both(self.ranges[2 * node + 1]);
        }
    }

    fn set(&mut self, index: usize, span: Span) {
        let mut node = self.width + index;
        if node >= self.ranges.len() || self.ranges[node] == span {
            return;
        }
        self.ranges[node] = span;
        while node > 1 {
            node /= 2;
            let both = self.ranges[2 * node].both(self.ranges[2 * node + 1]);
            if self.ranges[node] == both {
                return;
            }
            self.ranges[node] = both;
        }
    }

    /// How many nodes fit.
    pub fn fit(&self) -> usize {
        self.ranges[1].fit as usize
    }

    /// Of those that fit, counted from 0 in the order of slots, the slot of one.
    pub fn nth(&self, mut number: usize) -> Option<usize> {
        if number >= self.fit() {
            return None;
        }
        let mut node = 1;
        while node < self.width {
            let left = self.ranges[2 * node].fit as usize;
            node *= 2;
            if number >= left {
                number -= left;
                node += 1;
            }
        }
        Some(node - self.width)
    }

    /// How many of the slots before one fit.
    pub fn fit_before(&self, slot: usize) -> usize {
        let (mut fit, mut node) = (0, self.width + slot);
        if slot >= self.width {
            return self.fit();
        }
        while node > 1 {
            if node % 2 == 1 {
                fit += self.ranges[node - 1].fit as usize;
            }
            node /= 2;
        }
        fit
    }

    /// The highest score in a range of slots, and how many have it.
    pub fn top(&self, range: &Range<usize>) -> Top {
        self.top_in(1, 0, self.width, range)
    }

    fn top_in(&self, node: usize, from: usize, width: usize, range: &Range<usize>) -> Top {
        if range.end <= from || from + width <= range.start {
            return Top::NOTHING;
        }
        if range.start <= from && from + width <= range.end {
            return self.ranges[node].top;
        }
        let half = width / 2;
        let left = self.top_in(2 * node, from, half, range);
        left.and(self.top_in(2 * node + 1, from + half, half, range))
    }

    /// Of the slots of a range with this score, the highest there, counted from 0, one.
    pub fn nth_at(&self, range: &Range<usize>, score: i64, mut number: u32) -> Option<usize> {
        self.nth_in(1, 0, self.width, range, score, &mut number)
    }

    fn nth_in(
        &self,
        node: usize,
        from: usize,
        width: usize,
        range: &Range<usize>,
        score: i64,
        number: &mut u32,
    ) -> Option<usize> {
        let Span { top, .. } = self.ranges[node];
        if range.end <= from || from + width <= range.start || top.score < score {
            return None;
        }
        let inside = range.start <= from && from + width <= range.end;
        if inside && *number >= top.count {
            *number -= top.count;
            return None;
        }
        if width == 1 {
            return Some(from);
        }
        let half = width / 2;
        let left = self.nth_in(2 * node, from, half, range, score, number);
        left.or_else(|| self.nth_in(2 * node + 1, from + half, half, range, score, number))
    }
}
