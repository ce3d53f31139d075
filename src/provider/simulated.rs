//! The virtual cluster and its virtual cloud, behind the faces of the real ones.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_simulations::World;
use berth_simulations::cloud::{self, CloudError};
use berth_solver::lifecycle::{ClaimRef, Instance, LaunchRequest, RepairPolicy, Write};
use berth_solver::model::{Catalog, Name, Node, NodeClaim, NodePool, Pod, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{CloudProvider, ProviderError};
use crate::autoscaler::{ClusterWriter, Notice, WriteError};
use crate::clock::Clock;

/// A [`World`] that several tasks use, and the clock that it follows. Cloning shares it.
#[derive(Clone, Debug)]
pub struct SharedWorld {
    world: Arc<Mutex<World>>,
    clock: Clock,
    /// Counts the times that something changed.
    changes: watch::Sender<u64>,
}

impl SharedWorld {
    /// Shares a world that follows `clock`.
    pub fn new(world: World, clock: Clock) -> Self {
        Self { world: Arc::new(Mutex::new(world)), clock, changes: watch::channel(0).0 }
    }

    /// The clock that the world follows.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Brings the world up to the present and uses it.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let state = |world: &World| {
            let generation = world.cluster().objects().generation;
            (generation, world.next_timer_at(), world.next_attempt_at())
        };
        let mut world = self.world.lock();
        let before = state(&world);
        world.advance_to(self.clock.now());
        let result = act(&mut world);
        if state(&world) != before {
            self.changes.send_modify(|count| *count += 1);
        }
        result
    }

    /// Looks at the world as it last was.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.lock())
    }

    /// A receiver that learns of every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until the world changes, or until `due`.
    pub async fn next_change(&self, changes: &mut watch::Receiver<u64>, due: Option<Timestamp>) {
        let until_due = async {
            match due {
                Some(due) => self.clock.sleep(due.since(self.clock.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = until_due => {}
        }
    }
}

/// The virtual cloud as a provider.
#[derive(Clone, Debug)]
pub struct SimulatedCloud {
    world: SharedWorld,
    /// How long each call takes, in the world's time.
    latency: Duration,
}

impl SimulatedCloud {
    /// The cloud of a world.
    pub const fn new(world: SharedWorld, latency: Duration) -> Self {
        Self { world, latency }
    }

    async fn call<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.world.clock.sleep(self.latency).await;
        self.world.with(act)
    }
}

#[async_trait]
impl CloudProvider for SimulatedCloud {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn repair_policies(&self) -> Vec<RepairPolicy> {
        super::not_ready_for_long()
    }

    async fn catalog(&self, _: &NodePool) -> Result<Catalog, ProviderError> {
        Ok(self.world.look(|world| (**world.cloud().catalog()).clone()))
    }

    async fn create(&self, request: &LaunchRequest) -> Result<Instance, ProviderError> {
        let created = self.call(|world| world.create_instance(request.into())).await;
        created.map(|machine| Instance::from(&machine)).map_err(|error| refusal(&error))
    }

    async fn get(&self, provider_id: &str) -> Result<Instance, ProviderError> {
        let found = self.call(|world| world.cloud().get(provider_id).map(Instance::from)).await;
        found.ok_or_else(|| ProviderError::NotFound(provider_id.to_owned()))
    }

    async fn list(&self) -> Result<Vec<Instance>, ProviderError> {
        Ok(self.call(|world| world.cloud().instances().map(Instance::from).collect()).await)
    }

    async fn delete(
        &self,
        claim: &ClaimRef,
        provider_id: Option<&Name>,
    ) -> Result<(), ProviderError> {
        let deleted = self
            .call(|world| {
                let mine = |found: &cloud::Instance| {
                    provider_id == Some(&found.provider_id) || found.request.claim_uid == claim.uid
                };
                let ids: Vec<Name> = world
                    .cloud()
                    .instances()
                    .filter(|found| mine(found))
                    .map(|found| found.provider_id.clone())
                    .collect();
                for id in &ids {
                    world.delete_instance(id)?;
                }
                Ok(!ids.is_empty())
            })
            .await;
        match deleted {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(ProviderError::NotFound(format!("no machine of claim {}", claim.name)))
            }
            Err(error) => Err(refusal(&error)),
        }
    }
}

fn refusal(error: &CloudError) -> ProviderError {
    let message = error.to_string();
    match error {
        CloudError::Unavailable(_) => ProviderError::Other(message),
        CloudError::InsufficientCapacity { .. } => ProviderError::InsufficientCapacity(message),
        CloudError::NotSold { .. } => ProviderError::Refused(message),
        CloudError::NotFound(_) => ProviderError::NotFound(message),
    }
}

/// The virtual cluster as an API server to write to.
#[derive(Clone, Debug)]
pub struct SimulatedCluster(pub SharedWorld);

#[async_trait]
impl ClusterWriter for SimulatedCluster {
    async fn write(&self, write: &Write) -> Result<(), WriteError> {
        Ok(self.0.with(|world| world.write(write))?)
    }

    async fn live_node(&self, name: &Name) -> Result<Option<Node>, WriteError> {
        let found = self.0.with(|world| world.cluster().objects().nodes.get(name).cloned());
        Ok(found.map(|state| (*state.node).clone()))
    }

    async fn live_pods(&self, node: &Name) -> Result<Vec<Pod>, WriteError> {
        let found = self.0.with(|world| world.cluster().objects().nodes.get(node).cloned());
        let pods = found.iter().flat_map(|state| state.pods.values());
        Ok(pods.map(|pod| (**pod).clone()).collect())
    }

    async fn live_claims(&self) -> Result<Vec<NodeClaim>, WriteError> {
        let claims = self.0.with(|world| world.cluster().objects().claims.clone());
        Ok(claims.values().map(|claim| (**claim).clone()).collect())
    }

    async fn notify(&self, notice: &Notice) {
        tracing::debug!(reason = notice.reason, "{}", notice.message);
    }
}
