use crate::model::{
    Bytes, CapacityType, Catalog, InstanceType, MilliCpu, Offering, Price, Requirements, Resources,
    ValueSet, well_known,
};

/// A price per hour.
pub fn price(per_hour: f64) -> Price {
    Price::per_hour(per_hour).expect("a price")
}

/// An offering that is available.
pub fn offering(zone: &str, capacity_type: CapacityType, per_hour: f64) -> Offering {
    Offering {
        zone: zone.into(),
        capacity_type,
        price: price(per_hour),
        available: true,
        reserved_count: None,
    }
}

/// An amd64 Linux type with room for 110 pods and no overhead.
pub fn instance_type(
    name: &str,
    cpu_milli: i64,
    memory_mebibytes: i64,
    offerings: Vec<Offering>,
) -> InstanceType {
    let mut capacity = Resources::new(MilliCpu(cpu_milli), Bytes::from_mebibytes(memory_mebibytes));
    capacity.pods = 110;
    capacity.ephemeral_storage = Bytes::from_mebibytes(50 << 10);
    let labels: Requirements = [
        (well_known::INSTANCE_TYPE_LABEL, name),
        (well_known::ARCH_LABEL, "amd64"),
        (well_known::OS_LABEL, "linux"),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), ValueSet::one(value.into())))
    .collect();
    InstanceType { name: name.into(), labels, capacity, overhead: Resources::default(), offerings }
}

/// The type of that name; panics if there is none.
pub fn type_of<'a>(catalog: &'a Catalog, name: &str) -> &'a InstanceType {
    catalog.get(name).expect("a type of the catalog")
}

/// Nine types in Exoscale's sizes and proportions of price, on demand in each of the zones, at
/// the same price everywhere. Kubelet and system keep 300m CPU and 400 MiB.
pub fn exoscale_catalog(zones: &[&str]) -> Catalog {
    let table = [
        ("standard.small", 2, 2, 0.03033),
        ("standard.medium", 2, 4, 0.05366),
        ("standard.large", 4, 8, 0.10033),
        ("standard.extra-large", 4, 16, 0.19367),
        ("standard.huge", 8, 32, 0.38034),
        ("cpu.extra-large", 8, 16, 0.24033),
        ("memory.extra-large", 2, 16, 0.147),
        ("memory.huge", 4, 32, 0.287),
        ("gpu3.small", 12, 56, 1.0523),
    ];
    let types = table.into_iter().map(|(name, cpus, gibibytes, per_hour)| {
        let offerings =
            zones.iter().map(|zone| offering(zone, CapacityType::OnDemand, per_hour)).collect();
        let mut kind = instance_type(name, cpus * 1_000, gibibytes << 10, offerings);
        kind.overhead = Resources::new(MilliCpu(300), Bytes::from_mebibytes(400));
        if name.starts_with("gpu") {
            kind.capacity.set_extended("nvidia.com/gpu".into(), 1);
        }
        kind
    });
    Catalog::new(types.collect())
}

/// Twelve types, amd64 and arm64, in the zones `zone-a`, `zone-b` and `zone-c`, on demand and
/// spot, at prices that differ by zone. No overhead.
pub fn mixed_catalog() -> Catalog {
    let mut types = Vec::new();
    for (arch, factor) in [("amd64", 1.0), ("arm64", 0.8)] {
        for (family, gibibytes_a_cpu, per_cpu) in [("c", 2, 0.04), ("m", 4, 0.05)] {
            for cpus in [2, 4, 8] {
                let base = f64::from(cpus) * per_cpu * factor;
                let offerings = [("zone-a", 1.0), ("zone-b", 1.02), ("zone-c", 1.1)]
                    .into_iter()
                    .flat_map(|(zone, dearer)| {
                        [
                            offering(zone, CapacityType::OnDemand, base * dearer),
                            offering(zone, CapacityType::Spot, base * dearer * 0.4),
                        ]
                    })
                    .collect();
                let name = format!("{family}{cpus}.{arch}");
                let cpus = i64::from(cpus);
                let memory = (cpus * gibibytes_a_cpu) << 10;
                let mut kind = instance_type(&name, cpus * 1_000, memory, offerings);
                kind.labels = kind
                    .labels
                    .iter()
                    .map(|(key, set)| {
                        let is_arch = *key == well_known::ARCH_LABEL;
                        (
                            key.clone(),
                            if is_arch { ValueSet::one(arch.into()) } else { set.clone() },
                        )
                    })
                    .collect();
                types.push(kind);
            }
        }
    }
    Catalog::new(types)
}

/// The 400 types of Karpenter's own scheduling benchmark: 1 to 400 CPUs with 2 GiB and 10 pods
/// each, at one price a CPU and a byte in all zones, spot in two of three. Named by their CPUs.
pub fn karpenter_catalog() -> Catalog {
    let types = (1..=400_i64).map(|cpus| {
        let gibibytes = 2 * cpus;
        let per_hour =
            0.1 * cpus as f64 + 0.1 * Bytes::from_mebibytes(gibibytes << 10).0 as f64 / 1e9;
        let on_demand = ["test-zone-1", "test-zone-2", "test-zone-3"]
            .map(|zone| offering(zone, CapacityType::OnDemand, per_hour));
        let spot =
            ["test-zone-1", "test-zone-2"].map(|zone| offering(zone, CapacityType::Spot, per_hour));
        let name = format!("fake-it-{cpus:03}");
        let offerings = spot.into_iter().chain(on_demand).collect();
        let mut kind = instance_type(&name, cpus * 1_000, gibibytes << 10, offerings);
        kind.capacity.pods = 10 * cpus;
        kind.overhead = Resources::new(MilliCpu(100), Bytes::from_mebibytes(10));
        kind
    });
    Catalog::new(types.collect())
}
