//! What happened, for people: the scenario's steps and what Berth decided.

use std::collections::VecDeque;
use std::sync::Arc;

use berth_solver::model::Timestamp;
use parking_lot::Mutex;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The scenario did something to the cluster.
    Scenario,
    /// Berth launches a node.
    Launch,
    /// Berth removes a node.
    Remove,
    /// The scheduler placed pods.
    Place,
    /// Something failed.
    Trouble,
}

impl Subject {
    /// A word of at most eight letters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Launch => "launch",
            Self::Remove => "remove",
            Self::Place => "place",
            Self::Trouble => "trouble",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in the cluster's time.
    pub at: Timestamp,
    /// What kind of thing.
    pub subject: Subject,
    /// What, and why.
    pub text: String,
}

/// How many entries are kept.
const KEPT: usize = 1_000;

/// The latest entries. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    latest: VecDeque<Entry>,
    /// How many were dropped.
    dropped: usize,
}

impl Journal {
    /// Adds an entry.
    pub fn record(&self, at: Timestamp, subject: Subject, text: impl Into<String>) {
        let mut entries = self.0.lock();
        entries.latest.push_back(Entry { at, subject, text: text.into() });
        if entries.latest.len() > KEPT {
            entries.latest.pop_front();
            entries.dropped += 1;
        }
    }

    /// The latest entries, oldest first.
    pub fn latest(&self, count: usize) -> Vec<Entry> {
        let entries = self.0.lock();
        let skipped = entries.latest.len().saturating_sub(count);
        entries.latest.iter().skip(skipped).cloned().collect()
    }

    /// The entries that a reader who has seen the first `seen` has not seen, as far as they are
    /// still kept; and how many there were in all.
    pub fn after(&self, seen: usize) -> (Vec<Entry>, usize) {
        let entries = self.0.lock();
        let skipped = seen.saturating_sub(entries.dropped);
        let new = entries.latest.iter().skip(skipped).cloned().collect();
        (new, entries.dropped + entries.latest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_every_entry_once_as_long_as_it_is_kept() {
        let journal = Journal::default();
        let record = |number: i64| {
            journal.record(Timestamp::from_seconds(number), Subject::Place, number.to_string());
        };
        record(0);
        let (first, seen) = journal.after(0);
        assert_eq!((first.len(), seen), (1, 1));
        (1..=1_500).for_each(record);
        let (later, seen) = journal.after(seen);
        assert_eq!((later.len(), seen), (1_000, 1_501));
        assert_eq!(journal.after(seen).0, []);
        assert_eq!(journal.latest(1)[0].text, "1500");
    }
}
