//! What NodePools' status should say.

use std::collections::BTreeMap;

use berth_solver::lifecycle::{PoolHealth, PoolStatus, Write, node_capacity};
use berth_solver::model::{Name, NodePool, Resources, Snapshot};

/// What was last written to each pool's status, by the pool's UID.
#[derive(Debug, Default)]
pub(super) struct PoolStatuses(BTreeMap<Name, PoolStatus>);

impl PoolStatuses {
    /// The writes that bring the statuses up to date.
    pub(super) fn look(&self, snapshot: &Snapshot, health: &PoolHealth) -> Vec<Write> {
        let statuses = snapshot.pools.values().filter(|pool| pool.deleted.is_none());
        statuses
            .map(|pool| (pool, status(snapshot, pool, health)))
            .filter(|(pool, status)| self.0.get(&pool.uid) != Some(status))
            .map(|(_, status)| Write::RecordPoolStatus(Box::new(status)))
            .collect()
    }

    /// Takes note of a status that was written.
    pub(super) fn written(&mut self, snapshot: &Snapshot, status: &PoolStatus) {
        if let Some(pool) = snapshot.pools.get(&status.pool) {
            self.0.insert(pool.uid.clone(), status.clone());
        }
    }

    /// Forgets the pools that are no more.
    pub(super) fn keep_known(&mut self, snapshot: &Snapshot) {
        self.0.retain(|uid, _| snapshot.pools.values().any(|pool| pool.uid == *uid));
    }
}

/// What the status of a pool should say.
fn status(snapshot: &Snapshot, pool: &NodePool, health: &PoolHealth) -> PoolStatus {
    let mut resources = Resources::default();
    let mut nodes = 0;
    for claim in snapshot.claims.values().filter(|claim| claim.pool() == Some(&pool.name)) {
        nodes += 1;
        let catalog = snapshot.catalogs.get(&pool.name);
        resources = &resources + &node_capacity(claim, catalog.map(AsRef::as_ref));
    }
    PoolStatus {
        pool: pool.name.clone(),
        generation: pool.generation,
        resources,
        nodes,
        defect: pool.defect.clone(),
        // Whoever looks after the NodeClass has said so in this same status, or nobody did.
        node_class_ready: pool.ready,
        registration_healthy: health.is_healthy(&pool.uid),
    }
}

#[cfg(test)]
mod tests {
    use berth_solver::testing::*;

    use super::*;

    #[test]
    fn a_status_counts_the_claims_on_their_way_and_is_written_once() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["ch-gva-2"]));
        let kind = type_of(&catalog, "standard.medium").clone();
        let snapshot = cluster()
            .pool(general.clone(), catalog)
            .claim(claim("c1", &general, &kind))
            .claim(claim("c2", &general, &kind))
            .snapshot();
        let mut statuses = PoolStatuses::default();
        let health = PoolHealth::default();
        let writes = statuses.look(&snapshot, &health);
        let [Write::RecordPoolStatus(status)] = writes.as_slice() else { panic!("{writes:?}") };
        assert_eq!((status.nodes, status.resources.cpu.0), (2, 2 * kind.capacity.cpu.0));
        statuses.written(&snapshot, status);
        assert_eq!(statuses.look(&snapshot, &health), []);
    }
}
