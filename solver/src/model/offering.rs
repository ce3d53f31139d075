use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Name, Price, Requirements, Resources};

/// How capacity is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    /// Paid for already.
    Reserved,
    /// Cheap, and may be taken away.
    Spot,
    /// By the hour, stays.
    OnDemand,
}

impl CapacityType {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

impl fmt::Display for CapacityType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for CapacityType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reserved" => Ok(Self::Reserved),
            "spot" => Ok(Self::Spot),
            "on-demand" => Ok(Self::OnDemand),
            other => {
                Err(format!("{other:?} is no capacity type: expected on-demand, spot or reserved"))
            }
        }
    }
}

/// An instance type in a zone, bought one way, at a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offering {
    /// The value of `topology.kubernetes.io/zone`.
    pub zone: Name,
    /// The value of `karpenter.sh/capacity-type`.
    pub capacity_type: CapacityType,
    /// What a node costs in an hour, its disk included.
    pub price: Price,
    /// Whether the cloud is believed to have it now (false after insufficient capacity).
    pub available: bool,
    /// Of reserved capacity: how many machines there are in all, those in use among them; `None`
    /// if there is no limit.
    pub reserved_count: Option<u32>,
}

/// A kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceType {
    /// The value of `node.kubernetes.io/instance-type`.
    pub name: Name,
    /// The labels that nodes of this type carry, zone and capacity type aside: its own name,
    /// `kubernetes.io/arch`, `kubernetes.io/os`, and the provider's. A type that can be had in
    /// several flavours lists several values.
    pub labels: Requirements,
    /// What the machine has.
    pub capacity: Resources,
    /// What kubelet and the system keep for themselves.
    pub overhead: Resources,
    /// Where and how it can be bought.
    pub offerings: Vec<Offering>,
}

impl InstanceType {
    /// What pods (daemons among them) can have: capacity without the overhead, never negative.
    pub fn allocatable(&self) -> Resources {
        (&self.capacity - &self.overhead).larger(&Resources::default())
    }
}

/// All instance types that a pool's cloud sells, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The types, sorted by name, names unique.
    pub instance_types: Vec<InstanceType>,
}

impl Catalog {
    /// Sorts the types by name and their offerings by zone and capacity type.
    pub fn new(mut instance_types: Vec<InstanceType>) -> Self {
        instance_types.sort_by(|left, right| left.name.cmp(&right.name));
        for instance_type in &mut instance_types {
            instance_type.offerings.sort_by(|left, right| {
                (&left.zone, left.capacity_type).cmp(&(&right.zone, right.capacity_type))
            });
        }
        Self { instance_types }
    }

    /// The type of that name.
    pub fn get(&self, name: &str) -> Option<&InstanceType> {
        self.instance_types
            .binary_search_by(|other| other.name.as_str().cmp(name))
            .ok()
            .map(|index| &self.instance_types[index])
    }

    /// The price of that type in that zone, bought that way, whether it is available or not.
    pub fn price(&self, instance_type: &str, zone: &str, capacity: CapacityType) -> Option<Price> {
        self.get(instance_type)?
            .offerings
            .iter()
            .find(|offering| offering.zone == *zone && offering.capacity_type == capacity)
            .map(|offering| offering.price)
    }
}
