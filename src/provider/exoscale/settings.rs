use std::time::Duration;

use crate::exoscale::prices::{COMPUTE_PRICES, Currency};

/// How the provider works. The environment variables that are named here are those of the existing
/// provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ExoscaleSettings {
    /// The zone (`EXOSCALE_ZONE`).
    pub zone: String,
    /// What tells this cluster's instances from others': an SKS cluster's id
    /// (`EXOSCALE_SKS_CLUSTER_ID`), or any id of one's own.
    pub cluster_id: String,
    /// What instances' names begin with (`EXOSCALE_COMPUTE_INSTANCE_PREFIX`).
    pub instance_prefix: String,
    /// The cluster's DNS domain (`CLUSTER_DOMAIN`).
    pub cluster_domain: String,
    /// Where kubelets find the API server (`CLUSTER_ENDPOINT`); without it, where SKS says.
    pub cluster_endpoint: Option<String>,
    /// Whether nodes are in the SKS cluster's default security group
    /// (`USE_SKS_DEFAULT_SECURITY_GROUP`).
    pub use_default_security_group: bool,
    /// The currency of prices.
    pub currency: Currency,
    /// Where prices are published.
    pub prices_address: String,
    /// What a machine has less of its memory than the cloud says, in thousandths: what firmware and
    /// kernel keep.
    pub memory_overhead_permille: u32,
    /// How long after its declaration a create may still show. Longer than a call may take, and
    /// than lists lag behind.
    pub settle: Duration,
    /// How long an operation of the API is waited for.
    pub patience: Duration,
    /// How long a bootstrap token is valid.
    pub token_validity: Duration,
    /// An instance without a claim is removed when it is so old, at least...
    pub orphan_age: Duration,
    /// ...and was seen to have none for so long.
    pub orphan_watched: Duration,
}

impl ExoscaleSettings {
    /// The settings of a cluster in a zone, all others as they are by default.
    pub fn new(zone: &str, cluster_id: &str) -> Self {
        Self {
            zone: zone.to_owned(),
            cluster_id: cluster_id.to_owned(),
            instance_prefix: String::new(),
            cluster_domain: "cluster.local".to_owned(),
            cluster_endpoint: None,
            use_default_security_group: false,
            currency: Currency::default(),
            prices_address: COMPUTE_PRICES.to_owned(),
            // What Linux takes of a machine of 4 GiB.
            memory_overhead_permille: 40,
            settle: Duration::from_secs(120),
            patience: Duration::from_secs(150),
            token_validity: Duration::from_secs(600),
            orphan_age: Duration::from_secs(300),
            orphan_watched: Duration::from_secs(30),
        }
    }

    /// The API's endpoint of a zone; `environment` is `api` unless one tests against another one
    /// (`EXOSCALE_API_ENVIRONMENT`).
    pub fn endpoint(zone: &str, environment: &str) -> String {
        format!("https://{environment}-{zone}.exoscale.com/v2")
    }
}
