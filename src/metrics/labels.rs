//! Label sets: bounded, never the name of a pod or a claim.

use prometheus_client::encoding::EncodeLabelSet;

/// A NodePool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolLabels {
    /// Its name.
    pub nodepool: String,
}

/// Where a pod was bound, or room is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PlaceLabels {
    /// A pod: `planned` or `elsewhere`. Room: `node`, `coming` (on nodes to come) or `nowhere`.
    pub place: &'static str,
}

/// A NodePool and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolReasonLabels {
    /// Why (`provisioned`, `Empty`, ...).
    pub reason: &'static str,
    /// The NodePool's name.
    pub nodepool: String,
}

/// A NodePool and a zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolZoneLabels {
    /// The NodePool's name.
    pub nodepool: String,
    /// The zone.
    pub zone: String,
}

/// What kind of node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CapacityLabels {
    /// The NodePool's name.
    pub nodepool: String,
    /// `on-demand`, `spot` or `reserved`.
    pub capacity_type: String,
    /// The zone.
    pub zone: String,
}

/// Why what kind of node was disrupted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DisruptionLabels {
    /// `Empty`, `Underutilized`, `Drifted`, `Expired`, `Unhealthy`.
    pub reason: &'static str,
    /// The NodePool's name.
    pub nodepool: String,
    /// `on-demand`, `spot` or `reserved`.
    pub capacity_type: String,
}

/// What kind of node was unhealthy for too long, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UnhealthyLabels {
    /// The type of the node's condition: `Ready`, `MemoryPressure`, ...
    pub condition: String,
    /// The NodePool's name.
    pub nodepool: String,
    /// `on-demand`, `spot` or `reserved`.
    pub capacity_type: String,
}

/// A decision to disrupt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DecisionLabels {
    /// `delete` or `replace`.
    pub decision: &'static str,
    /// `Empty`, `Underutilized`, `Drifted`.
    pub reason: &'static str,
    /// `empty`, `single`, `multi`.
    pub consolidation_type: &'static str,
}

/// A NodePool and a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolResourceLabels {
    /// `cpu`, `memory`, `nodes`, ...
    pub resource_type: String,
    /// The NodePool's name.
    pub nodepool: String,
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResourceLabels {
    /// `cpu`, `memory`, ...
    pub resource_type: &'static str,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// Why.
    pub reason: &'static str,
}

/// The API server's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabels {
    /// The HTTP status.
    pub code: u16,
}

/// Which loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ControllerLabels {
    /// `provisioner` or `disruption`.
    pub controller: &'static str,
}

/// A call to the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CloudLabels {
    /// Which loop called.
    pub controller: &'static str,
    /// `Create`, `Delete`, `Get`, `List`, `GetInstanceTypes`.
    pub method: &'static str,
    /// `kwok`, `exoscale`, `simulated`.
    pub provider: &'static str,
}

/// A call to the cloud that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CloudErrorLabels {
    /// Which loop called.
    pub controller: &'static str,
    /// `Create`, `Delete`, `Get`, `List`, `GetInstanceTypes`.
    pub method: &'static str,
    /// `kwok`, `exoscale`, `simulated`.
    pub provider: &'static str,
    /// What kind of error (never its text).
    pub error: &'static str,
}

/// How a plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MethodLabels {
    /// The solver's method.
    pub method: String,
}

/// An external write and how it went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EffectLabels {
    /// The effect's name.
    pub effect: &'static str,
    /// `done`, `conflict` or `failed`.
    pub outcome: &'static str,
}

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    /// `Pod`, `Node`, ...
    pub kind: &'static str,
}

/// A verb of the extender.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerbLabels {
    /// `filter`, `prioritize`, or `other`.
    pub verb: &'static str,
}

/// A call of the extender and its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerbCodeLabels {
    /// `filter`, `prioritize`, or `other`.
    pub verb: &'static str,
    /// The HTTP status.
    pub code: u16,
}

/// Which rule answered a filter call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabels {
    /// `planned`, `exchanged`, `waiting`, `fell_open`, `overtaken`, `unplanned`, `successor`,
    /// `exempt`, `bound`, `stale`, `unsynced`.
    pub verdict: &'static str,
}

/// Claims of a kind in a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClaimLabels {
    /// Their kind.
    pub kind: String,
    /// `waiting`, `creating`, `ready`, `held` (ready, but not as its manifest has it now: its
    /// condition `Synced` says why), `failing`, `paused`, `deleting`.
    pub state: String,
}

/// Claims of a namespace on a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClaimPriceLabels {
    /// The namespace.
    pub namespace: String,
    /// The ClaimProvider.
    pub provider: String,
}

/// Claims of a size on a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClaimSizeLabels {
    /// The size.
    pub size: String,
    /// The ClaimProvider.
    pub provider: String,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BuildLabels {
    /// The version of Berth.
    pub version: &'static str,
}
