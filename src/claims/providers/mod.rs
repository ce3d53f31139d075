//! What claims are served from.
//!
//! A backend makes no decisions: it says what is there, and does one thing when it is told to.

mod cloud;
mod cloud_init;
mod exoscale;
mod kubernetes;
mod ovh;
mod scaleway;

use std::collections::BTreeMap;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

pub use exoscale::{ExoscaleMachine, ExoscalePostgres};
pub use kubernetes::{CLAIM_UID_LABEL, CloudNativePg};
pub use ovh::{OvhMachine, OvhPostgres, plan_and_flavor};
pub use scaleway::{ScalewayMachine, ScalewayPostgres};

use super::claim::STORAGE;
use super::lifecycle::Found;
use crate::api::{ClaimProviderSpec, SizeMapping};

/// A kind of thing at a provider.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Whether a second create under the same name is refused (or is none): then it may be
    /// repeated whatever became of the first.
    fn is_idempotent(&self) -> bool;

    /// What is there under that name; `None` if the provider knows for sure that nothing is.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError>;

    /// Begins to create it.
    ///
    /// # Errors
    /// [`BackendError`]; it says whether something may have been created all the same.
    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError>;

    /// Begins to change what [`Self::observe`] said differs.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn update(&self, wanted: &Wanted) -> Result<(), BackendError>;

    /// Begins to delete it.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError>;

    /// Gives it a new password.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn rotate_password(&self, wanted: &Wanted) -> Result<(), BackendError>;

    /// What it takes to connect, by the key in the Secret. Where a cloud tells a password to nobody
    /// but who sets it, it is given a new one.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError>;
}

/// What it takes to connect, by the key in the Secret.
pub type Connection = BTreeMap<&'static str, SecretString>;

/// What is wanted of a provider.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the provider is to know it by.
    pub external_name: String,
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's UID.
    pub claim_uid: String,
    /// Whether it was there before the claim.
    pub is_adopted: bool,
    /// The provider's word for the size.
    pub size: SizeMapping,
    /// The provider's settings.
    pub provider: ClaimProviderSpec,
    /// The claim's parameters.
    pub parameters: BTreeMap<String, Value>,
    /// Labels that are handed on.
    pub labels: BTreeMap<String, String>,
    /// Annotations that are handed on.
    pub annotations: BTreeMap<String, String>,
}

impl Wanted {
    fn text(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.parameters.get(name)?.as_i64()
    }

    /// The size of a database's disk in GB, as the claim says it, else the provider's size.
    fn storage(&self) -> Option<u64> {
        let size = self.number(STORAGE).or(self.size.storage_gb)?;
        u64::try_from(size).ok()
    }

    /// The size of a machine's disk in GB.
    fn disk(&self) -> u64 {
        let size = self.number("diskGB").or(self.size.storage_gb);
        size.and_then(|size| u64::try_from(size).ok()).unwrap_or(cloud::DEFAULT_DISK)
    }

    fn version(&self) -> Result<&str, BackendError> {
        let missing = || BackendError::refused("parameters.version is missing".to_owned());
        self.text("version").ok_or_else(missing)
    }

    /// The cloud's id of the claim's image.
    fn image(&self) -> Result<&str, BackendError> {
        let image = self.text("image").unwrap_or_default();
        let settings = self.provider.virtual_machine.as_ref();
        let found = settings.and_then(|settings| settings.images.get(image));
        found
            .map(String::as_str)
            .ok_or_else(|| BackendError::refused(format!("the provider has no image {image:?}")))
    }

    fn list(&self, name: &str) -> Vec<String> {
        let list = self.parameters.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn plan(&self) -> Result<&str, BackendError> {
        let size = &self.size.size;
        let missing = || BackendError::refused(format!("the provider's size {size} has no plan"));
        self.size.plan.as_deref().ok_or_else(missing)
    }

    /// Who may connect: as the claim says, else as the provider does; never nobody, which clouds
    /// take for everybody.
    fn allowed_cidrs(&self) -> Result<Vec<String>, BackendError> {
        let mut allowed = self.list("allowedCIDRs");
        if allowed.is_empty() {
            let settings = self.provider.postgresql.as_ref();
            allowed = settings.map(|one| one.allowed_cidrs.clone()).unwrap_or_default();
        }
        if allowed.is_empty() {
            return Err(BackendError::refused(
                "allowedCIDRs is empty: everybody could connect".to_owned(),
            ));
        }
        allowed.sort_unstable();
        allowed.dedup();
        Ok(allowed)
    }
}

/// Why a provider did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BackendError {
    /// For people: shortened, without credentials.
    pub message: String,
    /// Whether it is sure that nothing was done.
    pub is_sure: bool,
}

impl BackendError {
    /// Nothing was done.
    pub fn refused(message: String) -> Self {
        Self { message: shortened(message), is_sure: true }
    }

    /// Nobody knows whether something was done.
    pub fn unsure(message: String) -> Self {
        Self { message: shortened(message), is_sure: false }
    }
}

/// What ends up in a status is for reading.
const LONGEST_MESSAGE: usize = 300;

fn shortened(message: String) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message,
    }
}

/// How a database is logged in to.
struct Login<'a> {
    host: &'a str,
    port: &'a str,
    user: &'a str,
    database: &'a str,
}

impl Login<'_> {
    /// The usual keys: Crossplane's (`endpoint`, `port`, `username`, `password`), `host`,
    /// `database`, and all in one as `uri`.
    fn connection(&self, password: &str) -> Connection {
        let Self { host, port, user, database } = *self;
        let escape = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let uri = format!(
            "postgresql://{}:{}@{host}:{port}/{}?sslmode=require",
            escape(user),
            escape(password),
            escape(database)
        );
        [
            ("endpoint", host),
            ("host", host),
            ("port", port),
            ("username", user),
            ("password", password),
            ("database", database),
            ("uri", uri.as_str()),
        ]
        .into_iter()
        .map(|(key, value)| (key, SecretString::from(value)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cloud_says_is_shortened_between_characters() {
        let error = BackendError::unsure("\u{e9}".repeat(LONGEST_MESSAGE + 1));
        assert_eq!(error.message, "\u{e9}".repeat(LONGEST_MESSAGE) + "...");
        let short = "over quota".to_owned();
        assert_eq!(BackendError::refused(short.clone()).message, short);
    }

    #[test]
    fn a_password_is_escaped_in_the_uri_and_plain_beside_it() {
        use secrecy::ExposeSecret as _;
        let login = Login { host: "db", port: "5432", user: "app", database: "app" };
        let connection = login.connection("a@b/c");
        assert_eq!(connection["password"].expose_secret(), "a@b/c");
        let uri = connection["uri"].expose_secret();
        assert_eq!(uri, "postgresql://app:a%40b%2Fc@db:5432/app?sslmode=require");
    }
}
