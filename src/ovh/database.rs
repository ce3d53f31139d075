//! Public Cloud Databases for PostgreSQL.

use secrecy::SecretString;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Client;
use crate::cloud::{ApiError, ErrorKind, Request};

/// What a database is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the API's own words, which it does not explain either")]
pub enum DatabaseStatus {
    Ready,
    Pending,
    Creating,
    Updating,
    Deleting,
    Error,
    Locked,
    #[serde(other)]
    Unknown,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Its id.
    pub id: String,
    /// What people call it; it need not be unique.
    #[serde(default)]
    pub description: String,
    /// What it is doing.
    pub status: DatabaseStatus,
    /// `essential`, `business`, ...
    #[serde(default)]
    pub plan: String,
    /// `db1-4` and the like.
    #[serde(default)]
    pub flavor: String,
    /// Its disk.
    #[serde(default)]
    pub disk: Disk,
    /// Who may connect.
    #[serde(default)]
    pub ip_restrictions: Vec<IpRestriction>,
    /// Where it can be reached.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

/// The disk of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Disk {
    /// Its size in GB.
    #[serde(default)]
    pub size: Option<i64>,
}

/// Somebody who may connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpRestriction {
    /// A block of addresses.
    pub ip: String,
}

/// Where a database can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Endpoint {
    /// `postgresql`, `postgresqlRead`, ...
    #[serde(default)]
    pub component: String,
    /// The host.
    pub domain: String,
    /// The port.
    pub port: u16,
    /// The database's name, after a slash.
    #[serde(default)]
    pub path: Option<String>,
}

/// What a database is to be. Who may connect is always said: nobody listed means nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSpec<'a> {
    /// As [`Database::plan`].
    pub plan: &'a str,
    /// As [`Database::flavor`].
    pub flavor: &'a str,
    /// The size of its disk in GB; without it, what comes with the flavor.
    pub disk: Option<i64>,
    /// Who may connect.
    pub allowed: &'a [String],
}

/// A user of a database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its id.
    pub id: String,
    /// Its name.
    pub username: String,
}

#[derive(Deserialize)]
struct Password {
    password: SecretString,
}

#[derive(Deserialize)]
struct Certificates {
    ca: String,
}

impl DatabaseSpec<'_> {
    fn json(&self) -> serde_json::Value {
        let allowed = self.allowed.iter().map(|ip| json!({ "ip": ip, "description": "berth" }));
        let mut body = json!({
            "plan": self.plan,
            "ipRestrictions": allowed.collect::<Vec<_>>(),
        });
        if let Some(size) = self.disk {
            body["disk"] = json!({ "size": size });
        }
        body
    }
}

impl Client {
    fn postgresql<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        self.project(&[&["database", "postgresql"][..], rest].concat())
    }

    /// A database.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn database(&self, id: &str) -> Result<Database, ApiError> {
        self.call(&Request::get("get-database", &self.postgresql(&[id]))).await
    }

    /// The database with that description. A list names ids only, so that each is looked at once,
    /// and then remembered.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn database_described(
        &self,
        description: &str,
    ) -> Result<Option<Database>, ApiError> {
        let known = self.known.lock().get(description).cloned();
        if let Some(id) = known {
            match self.database(&id).await {
                Ok(database) if database.description == description => return Ok(Some(database)),
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                // It is gone, or is called otherwise now.
                _ => self.known.lock().retain(|_, known| *known != id),
            }
        }
        let ids: Vec<String> =
            self.call(&Request::get("list-databases", &self.postgresql(&[]))).await?;
        self.known.lock().retain(|_, known| ids.contains(known));
        let mut found = None;
        for id in ids {
            if self.known.lock().values().any(|known| *known == id) {
                continue;
            }
            match self.database(&id).await {
                Ok(database) => {
                    self.known.lock().insert(database.description.clone(), id);
                    if database.description == description {
                        found = Some(database);
                    }
                }
                // It went meanwhile.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Begins to create a database of so many nodes. Attempted once.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_database(
        &self,
        description: &str,
        version: &str,
        nodes: i64,
        spec: &DatabaseSpec<'_>,
    ) -> Result<Database, ApiError> {
        let mut body = spec.json();
        body["description"] = json!(description);
        body["version"] = json!(version);
        body["nodesPattern"] =
            json!({ "flavor": spec.flavor, "number": nodes, "region": self.region });
        self.call(&Request::post("create-database", &self.postgresql(&[]), &body)).await
    }

    /// Begins to change a database.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn update_database(&self, id: &str, spec: &DatabaseSpec<'_>) -> Result<(), ApiError> {
        let mut body = spec.json();
        body["flavor"] = json!(spec.flavor);
        let request = Request::put("update-database", &self.postgresql(&[id]), &body);
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }

    /// Begins to delete a database.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_database(&self, id: &str) -> Result<(), ApiError> {
        let request = Request::delete("delete-database", &self.postgresql(&[id]));
        self.call::<IgnoredAny>(&request).await?;
        Ok(())
    }

    /// The user of that name.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn database_user(&self, id: &str, name: &str) -> Result<Option<User>, ApiError> {
        let path = self.postgresql(&[id, "user"]);
        let users: Vec<String> = self.call(&Request::get("list-users", &path)).await?;
        for user in &users {
            let path = self.postgresql(&[id, "user", user]);
            let user: User = self.call(&Request::get("get-user", &path)).await?;
            if user.username == name {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Gives a user another password, which OVH makes up.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn reset_password(&self, id: &str, user: &str) -> Result<SecretString, ApiError> {
        let path = self.postgresql(&[id, "user", user, "credentials", "reset"]);
        let request = Request::post("reset-user-credentials", &path, &json!({}));
        let found: Password = self.call(&request).await?;
        Ok(found.password)
    }

    /// The certificate of the authority that signs the database's certificate, PEM.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn database_authority(&self, id: &str) -> Result<String, ApiError> {
        let path = self.postgresql(&[id, "certificates"]);
        let found: Certificates = self.call(&Request::get("get-certificates", &path)).await?;
        Ok(found.ca)
    }
}
