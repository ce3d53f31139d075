//! Nodes that are unhealthy for too long: they are replaced.

use berth_solver::lifecycle::{Write, repairs};
use berth_solver::model::{Snapshot, Timestamp};

use super::Autoscaler;
use crate::autoscaler::notices;

impl Autoscaler {
    pub(super) fn repair_nodes(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let found = repairs(snapshot, &self.repair_policies, now);
        for write in found.writes {
            if let Write::DeleteClaim { claim, .. } = &write {
                tracing::warn!(nodeclaim = %claim.name, "its node is unhealthy: it is replaced");
            }
            self.executor.start(write.into());
        }
        self.tell(notices::of_repairs(&found.blocked), now);
    }
}
