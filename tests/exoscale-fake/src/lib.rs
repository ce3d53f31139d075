//! A stateful fake of Exoscale's API, version 2, for tests.
//!
//! It keeps instances, groups, networks, SKS clusters and databases, answers every change with an
//! operation that ends some time later, checks every signature, writes every call into a journal,
//! and misbehaves on request. It shares no code with Berth's client: it is written from the API's
//! description.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use berth_exoscale_fake::{Fake, Fault};
//!
//! let fake = Fake::start().await?;
//! let group = fake.world(|world| world.add_security_group("workers"));
//! fake.fault("create-instance", Fault::LoseReply); // the next one only
//! println!("serve at {} with the key {}", fake.endpoint(), fake.key().0);
//! println!("{} creates so far, group {group}", fake.calls("create-instance").len());
//! # Ok(())
//! # }
//! ```
//!
//! Time is whatever the fake is told ([`Fake::start_with`]), so that a test may let an hour pass in
//! a second.

mod catalog;
mod compute;
mod dbaas;
mod faults;
mod journal;
mod network;
mod route;
mod server;
mod signature;
mod sks;
mod world;

pub use catalog::InstanceType;
pub use compute::Instance;
pub use dbaas::Database;
pub use faults::Fault;
pub use journal::Call;
pub use network::{ElasticIp, Group};
pub use server::{Fake, Now};
pub use sks::Cluster;
pub use world::{Timing, World};
