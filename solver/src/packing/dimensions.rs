//! Resources as dense vectors: only what somebody asks for, one index a resource.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::constraints::{attachments, gpu_shares, resources};
use crate::model::{Name, PodShape, Resources};

/// Which resource has which index.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimensions {
    names: Vec<Name>,
    /// Where thousandths of GPUs are, if somebody asks for a share of one.
    shares: Option<usize>,
}

/// An amount of each resource, by its index. Where nobody asks for more than the four that every
/// node has, it takes no memory elsewhere: loads are copied and looked through by the thousand.
pub type Amounts = SmallVec<[i64; 4]>;

impl Dimensions {
    /// The four resources that every node has, and each extended one that some shape asks for.
    pub fn of<'a>(shapes: impl Iterator<Item = &'a PodShape>) -> Self {
        let extended: BTreeSet<&Name> = shapes
            .flat_map(|shape| shape.requests.extended())
            .filter(|(_, amount)| *amount > 0)
            .map(|(name, _)| name)
            .collect();
        let names = ["cpu", "memory", "ephemeral-storage", "pods"].map(Name::from);
        let names: Vec<Name> = names.into_iter().chain(extended.into_iter().cloned()).collect();
        let shares = names.iter().position(|name| *name == *gpu_shares::RESOURCE);
        Self { names, shares }
    }

    /// The same where GPUs are shared already: whoever asks for one has to do with shares too.
    #[must_use]
    pub fn beside_shares(mut self) -> Self {
        if self.shares.is_none() && self.names.iter().any(|name| gpu_shares::is_device(name)) {
            self.shares = Some(self.names.len());
            self.names.push(Name::from(gpu_shares::RESOURCE));
        }
        self
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of one.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// What is asked for; a negative amount asks for nothing.
    pub fn demand(&self, requests: &Resources) -> Amounts {
        let mut demand: Amounts =
            self.names.iter().map(|name| resources::amount(requests, name).max(0)).collect();
        if let Some(index) = self.shares {
            demand[index] = gpu_shares::total(requests).max(0);
        }
        demand
    }

    /// What there is.
    pub fn supply(&self, free: &Resources) -> Amounts {
        let amount = |name: &Name| match attachments::driver(name) {
            // The node's own limit, where there is one, is put in its place.
            Some(_) => attachments::UNLIMITED,
            None => resources::amount(free, name),
        };
        let mut supply: Amounts = self.names.iter().map(amount).collect();
        if let Some(index) = self.shares {
            supply[index] = gpu_shares::total(free);
        }
        supply
    }

    /// Where thousandths of GPUs are, if somebody asks for a share of one.
    pub fn shares(&self) -> Option<usize> {
        self.shares
    }

    /// The drivers that attach volumes, and where their attachments are.
    pub fn attachments(&self) -> impl Iterator<Item = (usize, &str)> {
        let drivers = self.names.iter().map(|name| attachments::driver(name));
        drivers.enumerate().filter_map(|(index, driver)| Some((index, driver?)))
    }
}

/// How many times `demand` fits into `free`; `u32::MAX` for one that asks for nothing.
pub fn room(demand: &[i64], free: &[i64]) -> u32 {
    let mut room = u32::MAX;
    for (wanted, has) in demand.iter().zip(free) {
        if *wanted > 0 {
            if has < wanted {
                return 0;
            }
            room = room.min(u32::try_from(has / wanted).unwrap_or(u32::MAX));
        }
    }
    room
}

/// Whether `demand` fits into `free`: whether [`room`] is above zero.
pub fn fits(demand: &[i64], free: &[i64]) -> bool {
    demand.iter().zip(free).all(|(wanted, has)| *wanted <= 0 || has >= wanted)
}

/// Takes `count` times `demand` from `free`.
pub fn take(free: &mut [i64], demand: &[i64], count: u32) {
    for (has, wanted) in free.iter_mut().zip(demand) {
        *has = has.saturating_sub(wanted.saturating_mul(i64::from(count)));
    }
}

/// Gives back `count` times `demand` to `free`.
pub fn give(free: &mut [i64], demand: &[i64], count: u32) {
    for (has, wanted) in free.iter_mut().zip(demand) {
        *has = has.saturating_add(wanted.saturating_mul(i64::from(count)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ignores_what_is_not_asked_for_and_never_overflows() {
        assert_eq!(room(&[2, 0], &[7, -5]), 3);
        assert_eq!(room(&[2, 1], &[7, 0]), 0);
        assert_eq!(room(&[0, 0], &[-1, -1]), u32::MAX);
        assert_eq!(room(&[i64::MAX], &[i64::MAX]), 1);
        let mut free = [i64::MIN + 1];
        take(&mut free, &[i64::MAX], u32::MAX);
        assert_eq!(free, [i64::MIN]);
    }
}
