//! Security groups, anti-affinity groups, private networks and elastic IPs.

use serde::{Deserialize, Serialize};

use super::{ApiError, Client, Operation, Request};

/// Something by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The id.
    pub id: String,
}

impl Reference {
    /// Refers to that id.
    pub fn to(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }
}

/// A security group, an anti-affinity group or a private network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// An anti-affinity group with its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AntiAffinityGroup {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The instances in it.
    #[serde(default)]
    pub instances: Vec<Reference>,
}

/// An elastic IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElasticIp {
    /// Its id.
    pub id: String,
    /// The address.
    #[serde(default)]
    pub ip: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Lists {
    #[serde(default)]
    security_groups: Vec<Group>,
    #[serde(default)]
    anti_affinity_groups: Vec<Group>,
    #[serde(default)]
    private_networks: Vec<Group>,
    #[serde(default)]
    elastic_ips: Vec<ElasticIp>,
}

#[derive(Serialize)]
struct Attach<'a> {
    instance: ById<'a>,
}

#[derive(Serialize)]
struct ById<'a> {
    id: &'a str,
}

impl Client {
    async fn lists(&self, operation: &'static str, path: &str) -> Result<Lists, ApiError> {
        self.call(&Request::get(operation, &[path])).await
    }

    /// All security groups.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn security_groups(&self) -> Result<Vec<Group>, ApiError> {
        Ok(self.lists("list-security-groups", "security-group").await?.security_groups)
    }

    /// All anti-affinity groups, without their members.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn anti_affinity_groups(&self) -> Result<Vec<Group>, ApiError> {
        let lists = self.lists("list-anti-affinity-groups", "anti-affinity-group").await?;
        Ok(lists.anti_affinity_groups)
    }

    /// An anti-affinity group with its members.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn anti_affinity_group(&self, id: &str) -> Result<AntiAffinityGroup, ApiError> {
        self.call(&Request::get("get-anti-affinity-group", &["anti-affinity-group", id])).await
    }

    /// All private networks.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn private_networks(&self) -> Result<Vec<Group>, ApiError> {
        Ok(self.lists("list-private-networks", "private-network").await?.private_networks)
    }

    /// All elastic IPs.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn elastic_ips(&self) -> Result<Vec<ElasticIp>, ApiError> {
        Ok(self.lists("list-elastic-ips", "elastic-ip").await?.elastic_ips)
    }

    /// Begins to attach an instance to a private network. Attempted once.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn attach_private_network(
        &self,
        network: &str,
        instance: &str,
    ) -> Result<Operation, ApiError> {
        let path = ["private-network", &format!("{network}:attach")];
        let body = Attach { instance: ById { id: instance } };
        self.call(&Request::put("attach-instance-to-private-network", &path, &body)).await
    }

    /// Begins to attach an elastic IP to an instance. Attempted once.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn attach_elastic_ip(
        &self,
        elastic_ip: &str,
        instance: &str,
    ) -> Result<Operation, ApiError> {
        let path = ["elastic-ip", &format!("{elastic_ip}:attach")];
        let body = Attach { instance: ById { id: instance } };
        self.call(&Request::put("attach-instance-to-elastic-ip", &path, &body)).await
    }
}
