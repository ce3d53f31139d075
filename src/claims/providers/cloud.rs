//! What the clouds' backends have in common.

use rand::distr::{Alphanumeric, SampleString as _};
use secrecy::SecretString;

use super::{BackendError, Connection};
use crate::cloud::{ApiError, ErrorKind};

/// The disk of a machine where neither its claim nor the provider's size says anything, in GB.
pub(super) const DEFAULT_DISK: u64 = 20;
/// How long a new password is.
const PASSWORD_LENGTH: usize = 32;

impl From<ApiError> for BackendError {
    fn from(error: ApiError) -> Self {
        match error.may_have_happened {
            true => Self::unsure(error.to_string()),
            false => Self::refused(error.to_string()),
        }
    }
}

/// `None` for what is not there.
pub(super) fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, BackendError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A new password of letters and digits.
pub(super) fn new_password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH)
}

/// How a machine is reached.
pub(super) fn machine(id: String, name: String, address: Option<String>) -> Connection {
    let mut connection =
        Connection::from([("id", SecretString::from(id)), ("name", SecretString::from(name))]);
    if let Some(address) = address {
        connection.insert("host", SecretString::from(address.clone()));
        connection.insert("endpoint", SecretString::from(address));
    }
    connection
}

/// What no machine does.
pub(super) fn no_change() -> BackendError {
    BackendError::refused("a machine is not changed in place".to_owned())
}

/// What no machine has.
pub(super) fn no_password() -> BackendError {
    BackendError::refused("a machine has no password: SSH keys log in".to_owned())
}
