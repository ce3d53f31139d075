//! The API key: an identifier and a secret.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// The file of a mounted Secret that holds the key's identifier, named as the environment variable.
pub const KEY_FILE: &str = "EXOSCALE_API_KEY";
/// The file that holds the key's secret.
pub const SECRET_FILE: &str = "EXOSCALE_API_SECRET";
/// A key that is swapped while it is read is read again so often.
const ATTEMPTS: usize = 3;

/// An API key. Neither of its parts is ever printed.
#[derive(Clone)]
pub struct Credentials {
    /// The identifier (`EXO...`).
    pub key: String,
    /// The secret.
    pub secret: SecretString,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(redacted)")
    }
}

impl Credentials {
    /// Takes both parts, without the white space around them.
    ///
    /// # Errors
    /// [`CredentialsError::Empty`], naming `source`.
    pub fn new(key: &str, secret: &str, source: &str) -> Result<Self, CredentialsError> {
        let empty = |what| CredentialsError::Empty { what, source_name: source.to_owned() };
        let (key, secret) = (key.trim(), secret.trim());
        if key.is_empty() {
            return Err(empty("the API key"));
        }
        if secret.is_empty() {
            return Err(empty("the API secret"));
        }
        Ok(Self { key: key.to_owned(), secret: secret.into() })
    }
}

/// Where the API key comes from.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// A folder with the files [`KEY_FILE`] and [`SECRET_FILE`], as Kubernetes mounts a Secret.
    /// They are read for every call, so that a rotated key is taken up at once.
    Folder(PathBuf),
    /// The environment of the process, which does not change.
    Fixed(Credentials),
}

/// Why there is no API key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A part of it is empty.
    #[error("{what} in {source_name} is empty")]
    Empty {
        /// Which.
        what: &'static str,
        /// Where it was looked for.
        source_name: String,
    },
    /// A file cannot be read.
    #[error("cannot read {file}: {message}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
}

impl CredentialSource {
    /// The key as it is now.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn read(&self) -> Result<Credentials, CredentialsError> {
        let folder = match self {
            Self::Fixed(credentials) => return Ok(credentials.clone()),
            Self::Folder(folder) => folder,
        };
        let mut key = read(&folder.join(KEY_FILE)).await?;
        // Kubernetes swaps both files at once: a pair was read when the first is still the same
        // after the second.
        let mut secret = String::new();
        for _ in 0..ATTEMPTS {
            secret = read(&folder.join(SECRET_FILE)).await?;
            let again = read(&folder.join(KEY_FILE)).await?;
            if again == key {
                break;
            }
            key = again;
        }
        Credentials::new(&key, &secret, &folder.display().to_string())
    }
}

async fn read(file: &Path) -> Result<String, CredentialsError> {
    tokio::fs::read_to_string(file).await.map_err(|error| CredentialsError::Unreadable {
        file: file.display().to_string(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn files_are_read_again_and_nothing_of_them_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let source = CredentialSource::Folder(folder.path().to_owned());
        let error = source.read().await.unwrap_err().to_string();
        assert!(error.contains("EXOSCALE_API_KEY: No such file"), "{error}");

        std::fs::write(folder.path().join(KEY_FILE), "EXOone\n").unwrap();
        std::fs::write(folder.path().join(SECRET_FILE), " canary \n").unwrap();
        let first = source.read().await.unwrap();
        assert_eq!((first.key.as_str(), first.secret.expose_secret()), ("EXOone", "canary"));
        assert_eq!(format!("{first:?} {source:?}").matches("canary").count(), 0);

        std::fs::write(folder.path().join(KEY_FILE), "EXOtwo").unwrap();
        assert_eq!(source.read().await.unwrap().key, "EXOtwo");

        std::fs::write(folder.path().join(SECRET_FILE), "\n").unwrap();
        let error = source.read().await.unwrap_err().to_string();
        assert_eq!(error, format!("the API secret in {} is empty", folder.path().display()));
    }
}
