//! What the fake sells.

use serde_json::{Value, json};

/// A kind of instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// Its id.
    pub id: String,
    /// Its family.
    pub family: &'static str,
    /// Its size within the family.
    pub size: &'static str,
    /// How many CPUs.
    pub cpus: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
    /// How many GPUs.
    pub gpus: u32,
    /// Whether the organisation may use it.
    pub authorized: bool,
    /// Where it can be had.
    pub zones: Vec<String>,
}

impl InstanceType {
    /// `family.size`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.family, self.size)
    }

    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "id": self.id,
            "family": self.family,
            "size": self.size,
            "cpus": self.cpus,
            "memory": u64::from(self.memory_gib) << 30,
            "authorized": self.authorized,
            "zones": self.zones,
        });
        if self.gpus > 0 {
            value["gpus"] = self.gpus.into();
        }
        value
    }
}

/// Family, size, CPUs, GiB of memory, GPUs, and whether everybody may use it.
const TYPES: &[(&str, &str, u32, u32, u32, bool)] = &[
    ("standard", "tiny", 1, 1, 0, true),
    ("standard", "small", 2, 2, 0, true),
    ("standard", "medium", 2, 4, 0, true),
    ("standard", "large", 4, 8, 0, true),
    ("standard", "extra-large", 4, 16, 0, true),
    ("standard", "huge", 8, 32, 0, true),
    ("standard", "mega", 12, 64, 0, true),
    ("cpu", "extra-large", 8, 16, 0, true),
    ("cpu", "huge", 16, 32, 0, true),
    ("memory", "extra-large", 2, 16, 0, true),
    ("memory", "huge", 4, 32, 0, true),
    ("storage", "extra-large", 4, 16, 0, false),
    ("gpua30", "small", 12, 90, 1, false),
    ("gpub300", "small", 24, 240, 1, true),
];

/// Everything that is sold in a zone. The GPU types and the storage family ask for authorization,
/// but for one whose price nobody publishes.
pub(crate) fn all(zone: &str) -> Vec<InstanceType> {
    let kind = |(index, row): (usize, &(&'static str, &'static str, u32, u32, u32, bool))| {
        let (family, size, cpus, memory_gib, gpus, authorized) = *row;
        let id = format!("71000000-0000-4000-8000-{index:012}");
        let zones = vec![zone.to_owned()];
        InstanceType { id, family, size, cpus, memory_gib, gpus, authorized, zones }
    };
    TYPES.iter().enumerate().map(kind).collect()
}

/// The public price list: what `portal.exoscale.com` publishes, as far as it is about these types.
pub(crate) fn prices() -> Value {
    let prices = json!({
        "running_tiny": "0.01458",
        "running_small": "0.02333",
        "running_medium": "0.04666",
        "running_large": "0.09333",
        "running_extra_large": "0.18667",
        "running_huge": "0.37334",
        "running_mega": "0.74667",
        "running_cpu_extra_large": "0.23333",
        "running_cpu_huge": "0.46666",
        "running_memory_extra_large": "0.14",
        "running_memory_huge": "0.28",
        "running_storage_extra_large": "0.14",
        "running_gpua30_small": "1.22645833",
        "volume": "0.00014",
        "volume_data": "0.00006",
    });
    json!({ "eur": prices, "chf": prices, "usd": prices })
}
