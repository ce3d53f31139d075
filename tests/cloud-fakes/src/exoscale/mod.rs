//! Exoscale's API, version 2.
//!
//! It keeps instances, groups, networks, SKS clusters and databases, answers every change with an
//! operation that ends some time later, and checks every signature.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use berth_cloud_fakes::Fault;
//! use berth_cloud_fakes::exoscale::Fake;
//!
//! let fake = Fake::start().await?;
//! let group = fake.world(|world| world.add_security_group("workers"));
//! fake.fault("create-instance", Fault::LoseReply); // the next one only
//! println!("serve at {} with the key {}", fake.endpoint(), fake.key().0);
//! println!("{} creates so far, group {group}", fake.calls("create-instance").len());
//! # Ok(())
//! # }
//! ```

mod catalog;
mod change;
mod compute;
mod dbaas;
mod network;
mod signature;
mod sks;
mod world;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use catalog::InstanceType;
pub use change::{Change, Picture};
pub use compute::Instance;
pub use dbaas::Database;
pub use network::{ElasticIp, Group};
use serde::Deserialize as _;
use serde_json::Value;
pub use sks::Cluster;
pub use world::{Timing, World};

use crate::faults::Fault;
use crate::route::{Refusal, Route};
use crate::server::{Cloud, Now, Received};

/// The fake of one zone.
pub type Fake = crate::server::Fake<World>;

/// The key that a new fake knows, and its secret.
pub const KEY: (&str, &str) = ("EXOfake0000000000000000000", "the-secret-of-the-fake");
/// Where prices are published, without a signature.
pub const PRICES: &str = "/api/pricing/opencompute";

impl Fake {
    /// Starts a fake of the zone `ch-gva-2`, which goes by the system's clock.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_with("ch-gva-2", Arc::new(SystemTime::now)).await
    }

    /// As [`Self::start`], for any zone and clock.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start_with(zone: &str, now: Now) -> std::io::Result<Self> {
        Self::serve(World::new(zone, now()), now).await
    }

    /// Starts a fake of the zone `ch-gva-2` on this port (0: any) and keeps it until standard input
    /// ends: what a process of its own does.
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn run(port: u16) -> std::io::Result<()> {
        let world = World::new("ch-gva-2", SystemTime::now());
        crate::keep(Self::serve_at(world, Arc::new(SystemTime::now), port).await?).await
    }

    /// Where its prices are published.
    pub fn prices_address(&self) -> String {
        format!("{}{PRICES}", self.origin())
    }

    /// A key that it knows, and its secret.
    pub fn key(&self) -> (&'static str, &'static str) {
        KEY
    }

    /// These keys and secrets are known from now on, and no others.
    pub fn set_keys(&self, keys: &[(&str, &str)]) {
        let pairs = keys.iter().map(|(key, secret)| ((*key).to_owned(), (*secret).to_owned()));
        self.world(|world| world.keys = pairs.collect());
    }

    /// The keys' role allows these operations from now on, and no others.
    pub fn allow_only(&self, operations: &[String]) {
        self.world(|world| world.allowed = Some(operations.to_vec()));
    }

    /// The `Date` of its answers is so many seconds behind its clock.
    pub fn set_late_date(&self, seconds: u64) {
        self.world(|world| world.late_date = Duration::from_secs(seconds));
    }

    /// What it publishes as prices; null: 503.
    pub fn set_prices(&self, prices: Value) {
        self.world(|world| world.prices = prices);
    }
}

impl Cloud for World {
    const BASE: &'static str = "v2";

    fn routes() -> &'static [Route<Self>] {
        ROUTES
    }

    fn settle(&mut self, now: SystemTime) {
        self.bring_up_to(now);
    }

    fn check(&self, received: &Received, operation: &str, now: SystemTime) -> Result<(), Refusal> {
        let header = received.header("authorization");
        // Everybody may know the zones.
        if operation == "list-zones" && header.is_none() {
            return Ok(());
        }
        let forbidden = |why: String| Refusal(403, why);
        signature::check(header, received, &self.keys, now).map_err(forbidden)?;
        let is_allowed = |all: &Vec<String>| all.iter().any(|one| one == operation);
        if self.allowed.as_ref().is_none_or(is_allowed) {
            return Ok(());
        }
        Err(forbidden(format!("Forbidden by role policy for compute: {operation}")))
    }

    fn beside(&self, path: &str) -> Option<(u16, Value)> {
        let status = if self.prices.is_null() { 503 } else { 200 };
        (path == PRICES).then(|| (status, self.prices.clone()))
    }

    fn late_date(&self) -> Duration {
        self.late_date
    }

    fn caller(received: &Received) -> Option<String> {
        let fields = received.header("authorization")?.split_once("credential=")?.1;
        Some(fields.split(',').next().unwrap_or(fields).to_owned())
    }

    fn picture(&self) -> Value {
        let instances = self.instances.values().cloned().collect();
        serde_json::json!(Picture { instances, past: self.past.clone() })
    }

    fn change(&mut self, change: &Value) -> Result<Value, Refusal> {
        let change = Change::deserialize(change);
        Ok(change.map_err(|error| Refusal::invalid(error.to_string()))?.apply(self))
    }

    fn meet(&mut self, fault: Option<Fault>) {
        // Only a change begins an operation.
        self.next_fault = fault
            .filter(|fault| matches!(fault, Fault::OperationFails { .. } | Fault::OperationStuck));
    }
}

/// What the API does.
pub(crate) const ROUTES: &[Route<World>] = &[
    ("GET", "/zone", "list-zones", compute::zones),
    ("GET", "/instance-type", "list-instance-types", compute::types),
    ("GET", "/instance-type/{}", "get-instance-type", compute::one_type),
    ("GET", "/quota", "list-quotas", compute::quotas),
    ("GET", "/quota/{}", "get-quota", compute::quota),
    ("GET", "/template", "list-templates", compute::templates),
    ("GET", "/template/{}", "get-template", compute::template),
    ("GET", "/operation/{}", "get-operation", World::look_at_operation),
    ("GET", "/instance", "list-instances", compute::list),
    ("POST", "/instance", "create-instance", compute::create),
    ("GET", "/instance/{}", "get-instance", compute::get),
    ("PUT", "/instance/{}", "update-instance", compute::update),
    ("DELETE", "/instance/{}", "delete-instance", compute::delete),
    ("GET", "/security-group", "list-security-groups", network::security_groups),
    ("GET", "/anti-affinity-group", "list-anti-affinity-groups", network::anti_affinity_groups),
    ("GET", "/anti-affinity-group/{}", "get-anti-affinity-group", network::anti_affinity_group),
    ("GET", "/private-network", "list-private-networks", network::private_networks),
    ("PUT", "/private-network/{}:attach", "attach-instance-to-private-network", network::attach),
    ("GET", "/elastic-ip", "list-elastic-ips", network::elastic_ips),
    ("PUT", "/elastic-ip/{}:attach", "attach-instance-to-elastic-ip", network::attach_elastic_ip),
    ("GET", "/sks-cluster", "list-sks-clusters", sks::clusters),
    ("GET", "/sks-cluster/{}", "get-sks-cluster", sks::cluster),
    ("GET", "/sks-cluster-version", "list-sks-cluster-versions", sks::versions),
    ("GET", "/sks-template/{}/{}", "get-active-nodepool-template", sks::active_template),
    ("GET", "/dbaas-service", "list-dbaas-services", dbaas::services),
    ("GET", "/dbaas-service-type/{}", "get-dbaas-service-type", dbaas::service_type),
    ("GET", "/dbaas-ca-certificate", "get-dbaas-ca-certificate", dbaas::authority),
    ("GET", "/dbaas-postgres/{}", "get-dbaas-service-pg", dbaas::get),
    ("POST", "/dbaas-postgres/{}", "create-dbaas-service-pg", dbaas::create),
    ("PUT", "/dbaas-postgres/{}", "update-dbaas-service-pg", dbaas::update),
    ("DELETE", "/dbaas-postgres/{}", "delete-dbaas-service-pg", dbaas::delete),
    ("POST", "/dbaas-postgres/{}/user", "create-dbaas-postgres-user", dbaas::create_user),
    ("DELETE", "/dbaas-postgres/{}/user/{}", "delete-dbaas-postgres-user", dbaas::delete_user),
    (
        "GET",
        "/dbaas-postgres/{}/user/{}/password/reveal",
        "reveal-dbaas-postgres-user-password",
        dbaas::reveal,
    ),
    (
        "PUT",
        "/dbaas-postgres/{}/user/{}/password/reset",
        "reset-dbaas-postgres-user-password",
        dbaas::reset,
    ),
    ("POST", "/dbaas-postgres/{}/database", "create-dbaas-pg-database", dbaas::create_database),
    ("DELETE", "/dbaas-postgres/{}/database/{}", "delete-dbaas-pg-database", dbaas::drop_database),
];
