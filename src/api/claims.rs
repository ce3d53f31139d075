//! What platform teams say of claims: which kinds there are, and where things come from.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Quantity, validation};

/// A kind of claim: Berth makes a CustomResourceDefinition of it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "claims.berth.sh",
    version = "v1alpha1",
    kind = "ClaimDefinition",
    plural = "claimdefinitions",
    singular = "claimdefinition",
    category = "berth",
    status = "ClaimDefinitionStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A kind of claim that developers may make",
    printcolumn = r#"{"name": "Kind", "type": "string", "jsonPath": ".spec.names.kind"}"#,
    printcolumn = r#"{"name": "Group", "type": "string", "jsonPath": ".spec.group"}"#,
    printcolumn = r#"{"name": "Service", "type": "string", "jsonPath": ".spec.service"}"#,
    printcolumn = r#"{"name": "Established", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Established')].status"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    validation::CLAIM_IDENTITY_IS_IMMUTABLE,
    validation::CLAIM_DEFAULT_SIZE,
]))]
pub struct ClaimDefinitionSpec {
    /// The API group of the claims: your own.
    #[schemars(
        regex(pattern = validation::DNS_SUBDOMAIN),
        length(max = 200),
        extend("x-kubernetes-validations" = [validation::CLAIM_GROUP_IS_FREE])
    )]
    pub group: String,
    /// The version of the claims' API.
    #[serde(default = "default_version")]
    #[schemars(regex(pattern = r"^v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?$"), length(max = 20))]
    pub version: String,
    /// What claims are called.
    pub names: ClaimNames,
    /// What stands behind a claim: PostgreSQL or VirtualMachine.
    #[schemars(extend("enum" = ["PostgreSQL", "VirtualMachine"]))]
    pub service: String,
    /// The sizes that there are, smallest first.
    #[schemars(
        length(min = 1, max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub sizes: Vec<ClaimSize>,
    /// The size of a claim that names none. Without it every claim has to name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub default_size: Option<String>,
    /// What else may be said of a claim. PostgreSQL: version, storageGB, allowedCIDRs.
    /// VirtualMachine: image, diskGB, sshPublicKeys, packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub parameters: Vec<ClaimParameter>,
    /// What becomes of the thing when its claim is deleted and does not say itself: Retain or
    /// Delete.
    #[serde(default = "default_deletion_policy")]
    #[schemars(extend("enum" = ["Retain", "Delete"]))]
    pub deletion_policy: String,
}

fn default_version() -> String {
    "v1alpha1".to_owned()
}

fn default_deletion_policy() -> String {
    "Retain".to_owned()
}

/// What claims of a kind are called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimNames {
    /// The kind, as PostgreSQLInstance.
    #[schemars(regex(pattern = r"^[A-Z][A-Za-z0-9]*$"), length(max = 63))]
    pub kind: String,
    /// The plural, as postgresqlinstances.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9]*$"), length(max = 63))]
    pub plural: String,
    /// The singular; without it the kind in small letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9]*$"), length(max = 63))]
    pub singular: Option<String>,
    /// Short names for kubectl.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), inner(regex(pattern = r"^[a-z][a-z0-9]*$"), length(max = 63)))]
    pub short_names: Vec<String>,
}

/// A size of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSize {
    /// Its name, as small.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 40))]
    pub name: String,
    /// What people get.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub description: String,
}

/// A parameter that claims of a kind have, within bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [validation::CLAIM_BOUNDS_IN_ORDER]))]
pub struct ClaimParameter {
    /// Which.
    #[schemars(extend("enum" = [
        "version", "storageGB", "allowedCIDRs", "image", "diskGB", "sshPublicKeys", "packages"
    ]))]
    pub name: String,
    /// What it is for, as the schema says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 500))]
    pub description: String,
    /// The values that there are, for texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 100)))]
    pub values: Vec<String>,
    /// The least, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub minimum: Option<i64>,
    /// The most: of a number, or of entries of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub maximum: Option<i64>,
    /// The value of a claim that gives none; a number is written as a text too. Lists have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub default: Option<String>,
    /// Whether every claim has to give it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// What became of a kind of claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimDefinitionStatus {
    /// Whether there are claims of the kind, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How many claims of the kind there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<i64>,
}

/// Where databases and machines come from.
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "claims.berth.sh",
    version = "v1alpha1",
    kind = "ClaimProvider",
    plural = "claimproviders",
    singular = "claimprovider",
    category = "berth",
    derive = "PartialEq",
    derive = "Default",
    doc = "A cloud's region, or this cluster, that claims may be served from. Its labels are what claims select it by",
    printcolumn = r#"{"name": "Type", "type": "string", "jsonPath": ".spec.type"}"#,
    printcolumn = r#"{"name": "Region", "type": "string", "jsonPath": ".spec.region"}"#,
    printcolumn = r#"{"name": "Budget", "type": "string", "jsonPath": ".spec.monthlyBudget"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    validation::PROVIDER_IDENTITY_IS_IMMUTABLE,
    validation::PROVIDER_CLOUD_NEEDS,
    validation::PROVIDER_PROJECT,
    validation::PROVIDER_SIZES_HAVE_PLANS,
    validation::PROVIDER_SIZES_HAVE_PRICES,
    validation::PROVIDER_MACHINES,
    validation::PROVIDER_PRIVATE_NETWORK,
]))]
pub struct ClaimProviderSpec {
    /// Whose: exoscale, ovh, scaleway, or kubernetes for this cluster.
    #[schemars(extend("enum" = ["exoscale", "ovh", "scaleway", "kubernetes"]))]
    pub r#type: String,
    /// The cloud's region or zone, as ch-gva-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$"), length(max = 40))]
    pub region: Option<String>,
    /// The project at OVH or Scaleway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][-A-Za-z0-9]*$"), length(max = 64))]
    pub project: Option<String>,
    /// The Secret with the cloud's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretReference>,
    /// What it calls each size, and what that costs.
    #[schemars(length(min = 1, max = 64))]
    pub sizes: Vec<SizeMapping>,
    /// Which namespaces may use it; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceSelection>,
    /// What all claims on it may cost together in a month, as "500" or "99.50".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::MONEY))]
    pub monthly_budget: Option<String>,
    /// What each namespace may have of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_per_namespace: Option<NamespaceQuota>,
    /// How databases are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<PostgresqlSettings>,
    /// How machines are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<MachineSettings>,
    /// What is there already and may be adopted, by whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub adoptable: Vec<Adoptable>,
}

impl ClaimProviderSpec {
    /// What it calls a size of a service.
    pub fn mapping(&self, service: &str, size: &str) -> Option<&SizeMapping> {
        self.sizes.iter().find(|one| one.service == service && one.size == size)
    }

    /// The Private Network that its databases are in.
    pub fn private_network(&self) -> Option<&str> {
        self.postgresql.as_ref()?.private_network.as_deref()
    }
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Its name.
    #[schemars(regex(pattern = validation::DNS_SUBDOMAIN), length(max = 253))]
    pub name: String,
    /// Its namespace; without it, Berth's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::DNS_LABEL), length(max = 63))]
    pub namespace: Option<String>,
}

/// What a provider calls a size, and what it costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SizeMapping {
    /// PostgreSQL or VirtualMachine.
    #[schemars(extend("enum" = ["PostgreSQL", "VirtualMachine"]))]
    pub service: String,
    /// The size, as definitions name it.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 40))]
    pub size: String,
    /// The cloud's plan, flavor, node type or instance type, as startup-4 or standard.small; for
    /// PostgreSQL at ovh plan and flavor, as essential.db1-4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][-A-Za-z0-9_.]*$"), length(max = 64))]
    pub plan: Option<String>,
    /// kubernetes: what each instance of the database asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// kubernetes: what each instance of the database asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// How many instances or nodes; without it, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    pub instances: Option<i64>,
    /// Disk in GB: what the plan has where the cloud does not sell it apart, else what is asked
    /// for where a claim says nothing. For ovh, what the flavor brings: a claim can have more.
    #[serde(default, rename = "storageGB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub storage_gb: Option<i64>,
    /// What it costs in a month, in the currency of all prices here. Not for kubernetes: there
    /// it is what the cluster has to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::MONEY))]
    pub price_per_month: Option<String>,
    /// What each GB of disk costs in a month that a claim has beyond storageGB, where the cloud
    /// sells disks apart. Without it, nothing.
    #[serde(default, rename = "pricePerGB", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::MONEY))]
    pub price_per_gb: Option<String>,
}

/// Which namespaces: those named, and those with all these labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelection {
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), inner(regex(pattern = validation::DNS_LABEL), length(max = 63)))]
    pub names: Vec<String>,
    /// By labels; none selects nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// What a namespace may have of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceQuota {
    /// How many claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub claims: Option<i64>,
    /// What they may cost together in a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::MONEY))]
    pub price_per_month: Option<String>,
}

/// How databases are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlSettings {
    /// Who may connect where a claim does not say so. A cloud's database without either is
    /// refused: it would be open to everybody.
    #[serde(default, rename = "allowedCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(regex(pattern = validation::CIDR), length(max = 50)))]
    pub allowed_cidrs: Vec<String>,
    /// scaleway: the Private Network, by its id, that databases are in. They have no other address
    /// then, and nobody outside can reach them at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::CLOUD_ID))]
    pub private_network: Option<String>,
    /// kubernetes: the StorageClass of the disks; without it, the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::DNS_SUBDOMAIN), length(max = 253))]
    pub storage_class: Option<String>,
    /// kubernetes: the repository of CloudNativePG's images; the version is the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9._/]*[a-z0-9])?$"), length(max = 200))]
    pub image_repository: Option<String>,
}

/// How machines are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineSettings {
    /// The cloud's id of each image.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 50))]
    pub images: BTreeMap<String, String>,
    /// Security groups, by the cloud's id. Without one, the cloud's default counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(min = 1, max = 100)))]
    pub security_groups: Vec<String>,
    /// Whether machines have a public address.
    #[serde(default, rename = "publicIP", skip_serializing_if = "std::ops::Not::not")]
    pub public_ip: bool,
}

/// Something that is there already and that a namespace may adopt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adoptable {
    /// The namespace.
    #[schemars(regex(pattern = validation::DNS_LABEL), length(max = 63))]
    pub namespace: String,
    /// What the cloud calls it.
    #[schemars(length(min = 1, max = 100))]
    pub external_name: String,
}

/// What became of a claim, whatever its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimStatus {
    /// `Synced`, then `Ready`: in this order, which Argo CD and others walk along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The provider that was chosen, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Why that one, and why no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// What the provider knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_name: Option<String>,
    /// The size that it has: another one than the claim's while a budget or quota does not allow
    /// that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The disk that it has, in GB, as the claim said it when that was last allowed.
    #[serde(default, rename = "storageGB", skip_serializing_if = "Option::is_none")]
    pub storage_gb: Option<i64>,
    /// The provider's plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What it costs in a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_month: Option<String>,
    /// Set before the provider is asked to create, taken back if it refused: whoever finds it
    /// knows that something may be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub create_requested_at: Option<Time>,
    /// When it was first seen at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created_at: Option<Time>,
    /// When it was first ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub ready_at: Option<Time>,
    /// The value of the annotation `claims.berth.sh/rotate-password` that was last followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<String>,
}
