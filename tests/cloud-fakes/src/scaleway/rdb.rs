//! Managed Database for PostgreSQL.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{World, nothing, page, texts};
use crate::route::{Answer, Refusal, Request};

/// A Database Instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// `PostgreSQL-17` and the like.
    pub engine: String,
    /// The type of its nodes.
    pub node_type: String,
    /// Whether it has a second node.
    pub is_ha_cluster: bool,
    /// `sbs_5k` and the like.
    pub volume_type: String,
    /// In bytes.
    pub volume_size: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// Users, by name: their passwords.
    pub users: BTreeMap<String, String>,
    /// Who may connect to its public address.
    pub acl: Vec<String>,
    /// The Private Network that it is in.
    pub private_network: Option<String>,
    /// Whether it has a public address.
    pub is_public: bool,
    /// Since when everybody can reach it, if so: it serves, has a public address, and its list is
    /// open.
    pub open_since: Option<SystemTime>,
    /// For how long everybody could reach it until somebody closed it.
    pub was_open: Duration,
    /// From when on it is ready again.
    pub ready_at: SystemTime,
    /// When it is gone.
    pub ends_at: Option<SystemTime>,
}

/// What lets everybody in.
const EVERYBODY: &str = "0.0.0.0/0";

impl Database {
    /// Brings [`Self::open_since`] up to a moment.
    pub(super) fn settle(&mut self, now: SystemTime) {
        let is_open = self.is_public && self.acl.iter().any(|ip| ip == EVERYBODY);
        match (self.open_since, is_open && now >= self.ready_at) {
            (None, true) => self.open_since = Some(self.ready_at),
            (Some(since), false) => {
                self.was_open += now.duration_since(since).unwrap_or_default();
                self.open_since = None;
            }
            _ => {}
        }
    }

    fn endpoints(&self, id: &str) -> Vec<Value> {
        let private = self.private_network.as_ref().map(|network| {
            json!({ "id": format!("{id}-private"), "ip": "10.0.0.1", "port": 5432,
                    "private_network": { "private_network_id": network,
                                         "service_ip": "10.0.0.1/24", "zone": "fr-par-1",
                                         "provisioning_mode": "ipam" } })
        });
        let public = self.is_public.then(|| {
            json!({ "id": format!("{id}-public"), "ip": "198.51.100.7", "port": 20123,
                    "load_balancer": {} })
        });
        private.into_iter().chain(public).collect()
    }
}

fn json_of(world: &World, id: &str, region: &str) -> Value {
    let one = &world.databases[id];
    let status = match (one.ends_at, world.now < one.ready_at) {
        (Some(_), _) => "deleting",
        (None, true) => "provisioning",
        (None, false) => "ready",
    };
    json!({
        "id": id,
        "region": region,
        "organization_id": "organization",
        "project_id": world.project,
        "name": one.name,
        "status": status,
        "engine": one.engine,
        "node_type": one.node_type,
        "is_ha_cluster": one.is_ha_cluster,
        "tags": one.tags,
        "volume": { "type": one.volume_type, "size": one.volume_size, "class": "sbs" },
        "endpoints": one.endpoints(id),
        "created_at": "2026-01-01T00:00:00Z",
    })
}

fn check_password(password: &str) -> Result<(), Refusal> {
    let has = |is: fn(char) -> bool| password.chars().any(is);
    let is_good = (8..=128).contains(&password.len())
        && has(|one| one.is_ascii_digit())
        && has(|one| one.is_ascii_uppercase())
        && has(|one| one.is_ascii_lowercase())
        && has(|one| !one.is_alphanumeric());
    let bad = || Refusal::invalid(format!("password {password} is too simple"));
    is_good.then_some(()).ok_or_else(bad)
}

fn find<'a>(world: &'a mut World, request: &Request) -> Result<&'a mut Database, Refusal> {
    let id = request.param(1);
    world.databases.get_mut(id).ok_or_else(|| Refusal::not_found("instance", id))
}

/// Nothing can be changed of what is not ready.
fn find_ready<'a>(world: &'a mut World, request: &Request) -> Result<&'a mut Database, Refusal> {
    let now = world.now;
    let found = find(world, request)?;
    if now < found.ready_at || found.ends_at.is_some() {
        return Err(Refusal(409, "resource is in a transient state".to_owned()));
    }
    Ok(found)
}

pub(super) fn list(world: &mut World, request: &Request) -> Answer {
    let ids: Vec<String> = world.databases.keys().cloned().collect();
    let row =
        |id: &String| (world.databases[id].tags.clone(), json_of(world, id, request.param(0)));
    let (total, found) = page(request, ids.iter().map(row).collect(), "page_size");
    Ok(json!({ "instances": found, "total_count": total }))
}

pub(super) fn get(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    Ok(json_of(world, request.param(1), request.param(0)))
}

pub(super) fn create(world: &mut World, request: &Request) -> Answer {
    let text = |name: &str| {
        let found = request.text(&format!("/{name}"));
        found.map(str::to_owned).ok_or_else(|| Refusal::invalid(format!("{name} is missing")))
    };
    if text("project_id")? != world.project {
        return Err(Refusal(403, "insufficient permissions".to_owned()));
    }
    let password = text("password")?;
    check_password(&password)?;
    let size = request.body.pointer("/volume_size").and_then(Value::as_u64);
    // A private network alone means no public address; nothing at all means one.
    let endpoints = request.body["init_endpoints"].as_array().cloned().unwrap_or_default();
    let network = |one: &Value| {
        let id = one.pointer("/private_network/private_network_id")?.as_str()?.to_owned();
        Some((id, one.pointer("/private_network/ipam_config").is_some_and(Value::is_object)))
    };
    let network = endpoints.iter().find_map(network);
    if network.as_ref().is_some_and(|(_, has_address)| !has_address) {
        return Err(Refusal::invalid("private_network wants service_ip or ipam_config"));
    }
    let private_network = network.map(|(id, _)| id);
    let asks = endpoints.iter().any(|one| !one["load_balancer"].is_null());
    let is_public = asks || private_network.is_none();
    let id = world.new_id();
    let database = Database {
        name: text("name")?,
        engine: text("engine")?,
        node_type: text("node_type")?,
        is_ha_cluster: request.body["is_ha_cluster"].as_bool().unwrap_or_default(),
        volume_type: text("volume_type").unwrap_or_else(|_| "lssd".to_owned()),
        volume_size: size.unwrap_or_default(),
        tags: texts(request.body.get("tags")),
        users: BTreeMap::from([(text("user_name")?, password)]),
        acl: vec![EVERYBODY.to_owned()],
        private_network,
        is_public,
        open_since: None,
        was_open: Duration::ZERO,
        ready_at: world.now + world.delay,
        ends_at: None,
    };
    world.databases.insert(id.clone(), database);
    Ok(json_of(world, &id, request.param(0)))
}

pub(super) fn upgrade(world: &mut World, request: &Request) -> Answer {
    let ready_at = world.now + world.delay;
    let database = find_ready(world, request)?;
    if request.body.as_object().is_none_or(|body| body.len() != 1) {
        return Err(Refusal::invalid("exactly one upgrade_target is expected"));
    }
    if let Some(kind) = request.text("/node_type") {
        kind.clone_into(&mut database.node_type);
    }
    if request.body["enable_ha"] == true {
        database.is_ha_cluster = true;
    }
    if let Some(size) = request.body["volume_size"].as_u64() {
        if size <= database.volume_size {
            return Err(Refusal::invalid("volume_size can only grow"));
        }
        database.volume_size = size;
    }
    database.ready_at = ready_at;
    Ok(json_of(world, request.param(1), request.param(0)))
}

pub(super) fn delete(world: &mut World, request: &Request) -> Answer {
    let ends_at = world.now + world.delay;
    find(world, request)?.ends_at = Some(ends_at);
    Ok(json_of(world, request.param(1), request.param(0)))
}

fn rule(ip: &String) -> Value {
    json!({ "ip": ip, "protocol": "tcp", "direction": "inbound", "action": "allow",
            "description": "" })
}

pub(super) fn acl(world: &mut World, request: &Request) -> Answer {
    let rows = find(world, request)?.acl.iter().map(|ip| (Vec::new(), rule(ip))).collect();
    let (total, found) = page(request, rows, "page_size");
    Ok(json!({ "rules": found, "total_count": total }))
}

pub(super) fn set_acl(world: &mut World, request: &Request) -> Answer {
    let now = world.now;
    let database = find_ready(world, request)?;
    let list = request.body["rules"].as_array().into_iter().flatten();
    let list: Vec<String> =
        list.filter_map(|rule| rule["ip"].as_str()).map(str::to_owned).collect();
    if list.iter().any(|ip| ip.contains(':')) {
        let why = "rules.0.ip is wrongly formatted, must be a valid IPv4 network";
        return Err(Refusal::invalid(why));
    }
    database.acl = list;
    database.settle(now);
    Ok(json!({ "rules": database.acl.iter().map(rule).collect::<Vec<_>>() }))
}

pub(super) fn delete_endpoint(world: &mut World, request: &Request) -> Answer {
    let id = request.param(1);
    let (database, kind) = id.rsplit_once('-').unwrap_or_default();
    let now = world.now;
    let found = world.databases.get_mut(database);
    let found = found.ok_or_else(|| Refusal::not_found("endpoint", id))?;
    match kind {
        "public" if found.is_public => found.is_public = false,
        "private" if found.private_network.is_some() => found.private_network = None,
        _ => return Err(Refusal::not_found("endpoint", id)),
    }
    found.settle(now);
    nothing()
}

pub(super) fn create_user(world: &mut World, request: &Request) -> Answer {
    let (Some(name), Some(password)) = (request.text("/name"), request.text("/password")) else {
        return Err(Refusal::invalid("name or password is missing"));
    };
    check_password(password)?;
    find_ready(world, request)?.users.insert(name.to_owned(), password.to_owned());
    Ok(json!({ "name": name, "is_admin": request.body["is_admin"] }))
}

pub(super) fn update_user(world: &mut World, request: &Request) -> Answer {
    let name = request.param(2);
    let known = find_ready(world, request)?.users.get_mut(name);
    let known = known.ok_or_else(|| Refusal::not_found("user", name))?;
    if let Some(password) = request.text("/password") {
        check_password(password)?;
        password.clone_into(known);
    }
    Ok(json!({ "name": name, "is_admin": true }))
}

pub(super) fn certificate(world: &mut World, request: &Request) -> Answer {
    find(world, request)?;
    // "a certificate", in base64.
    Ok(json!({ "name": "ca.pem", "content_type": "text/plain", "content": "YSBjZXJ0aWZpY2F0ZQ==" }))
}
