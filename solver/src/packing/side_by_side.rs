//! Several numbers in one, so that one subtraction takes from all of them.

/// Where the numbers are. Above each is one bit more, which tells whether it would fall below zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct SideBySide {
    bits: u32,
    guards: u128,
}

/// Where one of the numbers is.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    shift: u32,
    mask: u128,
}

impl Field {
    /// A number (no larger than the field was made for) in its place.
    pub const fn put(self, number: u128) -> u128 {
        number << self.shift
    }

    /// The number that is there.
    pub const fn get(self, all: u128) -> u128 {
        (all >> self.shift) & self.mask
    }

    /// All bits of the field.
    pub const fn bits(self) -> u128 {
        self.mask << self.shift
    }
}

impl SideBySide {
    /// One more number, above the others, of at most so much. `None` if there is no room for it.
    pub const fn add(&mut self, most: u128) -> Option<Field> {
        let shift = self.bits;
        let guard = shift + u128::BITS - most.leading_zeros();
        if guard >= u128::BITS {
            return None;
        }
        self.bits = guard + 1;
        self.guards |= 1 << guard;
        Some(Field { shift, mask: (1 << (guard - shift)) - 1 })
    }

    /// How many bits are in use.
    pub const fn len(&self) -> u32 {
        self.bits
    }

    /// What is left of each number when others are taken from them; `None` if one is too small.
    pub fn less(&self, all: u128, taken: u128) -> Option<u128> {
        let left = (all | self.guards) - taken;
        (left & self.guards == self.guards).then_some(left & !self.guards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_touch_each_other() {
        let mut numbers = SideBySide::default();
        let [one, two, three] = [5, 0, 8].map(|most| numbers.add(most).unwrap());
        assert_eq!(numbers.len(), 4 + 1 + 5);
        let all = one.put(5) | three.put(8);
        assert_eq!((one.get(all), two.get(all), three.get(all)), (5, 0, 8));
        let left = numbers.less(all, one.put(2) | three.put(8)).unwrap();
        assert_eq!((one.get(left), two.get(left), three.get(left)), (3, 0, 0));
        assert_eq!(numbers.less(all, one.put(6)), None);
        assert_eq!(numbers.less(left, three.put(1)), None);
        assert_eq!(three.bits().count_ones(), 4);
    }

    #[test]
    fn there_is_room_for_so_many_bits() {
        let mut numbers = SideBySide::default();
        assert!(numbers.add(u128::MAX).is_none());
        assert!(numbers.add(u128::MAX >> 1).is_some());
        assert!(numbers.add(0).is_none());
    }
}
