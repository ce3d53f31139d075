//! Public Cloud Databases for PostgreSQL.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::World;
use crate::route::{Answer, Refusal, Request};

/// The id of the one user that there is.
const USER: &str = "user-avnadmin";

/// What every flavor brings, in GB.
const FLAVOR_DISK: u64 = 80;

/// A database.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// What people call it.
    pub description: String,
    /// `essential` and so on.
    pub plan: String,
    /// `db1-4` and the like.
    pub flavor: String,
    /// How many nodes.
    pub nodes: u64,
    /// Where.
    pub region: String,
    /// The major version.
    pub version: String,
    /// In GB.
    pub disk: u64,
    /// Who may connect.
    pub allowed: Vec<String>,
    /// The password of its one user.
    pub password: String,
    /// From when on it is ready again.
    pub ready_at: SystemTime,
    /// When it is gone.
    pub ends_at: Option<SystemTime>,
}

fn json_of(world: &World, id: &str) -> Value {
    let one = &world.databases[id];
    let status = match (one.ends_at, world.now < one.ready_at) {
        (Some(_), _) => "DELETING",
        (None, true) => "CREATING",
        (None, false) => "READY",
    };
    let allowed =
        one.allowed.iter().map(|ip| json!({ "ip": ip, "description": "", "status": "READY" }));
    let host = format!("postgresql-{id}.database.cloud.ovh.invalid");
    json!({
        "id": id,
        "description": one.description,
        "status": status,
        "plan": one.plan,
        "flavor": one.flavor,
        "nodeNumber": one.nodes,
        "region": one.region,
        "version": one.version,
        "engine": "postgresql",
        "disk": { "type": "high-speed", "size": one.disk },
        "ipRestrictions": allowed.collect::<Vec<_>>(),
        "endpoints": [
            { "component": "postgresqlRead", "domain": host, "port": 20186, "path": "/defaultdb",
              "scheme": "postgresql", "ssl": true, "sslMode": "require" },
            { "component": "postgresql", "domain": host, "port": 20184, "path": "/defaultdb",
              "scheme": "postgresql", "ssl": true, "sslMode": "require" },
        ],
        "networkType": "public",
    })
}

fn find<'a>(world: &'a mut World, request: &Request) -> Result<&'a mut Database, Refusal> {
    world.check_project(request)?;
    let id = request.param(1);
    world.databases.get_mut(id).ok_or_else(|| Refusal::not_found("Cluster", id))
}

impl Database {
    /// Takes in what a create or an update says.
    fn change(&mut self, body: &Value) -> Result<(), Refusal> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        self.plan = text("plan").unwrap_or_else(|| self.plan.clone());
        self.flavor = text("flavor").unwrap_or_else(|| self.flavor.clone());
        if let Some(size) = body.pointer("/disk/size").and_then(Value::as_u64) {
            if size < self.disk {
                return Err(Refusal::invalid("the disk can only grow"));
            }
            self.disk = size;
        }
        if let Some(list) = body.get("ipRestrictions").and_then(Value::as_array) {
            let ips = list.iter().filter_map(|one| one["ip"].as_str());
            self.allowed = ips.map(str::to_owned).collect();
        }
        Ok(())
    }
}

pub(super) fn list(world: &mut World, request: &Request) -> Answer {
    world.check_project(request)?;
    Ok(world.databases.keys().cloned().collect())
}

pub(super) fn get(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    Ok(json_of(world, request.param(1)))
}

pub(super) fn create(world: &mut World, request: &Request) -> Answer {
    world.check_project(request)?;
    let text = |pointer: &str| {
        let found = request.text(pointer);
        found.map(str::to_owned).ok_or_else(|| Refusal::invalid(format!("{pointer} is missing")))
    };
    let nodes = request.body.pointer("/nodesPattern/number").and_then(Value::as_u64);
    let id = world.new_id();
    let mut database = Database {
        description: text("/description")?,
        plan: text("/plan")?,
        flavor: text("/nodesPattern/flavor")?,
        nodes: nodes.ok_or_else(|| Refusal::invalid("nodesPattern.number is missing"))?,
        region: text("/nodesPattern/region")?,
        version: text("/version")?,
        disk: 0,
        allowed: Vec::new(),
        password: format!("fake-{id}"),
        ready_at: world.now + world.delay,
        ends_at: None,
    };
    database.change(&request.body)?;
    match database.disk {
        0 => database.disk = FLAVOR_DISK,
        disk if disk < FLAVOR_DISK => {
            return Err(Refusal::invalid(format!("disk.size: {FLAVOR_DISK} is the least")));
        }
        _ => {}
    }
    world.databases.insert(id.clone(), database);
    Ok(json_of(world, &id))
}

pub(super) fn update(world: &mut World, request: &Request) -> Answer {
    let ready_at = world.now + world.delay;
    let database = find(world, request)?;
    let mut changed = database.clone();
    changed.change(&request.body)?;
    changed.ready_at = ready_at;
    *database = changed;
    Ok(json_of(world, request.param(1)))
}

pub(super) fn delete(world: &mut World, request: &Request) -> Answer {
    let ends_at = world.now + world.delay;
    find(world, request)?.ends_at = Some(ends_at);
    Ok(Value::Null)
}

pub(super) fn users(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    Ok(json!([USER]))
}

fn user_json() -> Value {
    json!({ "id": USER, "username": "avnadmin", "status": "READY", "createdAt": "" })
}

fn check_user(request: &Request) -> Result<(), Refusal> {
    let id = request.param(2);
    (id == USER).then_some(()).ok_or_else(|| Refusal::not_found("User", id))
}

pub(super) fn user(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    check_user(request)?;
    Ok(user_json())
}

pub(super) fn reset(world: &mut World, request: &Request) -> Answer {
    check_user(request)?;
    let fresh = format!("fake-{}", world.new_id());
    find(world, request)?.password.clone_from(&fresh);
    let mut value = user_json();
    value["password"] = fresh.into();
    Ok(value)
}

pub(super) fn certificates(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    Ok(json!({ "ca": "a certificate" }))
}
