//! What CapacityBuffers' status should say.

use std::collections::BTreeMap;

use berth_solver::lifecycle::{BufferStatus, Write, buffer_status};
use berth_solver::model::{Buffer, Headroom, Name, Plan, Snapshot};

/// What is known of the room for buffers, and what was written of it.
#[derive(Debug, Default)]
pub(super) struct BufferStatuses {
    /// Where the last plan found it.
    headroom: Vec<Headroom>,
    /// What was last written to each buffer's status, by the buffer's UID.
    written: BTreeMap<Name, BufferStatus>,
}

impl BufferStatuses {
    /// Takes note of a plan.
    pub(super) fn planned(&mut self, plan: &Plan) {
        self.headroom.clone_from(&plan.headroom);
    }

    /// Where the last plan found room for buffers that are still there.
    pub(super) fn headroom(&self) -> &[Headroom] {
        &self.headroom
    }

    /// The writes that bring the statuses up to date.
    pub(super) fn look(&self, snapshot: &Snapshot) -> Vec<Write> {
        let statuses = snapshot.buffers.values().map(|buffer| self.status(buffer));
        statuses
            .filter(|status| self.written.get(&status.uid) != Some(status))
            .map(|status| Write::RecordBufferStatus(Box::new(status)))
            .collect()
    }

    fn status(&self, buffer: &Buffer) -> BufferStatus {
        let mut status = buffer_status(buffer, &self.headroom);
        if status.provisioning.is_none() {
            // Until a plan has looked, what was said stands.
            let written = self.written.get(&buffer.uid);
            status.provisioning = written.and_then(|written| written.provisioning.clone());
        }
        status
    }

    /// Takes note of a status that was written.
    pub(super) fn written(&mut self, status: &BufferStatus) {
        self.written.insert(status.uid.clone(), status.clone());
    }

    /// Forgets the buffers that are no more.
    pub(super) fn keep_known(&mut self, snapshot: &Snapshot) {
        self.headroom.retain(|found| snapshot.buffers.contains_key(&found.buffer));
        self.written.retain(|uid, _| snapshot.buffers.values().any(|buffer| buffer.uid == *uid));
    }
}

#[cfg(test)]
mod tests {
    use berth_solver::model::Target;
    use berth_solver::testing::*;

    use super::*;

    #[test]
    fn a_status_is_written_when_it_changes_and_what_was_found_stands_until_the_next_plan() {
        let place = shape(100, 64).build();
        let two = cluster().buffer("spare", &place, 2).snapshot();
        let mut statuses = BufferStatuses::default();
        let said = |statuses: &mut BufferStatuses, snapshot: &Snapshot| {
            let writes = statuses.look(snapshot);
            let [write] = writes.as_slice() else { return format!("{} writes", writes.len()) };
            let Write::RecordBufferStatus(status) = write else { panic!("{write:?}") };
            statuses.written(status);
            let provisioning = status.provisioning.as_ref().map(|verdict| verdict.reason.clone());
            format!("{} {}", status.replicas, provisioning.unwrap_or_default())
        };
        assert_eq!(said(&mut statuses, &two), "2 ");
        assert_eq!(said(&mut statuses, &two), "0 writes");
        let target = Some(Target::Node("n".into()));
        let buffer = pod("spare", &place).key;
        let found = Headroom { buffer, target, places: 2, reason: String::new() };
        statuses.planned(&Plan { headroom: vec![found], ..Plan::default() });
        assert_eq!(said(&mut statuses, &two), "2 FitsExistingCapacity");
        let three = cluster().buffer("spare", &place, 3).snapshot();
        assert_eq!(said(&mut statuses, &three), "3 FitsExistingCapacity", "no plan has looked");
        statuses.keep_known(&cluster().snapshot());
        assert!(statuses.headroom().is_empty() && statuses.written.is_empty());
    }
}
