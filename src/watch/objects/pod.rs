use std::collections::BTreeMap;

use super::{Amounts, Condition, Expression, LabelSelector, Meta, compact};

compact! {
    /// `v1` Pod.
    struct Pod {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: PodSpec,
        /// `status`.
        status: PodStatus,
    }

    /// `spec`.
    struct PodSpec {
        /// `nodeName`.
        node_name: String,
        /// `schedulerName`.
        scheduler_name: String,
        /// `priority`.
        priority: i32,
        /// `hostNetwork`.
        host_network: bool,
        /// `nodeSelector`.
        node_selector: BTreeMap<String, String>,
        /// `affinity`.
        affinity: Affinity,
        /// `tolerations`.
        tolerations: Vec<Toleration>,
        /// `topologySpreadConstraints`.
        topology_spread_constraints: Vec<TopologySpreadConstraint>,
        /// `containers`.
        containers: Vec<Container>,
        /// `initContainers`.
        init_containers: Vec<Container>,
        /// `resources`: of the whole pod.
        resources: ResourceRequirements,
        /// `overhead`.
        overhead: Amounts,
        /// `volumes`.
        volumes: Vec<VolumeSource>,
        /// `schedulingGates`.
        scheduling_gates: Vec<SchedulingGate>,
    }

    /// `spec.containers[]` and `spec.initContainers[]`.
    struct Container {
        /// `name`.
        name: String,
        /// `restartPolicy`: `Always` makes an init container a sidecar.
        restart_policy: String,
        /// `resources`.
        resources: ResourceRequirements,
        /// `ports`.
        ports: Vec<Port>,
    }

    /// `resources`.
    struct ResourceRequirements {
        /// `requests`; whether there are any matters in statuses.
        requests: Option<Amounts>,
        /// `limits`.
        limits: Amounts,
    }

    /// `ports[]` of a container.
    struct Port {
        /// `containerPort`.
        container_port: i64,
        /// `hostPort`.
        host_port: i64,
        /// `hostIP`.
        #[serde(rename = "hostIP")]
        host_ip: String,
        /// `protocol`.
        protocol: String,
    }

    /// `spec.volumes[]`.
    struct VolumeSource {
        /// `name`.
        name: String,
        /// `persistentVolumeClaim`.
        persistent_volume_claim: Option<ClaimSource>,
        /// `ephemeral`: a claim that is made with the pod.
        ephemeral: Option<EphemeralSource>,
    }

    /// `persistentVolumeClaim`.
    struct ClaimSource {
        /// `claimName`.
        claim_name: String,
    }

    /// `ephemeral`: of its template nothing matters, the claim made from it does.
    struct EphemeralSource {}

    /// `spec.schedulingGates[]`.
    struct SchedulingGate {
        /// `name`.
        name: String,
    }

    /// `spec.tolerations[]`.
    struct Toleration {
        /// `key`.
        key: String,
        /// `operator`.
        operator: String,
        /// `value`.
        value: String,
        /// `effect`.
        effect: String,
    }

    /// `spec.topologySpreadConstraints[]`.
    struct TopologySpreadConstraint {
        /// `topologyKey`.
        topology_key: String,
        /// `maxSkew`.
        max_skew: i64,
        /// `minDomains`.
        min_domains: Option<i64>,
        /// `whenUnsatisfiable`.
        when_unsatisfiable: String,
        /// `labelSelector`.
        label_selector: Option<LabelSelector>,
        /// `matchLabelKeys`.
        match_label_keys: Vec<String>,
        /// `nodeAffinityPolicy`.
        node_affinity_policy: String,
        /// `nodeTaintsPolicy`.
        node_taints_policy: String,
    }

    /// `spec.affinity`.
    struct Affinity {
        /// `nodeAffinity`.
        node_affinity: NodeAffinity,
        /// `podAffinity`.
        pod_affinity: PodAffinity,
        /// `podAntiAffinity`.
        pod_anti_affinity: PodAffinity,
    }

    /// `spec.affinity.nodeAffinity`.
    struct NodeAffinity {
        /// `requiredDuringSchedulingIgnoredDuringExecution`.
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
        required: Option<NodeSelector>,
        /// `preferredDuringSchedulingIgnoredDuringExecution`.
        #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
        preferred: Vec<PreferredSchedulingTerm>,
    }

    /// A node selector.
    struct NodeSelector {
        /// `nodeSelectorTerms`.
        node_selector_terms: Vec<NodeSelectorTerm>,
    }

    /// `nodeSelectorTerms[]`.
    struct NodeSelectorTerm {
        /// `matchExpressions`.
        match_expressions: Vec<Expression>,
        /// `matchFields`.
        match_fields: Vec<Expression>,
    }

    /// A preferred node selector term.
    struct PreferredSchedulingTerm {
        /// `weight`.
        weight: i32,
        /// `preference`.
        preference: NodeSelectorTerm,
    }

    /// `spec.affinity.podAffinity` and `podAntiAffinity`.
    struct PodAffinity {
        /// `requiredDuringSchedulingIgnoredDuringExecution`.
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
        required: Vec<PodAffinityTerm>,
        /// `preferredDuringSchedulingIgnoredDuringExecution`.
        #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
        preferred: Vec<WeightedPodAffinityTerm>,
    }

    /// A term of pod (anti-)affinity.
    struct PodAffinityTerm {
        /// `topologyKey`.
        topology_key: String,
        /// `labelSelector`.
        label_selector: Option<LabelSelector>,
        /// `namespaces`.
        namespaces: Vec<String>,
        /// `namespaceSelector`.
        namespace_selector: Option<LabelSelector>,
        /// `matchLabelKeys`.
        match_label_keys: Vec<String>,
        /// `mismatchLabelKeys`.
        mismatch_label_keys: Vec<String>,
    }

    /// A preferred term of pod (anti-)affinity.
    struct WeightedPodAffinityTerm {
        /// `weight`.
        weight: i32,
        /// `podAffinityTerm`.
        pod_affinity_term: PodAffinityTerm,
    }

    /// `status`.
    struct PodStatus {
        /// `phase`.
        phase: String,
        /// `nominatedNodeName`.
        nominated_node_name: String,
        /// `startTime`, RFC 3339.
        start_time: String,
        /// `conditions`.
        conditions: Vec<Condition>,
        /// `containerStatuses`.
        container_statuses: Vec<ContainerStatus>,
        /// `initContainerStatuses`.
        init_container_statuses: Vec<ContainerStatus>,
        /// `resources`: of the whole pod, as they are enforced.
        resources: Option<ResourceRequirements>,
        /// `allocatedResources`: of the whole pod, as kubelet admitted them.
        allocated_resources: Option<Amounts>,
    }

    /// `status.containerStatuses[]`.
    struct ContainerStatus {
        /// `name`.
        name: String,
        /// `allocatedResources`: as kubelet admitted them.
        allocated_resources: Option<Amounts>,
        /// `resources`: as they are enforced.
        resources: Option<ResourceRequirements>,
    }
}

impl Container {
    /// Whether this init container is a sidecar: it runs on beside the containers.
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}
