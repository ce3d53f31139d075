//! What is planned.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth::catalog;
use berth_solver::model::{Catalog, NodePool, Snapshot};
use berth_solver::testing::{ClusterBuilder, Workload, cluster, karpenter_catalog, pool};

use crate::data::data;
use crate::pools::usual_pools;

pub const SEED: u64 = 1;

/// Catalogs of clouds in the shared data.
const CATALOGS: [&str; 4] =
    ["aws-us-east-1", "gcp-us-central1", "gcp-europe-west1", "exoscale-ch-gva-2"];
/// What is put on them, and how many pods.
const WORKLOADS: [(Workload, &[usize]); 5] = [
    (Workload::Tiny, &[50]),
    (Workload::Diverse, &[10_000, 1_000, 100_000]),
    (Workload::Constrained, &[10_000]),
    (Workload::Heavy500, &[10_000]),
    (Workload::Heavy2000, &[10_000]),
];
/// How many pods Karpenter's own benchmark has.
const BENCHMARK: [usize; 9] = [1, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000];

/// Pods that wait, and what may be launched for them.
pub struct Case {
    pub catalog: String,
    /// Which types: `any`, or those of the `usual` NodePools.
    pub types: &'static str,
    pub workload: &'static str,
    pub pods: usize,
    pub snapshot: Snapshot,
}

impl Case {
    fn new(
        catalog: &(String, Arc<Catalog>),
        (types, pools): (&'static str, Vec<NodePool>),
        (workload, pods): (Workload, usize),
    ) -> Self {
        let with = |all: ClusterBuilder, one| all.pool(one, Arc::clone(&catalog.1));
        let all = pools.into_iter().fold(cluster(), with);
        Self {
            catalog: catalog.0.clone(),
            types,
            workload: workload.name(),
            pods,
            snapshot: all.pods(workload.pods(pods, SEED)).snapshot(),
        }
    }

    /// What it is picked by.
    pub fn name(&self) -> String {
        format!("{}/{}/{}/{}", self.catalog, self.types, self.workload, self.pods)
    }

    /// How many kinds of pod there are.
    pub fn shapes(&self) -> usize {
        let shapes = self.snapshot.unbound.values().map(|pod| Arc::as_ptr(&pod.shape));
        shapes.collect::<BTreeSet<_>>().len()
    }
}

/// All of them, each made when it is its turn.
pub fn all() -> impl Iterator<Item = Case> {
    let clouds = catalogs().into_iter().flat_map(|catalog| {
        let each = WORKLOADS.into_iter().flat_map(|(workload, sizes)| {
            sizes.iter().enumerate().flat_map(move |(rank, pods)| {
                // Other sizes are about what size does, not about types.
                let types: &[&str] = if rank == 0 { &["any", "usual"] } else { &["any"] };
                types.iter().map(move |types| (workload, *pods, *types))
            })
        });
        each.map(move |(workload, pods, types)| {
            let pools = match types {
                "any" => vec![pool("default")],
                _ => usual_pools(&catalog.0, &catalog.1),
            };
            Case::new(&catalog, (types, pools), (workload, pods))
        })
    });
    let benchmark = ("karpenter-benchmark".to_owned(), Arc::new(karpenter_catalog()));
    let sizes = BENCHMARK.into_iter().map(move |pods| {
        Case::new(&benchmark, ("any", vec![pool("default")]), (Workload::Karpenter, pods))
    });
    clouds.chain(sizes)
}

fn catalogs() -> Vec<(String, Arc<Catalog>)> {
    let folder = data();
    let mut found = vec![(
        "exoscale (built in)".to_owned(),
        Arc::new(catalog::exoscale().expect("the built-in catalog")),
    )];
    for name in CATALOGS {
        let file = folder.join("catalogs").join(format!("{name}.csv"));
        if file.exists() {
            found.push((name.to_owned(), Arc::new(catalog::read(&file).expect("a catalog"))));
        } else {
            println!("left out: there is no {}", file.display());
        }
    }
    found
}
