//! Clients of clouds, with the keys out of Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use parking_lot::Mutex;

use super::Shared;
use crate::api::ClaimProviderSpec;
use crate::claims::definition::Service;
use crate::claims::providers::{Backend, CloudNativePg, ExoscaleMachine, ExoscalePostgres};
use crate::clock::Clock;
use crate::exoscale::credentials::{KEY_FILE, SECRET_FILE};
use crate::exoscale::{self, CredentialSource, Credentials};

/// The clients that there are, by provider: each with the version of the Secret that its key is
/// from.
pub(super) struct Clients {
    clock: Clock,
    exoscale: Mutex<BTreeMap<String, (String, exoscale::Client)>>,
}

impl Clients {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, exoscale: Mutex::default() }
    }
}

/// What a provider's claims for a service are served by.
///
/// # Errors
/// Why it cannot be used: there is no key, or it serves no such thing.
pub(super) async fn backend(
    shared: &Shared,
    name: &str,
    spec: &ClaimProviderSpec,
    service: Service,
) -> Result<Arc<dyn Backend>, String> {
    match (spec.r#type.as_str(), service) {
        ("kubernetes", Service::PostgreSql) => Ok(Arc::new(CloudNativePg(shared.client.clone()))),
        ("exoscale", Service::PostgreSql) => {
            Ok(Arc::new(ExoscalePostgres(exoscale(shared, name, spec).await?)))
        }
        ("exoscale", Service::VirtualMachine) => {
            Ok(Arc::new(ExoscaleMachine(exoscale(shared, name, spec).await?)))
        }
        (kind, service) => {
            Err(format!("this version of Berth serves no {service} from type {kind}"))
        }
    }
}

async fn exoscale(
    shared: &Shared,
    name: &str,
    spec: &ClaimProviderSpec,
) -> Result<exoscale::Client, String> {
    let secret = secret(shared, spec).await?;
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    if let Some((known, client)) = shared.clients.exoscale.lock().get(name)
        && *known == version
    {
        return Ok(client.clone());
    }
    let label = secret_label(&secret);
    let part = |key: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(key));
        let text = data.and_then(|bytes| std::str::from_utf8(&bytes.0).ok());
        text.ok_or_else(|| format!("{label} has no {key}"))
    };
    let credentials = Credentials::new(part(KEY_FILE)?, part(SECRET_FILE)?, &label)
        .map_err(|error| error.to_string())?;
    let region = spec.region.as_deref().unwrap_or_default();
    let endpoint = shared.settings.exoscale_endpoint.replace("{region}", region);
    let client = exoscale::Client::new(
        &endpoint,
        CredentialSource::Fixed(credentials),
        shared.clients.clock.clone(),
        exoscale::Settings::default(),
    )
    .map_err(|error| error.to_string())?;
    shared.clients.exoscale.lock().insert(name.to_owned(), (version, client.clone()));
    Ok(client)
}

fn secret_label(secret: &Secret) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("Secret {}/{}", text(&secret.metadata.namespace), text(&secret.metadata.name))
}

async fn secret(shared: &Shared, spec: &ClaimProviderSpec) -> Result<Secret, String> {
    let reference = spec.credentials_secret_ref.as_ref();
    let reference = reference.ok_or_else(|| "it has no credentialsSecretRef".to_owned())?;
    let namespace = reference.namespace.as_deref().unwrap_or(&shared.settings.namespace);
    let name = &reference.name;
    let found = Api::<Secret>::namespaced(shared.client.clone(), namespace).get_opt(name).await;
    match found {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err(format!("Secret {namespace}/{name} with its key is not there")),
        Err(error) => Err(format!("Secret {namespace}/{name} with its key: {error}")),
    }
}
