//! What a test in another process asks for, and what it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compute::Instance;
use super::world::{Timing, World};

/// A change of the world. What adds something gives its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// An SKS cluster of that name and Kubernetes version.
    AddCluster(String, String),
    /// A template of SKS nodes of that Kubernetes version and variant, from now on the active one.
    AddSksTemplate(String, String),
    /// A security group.
    AddSecurityGroup(String),
    /// An anti-affinity group.
    AddAntiAffinityGroup(String),
    /// A private network.
    AddPrivateNetwork(String),
    /// An elastic IP of that address.
    AddElasticIp(String),
    /// An instance that runs, as somebody else would create it: name, type and labels.
    AddInstance(String, String, BTreeMap<String, String>),
    /// Somebody deletes an instance.
    RemoveInstance(String),
    /// How long things take.
    Timing(Timing),
    /// How much the organisation may have of something.
    Quota(String, i64),
    /// How many more instances of a type there is room for.
    Room(String, u32),
    /// What the keys' role allows from now on.
    AllowOnly(Vec<String>),
    /// The keys that are known from now on, and their secrets.
    Keys(BTreeMap<String, String>),
    /// What is published as prices; null: nothing is.
    Prices(Value),
    /// How far the `Date` of answers is behind the clock.
    LateDate(Duration),
}

impl Change {
    pub(super) fn apply(self, world: &mut World) -> Value {
        match self {
            Self::AddCluster(name, version) => world.add_cluster(&name, &version).into(),
            Self::AddSksTemplate(version, variant) => {
                world.add_sks_template(&version, &variant).into()
            }
            Self::AddSecurityGroup(name) => world.add_security_group(&name).into(),
            Self::AddAntiAffinityGroup(name) => world.add_anti_affinity_group(&name).into(),
            Self::AddPrivateNetwork(name) => world.add_private_network(&name).into(),
            Self::AddElasticIp(ip) => world.add_elastic_ip(&ip).into(),
            Self::AddInstance(name, kind, labels) => {
                let labels: Vec<(&str, &str)> =
                    labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                world.add_instance(&name, &kind, &labels).into()
            }
            other => {
                other.set(world);
                Value::Null
            }
        }
    }

    fn set(self, world: &mut World) {
        match self {
            Self::RemoveInstance(id) => world.remove(&id),
            Self::Timing(timing) => world.timing = timing,
            Self::Quota(resource, limit) => drop(world.quotas.insert(resource, limit)),
            Self::Room(kind, left) => drop(world.room.insert(kind, left)),
            Self::AllowOnly(operations) => world.allowed = Some(operations),
            Self::Keys(keys) => world.keys = keys,
            Self::Prices(prices) => world.prices = prices,
            Self::LateDate(late) => world.late_date = late,
            _ => {}
        }
    }
}

/// What there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Picture {
    /// Instances, those that are being deleted too.
    pub instances: Vec<Instance>,
    /// Instances that are no more, in the order in which they went.
    pub past: Vec<Instance>,
}
