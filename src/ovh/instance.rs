//! Public Cloud instances.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Client;
use crate::cloud::{ApiError, Request};

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the API's own words, which it does not explain either")]
pub enum InstanceStatus {
    Active,
    Build,
    Building,
    Reboot,
    HardReboot,
    Deleting,
    Deleted,
    SoftDeleted,
    Error,
    Stopped,
    Shutoff,
    #[serde(other)]
    Unknown,
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its name, which need not be unique.
    #[serde(default)]
    pub name: String,
    /// What it is doing.
    pub status: InstanceStatus,
    /// Its addresses.
    #[serde(default)]
    pub ip_addresses: Vec<Address>,
}

/// An address of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// As it is written.
    pub ip: String,
    /// `public` or `private`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// 4 or 6.
    #[serde(default)]
    pub version: u8,
}

/// A machine to be created. It has a public address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewInstance {
    /// Its name.
    pub name: String,
    /// The id of its flavor.
    pub flavor_id: String,
    /// The id of its image.
    pub image_id: String,
    /// Where.
    pub region: String,
    /// What its first boot is told, plain.
    pub user_data: String,
    /// Whether it is paid for by the month, whatever becomes of it.
    pub monthly_billing: bool,
}

/// A kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Flavor {
    /// Its id, another one in each region.
    pub id: String,
    /// Its name, as `b3-8`.
    pub name: String,
}

impl Client {
    /// The region that machines are in.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The region's machines of that name.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn instances_named(&self, name: &str) -> Result<Vec<Instance>, ApiError> {
        let request = Request::get("list-instances", &self.project(&["instance"]))
            .query("region", self.region.as_str());
        let mut all: Vec<Instance> = self.call(&request).await?;
        all.retain(|one| one.name == name);
        Ok(all)
    }

    /// A machine.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn instance(&self, id: &str) -> Result<Instance, ApiError> {
        self.call(&Request::get("get-instance", &self.project(&["instance", id]))).await
    }

    /// The region's flavors.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn flavors(&self) -> Result<Vec<Flavor>, ApiError> {
        let request = Request::get("list-flavors", &self.project(&["flavor"]))
            .query("region", self.region.as_str());
        self.call(&request).await
    }

    /// Begins to create a machine. Attempted once.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_instance(&self, new: &NewInstance) -> Result<Instance, ApiError> {
        self.call(&Request::post("create-instance", &self.project(&["instance"]), new)).await
    }

    /// Begins to delete a machine.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_instance(&self, id: &str) -> Result<(), ApiError> {
        let request = Request::delete("delete-instance", &self.project(&["instance", id]));
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }
}
