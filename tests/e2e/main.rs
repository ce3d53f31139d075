//! The appliance on a real control plane, through public interfaces only: the daemon is a child
//! process with the rights that `deploy/` gives it, and everything is seen through the API
//! server, the extender's and the metrics' ports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod appliance;
mod bad_input;
mod bad_objects;
mod buffers;
mod claims;
mod consolidation;
mod http;
mod observer;
mod questions;
#[path = "../shared/recording.rs"]
mod recording;
mod simulated;
mod workload;
mod world;
