//! What happens when.

use std::collections::BTreeMap;

use berth_solver::model::Timestamp;

/// Events in the order of their time, and of their scheduling where the time is the same.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    events: BTreeMap<(Timestamp, u64), E>,
    scheduled: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), scheduled: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Has an event happen at that time.
    pub fn schedule(&mut self, at: Timestamp, event: E) {
        self.events.insert((at, self.scheduled), event);
        self.scheduled += 1;
    }

    /// When the next event happens.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next event that happens at `now` or before.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, E)> {
        let entry = self.events.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), event) = entry.remove_entry();
        Some((at, event))
    }

    /// How many are still to come.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none is to come.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_then_of_scheduling() {
        let mut queue = EventQueue::default();
        let at = Timestamp::from_seconds;
        queue.schedule(at(2), "later");
        queue.schedule(at(1), "first");
        queue.schedule(at(1), "second");
        assert_eq!(queue.next_at(), Some(at(1)));
        assert_eq!(queue.pop_due(at(1)), Some((at(1), "first")));
        assert_eq!(queue.pop_due(at(1)), Some((at(1), "second")));
        assert_eq!(queue.pop_due(at(1)), None);
        assert_eq!(queue.len(), 1);
    }
}
