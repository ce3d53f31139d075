//! Shares of a GPU.
//!
//! The model: a node's devices are what it has of resources named `*/gpu` (`nvidia.com/gpu`). A pod
//! asks for whole devices by such a name, or for thousandths of one by [`RESOURCE`]. A share of
//! less than 1000 lies on one device, beside other shares of together at most 1000; each full
//! thousand is a device of its own. Shares of one device can be of several pods; a whole device is
//! shared with nobody. A node that lists [`RESOURCE`] itself has so many thousandths more.
//!
//! Kubernetes has no such resource (its extended resources have a `/` in their name): it comes from
//! traces, whose clusters share devices this way.

use crate::model::{NodeState, Resources};

/// Thousandths of a GPU.
pub const RESOURCE: &str = "gpu-milli";

/// A whole device.
const DEVICE: i64 = 1_000;

/// What a pod asks of the devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// Devices for itself.
    pub whole: i64,
    /// Thousandths of one more, below 1000.
    pub share: i64,
}

impl Ask {
    /// What these requests ask for.
    pub fn of(requests: &Resources) -> Self {
        let milli = requests.extended_amount(RESOURCE).max(0);
        Self { whole: devices(requests).saturating_add(milli / DEVICE), share: milli % DEVICE }
    }

    /// Whether nothing is asked for.
    pub const fn is_nothing(self) -> bool {
        self.whole == 0 && self.share == 0
    }
}

/// All thousandths: those of whole devices, and those listed. Whole devices that are taken and
/// shares that are taken are both off it, if `resources` is what is free.
pub fn total(resources: &Resources) -> i64 {
    let listed = resources.extended_amount(RESOURCE);
    devices(resources).saturating_mul(DEVICE).saturating_add(listed)
}

/// Whether a resource of that name is whole devices.
pub fn is_device(name: &str) -> bool {
    name.ends_with("/gpu")
}

/// Whether somebody on a node has a share of one of its devices.
pub fn are_shared(used: &Resources) -> bool {
    used.extended_amount(RESOURCE) > 0
}

/// The shares of devices that the pods on a node have, in the order in which the pods came.
pub fn shares_on(state: &NodeState) -> Vec<i64> {
    if !are_shared(&state.used) {
        return Vec::new();
    }
    let shares = state.pods.values().map(|pod| (pod.created, Ask::of(&pod.shape.requests).share));
    let mut shares: Vec<_> = shares.filter(|(_, share)| *share > 0).collect();
    shares.sort_by_key(|(created, _)| *created);
    shares.into_iter().map(|(_, share)| share).collect()
}

fn devices(resources: &Resources) -> i64 {
    resources
        .extended()
        .iter()
        .filter(|(name, _)| is_device(name))
        .fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
}

/// What is left of a node's devices. A share goes to the device on which it fits best, to an
/// untouched one if it fits on no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// What is left of each device that somebody has a share of.
    left: Vec<i64>,
    /// How many nobody has anything of.
    untouched: i64,
}

impl Devices {
    /// The devices of a node that has `free` thousandths left beside `shares` that are taken, each
    /// of which lies on one device: put there one after the other, or else by falling size. `None`
    /// if they need more devices.
    pub fn of(free: i64, shares: &[i64]) -> Option<Self> {
        let taken = shares.iter().fold(0_i64, |sum, share| sum.saturating_add(*share));
        let untouched = free.saturating_add(taken).max(0) / DEVICE;
        let hold = |shares: &[i64]| {
            let mut devices = Self { left: Vec::new(), untouched };
            let fit = shares.iter().all(|share| devices.take(Ask { whole: 0, share: *share }));
            fit.then_some(devices)
        };
        hold(shares).or_else(|| {
            let mut shares = shares.to_vec();
            shares.sort_unstable_by(|left, right| right.cmp(left));
            hold(&shares)
        })
    }

    /// Takes what a pod asks for. Returns whether there was room for it; without it nothing
    /// changes.
    pub fn take(&mut self, ask: Ask) -> bool {
        if self.untouched < ask.whole {
            return false;
        }
        if ask.share > 0 {
            match self.left.iter_mut().filter(|left| **left >= ask.share).min() {
                Some(left) => *left -= ask.share,
                None if self.untouched > ask.whole => {
                    self.untouched -= 1;
                    self.left.push(DEVICE.saturating_sub(ask.share));
                }
                None => return false,
            }
        }
        self.untouched -= ask.whole;
        true
    }

    /// How many more pods that ask for `ask` there is room for.
    pub fn room(&self, ask: Ask) -> u32 {
        let number = |count: i64| u32::try_from(count.max(0)).unwrap_or(u32::MAX);
        if ask.share == 0 {
            return if ask.whole == 0 { u32::MAX } else { number(self.untouched / ask.whole) };
        }
        if ask.whole == 0 {
            let beside: i64 = self.left.iter().map(|left| left / ask.share).sum();
            let alone = self.untouched.saturating_mul(DEVICE / ask.share);
            return number(beside.saturating_add(alone));
        }
        // Both at once: one pod after the other.
        let (mut devices, mut count) = (self.clone(), 0_u32);
        while devices.take(ask) {
            count = count.saturating_add(1);
        }
        count
    }

    /// All thousandths that are left.
    pub fn free(&self) -> i64 {
        self.left
            .iter()
            .fold(self.untouched.saturating_mul(DEVICE), |sum, left| sum.saturating_add(*left))
    }

    /// How many of them are of use to a pod that asks for `ask`: those of devices that have as much
    /// left as it wants of one; none if there is no room for it.
    pub fn usable(&self, ask: Ask) -> i64 {
        if ask.is_nothing() || self.room(ask) == 0 {
            return 0;
        }
        let wanted = if ask.whole > 0 { DEVICE } else { ask.share };
        let beside = self.left.iter().filter(|left| **left >= wanted);
        beside.fold(self.untouched.saturating_mul(DEVICE), |sum, left| sum.saturating_add(*left))
    }
}

/// How many more pods that ask for `ask` a node takes that has `free` thousandths left beside
/// `shares` that are taken.
pub fn room(free: i64, shares: &[i64], ask: Ask) -> u32 {
    Devices::of(free, shares).map_or(0, |devices| devices.room(ask))
}

/// Whether one more pod fits.
pub fn check(free: i64, shares: &[i64], ask: Ask) -> bool {
    room(free, shares, ask) > 0
}

/// Why it does not.
pub fn explain(free: i64, shares: &[i64], ask: Ask) -> Option<String> {
    (!ask.is_nothing() && !check(free, shares, ask)).then(|| {
        let wanted = match (ask.whole, ask.share) {
            (0, share) => format!("{share} thousandths of one"),
            (whole, 0) => format!("{whole} whole"),
            (whole, share) => format!("{whole} whole and {share} thousandths of one"),
        };
        format!(
            "{} thousandths of its GPUs are free, {} shares on them, and no place for {wanted}",
            free.max(0),
            shares.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    fn resources(list: &[(&str, i64)]) -> Resources {
        let mut resources = Resources::default();
        for (name, amount) in list {
            resources.set_extended(Name::from(*name), *amount);
        }
        resources
    }

    #[test]
    fn a_share_lies_on_one_device() {
        type Case = (i64, &'static [i64], (i64, i64), u32);
        let cases: [Case; 11] = [
            (2_000, &[], (0, 600), 2),
            (2_000, &[], (0, 500), 4),
            (2_000, &[], (1, 0), 2),
            (2_000, &[], (2, 0), 1),
            (800, &[600, 600], (0, 500), 0),
            (800, &[600, 600], (0, 400), 2),
            (800, &[600, 600], (1, 0), 0),
            (1_400, &[600], (1, 0), 1),
            (1_400, &[600], (1, 400), 1),
            (1_400, &[600], (1, 500), 0),
            (0, &[], (0, 1), 0),
        ];
        for (free, shares, (whole, share), expected) in cases {
            let ask = Ask { whole, share };
            assert_eq!(room(free, shares, ask), expected, "{free} {shares:?} {ask:?}");
            assert_eq!(check(free, shares, ask), expected > 0);
            assert_eq!(explain(free, shares, ask).is_none(), expected > 0);
        }
        assert_eq!(
            explain(800, &[600, 600], Ask { whole: 0, share: 500 }).as_deref(),
            Some(
                "800 thousandths of its GPUs are free, 2 shares on them, and no place for 500 \
                 thousandths of one"
            )
        );
    }

    #[test]
    fn shares_lie_as_they_came_if_they_can() {
        let devices = |shares: &[i64]| Devices::of(2_000 - shares.iter().sum::<i64>(), shares);
        let left = |shares: &[i64]| devices(shares).map(|devices| devices.left);
        assert_eq!(left(&[300, 600, 500]), Some(vec![100, 500]));
        assert_eq!(left(&[300, 300, 700, 700]), Some(vec![0, 0]), "by falling size");
        assert_eq!(left(&[600, 600, 600]), None);
    }

    #[test]
    fn what_is_left_is_of_use_to_those_that_it_is_enough_for() {
        let devices = Devices::of(2_300, &[600, 100]).unwrap();
        assert_eq!(devices, Devices { left: vec![300], untouched: 2 });
        assert_eq!(devices.free(), 2_300);
        for ((whole, share), usable) in [
            ((0, 300), 2_300),
            ((0, 301), 2_000),
            ((1, 0), 2_000),
            ((2, 0), 2_000),
            ((3, 0), 0),
            ((2, 300), 2_000),
            ((2, 301), 0),
            ((0, 0), 0),
        ] {
            assert_eq!(devices.usable(Ask { whole, share }), usable, "{whole} and {share}");
        }
    }

    #[test]
    fn whole_devices_and_thousandths_are_one_account() {
        let has = resources(&[("nvidia.com/gpu", 2), ("amd.com/gpu", 1), ("example.com/nic", 4)]);
        assert_eq!(total(&has), 3_000);
        let used = resources(&[("nvidia.com/gpu", 1), (RESOURCE, 250)]);
        assert_eq!(total(&(&has - &used)), 1_750);
        assert_eq!(Ask::of(&used), Ask { whole: 1, share: 250 });
        assert_eq!(Ask::of(&resources(&[(RESOURCE, 2_500)])), Ask { whole: 2, share: 500 });
        assert!(Ask::of(&resources(&[("example.com/nic", 1)])).is_nothing());
    }
}
