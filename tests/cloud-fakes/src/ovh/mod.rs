//! OVHcloud's databases and instances, in one project.
//!
//! As the real ones: lists of databases hold ids only, names are not unique, nobody listed means
//! that nobody may connect, and a password is told to nobody but who resets it.

mod database;
mod instance;
mod signature;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

pub use database::Database;
pub use instance::Instance;
use serde_json::Value;

use crate::route::{Answer, Refusal, Request, Route};
use crate::server::{Cloud, Now, Received};

/// The fake of one project.
pub type Fake = crate::server::Fake<World>;

/// The application's key and secret, and the consumer's key, that a new fake knows.
const KEYS: [&str; 3] = ["fakeapplication", "fakeapplicationsecret", "fakeconsumer"];

/// A project. All fields may be changed by tests at any time.
#[derive(Debug)]
pub struct World {
    /// The project's id.
    pub project: String,
    /// Databases, by id.
    pub databases: BTreeMap<String, Database>,
    /// Machines, by id.
    pub instances: BTreeMap<String, Instance>,
    /// What machines can be had, by id: the name.
    pub flavors: BTreeMap<String, String>,
    /// From a change until it is carried out.
    pub delay: Duration,
    /// By how many seconds its clock is ahead of the one it was given.
    pub ahead: u64,
    keys: [String; 3],
    now: SystemTime,
    ids: u64,
}

impl Fake {
    /// Starts a fake of a project.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(project: &str, now: Now) -> std::io::Result<Self> {
        let flavors = [("flavor-b3-8", "b3-8"), ("flavor-b3-16", "b3-16")];
        let world = World {
            project: project.to_owned(),
            databases: BTreeMap::new(),
            instances: BTreeMap::new(),
            flavors: flavors.map(|(id, name)| (id.to_owned(), name.to_owned())).into(),
            delay: Duration::ZERO,
            ahead: 0,
            keys: KEYS.map(str::to_owned),
            now: now(),
            ids: 0,
        };
        Self::serve(world, now).await
    }

    /// The application's key and secret, and the consumer's key, that it knows.
    pub fn keys(&self) -> [String; 3] {
        self.world(|world| world.keys.clone())
    }
}

impl World {
    fn new_id(&mut self) -> String {
        self.ids += 1;
        format!("{:08x}-0744-4000-8000-{:012x}", self.ids, self.ids)
    }

    fn seconds(&self, now: SystemTime) -> u64 {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_secs() + self.ahead
    }

    /// The project of a path is the only one.
    fn check_project(&self, request: &Request) -> Result<(), Refusal> {
        let forbidden = || Refusal(403, "This call has not been granted".to_owned());
        (request.param(0) == self.project).then_some(()).ok_or_else(forbidden)
    }
}

impl Cloud for World {
    const BASE: &'static str = "1.0";

    fn routes() -> &'static [Route<Self>] {
        ROUTES
    }

    fn settle(&mut self, now: SystemTime) {
        self.now = now;
        self.databases.retain(|_, one| one.ends_at.is_none_or(|at| now < at));
        self.instances.retain(|_, one| one.ends_at.is_none_or(|at| now < at));
    }

    fn check(&self, received: &Received, operation: &str, now: SystemTime) -> Result<(), Refusal> {
        // Everybody may know the time.
        if operation == "auth-time" {
            return Ok(());
        }
        signature::check(received, &self.keys, self.seconds(now))
    }
}

fn time(world: &mut World, _: &Request) -> Answer {
    Ok(Value::from(world.seconds(world.now)))
}

/// What the API does.
const ROUTES: &[Route<World>] = &[
    ("GET", "/auth/time", "auth-time", time),
    ("GET", "/cloud/project/{}/flavor", "list-flavors", instance::flavors),
    ("GET", "/cloud/project/{}/instance", "list-instances", instance::list),
    ("POST", "/cloud/project/{}/instance", "create-instance", instance::create),
    ("GET", "/cloud/project/{}/instance/{}", "get-instance", instance::get),
    ("DELETE", "/cloud/project/{}/instance/{}", "delete-instance", instance::delete),
    ("GET", "/cloud/project/{}/database/postgresql", "list-databases", database::list),
    ("POST", "/cloud/project/{}/database/postgresql", "create-database", database::create),
    ("GET", "/cloud/project/{}/database/postgresql/{}", "get-database", database::get),
    ("PUT", "/cloud/project/{}/database/postgresql/{}", "update-database", database::update),
    ("DELETE", "/cloud/project/{}/database/postgresql/{}", "delete-database", database::delete),
    ("GET", "/cloud/project/{}/database/postgresql/{}/user", "list-users", database::users),
    ("GET", "/cloud/project/{}/database/postgresql/{}/user/{}", "get-user", database::user),
    (
        "POST",
        "/cloud/project/{}/database/postgresql/{}/user/{}/credentials/reset",
        "reset-user-credentials",
        database::reset,
    ),
    (
        "GET",
        "/cloud/project/{}/database/postgresql/{}/certificates",
        "get-certificates",
        database::certificates,
    ),
];
