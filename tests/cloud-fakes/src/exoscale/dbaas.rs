//! Managed PostgreSQL.
//!
//! As the real one: the operation of a create refers to nothing, `GET /dbaas-service/{name}` does
//! not exist, `ip-filter` replaces what was there, and no answer but `reveal` holds a password.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::compute::check_quota;
use super::world::{Effect, World};
use crate::route::{Answer, Refusal, Request};

/// The user that every service has.
const ADMIN: &str = "avnadmin";
/// The database that every service has.
const DATABASE: &str = "defaultdb";
const VERSIONS: [&str; 6] = ["13", "14", "15", "16", "17", "18"];
/// Plan, nodes, GiB of memory of each.
const PLANS: [(&str, u32, u32); 7] = [
    ("hobbyist-2", 1, 2),
    ("startup-4", 1, 4),
    ("startup-8", 1, 8),
    ("startup-16", 1, 16),
    ("business-4", 2, 4),
    ("business-8", 2, 8),
    ("premium-4", 3, 4),
];

/// A PostgreSQL service.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// The major version.
    pub version: String,
    /// Who may connect; nobody listed: everybody.
    pub ip_filter: Vec<String>,
    /// Whether it cannot be deleted.
    pub termination_protection: bool,
    /// `maintenance`, `backup-schedule`, `pg-settings`, as they were given.
    pub settings: Map<String, Value>,
    /// Users, by name: their passwords.
    pub users: BTreeMap<String, String>,
    /// Its databases.
    pub databases: Vec<String>,
    /// When it was created.
    pub created: SystemTime,
    /// From when on it runs.
    pub runs_at: SystemTime,
}

impl Database {
    fn host(&self, zone: &str) -> String {
        format!("{}-fake.{zone}.exoscale-fake.invalid", self.name)
    }

    fn common(&self, world: &World) -> Value {
        let state = if world.now() >= self.runs_at { "running" } else { "rebuilding" };
        let plan = PLANS.iter().find(|(name, _, _)| *name == self.plan);
        let (_, nodes, memory) = plan.copied().unwrap_or(("", 1, 4));
        json!({
            "name": self.name,
            "type": "pg",
            "plan": self.plan,
            "state": state,
            "zone": world.zone,
            "node-count": nodes,
            "node-cpu-count": 2,
            "node-memory": u64::from(memory) << 30,
            "termination-protection": self.termination_protection,
            "created-at": time(self.created),
            "updated-at": time(self.created),
        })
    }

    fn whole(&self, world: &World) -> Value {
        let mut value = self.common(world);
        let host = self.host(&world.zone);
        let users = self.users.keys().map(|name| {
            let kind = if name == ADMIN { "primary" } else { "normal" };
            json!({ "type": kind, "username": name })
        });
        value["version"] = self.version.as_str().into();
        value["ip-filter"] = json!(self.ip_filter);
        value["databases"] = json!(self.databases);
        value["users"] = users.collect::<Vec<_>>().into();
        value["prometheus-uri"] = json!({ "host": host, "port": 9273 });
        value["uri"] = format!("postgres://{ADMIN}@{host}:21699/{DATABASE}?sslmode=require").into();
        value["uri-params"] = json!({
            "host": host, "port": "21699", "user": ADMIN, "dbname": DATABASE, "sslmode": "require",
        });
        for (key, setting) in &self.settings {
            value[key] = setting.clone();
        }
        value
    }

    /// Takes in what a create or an update says.
    fn change(&mut self, body: &Value) -> Result<(), Refusal> {
        if let Some(plan) = body.get("plan").and_then(Value::as_str) {
            if !PLANS.iter().any(|(name, _, _)| *name == plan) {
                return Err(Refusal::invalid(format!("there is no plan {plan}")));
            }
            plan.clone_into(&mut self.plan);
        }
        if let Some(version) = body.get("version").and_then(Value::as_str) {
            if !VERSIONS.contains(&version) {
                return Err(Refusal::invalid(format!("there is no version {version}")));
            }
            version.clone_into(&mut self.version);
        }
        if let Some(filter) = body.get("ip-filter").and_then(Value::as_array) {
            self.ip_filter = filter.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        if let Some(protected) = body.get("termination-protection").and_then(Value::as_bool) {
            self.termination_protection = protected;
        }
        for key in ["maintenance", "backup-schedule", "pg-settings"] {
            if let Some(setting) = body.get(key).filter(|setting| !setting.is_null()) {
                self.settings.insert(key.to_owned(), setting.clone());
            }
        }
        Ok(())
    }
}

fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at)
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn find<'a>(world: &'a mut World, name: &str) -> Result<&'a mut Database, Refusal> {
    world.databases.get_mut(name).ok_or_else(|| Refusal::not_found("service", name))
}

pub(crate) fn services(world: &mut World, _: &Request) -> Answer {
    let all: Vec<Value> = world.databases.values().map(|one| one.common(world)).collect();
    Ok(json!({ "dbaas-services": all }))
}

pub(crate) fn service_type(world: &mut World, request: &Request) -> Answer {
    if request.param(0) != "pg" {
        return Err(Refusal::not_found("service type", request.param(0)));
    }
    let plan = |(name, nodes, memory): &(&str, u32, u32)| {
        json!({
            "name": name,
            "node-count": nodes,
            "node-cpu-count": 2,
            "node-memory": u64::from(*memory) << 30,
            "disk-space": (u64::from(*memory) * 20) << 30,
            "zones": [world.zone],
            "authorized": true,
        })
    };
    let plans: Vec<Value> = PLANS.iter().map(plan).collect();
    Ok(json!({
        "name": "pg", "available-versions": VERSIONS, "default-version": "17", "plans": plans,
    }))
}

pub(crate) fn authority(_: &mut World, _: &Request) -> Answer {
    let lines = ["-----BEGIN CERTIFICATE-----", "ZmFrZQ==", "-----END CERTIFICATE-----", ""];
    Ok(json!({ "certificate": lines.join("\n") }))
}

pub(crate) fn get(world: &mut World, request: &Request) -> Answer {
    let name = request.param(0);
    let found = world.databases.get(name).ok_or_else(|| Refusal::not_found("service", name))?;
    Ok(found.whole(world))
}

pub(crate) fn create(world: &mut World, request: &Request) -> Answer {
    let name = request.param(0).to_owned();
    if name.len() > 63 {
        return Err(Refusal::invalid("the name has more than 63 characters"));
    }
    if world.databases.contains_key(&name) {
        return Err(Refusal(409, format!("service {name} exists already")));
    }
    if request.text("/plan").is_none() {
        return Err(Refusal::invalid("plan is missing"));
    }
    check_quota(world, "database", 1)?;
    let password = format!("fake-{}", world.new_id());
    let mut database = Database {
        name: name.clone(),
        plan: String::new(),
        version: "17".to_owned(),
        ip_filter: Vec::new(),
        termination_protection: false,
        settings: Map::new(),
        users: [(ADMIN.to_owned(), password)].into_iter().collect(),
        databases: vec![DATABASE.to_owned()],
        created: world.now,
        runs_at: world.now + world.timing.database,
    };
    database.change(&request.body)?;
    world.databases.insert(name, database);
    Ok(world.begin("create-dbaas-service-pg", None, Effect::Nothing))
}

pub(crate) fn update(world: &mut World, request: &Request) -> Answer {
    let database = find(world, request.param(0))?;
    let mut changed = database.clone();
    changed.change(&request.body)?;
    *database = changed;
    Ok(world.begin("update-dbaas-service-pg", None, Effect::Nothing))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Answer {
    let name = request.param(0).to_owned();
    if find(world, &name)?.termination_protection {
        return Err(Refusal(409, format!("service {name} is protected against termination")));
    }
    Ok(world.begin("delete-dbaas-service-pg", None, Effect::DropDatabase { name }))
}

pub(crate) fn create_user(world: &mut World, request: &Request) -> Answer {
    let user = request.text("/username").ok_or_else(|| Refusal::invalid("username is missing"))?;
    let password = format!("fake-{}", world.new_id());
    let database = find(world, request.param(0))?;
    if database.users.contains_key(user) {
        return Err(Refusal(409, format!("user {user} exists already")));
    }
    database.users.insert(user.to_owned(), password);
    Ok(world.begin("create-dbaas-postgres-user", None, Effect::Nothing))
}

pub(crate) fn delete_user(world: &mut World, request: &Request) -> Answer {
    let user = request.param(1);
    match find(world, request.param(0))?.users.remove(user) {
        Some(_) => Ok(world.begin("delete-dbaas-postgres-user", None, Effect::Nothing)),
        None => Err(Refusal::not_found("user", user)),
    }
}

pub(crate) fn reveal(world: &mut World, request: &Request) -> Answer {
    let user = request.param(1);
    let password = find(world, request.param(0))?.users.get(user);
    let password = password.ok_or_else(|| Refusal::not_found("user", user))?;
    Ok(json!({ "username": user, "password": password }))
}

pub(crate) fn reset(world: &mut World, request: &Request) -> Answer {
    let user = request.param(1);
    let fresh = format!("fake-{}", world.new_id());
    let database = find(world, request.param(0))?;
    let password = database.users.get_mut(user).ok_or_else(|| Refusal::not_found("user", user))?;
    *password = request.text("/password").map_or(fresh, str::to_owned);
    Ok(world.begin("reset-dbaas-postgres-user-password", None, Effect::Nothing))
}

pub(crate) fn create_database(world: &mut World, request: &Request) -> Answer {
    let name = request.text("/database-name");
    let name = name.ok_or_else(|| Refusal::invalid("database-name is missing"))?;
    let database = find(world, request.param(0))?;
    if database.databases.iter().any(|known| known == name) {
        return Err(Refusal(409, format!("database {name} exists already")));
    }
    database.databases.push(name.to_owned());
    Ok(world.begin("create-dbaas-pg-database", None, Effect::Nothing))
}

pub(crate) fn drop_database(world: &mut World, request: &Request) -> Answer {
    let name = request.param(1);
    let database = find(world, request.param(0))?;
    let before = database.databases.len();
    database.databases.retain(|known| known != name);
    if database.databases.len() == before {
        return Err(Refusal::not_found("database", name));
    }
    Ok(world.begin("delete-dbaas-pg-database", None, Effect::Nothing))
}
