//! Which part of a trace, and how it is read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use berth_simulations::replay::{Content, Source, Window};
use berth_simulations::trace::Format;
use berth_solver::model::Timestamp;
use clap::Args;

use super::bad;
use crate::commands::Failure;
use crate::commands::values::duration;
use crate::traces::sktrace;

/// Which part of a trace, and how it is read.
#[derive(Clone, Debug, Args)]
pub(in crate::commands) struct Part {
    /// The trace's format (csv, openb, azure-v1 or sktrace); recognised from the file if it is not
    /// given
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<FileFormat>,
    /// From this moment of the trace on (such as 36h; pods that are there then come first)
    #[arg(long, value_name = "T", value_parser = duration)]
    from: Option<Duration>,
    /// Until this moment of the trace
    #[arg(long, value_name = "T", value_parser = duration)]
    to: Option<Duration>,
    /// That share of the workloads, from 0 to 1, chosen by the seed
    #[arg(long, value_name = "F", value_parser = share)]
    sample: Option<f64>,
    /// Where chance comes from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum FileFormat {
    /// Row by row, as often as it is needed.
    Rows(Format),
    /// SimKube's: once, as a whole.
    Sktrace,
}

/// A trace, and what of it could not be taken.
pub(in crate::commands) struct Opened {
    pub(in crate::commands) source: Source,
    pub(in crate::commands) format: FileFormat,
    /// Sentences for people.
    pub(in crate::commands) notes: Vec<String>,
}

impl FileFormat {
    const SKTRACE: &str = "sktrace";

    fn recognise(trace: &Path) -> Result<Self, Failure> {
        if sktrace::is_one(trace).map_err(bad)? {
            return Ok(Self::Sktrace);
        }
        Format::recognise(trace).map(Self::Rows).map_err(bad)
    }

    /// The files that a trace consists of.
    pub(super) fn files(self, trace: &Path) -> Result<Vec<PathBuf>, Failure> {
        match self {
            Self::Rows(format) => format.files(trace).map_err(bad),
            Self::Sktrace => Ok(vec![trace.to_owned()]),
        }
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(format) => format.fmt(formatter),
            Self::Sktrace => formatter.pad(Self::SKTRACE),
        }
    }
}

impl FromStr for FileFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == Self::SKTRACE {
            return Ok(Self::Sktrace);
        }
        text.parse().map(Self::Rows).map_err(|problem: String| format!("{problem}, or sktrace"))
    }
}

fn format(text: &str) -> Result<FileFormat, String> {
    text.parse()
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a number above 0 and up to 1".to_owned())
}

impl Part {
    /// How a file is read.
    pub(super) fn format_of(&self, trace: &Path) -> Result<FileFormat, Failure> {
        self.format.map_or_else(|| FileFormat::recognise(trace), Ok)
    }

    /// That part of a file.
    pub(in crate::commands) fn open(&self, trace: &Path) -> Result<Opened, Failure> {
        let format = self.format_of(trace)?;
        let moment = |at: Duration| Timestamp::default() + at;
        let window =
            Window { from: self.from.map(moment), to: self.to.map(moment), sample: self.sample };
        if let (Some(from), Some(to)) = (window.from, window.to)
            && from >= to
        {
            let problem =
                anyhow!("--from {from} is not before --to {to}: expected an earlier moment");
            return Err(Failure::BadInput(problem));
        }
        let (content, notes) = match format {
            FileFormat::Rows(format) => (Content::File(format), Vec::new()),
            FileFormat::Sktrace => {
                let reading = sktrace::read(trace).map_err(bad)?;
                let notes = reading.notes();
                (Content::Kept(reading.records.into()), notes)
            }
        };
        let source = Source { path: trace.to_owned(), content, window, seed: self.seed };
        Ok(Opened { source, format, notes })
    }

    /// The options that say the same.
    pub(super) fn options(&self) -> Vec<String> {
        let seconds = |at: Duration| at.as_secs_f64();
        let mut options = vec![format!("--seed {}", self.seed)];
        options.extend(self.format.map(|format| format!("--format {format}")));
        options.extend(self.from.map(|at| format!("--from {}s", seconds(at))));
        options.extend(self.to.map(|at| format!("--to {}s", seconds(at))));
        options.extend(self.sample.map(|share| format!("--sample {share}")));
        options
    }
}
