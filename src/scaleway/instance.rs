//! Virtual machines.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Client, PAGE};
use crate::cloud::{ApiError, Request};

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the API's own words, which it does not explain either")]
pub enum ServerState {
    Running,
    Starting,
    Stopped,
    #[serde(rename = "stopped in place", alias = "stopped_in_place")]
    StoppedInPlace,
    Stopping,
    Locked,
    #[serde(other)]
    Unknown,
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// Its id.
    pub id: String,
    /// Its name, which need not be unique.
    #[serde(default)]
    pub name: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it is doing.
    pub state: ServerState,
    /// Its public addresses.
    #[serde(default)]
    pub public_ips: Vec<Address>,
}

/// A public address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// As it is written.
    pub address: String,
}

/// A machine to be created. It is stopped then.
#[derive(Debug)]
pub struct NewServer<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type, as `DEV1-S`: one with local disks.
    pub commercial_type: &'a str,
    /// The id or label of its image.
    pub image: &'a str,
    /// The size of its local disk in bytes. Such a disk ends with its machine; a block volume
    /// would not.
    pub volume_size: u64,
    /// Its security group; without one, the project's default.
    pub security_group: Option<&'a str>,
    /// Whether it has a public address.
    pub public_ip: bool,
    /// Its tags.
    pub tags: &'a [&'a str],
}

/// What a machine is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start.
    PowerOn,
    /// End, with its local disks. A stopped machine cannot.
    Terminate,
}

#[derive(Deserialize)]
struct Servers {
    #[serde(default)]
    servers: Vec<Server>,
}

#[derive(Deserialize)]
struct One {
    server: Server,
}

impl Client {
    fn servers<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["instance", "v1", "zones", &self.zone, "servers"][..], rest].concat()
    }

    /// The project's machines with that tag. The API filters, and so does this.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn servers_tagged(&self, tag: &str) -> Result<Vec<Server>, ApiError> {
        let request = Request::get("list-servers", &self.servers(&[]))
            .query("project", self.project.as_str())
            .query("tags", tag)
            .query("per_page", PAGE);
        let Servers { mut servers } = self.call(&request).await?;
        servers.retain(|one| one.tags.iter().any(|found| found == tag));
        Ok(servers)
    }

    /// A machine.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn server(&self, id: &str) -> Result<Server, ApiError> {
        let found: One = self.call(&Request::get("get-server", &self.servers(&[id]))).await?;
        Ok(found.server)
    }

    /// Creates a machine. Attempted once.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_server(&self, new: &NewServer<'_>) -> Result<Server, ApiError> {
        let mut body = json!({
            "project": self.project,
            "name": new.name,
            "commercial_type": new.commercial_type,
            "image": new.image,
            "volumes": { "0": { "volume_type": "l_ssd", "size": new.volume_size } },
            "dynamic_ip_required": new.public_ip,
            "protected": false,
            "tags": new.tags,
        });
        if let Some(group) = new.security_group {
            body["security_group"] = json!(group);
        }
        let request = Request::post("create-server", &self.servers(&[]), &body);
        let made: One = self.call(&request).await?;
        Ok(made.server)
    }

    /// Says what a machine's first boot is told.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn set_cloud_init(&self, id: &str, text: String) -> Result<(), ApiError> {
        let path = self.servers(&[id, "user_data", "cloud-init"]);
        let request = Request::patch_text("set-server-user-data", &path, text);
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }

    /// Has a machine do something.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn act(&self, id: &str, action: Action) -> Result<(), ApiError> {
        let action = match action {
            Action::PowerOn => "poweron",
            Action::Terminate => "terminate",
        };
        let path = self.servers(&[id, "action"]);
        let request = Request::post("server-action", &path, &json!({ "action": action }));
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }
}
