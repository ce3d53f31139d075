//! Random problems: small clusters in which every constraint may meet every other.

use std::sync::Arc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::model::{
    CapacityType, Catalog, InstanceType, Limits, MilliCpu, Node, NodePool, Operator, Pod, PodShape,
    Resources, Snapshot, Timestamp, Weighted, WhenUnsatisfiable, well_known,
};

use super::{
    ClusterBuilder, ShapeBuilder, bound, cluster, daemon_set, instance_type, node, offering, pod,
    pool, requirements, shape, taint,
};

const ZONE: &str = well_known::ZONE_LABEL;
const HOST: &str = well_known::HOSTNAME_LABEL;
const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
const DEVICE: &str = "example.com/device";
/// Labels of pods, by which others look for them.
const APPS: [&str; 4] = ["web", "db", "cache", "batch"];

/// The problem of that seed: 0 to 2 pools with small catalogs, some nodes with pods on them, and
/// 1 to 60 pending pods of 1 to 8 shapes with any mix of constraints.
pub fn random_problem(seed: u64) -> Snapshot {
    let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(seed));
    let mut cluster = cluster();
    for index in 0..random.among(&[0, 1, 1, 1, 2, 2]) {
        cluster = cluster.pool(random.pool(index), random.catalog());
    }
    let shapes: Vec<Arc<PodShape>> = (0..random.up_to(1, 8)).map(|_| random.shape()).collect();
    if random.chance(30) {
        cluster = random.nodes(cluster, &shapes);
    }
    if random.chance(25) {
        let logs = shape(random.among(&[50, 100]), random.among(&[64, 128])).label("app", "logs");
        let logs = if random.chance(30) { logs.tolerate("team") } else { logs };
        let logs = if random.chance(20) { logs.host_port(9_100) } else { logs };
        cluster = cluster.daemon_set(daemon_set("logs", &logs.build()));
    }
    let count = random.up_to(1, 60);
    for index in 0..count {
        let shape = &shapes[random.up_to(0, shapes.len() - 1)];
        let created = Timestamp::from_seconds(random.among(&[0, 0, 5, 9]));
        let name = format!("pod-{index:02}");
        cluster = cluster.pod(Pod { created, ..pod(&name, shape) });
    }
    cluster.snapshot()
}

struct Random(Xoshiro256PlusPlus);

impl Random {
    /// With so many percent's probability.
    fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn up_to(&mut self, least: usize, most: usize) -> usize {
        self.0.random_range(least..=most)
    }

    fn among<T: Copy>(&mut self, values: &[T]) -> T {
        *values.choose(&mut self.0).expect("something to choose from")
    }

    fn pool(&mut self, index: usize) -> NodePool {
        let base = pool(["general", "other"][index]);
        let weight = if self.chance(30) { self.among(&[1, 10]) } else { 0 };
        let mut limits = Limits::default();
        if self.chance(15) {
            limits.cpu = Some(self.among(&[8_000, 20_000]));
        }
        if self.chance(10) {
            limits.nodes = Some(self.among(&[1, 3, 6]));
        }
        let taints = if self.chance(15) { vec![taint("team", "a")] } else { vec![] };
        let capacity: &[&str] =
            if self.chance(20) { &["on-demand"] } else { &["on-demand", "spot"] };
        let mut required =
            requirements(&[(well_known::CAPACITY_TYPE_LABEL, Operator::In, capacity)]);
        if self.chance(20) {
            required = required.intersection(&requirements(&[(ZONE, Operator::In, &ZONES[..2])]));
        }
        NodePool { weight, limits, taints: taints.into(), requirements: required, ..base }
    }

    fn catalog(&mut self) -> Catalog {
        let count = self.up_to(1, 6);
        let types = (0..count).map(|index| self.instance_type(index)).collect();
        Catalog::new(types)
    }

    fn instance_type(&mut self, index: usize) -> InstanceType {
        let cpus = self.among(&[1_i64, 2, 4, 8]);
        let memory = cpus * self.among(&[1_024, 2_048, 4_096, 8_192]);
        // Prices are not in proportion: large nodes may be cheap or dear.
        let base =
            self.0.random_range(0.02..0.06) * (cpus as f64).powf(self.among(&[0.8, 1.0, 1.2]));
        let mut offerings = Vec::new();
        for zone in ZONES {
            if self.chance(20) {
                continue;
            }
            let factor = self.among(&[1.0, 1.0, 1.1]);
            offerings.push(offering(zone, CapacityType::OnDemand, base * factor));
            if self.chance(50) {
                offerings.push(offering(zone, CapacityType::Spot, base * factor * 0.4));
            }
        }
        if self.chance(10)
            && let Some(first) = offerings.first_mut()
        {
            first.available = false;
        }
        let mut kind = instance_type(&format!("type-{index}"), cpus * 1_000, memory, offerings);
        kind.capacity.pods = self.among(&[8, 20, 110]);
        if self.chance(50) {
            kind.overhead = Resources::new(MilliCpu(100), crate::model::Bytes::from_mebibytes(128));
        }
        if self.chance(20) {
            kind.capacity.set_extended(DEVICE.into(), self.among(&[1, 4]));
        }
        kind
    }

    fn shape(&mut self) -> Arc<PodShape> {
        let app = self.among(&APPS);
        let cpu = self.among(&[0, 100, 250, 500, 900, 1_500, 3_000]);
        let mut built =
            shape(cpu, self.among(&[64, 128, 256, 512, 1_024, 3_000])).label("app", app);
        if self.chance(15) {
            built = built.node_selector(ZONE, self.among(&ZONES));
        }
        if self.chance(10) {
            let capacity = self.among(&["on-demand", "spot"]);
            built = built.node_selector(well_known::CAPACITY_TYPE_LABEL, capacity);
        }
        if self.chance(10) {
            built = built.require(ZONE, Operator::NotIn, &[self.among(&ZONES)]);
        }
        if self.chance(30) {
            built = built.tolerate("team");
        }
        if self.chance(6) {
            built = built.host_port(self.among(&[80, 8_080]));
        }
        if self.chance(6) {
            built = built.resource(DEVICE, 1);
        }
        let built = self.preferences(built);
        self.relations(built, app).build()
    }

    /// Spread, affinity and anti-affinity.
    fn relations(&mut self, mut built: ShapeBuilder, app: &str) -> ShapeBuilder {
        if self.chance(20) {
            built = built.spread(ZONE, self.among(&[1, 1, 2]));
        }
        if self.chance(12) {
            built = built.spread(HOST, self.among(&[1, 3]));
        }
        if self.chance(10) {
            built = built.alone_in(HOST);
        }
        if self.chance(4) {
            built = built.alone_in(ZONE);
        }
        if self.chance(6) {
            built = built.anti_affinity(HOST, &[("app", self.among(&APPS))]);
        }
        if self.chance(10) {
            let to = if self.chance(50) { app } else { self.among(&APPS) };
            built = built.affinity(self.among(&[ZONE, ZONE, HOST]), &[("app", to)]);
        }
        built
    }

    /// What it would only like.
    fn preferences(&mut self, mut built: ShapeBuilder) -> ShapeBuilder {
        if self.chance(8) {
            let term = requirements(&[(ZONE, Operator::In, &[self.among(&ZONES)])]);
            built = built.with(|shape| {
                shape.preferred_node_affinity = Box::from([Weighted { weight: 10, term }]);
            });
        }
        if self.chance(8) {
            built = built.spread(ZONE, 1).with(|shape| {
                for spread in &mut shape.topology_spread {
                    spread.when_unsatisfiable = WhenUnsatisfiable::ScheduleAnyway;
                }
            });
        }
        built
    }

    /// Up to three nodes with some pods of these shapes or of others.
    fn nodes(&mut self, mut cluster: ClusterBuilder, shapes: &[Arc<PodShape>]) -> ClusterBuilder {
        for index in 0..self.up_to(1, 3) {
            let name = format!("node-{index}");
            let base = node(&name, self.among(&[2_000, 4_000]), self.among(&[4_096, 16_384]));
            let zone = self.among(&ZONES);
            let mut labels = base.labels.with([(ZONE.into(), zone.into())]);
            if self.chance(50) {
                labels = labels.with([(
                    well_known::CAPACITY_TYPE_LABEL.into(),
                    self.among(&["on-demand", "spot"]).into(),
                )]);
            }
            let taints = if self.chance(15) { vec![taint("team", "a")] } else { vec![] };
            let unschedulable = self.chance(8);
            cluster = cluster.node(Node { labels, taints: taints.into(), unschedulable, ..base });
            for there in 0..self.up_to(0, 2) {
                let plain = shape(200, 256).label("app", self.among(&APPS)).build();
                let kind = if self.chance(40) { self.among(&[&shapes[0]]).clone() } else { plain };
                cluster = cluster.pod(bound(pod(&format!("{name}-{there}"), &kind), &name));
            }
        }
        cluster
    }
}
