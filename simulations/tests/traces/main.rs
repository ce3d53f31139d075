//! Readers of workload traces: small literal ones, and the shared data where it is there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]
#![allow(clippy::print_stdout, reason = "tests say why they are skipped")]

mod azure;
mod csv;
mod data;
mod openb;
mod shapes;

use berth_simulations::trace::{TraceError, TraceRecord};

/// The records before the first error, and the error as it is printed.
fn all<R>(reader: Result<R, TraceError>) -> Result<Vec<TraceRecord>, String>
where
    R: Iterator<Item = Result<TraceRecord, TraceError>>,
{
    let records = reader.and_then(Iterator::collect::<Result<Vec<_>, _>>);
    records.map_err(|error| error.to_string())
}
