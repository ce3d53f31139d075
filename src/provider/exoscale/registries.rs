//! What nodes are told of image registries: mirrors, and what the Secrets that a node class names
//! say.
//!
//! Secrets are read when a class is looked at, so that what is missing is known before a launch,
//! and again for each instance: a new password reaches the nodes that are launched from then on.
//! It is no drift. Nothing that follows from a password is published, a hash neither.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use toml::{Table, Value};

use super::cluster::Cluster;
use super::token::NAMESPACE;
use crate::api::{ContainerRegistry, MirrorEndpoint, RegistryCredential, SecretKey};
use crate::provider::ProviderError;

/// What an operator gives Berth the right to read those Secrets by.
const RIGHT: &str = "deploy/options/exoscale-registries";

/// `settings.container-registry` of the user data. It holds passwords.
#[derive(Clone)]
pub struct Registries(Table);

impl fmt::Debug for Registries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Registries(..)")
    }
}

impl Registries {
    /// The settings.
    pub const fn settings(&self) -> &Table {
        &self.0
    }

    /// Reads what a node class names.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] if a Secret is missing, may not be read or makes no sense;
    /// others if the API server could not be asked.
    pub async fn read(
        cluster: &dyn Cluster,
        registry: &ContainerRegistry,
    ) -> Result<Self, ProviderError> {
        let mut secrets = Secrets { cluster, read: BTreeMap::new() };
        let (mut mirrors, mut tls) = (Vec::new(), Table::new());
        for mirror in &registry.mirrors {
            let urls = mirror.endpoints.iter().map(|endpoint| text(&endpoint.url));
            let pairs = [
                ("registry", text(&mirror.registry)),
                ("endpoint", urls.collect::<Vec<_>>().into()),
            ];
            mirrors.push(Value::Table(table(pairs)));
            for endpoint in &mirror.endpoints {
                let settings = secrets.endpoint(endpoint).await?;
                if !settings.is_empty() {
                    tls.insert(endpoint.url.clone(), settings.into());
                }
            }
        }
        let mut credentials = Vec::new();
        for credential in &registry.credentials {
            credentials.extend(secrets.credential(credential).await?.map(Value::Table));
        }
        let parts: [(&str, Value); 3] =
            [("mirrors", mirrors.into()), ("tls", tls.into()), ("credentials", credentials.into())];
        let is_said = |value: &Value| match value {
            Value::Array(list) => !list.is_empty(),
            Value::Table(table) => !table.is_empty(),
            _ => true,
        };
        Ok(Self(table(parts.into_iter().filter(|(_, value)| is_said(value)))))
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn table<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Table {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn refused(why: &str) -> ProviderError {
    ProviderError::Refused(format!("spec.containerRegistry of the node class: {why}"))
}

/// The Secrets of `kube-system`, each read once.
struct Secrets<'a> {
    cluster: &'a dyn Cluster,
    read: BTreeMap<String, BTreeMap<String, ByteString>>,
}

impl Secrets<'_> {
    /// The TLS settings of a mirror's endpoint.
    async fn endpoint(&mut self, endpoint: &MirrorEndpoint) -> Result<Table, ProviderError> {
        let flags =
            [("override_path", endpoint.override_path), ("skip_verify", endpoint.skip_verify)];
        let mut settings =
            table(flags.into_iter().filter_map(|(key, flag)| Some((key, flag?.into()))));
        if let Some(reference) = &endpoint.tls_secret_ref {
            let namespace = reference.namespace.as_deref().unwrap_or(NAMESPACE);
            settings.extend(self.tls(namespace, reference.name.as_deref().unwrap_or("")).await?);
        }
        Ok(settings)
    }

    /// The authority, certificate and key of a Secret, as Exoscale's own provider writes them: the
    /// PEM in base64.
    async fn tls(&mut self, namespace: &str, name: &str) -> Result<Table, ProviderError> {
        if namespace != NAMESPACE {
            return Err(refused(&format!(
                "tlsSecretRef {namespace}/{name}: expected a Secret in {NAMESPACE}"
            )));
        }
        let data = self.data(name).await?;
        let part = |key: &str| data.get(key).map(|value| &*value.0).filter(|it| !it.is_empty());
        let broken =
            |key: &str| refused(&format!("Secret {NAMESPACE}/{name}: its {key} is no PEM"));
        let certificate = |bytes: &[u8]| CertificateDer::from_pem_slice(bytes).is_ok();
        let (ca, cert, key) = (part("ca.crt"), part("tls.crt"), part("tls.key"));
        if ca.is_some_and(|bytes| !certificate(bytes)) {
            return Err(broken("ca.crt"));
        }
        if cert.is_some_and(|bytes| !certificate(bytes)) {
            return Err(broken("tls.crt"));
        }
        if key.is_some_and(|bytes| PrivateKeyDer::from_pem_slice(bytes).is_err()) {
            return Err(broken("tls.key"));
        }
        if cert.is_some() != key.is_some() {
            return Err(refused(&format!(
                "Secret {NAMESPACE}/{name} has one of tls.crt and tls.key: expected both or neither"
            )));
        }
        let parts = [("ca", ca), ("cert", cert), ("key", key)];
        Ok(table(
            parts
                .into_iter()
                .filter_map(|(key, bytes)| Some((key, STANDARD.encode(bytes?).into()))),
        ))
    }

    /// What a registry is told; `None` if something that may be missing is.
    async fn credential(
        &mut self,
        credential: &RegistryCredential,
    ) -> Result<Option<Table>, ProviderError> {
        let mut wanted: Vec<(&str, &SecretKey)> = Vec::new();
        if let Some(basic) = &credential.basic {
            wanted.push(("username", &basic.username_secret_ref));
            wanted.push(("password", &basic.password_secret_ref));
        }
        wanted.extend(credential.auth.as_ref().map(|auth| ("auth", &auth.auth_secret_ref)));
        let token = credential.identity_token.as_ref();
        wanted.extend(token.map(|token| ("identitytoken", &token.identity_token_secret_ref)));
        let mut told = table([("registry", text(&credential.registry))]);
        for (key, from) in wanted {
            let Some(value) = self.value(from).await? else { return Ok(None) };
            told.insert(key.to_owned(), Value::String(value));
        }
        Ok(Some(told))
    }

    async fn value(&mut self, from: &SecretKey) -> Result<Option<String>, ProviderError> {
        let SecretKey { name, key, optional } = from;
        let optional = *optional == Some(true);
        let data = match self.data(name).await {
            Err(ProviderError::Refused(_)) if optional => return Ok(None),
            data => data?,
        };
        match data.get(key) {
            Some(value) => match String::from_utf8(value.0.clone()) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(refused(&format!("Secret {NAMESPACE}/{name}: its {key} is no text"))),
            },
            None if optional => Ok(None),
            None => Err(refused(&format!("Secret {NAMESPACE}/{name} has no key {key}"))),
        }
    }

    async fn data(&mut self, name: &str) -> Result<&BTreeMap<String, ByteString>, ProviderError> {
        if !self.read.contains_key(name) {
            let found: Option<Secret> = match self.cluster.secret(name).await {
                Err(ProviderError::Refused(why)) => {
                    return Err(refused(&format!(
                        "Secret {NAMESPACE}/{name} may not be read: give the right as {RIGHT} does \
                         ({why})"
                    )));
                }
                found => found?,
            };
            let none = || refused(&format!("there is no Secret {NAMESPACE}/{name}"));
            self.read.insert(name.to_owned(), found.ok_or_else(none)?.data.unwrap_or_default());
        }
        Ok(&self.read[name])
    }
}
