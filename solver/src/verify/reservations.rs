//! No more reserved machines are launched than there are.

use std::collections::BTreeMap;

use crate::model::{CapacityType, Name, Plan, Snapshot, well_known};

use super::{Code, Findings};

pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    let mut wanted: BTreeMap<(&Name, &Name), (usize, usize)> = BTreeMap::new();
    for launch in plan.launches.iter().filter(|one| one.capacity_type == CapacityType::Reserved) {
        let Some(count) = count_of(snapshot, &launch.pool, &launch.instance_type, &launch.zone)
        else {
            continue;
        };
        let entry = wanted.entry((&launch.instance_type, &launch.zone)).or_insert((0, count));
        *entry = (entry.0 + 1, entry.1.min(count));
    }
    for ((instance_type, zone), (launches, count)) in wanted {
        let used = used(snapshot, instance_type, zone);
        if used + launches > count {
            findings.add(
                Code::ReservationExceeded,
                format!(
                    "{launches} reserved machines of {instance_type} in {zone} are launched: {used} \
                     of {count} are in use"
                ),
            );
        }
    }
}

fn count_of(snapshot: &Snapshot, pool: &Name, instance_type: &Name, zone: &Name) -> Option<usize> {
    let kind = snapshot.catalogs.get(pool)?.get(instance_type)?;
    let reserved = kind
        .offerings
        .iter()
        .find(|one| one.zone == *zone && one.capacity_type == CapacityType::Reserved)?;
    reserved.reserved_count.map(|count| count as usize)
}

fn used(snapshot: &Snapshot, instance_type: &Name, zone: &Name) -> usize {
    let claims = snapshot.claims.values().filter(|claim| {
        claim.capacity_type() == Some(CapacityType::Reserved)
            && claim.instance_type() == Some(instance_type)
            && claim.zone() == Some(zone)
    });
    let has = |labels: &crate::model::Labels, key: &str, value: &str| {
        labels.get(key).is_some_and(|own| *own == *value)
    };
    let strays = snapshot.nodes.values().filter(|state| {
        let labels = &state.node.labels;
        has(labels, well_known::CAPACITY_TYPE_LABEL, CapacityType::Reserved.as_str())
            && has(labels, well_known::INSTANCE_TYPE_LABEL, instance_type)
            && has(labels, well_known::ZONE_LABEL, zone)
            && snapshot.claim_of_node(&state.node).is_none()
    });
    claims.count() + strays.count()
}

#[cfg(test)]
mod tests {
    use crate::model::{CapacityType, Catalog};
    use crate::testing::{
        claim, cluster, instance_type, launch, offering, place_on_claim, pod, pool, shape,
    };
    use crate::verify::Code;
    use crate::verify::testing::{codes, plan_of};

    #[test]
    fn machines_in_use_and_launches_are_no_more_than_there_are() {
        let general = pool("general");
        let found = |count: Option<u32>, in_use: usize| {
            let mut reserved = offering("z", CapacityType::Reserved, 0.0);
            reserved.reserved_count = count;
            let kind = instance_type("m1", 4_000, 4_000, vec![reserved.clone()]);
            let pods = [pod("a", &shape(1, 1).build()), pod("b", &shape(1, 1).build())];
            let mut cluster = cluster()
                .pool(general.clone(), Catalog::new(vec![kind.clone()]))
                .pods(pods.clone());
            for index in 0..in_use {
                cluster = cluster.claim(claim(&format!("old-{index}"), &general, &kind));
            }
            let launches = ["new-0", "new-1"].map(|name| {
                let mut one = launch(name, &general, &kind, &reserved);
                one.requests = pods[0].shape.requests.clone();
                one
            });
            let placements =
                vec![place_on_claim(&pods[0], "new-0"), place_on_claim(&pods[1], "new-1")];
            codes(&cluster.snapshot(), &plan_of(launches.to_vec(), placements))
        };
        assert_eq!(found(Some(2), 0), []);
        assert_eq!(found(Some(2), 1), [Code::ReservationExceeded]);
        assert_eq!(found(Some(3), 1), []);
        assert_eq!(found(None, 9), []);
    }
}
