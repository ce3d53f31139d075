//! Exoscale's API, version 2: signed, typed, and careful.
//!
//! * [`credentials`]: the API key, from files that are read again or from the environment
//! * [`sign`]: the signature EXO2-HMAC-SHA256
//! * [`transport`]: one HTTP request, within a deadline
//! * [`budget`]: so many calls a minute, and none before the server's `Retry-After` is over
//! * [`client`]: a call: signed, sent, tried again where that is harmless, its errors told apart
//! * [`operation`]: what the API answers to every change, and how to wait for its end
//! * [`compute`], [`network`], [`sks`], [`dbaas`]: the endpoints that Berth needs
//! * [`prices`]: the public price list
//!
//! Only requests that change nothing are tried again by themselves. Whether a change whose answer
//! was lost has happened is for its caller to find out: [`ApiError::may_have_happened`] says when.
//!
//! The secret never leaves [`sign`]. What a server says is cleared of the key before it becomes an
//! error.

pub mod budget;
pub mod client;
pub mod compute;
pub mod credentials;
pub mod dbaas;
mod error;
pub mod network;
pub mod operation;
pub mod prices;
pub mod sign;
pub mod sks;
pub mod transport;

pub use client::{Client, Request, Settings};
pub use credentials::{CredentialSource, Credentials};
pub use error::{ApiError, ErrorKind};
pub use operation::{FailureReason, Operation, OperationState};

#[cfg(test)]
mod tests;
