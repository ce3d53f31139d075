//! Traces of real clusters: recorded from watch events, and read from SimKube's files.
//!
//! * [`Recorder`]: a cluster's events as a trace; [`Live`] has it hear a real cluster's
//! * [`sktrace`]: SimKube's `.sktrace`, version 2
//! * [`shape`]: what of a pod a trace can say

mod live;
mod names;
mod recorder;
pub mod shape;
pub mod sktrace;

pub use live::Live;
pub use names::{Names, Salt};
pub use recorder::{Recorder, Recording};

/// A sentence about pods with rules that a trace cannot say, if there are any.
pub fn rules_left_out(pods: u64) -> Option<String> {
    (pods > 0).then(|| {
        format!(
            "{pods} pods have rules that a trace cannot say (affinity between workloads, a choice \
             of nodes, host ports, spreads over others): it leaves those out"
        )
    })
}
