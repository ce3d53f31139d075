//! A trace as it is replayed: in the order of time, cut to a window, thinned out.

use std::path::PathBuf;
use std::sync::Arc;

use berth_solver::model::Timestamp;

use crate::random::Seed;
use crate::trace::{Format, Records, TraceError, TraceRecord};

/// Formats whose rows are in no order are sorted in memory, up to so many.
const MOST_SORTED: usize = 5_000_000;

/// The part of a trace that is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// From then on (milliseconds of the trace's time).
    pub from: Option<Timestamp>,
    /// Until then.
    pub to: Option<Timestamp>,
    /// The share of the workloads, from 0 to 1.
    pub sample: Option<f64>,
}

/// Where a trace's pods come from.
#[derive(Clone, Debug)]
pub enum Content {
    /// The file, which is read anew each time.
    File(Format),
    /// What a reader elsewhere has made of the file, in the order of time.
    Kept(Arc<[TraceRecord]>),
}

/// A trace that can be read more than once.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub content: Content,
    /// Which part of it.
    pub window: Window,
    /// What a trace leaves open, and which workloads are in the sample.
    pub seed: u64,
}

impl Source {
    /// Reads it from the start. Pods come in the order of their times; those that are there when
    /// the window opens come first, with the window's start as their time.
    ///
    /// # Errors
    /// When the file cannot be read or begins wrongly; what is wrong further on ends the iterator.
    pub fn records(&self) -> Result<Records, TraceError> {
        let records = match &self.content {
            Content::File(format) => {
                let records = format.open_sorted(&self.path, self.seed)?;
                if format.is_sorted() { records } else { self.sorted(records)? }
            }
            Content::Kept(records) => again(records),
        };
        Ok(self.within(records, true))
    }

    /// The same, whatever the order of the rows: where a format's need not be sorted, they are
    /// sorted in memory. Pods that came before the window keep their times.
    ///
    /// # Errors
    /// As [`Self::records`].
    pub fn records_in_any_order(&self) -> Result<Records, TraceError> {
        let records = match &self.content {
            Content::File(format @ Format::AzureV1) => format.open(&self.path, self.seed)?,
            Content::File(format) => self.sorted(format.open(&self.path, self.seed)?)?,
            Content::Kept(records) => again(records),
        };
        Ok(self.within(records, false))
    }

    /// The part that is wanted; `moved`: with pods that are there already coming at its start.
    fn within(&self, records: Records, moved: bool) -> Records {
        let Window { from, to, sample } = self.window;
        let seed = Seed(self.seed);
        // Nothing after the window needs to be read.
        let before = move |record: &Result<TraceRecord, TraceError>| {
            record.as_ref().map_or(true, |record| to.is_none_or(|to| record.submit < to))
        };
        let kept = records.take_while(before).filter_map(move |record| {
            let record = match record {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            cut(record, from, to, moved).filter(|record| is_in(seed, sample, record)).map(Ok)
        });
        Box::new(kept)
    }

    fn sorted(&self, records: Records) -> Result<Records, TraceError> {
        let mut all = Vec::new();
        for record in records {
            all.push(record?);
            if all.len() > MOST_SORTED {
                return Err(TraceError {
                    file: self.path.display().to_string(),
                    line: None,
                    column: None,
                    problem: format!(
                        "has more than {MOST_SORTED} pods in no order: expected a trace sorted by \
                         time, as `berth trace convert` writes it"
                    ),
                });
            }
        }
        all.sort_by_key(|record| record.submit);
        Ok(Box::new(all.into_iter().map(Ok)))
    }
}

fn again(records: &Arc<[TraceRecord]>) -> Records {
    let records = Arc::clone(records);
    Box::new((0..records.len()).map(move |index| Ok(records[index].clone())))
}

fn cut(
    mut record: TraceRecord,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    moved: bool,
) -> Option<TraceRecord> {
    let start = from.unwrap_or_default();
    let over = record.end.is_some_and(|end| end <= start && record.submit < start);
    if to.is_some_and(|to| record.submit >= to) || over {
        return None;
    }
    if moved {
        record.submit = record.submit.max(start);
    }
    Some(record)
}

/// Whole workloads are in or out.
fn is_in(seed: Seed, sample: Option<f64>, record: &TraceRecord) -> bool {
    let Some(share) = sample else { return true };
    let name = format!("sample/{}/{}", record.namespace, record.workload);
    super::chance::unit(&mut seed.stream(&name)) < share
}
