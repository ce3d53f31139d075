//! The pools' limits hold with everything that is there and all launches of the plan.

use std::collections::BTreeSet;

use crate::model::{Name, NodeClaim, Plan, Price, Resources, Snapshot};

use super::{Code, Findings};

pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    let pools: BTreeSet<&Name> = plan.launches.iter().map(|launch| &launch.pool).collect();
    for pool in pools.into_iter().filter_map(|name| snapshot.pools.get(name)) {
        let mut capacity = Resources::default();
        let mut price = Price::ZERO;
        let mut nodes = 0;
        let claims = snapshot
            .claims
            .values()
            .filter(|claim| claim.pool() == Some(&pool.name) && claim.deleted.is_none());
        for claim in claims {
            capacity += &capacity_of(snapshot, claim);
            price += claim.price.unwrap_or_else(|| listed_price(snapshot, claim));
            nodes += 1;
        }
        for launch in plan.launches.iter().filter(|launch| launch.pool == pool.name) {
            capacity += &launch.capacity;
            price += launch.price;
            nodes += 1;
        }
        if let Some(limit) = pool.limits.first_exceeded(&capacity, nodes, price) {
            findings.add(
                Code::PoolLimit,
                format!("NodePool {} would exceed its limit of {limit}", pool.name),
            );
        }
    }
}

fn capacity_of(snapshot: &Snapshot, claim: &NodeClaim) -> Resources {
    let of_type = || {
        let catalog = snapshot.catalogs.get(claim.pool()?)?;
        Some(catalog.get(claim.instance_type()?)?.capacity.clone())
    };
    let of_node = || Some(snapshot.node_of_claim(claim)?.node.capacity.clone());
    claim.capacity.clone().or_else(of_type).or_else(of_node).unwrap_or_default()
}

fn listed_price(snapshot: &Snapshot, claim: &NodeClaim) -> Price {
    let price = || {
        let catalog = snapshot.catalogs.get(claim.pool()?)?;
        catalog.price(claim.instance_type()?, claim.zone()?, claim.capacity_type()?)
    };
    price().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::model::{Limits, NodeClaim, NodePool, Timestamp};
    use crate::testing::{claim, cluster, exoscale_catalog, pod, pool, price, shape, type_of};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_one_launch};

    #[test]
    fn limits_count_what_is_there_and_what_is_launched() {
        let catalog = exoscale_catalog(&["z"]);
        let kind = type_of(&catalog, "standard.small");
        let one = pod("one", &shape(100, 100).build());
        let found = |limits: Limits, claims: usize| {
            let limited = NodePool { limits, ..pool("general") };
            let cluster = cluster().pool(limited.clone(), catalog.clone()).pod(one.clone());
            let cluster = (0..claims).fold(cluster, |cluster, index| {
                cluster.claim(claim(&format!("old-{index}"), &limited, kind))
            });
            let going =
                NodeClaim { deleted: Some(Timestamp::default()), ..claim("going", &limited, kind) };
            let plan = on_one_launch(&limited, &catalog, "standard.small", &[&one]);
            codes(&cluster.claim(going).snapshot(), &plan)
        };
        let cpu = |milli| Limits { cpu: Some(milli), ..Limits::default() };
        assert_eq!(found(cpu(6_000), 2), []);
        assert_eq!(found(cpu(5_999), 2), [Code::PoolLimit]);
        let nodes = |count| Limits { nodes: Some(count), ..Limits::default() };
        assert_eq!(found(nodes(1), 0), []);
        assert_eq!(found(nodes(1), 1), [Code::PoolLimit]);
        let cost = |most| Limits { price: Some(price(most)), ..Limits::default() };
        assert_eq!(found(cost(0.06066), 1), []);
        assert_eq!(found(cost(0.06065), 1), [Code::PoolLimit]);
    }
}
