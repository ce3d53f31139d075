use std::sync::Arc;

use berth_solver::model::Change;

/// What a watch stream says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<K, T> {
    /// A list begins.
    Begun,
    /// One object of the list, shared with the picture where it has not changed.
    Listed(Arc<T>),
    /// The list is complete.
    Completed,
    /// The list or the watch failed.
    Failed,
    /// An object is there, or changed.
    Applied(T),
    /// An object is gone.
    Deleted(K),
}

/// What the cache is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Output<K, T> {
    /// What changed.
    pub change: Change<K, T>,
    /// Whether this was the first complete list: from now on the kind is synced.
    pub first_list: bool,
}

/// Collects a list until it is complete, and then swaps it in as a whole.
///
/// A list that is broken off is forgotten, so that nothing deleted meanwhile comes back from it,
/// and the complete one that follows replaces everything, so that nothing deleted meanwhile stays.
#[derive(Clone, Debug)]
pub struct Staging<T> {
    /// The list as far as it has come, if one has begun.
    list: Option<Vec<Arc<T>>>,
    /// Whether a list has been complete.
    synced: bool,
}

impl<T> Default for Staging<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Staging<T> {
    /// Nothing listed yet.
    pub const fn new() -> Self {
        Self { list: None, synced: false }
    }

    /// Whether a list has been complete.
    pub const fn is_synced(&self) -> bool {
        self.synced
    }

    /// Whether a list has begun and is not complete yet.
    pub const fn is_listing(&self) -> bool {
        self.list.is_some()
    }

    /// Takes in what the stream says; returns what the cache is to be told.
    pub fn step<K>(&mut self, step: Step<K, T>) -> Option<Output<K, T>> {
        let change = match step {
            Step::Begun => {
                self.list = Some(Vec::new());
                return None;
            }
            Step::Failed => {
                self.list = None;
                return None;
            }
            // What is listed after a failure, before a new list has begun, belongs to a list of
            // which the beginning is forgotten: it is no complete one.
            Step::Listed(object) => {
                if let Some(list) = &mut self.list {
                    list.push(object);
                }
                return None;
            }
            Step::Completed => Change::Replaced(self.list.take()?),
            // Before the first complete list the cache is empty and stays so: half a picture is
            // worse than none.
            Step::Applied(_) | Step::Deleted(_) if !self.synced => return None,
            Step::Applied(object) => Change::Applied(object),
            Step::Deleted(key) => Change::Deleted(key),
        };
        let first_list = !self.synced;
        self.synced = true;
        Some(Output { change, first_list })
    }
}

#[cfg(test)]
mod tests;
