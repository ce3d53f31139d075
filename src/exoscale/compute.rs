//! Instances, their types and templates, and what an organisation may have of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::Reference;
use super::{ApiError, Client, Operation, Request};

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the API's own words, which it does not explain either")]
pub enum InstanceState {
    Starting,
    Running,
    Stopping,
    Stopped,
    Migrating,
    Error,
    Destroying,
    Destroyed,
    Expunging,
    #[serde(other)]
    Unknown,
}

impl InstanceState {
    /// Whether it is on its way out.
    pub const fn is_terminating(self) -> bool {
        matches!(self, Self::Destroying | Self::Destroyed | Self::Expunging)
    }
}

/// A virtual machine. A list leaves out the last group of fields.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its name, which need not be unique.
    #[serde(default)]
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: InstanceState,
    /// Its type; a list may give the id only.
    pub instance_type: Reference,
    /// Its template.
    pub template: Reference,
    /// When it was created (RFC 3339).
    #[serde(default)]
    pub created_at: Option<String>,
    /// Its public IPv4 address.
    #[serde(default)]
    pub public_ip: Option<String>,
    /// Its IPv6 address.
    #[serde(default)]
    pub ipv6_address: Option<String>,
    /// What public addresses it was asked for.
    #[serde(default)]
    pub public_ip_assignment: Option<String>,
    /// Its security groups.
    #[serde(default)]
    pub security_groups: Vec<Reference>,
    /// Its private networks.
    #[serde(default)]
    pub private_networks: Vec<Reference>,
    /// Its anti-affinity groups; not in lists.
    #[serde(default)]
    pub anti_affinity_groups: Vec<Reference>,
    /// Its elastic IPs; not in lists.
    #[serde(default)]
    pub elastic_ips: Vec<Reference>,
    /// The size of its disk in GiB; not in lists.
    #[serde(default)]
    pub disk_size: Option<u64>,
}

/// An instance to be created.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewInstance {
    /// Its name.
    pub name: String,
    /// Its type.
    pub instance_type: Reference,
    /// Its template.
    pub template: Reference,
    /// The size of its disk in GiB.
    pub disk_size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What its first boot is told: base64, 32,768 characters at most.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_data: String,
    /// Its security groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<Reference>,
    /// Its anti-affinity groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anti_affinity_groups: Vec<Reference>,
    /// `inet4`, `dual` or `none`.
    pub public_ip_assignment: &'static str,
    /// SSH keys, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<Named>,
}

/// Something that is known by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// What is to be changed of an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstanceChange {
    /// All its labels from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// A kind of instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstanceType {
    /// Its id.
    pub id: String,
    /// Its family.
    pub family: String,
    /// Its size within the family.
    pub size: String,
    /// How many CPUs.
    #[serde(default)]
    pub cpus: u32,
    /// How many GPUs.
    #[serde(default)]
    pub gpus: u32,
    /// How much memory, in bytes.
    #[serde(default)]
    pub memory: u64,
    /// Whether the organisation may use it.
    #[serde(default)]
    pub authorized: bool,
    /// Where it can be had.
    #[serde(default)]
    pub zones: Vec<String>,
}

impl InstanceType {
    /// `family.size`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.family, self.size)
    }
}

/// How much of something an organisation may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Of what.
    #[serde(default)]
    pub resource: String,
    /// How much it has.
    #[serde(default)]
    pub usage: i64,
    /// How much it may have; -1: no limit.
    #[serde(default)]
    pub limit: i64,
}

impl Quota {
    /// How much is left; `None` if there is no limit.
    pub fn left(&self) -> Option<i64> {
        (self.limit >= 0).then(|| (self.limit - self.usage).max(0))
    }
}

/// A template: what a disk is copied from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its family.
    #[serde(default)]
    pub family: String,
}

#[derive(Deserialize)]
struct Instances {
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InstanceTypes {
    #[serde(default)]
    instance_types: Vec<InstanceType>,
}

#[derive(Deserialize)]
struct Quotas {
    #[serde(default)]
    quotas: Vec<Quota>,
}

#[derive(Deserialize)]
struct Templates {
    #[serde(default)]
    templates: Vec<Template>,
}

impl Client {
    /// The zone's instances that carry all these labels; without labels, all instances.
    ///
    /// The API filters, and so does this: nothing comes back that lacks one of them.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn instances(&self, labels: &[(&str, &str)]) -> Result<Vec<Instance>, ApiError> {
        let mut request = Request::get("list-instances", &["instance"]);
        if !labels.is_empty() {
            let pairs: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            request = request.query("labels", pairs.join(" "));
        }
        let list: Instances = self.call(&request).await?;
        let carries = |instance: &Instance| {
            labels
                .iter()
                .all(|(key, value)| instance.labels.get(*key).is_some_and(|found| found == value))
        };
        Ok(list.instances.into_iter().filter(carries).collect())
    }

    /// An instance.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn instance(&self, id: &str) -> Result<Instance, ApiError> {
        self.call(&Request::get("get-instance", &["instance", id])).await
    }

    /// Begins to create an instance. Attempted once.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_instance(&self, new: &NewInstance) -> Result<Operation, ApiError> {
        self.call(&Request::post("create-instance", &["instance"], new)).await
    }

    /// Begins to delete an instance.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_instance(&self, id: &str) -> Result<Operation, ApiError> {
        self.call(&Request::delete("delete-instance", &["instance", id])).await
    }

    /// Begins to change an instance.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn update_instance(
        &self,
        id: &str,
        change: &InstanceChange,
    ) -> Result<Operation, ApiError> {
        self.call(&Request::put("update-instance", &["instance", id], change)).await
    }

    /// All instance types.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn instance_types(&self) -> Result<Vec<InstanceType>, ApiError> {
        let list: InstanceTypes =
            self.call(&Request::get("list-instance-types", &["instance-type"])).await?;
        Ok(list.instance_types)
    }

    /// All quotas.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn quotas(&self) -> Result<Vec<Quota>, ApiError> {
        let list: Quotas = self.call(&Request::get("list-quotas", &["quota"])).await?;
        Ok(list.quotas)
    }

    /// A template.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn template(&self, id: &str) -> Result<Template, ApiError> {
        self.call(&Request::get("get-template", &["template", id])).await
    }

    /// The public templates.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn templates(&self) -> Result<Vec<Template>, ApiError> {
        let request = Request::get("list-templates", &["template"]).query("visibility", "public");
        let list: Templates = self.call(&request).await?;
        Ok(list.templates)
    }
}
