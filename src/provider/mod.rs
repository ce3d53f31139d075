//! Clouds: where machines come from.

mod calls;
pub mod exoscale;
pub mod kwok;
pub mod simulated;

use std::time::Duration;

use async_trait::async_trait;
use berth_solver::lifecycle::{ClaimRef, Instance, LaunchRequest, RepairPolicy};
use berth_solver::model::{Catalog, ConditionStatus, Name, NodePool};

/// What the daemon asks of a cloud.
///
/// All calls may be repeated and may run side by side; the daemon never runs two for one claim at
/// the same time. A provider keeps its own time-outs: no call may hang.
#[async_trait]
pub trait CloudProvider: Send + Sync + 'static {
    /// What it is called in logs and metrics.
    fn name(&self) -> &'static str;

    /// What it sells to this pool.
    ///
    /// # Errors
    /// [`ProviderError`]; the last known catalog stays in use then.
    async fn catalog(&self, pool: &NodePool) -> Result<Catalog, ProviderError>;

    /// Has a machine for a claim: creates it, or returns the one that already carries the claim's
    /// UID. However often it is called, and whatever died in between, there is at most one.
    ///
    /// # Errors
    /// [`ProviderError::InsufficientCapacity`] if the cloud has no such machine now (then none was
    /// created); any other error leaves open whether one was created.
    async fn create(&self, request: &LaunchRequest) -> Result<Instance, ProviderError>;

    /// The machine of that provider ID.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`] if the cloud knows for sure that there is none.
    async fn get(&self, provider_id: &str) -> Result<Instance, ProviderError>;

    /// All machines that carry this cluster's id, those that are being deleted too. Complete, or
    /// an error; only a machine that `create` has not completed yet may be left out, and one
    /// without a claim until the provider is sure of it.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn list(&self) -> Result<Vec<Instance>, ProviderError>;

    /// Deletes the machine of a claim: by provider ID if one is known, and whatever else carries
    /// the claim's UID. `Ok` says that the cloud accepted; the call is repeated until it says
    /// `NotFound`.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`] once there is none (any more).
    async fn delete(
        &self,
        claim: &ClaimRef,
        provider_id: Option<&Name>,
    ) -> Result<(), ProviderError>;

    /// Which nodes are unhealthy, and for how long that is put up with: they are replaced. None,
    /// unless it says so.
    fn repair_policies(&self) -> Vec<RepairPolicy> {
        Vec::new()
    }

    /// The node of a claim has joined: what let it join is of no use any more. Best effort, for a
    /// provider that makes sure of it in another way, too.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn joined(&self, _claim: &ClaimRef) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// A node that is not ready, or of which nothing is heard, for half an hour: what Karpenter's
/// provider for AWS puts up with.
fn not_ready_for_long() -> Vec<RepairPolicy> {
    let half_an_hour = Duration::from_mins(30);
    [ConditionStatus::False, ConditionStatus::Unknown]
        .map(|status| RepairPolicy::new("Ready", status, half_an_hour))
        .into()
}

/// Why a cloud did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It has no such machine in that zone, bought that way, now.
    #[error("insufficient capacity: {0}")]
    InsufficientCapacity(String),
    /// There is no such machine.
    #[error("not found: {0}")]
    NotFound(String),
    /// Too many calls; try again after this, if it said when.
    #[error("too many requests: {message}")]
    Throttled {
        /// What it said.
        message: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// It will refuse this for ever: a bad request, no permission, a quota.
    #[error("refused: {0}")]
    Refused(String),
    /// Anything else; trying again may help.
    #[error("{0}")]
    Other(String),
}

impl ProviderError {
    /// The kind, as metrics name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InsufficientCapacity(_) => "insufficient_capacity",
            Self::NotFound(_) => "not_found",
            Self::Throttled { .. } => "throttled",
            Self::Refused(_) => "refused",
            Self::Other(_) => "other",
        }
    }
}
