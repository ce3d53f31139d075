//! A set of small numbers, one bit each.

/// A set of numbers below a limit that all sets compared with it share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// The empty set of numbers below `limit`.
    pub fn empty(limit: usize) -> Self {
        Self(vec![0; limit.div_ceil(64)])
    }

    /// The numbers below `limit` for which `wanted` holds.
    pub fn of(limit: usize, wanted: impl Fn(usize) -> bool) -> Self {
        let mut bits = Self::empty(limit);
        (0..limit).filter(|number| wanted(*number)).for_each(|number| bits.insert(number));
        bits
    }

    /// Adds a number.
    pub fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Keeps what `other` has as well.
    pub fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine &= theirs);
    }

    /// Adds what `other` has.
    pub fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// What both have.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine & theirs).collect())
    }

    /// Whether both have a number in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Keeps the numbers for which `wanted` holds, asked in rising order.
    pub fn retain(&mut self, mut wanted: impl FnMut(usize) -> bool) {
        for (index, word) in self.0.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if !wanted(index * 64 + bit as usize) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// The numbers, rising.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(index * 64 + bit as usize)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_in_and_come_out_in_order() {
        let even = Bits::of(130, |number| number % 2 == 0);
        let mut third = Bits::of(130, |number| number % 3 == 0);
        assert_eq!(even.intersection(&third).iter().take(4).collect::<Vec<_>>(), [0, 6, 12, 18]);
        third.retain(|number| number > 120);
        assert_eq!(third.iter().collect::<Vec<_>>(), [123, 126, 129]);
        assert!(third.meets(&even));
        third.intersect(&even);
        assert_eq!(third.iter().collect::<Vec<_>>(), [126]);
        third.unite(&Bits::of(130, |number| number == 1));
        assert_eq!(third.iter().collect::<Vec<_>>(), [1, 126]);
        third.retain(|_| false);
        assert!(third.is_empty());
    }
}
