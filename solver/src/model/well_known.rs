//! Names of labels, annotations, taints and finalizers that mean something.

/// The NodePool that a node or claim belongs to.
pub const NODEPOOL_LABEL: &str = "karpenter.sh/nodepool";
/// `on-demand`, `spot` or `reserved`.
pub const CAPACITY_TYPE_LABEL: &str = "karpenter.sh/capacity-type";
/// `true` once the node is fully up.
pub const INITIALIZED_LABEL: &str = "karpenter.sh/initialized";
/// `true` once the node has joined and was matched to its claim.
pub const REGISTERED_LABEL: &str = "karpenter.sh/registered";
/// The cloud's name of the machine's type.
pub const INSTANCE_TYPE_LABEL: &str = "node.kubernetes.io/instance-type";
/// `amd64`, `arm64`.
pub const ARCH_LABEL: &str = "kubernetes.io/arch";
/// `linux`, `windows`.
pub const OS_LABEL: &str = "kubernetes.io/os";
/// The node's host name: on clouds, its name.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// The zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Not a label but the field that `matchFields` of node affinity looks at: the node's name. In
/// [`Requirements`](super::Requirements) it stands among the labels' keys.
pub const NODE_NAME_FIELD: &str = "metadata.name";
/// The region.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";

/// On nodes that are about to be removed (`NoSchedule`).
pub const DISRUPTED_TAINT: &str = "karpenter.sh/disrupted";
/// On nodes that have not been matched to their claim yet (`NoExecute`).
pub const UNREGISTERED_TAINT: &str = "karpenter.sh/unregistered";
/// On nodes that were cordoned.
pub const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";
/// On nodes whose kubelet is not ready.
pub const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";
/// On nodes that the node controller cannot reach.
pub const UNREACHABLE_TAINT: &str = "node.kubernetes.io/unreachable";
/// On nodes that the cloud controller has not seen yet.
pub const CLOUD_UNINITIALIZED_TAINT: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// Holds a node and its claim until the machine is gone.
pub const TERMINATION_FINALIZER: &str = "karpenter.sh/termination";

/// On pods (`true` or a duration) and nodes (`true`): not to be disrupted voluntarily.
pub const DO_NOT_DISRUPT_ANNOTATION: &str = "karpenter.sh/do-not-disrupt";
/// Cluster Autoscaler's word for pods: `false` keeps a node.
pub const SAFE_TO_EVICT_ANNOTATION: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// Cluster Autoscaler's word for nodes: `true` keeps it.
pub const SCALE_DOWN_DISABLED_ANNOTATION: &str =
    "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// How much it costs to delete a pod, compared with its siblings.
pub const POD_DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";
/// The hash of the NodePool's template that a claim was made from.
pub const NODEPOOL_HASH_ANNOTATION: &str = "karpenter.sh/nodepool-hash";
/// Which way of hashing made it.
pub const NODEPOOL_HASH_VERSION_ANNOTATION: &str = "karpenter.sh/nodepool-hash-version";
/// On NodeClaims: the UIDs, separated by commas, of the pods that the plan launched it for.
pub const PLANNED_PODS_ANNOTATION: &str = "berth.sh/planned-pods";
/// On NodeClaims: price per hour of the offering that the plan chose.
pub const PRICE_ANNOTATION: &str = "berth.sh/price-per-hour";
/// On NodeClaims: `true` if the NodePool's `minValues` had to be given up for it.
pub const MIN_VALUES_RELAXED_ANNOTATION: &str = "karpenter.sh/nodeclaim-min-values-relaxed";
/// On NodePools: the most that its nodes may cost together, per hour.
pub const PRICE_LIMIT_ANNOTATION: &str = "berth.sh/limit-price-per-hour";
/// On Nodes that a provider creates ahead of their kubelets: the UID of the NodeClaim.
pub const CLAIM_UID_LABEL: &str = "berth.sh/nodeclaim-uid";
/// On NodeClaims: by when it is to be gone, whatever its pods say (RFC 3339).
pub const TERMINATION_TIMESTAMP_ANNOTATION: &str = "karpenter.sh/nodeclaim-termination-timestamp";
/// On pods (`true`): the only pod of a Deployment is not evicted; its Deployment is told to roll,
/// and it goes when its successor runs.
pub const REPLACE_FIRST_ANNOTATION: &str = "berth.sh/replace-before-eviction";
/// On the pod template of such a Deployment: the UID of the pod that had to make way.
pub const REPLACES_ANNOTATION: &str = "berth.sh/replaces-pod";
/// On NodeClaims: why it was launched.
pub const REASON_ANNOTATION: &str = "berth.sh/reason";

/// The NodeClaim's conditions, in the order in which they become true.
pub mod condition {
    /// The cloud accepted the machine.
    pub const LAUNCHED: &str = "Launched";
    /// Its node has joined.
    pub const REGISTERED: &str = "Registered";
    /// The node is ready, its startup taints are gone, its resources are there.
    pub const INITIALIZED: &str = "Initialized";
    /// All of the above.
    pub const READY: &str = "Ready";
    /// Nothing left to evict.
    pub const DRAINED: &str = "Drained";
    /// No volume is attached to its node any more.
    pub const VOLUMES_DETACHED: &str = "VolumesDetached";
    /// The cloud was told to delete the machine.
    pub const INSTANCE_TERMINATING: &str = "InstanceTerminating";
    /// No pod has come or left for `consolidateAfter`.
    pub const CONSOLIDATABLE: &str = "Consolidatable";
    /// It is not what its NodePool asks for any more.
    pub const DRIFTED: &str = "Drifted";
    /// Its machine is not what its NodeClass asks for any more: the reason says in what. Written by
    /// providers.
    pub const NODE_CLASS_DRIFTED: &str = "NodeClassDrifted";
    /// Why it is being removed.
    pub const DISRUPTION_REASON: &str = "DisruptionReason";
}
