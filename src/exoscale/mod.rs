//! Exoscale's API, version 2: signed, typed, and careful ([`crate::cloud`]).
//!
//! * [`credentials`]: the API key, from files that are read again or from the environment
//! * [`sign`]: the signature EXO2-HMAC-SHA256
//! * [`client`]: a client of one zone
//! * [`operation`]: what the API answers to every change, and how to wait for its end
//! * [`compute`], [`network`], [`sks`], [`dbaas`]: the endpoints that Berth needs
//! * [`prices`]: the public price list
//!
//! The secret never leaves [`sign`].

pub mod client;
pub mod compute;
pub mod credentials;
pub mod dbaas;
pub mod network;
pub mod operation;
pub mod prices;
pub mod sign;
pub mod sks;

pub use client::{Client, Settings};
pub use credentials::{CredentialSource, Credentials};
pub use operation::{FailureReason, Operation, OperationState};

pub use crate::cloud::{ApiError, ErrorKind, Request};

/// As errors name it.
pub(crate) const CLOUD: &str = "Exoscale";

#[cfg(test)]
mod tests;
