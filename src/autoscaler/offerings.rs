//! What each NodePool's cloud sells: fetched, cleared of what the cloud has just run out of, and
//! handed to the cache.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::lifecycle::LaunchRequest;
use berth_solver::model::{CapacityType, Catalog, Change, ClusterEvent, Name, Snapshot, Timestamp};
use tokio::sync::mpsc;

use super::hands::Hands;
use crate::cache::{Cache, CacheSender, Stopped};

/// Catalogs are fetched again after so long.
const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
/// And after so long where that failed, or where nothing is sold yet: a node class is not ready.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// An offering that the cloud ran out of is left alone for so long, as Karpenter does.
const EXHAUSTED_FOR: Duration = Duration::from_secs(3 * 60);

/// An instance type in a zone, bought one way.
pub(super) type OfferingKey = (Name, Name, CapacityType);

/// What a launch asked for.
pub(super) fn offering_of(request: &LaunchRequest) -> OfferingKey {
    (request.instance_type.clone(), request.zone.clone(), request.capacity_type)
}

/// A pool's catalog, as the provider gave it.
struct Fetched {
    generation: i64,
    refresh_at: Timestamp,
    catalog: Option<Arc<Catalog>>,
    /// What was sent to the cache.
    sent: Option<Arc<Catalog>>,
}

/// Keeps the cache's catalogs up to date until the cache stops. Offerings that the cloud has run
/// out of come in by `exhausted`.
pub(super) async fn keep(
    hands: Arc<Hands>,
    mut cache: Cache,
    sender: CacheSender,
    mut exhausted: mpsc::UnboundedReceiver<OfferingKey>,
) -> Result<(), Stopped> {
    let mut fetched: BTreeMap<Name, Fetched> = BTreeMap::new();
    let mut without: BTreeMap<OfferingKey, Timestamp> = BTreeMap::new();
    cache.until_synced().await?;
    loop {
        let snapshot = cache.snapshot();
        fetch(&hands, &snapshot, &mut fetched).await;
        let now = hands.clock.now();
        without.retain(|_, until| now < *until);
        for pool in gone(&snapshot, &mut fetched) {
            sender.send(ClusterEvent::Catalog(Change::Deleted(pool))).await?;
        }
        for (pool, catalog) in to_send(&mut fetched, &without) {
            sender.send(ClusterEvent::Catalog(Change::Applied((pool, catalog)))).await?;
        }
        let refreshes = fetched.values().map(|fetched| fetched.refresh_at);
        let due = refreshes.chain(without.values().copied()).min();
        let wait = due.map_or(REFRESH_AFTER, |due| due.since(now));
        tokio::select! {
            changed = pools_changed(&mut cache, &snapshot) => changed?,
            Some(offering) = exhausted.recv() => {
                without.insert(offering, hands.clock.now() + EXHAUSTED_FOR);
            }
            () = hands.clock.sleep(wait) => {}
        }
    }
}

/// Waits until the NodePools are others than those of a snapshot.
async fn pools_changed(cache: &mut Cache, seen: &Snapshot) -> Result<(), Stopped> {
    while cache.snapshot().pools == seen.pools {
        cache.changed().await?;
    }
    Ok(())
}

/// Fetches what is missing, changed or old.
async fn fetch(hands: &Hands, snapshot: &Snapshot, fetched: &mut BTreeMap<Name, Fetched>) {
    for (name, pool) in &snapshot.pools {
        let now = hands.clock.now();
        let known = fetched.get(name);
        if known.is_some_and(|known| known.generation == pool.generation && now < known.refresh_at)
        {
            continue;
        }
        let last = known.and_then(|known| known.catalog.clone());
        let sent = known.and_then(|known| known.sent.clone());
        let answer = hands.timed("GetInstanceTypes", hands.provider.catalog(pool)).await;
        let (catalog, wait) = match answer {
            Ok(catalog) => {
                // Pools of one cloud mostly see one catalog: one copy of it is enough.
                let same = fetched.values().filter_map(|other| other.catalog.as_ref());
                let same = same.chain(&last).find(|other| ***other == catalog).cloned();
                let wait =
                    if catalog.instance_types.is_empty() { RETRY_AFTER } else { REFRESH_AFTER };
                (Some(same.unwrap_or_else(|| Arc::new(catalog))), wait)
            }
            Err(error) => {
                tracing::warn!(nodepool = %name, %error, "no catalog: the last known one stays");
                (last, RETRY_AFTER)
            }
        };
        let refresh_at = hands.clock.now() + wait;
        let generation = pool.generation;
        fetched.insert(name.clone(), Fetched { generation, refresh_at, catalog, sent });
    }
}

/// The pools that are no more.
fn gone(snapshot: &Snapshot, fetched: &mut BTreeMap<Name, Fetched>) -> Vec<Name> {
    let gone: Vec<Name> =
        fetched.keys().filter(|name| !snapshot.pools.contains_key(*name)).cloned().collect();
    for name in &gone {
        fetched.remove(name);
    }
    gone
}

/// The catalogs that differ from what the cache has.
fn to_send(
    fetched: &mut BTreeMap<Name, Fetched>,
    without: &BTreeMap<OfferingKey, Timestamp>,
) -> Vec<(Name, Arc<Catalog>)> {
    let mut changed = Vec::new();
    for (name, fetched) in fetched {
        let Some(catalog) = &fetched.catalog else { continue };
        let catalog = available(catalog, without);
        if fetched.sent.as_ref() != Some(&catalog) {
            fetched.sent = Some(Arc::clone(&catalog));
            changed.push((name.clone(), catalog));
        }
    }
    changed
}

/// A catalog in which the offerings that the cloud ran out of are not available.
fn available(catalog: &Arc<Catalog>, without: &BTreeMap<OfferingKey, Timestamp>) -> Arc<Catalog> {
    let mut catalog = Arc::clone(catalog);
    for (name, zone, capacity_type) in without.keys() {
        let is_meant = catalog.get(name).is_some();
        if !is_meant {
            continue;
        }
        for kind in Arc::make_mut(&mut catalog).instance_types.iter_mut() {
            for offering in kind.offerings.iter_mut().filter(|_| kind.name == *name) {
                if offering.zone == *zone && offering.capacity_type == *capacity_type {
                    offering.available = false;
                }
            }
        }
    }
    catalog
}

#[cfg(test)]
mod tests {
    use berth_solver::testing::exoscale_catalog;

    use super::*;

    #[test]
    fn an_exhausted_offering_is_not_available_and_the_others_are() {
        let catalog = Arc::new(exoscale_catalog(&["ch-gva-2", "de-fra-1"]));
        let key: OfferingKey =
            ("standard.medium".into(), "de-fra-1".into(), CapacityType::OnDemand);
        let without = BTreeMap::from([(key, Timestamp::from_seconds(9))]);
        let left = available(&catalog, &without);
        let exhausted: Vec<(&str, &str)> = left
            .instance_types
            .iter()
            .flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, offering)))
            .filter(|(_, offering)| !offering.available)
            .map(|(kind, offering)| (kind.name.as_str(), offering.zone.as_str()))
            .collect();
        assert_eq!(exhausted, [("standard.medium", "de-fra-1")]);
        assert!(Arc::ptr_eq(&available(&catalog, &BTreeMap::new()), &catalog));
    }
}
