//! Managed Database for PostgreSQL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Client, PAGE};
use crate::cloud::{ApiError, Request};

/// What a database is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the API's own words, which it does not explain either")]
pub enum DatabaseStatus {
    Ready,
    Provisioning,
    Initializing,
    Configuring,
    Restarting,
    Autohealing,
    Backuping,
    Snapshotting,
    Deleting,
    Error,
    Locked,
    DiskFull,
    #[serde(other)]
    Unknown,
}

/// A Database Instance.
#[derive(Debug, Deserialize)]
pub struct Database {
    /// Its id.
    pub id: String,
    /// What it is doing.
    pub status: DatabaseStatus,
    /// The type of its nodes, as `DB-DEV-S`.
    pub node_type: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it has a second node.
    #[serde(default)]
    pub is_ha_cluster: bool,
    /// Its disk.
    #[serde(default)]
    pub volume: Option<Volume>,
    /// Where it can be reached.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

/// The disk of a database.
#[derive(Debug, Deserialize)]
pub struct Volume {
    /// `sbs_5k`, `sbs_15k`, `bssd`, or `lssd`, which comes with the node.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Where a database can be reached.
#[derive(Debug, Deserialize)]
pub struct Endpoint {
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// The address.
    #[serde(default)]
    pub ip: Option<String>,
    /// The name, where it has one.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The port.
    pub port: u16,
    /// There if it is a private network's.
    #[serde(default)]
    pub private_network: Option<IgnoredAny>,
}

/// A database to be created. Without a private network it has a public address, which is open to
/// everybody until [`Client::set_acl`]; the API takes no rules with a create, nor while it is on its
/// way.
#[derive(Debug)]
pub struct NewDatabase<'a> {
    /// Its name, which need not be unique.
    pub name: &'a str,
    /// `PostgreSQL-17` and the like.
    pub engine: &'a str,
    /// As [`Database::node_type`].
    pub node_type: &'a str,
    /// Whether it has a second node.
    pub is_ha_cluster: bool,
    /// The size of its disk in bytes.
    pub volume_size: u64,
    /// Its first user, who may do everything.
    pub user_name: &'a str,
    /// That user's password: 8 to 128 characters, among them a digit, a capital, a small letter
    /// and another character.
    pub password: &'a SecretString,
    /// Its tags.
    pub tags: &'a [&'a str],
    /// The Private Network that it is in. It has no public address then (before 2024 it had one all
    /// the same).
    pub private_network: Option<&'a str>,
}

/// What is upgraded of a database: one thing at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Upgrade {
    /// To another type of nodes.
    NodeType(String),
    /// To a second node; there is no way back.
    EnableHa(bool),
    /// To a larger disk, in bytes.
    VolumeSize(u64),
}

#[derive(Deserialize)]
struct Databases {
    #[serde(default)]
    instances: Vec<Database>,
}

#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    ip: String,
}

#[derive(Deserialize)]
struct File {
    /// Base64.
    content: String,
}

impl Client {
    fn databases<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["rdb", "v1", "regions", self.region(), "instances"][..], rest].concat()
    }

    /// The project's databases with that tag. The API filters, and so does this.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn databases_tagged(&self, tag: &str) -> Result<Vec<Database>, ApiError> {
        let request = Request::get("list-instances", &self.databases(&[]))
            .query("project_id", self.project.as_str())
            .query("tags", tag)
            .query("page_size", PAGE);
        let Databases { mut instances } = self.call(&request).await?;
        instances.retain(|one| one.tags.iter().any(|found| found == tag));
        Ok(instances)
    }

    /// A database.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn database(&self, id: &str) -> Result<Database, ApiError> {
        self.call(&Request::get("get-instance", &self.databases(&[id]))).await
    }

    /// Begins to create a database. Attempted once.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_database(&self, new: &NewDatabase<'_>) -> Result<Database, ApiError> {
        let mut body = json!({
            "project_id": self.project,
            "name": new.name,
            "engine": new.engine,
            "node_type": new.node_type,
            "is_ha_cluster": new.is_ha_cluster,
            "disable_backup": false,
            "backup_same_region": false,
            "volume_type": "sbs_5k",
            "volume_size": new.volume_size,
            "user_name": new.user_name,
            "password": new.password.expose_secret(),
            "tags": new.tags,
        });
        if let Some(id) = new.private_network {
            let network = json!({ "private_network_id": id, "ipam_config": {} });
            body["init_endpoints"] = json!([{ "private_network": network }]);
        }
        self.call(&Request::post("create-instance", &self.databases(&[]), &body)).await
    }

    /// Begins to upgrade a database.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn upgrade_database(&self, id: &str, upgrade: &Upgrade) -> Result<(), ApiError> {
        let path = self.databases(&[id, "upgrade"]);
        self.call::<IgnoredAny>(&Request::post("upgrade-instance", &path, upgrade)).await?;
        Ok(())
    }

    /// Begins to delete a database.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_database(&self, id: &str) -> Result<(), ApiError> {
        let request = Request::delete("delete-instance", &self.databases(&[id]));
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }

    /// Who may connect to a database; an empty list lets nobody in.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn acl(&self, id: &str) -> Result<Vec<String>, ApiError> {
        let path = self.databases(&[id, "acls"]);
        let request = Request::get("list-instance-acl-rules", &path).query("page_size", PAGE);
        let found: Rules = self.call(&request).await?;
        Ok(found.rules.into_iter().map(|rule| rule.ip).collect())
    }

    /// Says who may connect to a database, instead of what was said before.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn set_acl(&self, id: &str, allowed: &[String]) -> Result<(), ApiError> {
        let rules = allowed.iter().map(|ip| json!({ "ip": ip, "description": "berth" }));
        let body = json!({ "rules": rules.collect::<Vec<_>>() });
        let request = Request::put("set-instance-acl-rules", &self.databases(&[id, "acls"]), &body);
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }

    /// Takes a way to reach a database away.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_endpoint(&self, id: &str) -> Result<(), ApiError> {
        let path = ["rdb", "v1", "regions", self.region(), "endpoints", id];
        self.call::<IgnoredAny>(&Request::delete("delete-endpoint", &path)).await?;
        Ok(())
    }

    /// Makes a user who may do everything.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_user(
        &self,
        id: &str,
        user: &str,
        password: &SecretString,
    ) -> Result<(), ApiError> {
        let body = json!({ "name": user, "password": password.expose_secret(), "is_admin": true });
        let request = Request::post("create-user", &self.databases(&[id, "users"]), &body);
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn set_password(
        &self,
        id: &str,
        user: &str,
        password: &SecretString,
    ) -> Result<(), ApiError> {
        let body = json!({ "password": password.expose_secret() });
        let request = Request::patch("update-user", &self.databases(&[id, "users", user]), &body);
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }

    /// The certificate that a database shows, PEM; `None` if what the API has is none.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn database_certificate(&self, id: &str) -> Result<Option<String>, ApiError> {
        let path = self.databases(&[id, "certificate"]);
        let file: File = self.call(&Request::get("get-instance-certificate", &path)).await?;
        let bytes = STANDARD.decode(file.content).ok();
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }
}
