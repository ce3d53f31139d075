//! What the provider reads from the Kubernetes cluster and writes to it.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Secret};

use crate::api::{ExoscaleNodeClass, ExoscaleNodeClassStatus, NodeClaim};
use crate::provider::ProviderError;

/// The API server, as far as the provider needs it. A trait, so that tests can stop the process at
/// every write.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// A NodeClaim, read live.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn claim(&self, name: &str) -> Result<Option<NodeClaim>, ProviderError>;

    /// All NodeClaims, read live. Complete, or an error.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn claims(&self) -> Result<Vec<NodeClaim>, ProviderError>;

    /// Sets annotations of a claim, on condition that the claim has not changed since it was read;
    /// gives the claim as it is then.
    ///
    /// # Errors
    /// [`ProviderError`], also if it has changed.
    async fn annotate(
        &self,
        claim: &NodeClaim,
        annotations: &[(&str, &str)],
    ) -> Result<NodeClaim, ProviderError>;

    /// Says on a claim in what its machine differs from its node class, or that it does not, on
    /// condition that the claim has not changed since it was read.
    ///
    /// # Errors
    /// [`ProviderError`], also if it has changed.
    async fn set_drift(
        &self,
        claim: &NodeClaim,
        differs: Option<&'static str>,
    ) -> Result<(), ProviderError>;

    /// A node class.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn node_class(&self, name: &str) -> Result<Option<ExoscaleNodeClass>, ProviderError>;

    /// All node classes.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn node_classes(&self) -> Result<Vec<ExoscaleNodeClass>, ProviderError>;

    /// Sets the finalizers of a node class, on condition that it has not changed since it was read;
    /// gives the class as it is then.
    ///
    /// # Errors
    /// [`ProviderError`], also if it has changed.
    async fn set_finalizers(
        &self,
        class: &ExoscaleNodeClass,
        finalizers: Vec<String>,
    ) -> Result<ExoscaleNodeClass, ProviderError>;

    /// Sets the status of a node class, on condition that it has not changed since it was read.
    ///
    /// # Errors
    /// [`ProviderError`], also if it has changed.
    async fn set_class_status(
        &self,
        class: &ExoscaleNodeClass,
        status: &ExoscaleNodeClassStatus,
    ) -> Result<(), ProviderError>;

    /// The version of the API server, as SKS names it: `1.36.2`.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn version(&self) -> Result<String, ProviderError>;

    /// The certificate of the authority that signs the API server's, PEM.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn authority(&self) -> Result<String, ProviderError>;

    /// Creates a bootstrap token; gives false if there is one of that name.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn create_token(&self, token: &Secret) -> Result<bool, ProviderError>;

    /// Deletes a bootstrap token. It is no error if there is none.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn delete_token(&self, name: &str) -> Result<(), ProviderError>;

    /// A Secret of `kube-system`.
    ///
    /// # Errors
    /// [`ProviderError`]; [`ProviderError::Refused`] if it may not be read.
    async fn secret(&self, name: &str) -> Result<Option<Secret>, ProviderError>;

    /// A node.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn node(&self, name: &str) -> Result<Option<Node>, ProviderError>;

    /// Creates a node; gives false if there is one of that name.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn create_node(&self, node: &Node) -> Result<bool, ProviderError>;

    /// Deletes a node, only if it still has that UID. It is no error if there is none.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn delete_node(&self, name: &str, uid: &str) -> Result<(), ProviderError>;
}
