//! What happens when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use berth_solver::model::Timestamp;

/// Events in the order of their time, and of their scheduling where the time is the same.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    events: BinaryHeap<Entry<E>>,
    scheduled: u64,
}

/// An event, and what it is ordered by: the first to happen is the greatest.
#[derive(Clone, Debug)]
struct Entry<E> {
    order: Reverse<(Timestamp, u64)>,
    event: E,
}

impl<E> Entry<E> {
    const fn at(&self) -> Timestamp {
        self.order.0.0
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { events: BinaryHeap::new(), scheduled: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Has an event happen at that time.
    pub fn schedule(&mut self, at: Timestamp, event: E) {
        self.events.push(Entry { order: Reverse((at, self.scheduled)), event });
        self.scheduled += 1;
    }

    /// When the next event happens.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.events.peek().map(Entry::at)
    }

    /// The next event that happens at `now` or before.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, E)> {
        self.next_at().filter(|at| *at <= now)?;
        self.events.pop().map(|entry| (entry.at(), entry.event))
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
