//! SKS, Exoscale's managed Kubernetes.

use serde::Deserialize;

use super::{ApiError, Client, Request};

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SksCluster {
    /// Its id.
    pub id: String,
    /// The Kubernetes version of its control plane.
    #[serde(default)]
    pub version: Option<String>,
    /// The address of its API server.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The security group that its nodes have by default.
    #[serde(default)]
    pub default_security_group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ActiveTemplate {
    #[serde(default)]
    active_template: Option<String>,
}

impl Client {
    /// A cluster.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn sks_cluster(&self, id: &str) -> Result<SksCluster, ApiError> {
        self.call(&Request::get("get-sks-cluster", &["sks-cluster", id])).await
    }

    /// The id of the template of nodes of a Kubernetes version (`1.36.2`) and variant (`standard`,
    /// `nvidia`), if there is one.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn sks_template(
        &self,
        version: &str,
        variant: &str,
    ) -> Result<Option<String>, ApiError> {
        let path = ["sks-template", version, variant];
        let found: ActiveTemplate =
            self.call(&Request::get("get-active-nodepool-template", &path)).await?;
        Ok(found.active_template)
    }
}
