use crate::constraints::resources;
use crate::model::{
    Catalog, InstanceType, Labels, Launch, Name, NodeClaim, NodePool, Offering, Resources,
    well_known,
};

use super::effect::{LaunchRequest, NewClaim};

/// The NodeClaim that carries out a planned launch. `planned` are the UIDs of the pods that the
/// plan places on it; `hash_version` names the way in which [`NodePool::hash`] was made.
pub fn new_claim(
    launch: &Launch,
    pool: &NodePool,
    planned: impl IntoIterator<Item = Name>,
    hash_version: &str,
) -> NewClaim {
    let mut planned_pods: Vec<Name> = planned.into_iter().collect();
    planned_pods.sort_unstable();
    planned_pods.dedup();
    let listed = planned_pods.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
    let relaxed = launch
        .min_values_relaxed
        .then(|| (Name::from(well_known::MIN_VALUES_RELAXED_ANNOTATION), Name::from("true")));
    let annotations = pool.annotations.with(relaxed).with([
        (well_known::NODEPOOL_HASH_ANNOTATION.into(), pool.hash.clone()),
        (well_known::NODEPOOL_HASH_VERSION_ANNOTATION.into(), hash_version.into()),
        (well_known::PLANNED_PODS_ANNOTATION.into(), listed.into()),
        (well_known::PRICE_ANNOTATION.into(), format!("{:.9}", launch.price).into()),
        (well_known::REASON_ANNOTATION.into(), launch.reason.as_str().into()),
    ]);
    let labels =
        launch.labels.with([(Name::from(well_known::NODEPOOL_LABEL), launch.pool.clone())]);
    NewClaim {
        name: launch.name.clone(),
        pool: pool.name.clone(),
        pool_uid: pool.uid.clone(),
        labels,
        annotations,
        requirements: launch.requirements.clone(),
        requests: launch.requests.clone(),
        taints: launch.taints.clone(),
        startup_taints: pool.startup_taints.clone(),
        node_class: pool.node_class.clone(),
        expire_after: pool.expire_after,
        termination_grace_period: pool.termination_grace_period,
        planned_pods: planned_pods.into_boxed_slice(),
        price: launch.price,
    }
}

/// What to ask the cloud for: the claim's own choice, or, where it leaves one (a claim made by
/// hand), the cheapest offering that is available, meets its requirements and holds its requests.
/// `None` if there is none.
pub fn launch_request(claim: &NodeClaim, catalog: &Catalog) -> Option<LaunchRequest> {
    let (instance_type, offering) = catalog
        .instance_types
        .iter()
        .filter(|candidate| resources::check(&claim.requests, &candidate.allocatable()))
        .flat_map(|candidate| candidate.offerings.iter().map(move |offering| (candidate, offering)))
        .filter(|(candidate, offering)| allows(claim, candidate, offering))
        .min_by_key(|(candidate, offering)| {
            (offering.price, &candidate.name, &offering.zone, offering.capacity_type)
        })?;
    let own = instance_type
        .labels
        .iter()
        .filter_map(|(key, set)| Some((key.clone(), set.single()?.clone())));
    let labels: Labels = own
        .chain(claim.node_labels().iter().cloned())
        .chain([
            (well_known::INSTANCE_TYPE_LABEL.into(), instance_type.name.clone()),
            (well_known::ZONE_LABEL.into(), offering.zone.clone()),
            (well_known::CAPACITY_TYPE_LABEL.into(), offering.capacity_type.as_str().into()),
        ])
        .collect();
    Some(LaunchRequest {
        claim: claim.into(),
        pool: claim.pool().cloned().unwrap_or_default(),
        instance_type: instance_type.name.clone(),
        zone: offering.zone.clone(),
        capacity_type: offering.capacity_type,
        price: offering.price,
        capacity: instance_type.capacity.clone(),
        allocatable: instance_type.allocatable(),
        labels,
        taints: claim.taints.clone(),
        startup_taints: claim.startup_taints.clone(),
    })
}

/// What a claim's machine has: as recorded at its launch, or as the catalog says of the type
/// chosen for it; nothing if neither is known.
pub fn node_capacity(claim: &NodeClaim, catalog: Option<&Catalog>) -> Resources {
    claim
        .capacity
        .clone()
        .or_else(|| Some(catalog?.get(claim.instance_type()?)?.capacity.clone()))
        .unwrap_or_default()
}

fn allows(claim: &NodeClaim, instance_type: &InstanceType, offering: &Offering) -> bool {
    let meets = |key: &str, value: &str| {
        claim.requirements.get(key).is_none_or(|set| set.allows(Some(value)))
            && claim.labels.get(key).is_none_or(|label| label == value)
    };
    let labels_meet = instance_type.labels.iter().all(|(key, has)| {
        claim.requirements.get(key).is_none_or(|wanted| !wanted.intersection(has).is_empty())
    });
    offering.available
        && meets(well_known::INSTANCE_TYPE_LABEL, &instance_type.name)
        && meets(well_known::ZONE_LABEL, &offering.zone)
        && meets(well_known::CAPACITY_TYPE_LABEL, offering.capacity_type.as_str())
        && labels_meet
}
