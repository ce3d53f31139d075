//! Databases and machines on OVHcloud. A database is found by its description, a machine by its
//! name: both are the claim's external name.

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::cloud::{self, found};
use super::{Backend, BackendError, Connection, Login, Wanted, cloud_init};
use crate::claims::claim::STORAGE;
use crate::claims::lifecycle::{Found, Phase};
use crate::ovh::Client;
use crate::ovh::database::{Database, DatabaseSpec, DatabaseStatus};
use crate::ovh::instance::{Instance, InstanceStatus, NewInstance};

/// The user that every database has. Its password is told by nobody: it gets a new one for each
/// Secret.
const USER: &str = "avnadmin";

/// The plan and the flavor of a size: `essential.db1-4` is `essential` and `db1-4`.
pub fn plan_and_flavor(plan: &str) -> Option<(&str, &str)> {
    plan.split_once('.').filter(|(plan, flavor)| !plan.is_empty() && !flavor.is_empty())
}

/// PostgreSQL.
#[derive(Clone, Debug)]
pub struct OvhPostgres(pub Client);

/// What a database is to be. A flavor brings a disk, which the provider's size tells; a claim can
/// only have a larger one.
fn spec<'a>(wanted: &'a Wanted, allowed: &'a [String]) -> Result<DatabaseSpec<'a>, BackendError> {
    let size = wanted.plan()?;
    let (plan, flavor) = plan_and_flavor(size).ok_or_else(|| {
        BackendError::refused(format!("{size:?} is no plan of OVH: expected PLAN.FLAVOR"))
    })?;
    let disk = wanted.number(STORAGE).max(wanted.size.storage_gb);
    Ok(DatabaseSpec { plan, flavor, disk, allowed })
}

fn differs(spec: &DatabaseSpec<'_>, database: &Database) -> Vec<&'static str> {
    let mut differs = Vec::new();
    if (database.plan.as_str(), database.flavor.as_str()) != (spec.plan, spec.flavor) {
        differs.push("plan");
    }
    // A disk only grows.
    if spec.disk.is_some_and(|wanted| database.disk.size.is_some_and(|there| there < wanted)) {
        differs.push("storageGB");
    }
    let mut allowed: Vec<&str> = database.ip_restrictions.iter().map(|one| &*one.ip).collect();
    allowed.sort_unstable();
    if allowed != spec.allowed {
        differs.push("allowedCIDRs");
    }
    differs
}

impl OvhPostgres {
    async fn find(&self, wanted: &Wanted) -> Result<Option<Database>, BackendError> {
        match wanted.is_adopted {
            true => found(self.0.database(&wanted.external_name).await),
            false => Ok(self.0.database_described(&wanted.external_name).await?),
        }
    }

    async fn get(&self, wanted: &Wanted) -> Result<Database, BackendError> {
        let name = &wanted.external_name;
        let missing = || BackendError::refused(format!("{name} is not there"));
        self.find(wanted).await?.ok_or_else(missing)
    }

    async fn reset(&self, id: &str) -> Result<SecretString, BackendError> {
        let user = self.0.database_user(id, USER).await?;
        let user = user.ok_or_else(|| BackendError::refused(format!("it has no user {USER}")))?;
        Ok(self.0.reset_password(id, &user.id).await?)
    }
}

#[async_trait]
impl Backend for OvhPostgres {
    fn is_idempotent(&self) -> bool {
        false
    }

    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError> {
        let Some(database) = self.find(wanted).await? else { return Ok(None) };
        let phase = match database.status {
            DatabaseStatus::Ready => Phase::Ready,
            DatabaseStatus::Deleting => Phase::Deleting,
            DatabaseStatus::Pending | DatabaseStatus::Creating | DatabaseStatus::Updating => {
                Phase::Pending
            }
            _ => Phase::Broken,
        };
        let differs = differs(&spec(wanted, &wanted.allowed_cidrs()?)?, &database);
        let said = format!("OVH says {:?}", database.status);
        Ok(Some(Found { phase, said, differs }))
    }

    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let allowed = wanted.allowed_cidrs()?;
        let (version, nodes) = (wanted.version()?, wanted.size.instances.unwrap_or(1));
        let name = &wanted.external_name;
        self.0.create_database(name, version, nodes, &spec(wanted, &allowed)?).await?;
        Ok(())
    }

    async fn update(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let database = self.get(wanted).await?;
        let allowed = wanted.allowed_cidrs()?;
        let mut spec = spec(wanted, &allowed)?;
        // A disk that is large enough is not made smaller.
        spec.disk = spec.disk.filter(|wanted| database.disk.size.is_none_or(|it| it < *wanted));
        Ok(self.0.update_database(&database.id, &spec).await?)
    }

    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let Some(database) = self.find(wanted).await? else { return Ok(()) };
        found(self.0.delete_database(&database.id).await).map(|_| ())
    }

    async fn rotate_password(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let database = self.get(wanted).await?;
        self.reset(&database.id).await.map(|_| ())
    }

    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError> {
        let database = self.get(wanted).await?;
        let mut endpoints = database.endpoints.iter();
        let Some(endpoint) = endpoints.find(|one| one.component == "postgresql") else {
            return Err(BackendError::refused("OVH does not say yet where it is".to_owned()));
        };
        let authority = self.0.database_authority(&database.id).await?;
        let password = self.reset(&database.id).await?;
        let port = endpoint.port.to_string();
        let name = endpoint.path.as_deref().unwrap_or_default().trim_start_matches('/');
        let name = if name.is_empty() { "defaultdb" } else { name };
        let login = Login { host: &endpoint.domain, port: &port, user: USER, database: name };
        let mut connection = login.connection(password.expose_secret());
        connection.insert("ca.crt", SecretString::from(authority));
        Ok(connection)
    }
}

/// Machines, with a public address.
#[derive(Clone, Debug)]
pub struct OvhMachine(pub Client);

fn is_going(instance: &Instance) -> bool {
    let status = instance.status;
    matches!(
        status,
        InstanceStatus::Deleting | InstanceStatus::Deleted | InstanceStatus::SoftDeleted
    )
}

impl OvhMachine {
    /// All that there is, what lives longest first.
    async fn all(&self, wanted: &Wanted) -> Result<Vec<Instance>, BackendError> {
        if wanted.is_adopted {
            let instance = found(self.0.instance(&wanted.external_name).await)?;
            return Ok(instance.into_iter().collect());
        }
        let mut all = self.0.instances_named(&wanted.external_name).await?;
        all.sort_by_key(is_going);
        Ok(all)
    }

    async fn flavor_id(&self, name: &str) -> Result<String, BackendError> {
        let flavors = self.0.flavors().await?;
        let found = flavors.into_iter().find(|one| one.name == name);
        found.map(|one| one.id).ok_or_else(|| {
            let region = self.0.region();
            BackendError::refused(format!("OVH has no flavor {name} in {region}: see plan"))
        })
    }
}

#[async_trait]
impl Backend for OvhMachine {
    fn is_idempotent(&self) -> bool {
        false
    }

    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError> {
        let Some(instance) = self.all(wanted).await?.into_iter().next() else { return Ok(None) };
        let phase = match instance.status {
            InstanceStatus::Active => Phase::Ready,
            InstanceStatus::Deleted | InstanceStatus::SoftDeleted => return Ok(None),
            InstanceStatus::Deleting => Phase::Deleting,
            InstanceStatus::Build
            | InstanceStatus::Building
            | InstanceStatus::Reboot
            | InstanceStatus::HardReboot => Phase::Pending,
            _ => Phase::Broken,
        };
        let said = format!("OVH says {:?}", instance.status);
        Ok(Some(Found { phase, said, differs: Vec::new() }))
    }

    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let new = NewInstance {
            name: wanted.external_name.clone(),
            flavor_id: self.flavor_id(wanted.plan()?).await?,
            image_id: wanted.image()?.to_owned(),
            region: self.0.region().to_owned(),
            user_data: cloud_init::user_data(wanted)?,
            monthly_billing: false,
        };
        self.0.create_instance(&new).await?;
        Ok(())
    }

    async fn update(&self, _: &Wanted) -> Result<(), BackendError> {
        Err(cloud::no_change())
    }

    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError> {
        for instance in self.all(wanted).await?.iter().filter(|one| !is_going(one)) {
            found(self.0.delete_instance(&instance.id).await)?;
        }
        Ok(())
    }

    async fn rotate_password(&self, _: &Wanted) -> Result<(), BackendError> {
        Err(cloud::no_password())
    }

    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError> {
        let all = self.all(wanted).await?;
        let instance = all.into_iter().find(|one| one.status == InstanceStatus::Active);
        let instance =
            instance.ok_or_else(|| BackendError::refused("the machine does not run".to_owned()))?;
        let mut addresses = instance.ip_addresses.into_iter();
        let address = addresses.find(|one| one.version == 4 && one.kind == "public");
        Ok(cloud::machine(instance.id, instance.name, address.map(|one| one.ip)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claims::testing::wanted;

    #[test]
    fn a_database_is_compared_by_what_can_be_changed() {
        let mut wanted = wanted(&json!({ "allowedCIDRs": ["198.51.100.0/24", "192.0.2.1/32"] }));
        wanted.size.plan = Some("essential.db1-4".to_owned());
        wanted.size.storage_gb = None;
        let mut database: Database = serde_json::from_value(json!({
            "id": "d", "status": "READY", "plan": "essential", "flavor": "db1-4",
            "disk": { "type": "high-speed", "size": 80 },
            "ipRestrictions": [{ "ip": "198.51.100.0/24" }, { "ip": "192.0.2.1/32" }],
        }))
        .unwrap();
        let allowed = wanted.allowed_cidrs().unwrap();
        assert_eq!(differs(&spec(&wanted, &allowed).unwrap(), &database), [""; 0]);
        database.ip_restrictions.clear();
        database.flavor = "db1-7".to_owned();
        wanted.size.storage_gb = Some(100);
        let found = differs(&spec(&wanted, &allowed).unwrap(), &database);
        assert_eq!(found, ["plan", "storageGB", "allowedCIDRs"]);
        wanted.size.plan = Some("essential".to_owned());
        assert!(spec(&wanted, &allowed).is_err());
    }
}
