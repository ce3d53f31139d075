//! The order in which Go's `sort.Slice` leaves equal things.
//!
//! Karpenter sorts its claims by their number of pods before it tries them, with a sort that is
//! not stable: which of two claims with as many pods comes first, and so which one grows, is up to
//! the sort. It is pattern-defeating quicksort with Go's constants, and draws nothing at random.

/// Up to so many are sorted by insertion.
const FEW: usize = 12;
/// From so many on pivots are looked for more widely, and single misplaced things are moved.
const MANY: usize = 50;
/// How many misplaced things are moved before the rest is sorted in earnest.
const MOST_MOVES: usize = 5;
/// As many swaps as a search for a pivot can take: everything is the wrong way round.
const ALL_SWAPS: u32 = 12;

/// Sorts by key, equal ones as Go's `sort.Slice` would.
pub(super) fn sort<T>(list: &mut [T], key: impl Fn(&T) -> usize) {
    if list.is_sorted_by_key(&key) {
        return;
    }
    let limit = usize::BITS - list.len().leading_zeros();
    let end = list.len();
    Sort { list, key }.range(0, end, limit);
}

/// What three things around the chosen pivot look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    Sorted,
    Reversed,
    Mixed,
}

struct Sort<'l, T, K> {
    list: &'l mut [T],
    key: K,
}

impl<T, K: Fn(&T) -> usize> Sort<'_, T, K> {
    fn less(&self, left: usize, right: usize) -> bool {
        (self.key)(&self.list[left]) < (self.key)(&self.list[right])
    }

    fn range(&mut self, mut from: usize, mut to: usize, mut limit: u32) {
        let (mut balanced, mut parted) = (true, true);
        loop {
            let length = to - from;
            if length <= FEW || limit == 0 {
                // Go ends with a heap sort where partitions keep failing; lists of claims don't.
                self.insert(from, to);
                return;
            }
            if !balanced {
                self.scatter(from, to);
                limit -= 1;
            }
            let (mut pivot, mut looks) = self.pivot(from, to);
            if looks == Looks::Reversed {
                self.list[from..to].reverse();
                pivot = (to - 1) - (pivot - from);
                looks = Looks::Sorted;
            }
            if balanced && parted && looks == Looks::Sorted && self.nearly(from, to) {
                return;
            }
            if from > 0 && !self.less(from - 1, pivot) {
                from = self.part_equal(from, to, pivot);
                continue;
            }
            let (middle, already) = self.part(from, to, pivot);
            parted = already;
            let (left, right) = (middle - from, to - middle);
            balanced = left.min(right) >= length / 8;
            if left < right {
                self.range(from, middle, limit);
                from = middle + 1;
            } else {
                self.range(middle + 1, to, limit);
                to = middle;
            }
        }
    }

    fn insert(&mut self, from: usize, to: usize) {
        for index in from + 1..to {
            let mut at = index;
            while at > from && self.less(at, at - 1) {
                self.list.swap(at, at - 1);
                at -= 1;
            }
        }
    }

    /// Moves a few misplaced things; whether all is sorted then.
    fn nearly(&mut self, from: usize, to: usize) -> bool {
        let mut at = from + 1;
        for _ in 0..MOST_MOVES {
            while at < to && !self.less(at, at - 1) {
                at += 1;
            }
            if at == to {
                return true;
            }
            if to - from < MANY {
                return false;
            }
            self.list.swap(at, at - 1);
            if at - from >= 2 {
                let mut down = at - 1;
                while down >= 1 && self.less(down, down - 1) {
                    self.list.swap(down, down - 1);
                    down -= 1;
                }
            }
            if to - at >= 2 {
                let mut up = at + 1;
                while up < to && self.less(up, up - 1) {
                    self.list.swap(up, up - 1);
                    up += 1;
                }
            }
        }
        false
    }

    /// Smaller ones than the pivot before it, the others behind; where it is then, and whether it
    /// was so already.
    fn part(&mut self, from: usize, to: usize, pivot: usize) -> (usize, bool) {
        self.list.swap(from, pivot);
        let (mut low, mut high) = (from + 1, to - 1);
        let mut already = true;
        loop {
            while low <= high && self.less(low, from) {
                low += 1;
            }
            while low <= high && !self.less(high, from) {
                high -= 1;
            }
            if low > high {
                break;
            }
            self.list.swap(low, high);
            low += 1;
            high -= 1;
            already = false;
        }
        self.list.swap(high, from);
        (high, already)
    }

    /// Equal ones to the pivot first, as nothing is smaller; where they end.
    fn part_equal(&mut self, from: usize, to: usize, pivot: usize) -> usize {
        self.list.swap(from, pivot);
        let (mut low, mut high) = (from + 1, to - 1);
        loop {
            while low <= high && !self.less(from, low) {
                low += 1;
            }
            while low <= high && self.less(from, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.list.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Breaks a pattern that makes partitions uneven. The numbers follow from the length.
    fn scatter(&mut self, from: usize, to: usize) {
        let length = to - from;
        let mut state = length as u64;
        let mask = (1_u64 << (u64::BITS - state.leading_zeros())) - 1;
        let middle = from + length / 4 * 2 - 1;
        for step in 0..3 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let other = usize::try_from(state & mask).unwrap_or(0);
            let other = if other >= length { other - length } else { other };
            self.list.swap(middle + step, from + other);
        }
    }

    fn pivot(&self, from: usize, to: usize) -> (usize, Looks) {
        let quarter = (to - from) / 4;
        let mut places = [1, 2, 3].map(|part| from + quarter * part);
        let mut swaps = 0;
        if to - from >= MANY {
            places = places.map(|at| self.median([at - 1, at, at + 1], &mut swaps));
        }
        let middle = self.median(places, &mut swaps);
        let looks = match swaps {
            0 => Looks::Sorted,
            ALL_SWAPS => Looks::Reversed,
            _ => Looks::Mixed,
        };
        (middle, looks)
    }

    fn median(&self, [mut low, mut middle, mut high]: [usize; 3], swaps: &mut u32) -> usize {
        let order = |left: &mut usize, right: &mut usize, swaps: &mut u32| {
            if self.less(*right, *left) {
                *swaps += 1;
                std::mem::swap(left, right);
            }
        };
        order(&mut low, &mut middle, swaps);
        order(&mut middle, &mut high, swaps);
        order(&mut low, &mut middle, swaps);
        middle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same numbers as in the Go programme that the expected values are from.
    fn draw(state: &mut u64) -> u64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state
    }

    fn digest(list: &[(usize, u64)]) -> u64 {
        list.iter().fold(0, |sum: u64, (_, one)| sum.wrapping_mul(31).wrapping_add(*one))
    }

    fn pick(number: u64, of: usize) -> usize {
        usize::try_from((number >> 40) % of as u64).unwrap()
    }

    #[test]
    fn claims_that_grow_stand_as_go_leaves_them() {
        let grown = [5, 13, 20, 49, 50, 64, 100, 300].map(|most: usize| {
            let mut list: Vec<(usize, u64)> = Vec::new();
            let mut state = most as u64;
            for _ in 0..4 * most {
                let number = draw(&mut state);
                sort(&mut list, |one| one.0);
                if list.len() < most && (list.is_empty() || (number >> 33).is_multiple_of(2)) {
                    list.push((1, list.len() as u64));
                } else {
                    let at = pick(number, list.len());
                    list[at].0 += 1;
                }
            }
            sort(&mut list, |one| one.0);
            digest(&list)
        });
        assert_eq!(
            grown,
            [
                1_936_540,
                204_334_985_388_422_808,
                3_933_586_203_207_018_252,
                6_171_004_177_941_398_746,
                16_582_295_448_686_652_513,
                9_717_231_714_847_947_724,
                13_912_264_253_125_636_036,
                3_259_463_218_658_734_820,
            ]
        );
    }

    #[test]
    fn any_order_ends_as_go_leaves_it() {
        let sorted = [13, 60, 200, 1_000].map(|count: usize| {
            let mut state = count as u64;
            let drawn = (0..count as u64).map(|index| (pick(draw(&mut state), 7), index));
            let mut list: Vec<(usize, u64)> = drawn.collect();
            sort(&mut list, |one| one.0);
            assert!(list.is_sorted_by_key(|one| one.0));
            digest(&list)
        });
        assert_eq!(
            sorted,
            [
                1_786_128_954_831_004_038,
                6_964_320_094_243_585_952,
                6_972_939_439_785_908_548,
                16_573_714_235_689_272_366,
            ]
        );
    }
}
