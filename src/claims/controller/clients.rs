//! Clients of clouds, with the keys out of Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use parking_lot::Mutex;

use super::Shared;
use crate::api::ClaimProviderSpec;
use crate::claims::definition::Service;
use crate::claims::providers::{
    Backend, CloudNativePg, ExoscaleMachine, ExoscalePostgres, OvhMachine, OvhPostgres,
    ScalewayMachine, ScalewayPostgres,
};
use crate::clock::Clock;
use crate::exoscale::credentials::{KEY_FILE, SECRET_FILE};
use crate::exoscale::{self, CredentialSource, Credentials};
use crate::ovh::sign::{APPLICATION_KEY, APPLICATION_SECRET, CONSUMER_KEY};
use crate::{cloud, ovh, scaleway};

/// Where clouds are. Only the operator says so: no object in the cluster does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Exoscale's, with `{region}` for a provider's region.
    pub exoscale: String,
    /// OVH's.
    pub ovh: String,
    /// Scaleway's.
    pub scaleway: String,
}

/// A client of a cloud.
#[derive(Clone)]
enum Cloud {
    Exoscale(exoscale::Client),
    Ovh(ovh::Client),
    Scaleway(scaleway::Client),
}

/// The clients that there are, by provider: each with what it was made from.
pub(super) struct Clients {
    clock: Clock,
    known: Mutex<BTreeMap<String, (Origin, Cloud)>>,
}

/// What a client is made from: the version of the Secret with its key, region and project.
type Origin = (Option<String>, Option<String>, Option<String>);

impl Clients {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, known: Mutex::default() }
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
    if (spec.r#type.as_str(), service) == ("kubernetes", Service::PostgreSql) {
        return Ok(Arc::new(CloudNativePg(shared.client.clone())));
    }
    Ok(match (cloud(shared, name, spec).await?, service) {
        (Cloud::Exoscale(client), Service::PostgreSql) => Arc::new(ExoscalePostgres(client)),
        (Cloud::Exoscale(client), Service::VirtualMachine) => Arc::new(ExoscaleMachine(client)),
        (Cloud::Ovh(client), Service::PostgreSql) => Arc::new(OvhPostgres(client)),
        (Cloud::Ovh(client), Service::VirtualMachine) => Arc::new(OvhMachine(client)),
        (Cloud::Scaleway(client), Service::PostgreSql) => Arc::new(ScalewayPostgres(client)),
        (Cloud::Scaleway(client), Service::VirtualMachine) => Arc::new(ScalewayMachine(client)),
    })
}

async fn cloud(shared: &Shared, name: &str, spec: &ClaimProviderSpec) -> Result<Cloud, String> {
    let secret = secret(shared, spec).await?;
    let version = secret.metadata.resource_version.clone();
    let origin = (version, spec.region.clone(), spec.project.clone());
    if let Some((known, client)) = shared.clients.known.lock().get(name)
        && *known == origin
    {
        return Ok(client.clone());
    }
    let client = connect(shared, spec, &secret)?;
    shared.clients.known.lock().insert(name.to_owned(), (origin, client.clone()));
    Ok(client)
}

fn connect(shared: &Shared, spec: &ClaimProviderSpec, secret: &Secret) -> Result<Cloud, String> {
    let label = secret_label(secret);
    let part = |key: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(key));
        let text = data.and_then(|bytes| std::str::from_utf8(&bytes.0).ok()).map(str::trim);
        text.filter(|text| !text.is_empty()).ok_or_else(|| format!("{label} has no {key}"))
    };
    let (endpoints, clock) = (&shared.settings.endpoints, shared.clients.clock.clone());
    let region = spec.region.as_deref().unwrap_or_default();
    let project = spec.project.as_deref().unwrap_or_default();
    let calls = cloud::Settings::default();
    let made = match spec.r#type.as_str() {
        "exoscale" => {
            let credentials = Credentials::new(part(KEY_FILE)?, part(SECRET_FILE)?, &label)
                .map_err(|error| error.to_string())?;
            let endpoint = endpoints.exoscale.replace("{region}", region);
            let source = CredentialSource::Fixed(credentials);
            exoscale::Client::new(&endpoint, source, clock, exoscale::Settings::default())
                .map(Cloud::Exoscale)
        }
        "ovh" => {
            let keys = ovh::Keys {
                application: part(APPLICATION_KEY)?.into(),
                secret: part(APPLICATION_SECRET)?.into(),
                consumer: part(CONSUMER_KEY)?.into(),
            };
            ovh::Client::new(&endpoints.ovh, keys, region, project, clock, calls).map(Cloud::Ovh)
        }
        "scaleway" => {
            let key = part(scaleway::SECRET_KEY)?.into();
            scaleway::Client::new(&endpoints.scaleway, key, region, project, clock, calls)
                .map(Cloud::Scaleway)
        }
        other => return Err(format!("type {other} is no cloud that this version of Berth knows")),
    };
    made.map_err(|error| error.to_string())
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
