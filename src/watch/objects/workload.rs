use super::{Amounts, Condition, Meta, PodSpec, compact};

compact! {
    /// `apps/v1` DaemonSet.
    struct DaemonSet {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: DaemonSetSpec,
    }

    /// `spec`.
    struct DaemonSetSpec {
        /// `template`.
        template: PodTemplate,
    }

    /// `apps/v1` Deployment, StatefulSet or ReplicaSet.
    struct Workload {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: WorkloadSpec,
    }

    /// `spec`.
    struct WorkloadSpec {
        /// `replicas`.
        replicas: Option<i64>,
        /// `template`.
        template: PodTemplate,
    }

    /// `v1` PodTemplate.
    struct StoredTemplate {
        /// `metadata`.
        metadata: Meta,
        /// `template`.
        template: PodTemplate,
    }

    /// What a workload's pods are made from.
    struct PodTemplate {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: PodSpec,
    }

    /// `v1` Node.
    struct Node {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: NodeSpec,
        /// `status`.
        status: NodeStatus,
    }

    /// `spec`.
    struct NodeSpec {
        /// `providerID`.
        #[serde(rename = "providerID")]
        provider_id: String,
        /// `taints`.
        taints: Vec<Taint>,
        /// `unschedulable`.
        unschedulable: bool,
    }

    /// `spec.taints[]`.
    struct Taint {
        /// `key`.
        key: String,
        /// `value`.
        value: String,
        /// `effect`.
        effect: String,
    }

    /// `status`.
    struct NodeStatus {
        /// `capacity`.
        capacity: Amounts,
        /// `allocatable`.
        allocatable: Amounts,
        /// `conditions`.
        conditions: Vec<Condition>,
    }
}
