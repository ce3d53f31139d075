//! Reserved capacity: of an offering that is reserved there are only so many machines, whatever
//! pools launch them.

use std::collections::BTreeMap;

use crate::model::{CapacityType, Name, Snapshot};

/// An instance type in a zone: what a reservation is for.
pub type Key = (Name, Name);

/// How many machines of which reservations are in use: those of claims, and of nodes without one.
pub fn used(snapshot: &Snapshot) -> BTreeMap<Key, u32> {
    let mut used = BTreeMap::new();
    let mut add = |instance_type: Option<&Name>, zone: Option<&Name>| {
        if let (Some(instance_type), Some(zone)) = (instance_type, zone) {
            let count: &mut u32 = used.entry((instance_type.clone(), zone.clone())).or_default();
            *count = count.saturating_add(1);
        }
    };
    let reserved =
        |capacity_type: Option<CapacityType>| capacity_type == Some(CapacityType::Reserved);
    for claim in snapshot.claims.values().filter(|claim| reserved(claim.capacity_type())) {
        add(claim.instance_type(), claim.zone());
    }
    for state in snapshot.nodes.values() {
        let node = &state.node;
        let label = |key| node.label(key);
        let bought = label(crate::model::well_known::CAPACITY_TYPE_LABEL);
        if reserved(bought.and_then(|text| text.parse().ok()))
            && snapshot.claim_of_node(node).is_none()
        {
            add(
                label(crate::model::well_known::INSTANCE_TYPE_LABEL),
                label(crate::model::well_known::ZONE_LABEL),
            );
        }
    }
    used
}

/// Whether one more machine is left of a reservation of `count` machines of which `used` are in
/// use.
pub fn check(count: u32, used: u32) -> bool {
    used < count
}

/// Why there is none.
pub fn explain(key: &Key, count: u32, used: u32) -> Option<String> {
    (!check(count, used)).then(|| {
        let (instance_type, zone) = key;
        format!("all {count} reserved machines of {instance_type} in {zone} are in use")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::well_known;
    use crate::testing::{claim, cluster, exoscale_catalog, node, pool, type_of};

    #[test]
    fn claims_and_nodes_without_one_use_reservations_up() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let reserved = |name: &str| {
            let mut claim = claim(name, &general, type_of(&catalog, "standard.small"));
            let key = Name::from(well_known::CAPACITY_TYPE_LABEL);
            claim.labels = claim.labels.with([(key, "reserved".into())]);
            claim
        };
        let mut alone = node("alone", 1, 1);
        alone.labels = alone.labels.with([
            (well_known::CAPACITY_TYPE_LABEL.into(), "reserved".into()),
            (well_known::INSTANCE_TYPE_LABEL.into(), "standard.small".into()),
            (well_known::ZONE_LABEL.into(), "z".into()),
        ]);
        let snapshot = cluster()
            .pool(general.clone(), catalog.clone())
            .claim(reserved("general-1"))
            .claim(claim("general-2", &general, type_of(&catalog, "standard.small")))
            .node(alone)
            .snapshot();
        let key: Key = ("standard.small".into(), "z".into());
        assert_eq!(used(&snapshot), BTreeMap::from([(key.clone(), 2)]));
        assert!(check(3, 2) && !check(2, 2));
        assert_eq!(explain(&key, 3, 2), None);
        assert_eq!(
            explain(&key, 2, 2).as_deref(),
            Some("all 2 reserved machines of standard.small in z are in use")
        );
    }
}
