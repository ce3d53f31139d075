//! Random small clusters in which volumes, shares of GPUs, `minValues`, reservations, priorities and
//! buffers meet: whatever the planner does passes `verify`, and the bound is one.

use std::sync::Arc;

use berth_solver::model::*;
use berth_solver::packing::{MinValuesPolicy, Never, Settings, plan};
use berth_solver::testing::*;
use berth_solver::verify::verify;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::support::*;

struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.0.random_range(0..list.len())].clone()
    }

    fn often(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn catalog(&mut self) -> Catalog {
        let (_, mut catalog) = shop();
        for kind in &mut catalog.instance_types {
            kind.labels.require("family".into(), &ValueSet::one(self.of(&["f", "g"]).into()));
            if self.often(40) {
                let mut reserved = offering(self.of(&["a", "b"]), CapacityType::Reserved, 0.01);
                reserved.reserved_count = Some(self.0.random_range(0..3));
                kind.offerings.push(reserved);
            }
        }
        Catalog::new(catalog.instance_types)
    }

    fn pool(&mut self, name: &str) -> NodePool {
        let mut pool = pool(name);
        if self.often(30) {
            let key = self.of(&[KIND, ZONE, "family"]);
            pool.min_values = Box::from([(key.into(), self.0.random_range(1..3))]);
        }
        pool.limits.nodes = self.often(40).then(|| self.0.random_range(1..5));
        pool.limits.price = self.often(20).then(|| price(0.7));
        pool
    }

    fn shape(&mut self) -> Arc<PodShape> {
        let mut shape = shape(self.of(&[100, 400, 900, 1_900]), self.of(&[64, 1_000, 3_000]));
        if self.often(40) {
            shape = shape.resource("gpu-milli", self.of(&[100, 300, 500, 700, 1_000, 1_500]));
        } else if self.often(20) {
            shape = shape.resource("nvidia.com/gpu", self.of(&[1, 2]));
        }
        if self.often(20) {
            shape = shape.label("app", "x").spread(ZONE, 1);
        }
        if self.often(10) {
            shape = shape.label("app", "y").alone_in(well_known::HOSTNAME_LABEL);
        }
        if self.often(20) {
            shape = shape.node_selector("family", self.of(&["f", "g"]));
        }
        shape.priority(self.of(&[0, 0, 0, 5, -5])).build()
    }

    fn claims(&mut self) -> Box<[Name]> {
        const CLAIMS: [&str; 7] = ["a", "b", "any", "wait", "wait-b", "late", "missing"];
        let count = self.of(&[0, 0, 1, 1, 2]);
        let mut claims: Vec<Name> = (0..count).map(|_| self.of(&CLAIMS).into()).collect();
        claims.sort();
        claims.dedup();
        claims.into()
    }

    fn cluster(&mut self) -> ClusterBuilder {
        let mut cluster = storage(cluster(), self.often(30));
        for name in ["one", "two"] {
            cluster = cluster.pool(self.pool(name), self.catalog());
        }
        let shapes: Vec<Arc<PodShape>> = (0..4).map(|_| self.shape()).collect();
        for name in ["n", "m"] {
            let mut machine = in_zone(name, self.of(&["a", "b"]), self.of(&[1_000, 4_000]));
            machine.allocatable.set_extended("nvidia.com/gpu".into(), self.of(&[0, 1, 3]));
            let drivers = Box::from([("csi.test".into(), self.of(&[None, Some(0), Some(2)]))]);
            let csi = CsiNode { name: name.into(), drivers };
            cluster = cluster.node(machine).event(ClusterEvent::CsiNode(Change::Applied(csi)));
            if self.often(50) {
                let old = Pod { volume_claims: self.claims(), ..pod(name, &self.of(&shapes)) };
                cluster = cluster.pod(bound(old, name));
            }
        }
        if self.often(40) {
            let shape = self.of(&shapes);
            cluster = cluster.buffer("spare", &shape, self.0.random_range(1..6));
        }
        for index in 0..self.0.random_range(1..20) {
            let base = pod(&format!("p{index:02}"), &self.of(&shapes));
            let volume_claims = if self.often(30) { self.claims() } else { Box::default() };
            let nominated_node = self.often(5).then(|| "n".into());
            cluster = cluster.pod(Pod { volume_claims, nominated_node, ..base });
        }
        cluster
    }
}

fn storage(mut cluster: ClusterBuilder, exclusive: bool) -> ClusterBuilder {
    let in_zone = |zone: &str| requirements(&[(ZONE, Operator::In, &[zone])]);
    for (name, nodes) in [("a", vec![in_zone("a")]), ("b", vec![in_zone("b")]), ("any", vec![])] {
        let mut claim = volume_claim(name);
        claim.volume = Some(name.into());
        claim.exclusive = exclusive && name == "a";
        cluster = cluster
            .event(ClusterEvent::PersistentVolume(Change::Applied(volume(name, &nodes))))
            .event(ClusterEvent::PersistentVolumeClaim(Change::Applied(claim)));
    }
    let waits = storage_class("wait", VolumeBinding::WaitForFirstConsumer);
    let in_b = StorageClass {
        name: "wait-b".into(),
        allowed_topologies: Box::from([in_zone("b")]),
        ..waits.clone()
    };
    for class in [waits, in_b, storage_class("late", VolumeBinding::Immediate)] {
        let mut claim = volume_claim(&class.name);
        claim.class = Some(class.name.clone());
        cluster = cluster
            .event(ClusterEvent::StorageClass(Change::Applied(class)))
            .event(ClusterEvent::PersistentVolumeClaim(Change::Applied(claim)));
    }
    cluster
}

#[test]
fn every_plan_of_random_clusters_passes_verify() {
    let (mut placed, mut kept) = (0, 0);
    for seed in 0..400 {
        let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(seed));
        let policy = dice.of(&[MinValuesPolicy::Strict, MinValuesPolicy::BestEffort]);
        let settings = Settings { min_values: policy, ..Settings::default() };
        let snapshot = dice.cluster().snapshot();
        let made = |seed| plan(&snapshot, &settings, Timestamp::from_seconds(1), seed, &Never);
        let first = made(seed);
        assert_eq!(verify(&snapshot, &settings.scheduler_names, &first), [], "seed {seed}");
        assert_eq!(first, made(seed), "seed {seed}");
        placed += first.placements.len();
        kept += first.headroom.iter().filter(|one| one.target.is_some()).count();
    }
    // Not by finding a place for nobody.
    assert!(placed > 1_000 && kept > 100, "{placed} placed, {kept} kept");
}
