//! The loop that makes it so: snapshot, plan, effects, each carried out against the API server
//! and the cloud.

mod writer;

pub use writer::{ClusterWriter, Notice, Severity, Subject, WriteError};
