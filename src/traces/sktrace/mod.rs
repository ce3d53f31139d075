//! SimKube's `.sktrace`, version 2: MessagePack of
//! `{version, config, events: [{ts, applied_objs, deleted_objs}], index, pod_lifecycles}`, with
//! whole Kubernetes objects and times in Unix seconds
//! (<https://simkube.dev/simkube/docs/>).
//!
//! Where pods of an object were recorded (`pod_lifecycles`), each of them comes when it began to run
//! and leaves when it ended; a bare pod comes with its object. Of other objects the replicas are
//! taken: a Deployment scaled from 1 to 3 has two more pods from then on, the last ones leave first,
//! and another pod template replaces them all. An object of which neither is known (a CronJob
//! without lifecycles) makes no pods, which [`Reading::left_out`] counts. The trace's time begins
//! with the first event.
//!
//! The file is read as it comes: what is kept is what became of each object, not the objects.

mod document;
mod history;

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::Path;

use super::rules_left_out;
use berth_simulations::trace::{self, TraceError, TraceRecord};

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its pods, in the order of their times.
    pub records: Vec<TraceRecord>,
    /// How many of them have rules that a trace cannot say.
    pub with_more_rules: u64,
    /// Objects whose pods are not known, by kind.
    pub left_out: BTreeMap<String, u64>,
}

/// Reads a file, plain or compressed with Zstandard.
///
/// # Errors
/// When it cannot be read, is no such file, or something in it makes no sense; says at which byte
/// and in which event.
pub fn read(path: &Path) -> Result<Reading, TraceError> {
    let input = trace::contents(path)?;
    let history = document::read(input).map_err(|problem| TraceError {
        file: path.display().to_string(),
        line: None,
        column: None,
        problem,
    })?;
    Ok(history.pods())
}

/// Whether a file begins like one: no text begins with a map of MessagePack.
///
/// # Errors
/// When it cannot be read.
pub fn is_one(path: &Path) -> Result<bool, TraceError> {
    let mut input = trace::contents(path)?;
    let start = input
        .fill_buf()
        .map_err(|error| TraceError::unreadable(&path.display().to_string(), &error))?;
    Ok(matches!(start.first(), Some(0x80..=0x8f | 0xde | 0xdf)))
}

impl Reading {
    /// What could not be taken, in sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = rules_left_out(self.with_more_rules).into_iter().collect::<Vec<_>>();
        notes.extend(self.left_out.iter().map(|(kind, count)| {
            format!("{count} of {kind} left out: the file does not say which pods they had")
        }));
        notes
    }
}

#[cfg(test)]
mod tests;
