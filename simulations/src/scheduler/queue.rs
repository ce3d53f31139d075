use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_solver::model::{PodKey, Timestamp};

/// How long pods wait between attempts.
#[derive(Clone, Copy, Debug)]
pub struct QueueSettings {
    /// After the first failure; doubled with each (`podInitialBackoffSeconds`).
    pub initial_backoff: Duration,
    /// At most (`podMaxBackoffSeconds`).
    pub longest_backoff: Duration,
    /// A pod that fitted nowhere is tried again after so long, whatever happens.
    pub flush_after: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(10),
            flush_after: Duration::from_secs(300),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Ready to be tried, or waiting until then.
    Due(Timestamp),
    /// Popped: somebody is trying it.
    Tried,
    /// It fits nowhere; due at the latest then.
    Parked(Timestamp),
}

#[derive(Clone, Debug)]
struct Entry {
    priority: i32,
    /// When it was first added: older pods go first.
    added: u64,
    attempts: u32,
    last_attempt: Timestamp,
    place: Place,
    /// Something changed while it was being tried: it must not be parked.
    missed: bool,
    /// Anything at all changed meanwhile: it must not be parked as refused.
    stirred: bool,
}

/// Pods in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Queue {
    settings: QueueSettings,
    entries: BTreeMap<PodKey, Entry>,
    /// When, for pods in backoff or parked.
    waiting: BTreeSet<(Timestamp, PodKey)>,
    /// Those that may be tried at once, in their order.
    active: BTreeSet<(Reverse<i32>, u64, PodKey)>,
    parked: BTreeSet<PodKey>,
    /// Those of the parked that only the extender refused.
    refused: BTreeSet<PodKey>,
    tried: BTreeSet<PodKey>,
    added: u64,
}

impl Queue {
    pub(super) const fn new(settings: QueueSettings) -> Self {
        Self {
            settings,
            entries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            active: BTreeSet::new(),
            parked: BTreeSet::new(),
            refused: BTreeSet::new(),
            tried: BTreeSet::new(),
            added: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn add(&mut self, key: &PodKey, priority: i32, now: Timestamp) {
        if self.entries.contains_key(key) {
            return;
        }
        self.added += 1;
        let entry = Entry {
            priority,
            added: self.added,
            attempts: 0,
            last_attempt: now,
            place: Place::Due(now),
            missed: false,
            stirred: false,
        };
        self.active.insert((Reverse(priority), entry.added, key.clone()));
        self.entries.insert(key.clone(), entry);
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, key: &PodKey) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.unlink(key, &entry);
        true
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        if self.active.is_empty() {
            self.waiting.first().map(|(at, _)| *at)
        } else {
            Some(Timestamp::default())
        }
    }

    /// The next pod to try and how often it was tried, this time included.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(PodKey, u32)> {
        while let Some((at, key)) = self.waiting.first().filter(|(at, _)| *at <= now).cloned() {
            self.waiting.remove(&(at, key.clone()));
            self.parked.remove(&key);
            self.refused.remove(&key);
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.place = Place::Due(now);
                self.active.insert((Reverse(entry.priority), entry.added, key));
            }
        }
        let (_, _, key) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        entry.attempts += 1;
        entry.last_attempt = now;
        entry.place = Place::Tried;
        entry.missed = false;
        entry.stirred = false;
        let attempts = entry.attempts;
        self.tried.insert(key.clone());
        Some((key, attempts))
    }

    /// A pod fits nowhere: it waits for a change.
    pub(super) fn park(&mut self, key: &PodKey, now: Timestamp) {
        let flush_at = now + self.settings.flush_after;
        self.tried.remove(key);
        match self.entries.get_mut(key) {
            Some(entry) if entry.missed => self.retry_later(key, now),
            Some(entry) => {
                entry.place = Place::Parked(flush_at);
                self.parked.insert(key.clone());
                self.waiting.insert((flush_at, key.clone()));
            }
            None => {}
        }
    }

    /// The extender refused every node: it waits for any change, since nobody but the extender
    /// knows which one helps.
    pub(super) fn park_refused(&mut self, key: &PodKey, now: Timestamp) {
        if self.entries.get(key).is_some_and(|entry| entry.stirred) {
            return self.retry_later(key, now);
        }
        self.park(key, now);
        if self.parked.contains(key) {
            self.refused.insert(key.clone());
        }
    }

    /// An attempt failed: the pod is tried again after its backoff.
    pub(super) fn retry_later(&mut self, key: &PodKey, now: Timestamp) {
        let settings = self.settings;
        self.tried.remove(key);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let at = (entry.last_attempt + backoff(&settings, entry.attempts)).max(now);
        entry.place = Place::Due(at);
        self.waiting.insert((at, key.clone()));
    }

    /// Something changed that may make room: parked pods are tried again after their backoff.
    pub(super) fn wake_all(&mut self, now: Timestamp) {
        self.refused.clear();
        for key in std::mem::take(&mut self.parked) {
            self.wake(&key, now);
        }
        for key in &self.tried {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.missed = true;
            }
        }
    }

    /// Something changed, to a pod perhaps: those that the extender refused are tried again after
    /// their backoff, save that pod.
    pub(super) fn wake_refused(&mut self, pod: Option<&PodKey>, now: Timestamp) {
        for key in std::mem::take(&mut self.refused) {
            if Some(&key) == pod {
                self.refused.insert(key);
            } else if self.parked.remove(&key) {
                self.wake(&key, now);
            }
        }
        for key in self.tried.iter().filter(|key| Some(*key) != pod) {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.stirred = true;
            }
        }
    }

    fn wake(&mut self, key: &PodKey, now: Timestamp) {
        if let Some(Entry { place: Place::Parked(until), .. }) = self.entries.get(key) {
            self.waiting.remove(&(*until, key.clone()));
            self.retry_later(key, now);
        }
    }

    fn unlink(&mut self, key: &PodKey, entry: &Entry) {
        match entry.place {
            Place::Due(at) => {
                self.active.remove(&(Reverse(entry.priority), entry.added, key.clone()));
                self.waiting.remove(&(at, key.clone()));
            }
            Place::Parked(until) => {
                self.parked.remove(key);
                self.refused.remove(key);
                self.waiting.remove(&(until, key.clone()));
            }
            Place::Tried => {
                self.tried.remove(key);
            }
        }
    }
}

fn backoff(settings: &QueueSettings, attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1).min(30));
    settings.initial_backoff.saturating_mul(doubled).min(settings.longest_backoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> PodKey {
        PodKey { namespace: "n".into(), name: name.into() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn pods_come_by_priority_then_by_age() {
        let mut queue = Queue::new(QueueSettings::default());
        queue.add(&key("old"), 0, at(1));
        queue.add(&key("young"), 0, at(2));
        queue.add(&key("important"), 5, at(3));
        let order: Vec<_> =
            std::iter::from_fn(|| queue.pop(at(3))).map(|(key, _)| key.name.to_string()).collect();
        assert_eq!(order, ["important", "old", "young"]);
    }

    #[test]
    fn a_parked_pod_waits_for_a_change_and_then_for_its_backoff() {
        let mut queue = Queue::new(QueueSettings::default());
        queue.add(&key("a"), 0, at(0));
        for (attempt, tried_at) in [(1, 0), (2, 1), (3, 3), (4, 7), (5, 15), (6, 25)] {
            assert_eq!(queue.pop(at(tried_at)), Some((key("a"), attempt)));
            queue.park(&key("a"), at(tried_at));
            assert_eq!(queue.next_at(), Some(at(tried_at + 300)));
            queue.wake_all(at(tried_at));
        }
        assert_eq!(queue.next_at(), Some(at(35)));
    }

    #[test]
    fn a_pod_that_the_extender_refused_is_tried_again_after_any_change_but_its_own() {
        let mut queue = Queue::new(QueueSettings::default());
        queue.add(&key("a"), 0, at(0));
        queue.pop(at(0));
        queue.park_refused(&key("a"), at(0));
        queue.wake_refused(Some(&key("a")), at(0));
        assert_eq!(queue.next_at(), Some(at(300)));
        queue.wake_refused(Some(&key("b")), at(0));
        assert_eq!(queue.next_at(), Some(at(1)));
    }

    #[test]
    fn a_change_during_the_attempt_is_not_missed() {
        let mut queue = Queue::new(QueueSettings::default());
        queue.add(&key("a"), 0, at(0));
        queue.pop(at(0));
        queue.wake_all(at(0));
        queue.park(&key("a"), at(0));
        assert_eq!(queue.next_at(), Some(at(1)));
        assert!(queue.remove(&key("a")));
        assert_eq!((queue.len(), queue.next_at()), (0, None));
    }
}
