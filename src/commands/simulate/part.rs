//! Which part of a trace, and how it is read.

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use berth_simulations::replay::{Source, Window};
use berth_simulations::trace::Format;
use berth_solver::model::Timestamp;
use clap::Args;

use super::bad;
use crate::commands::Failure;

/// Which part of a trace, and how it is read.
#[derive(Clone, Debug, Args)]
pub(in crate::commands) struct Part {
    /// The trace's format; recognised from the file if it is not given
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
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

fn format(text: &str) -> Result<Format, String> {
    text.parse()
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::api::parse_duration(text).map_err(|error| error.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a number above 0 and up to 1".to_owned())
}

impl Part {
    /// That part of a file.
    pub(in crate::commands) fn source(&self, trace: &Path) -> Result<Source, Failure> {
        let format = match self.format {
            Some(format) => format,
            None => Format::recognise(trace).map_err(bad)?,
        };
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
        Ok(Source { path: trace.to_owned(), format, window, seed: self.seed })
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
