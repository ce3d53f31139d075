//! The appliance on the embedded cluster.

use std::sync::Arc;
use std::time::Duration;

use berth_solver::placement;

use super::journal::Journal;
use super::witness::Witness;
use crate::appliance::{Addresses, Appliance, Parts};
use crate::autoscaler::Settings;
use crate::cache::CacheSender;
use crate::leader::Leadership;
use crate::provider::simulated::{SharedWorld, SimulatedCloud, SimulatedCluster};
use crate::server::{BindError, Limits};

/// How long a call of the virtual cloud takes, in the cluster's time.
const CLOUD_LATENCY: Duration = Duration::from_millis(100);

/// Starts the appliance on free ports of the loopback interface. What happens in the cluster is to
/// be sent to the cache.
///
/// # Errors
/// When a port cannot be opened.
pub async fn start(
    world: SharedWorld,
    journal: Journal,
    seed: u64,
) -> Result<(Appliance, CacheSender), BindError> {
    Appliance::start(Parts {
        writer: Arc::new(SimulatedCluster(world.clone())),
        provider: Arc::new(SimulatedCloud::new(world.clone(), CLOUD_LATENCY)),
        leadership: Leadership::always(),
        clock: world.clock().clone(),
        reporter: Arc::new(Witness::new(world, journal)),
        addresses: Addresses::any(),
        autoscaler: Settings { seed, ..Settings::default() },
        placement: placement::Settings::default(),
        extender_tls: None,
        extender_limits: Limits::default(),
        binder: None,
        journal: Arc::default(),
    })
    .await
}
