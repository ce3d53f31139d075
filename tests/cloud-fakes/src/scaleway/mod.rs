//! Scaleway's databases and instances, in one project.
//!
//! As the real ones: names are not unique, a database has a public address unless it is made in a
//! private network alone, and lets everybody in there until somebody says otherwise, which cannot be
//! before it is ready; no answer holds a password, a machine is created stopped, and only one that runs can
//! be terminated.

mod instance;
mod rdb;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

pub use instance::Server;
pub use rdb::Database;
use serde_json::{Value, json};

use crate::route::{Answer, Refusal, Request, Route};
use crate::server::{Cloud, Now, Received};

/// The fake of one project.
pub type Fake = crate::server::Fake<World>;

/// The secret that a new fake knows.
const SECRET: &str = "11111111-2222-4333-8444-555555555555";

/// A project. All fields may be changed by tests at any time.
#[derive(Debug)]
pub struct World {
    /// The project's id.
    pub project: String,
    /// Databases, by id.
    pub databases: BTreeMap<String, Database>,
    /// Machines, by id.
    pub servers: BTreeMap<String, Server>,
    /// From a change until it is carried out.
    pub delay: Duration,
    secret: String,
    now: SystemTime,
    ids: u64,
}

impl Fake {
    /// Starts a fake of a project.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(project: &str, now: Now) -> std::io::Result<Self> {
        let world = World {
            project: project.to_owned(),
            databases: BTreeMap::new(),
            servers: BTreeMap::new(),
            delay: Duration::ZERO,
            secret: SECRET.to_owned(),
            now: now(),
            ids: 0,
        };
        Self::serve(world, now).await
    }

    /// The secret that it knows.
    pub fn secret(&self) -> String {
        self.world(|world| world.secret.clone())
    }
}

impl World {
    fn new_id(&mut self) -> String {
        self.ids += 1;
        format!("{:08x}-5ca1-4000-8000-{:012x}", self.ids, self.ids)
    }
}

impl Cloud for World {
    const BASE: &'static str = "";

    fn routes() -> &'static [Route<Self>] {
        ROUTES
    }

    fn settle(&mut self, now: SystemTime) {
        self.now = now;
        self.databases.retain(|_, one| one.ends_at.is_none_or(|at| now < at));
        self.databases.values_mut().for_each(|one| one.settle(now));
        self.servers.retain(|_, one| !one.settle(now));
    }

    fn check(&self, received: &Received, _: &str, _: SystemTime) -> Result<(), Refusal> {
        match received.header("x-auth-token") {
            Some(token) if token == self.secret => Ok(()),
            Some(token) => Err(Refusal(401, format!("authentication is denied for {token}"))),
            None => Err(Refusal(401, "there is no X-Auth-Token".to_owned())),
        }
    }
}

/// Those of a list that a tag and a page leave.
fn page(request: &Request, all: Vec<(Vec<String>, Value)>, size: &str) -> (usize, Vec<Value>) {
    let number =
        |name, default| request.asked(name).and_then(|it| it.parse().ok()).unwrap_or(default);
    let (page, size): (usize, usize) = (number("page", 1), number(size, 50));
    let wanted: Vec<&str> =
        request.asked("tags").map_or_else(Vec::new, |it| it.split(',').collect());
    let has = |tags: &[String]| wanted.iter().all(|one| tags.iter().any(|tag| tag == one));
    let found: Vec<Value> =
        all.into_iter().filter(|(tags, _)| has(tags)).map(|(_, value)| value).collect();
    let total = found.len();
    (total, found.into_iter().skip((page.max(1) - 1) * size).take(size).collect())
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn nothing() -> Answer {
    Ok(json!({}))
}

/// What the API does.
const ROUTES: &[Route<World>] = &[
    ("GET", "/rdb/v1/regions/{}/instances", "list-instances", rdb::list),
    ("POST", "/rdb/v1/regions/{}/instances", "create-instance", rdb::create),
    ("GET", "/rdb/v1/regions/{}/instances/{}", "get-instance", rdb::get),
    ("DELETE", "/rdb/v1/regions/{}/instances/{}", "delete-instance", rdb::delete),
    ("POST", "/rdb/v1/regions/{}/instances/{}/upgrade", "upgrade-instance", rdb::upgrade),
    ("GET", "/rdb/v1/regions/{}/instances/{}/acls", "list-instance-acl-rules", rdb::acl),
    ("PUT", "/rdb/v1/regions/{}/instances/{}/acls", "set-instance-acl-rules", rdb::set_acl),
    ("DELETE", "/rdb/v1/regions/{}/endpoints/{}", "delete-endpoint", rdb::delete_endpoint),
    ("POST", "/rdb/v1/regions/{}/instances/{}/users", "create-user", rdb::create_user),
    ("PATCH", "/rdb/v1/regions/{}/instances/{}/users/{}", "update-user", rdb::update_user),
    (
        "GET",
        "/rdb/v1/regions/{}/instances/{}/certificate",
        "get-instance-certificate",
        rdb::certificate,
    ),
    ("GET", "/instance/v1/zones/{}/servers", "list-servers", instance::list),
    ("POST", "/instance/v1/zones/{}/servers", "create-server", instance::create),
    ("GET", "/instance/v1/zones/{}/servers/{}", "get-server", instance::get),
    ("POST", "/instance/v1/zones/{}/servers/{}/action", "server-action", instance::act),
    (
        "PATCH",
        "/instance/v1/zones/{}/servers/{}/user_data/{}",
        "set-server-user-data",
        instance::set_user_data,
    ),
];
