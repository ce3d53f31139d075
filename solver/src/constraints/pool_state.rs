//! A NodePool launches nodes only while it is sound, ready and staying.

use crate::model::NodePool;

/// Whether nodes may be launched from the pool, its catalog aside.
pub fn check(pool: &NodePool) -> bool {
    explain(pool).is_none()
}

/// Why not.
pub fn explain(pool: &NodePool) -> Option<String> {
    if pool.deleted.is_some() {
        Some("is being deleted".to_owned())
    } else if let Some(defect) = &pool.defect {
        Some(format!("is not valid: {defect}"))
    } else if !pool.ready {
        Some("is not ready: its NodeClass is missing or not ready".to_owned())
    } else if pool.replicas.is_some() {
        Some("is static: its nodes are counted, not planned for pods".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::pool;
    use crate::model::{Name, Timestamp};

    #[test]
    fn a_pool_that_is_unsound_unready_or_leaving_launches_nothing() {
        let good = pool("default");
        assert!(check(&good));
        let mut bad = good.clone();
        bad.defect = Some(Name::from("spec.limits.cpu: -1: expected 0 or more"));
        assert_eq!(
            explain(&bad).as_deref(),
            Some("is not valid: spec.limits.cpu: -1: expected 0 or more")
        );
        let mut unready = good.clone();
        unready.ready = false;
        assert!(!check(&unready));
        let mut fixed = good.clone();
        fixed.replicas = Some(3);
        assert!(!check(&fixed));
        let mut deleted = good;
        deleted.deleted = Some(Timestamp::default());
        assert_eq!(explain(&deleted).as_deref(), Some("is being deleted"));
    }
}
