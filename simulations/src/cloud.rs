//! The virtual cloud: machines, how long they take, how often they fail, and what they cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::lifecycle::{self, ClaimRef, LaunchRequest};
use berth_solver::model::{
    CapacityType, Catalog, Labels, Name, Price, Resources, Taint, Timestamp, well_known,
};

use crate::random::{Delay, Seed};

/// How the cloud behaves.
#[derive(Clone, Debug)]
pub struct CloudSettings {
    /// From the create call to the machine's node joining the cluster.
    pub joins_after: Delay,
    /// From the delete call to the machine being gone.
    pub gone_after: Delay,
    /// How many of a thousand create calls fail for no good reason.
    pub failures_permille: u32,
    /// How many of a thousand machines never join.
    pub never_joins_permille: u32,
}

impl Default for CloudSettings {
    fn default() -> Self {
        Self {
            joins_after: Delay::millis(20_000, 45_000),
            gone_after: Delay::millis(2_000, 10_000),
            failures_permille: 0,
            never_joins_permille: 0,
        }
    }
}

/// What to create.
#[derive(Clone, Debug)]
pub struct InstanceRequest {
    /// The UID of the NodeClaim: a second create of the same UID returns the first machine.
    pub claim_uid: Name,
    /// The machine's name, which its node gets too.
    pub name: Name,
    /// The instance type.
    pub instance_type: Name,
    /// The zone.
    pub zone: Name,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// Labels that its kubelet registers with, besides those of its type and zone.
    pub labels: Labels,
    /// Taints that its kubelet registers with and that stay.
    pub taints: Vec<Taint>,
    /// Taints that its kubelet registers with and that go once it is ready.
    pub startup_taints: Vec<Taint>,
}

/// Where a machine is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It runs (and is paid for).
    Running,
    /// It was told to go.
    Terminating,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The provider ID, as the node's `spec.providerID` has it.
    pub provider_id: Name,
    /// What was asked for.
    pub request: InstanceRequest,
    /// Where it is in its life.
    pub state: InstanceState,
    /// When it was created.
    pub created: Timestamp,
    /// When its node joins; `None`: never.
    pub joins_at: Option<Timestamp>,
    /// What it costs in an hour.
    pub price: Price,
    /// What it has.
    pub capacity: Resources,
    /// What pods can have of it.
    pub allocatable: Resources,
}

impl From<&LaunchRequest> for InstanceRequest {
    fn from(request: &LaunchRequest) -> Self {
        Self {
            claim_uid: request.claim.uid.clone(),
            name: request.claim.name.clone(),
            instance_type: request.instance_type.clone(),
            zone: request.zone.clone(),
            capacity_type: request.capacity_type,
            labels: request.labels.clone(),
            taints: request.taints.to_vec(),
            startup_taints: request.startup_taints.to_vec(),
        }
    }
}

impl From<&Instance> for lifecycle::Instance {
    fn from(machine: &Instance) -> Self {
        let request = &machine.request;
        let labels = [
            (well_known::INSTANCE_TYPE_LABEL, request.instance_type.clone()),
            (well_known::ZONE_LABEL, request.zone.clone()),
            (well_known::CAPACITY_TYPE_LABEL, request.capacity_type.as_str().into()),
        ];
        let pool = request.labels.get(well_known::NODEPOOL_LABEL);
        Self {
            provider_id: machine.provider_id.clone(),
            claim: ClaimRef { name: request.name.clone(), uid: request.claim_uid.clone() },
            pool: pool.cloned().unwrap_or_default(),
            instance_type: request.instance_type.clone(),
            zone: request.zone.clone(),
            capacity_type: request.capacity_type,
            labels: labels.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            capacity: machine.capacity.clone(),
            allocatable: machine.allocatable.clone(),
            created: machine.created,
            terminating: machine.state == InstanceState::Terminating,
        }
    }
}

/// Why the cloud refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// Something went wrong; trying again may help.
    #[error("cloud: creating instance {0} failed, try again")]
    Unavailable(Name),
    /// There are no more machines of that kind there now.
    #[error("cloud: no capacity for {instance_type} in zone {zone}")]
    InsufficientCapacity {
        /// The instance type.
        instance_type: Name,
        /// The zone.
        zone: Name,
    },
    /// The cloud does not sell that.
    #[error("cloud: instance type {instance_type} is not sold in zone {zone} as {capacity_type}")]
    NotSold {
        /// The instance type.
        instance_type: Name,
        /// The zone.
        zone: Name,
        /// How it was to be bought.
        capacity_type: CapacityType,
    },
    /// There is no such machine (any more).
    #[error("cloud: instance {0} not found")]
    NotFound(Name),
}

/// What happened in the cloud so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloudTotals {
    /// Machines created.
    pub created: u64,
    /// Machines gone again.
    pub removed: u64,
    /// Create calls that failed.
    pub failed_creates: u64,
    /// Most machines at once.
    pub peak: u64,
}

/// The virtual cloud.
#[derive(Debug)]
pub struct Cloud {
    settings: CloudSettings,
    seed: Seed,
    catalog: Arc<Catalog>,
    instances: BTreeMap<Name, Instance>,
    attempts: BTreeMap<Name, u32>,
    totals: CloudTotals,
    /// What the machines that are gone have cost, in billionths times milliseconds.
    spent: u128,
}

const HOUR_MILLIS: u128 = 3_600_000;

impl Cloud {
    /// A cloud without machines.
    pub fn new(settings: CloudSettings, catalog: Arc<Catalog>, seed: Seed) -> Self {
        Self {
            settings,
            seed,
            catalog,
            instances: BTreeMap::new(),
            attempts: BTreeMap::new(),
            totals: CloudTotals::default(),
            spent: 0,
        }
    }

    /// What it sells.
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What happened so far.
    pub const fn totals(&self) -> CloudTotals {
        self.totals
    }

    /// All machines, by provider ID.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// A machine.
    pub fn get(&self, provider_id: &str) -> Option<&Instance> {
        self.instances.get(provider_id)
    }

    /// What all machines cost in an hour now.
    pub fn price(&self) -> Price {
        self.instances.values().map(|instance| instance.price).sum()
    }

    /// What all machines have cost until `now`: each is paid from its creation until it is gone.
    pub fn cost(&self, now: Timestamp) -> Price {
        let running: u128 = self
            .instances
            .values()
            .map(|instance| paid(instance.price, instance.created, now))
            .sum();
        Price::from_nanos(u64::try_from((self.spent + running) / HOUR_MILLIS).unwrap_or(u64::MAX))
    }

    /// Creates a machine, or returns the one that was created for that claim before. Also says
    /// whether it is new.
    ///
    /// # Errors
    /// [`CloudError`], except `NotFound`. Whether a call fails for no good reason depends on the
    /// claim's UID and on how often it was tried, not on other calls.
    pub(crate) fn create(
        &mut self,
        request: InstanceRequest,
        now: Timestamp,
    ) -> Result<(Instance, bool), CloudError> {
        let provider_id = Name::from(format!("simulated://{}", request.claim_uid));
        if let Some(instance) = self.instances.get(&provider_id) {
            return Ok((instance.clone(), false));
        }
        let attempt = self.attempts.entry(request.claim_uid.clone()).or_default();
        *attempt += 1;
        let mut chance = self.seed.stream(&format!("cloud/{}/{attempt}", request.name));
        let result = self.launch(provider_id, request, now, &mut chance);
        self.totals.failed_creates += u64::from(result.is_err());
        let instance = result?;
        self.attempts.remove(&instance.request.claim_uid);
        self.totals.created += 1;
        self.instances.insert(instance.provider_id.clone(), instance.clone());
        self.totals.peak = self.totals.peak.max(self.instances.len() as u64);
        Ok((instance, true))
    }

    fn launch(
        &self,
        provider_id: Name,
        request: InstanceRequest,
        now: Timestamp,
        chance: &mut crate::random::Stream,
    ) -> Result<Instance, CloudError> {
        let InstanceRequest { instance_type, zone, capacity_type, .. } = &request;
        let sold = self.catalog.get(instance_type).and_then(|found| {
            let offering = found
                .offerings
                .iter()
                .find(|offer| offer.zone == *zone && offer.capacity_type == *capacity_type)?;
            Some((found, offering))
        });
        let Some((found, offering)) = sold else {
            return Err(CloudError::NotSold {
                instance_type: instance_type.clone(),
                zone: zone.clone(),
                capacity_type: *capacity_type,
            });
        };
        if !offering.available {
            return Err(CloudError::InsufficientCapacity {
                instance_type: instance_type.clone(),
                zone: zone.clone(),
            });
        }
        if chance.chance(self.settings.failures_permille) {
            return Err(CloudError::Unavailable(request.name));
        }
        let joins_at = (!chance.chance(self.settings.never_joins_permille))
            .then(|| now + chance.delay(self.settings.joins_after));
        Ok(Instance {
            provider_id,
            state: InstanceState::Running,
            created: now,
            joins_at,
            price: offering.price,
            capacity: found.capacity.clone(),
            allocatable: found.allocatable(),
            request,
        })
    }

    /// Tells a machine to go. Returns how long it takes, or `None` if it was told before.
    ///
    /// # Errors
    /// [`CloudError::NotFound`].
    pub(crate) fn delete(&mut self, provider_id: &str) -> Result<Option<Duration>, CloudError> {
        let instance = self
            .instances
            .get_mut(provider_id)
            .ok_or_else(|| CloudError::NotFound(Name::from(provider_id)))?;
        if instance.state == InstanceState::Terminating {
            return Ok(None);
        }
        instance.state = InstanceState::Terminating;
        let mut chance = self.seed.stream(&format!("cloud/{}/delete", instance.request.name));
        Ok(Some(chance.delay(self.settings.gone_after)))
    }

    /// A machine is gone.
    pub(crate) fn remove(&mut self, provider_id: &str, now: Timestamp) -> Option<Instance> {
        let instance = self.instances.remove(provider_id)?;
        self.spent += paid(instance.price, instance.created, now);
        self.totals.removed += 1;
        Some(instance)
    }
}

fn paid(price: Price, from: Timestamp, until: Timestamp) -> u128 {
    u128::from(price.as_nanos()) * until.since(from).as_millis()
}
