//! Readers of workload traces: which pods came when, what they asked for, when they left.
//!
//! Each reader is an iterator of [`TraceRecord`]s that reads as it goes: a trace may be larger
//! than memory. Whatever is malformed ends it with a [`TraceError`] that names file, line and
//! column; nothing is guessed. Files may be plain or compressed with Zstandard, which their
//! content tells. A byte order mark and carriage returns before line ends are skipped.
//!
//! * [`csv`](mod@csv): Berth's own workload trace
//! * [`openb`]: pod lists of Alibaba's GPU cluster
//! * [`azure`]: arrivals and lifetimes of Azure's virtual machines (AzurePublicDatasetV1)
//! * [`Shapes`]: records as the solver's pods
//! * [`snapshots`]: who was there at some moments
//! * [`describe`]: what is in a trace
//! * [`write`](mod@write): any trace as Berth's own CSV

pub mod azure;
pub mod csv;
mod describe;
mod error;
mod input;
pub mod openb;
mod record;
mod shapes;
mod snapshots;
mod table;
pub mod write;

use std::fmt;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use describe::{Description, Distribution, Point, Size, describe};
pub use error::TraceError;
pub use record::{TraceRecord, TraceShape};
pub(crate) use shapes::owner;
pub use shapes::{GPU_PRODUCT_LABEL, GPU_RESOURCE, Shapes, WORKLOAD_LABEL};
pub use snapshots::{Moment, snapshots};

/// A trace that is being read. After an error there is nothing more.
pub type Records = Box<dyn Iterator<Item = Result<TraceRecord, TraceError>> + Send>;

/// The content of a file, decompressed if it is compressed, and without a byte order mark: for
/// readers elsewhere.
///
/// # Errors
/// When it cannot be read.
pub fn contents(path: &Path) -> Result<Box<dyn BufRead + Send>, TraceError> {
    input::open(path)
}

/// A format of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Berth's own workload trace.
    Csv,
    /// A pod list of Alibaba's GPU cluster.
    Openb,
    /// Azure's arrivals, with lifetimes and maps in files beside it.
    AzureV1,
}

impl Format {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Openb => "openb",
            Self::AzureV1 => "azure-v1",
        }
    }

    /// The format of a file, by its first line.
    ///
    /// # Errors
    /// When the file cannot be read, or begins like none of them.
    pub fn recognise(path: &Path) -> Result<Self, TraceError> {
        let mut lines = input::Lines::open(path)?;
        let first = lines.next_line()?.unwrap_or_default();
        if csv::is_header(first) {
            Ok(Self::Csv)
        } else if openb::is_header(first) {
            Ok(Self::Openb)
        } else if azure::is_first_line(first) {
            Ok(Self::AzureV1)
        } else {
            let problem = "begins like no trace that is known: expected the header of a workload \
                           trace (name,workload,submit_s,...) or of an openb pod list, or a line \
                           of Azure arrivals";
            Err(TraceError::at(&input::name_of(path), 1, None, problem.to_owned()))
        }
    }

    /// Opens a file of this format. `seed` is for what a trace leaves open (how long within its
    /// class an Azure machine lived).
    ///
    /// # Errors
    /// When the file, or one that belongs to it, cannot be read or begins wrongly.
    pub fn open(self, path: &Path, seed: u64) -> Result<Records, TraceError> {
        Ok(match self {
            Self::Csv => Box::new(csv::Reader::open(path)?),
            Self::Openb => Box::new(openb::Reader::open(path)?),
            Self::AzureV1 => Box::new(azure::Reader::open(path, seed)?),
        })
    }

    /// The files that a trace consists of, the one itself first.
    ///
    /// # Errors
    /// When one that belongs to it is not there.
    pub fn files(self, path: &Path) -> Result<Vec<PathBuf>, TraceError> {
        match self {
            Self::AzureV1 => azure::files(path),
            _ => Ok(vec![path.to_owned()]),
        }
    }

    /// Whether its pods come in the order of their times.
    pub const fn is_sorted(self) -> bool {
        matches!(self, Self::Csv | Self::AzureV1)
    }

    /// The same, but a trace that should be in the order of its times and is not is refused: it
    /// would have to be kept in memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_sorted(self, path: &Path, seed: u64) -> Result<Records, TraceError> {
        match self {
            Self::Csv => Ok(Box::new(csv::Reader::open(path)?.in_order())),
            _ => self.open(path, seed),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Csv, Self::Openb, Self::AzureV1]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no format: expected csv, openb or azure-v1"))
    }
}
