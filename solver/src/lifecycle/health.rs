use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Name, NodePool, Snapshot, Timestamp};

/// How long a pool rests after a launch that did not lead to a node; twice as long after each
/// further one...
const FIRST_REST: Duration = Duration::from_secs(5 * 60);
/// ...up to this.
const LONGEST_REST: Duration = Duration::from_secs(30 * 60);

/// Which NodePools' launches lead to nodes. A pool whose last launch did not (no machine, or one
/// whose node never joined) launches nothing for a while: it would only pay for machines that
/// nobody can use.
///
/// It is learnt anew after a restart: the first launch may fail once more.
#[derive(Clone, Debug, Default)]
pub struct PoolHealth(BTreeMap<Name, Record>);

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Batches of launches that failed since the last node joined.
    failures: u32,
    rests_until: Option<Timestamp>,
}

impl PoolHealth {
    /// A claim of the pool of that UID was given up: its machine or its node did not come in time.
    /// What fails while the pool rests already was launched before, and counts once.
    pub fn failed(&mut self, pool_uid: &Name, now: Timestamp) {
        let record = self.0.entry(pool_uid.clone()).or_default();
        if record.rests_until.is_some_and(|until| now < until) {
            return;
        }
        let doubled = FIRST_REST.saturating_mul(1 << record.failures.min(16));
        record.failures += 1;
        record.rests_until = Some(now + doubled.min(LONGEST_REST));
    }

    /// A node of the pool of that UID has joined.
    pub fn registered(&mut self, pool_uid: &Name) {
        self.0.insert(pool_uid.clone(), Record::default());
    }

    /// Whether the last launch led to a node; `None` before one did or did not.
    pub fn is_healthy(&self, pool_uid: &Name) -> Option<bool> {
        self.0.get(pool_uid).map(|record| record.failures == 0)
    }

    /// Forgets pools that are gone.
    pub fn keep_known(&mut self, snapshot: &Snapshot) {
        self.0.retain(|uid, _| snapshot.pools.values().any(|pool| pool.uid == *uid));
    }

    /// The snapshot in which pools that rest launch nothing, and say why.
    pub fn rested(&self, snapshot: &Arc<Snapshot>, now: Timestamp) -> Arc<Snapshot> {
        let resting: Vec<NodePool> = snapshot
            .pools
            .values()
            .filter(|pool| pool.defect.is_none())
            .filter_map(|pool| self.at_rest(pool, now))
            .collect();
        if resting.is_empty() {
            return Arc::clone(snapshot);
        }
        let mut changed = Snapshot::clone(snapshot);
        for pool in resting {
            changed.pools.insert(pool.name.clone(), Arc::new(pool));
        }
        Arc::new(changed)
    }

    fn at_rest(&self, pool: &NodePool, now: Timestamp) -> Option<NodePool> {
        let record = self.0.get(&pool.uid)?;
        let left = record.rests_until.filter(|until| now < *until)?.since(now);
        let why = format!(
            "its last launches led to no node ({} in a row): it rests for {} s more",
            record.failures,
            left.as_secs().max(1)
        );
        Some(NodePool { defect: Some(why.into()), ..pool.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{self, Never};
    use crate::planning;
    use crate::testing::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn i9_a_pool_whose_launches_lead_to_no_node_rests_ever_longer_and_the_next_pool_is_used() {
        let (first, second) = (NodePool { weight: 9, ..pool("first") }, pool("second"));
        let catalog = exoscale_catalog(&["z"]);
        let waiting = pods("web", 3, &shape(500, 512).build());
        let world = cluster().pool(first.clone(), catalog.clone()).pool(second, catalog);
        let snapshot = Arc::new(world.pods(waiting).snapshot());
        let mut health = PoolHealth::default();
        let pool_at = |health: &PoolHealth, now| {
            let settings = packing::Settings::default();
            let plan = planning::plan(&health.rested(&snapshot, now), &settings, now, 1, &Never);
            plan.plan.unwrap().launches[0].pool.to_string()
        };
        assert_eq!(pool_at(&health, at(0)), "first");
        assert_eq!(health.is_healthy(&first.uid), None);
        health.failed(&first.uid, at(0));
        // A second claim of the same batch.
        health.failed(&first.uid, at(1));
        assert_eq!(pool_at(&health, at(299)), "second");
        assert_eq!(pool_at(&health, at(300)), "first");
        health.failed(&first.uid, at(300));
        assert_eq!(pool_at(&health, at(899)), "second");
        assert_eq!(pool_at(&health, at(900)), "first");
        assert_eq!(health.is_healthy(&first.uid), Some(false));
        for failure in 0..40 {
            health.failed(&first.uid, at(10_000 * (failure + 1)));
        }
        assert_eq!(pool_at(&health, at(400_000 + 1_799)), "second");
        assert_eq!(pool_at(&health, at(400_000 + 1_800)), "first");
        health.registered(&first.uid);
        assert_eq!(health.is_healthy(&first.uid), Some(true));
        health.failed(&first.uid, at(500_000));
        assert_eq!(pool_at(&health, at(500_300)), "first", "it begins again with a short rest");
    }

    #[test]
    fn pods_that_only_a_resting_pool_would_take_say_so() {
        let only = pool("only");
        let world = cluster().pool(only.clone(), exoscale_catalog(&["z"]));
        let waiting = pods("web", 1, &shape(500, 512).build());
        let snapshot = Arc::new(world.pods(waiting).snapshot());
        let mut health = PoolHealth::default();
        health.failed(&only.uid, at(0));
        let (settings, now) = (packing::Settings::default(), at(1));
        let plan = planning::plan(&health.rested(&snapshot, now), &settings, now, 1, &Never);
        let reason = &plan.plan.unwrap().unschedulable[0].reason;
        assert!(reason.contains("its last launches led to no node (1 in a row)"), "{reason}");
    }
}
