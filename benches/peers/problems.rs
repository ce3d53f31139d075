//! What is planned: catalogs, pools and pods.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth::catalog;
use berth_solver::model::{
    Bytes, Catalog, InstanceType, Name, NodePool, Operator, Pod, Snapshot, ValueSet, well_known,
};
use berth_solver::testing::{Workload, cluster, karpenter_catalog, pool};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};

#[path = "../shared/data.rs"]
mod data;
pub use data::data;

/// Catalogs of clouds in the shared data.
pub const CATALOGS: [&str; 3] = ["aws-us-east-1", "gcp-us-central1", "exoscale-ch-gva-2"];

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

    /// A pool of the types that these are.
    pub fn pool_of(&self, name: &str, wanted: impl Fn(&InstanceType) -> bool) -> NodePool {
        let types = self.catalog.instance_types.iter().filter(|kind| wanted(kind));
        let names: BTreeSet<Name> = types.map(|kind| kind.name.clone()).collect();
        let mut pool = pool(name);
        let set = ValueSet::of(Operator::In, names);
        pool.requirements.require(well_known::INSTANCE_TYPE_LABEL.into(), &set);
        pool
    }

    /// The pools that people have: one for general purposes, of the families that the providers'
    /// guides name, and a lighter one of machines with cards.
    pub fn usual_pools(&self) -> Vec<NodePool> {
        let name = self.name.clone();
        let general = NodePool {
            weight: 10,
            ..self.pool_of("general", |kind| !has_cards(kind) && is_general(&name, &kind.name))
        };
        vec![general, self.pool_of("cards", has_cards)]
    }
}

fn has_cards(kind: &InstanceType) -> bool {
    kind.capacity.extended().iter().any(|(name, amount)| name.ends_with("/gpu") && *amount > 0)
}

/// Karpenter's guide for AWS: categories c, m and r, from the third generation on.
fn is_general(catalog: &str, kind: &str) -> bool {
    let (family, rest) = kind.split_once(['.', '-']).unwrap_or((kind, ""));
    if catalog.starts_with("aws") {
        let generation = family.get(1..2).and_then(|digit| digit.parse::<u32>().ok());
        return family.starts_with(['c', 'm', 'r'])
            && generation.is_some_and(|number| number > 2)
            && !rest.starts_with("metal");
    }
    if catalog.starts_with("gcp") {
        let families = ["e2", "n2", "n2d", "n4", "c3", "c3d", "c4"];
        return families.contains(&family)
            && ["standard", "highcpu", "highmem"].iter().any(|one| rest.starts_with(one));
    }
    ["standard", "cpu", "memory"].contains(&family)
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
    let pool = sold.pool_of("default", |kind| types.contains(&&kind.name));
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
