use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Taint, validation};

/// The finalizer that holds a node class while NodeClaims refer to it: the existing provider's.
pub const NODE_CLASS_FINALIZER: &str = "exoscale.com/nodeclass-finalizer";
/// The annotation of a NodeClaim with the configuration hash of the node class that it was launched
/// with.
pub const CONFIGURATION_HASH_ANNOTATION: &str = "karpenter.exoscale.com/configuration-hash";

/// What is particular to nodes on Exoscale.
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "karpenter.exoscale.com",
    version = "v1",
    kind = "ExoscaleNodeClass",
    plural = "exoscalenodeclasses",
    singular = "exoscalenodeclass",
    category = "karpenter",
    status = "ExoscaleNodeClassStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The node class of nodes on Exoscale",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    validation::EXOSCALE_GC_THRESHOLDS,
    validation::EXOSCALE_ONE_TEMPLATE,
    validation::EXOSCALE_TLS_SECRETS,
    validation::EXOSCALE_ONE_CREDENTIAL,
    validation::EXOSCALE_USER_DATA_OR_REGISTRY,
    validation::EXOSCALE_STATIC_CPUS,
]))]
pub struct ExoscaleNodeClassSpec {
    /// The id of the template of the root disk. Either this or imageTemplateSelector.
    #[serde(default, rename = "templateID", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::UUID))]
    pub template_id: Option<String>,
    /// Which of Exoscale's SKS templates is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_template_selector: Option<ImageTemplateSelector>,
    /// The size of the root disk in GiB.
    #[serde(default = "default_disk_size")]
    #[schemars(range(min = 10, max = 8000))]
    pub disk_size: i64,
    /// Which security groups instances are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub security_group_selector_terms: Vec<SelectorTerm>,
    /// Ids of security groups. Deprecated: use securityGroupSelectorTerms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub security_groups: Vec<String>,
    /// Which anti-affinity groups instances are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub anti_affinity_group_selector_terms: Vec<SelectorTerm>,
    /// Ids of anti-affinity groups. Deprecated: use antiAffinityGroupSelectorTerms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anti_affinity_groups: Vec<String>,
    /// Which private networks instances are attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub private_network_selector_terms: Vec<SelectorTerm>,
    /// Ids of private networks. Deprecated: use privateNetworkSelectorTerms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub private_networks: Vec<String>,
    /// Which elastic IPs every instance is given; a name is the address itself.
    #[serde(default, rename = "elasticIPSelectorTerms", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub elastic_ip_selector_terms: Vec<SelectorTerm>,
    /// Whether instances have an IPv6 address too.
    #[serde(default, rename = "enableIPv6", skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// How kubelet is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubelet: Option<Kubelet>,
    /// TOML that is merged into the user data; what Berth itself writes there wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Where images are pulled from, and as whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_registry: Option<ContainerRegistry>,
    /// Labels of nodes, in manifests of early versions of the existing provider. As its later
    /// versions do, Berth takes them and goes by those of the NodePool's template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_labels: BTreeMap<String, String>,
    /// Taints of nodes, in manifests of early versions of the existing provider. As its later
    /// versions do, Berth takes them and goes by those of the NodePool's template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_taints: Vec<Taint>,
}

fn default_disk_size() -> i64 {
    50
}

/// Which of Exoscale's SKS templates is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageTemplateSelector {
    /// The Kubernetes version. Without it, that of the control plane: its upgrade replaces nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$"))]
    pub version: Option<String>,
    /// standard, or nvidia for instances with GPUs.
    #[serde(default = "default_variant")]
    #[schemars(extend("enum" = ["standard", "nvidia"]))]
    pub variant: String,
}

fn default_variant() -> String {
    "standard".to_owned()
}

/// Something of the cloud, by its id or by its name.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(extend("x-kubernetes-validations" = [validation::EXOSCALE_ID_OR_NAME]))]
pub struct SelectorTerm {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How kubelet is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [validation::EXOSCALE_CPU_OPTIONS]))]
pub struct Kubelet {
    /// The addresses of the cluster's DNS.
    #[serde(default = "default_dns", rename = "clusterDNS")]
    pub cluster_dns: Vec<String>,
    /// none or static.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "cpu_policy_schema")]
    pub cpu_manager_policy: Option<String>,
    /// Options of the policy static.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "cpu_options_schema")]
    pub cpu_manager_policy_options: Vec<String>,
    /// How often the policy is held against what runs.
    #[serde(default = "default_reconcile_period")]
    #[schemars(regex(pattern = r"^[0-9]+(ns|us|ms|s|m|h)$"))]
    pub cpu_manager_reconcile_period: String,
    /// Feature gates of kubelet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_gates: BTreeMap<String, bool>,
    /// The disk usage from which on unused images are removed.
    #[serde(default = "default_high", rename = "imageGCHighThresholdPercent")]
    #[schemars(range(min = 0, max = 100))]
    pub image_gc_high_threshold_percent: i32,
    /// The disk usage down to which they are removed.
    #[serde(default = "default_low", rename = "imageGCLowThresholdPercent")]
    #[schemars(range(min = 0, max = 100))]
    pub image_gc_low_threshold_percent: i32,
    /// The age from which on an unused image may be removed.
    #[serde(default = "default_image_age", rename = "imageMinimumGCAge")]
    #[schemars(regex(pattern = r"^[0-9]+(s|m|h)$"))]
    pub image_minimum_gc_age: String,
    /// What is kept for Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_reserved: Option<KubeReserved>,
    /// How many pods a node may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_pods: Option<i32>,
    /// What is kept for the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_reserved: Option<SystemReserved>,
}

impl Default for Kubelet {
    fn default() -> Self {
        Self {
            cluster_dns: default_dns(),
            cpu_manager_policy: None,
            cpu_manager_policy_options: Vec::new(),
            cpu_manager_reconcile_period: default_reconcile_period(),
            feature_gates: BTreeMap::new(),
            image_gc_high_threshold_percent: default_high(),
            image_gc_low_threshold_percent: default_low(),
            image_minimum_gc_age: default_image_age(),
            kube_reserved: None,
            max_pods: None,
            system_reserved: None,
        }
    }
}

fn default_dns() -> Vec<String> {
    vec!["10.96.0.10".to_owned()]
}

fn default_reconcile_period() -> String {
    "10s".to_owned()
}

const fn default_high() -> i32 {
    85
}

const fn default_low() -> i32 {
    80
}

fn default_image_age() -> String {
    "2m".to_owned()
}

fn cpu_policy_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": ["none", "static"] })
}

fn cpu_options_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": [
            "full-pcpus-only",
            "distribute-cpus-across-numa",
            "prefer-align-cpus-by-uncorecache",
            "strict-cpu-reservation",
            "align-by-socket",
            "distribute-cpus-across-cores",
        ] },
        "x-kubernetes-list-type": "atomic",
    })
}

/// What is kept for Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeReserved {
    /// CPU.
    #[serde(default = "default_kube_cpu")]
    #[schemars(regex(pattern = validation::EXOSCALE_CPU))]
    pub cpu: String,
    /// Memory.
    #[serde(default = "default_kube_memory")]
    #[schemars(regex(pattern = validation::EXOSCALE_BYTES))]
    pub memory: String,
    /// Disk.
    #[serde(default = "default_kube_disk")]
    #[schemars(regex(pattern = validation::EXOSCALE_BYTES))]
    pub ephemeral_storage: String,
}

fn default_kube_cpu() -> String {
    "200m".to_owned()
}

fn default_kube_memory() -> String {
    "300Mi".to_owned()
}

fn default_kube_disk() -> String {
    "1Gi".to_owned()
}

impl Default for KubeReserved {
    fn default() -> Self {
        Self {
            cpu: default_kube_cpu(),
            memory: default_kube_memory(),
            ephemeral_storage: default_kube_disk(),
        }
    }
}

/// What is kept for the operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemReserved {
    /// CPU.
    #[serde(default = "default_system_cpu")]
    #[schemars(regex(pattern = validation::EXOSCALE_CPU))]
    pub cpu: String,
    /// Memory.
    #[serde(default = "default_system_memory")]
    #[schemars(regex(pattern = validation::EXOSCALE_BYTES))]
    pub memory: String,
    /// Disk.
    #[serde(default = "default_system_disk")]
    #[schemars(regex(pattern = validation::EXOSCALE_BYTES))]
    pub ephemeral_storage: String,
}

fn default_system_cpu() -> String {
    "100m".to_owned()
}

fn default_system_memory() -> String {
    "100Mi".to_owned()
}

fn default_system_disk() -> String {
    "3Gi".to_owned()
}

impl Default for SystemReserved {
    fn default() -> Self {
        Self {
            cpu: default_system_cpu(),
            memory: default_system_memory(),
            ephemeral_storage: default_system_disk(),
        }
    }
}

/// Where images are pulled from, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerRegistry {
    /// Other places where a registry's images can be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub mirrors: Vec<Mirror>,
    /// What registries are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub credentials: Vec<RegistryCredential>,
}

/// Other places where a registry's images can be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mirror {
    /// The registry.
    #[schemars(regex(pattern = validation::EXOSCALE_REGISTRY))]
    pub registry: String,
    /// The places, in the order in which they are tried.
    #[schemars(length(min = 1, max = 10))]
    pub endpoints: Vec<MirrorEndpoint>,
}

/// A place where a registry's images can be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MirrorEndpoint {
    /// Its address.
    #[schemars(regex(pattern = r"^https?://.+"))]
    pub url: String,
    /// Whether the address is the whole path of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_path: Option<bool>,
    /// Whether its certificate is not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_verify: Option<bool>,
    /// A Secret in kube-system with ca.crt, tls.crt and tls.key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub tls_secret_ref: Option<SecretReference>,
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace; kube-system without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What a registry is told: exactly one of basic, auth and identityToken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryCredential {
    /// The registry.
    #[schemars(regex(pattern = validation::EXOSCALE_REGISTRY))]
    pub registry: String,
    /// A user and a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicCredential>,
    /// The base64 of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthCredential>,
    /// A token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_token: Option<TokenCredential>,
}

/// A user and a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicCredential {
    /// The user.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub username_secret_ref: SecretKey,
    /// The password.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub password_secret_ref: SecretKey,
}

/// The base64 of a user and a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthCredential {
    /// Where it is.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub auth_secret_ref: SecretKey,
}

/// A token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenCredential {
    /// Where it is.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub identity_token_secret_ref: SecretKey,
}

/// A key of a Secret in kube-system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// The Secret's name.
    #[serde(default)]
    pub name: String,
    /// The key.
    pub key: String,
    /// Whether it may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// What became of a node class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExoscaleNodeClassStatus {
    /// The template that instances are created from.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// The ids of the security groups that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// The ids of the anti-affinity groups that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anti_affinity_groups: Vec<String>,
    /// The ids of the private networks that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_networks: Vec<String>,
    /// The ids of the elastic IPs that were found.
    #[serde(default, rename = "elasticIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = validation::UUID)))]
    pub elastic_ips: Vec<String>,
    /// The hash of what instances are told when they boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_hash: Option<String>,
    /// What was resolved, whether nodes can be launched, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
