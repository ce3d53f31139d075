//! The virtual cluster does what a real one would.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic, its helpers too")]

mod operator;
mod scheduler;
mod support;
mod world;
