//! Pods that a claim is going to bring to this cluster, and what the cluster would have to add for
//! them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use berth_solver::model::{Change, Pod, Snapshot, Timestamp};
use berth_solver::packing;
use berth_solver::planning;
use serde_json::json;

use super::claim::Claim;
use super::money::Monthly;
use crate::api::SizeMapping;
use crate::watch::{Interner, objects, reduce};

/// The label that CloudNativePG puts on a database's pods, with the name of its Cluster.
pub const CLUSTER_LABEL: &str = "cnpg.io/cluster";
/// How long one plan may take.
const PLAN_BUDGET: Duration = Duration::from_millis(200);

/// The pods of a PostgreSQL claim on this cluster, as its operator will make them, pending.
///
/// # Errors
/// If the provider's size makes no sense.
pub fn pods(
    claim: &Claim,
    size: &SizeMapping,
    external_name: &str,
    created: Timestamp,
    interner: &Interner,
) -> Result<Vec<Pod>, String> {
    let quantity = |amount: &Option<crate::api::Quantity>| {
        amount.as_ref().map(|quantity| quantity.0.clone()).unwrap_or_default()
    };
    let requests = json!({ "cpu": quantity(&size.cpu), "memory": quantity(&size.memory) });
    let instances = size.instances.unwrap_or(1);
    (1..=instances)
        .map(|instance| {
            let name = format!("{external_name}-{instance}");
            let object: objects::Pod = objects::decode(json!({
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": claim.namespace,
                    "uid": format!("claim/{external_name}/{instance}"),
                    "labels": { CLUSTER_LABEL: external_name },
                },
                "spec": { "containers": [{
                    "name": "postgres",
                    "resources": { "requests": requests, "limits": requests },
                }] },
                "status": { "phase": "Pending", "conditions": [{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                }] },
            }))
            .map_err(|error| error.to_string())?;
            let pod = Pod { created, ..reduce::pod(&object, interner) };
            match &pod.defect {
                Some(defect) => Err(format!("its size {}: {defect}", size.size)),
                None => Ok(pod),
            }
        })
        .collect()
}

/// A cluster with these pods pending besides.
#[must_use]
pub fn with(snapshot: &Snapshot, pods: &[Pod]) -> Snapshot {
    let new = pods.iter().filter(|pod| !snapshot.pods.contains_key(&pod.key));
    snapshot.imagine(new.cloned().map(Change::Applied))
}

/// A cluster without the pods of a database.
#[must_use]
pub fn without(snapshot: &Snapshot, namespace: &str, database: &str) -> Snapshot {
    let is_of_it = |pod: &Pod| {
        &*pod.key.namespace == namespace
            && pod.shape.labels.get(CLUSTER_LABEL).is_some_and(|name| &**name == database)
    };
    let pods = snapshot.pods.values().filter(|pod| is_of_it(pod));
    snapshot.imagine(pods.map(|pod| Change::Deleted(pod.key.clone())))
}

/// A cluster with the pods that claims are going to bring: those of databases of which no pod is
/// there yet. As soon as one is, their operator is at work, and its pods speak for themselves.
#[must_use]
pub fn overlay(snapshot: &Snapshot, expected: &[Pod]) -> Snapshot {
    let database = |pod: &Pod| {
        let name = pod.shape.labels.get(CLUSTER_LABEL)?.clone();
        Some((pod.key.namespace.clone(), name))
    };
    let there: BTreeSet<_> = snapshot.pods.values().filter_map(|pod| database(pod)).collect();
    let is_to_come = |pod: &&Pod| database(pod).is_none_or(|database| !there.contains(&database));
    let pods: Vec<Pod> = expected.iter().filter(is_to_come).cloned().collect();
    with(snapshot, &pods)
}

/// What the cluster would have to add for these pods: the price of the plan with them less that of
/// the plan without them. Nothing where there is room.
///
/// # Errors
/// Why the pods would find no place, or why there is no plan.
pub fn price(
    snapshot: &Snapshot,
    pods: &[Pod],
    settings: &packing::Settings,
    now: Timestamp,
    seed: u64,
) -> Result<Monthly, String> {
    if snapshot.pools.keys().any(|pool| !snapshot.catalogs.contains_key(pool)) {
        return Err("it is not known yet what the cluster's nodes cost".to_owned());
    }
    let plan = |snapshot: &Snapshot| {
        let started = Instant::now();
        let spent = packing::Budget(|| started.elapsed().as_secs_f64() / PLAN_BUDGET.as_secs_f64());
        let planned = planning::plan(snapshot, settings, now, seed, &spent);
        planned.plan.ok_or_else(|| "no plan passed the checker".to_owned())
    };
    let with = plan(&with(snapshot, pods))?;
    for pod in pods {
        if let Some(left) = with.unschedulable.iter().find(|left| left.uid == pod.uid) {
            return Err(format!("the cluster has no place for its pods: {}", left.reason));
        }
    }
    let without = plan(snapshot)?;
    Ok(Monthly::of_hourly(with.price.saturating_sub(without.price)))
}

#[cfg(test)]
mod tests {
    use berth_solver::model::{Change, ClusterEvent, ClusterState};

    use super::*;
    use crate::claims::testing::{claim, provider};
    use crate::manifests;

    #[test]
    fn a_database_that_is_taken_away_leaves_its_room_and_nothing_else_changes() {
        let interner = Interner::new();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/claims/cluster.yaml");
        let read = manifests::read(&[file.into()], &interner).unwrap();
        let mut cluster: ClusterState = read.cluster;
        let claim = claim(&json!({ "parameters": { "size": "small" } }));
        let mut size = provider("kubernetes", "0").sizes.remove(0);
        (size.cpu, size.memory, size.instances) = (Some("1".into()), Some("2Gi".into()), Some(2));
        let place = |cluster: &mut ClusterState, database: &str| {
            for pod in pods(&claim, &size, database, Timestamp::default(), &interner).unwrap() {
                let pod = Pod { node: Some("roomy".into()), ..pod };
                cluster.apply(ClusterEvent::Pod(Change::Applied(pod)));
            }
        };
        place(&mut cluster, "other");
        let before = cluster.snapshot();
        place(&mut cluster, "mine");
        let both = cluster.snapshot();
        assert_eq!((before.pods.len(), both.pods.len()), (2, 4));
        let left = without(&both, "team-a", "mine");
        assert_eq!((&left.pods, &left.unbound), (&before.pods, &before.unbound));
        assert_eq!(left.nodes, before.nodes);
        assert_eq!(without(&both, "team-b", "mine").pods, both.pods, "another's of that name");
    }
}
