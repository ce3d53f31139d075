use std::time::Duration;

use berth_simulations::{World, WorldSettings};
use berth_solver::model::Timestamp;
use berth_solver::testing::exoscale_catalog;

use super::*;
use crate::provider::simulated::{SharedWorld, SimulatedCloud, SimulatedCluster};

const START: Timestamp = Timestamp::from_seconds(1_000_000);

/// The appliance on an empty virtual cluster.
async fn start() -> Appliance {
    let world = World::new(START, WorldSettings::new(1), Arc::new(exoscale_catalog(&["z"])));
    let world = SharedWorld::new(world, Clock::running(START, 1.0));
    let (appliance, _) = Appliance::start(Parts {
        writer: Arc::new(SimulatedCluster(world.clone())),
        provider: Arc::new(SimulatedCloud::new(world.clone(), Duration::ZERO)),
        leadership: Leadership::always(),
        clock: world.clock().clone(),
        reporter: Arc::new(()),
        addresses: Addresses::any(),
        autoscaler: autoscaler::Settings::default(),
        placement: placement::Settings::default(),
        extender_tls: None,
        extender_limits: Limits::default(),
        binder: None,
        journal: Arc::default(),
    })
    .await
    .expect("free ports");
    appliance
}

#[tokio::test]
async fn a_part_that_panics_ends_the_daemon_so_that_it_is_started_again() {
    let mut appliance = start().await;
    let long = Duration::from_secs(60);
    appliance.tasks.spawn(async { panic!("as asked") });
    tokio::time::timeout(long, appliance.broken()).await.expect("it is noticed");
    tokio::time::timeout(long, appliance.stop()).await.expect("the others end");
}
