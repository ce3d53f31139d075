//! Managed PostgreSQL.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ApiError, Client, Operation, Request};

/// A PostgreSQL service to be created, or what is to be changed of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PostgresSpec {
    /// `startup-4` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The major version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who may connect. It replaces what was there; an empty list lets everybody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_filter: Option<Vec<String>>,
    /// Whether it cannot be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_protection: Option<bool>,
    /// When it may be maintained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// When it is backed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_schedule: Option<BackupSchedule>,
    /// PostgreSQL's own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pg_settings: Option<Map<String, Value>>,
}

/// When a service may be maintained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// `monday` and so on, or `never`.
    pub dow: String,
    /// `HH:MM:SS`, in UTC.
    pub time: String,
}

/// When a service is backed up, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupSchedule {
    /// The hour.
    pub backup_hour: u8,
    /// The minute.
    pub backup_minute: u8,
}

/// A PostgreSQL service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Postgres {
    /// Its name.
    pub name: String,
    /// Its plan.
    #[serde(default)]
    pub plan: String,
    /// `running`, `rebuilding`, `rebalancing` or `poweroff`.
    #[serde(default)]
    pub state: Option<String>,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
    /// Who may connect.
    #[serde(default)]
    pub ip_filter: Vec<String>,
    /// Whether it cannot be deleted.
    #[serde(default)]
    pub termination_protection: Option<bool>,
    /// Where it can be reached: `host`, `port`, `user`, `dbname`, ...; no password.
    #[serde(default)]
    pub uri_params: Option<Map<String, Value>>,
    /// When it was created (RFC 3339).
    #[serde(default)]
    pub created_at: Option<String>,
}

/// A service of any kind, in a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// `pg`, `mysql`, ...
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Its plan.
    #[serde(default)]
    pub plan: String,
    /// As [`Postgres::state`].
    #[serde(default)]
    pub state: Option<String>,
}

/// A plan of a kind of service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// How many nodes.
    #[serde(default)]
    pub node_count: u32,
    /// CPUs of each.
    #[serde(default)]
    pub node_cpu_count: u32,
    /// Memory of each, in bytes.
    #[serde(default)]
    pub node_memory: u64,
    /// Disk, in bytes.
    #[serde(default)]
    pub disk_space: Option<u64>,
    /// Where it can be had.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Whether the organisation may use it.
    #[serde(default)]
    pub authorized: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Services {
    #[serde(default)]
    dbaas_services: Vec<Service>,
}

#[derive(Deserialize)]
struct ServiceType {
    #[serde(default)]
    plans: Vec<Plan>,
}

#[derive(Deserialize)]
struct Password {
    password: SecretString,
}

#[derive(Deserialize)]
struct Certificate {
    #[serde(default)]
    certificate: String,
}

impl Client {
    /// All database services of the zone.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn services(&self) -> Result<Vec<Service>, ApiError> {
        let list: Services =
            self.call(&Request::get("list-dbaas-services", &["dbaas-service"])).await?;
        Ok(list.dbaas_services)
    }

    /// A PostgreSQL service.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn postgres(&self, name: &str) -> Result<Postgres, ApiError> {
        self.call(&Request::get("get-dbaas-service-pg", &["dbaas-postgres", name])).await
    }

    /// Begins to create a PostgreSQL service. Attempted once; its name is its identity, so that a
    /// second one is refused.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_postgres(
        &self,
        name: &str,
        spec: &PostgresSpec,
    ) -> Result<Operation, ApiError> {
        self.call(&Request::post("create-dbaas-service-pg", &["dbaas-postgres", name], spec)).await
    }

    /// Begins to change a PostgreSQL service.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn update_postgres(
        &self,
        name: &str,
        spec: &PostgresSpec,
    ) -> Result<Operation, ApiError> {
        self.call(&Request::put("update-dbaas-service-pg", &["dbaas-postgres", name], spec)).await
    }

    /// Begins to delete a PostgreSQL service.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_postgres(&self, name: &str) -> Result<Operation, ApiError> {
        self.call(&Request::delete("delete-dbaas-service-pg", &["dbaas-postgres", name])).await
    }

    /// The password of a user of a PostgreSQL service.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn postgres_password(
        &self,
        name: &str,
        user: &str,
    ) -> Result<SecretString, ApiError> {
        let path = ["dbaas-postgres", name, "user", user, "password", "reveal"];
        let found: Password =
            self.call(&Request::get("reveal-dbaas-postgres-user-password", &path)).await?;
        Ok(found.password)
    }

    /// Begins to give a user of a PostgreSQL service a new password, which the service makes up.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn reset_postgres_password(
        &self,
        name: &str,
        user: &str,
    ) -> Result<Operation, ApiError> {
        let path = ["dbaas-postgres", name, "user", user, "password", "reset"];
        let operation = "reset-dbaas-postgres-user-password";
        self.call(&Request::put(operation, &path, &Map::<String, Value>::new())).await
    }

    /// The certificate of the authority that signs services' certificates, PEM.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn database_authority(&self) -> Result<String, ApiError> {
        let path = ["dbaas-ca-certificate"];
        let found: Certificate =
            self.call(&Request::get("get-dbaas-ca-certificate", &path)).await?;
        Ok(found.certificate)
    }

    /// The plans of PostgreSQL.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn postgres_plans(&self) -> Result<Vec<Plan>, ApiError> {
        let path = ["dbaas-service-type", "pg"];
        let found: ServiceType = self.call(&Request::get("get-dbaas-service-type", &path)).await?;
        Ok(found.plans)
    }
}
