//! Databases and machines on Exoscale.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::cloud::{self, found};
use super::{Backend, BackendError, Connection, Wanted, cloud_init};
use crate::claims::lifecycle::{Found, Phase};
use crate::exoscale::compute::{Instance, InstanceState, NewInstance};
use crate::exoscale::dbaas::{Postgres, PostgresSpec};
use crate::exoscale::network::Reference;
use crate::exoscale::{Client, ErrorKind};

/// The label of a machine with the claim's external name, which is unique.
const CLAIM_LABEL: &str = "berth.sh/claim";

/// PostgreSQL. A service's name is its identity.
#[derive(Clone, Debug)]
pub struct ExoscalePostgres(pub Client);

impl ExoscalePostgres {
    async fn get(&self, name: &str) -> Result<Postgres, BackendError> {
        let service = found(self.0.postgres(name).await)?;
        service.ok_or_else(|| BackendError::refused(format!("{name} is not there")))
    }
}

fn parameter(service: &Postgres, name: &str) -> String {
    let value = service.uri_params.as_ref().and_then(|parameters| parameters.get(name));
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[async_trait]
impl Backend for ExoscalePostgres {
    fn is_idempotent(&self) -> bool {
        true
    }

    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError> {
        let Some(service) = found(self.0.postgres(&wanted.external_name).await)? else {
            return Ok(None);
        };
        let mut differs = Vec::new();
        if service.plan != wanted.plan()? {
            differs.push("plan");
        }
        let mut filter = service.ip_filter.clone();
        filter.sort_unstable();
        if filter != wanted.allowed_cidrs()? {
            differs.push("allowedCIDRs");
        }
        let state = service.state.clone().unwrap_or_default();
        let phase = match state.as_str() {
            "running" => Phase::Ready,
            "poweroff" => Phase::Broken,
            _ => Phase::Pending,
        };
        Ok(Some(Found { phase, said: format!("Exoscale says {state:?}"), differs }))
    }

    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let spec = PostgresSpec {
            plan: Some(wanted.plan()?.to_owned()),
            version: wanted.text("version").map(str::to_owned),
            ip_filter: Some(wanted.allowed_cidrs()?),
            ..PostgresSpec::default()
        };
        match self.0.create_postgres(&wanted.external_name, &spec).await {
            Ok(operation) => match operation.failure("create-dbaas-service-pg") {
                Some(error) => Err(error.into()),
                None => Ok(()),
            },
            // It is there: the answer to an earlier call was lost.
            Err(error) if error.kind == ErrorKind::Busy => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn update(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let spec = PostgresSpec {
            plan: Some(wanted.plan()?.to_owned()),
            ip_filter: Some(wanted.allowed_cidrs()?),
            ..PostgresSpec::default()
        };
        let operation = self.0.update_postgres(&wanted.external_name, &spec).await?;
        operation.failure("update-dbaas-service-pg").map_or(Ok(()), |error| Err(error.into()))
    }

    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError> {
        found(self.0.delete_postgres(&wanted.external_name).await).map(|_| ())
    }

    async fn rotate_password(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let service = self.get(&wanted.external_name).await?;
        let user = parameter(&service, "user");
        let operation = self.0.reset_postgres_password(&wanted.external_name, &user).await?;
        let call = "reset-dbaas-postgres-user-password";
        operation.failure(call).map_or(Ok(()), |error| Err(error.into()))
    }

    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError> {
        let service = self.get(&wanted.external_name).await?;
        let [host, port, user, database] =
            ["host", "port", "user", "dbname"].map(|name| parameter(&service, name));
        if host.is_empty() || user.is_empty() {
            return Err(BackendError::refused("Exoscale does not say yet where it is".to_owned()));
        }
        let password = self.0.postgres_password(&wanted.external_name, &user).await?;
        let authority = self.0.database_authority().await?;
        let login = super::Login { host: &host, port: &port, user: &user, database: &database };
        let mut connection = login.connection(password.expose_secret());
        connection.insert("ca.crt", SecretString::from(authority));
        Ok(connection)
    }
}

/// Machines. Their names need not be unique: they are found by a label.
#[derive(Clone, Debug)]
pub struct ExoscaleMachine(pub Client);

impl ExoscaleMachine {
    async fn all(&self, wanted: &Wanted) -> Result<Vec<Instance>, BackendError> {
        Ok(self.0.instances(&[(CLAIM_LABEL, &wanted.external_name)]).await?)
    }

    async fn type_id(&self, name: &str) -> Result<String, BackendError> {
        let types = self.0.instance_types().await?;
        let found = types.into_iter().find(|one| one.name() == name);
        found.map(|one| one.id).ok_or_else(|| {
            BackendError::refused(format!("Exoscale has no instance type {name}: see plan"))
        })
    }
}

fn reference(id: &str) -> Reference {
    Reference { id: id.to_owned() }
}

#[async_trait]
impl Backend for ExoscaleMachine {
    fn is_idempotent(&self) -> bool {
        false
    }

    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError> {
        let instances = self.all(wanted).await?;
        let alive = instances.iter().find(|one| !one.state.is_terminating());
        let Some(instance) = alive.or(instances.first()) else { return Ok(None) };
        let phase = match instance.state {
            InstanceState::Running => Phase::Ready,
            InstanceState::Destroyed => return Ok(None),
            state if state.is_terminating() => Phase::Deleting,
            InstanceState::Starting | InstanceState::Migrating => Phase::Pending,
            _ => Phase::Broken,
        };
        let said = format!("Exoscale says {:?}", instance.state);
        Ok(Some(Found { phase, said, differs: Vec::new() }))
    }

    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let settings = wanted.provider.virtual_machine.clone().unwrap_or_default();
        let new = NewInstance {
            name: wanted.external_name.clone(),
            instance_type: reference(&self.type_id(wanted.plan()?).await?),
            template: reference(wanted.image()?),
            disk_size: wanted.disk(),
            labels: BTreeMap::from([(CLAIM_LABEL.to_owned(), wanted.external_name.clone())]),
            user_data: STANDARD.encode(cloud_init::user_data(wanted)?),
            security_groups: settings.security_groups.iter().map(|id| reference(id)).collect(),
            anti_affinity_groups: Vec::new(),
            public_ip_assignment: if settings.public_ip { "inet4" } else { "none" },
            ssh_keys: Vec::new(),
        };
        let operation = self.0.create_instance(&new).await?;
        operation.failure("create-instance").map_or(Ok(()), |error| Err(error.into()))
    }

    async fn update(&self, _: &Wanted) -> Result<(), BackendError> {
        Err(cloud::no_change())
    }

    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError> {
        for instance in self.all(wanted).await?.iter().filter(|one| !one.state.is_terminating()) {
            found(self.0.delete_instance(&instance.id).await)?;
        }
        Ok(())
    }

    async fn rotate_password(&self, _: &Wanted) -> Result<(), BackendError> {
        Err(cloud::no_password())
    }

    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError> {
        let instances = self.all(wanted).await?;
        let instance = instances.iter().find(|one| one.state == InstanceState::Running);
        let instance =
            instance.ok_or_else(|| BackendError::refused("the machine does not run".to_owned()))?;
        let address = instance.public_ip.clone().filter(|address| address != "0.0.0.0");
        Ok(cloud::machine(instance.id.clone(), instance.name.clone(), address))
    }
}
