//! A plain autoscaler to drive the virtual cluster with: a machine for each pod that fits
//! nowhere, gone when it is empty.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_simulations::cloud::InstanceRequest;
use berth_simulations::scenario::POOL;
use berth_simulations::scheduler::NoExtender;
use berth_simulations::{World, WorldSettings};
use berth_solver::model::{
    Bytes, CapacityType, Catalog, ClusterEvent, InstanceType, Labels, MilliCpu, Name, NodeState,
    Offering, Pod, Price, Requirements, Resources, Timestamp, ValueSet, well_known,
};

pub const START: Timestamp = Timestamp::from_seconds(1_000);

pub const ZONES: [&str; 3] = ["at-vie-1", "ch-gva-2", "de-fra-1"];

pub fn world(settings: WorldSettings) -> World {
    World::new(START, settings, Arc::new(catalog()))
}

/// Four types: CPUs, memory in GiB, price in thousandths.
fn catalog() -> Catalog {
    let types = [
        ("standard.medium", 2, 4, 54),
        ("standard.large", 4, 8, 100),
        ("cpu.extra-large", 8, 16, 240),
        ("memory.extra-large", 2, 16, 147),
    ];
    Catalog::new(types.map(instance_type).to_vec())
}

fn instance_type((name, cpus, gibibytes, price): (&str, i64, i64, u64)) -> InstanceType {
    let mut labels = Requirements::default();
    labels.require(well_known::INSTANCE_TYPE_LABEL.into(), &ValueSet::one(name.into()));
    let mut capacity =
        Resources::new(MilliCpu(cpus * 1_000), Bytes::from_mebibytes(gibibytes << 10));
    capacity.pods = 110;
    let offering = |zone: &str| Offering {
        zone: zone.into(),
        capacity_type: CapacityType::OnDemand,
        price: Price::from_nanos(price * 1_000_000),
        available: true,
        reserved_count: None,
    };
    InstanceType {
        name: name.into(),
        labels,
        capacity,
        overhead: Resources::new(MilliCpu(300), Bytes::from_mebibytes(400)),
        offerings: ZONES.map(offering).to_vec(),
    }
}

pub fn request(claim_uid: &str, instance_type: &str, zone: &str) -> InstanceRequest {
    InstanceRequest {
        claim_uid: claim_uid.into(),
        name: format!("node-{claim_uid}").into(),
        instance_type: instance_type.into(),
        zone: zone.into(),
        capacity_type: CapacityType::OnDemand,
        labels: Labels::from_iter([(well_known::NODEPOOL_LABEL.into(), Name::from(POOL))]),
        taints: Vec::new(),
        startup_taints: Vec::new(),
    }
}

/// Takes the taint off nodes that wait to be matched to their claim.
pub fn register_nodes(world: &mut World) {
    let waiting: Vec<Name> =
        nodes(world, |state| state.node.has_taint(well_known::UNREGISTERED_TAINT));
    for name in waiting {
        world.call(|cluster| {
            cluster
                .update_node(&name, None, |node| {
                    let kept = node
                        .taints
                        .iter()
                        .filter(|taint| taint.key != well_known::UNREGISTERED_TAINT);
                    node.taints = kept.cloned().collect();
                })
                .unwrap();
        });
    }
}

pub fn nodes(world: &World, wanted: impl Fn(&NodeState) -> bool) -> Vec<Name> {
    let nodes = world.cluster().objects().nodes.values();
    nodes.filter(|state| wanted(state)).map(|state| state.node.name.clone()).collect()
}

pub fn count_pods(world: &World, wanted: impl Fn(&Pod) -> bool) -> usize {
    world.cluster().objects().pods.values().filter(|pod| wanted(pod)).count()
}

/// The plain autoscaler.
#[derive(Default)]
pub struct Autoscaler {
    served: BTreeSet<Name>,
    pub refused: u32,
}

impl Autoscaler {
    fn step(&mut self, world: &mut World) {
        register_nodes(world);
        let objects = world.cluster().objects();
        let pending: Vec<Arc<Pod>> = objects
            .unbound
            .values()
            .filter(|pod| pod.unschedulable && !self.served.contains(&pod.uid))
            .cloned()
            .collect();
        for (index, pod) in pending.iter().enumerate() {
            let catalog = Arc::clone(world.cloud().catalog());
            let fitting = catalog
                .instance_types
                .iter()
                .filter(|found| {
                    let daemon = berth_simulations::scenario::shape("x", "x", 50, 64);
                    let together = &pod.shape.requests + &daemon.requests;
                    together.fits(&found.allocatable())
                })
                .min_by_key(|found| found.offerings[0].price)
                .unwrap();
            let zone = ZONES[index % ZONES.len()];
            match world.create_instance(request(&pod.uid, &fitting.name, zone)) {
                Ok(_) => {
                    self.served.insert(pod.uid.clone());
                }
                Err(_) => self.refused += 1,
            }
        }
        let leaving: Vec<_> = objects_of_pool(world)
            .into_iter()
            .filter(|state| state.node.ready && state.pods.values().all(|p| p.belongs_to_node()))
            .filter_map(|state| state.node.provider_id.clone())
            .collect();
        for id in leaving {
            world.delete_instance(&id).unwrap();
        }
        let gone: Vec<Name> = objects_of_pool(world)
            .into_iter()
            .filter(|state| world.cloud().get(state.node.provider_id.as_deref().unwrap()).is_none())
            .map(|state| state.node.name.clone())
            .collect();
        for name in gone {
            world.call(|cluster| cluster.delete_node(&name, None)).unwrap();
        }
    }

    /// Plays until `until` or until nothing is left to do, looking around every second.
    pub fn run(&mut self, world: &mut World, until: Timestamp) {
        while world.now() < until {
            self.step(world);
            world.schedule(&mut NoExtender);
            let next = world.now() + Duration::from_secs(1);
            world.advance_to(next);
        }
    }
}

fn objects_of_pool(world: &World) -> Vec<Arc<NodeState>> {
    let nodes = world.cluster().objects().nodes.values();
    nodes.filter(|state| state.node.pool().is_some_and(|pool| *pool == POOL)).cloned().collect()
}

/// What a subscriber was told, as text.
pub fn text(events: &[ClusterEvent]) -> String {
    events.iter().map(|event| format!("{event:?}\n")).collect()
}
