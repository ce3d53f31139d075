//! `minValues`: what goes on a launch would fit on, and be allowed on, machines with so many values
//! of the label. Not where the plan says that it had to give the rule up.

use std::collections::BTreeSet;

use crate::model::{
    InstanceType, Labels, Launch, Name, NodePool, Offering, Snapshot, ValueSet, well_known,
};

use super::picture::{Host, selects};
use super::{Code, Findings, Picture, devices};

pub(super) fn check(snapshot: &Snapshot, picture: &Picture<'_>, findings: &mut Findings) {
    for host in &picture.hosts {
        let Some(launch) = host.launch.filter(|launch| !launch.min_values_relaxed) else {
            continue;
        };
        let Some(pool) = snapshot.pools.get(&launch.pool) else { continue };
        for (key, wanted) in &pool.min_values {
            let possible = possible(snapshot, picture, pool, host, launch, key);
            if possible.len() < *wanted as usize {
                findings.add(
                    Code::MinValues,
                    format!(
                        "launch {}: minValues of {key} is {wanted}, and its pods would fit with \
                         {} only",
                        launch.name,
                        possible.len()
                    ),
                );
            }
        }
    }
}

/// The values of a label with which all that goes on a launch would fit.
fn possible(
    snapshot: &Snapshot,
    picture: &Picture<'_>,
    pool: &NodePool,
    host: &Host<'_>,
    launch: &Launch,
    key: &Name,
) -> BTreeSet<Name> {
    let asked = devices::without_shares(&(&host.taken + &host.planned));
    let mut possible = BTreeSet::new();
    let Some(catalog) = snapshot.catalogs.get(&pool.name) else { return possible };
    for kind in catalog.instance_types.iter().filter(|kind| asked.fits(&kind.allocatable())) {
        for offering in kind.offerings.iter().filter(|offering| offering.available) {
            let labels = instead(&launch.labels, kind, offering);
            let allowed = pool.requirements.iter().all(|(key, set)| {
                let own = kind.labels.get(key);
                own.map_or_else(
                    || labels.get(key).is_none_or(|value| set.allows(Some(value))),
                    |own| !own.intersection(set).is_empty(),
                )
            });
            let welcome = || host.pods.iter().all(|(id, _)| selects(picture.shapes[*id], &labels));
            if allowed && welcome() {
                possible.extend(values(key, kind, offering));
            }
        }
    }
    possible
}

/// The labels of a launch, were it of that type and offering.
fn instead(labels: &Labels, kind: &InstanceType, offering: &Offering) -> Labels {
    let of_type =
        kind.labels.iter().filter_map(|(key, set)| Some((key.clone(), set.single()?.clone())));
    labels.with(of_type.chain([
        (well_known::INSTANCE_TYPE_LABEL.into(), kind.name.clone()),
        (well_known::ZONE_LABEL.into(), offering.zone.clone()),
        (well_known::CAPACITY_TYPE_LABEL.into(), offering.capacity_type.as_str().into()),
    ]))
}

fn values(key: &str, kind: &InstanceType, offering: &Offering) -> Vec<Name> {
    match key {
        well_known::INSTANCE_TYPE_LABEL => vec![kind.name.clone()],
        well_known::ZONE_LABEL => vec![offering.zone.clone()],
        well_known::CAPACITY_TYPE_LABEL => vec![offering.capacity_type.as_str().into()],
        key => {
            let listed = kind.labels.get(key).and_then(ValueSet::listed);
            listed.into_iter().flatten().cloned().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::well_known;
    use crate::testing::{cluster, exoscale_catalog, pod, pool, shape};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_one_launch};

    #[test]
    fn so_many_values_must_remain_for_the_same_pods() {
        // Of nine types, two have 8 CPU and one has 12.
        let big = pod("big", &shape(7_000, 8_000).build());
        let picky =
            pod("picky", &shape(100, 100).node_selector(well_known::ZONE_LABEL, "y").build());
        let found = |key: &str, wanted: u32, pod: &crate::model::Pod, relaxed: bool| {
            let mut general = pool("general");
            general.min_values = Box::from([(key.into(), wanted)]);
            let catalog = exoscale_catalog(&["z", "y"]);
            let mut plan = on_one_launch(&general, &catalog, "standard.huge", &[pod]);
            plan.launches[0].min_values_relaxed = relaxed;
            codes(&cluster().pool(general, catalog).pod(pod.clone()).snapshot(), &plan)
        };
        let kinds = well_known::INSTANCE_TYPE_LABEL;
        assert_eq!(found(kinds, 3, &big, false), []);
        assert_eq!(found(kinds, 4, &big, false), [Code::MinValues]);
        assert_eq!(found(kinds, 4, &big, true), []);
        assert_eq!(found(well_known::ZONE_LABEL, 2, &big, false), []);
        assert_eq!(found(well_known::ZONE_LABEL, 2, &picky, false), [Code::MinValues]);
    }
}
