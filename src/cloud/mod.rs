//! What all clouds' APIs have in common: a call, made carefully.
//!
//! * [`transport`]: one HTTP request, within a deadline
//! * [`budget`]: so many calls a minute, and none before the server's `Retry-After` is over
//! * [`client`]: a call: signed, sent, tried again where that is harmless, its errors told apart
//! * [`Scheme`]: how one cloud knows who calls
//!
//! Only requests that change nothing are tried again by themselves. Whether a change whose answer
//! was lost has happened is for its caller to find out: [`ApiError::may_have_happened`] says when.
//! What a server says is cleared of credentials before it becomes an error.

pub mod budget;
pub mod client;
mod error;
mod request;
mod scheme;
pub mod transport;

pub use client::{Client, Settings};
pub use error::{ApiError, ErrorKind};
pub(crate) use error::{says_no_capacity, says_quota};
pub use request::Request;
pub use scheme::{Message, Scheme, Signed};
