//! How Exoscale is reached: the flags, and the variables of the existing provider.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::clock::Clock;
use crate::commands::Failure;
use crate::exoscale::prices::{COMPUTE_PRICES, Currency};
use crate::exoscale::{Client, CredentialSource, Credentials, Settings};
use crate::provider::exoscale::{ExoscaleProvider, ExoscaleSettings, KubeCluster};

/// The variables that hold the API key where it is not in files: never an argument, which everybody
/// on the machine can read.
const KEY: &str = "EXOSCALE_API_KEY";
const SECRET: &str = "EXOSCALE_API_SECRET";

/// How Exoscale is reached (`--provider exoscale`).
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Exoscale")]
pub(super) struct ExoscaleArguments {
    /// The zone, for example ch-gva-2
    #[arg(long = "exoscale-zone", value_name = "ZONE", env = "EXOSCALE_ZONE")]
    zone: Option<String>,
    /// The SKS cluster's id, or any UUID of one's own: tells this cluster's instances from others'
    #[arg(long = "exoscale-cluster-id", value_name = "UUID", env = "EXOSCALE_SKS_CLUSTER_ID")]
    cluster_id: Option<String>,
    /// A folder with the files EXOSCALE_API_KEY and EXOSCALE_API_SECRET, read again for every call
    /// [default: the environment variables of those names]
    #[arg(long = "exoscale-credentials", value_name = "FOLDER", env = "EXOSCALE_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// What instances' names begin with
    #[arg(
        long = "exoscale-instance-prefix",
        value_name = "TEXT",
        env = "EXOSCALE_COMPUTE_INSTANCE_PREFIX",
        default_value = ""
    )]
    instance_prefix: String,
    /// The cluster's DNS domain
    #[arg(
        long = "cluster-domain",
        value_name = "DOMAIN",
        env = "CLUSTER_DOMAIN",
        default_value = "cluster.local"
    )]
    cluster_domain: String,
    /// Where nodes find the API server [default: where SKS says]
    #[arg(long = "cluster-endpoint", value_name = "URL", env = "CLUSTER_ENDPOINT")]
    cluster_endpoint: Option<String>,
    /// The API's endpoint [default: the zone's]
    #[arg(long = "exoscale-api-endpoint", value_name = "URL", env = "EXOSCALE_API_ENDPOINT")]
    api_endpoint: Option<String>,
    /// Which of the zone's endpoints, if not given whole
    #[arg(
        long = "exoscale-api-environment",
        value_name = "NAME",
        env = "EXOSCALE_API_ENVIRONMENT",
        default_value = "api"
    )]
    api_environment: String,
    /// Put nodes into the SKS cluster's default security group
    #[arg(
        long = "exoscale-default-security-group",
        value_name = "BOOL",
        env = "USE_SKS_DEFAULT_SECURITY_GROUP",
        default_value = "false",
        action = clap::ArgAction::Set,
        value_parser = |text: &str| Ok::<bool, std::convert::Infallible>(text == "true")
    )]
    default_security_group: bool,
    /// The currency of prices
    #[arg(
        long = "exoscale-currency",
        value_enum,
        env = "EXOSCALE_CURRENCY",
        default_value_t = Currency::Eur
    )]
    currency: Currency,
    /// Where prices are published
    #[arg(
        long = "exoscale-prices",
        value_name = "URL",
        env = "EXOSCALE_PRICES",
        default_value = COMPUTE_PRICES
    )]
    prices: String,
}

impl ExoscaleArguments {
    /// The provider.
    ///
    /// # Errors
    /// If something that is needed is not given, or makes no sense.
    pub(super) fn provider(
        &self,
        client: kube::Client,
        clock: Clock,
    ) -> Result<ExoscaleProvider, Failure> {
        let zone = given(self.zone.as_deref(), "EXOSCALE_ZONE", "the zone, such as ch-gva-2")?;
        let cluster_id = given(
            self.cluster_id.as_deref(),
            "EXOSCALE_SKS_CLUSTER_ID",
            "the SKS cluster's id, or a UUID of your own",
        )?;
        let endpoint = self.api_endpoint.clone().filter(|endpoint| !endpoint.is_empty());
        let endpoint =
            endpoint.unwrap_or_else(|| ExoscaleSettings::endpoint(zone, &self.api_environment));
        let api = Client::new(&endpoint, self.credentials()?, clock, Settings::default());
        let api =
            api.map_err(|error| Failure::BadInput(anyhow!("EXOSCALE_API_ENDPOINT: {error}")))?;
        let settings = ExoscaleSettings {
            instance_prefix: self.instance_prefix.clone(),
            cluster_domain: self.cluster_domain.clone(),
            cluster_endpoint: self.cluster_endpoint.clone().filter(|endpoint| !endpoint.is_empty()),
            use_default_security_group: self.default_security_group,
            currency: self.currency,
            prices_address: self.prices.clone(),
            ..ExoscaleSettings::new(zone, cluster_id)
        };
        let cluster = Arc::new(KubeCluster::new(client));
        let provider = ExoscaleProvider::new(api, cluster, settings);
        Ok(provider.context("cannot make a client of Exoscale's API")?)
    }

    fn credentials(&self) -> Result<CredentialSource, Failure> {
        if let Some(folder) = &self.credentials {
            return Ok(CredentialSource::Folder(folder.clone()));
        }
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let credentials = Credentials::new(&variable(KEY), &variable(SECRET), "the environment");
        let credentials = credentials.map_err(|error| {
            Failure::BadInput(anyhow!(
                "{error}: set EXOSCALE_CREDENTIALS to a folder with the files {KEY} and {SECRET}, \
                 or both variables"
            ))
        })?;
        Ok(CredentialSource::Fixed(credentials))
    }
}

fn given<'a>(value: Option<&'a str>, variable: &str, what: &str) -> Result<&'a str, Failure> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        Failure::BadInput(anyhow!("--provider exoscale: {variable} is not set: expected {what}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_variables_of_the_existing_provider_are_all_taken() {
        let command = ExoscaleArguments::augment_args(clap::Command::new("serve"));
        let taken: BTreeSet<String> = command
            .get_arguments()
            .filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()))
            .chain([KEY.to_owned(), SECRET.to_owned()])
            .collect();
        for variable in [
            "EXOSCALE_ZONE",
            "EXOSCALE_SKS_CLUSTER_ID",
            "EXOSCALE_API_KEY",
            "EXOSCALE_API_SECRET",
            "EXOSCALE_COMPUTE_INSTANCE_PREFIX",
            "CLUSTER_DOMAIN",
            "CLUSTER_ENDPOINT",
            "EXOSCALE_API_ENDPOINT",
            "EXOSCALE_API_ENVIRONMENT",
            "USE_SKS_DEFAULT_SECURITY_GROUP",
        ] {
            assert!(taken.contains(variable), "{variable}: {taken:?}");
        }
    }
}
