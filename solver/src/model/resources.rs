use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use serde::{Deserialize, Serialize};

use super::Name;

/// Thousandths of a CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MilliCpu(pub i64);

/// Bytes of memory or disk.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub i64);

impl Bytes {
    /// That many mebibytes.
    pub const fn from_mebibytes(mebibytes: i64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }
}

/// An amount of every resource: what a pod asks for, what a node has, what is left.
///
/// All arithmetic saturates: a pod that asks for more than exists fits nowhere, it never wraps.
/// A resource that is not listed is zero. Amounts may become negative (an overcommitted node).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resources {
    /// `cpu`.
    pub cpu: MilliCpu,
    /// `memory`.
    pub memory: Bytes,
    /// `ephemeral-storage`.
    pub ephemeral_storage: Bytes,
    /// `pods`: a pod asks for one, a node has as many as kubelet allows.
    pub pods: i64,
    /// Everything else (`nvidia.com/gpu`, `hugepages-2Mi`, ...), in whole units, sorted by name,
    /// no entry is zero.
    extended: Box<[(Name, i64)]>,
}

impl Resources {
    /// CPU in thousandths and memory in bytes, nothing else.
    pub fn new(cpu: MilliCpu, memory: Bytes) -> Self {
        Self { cpu, memory, ..Self::default() }
    }

    /// The extended resources, sorted by name, without zeros.
    pub fn extended(&self) -> &[(Name, i64)] {
        &self.extended
    }

    /// How much of one extended resource.
    pub fn extended_amount(&self, name: &str) -> i64 {
        self.extended
            .binary_search_by(|(other, _)| other.as_str().cmp(name))
            .map_or(0, |index| self.extended[index].1)
    }

    /// Sets one extended resource; zero removes it.
    pub fn set_extended(&mut self, name: Name, amount: i64) {
        let mut list = std::mem::take(&mut self.extended).into_vec();
        match list.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(index) if amount == 0 => {
                list.remove(index);
            }
            Ok(index) => list[index].1 = amount,
            Err(_) if amount == 0 => {}
            Err(index) => list.insert(index, (name, amount)),
        }
        self.extended = list.into_boxed_slice();
    }

    /// Whether a request for `self` fits into `free`.
    ///
    /// As kube-scheduler does it: a resource that is not asked for is not looked at, so that a
    /// zero request fits an overcommitted node.
    pub fn fits(&self, free: &Self) -> bool {
        self.first_exceeding(free).is_none()
    }

    /// The first resource of which `self` asks for more than `free` has, by its Kubernetes name.
    pub fn first_exceeding<'a>(&'a self, free: &Self) -> Option<&'a str> {
        self.exceeding(free).next()
    }

    /// The resources of which `self` asks for more than `free` has, by their Kubernetes names.
    pub fn exceeding<'a, 'f>(
        &'a self,
        free: &'f Self,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'f> {
        let plain = [
            ("cpu", self.cpu.0, free.cpu.0),
            ("memory", self.memory.0, free.memory.0),
            ("ephemeral-storage", self.ephemeral_storage.0, free.ephemeral_storage.0),
            ("pods", self.pods, free.pods),
        ];
        let extended = self.extended.iter();
        let extended = extended.map(|(name, wanted)| (name.as_str(), *wanted));
        let extended = extended.map(|(name, wanted)| (name, wanted, free.extended_amount(name)));
        let all = plain.into_iter().chain(extended);
        all.filter(|(_, wanted, has)| *wanted > 0 && wanted > has).map(|(name, ..)| name)
    }

    /// The larger amount of each resource.
    #[must_use]
    pub fn larger(&self, other: &Self) -> Self {
        self.zip(other, i64::max)
    }

    /// Every resource times `count`.
    #[must_use]
    pub fn times(&self, count: i64) -> Self {
        Self {
            cpu: MilliCpu(self.cpu.0.saturating_mul(count)),
            memory: Bytes(self.memory.0.saturating_mul(count)),
            ephemeral_storage: Bytes(self.ephemeral_storage.0.saturating_mul(count)),
            pods: self.pods.saturating_mul(count),
            extended: self
                .extended
                .iter()
                .map(|(name, amount)| (name.clone(), amount.saturating_mul(count)))
                .filter(|(_, amount)| *amount != 0)
                .collect(),
        }
    }

    /// Whether nothing is asked for, the pod's slot aside.
    pub fn is_zero_request(&self) -> bool {
        self.cpu.0 == 0
            && self.memory.0 == 0
            && self.ephemeral_storage.0 == 0
            && self.extended.is_empty()
    }

    fn zip(&self, other: &Self, combine: impl Fn(i64, i64) -> i64) -> Self {
        let extended = if self.extended.is_empty() && other.extended.is_empty() {
            Box::default()
        } else {
            self.zip_extended(other, &combine)
        };
        Self {
            cpu: MilliCpu(combine(self.cpu.0, other.cpu.0)),
            memory: Bytes(combine(self.memory.0, other.memory.0)),
            ephemeral_storage: Bytes(combine(self.ephemeral_storage.0, other.ephemeral_storage.0)),
            pods: combine(self.pods, other.pods),
            extended,
        }
    }

    fn zip_extended(&self, other: &Self, combine: &impl Fn(i64, i64) -> i64) -> Box<[(Name, i64)]> {
        let mut names: Vec<&Name> =
            self.extended.iter().chain(other.extended.iter()).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| {
                let amount = combine(self.extended_amount(name), other.extended_amount(name));
                (name.clone(), amount)
            })
            .filter(|(_, amount)| *amount != 0)
            .collect()
    }
}

impl Add<&Resources> for &Resources {
    type Output = Resources;

    fn add(self, other: &Resources) -> Resources {
        self.zip(other, i64::saturating_add)
    }
}

impl Sub<&Resources> for &Resources {
    type Output = Resources;

    fn sub(self, other: &Resources) -> Resources {
        self.zip(other, i64::saturating_sub)
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        *self = &*self + other;
    }
}

impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Resources) {
        *self = &*self - other;
    }
}

impl<'a> Sum<&'a Resources> for Resources {
    fn sum<I: Iterator<Item = &'a Resources>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |sum, amount| &sum + amount)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cpu {}m, memory {}Mi", self.cpu.0, self.memory.0 >> 20)?;
        if self.ephemeral_storage.0 != 0 {
            write!(formatter, ", ephemeral-storage {}Mi", self.ephemeral_storage.0 >> 20)?;
        }
        if self.pods != 0 {
            write!(formatter, ", pods {}", self.pods)?;
        }
        self.extended.iter().try_for_each(|(name, amount)| write!(formatter, ", {name} {amount}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(count: i64) -> Resources {
        let mut resources = Resources::new(MilliCpu(1_000), Bytes(0));
        resources.set_extended(Name::from("nvidia.com/gpu"), count);
        resources
    }

    #[test]
    fn arithmetic_saturates_and_drops_zeros() {
        let huge = Resources::new(MilliCpu(i64::MAX), Bytes(i64::MAX));
        assert_eq!((&huge + &huge).cpu, MilliCpu(i64::MAX));
        assert!((&gpu(1) - &gpu(1)).extended().is_empty());
        assert_eq!((&gpu(1) + &gpu(2)).extended_amount("nvidia.com/gpu"), 3);
    }

    #[test]
    fn a_zero_request_fits_an_overcommitted_node() {
        let overcommitted = Resources::new(MilliCpu(-5), Bytes(10));
        assert!(Resources::default().fits(&overcommitted));
        assert_eq!(gpu(1).first_exceeding(&overcommitted), Some("cpu"));
        assert_eq!(gpu(2).first_exceeding(&gpu(1)), Some("nvidia.com/gpu"));
    }
}
