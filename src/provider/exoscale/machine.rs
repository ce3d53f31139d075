//! What a machine has: the cloud's shape and price of a type, and what its node class keeps.

use berth_solver::model::{
    Bytes, CapacityType, Catalog, InstanceType, MilliCpu, Name, Offering, Price, Requirements,
    Resources, ValueSet, well_known,
};

use super::settings::ExoscaleSettings;
use crate::api::ExoscaleNodeClassSpec;
use crate::catalog::{EXOSCALE_FAMILY_LABEL, EXOSCALE_SIZE_LABEL};
use crate::exoscale::compute::{self, Quota};
use crate::exoscale::prices::PriceList;
use crate::provider::ProviderError;
use crate::watch::Quantity;

/// What counts as a GPU in pods' requests.
const GPU: &str = "nvidia.com/gpu";
/// How many GPUs a node has, as the existing provider labels it.
const GPU_COUNT_LABEL: &str = "karpenter.sh/instance-gpu-count";
const ACCELERATOR_LABEL: &str = "karpenter.sh/instance-accelerator";
/// Kubelet's default: how many pods a node may run.
const PODS: i64 = 110;
/// Kubelet's default hard eviction threshold of memory, which it does not give to pods.
const EVICTION_MEMORY: i64 = 100 << 20;
/// And of the disk, in percent.
const EVICTION_DISK_PERCENT: i64 = 10;
const GIB: i64 = 1 << 30;

/// What the cloud sells, as last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Market {
    /// All types.
    pub types: Vec<compute::InstanceType>,
    /// What the organisation may have.
    pub quotas: Vec<Quota>,
    /// What things cost.
    pub prices: PriceList,
}

impl Market {
    /// The type of that name (`family.size`).
    pub fn by_name(&self, name: &str) -> Option<&compute::InstanceType> {
        self.types.iter().find(|kind| kind.name() == name)
    }

    /// The type of an instance.
    ///
    /// # Errors
    /// [`ProviderError::Other`] if it is not listed.
    pub fn type_of(
        &self,
        instance: &compute::Instance,
    ) -> Result<&compute::InstanceType, ProviderError> {
        let (id, kind) = (&instance.id, &instance.instance_type.id);
        self.types.iter().find(|one| one.id == *kind).ok_or_else(|| {
            ProviderError::Other(format!("instance {id} has a type that is not listed: {kind}"))
        })
    }

    /// What a node class can buy in the zone. A type whose price nobody knows is left out: it is
    /// not free, and not to be chosen silently.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] if a quantity of the node class makes no sense.
    pub fn catalog(
        &self,
        settings: &ExoscaleSettings,
        class: &ExoscaleNodeClassSpec,
        has_room: bool,
    ) -> Result<Catalog, ProviderError> {
        let mut types = Vec::new();
        for kind in &self.types {
            if !kind.authorized || !kind.zones.contains(&settings.zone) {
                continue;
            }
            let Some(disk) = disk_of(kind, class.disk_size) else { continue };
            let Some(price) = self.price(kind, disk) else { continue };
            let (capacity, overhead) = resources(kind, disk, class, settings)?;
            let offering = Offering {
                zone: settings.zone.as_str().into(),
                capacity_type: CapacityType::OnDemand,
                price,
                available: has_room && self.quota_allows(kind),
                reserved_count: None,
            };
            types.push(InstanceType {
                name: kind.name().into(),
                labels: labels(kind, &settings.zone),
                capacity,
                overhead,
                offerings: vec![offering],
            });
        }
        Ok(Catalog::new(types))
    }

    /// The names of the types that the organisation may use in the zone and that have no price.
    pub fn unpriced(&self, zone: &str) -> Vec<String> {
        let sold = self
            .types
            .iter()
            .filter(|kind| kind.authorized && kind.zones.iter().any(|sold_in| sold_in == zone));
        let unpriced = sold.filter(|kind| self.prices.instance(&kind.family, &kind.size).is_none());
        unpriced.map(compute::InstanceType::name).collect()
    }

    /// Machine and disk, per hour.
    fn price(&self, kind: &compute::InstanceType, disk_gib: i64) -> Option<Price> {
        let machine = self.prices.instance(&kind.family, &kind.size)?;
        let disk = self.prices.disk_per_gib(&kind.family)?;
        Some(machine + disk * u64::try_from(disk_gib).ok()?)
    }

    /// Whether the quotas have room for one more. A quota that is not listed is no limit.
    fn quota_allows(&self, kind: &compute::InstanceType) -> bool {
        let left = |resource: &str| {
            self.quotas.iter().find(|quota| quota.resource == resource).and_then(Quota::left)
        };
        let gpus = left(&kind.family).or_else(|| left("gpu"));
        let enough_gpus = kind.gpus == 0 || gpus.is_none_or(|left| left >= kind.gpus.into());
        left("instance") != Some(0) && enough_gpus
    }
}

/// The size in GiB of the disk that a type gets; `None` if it takes none so large. The smallest and
/// largest disks are those of Exoscale's price page; for what is not on it, the API's own.
pub fn disk_of(kind: &compute::InstanceType, asked_gib: i64) -> Option<i64> {
    let (least, most) = match (kind.family.as_str(), kind.size.as_str()) {
        ("storage", "extra-large") => (1_000, 2_000),
        ("storage", "huge") => (2_000, 3_000),
        ("storage", "mega") => (3_000, 5_000),
        ("storage", "titan") => (5_000, 10_000),
        ("storage", "jumbo") => (10_000, 15_000),
        ("standard", "micro") => (10, 200),
        ("standard", "tiny" | "small" | "medium" | "large") => (10, 400),
        ("standard", "extra-large" | "huge" | "mega") => (10, 800),
        ("standard", "titan" | "jumbo" | "colossus") => (10, 1_600),
        ("cpu" | "memory", "extra-large" | "huge" | "mega") => (10, 800),
        ("cpu" | "memory", "titan") => (100, 1_600),
        ("gpu" | "gpu2" | "gpu3", "small") => (100, 800),
        ("gpu" | "gpu2" | "gpu3", "medium") => (100, 1_200),
        ("gpu" | "gpu2" | "gpu3", "large" | "huge") => (100, 1_600),
        _ => (10, 51_200),
    };
    (asked_gib <= most).then(|| asked_gib.max(least))
}

/// What a machine has, and what of it pods cannot have.
///
/// # Errors
/// [`ProviderError::Refused`] if a quantity of the node class makes no sense.
pub fn resources(
    kind: &compute::InstanceType,
    disk_gib: i64,
    class: &ExoscaleNodeClassSpec,
    settings: &ExoscaleSettings,
) -> Result<(Resources, Resources), ProviderError> {
    let kubelet = class.kubelet.clone().unwrap_or_default();
    let memory = i64::try_from(kind.memory).unwrap_or(i64::MAX);
    let lost = memory / 1_000 * i64::from(settings.memory_overhead_permille);
    let mut capacity =
        Resources::new(MilliCpu(i64::from(kind.cpus) * 1_000), Bytes(memory.saturating_sub(lost)));
    capacity.pods = kubelet.max_pods.map_or(PODS, i64::from);
    capacity.ephemeral_storage = Bytes(disk_gib.saturating_mul(GIB));
    capacity.set_extended(GPU.into(), kind.gpus.into());
    let (kube, system) =
        (kubelet.kube_reserved.unwrap_or_default(), kubelet.system_reserved.unwrap_or_default());
    let cpu = milli("cpu", &kube.cpu)? + milli("cpu", &system.cpu)?;
    let memory = units("memory", &kube.memory)? + units("memory", &system.memory)?;
    let disk = units("ephemeralStorage", &kube.ephemeral_storage)?
        + units("ephemeralStorage", &system.ephemeral_storage)?;
    let mut overhead = Resources::new(MilliCpu(cpu), Bytes(memory + EVICTION_MEMORY));
    let kept = capacity.ephemeral_storage.0 / 100 * EVICTION_DISK_PERCENT;
    overhead.ephemeral_storage = Bytes(disk + kept);
    Ok((capacity, overhead))
}

fn milli(field: &str, text: &str) -> Result<i64, ProviderError> {
    Ok(quantity(field, text)?.milli())
}

fn units(field: &str, text: &str) -> Result<i64, ProviderError> {
    Ok(quantity(field, text)?.units())
}

fn quantity(field: &str, text: &str) -> Result<Quantity, ProviderError> {
    Quantity::parse(text).map_err(|error| {
        ProviderError::Refused(format!(
            "spec.kubelet reservation {field} of the node class: {error}"
        ))
    })
}

/// The labels that nodes of a type carry.
pub fn labels(kind: &compute::InstanceType, zone: &str) -> Requirements {
    let mut labels = Requirements::default();
    let mut set = |key: &str, value: &str| {
        labels.require(key.into(), &ValueSet::one(Name::from(value)));
    };
    set(well_known::INSTANCE_TYPE_LABEL, &kind.name());
    set(well_known::ARCH_LABEL, "amd64");
    set(well_known::OS_LABEL, "linux");
    // So the existing provider has it: the zone is the region too.
    set(well_known::REGION_LABEL, zone);
    set(EXOSCALE_FAMILY_LABEL, &kind.family);
    set(EXOSCALE_SIZE_LABEL, &kind.size);
    if kind.gpus > 0 {
        set(GPU_COUNT_LABEL, &kind.gpus.to_string());
        set(ACCELERATOR_LABEL, "nvidia");
    }
    labels
}
