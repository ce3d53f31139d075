//! A pod's requests must fit into what is free.

use crate::model::{NodeState, Resources};

use super::gpu_shares;

/// Whether a request fits into what is free; what is not asked for is not looked at.
pub fn check(requests: &Resources, free: &Resources) -> bool {
    first_short(requests, free).is_none()
}

/// Whether a request fits beside what is on a node, shares of its GPUs each on one device.
pub fn fits_on(requests: &Resources, state: &NodeState) -> bool {
    let free = state.free();
    let ask = gpu_shares::Ask::of(requests);
    let devices_matter = !ask.is_nothing()
        && (gpu_shares::are_shared(requests) || gpu_shares::are_shared(&state.used));
    check(requests, &free)
        && (!devices_matter
            || gpu_shares::check(gpu_shares::total(&free), &gpu_shares::shares_on(state), ask))
}

/// The first resource of which more is asked for than there is; of GPUs thousandths are counted.
pub fn first_short<'a>(requests: &'a Resources, free: &Resources) -> Option<&'a str> {
    const SHARES: &str = gpu_shares::RESOURCE;
    let short = requests.exceeding(free).find(|name| *name != SHARES);
    // On which devices others are is not known here.
    let has_shares = || {
        requests.extended_amount(SHARES) == 0
            || gpu_shares::total(requests) <= gpu_shares::total(free)
    };
    short.or_else(|| (!has_shares()).then_some(SHARES))
}

/// Which resource is short, how much is asked for and how much there is.
pub fn explain(requests: &Resources, free: &Resources) -> Option<String> {
    let name = first_short(requests, free)?;
    let has = available(free, name);
    let wanted = amount(requests, name);
    Some(format!("{} free, the pod asks for {}", quantity(name, has), quantity(name, wanted)))
}

/// The amount of a resource, by its Kubernetes name, in the model's unit.
pub fn amount(resources: &Resources, name: &str) -> i64 {
    match name {
        "cpu" => resources.cpu.0,
        "memory" => resources.memory.0,
        "ephemeral-storage" => resources.ephemeral_storage.0,
        "pods" => resources.pods,
        other => resources.extended_amount(other),
    }
}

/// How much of a resource there is for somebody who asks for it by that name: whole GPUs have
/// thousandths too.
pub fn available(free: &Resources, name: &str) -> i64 {
    match name {
        gpu_shares::RESOURCE => gpu_shares::total(free),
        name => amount(free, name),
    }
}

/// An amount with its unit, for people.
pub fn quantity(name: &str, amount: i64) -> String {
    match name {
        "cpu" => format!("cpu {amount}m"),
        "memory" | "ephemeral-storage" => format!("{name} {}Mi", amount >> 20),
        other => format!("{other} {amount}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bytes, MilliCpu, Name};

    #[test]
    fn names_the_short_resource_with_both_amounts() {
        let mut free = Resources::new(MilliCpu(64_000), Bytes::from_mebibytes(1_024));
        free.pods = 10;
        let mut asked = Resources::new(MilliCpu(100_000), Bytes::from_mebibytes(1));
        assert!(!check(&asked, &free));
        assert_eq!(
            explain(&asked, &free).as_deref(),
            Some("cpu 64000m free, the pod asks for cpu 100000m")
        );
        asked.cpu = MilliCpu(64_000);
        assert!(check(&asked, &free));
        assert_eq!(explain(&asked, &free), None);
        asked.set_extended(Name::from("nvidia.com/gpu"), 1);
        assert_eq!(
            explain(&asked, &free).as_deref(),
            Some("nvidia.com/gpu 0 free, the pod asks for nvidia.com/gpu 1")
        );
    }

    #[test]
    fn on_a_node_shares_of_gpus_are_beside_those_that_are_there() {
        use crate::testing::{bound, cluster, node, pod, shape};
        let with = |name: &str, amount| shape(1, 1).resource(name, amount).build();
        let mut machine = node("n", 4_000, 4_000);
        machine.allocatable.set_extended("nvidia.com/gpu".into(), 2);
        let old = bound(pod("old", &with("gpu-milli", 600)), "n");
        let snapshot = cluster().node(machine).pod(old).snapshot();
        for (name, amount, fits) in [
            ("gpu-milli", 1_000, true),
            ("gpu-milli", 1_400, true),
            ("gpu-milli", 1_500, false),
            ("nvidia.com/gpu", 1, true),
            ("nvidia.com/gpu", 2, false),
        ] {
            let requests = &with(name, amount).requests;
            assert_eq!(fits_on(requests, &snapshot.nodes["n"]), fits, "{name} {amount}");
        }
    }

    #[test]
    fn amounts_at_the_edge_of_the_range_neither_fit_nor_overflow() {
        let huge = Resources::new(MilliCpu(i64::MAX), Bytes(i64::MAX));
        assert!(!check(&huge, &Resources::default()));
        assert!(check(&Resources::new(MilliCpu(-1), Bytes(-1)), &Resources::default()));
    }
}
