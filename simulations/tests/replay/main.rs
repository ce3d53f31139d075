//! Replays of small traces: nothing is lost, nothing is free, and the same twice.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod cloud;
mod conservation;
mod rounds;
mod support;
