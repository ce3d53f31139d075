//! Databases and machines on Scaleway. What a claim stands for is found by a tag, which is its
//! external name.

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::cloud::{self, found};
use super::{Backend, BackendError, Connection, Login, Wanted, cloud_init};
use crate::claims::lifecycle::{Found, Phase};
use crate::scaleway::Client;
use crate::scaleway::instance::{Action, NewServer, Server, ServerState};
use crate::scaleway::rdb::{Database, DatabaseStatus, NewDatabase, Upgrade};

/// The user that Berth makes. Its password is told by nobody: it gets a new one for each Secret.
const USER: &str = "berth";
/// The database that each Database Instance has.
const DATABASE: &str = "rdb";
/// The disk of a database where neither its claim nor the provider's size says anything, in GB.
const DEFAULT_STORAGE: u64 = 10;
const GB: u64 = 1_000_000_000;

/// PostgreSQL.
#[derive(Clone, Debug)]
pub struct ScalewayPostgres(pub Client);

/// What is to be changed of a database, one call each.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    /// Takes a public address away, by its id.
    Hide(String),
    Acl(Vec<String>),
    Upgrade(Upgrade),
}

impl Change {
    const fn name(&self) -> &'static str {
        match self {
            Self::Hide(_) => "publicAddress",
            Self::Acl(_) => "allowedCIDRs",
            Self::Upgrade(Upgrade::NodeType(_)) => "plan",
            Self::Upgrade(Upgrade::EnableHa(_)) => "instances",
            Self::Upgrade(Upgrade::VolumeSize(_)) => "storageGB",
        }
    }
}

fn storage(wanted: &Wanted) -> u64 {
    wanted.storage().unwrap_or(DEFAULT_STORAGE) * GB
}

/// Whether everybody can reach it once it serves, until something is changed of it. Scaleway's client
/// says that there always is a public address, its own users that there is none beside a private
/// network: what is there counts.
fn is_exposed(wanted: &Wanted, database: &Database) -> bool {
    wanted.provider.private_network().is_none()
        || database.endpoints.iter().any(|one| one.private_network.is_none())
}

fn is_ha(wanted: &Wanted) -> bool {
    wanted.size.instances.is_some_and(|instances| instances > 1)
}

/// What differs; who may connect comes first, for Scaleway lets everybody in to begin with. In a
/// private network there is no list of who may: there is no other address.
fn changes(
    wanted: &Wanted,
    database: &Database,
    mut acl: Vec<String>,
) -> Result<Vec<Change>, BackendError> {
    let mut changes = Vec::new();
    if wanted.provider.private_network().is_some() {
        let public = database.endpoints.iter().filter(|one| one.private_network.is_none());
        changes.extend(public.map(|one| Change::Hide(one.id.clone())));
    } else {
        let allowed = wanted.allowed_cidrs()?;
        acl.sort_unstable();
        if acl != allowed {
            changes.push(Change::Acl(allowed));
        }
    }
    let plan = wanted.plan()?;
    if database.node_type != plan {
        changes.push(Change::Upgrade(Upgrade::NodeType(plan.to_owned())));
    }
    if is_ha(wanted) && !database.is_ha_cluster {
        changes.push(Change::Upgrade(Upgrade::EnableHa(true)));
    }
    let volume = database.volume.as_ref().filter(|volume| volume.kind != "lssd");
    if volume.is_some_and(|volume| volume.size < storage(wanted)) {
        changes.push(Change::Upgrade(Upgrade::VolumeSize(storage(wanted))));
    }
    Ok(changes)
}

/// A password as Scaleway asks for: with each kind of character.
fn new_password() -> SecretString {
    format!("{}-Aa1", cloud::new_password()).into()
}

impl ScalewayPostgres {
    /// All that there is, what lives longest first.
    async fn all(&self, wanted: &Wanted) -> Result<Vec<Database>, BackendError> {
        if wanted.is_adopted {
            let database = found(self.0.database(&wanted.external_name).await)?;
            return Ok(database.into_iter().collect());
        }
        let mut all = self.0.databases_tagged(&wanted.external_name).await?;
        all.sort_by_key(|one| one.status == DatabaseStatus::Deleting);
        Ok(all)
    }

    async fn get(&self, wanted: &Wanted) -> Result<Database, BackendError> {
        let name = &wanted.external_name;
        let missing = || BackendError::refused(format!("{name} is not there"));
        self.all(wanted).await?.into_iter().next().ok_or_else(missing)
    }

    async fn changes(
        &self,
        wanted: &Wanted,
        database: &Database,
    ) -> Result<Vec<Change>, BackendError> {
        let acl = match wanted.provider.private_network() {
            Some(_) => Vec::new(),
            None => self.0.acl(&database.id).await?,
        };
        changes(wanted, database, acl)
    }

    async fn reset(&self, wanted: &Wanted, id: &str) -> Result<SecretString, BackendError> {
        let password = new_password();
        let set = found(self.0.set_password(id, USER, &password).await)?;
        // What is adopted was made by somebody else, without that user.
        if set.is_none() && wanted.is_adopted {
            self.0.create_user(id, USER, &password).await?;
        } else if set.is_none() {
            return Err(BackendError::refused(format!("it has no user {USER}")));
        }
        Ok(password)
    }
}

#[async_trait]
impl Backend for ScalewayPostgres {
    fn is_idempotent(&self) -> bool {
        false
    }

    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError> {
        let Some(database) = self.all(wanted).await?.into_iter().next() else { return Ok(None) };
        let phase = match database.status {
            DatabaseStatus::Ready => Phase::Ready,
            DatabaseStatus::Deleting => Phase::Deleting,
            DatabaseStatus::Error
            | DatabaseStatus::Locked
            | DatabaseStatus::DiskFull
            | DatabaseStatus::Unknown => Phase::Broken,
            _ if is_exposed(wanted, &database) => Phase::Exposed,
            _ => Phase::Pending,
        };
        let differs = match phase {
            Phase::Ready => self.changes(wanted, &database).await?,
            _ => Vec::new(),
        };
        let said = format!("Scaleway says {:?}", database.status);
        Ok(Some(Found { phase, said, differs: differs.iter().map(Change::name).collect() }))
    }

    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let private_network = wanted.provider.private_network();
        if private_network.is_none() {
            // Sent with the first change: an empty list is refused before anything is paid for.
            wanted.allowed_cidrs()?;
        }
        let engine = format!("PostgreSQL-{}", wanted.version()?);
        self.0
            .create_database(&NewDatabase {
                name: &wanted.external_name,
                engine: &engine,
                node_type: wanted.plan()?,
                is_ha_cluster: is_ha(wanted),
                volume_size: storage(wanted),
                user_name: USER,
                password: &new_password(),
                tags: &[&wanted.external_name],
                private_network,
            })
            .await?;
        Ok(())
    }

    async fn update(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let database = self.get(wanted).await?;
        match self.changes(wanted, &database).await?.into_iter().next() {
            None => {}
            Some(Change::Hide(id)) => {
                found(self.0.delete_endpoint(&id).await)?;
            }
            Some(Change::Acl(allowed)) => self.0.set_acl(&database.id, &allowed).await?,
            Some(Change::Upgrade(upgrade)) => {
                self.0.upgrade_database(&database.id, &upgrade).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let is_alive = |one: &&Database| one.status != DatabaseStatus::Deleting;
        for database in self.all(wanted).await?.iter().filter(is_alive) {
            found(self.0.delete_database(&database.id).await)?;
        }
        Ok(())
    }

    async fn rotate_password(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let database = self.get(wanted).await?;
        self.reset(wanted, &database.id).await.map(|_| ())
    }

    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError> {
        let database = self.get(wanted).await?;
        let mut endpoints = database.endpoints.iter();
        let is_private = wanted.provider.private_network().is_some();
        let endpoint = endpoints.find(|one| one.private_network.is_some() == is_private);
        let host = endpoint.and_then(|one| one.hostname.as_ref().or(one.ip.as_ref()));
        let (Some(endpoint), Some(host)) = (endpoint, host) else {
            return Err(BackendError::refused("Scaleway does not say yet where it is".to_owned()));
        };
        let authority = self.0.database_certificate(&database.id).await?;
        let password = self.reset(wanted, &database.id).await?;
        let port = endpoint.port.to_string();
        let login = Login { host, port: &port, user: USER, database: DATABASE };
        let mut connection = login.connection(password.expose_secret());
        if let Some(authority) = authority {
            connection.insert("ca.crt", SecretString::from(authority));
        }
        Ok(connection)
    }
}

/// Machines. One is created stopped; its first boot is told what to do, and then it is started.
#[derive(Clone, Debug)]
pub struct ScalewayMachine(pub Client);

impl ScalewayMachine {
    async fn all(&self, wanted: &Wanted) -> Result<Vec<Server>, BackendError> {
        if wanted.is_adopted {
            let server = found(self.0.server(&wanted.external_name).await)?;
            return Ok(server.into_iter().collect());
        }
        Ok(self.0.servers_tagged(&wanted.external_name).await?)
    }
}

#[async_trait]
impl Backend for ScalewayMachine {
    fn is_idempotent(&self) -> bool {
        false
    }

    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError> {
        let Some(server) = self.all(wanted).await?.into_iter().next() else { return Ok(None) };
        let phase = match server.state {
            ServerState::Running => Phase::Ready,
            ServerState::Starting => Phase::Pending,
            ServerState::Stopped => Phase::Unfinished,
            _ => Phase::Broken,
        };
        let said = format!("Scaleway says {:?}", server.state);
        Ok(Some(Found { phase, said, differs: Vec::new() }))
    }

    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let settings = wanted.provider.virtual_machine.clone().unwrap_or_default();
        self.0
            .create_server(&NewServer {
                name: &wanted.external_name,
                commercial_type: wanted.plan()?,
                image: wanted.image()?,
                volume_size: wanted.disk() * GB,
                security_group: settings.security_groups.first().map(String::as_str),
                public_ip: settings.public_ip,
                tags: &[&wanted.external_name],
            })
            .await?;
        Ok(())
    }

    async fn update(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let all = self.all(wanted).await?;
        let Some(server) = all.iter().find(|one| one.state == ServerState::Stopped) else {
            return Err(cloud::no_change());
        };
        self.0.set_cloud_init(&server.id, cloud_init::user_data(wanted)?).await?;
        self.0.act(&server.id, Action::PowerOn).await?;
        Ok(())
    }

    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError> {
        for server in self.all(wanted).await? {
            let action = match server.state {
                // Deleted as it is, its disk would stay. Only what runs can be ended with it.
                ServerState::Stopped => Action::PowerOn,
                ServerState::Starting | ServerState::Stopping => continue,
                _ => Action::Terminate,
            };
            found(self.0.act(&server.id, action).await)?;
        }
        Ok(())
    }

    async fn rotate_password(&self, _: &Wanted) -> Result<(), BackendError> {
        Err(cloud::no_password())
    }

    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError> {
        let all = self.all(wanted).await?;
        let server = all.into_iter().find(|one| one.state == ServerState::Running);
        let server =
            server.ok_or_else(|| BackendError::refused("the machine does not run".to_owned()))?;
        let address = server.public_ips.into_iter().next().map(|one| one.address);
        Ok(cloud::machine(server.id, server.name, address))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claims::testing::wanted;

    #[test]
    fn who_may_connect_is_mended_first_and_a_disk_only_grows() {
        let mut wanted = wanted(&json!({ "storageGB": 20, "allowedCIDRs": ["192.0.2.1/32"] }));
        wanted.size.instances = Some(2);
        let database = |node_type: &str, gigabytes: u64| -> Database {
            serde_json::from_value(json!({
                "id": "d", "status": "ready", "node_type": node_type, "is_ha_cluster": false,
                "volume": { "type": "sbs_5k", "size": gigabytes * GB },
            }))
            .unwrap()
        };
        let open = || vec!["0.0.0.0/0".to_owned()];
        let found = changes(&wanted, &database("DB-DEV-S", 10), open()).unwrap();
        let names: Vec<&str> = found.iter().map(Change::name).collect();
        assert_eq!(names, ["allowedCIDRs", "plan", "instances", "storageGB"]);
        wanted.size.instances = None;
        let closed = vec!["192.0.2.1/32".to_owned()];
        assert_eq!(changes(&wanted, &database("startup-4", 40), closed).unwrap(), []);
        wanted.parameters.clear();
        let error = changes(&wanted, &database("startup-4", 40), open()).unwrap_err();
        assert!(error.message.contains("everybody could connect"), "{error}");
    }

    #[test]
    fn in_a_private_network_there_is_no_public_address_and_no_list_of_who_may_connect() {
        let mut wanted = wanted(&json!({ "storageGB": 10 }));
        wanted.provider.postgresql = Some(crate::api::PostgresqlSettings {
            private_network: Some("n".to_owned()),
            ..Default::default()
        });
        let database: Database = serde_json::from_value(json!({
            "id": "d", "status": "ready", "node_type": "startup-4",
            "endpoints": [
                { "id": "inside", "ip": "10.0.0.1", "port": 5432, "private_network": {} },
                { "id": "outside", "ip": "198.51.100.7", "port": 20123, "load_balancer": {} },
            ],
        }))
        .unwrap();
        let found = changes(&wanted, &database, Vec::new()).unwrap();
        assert_eq!(found, [Change::Hide("outside".to_owned())]);
        assert!(is_exposed(&wanted, &database));
        let hidden = Database { endpoints: Vec::new(), ..database };
        assert!(!is_exposed(&wanted, &hidden));
        wanted.provider.postgresql = None;
        assert!(is_exposed(&wanted, &hidden), "its address comes");
    }

    #[test]
    fn a_password_has_each_kind_of_character() {
        let password = new_password();
        let password = password.expose_secret();
        let has = |is: fn(char) -> bool| password.chars().any(is);
        assert!(has(|one| one.is_ascii_digit()) && has(|one| one.is_ascii_uppercase()));
        assert!(has(|one| one.is_ascii_lowercase()) && has(|one| !one.is_alphanumeric()));
        assert!((8..=128).contains(&password.len()) && password != new_password().expose_secret());
    }
}
