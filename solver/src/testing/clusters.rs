use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::model::{
    Catalog, DisruptionBudget, Launch, Name, NodeClaim, NodePool, NodesLimit, Offering, Plan, Pod,
    Resources, Snapshot, Target, well_known::condition,
};

use super::{
    ClusterBuilder, Workload, bound, claim, claim_with_condition, cluster, node_of_claim, pool,
};

/// A cluster that has been scaled down: that many nodes of the catalog's middle sizes, with pods
/// on them to about that share of their CPU or memory, whichever is scarcer; some nodes hold more,
/// some less. One pool, `general`, whose budget is `budget` percent. The same seed gives the same
/// cluster.
pub fn half_empty_cluster(
    catalog: &Catalog,
    nodes: usize,
    fill: f64,
    budget: u32,
    workload: Workload,
    seed: u64,
) -> Snapshot {
    let random = &mut SmallRng::seed_from_u64(seed);
    let general = NodePool { budgets: percent(budget), ..pool("general") };
    let sizes: Vec<_> = catalog
        .instance_types
        .iter()
        .filter(|kind| (4_000..=16_000).contains(&kind.capacity.cpu.0))
        .filter(|kind| kind.capacity.extended().iter().all(|(_, amount)| *amount == 0))
        .filter(|kind| kind.offerings.iter().any(|offering| offering.available))
        .collect();
    let mut world = cluster().pool(general.clone(), catalog.clone());
    let mut waiting = workload.pods(nodes * 40, seed);
    waiting.shuffle(random);
    let mut waiting = waiting.into_iter();
    for index in 0..nodes {
        let kind = *sizes.choose(random).expect("a middle-sized type");
        let available: Vec<&Offering> =
            kind.offerings.iter().filter(|offering| offering.available).collect();
        let chosen = (*available.choose(random).expect("an offering")).clone();
        let of_type = crate::model::InstanceType { offerings: vec![chosen], ..kind.clone() };
        let name = format!("node-{index:05}");
        let claim = up(claim(&name, &general, &of_type));
        let node = node_of_claim(&claim);
        let wanted = (fill + random.random_range(-0.25..0.25)).clamp(0.05, 0.95);
        let mut used = Resources::default();
        let mut pods: Vec<Pod> = Vec::new();
        // A few that do not fit do not end the filling.
        let mut misses = 0;
        while misses < 4 && share(&used, &node.allocatable) < wanted {
            let Some(pod) = waiting.next() else { break };
            let with = &used + &pod.shape.requests;
            let fits = share(&with, &node.allocatable) <= 1.0
                && with.pods <= node.allocatable.pods
                && pod
                    .shape
                    .node_selector
                    .iter()
                    .all(|(key, value)| node.label(key) == Some(value));
            if fits {
                used = with;
                pods.push(bound(pod, &node.name));
            } else {
                misses += 1;
            }
        }
        world = world.claim(claim).node(node).pods(pods);
    }
    world.snapshot()
}

/// The same claim, launched, registered and initialised at second 0.
pub fn up(claim: NodeClaim) -> NodeClaim {
    [condition::LAUNCHED, condition::REGISTERED, condition::INITIALIZED]
        .into_iter()
        .fold(claim, claim_with_condition)
}

/// One budget of so many percent, for every reason, at all times.
pub fn percent(percent: u32) -> Box<[DisruptionBudget]> {
    Box::from([DisruptionBudget {
        nodes: NodesLimit::Percent(percent),
        reasons: Box::default(),
        schedule: None,
        duration: None,
        broken: false,
    }])
}

fn share(used: &Resources, of: &Resources) -> f64 {
    let part = |used: i64, of: i64| if of > 0 { used as f64 / of as f64 } else { 1.0 };
    part(used.cpu.0, of.cpu.0).max(part(used.memory.0, of.memory.0))
}

/// The claim of a launch once its node is up.
fn launched(launch: &Launch, pool: &NodePool, catalog: &Catalog) -> NodeClaim {
    let kind = super::type_of(catalog, &launch.instance_type);
    let offering = kind.offerings.iter().find(|offering| {
        offering.zone == launch.zone && offering.capacity_type == launch.capacity_type
    });
    let kind = crate::model::InstanceType {
        offerings: vec![offering.expect("an offering").clone()],
        ..kind.clone()
    };
    up(claim(&launch.name, pool, &kind))
}

/// An empty cluster of one pool once a plan for these pods has been carried out: what was launched
/// is up, and pods run where the plan puts them.
pub fn after_plan(
    plan: &Plan,
    pods: Vec<Pod>,
    pool: &NodePool,
    catalog: &Arc<Catalog>,
) -> ClusterBuilder {
    let mut world = cluster().pool(pool.clone(), Arc::clone(catalog));
    for launch in &plan.launches {
        let claim = launched(launch, pool, catalog);
        world = world.node(node_of_claim(&claim)).claim(claim);
    }
    let places = plan.placements.iter().map(|one| (&one.uid, &one.target));
    let places: BTreeMap<&Name, &Target> = places.collect();
    world.pods(pods.into_iter().map(|pod| match places.get(&pod.uid) {
        Some(Target::Node(node) | Target::Claim(node)) => bound(pod, node),
        None => pod,
    }))
}

/// What becomes of a cluster once a round has been carried out: removed nodes are gone, launched
/// ones are up, and moved pods run where the plan puts them.
pub fn after_round(
    snapshot: &Snapshot,
    round: &crate::disruption::Round,
    pools: &[(NodePool, Catalog)],
) -> Snapshot {
    let mut world: ClusterBuilder = cluster();
    for (pool, catalog) in pools {
        world = world.pool(pool.clone(), catalog.clone());
    }
    let gone: Vec<&Name> = round.plan.removals.iter().map(|removal| &removal.claim).collect();
    let moved: BTreeMap<&Name, &Target> =
        round.moves.iter().map(|one| (&one.uid, &one.to)).collect();
    for claim in snapshot.claims.values().filter(|claim| !gone.contains(&&claim.name)) {
        world = world.claim((**claim).clone());
        if let Some(state) = snapshot.node_of_claim(claim) {
            world = world.node((*state.node).clone());
        }
    }
    for launch in &round.plan.launches {
        let (pool, catalog) = pools.iter().find(|(pool, _)| pool.name == launch.pool).expect("it");
        let claim = launched(launch, pool, catalog);
        world = world.node(node_of_claim(&claim)).claim(claim);
    }
    for pod in snapshot.pods.values() {
        let node = match moved.get(&pod.uid) {
            Some(Target::Node(node) | Target::Claim(node)) => Some(node.clone()),
            None => pod.node.clone(),
        };
        world = world.pod(Pod { node, ..(**pod).clone() });
    }
    world.snapshot()
}
