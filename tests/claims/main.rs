//! Claims, seen from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod check;
mod clouds;
mod crashes;
#[path = "../shared/held.rs"]
mod held;
mod independent;
mod life;
mod operator;
#[path = "../shared/prism.rs"]
mod prism;
#[path = "../shared/python.rs"]
mod python;
mod world;
