use std::time::Duration;

use async_trait::async_trait;
use berth_solver::lifecycle::{ClaimRef, Refused, Write};
use berth_solver::model::{Name, Node, NodeClaim, Pod, PodKey};

/// The API server, as far as the autoscaler writes to it and reads from it past the cache.
///
/// All calls may run side by side. No call may hang: an implementation keeps its own time-outs.
#[async_trait]
pub trait ClusterWriter: Send + Sync + 'static {
    /// Carries out one write. A write that finds its work done already succeeds.
    ///
    /// # Errors
    /// [`WriteError`].
    async fn write(&self, write: &Write) -> Result<(), WriteError>;

    /// A node, read live (not from a cache); `None` if there is none of that name.
    ///
    /// # Errors
    /// [`WriteError`].
    async fn live_node(&self, name: &Name) -> Result<Option<Node>, WriteError>;

    /// All pods bound to a node, read live, those that have ended left out.
    ///
    /// # Errors
    /// [`WriteError`].
    async fn live_pods(&self, node: &Name) -> Result<Vec<Pod>, WriteError>;

    /// All NodeClaims, read live. Complete, or an error.
    ///
    /// # Errors
    /// [`WriteError`].
    async fn live_claims(&self) -> Result<Vec<NodeClaim>, WriteError>;

    /// Tells people about something, as a Kubernetes event. Best effort: an event that is lost is
    /// only logged.
    async fn notify(&self, notice: &Notice);
}

/// Why a write was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object is not there.
    #[error("not found: {0}")]
    NotFound(String),
    /// The object is there already, has another UID, or changed under our hands.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Not now: a PodDisruptionBudget that has none to spare, or too many requests.
    #[error("not now: {message}")]
    Later {
        /// What it said.
        message: String,
        /// How long to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// The API server will never take this: the object is invalid, or we may not write it.
    #[error("refused: {0}")]
    Refused(String),
    /// The API server could not do it (500), and said so: it evicts no pod, for instance, that two
    /// PodDisruptionBudgets protect.
    #[error("failed: {0}")]
    Failed(String),
    /// Anything else; trying again may help.
    #[error("{0}")]
    Other(String),
}

impl From<Refused> for WriteError {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::NotFound => Self::NotFound(message),
            Refused::Conflict => Self::Conflict(message),
            Refused::Blocked => Self::Later { message, retry_after: None },
        }
    }
}

/// Something to tell people, attached to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// About what.
    pub subject: Subject,
    /// Whether something is wrong.
    pub severity: Severity,
    /// One word, as `FailedScheduling`.
    pub reason: &'static str,
    /// What was done or tried, one word.
    pub action: &'static str,
    /// A sentence.
    pub message: String,
}

/// Whether an event tells of something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `Normal`.
    Normal,
    /// `Warning`.
    Warning,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A pod.
    Pod {
        /// Namespace and name.
        key: PodKey,
        /// `metadata.uid`.
        uid: Name,
    },
    /// A NodeClaim.
    Claim(ClaimRef),
    /// A Node, by name and UID.
    Node(berth_solver::lifecycle::NodeRef),
    /// A NodePool.
    Pool {
        /// `metadata.name`.
        name: Name,
        /// `metadata.uid`.
        uid: Name,
    },
}
