//! Stateful fakes of clouds' APIs, for tests.
//!
//! Each checks who calls, writes every call into a journal, and misbehaves on request
//! ([`Fake::fault`]). They share no code with Berth's clients: they are written from the APIs'
//! descriptions, and held against the clouds' own clients in Python.
//!
//! A fake lives in the test's own process ([`Fake`]) or in one of its own ([`Process`]).
//!
//! * [`exoscale`]: Exoscale's API, version 2
//! * [`ovh`]: databases and instances of OVHcloud's Public Cloud
//! * [`scaleway`]: databases and instances of Scaleway

mod control;
mod exchange;
pub mod exoscale;
mod faults;
mod journal;
pub mod ovh;
mod route;
pub mod scaleway;
mod server;

pub use control::{Process, keep};
pub use exchange::{Exchange, Witness};
pub use faults::Fault;
pub use journal::Call;
pub use route::Refusal;
pub use server::{Cloud, Fake, Now, Received};
