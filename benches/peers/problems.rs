//! What is planned: catalogs, pools and pods.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth::catalog;
use berth_solver::model::{Bytes, Catalog, Name, NodePool, Pod, Snapshot};
use berth_solver::testing::{Workload, cluster, karpenter_catalog};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};

#[path = "../shared/data.rs"]
mod data;
#[path = "../shared/pools.rs"]
pub mod pools;
pub use data::data;

/// Catalogs of clouds in the shared data.
const CATALOGS: [&str; 3] = ["aws-us-east-1", "gcp-us-central1", "exoscale-ch-gva-2"];

/// Those that are wanted and there.
pub fn catalogs() -> impl Iterator<Item = Sold> {
    let only = std::env::var("BERTH_BENCH_CATALOG").unwrap_or_default();
    CATALOGS.into_iter().filter(move |name| name.contains(&*only)).filter_map(Sold::shared)
}

/// A catalog, and the file that it was read from.
#[derive(Clone, Debug)]
pub struct Sold {
    pub name: String,
    pub file: PathBuf,
    pub catalog: Arc<Catalog>,
}

impl Sold {
    /// One of the shared data; `None` if it is not there.
    pub fn shared(name: &str) -> Option<Self> {
        let file = data().join("catalogs").join(format!("{name}.csv"));
        file.exists().then(|| Self::read(name, file))
    }

    /// The one that comes with Berth: Exoscale's, three zones.
    pub fn built_in() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/exoscale.csv");
        Self::read("exoscale (built in)", file)
    }

    /// The 400 types of Karpenter's own benchmark: 1 to 400 CPUs at prices in proportion, written
    /// into that folder.
    pub fn benchmark(folder: &Path) -> Self {
        let mut text = String::from(
            "instance_type,arch,cpu_milli,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,\
             zone,capacity_type,price_per_hour\n",
        );
        for kind in &karpenter_catalog().instance_types {
            let (capacity, overhead) = (&kind.capacity, &kind.overhead);
            let mebibytes = |bytes: Bytes| bytes.0 >> 20;
            for sold in &kind.offerings {
                text.push_str(&format!(
                    "{},amd64,{},{},{},{},{},{},{},{:.6}\n",
                    kind.name,
                    capacity.cpu.0,
                    mebibytes(capacity.memory),
                    capacity.pods,
                    overhead.cpu.0,
                    mebibytes(overhead.memory),
                    sold.zone,
                    sold.capacity_type,
                    sold.price.as_f64(),
                ));
            }
        }
        let file = folder.join("benchmark.csv");
        std::fs::write(&file, text).expect("a catalog");
        Self::read("karpenter-benchmark", file)
    }

    fn read(name: &str, file: PathBuf) -> Self {
        let catalog = Arc::new(catalog::read(&file).expect("a catalog"));
        Self { name: name.to_owned(), file, catalog }
    }

    /// The pods that wait, and those pools.
    pub fn with(&self, pools: &[NodePool], pods: impl IntoIterator<Item = Pod>) -> Snapshot {
        let all = pools
            .iter()
            .fold(cluster(), |all, one| all.pool(one.clone(), Arc::clone(&self.catalog)));
        all.pods(pods).snapshot()
    }
}

/// The random problem of that seed: a few types of one of the catalogs, a few pods of one of the
/// workloads.
pub fn random(catalogs: &[Sold], seed: u64) -> (&Sold, Snapshot) {
    const WORKLOADS: [Workload; 5] = [
        Workload::Tiny,
        Workload::Diverse,
        Workload::Constrained,
        Workload::Heavy500,
        Workload::Karpenter,
    ];
    let mut random = SmallRng::seed_from_u64(seed);
    let sold = catalogs.choose(&mut random).expect("a catalog");
    let mut types: Vec<&Name> = sold.catalog.instance_types.iter().map(|kind| &kind.name).collect();
    types.shuffle(&mut random);
    types.truncate(random.random_range(4..=60));
    let pool = pools::pool_of(&sold.catalog, "default", |kind| types.contains(&&kind.name));
    let workload = *WORKLOADS.choose(&mut random).expect("a workload");
    let count = random.random_range(5..=300);
    let pods = workload.pods(count, seed);
    (sold, sold.with(&[pool], pods.into_iter().take(count)))
}

/// How far a price may be from Karpenter's to be the same.
pub const SAME: f64 = 0.02;
/// How often Karpenter is asked again where a price is not that of its first answer: it draws
/// among domains that are equal, and what it draws matters to the price.
pub const AGAIN: usize = 9;

/// Whether a price is Karpenter's own, give or take 2 %: that of one answer, or between two.
pub fn is_same(price: f64, theirs: &[f64]) -> bool {
    let least = theirs.iter().copied().fold(f64::INFINITY, f64::min);
    let most = theirs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least * (1.0 - SAME)..=most * (1.0 + SAME)).contains(&price)
}
