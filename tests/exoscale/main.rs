//! What Berth does on Exoscale, against a fake of Exoscale's API that shares no code with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod boot;
mod client;
mod crash;
mod fake;
#[path = "../shared/held.rs"]
mod held;
mod independent;
mod memory;
mod plane;
#[path = "../shared/prism.rs"]
mod prism;
mod provider;
#[path = "../shared/python.rs"]
mod python;
mod rig;
mod support;
