//! How well GPUs that are there are used: the experiment of FGD (Weng et al., "Beware of
//! Fragmentation", USENIX ATC 2023), whose figures are published.
//!
//! Pods of the trace, drawn with replacement, come one after the other to its cluster of 1,523
//! nodes and 6,212 GPUs, until they asked for 130 % of these. Each is planned for as it comes; one
//! for which there is no room is gone. Nobody leaves, and a share of a GPU stays on the device on
//! which the pod began. Measured is how much of the GPUs is taken at the end, and how much is free
//! and of no use, by the measure of the source: pods of the trace by their CPU and GPUs.
//!
//! The data is looked for in `../shared/data` beside the repository, or in the folder that
//! `BERTH_DATA` names. `BERTH_BENCH_SEEDS` says how many orders of arrival are tried (10). Writes
//! `target/bench/fragmentation.md` and `fragmentation.json`.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use berth_simulations::trace::{GPU_PRODUCT_LABEL, GPU_RESOURCE, Shapes, TraceRecord, openb};
use berth_solver::constraints::gpu_shares::{self, Ask, Devices};
use berth_solver::model::{
    Change, ClusterEvent, ClusterState, Name, Node, Pod, PodKey, PodShape, Target, Timestamp,
};
use berth_solver::packing::fragmentation::{Kind, Mix, Room};
use berth_solver::packing::{self, Never, Settings};
use berth_solver::testing::{bound, labels, node, pod};
use berth_solver::verify::verify;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

/// The seeds of the published experiment were these, too, of another generator.
const FIRST_SEED: u64 = 42;
/// What pods ask for at the end, in percent of the GPUs.
const INFLATION: i64 = 130;
/// Every so many plans one is checked.
const CHECKED: usize = 100;
/// Policy, GPUs taken and GPUs fragmented, in percent of all: the mean of ten seeds.
const PUBLISHED: [(&str, f64, f64); 6] = [
    ("Random", 87.47, 12.43),
    ("DotProd", 90.85, 9.08),
    ("GpuClustering", 91.88, 8.00),
    ("GpuPacking", 92.00, 7.91),
    ("BestFit", 93.08, 6.85),
    ("FGD", 95.39, 4.57),
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = std::env::var_os("BERTH_DATA").map(PathBuf::from);
    let folder = data.unwrap_or_else(|| root.join("../shared/data")).join("traces/openb");
    if !folder.exists() {
        println!("left out: there is no {}", folder.display());
        return;
    }
    let pods = openb::Reader::open(&folder.join("openb_pod_list_default.csv")).expect("a list");
    let records: Vec<TraceRecord> = pods.map(|record| record.expect("a pod")).collect();
    let nodes = nodes(&folder.join("openb_node_list_all_node.csv"));
    let shapes = shapes(&records);
    let seeds = std::env::var("BERTH_BENCH_SEEDS").map_or(10, |text| text.parse().expect("seeds"));
    let mut runs = in_parallel(seeds, |index| run(&nodes, &shapes, FIRST_SEED + index as u64));
    runs.sort_by_key(|run| run.seed);
    write(&root, &runs);
}

/// What became of one order of arrival.
struct Run {
    seed: u64,
    arrived: usize,
    placed: usize,
    taken: f64,
    fragmented: f64,
    seconds: f64,
}

fn in_parallel(count: usize, work: impl Fn(usize) -> Run + Sync) -> Vec<Run> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            let run = work(index);
            println!(
                "seed {}: {} of {} pods placed, {:.2} % of the GPUs taken, {:.2} % fragmented, \
                 {:.0} s",
                run.seed, run.placed, run.arrived, run.taken, run.fragmented, run.seconds
            );
            done.push(run);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("a worker")).collect()
    })
}

/// The cluster's nodes.
fn nodes(file: &Path) -> Vec<Node> {
    #[derive(serde::Deserialize)]
    struct Row {
        sn: String,
        cpu_milli: i64,
        memory_mib: i64,
        gpu: i64,
        model: String,
    }
    let rows = csv::Reader::from_path(file).expect("the list of nodes").into_deserialize();
    rows.map(|row| {
        let row: Row = row.expect("a node");
        let mut machine = node(&row.sn, row.cpu_milli, row.memory_mib);
        machine.labels =
            machine.labels.with(labels(&[(GPU_PRODUCT_LABEL, row.model.as_str())]).iter().cloned());
        // The trace knows no limit.
        machine.allocatable.pods = 1_000;
        machine.allocatable.set_extended(GPU_RESOURCE.into(), row.gpu);
        machine.capacity = machine.allocatable.clone();
        machine
    })
    .collect()
}

/// What the trace's pods ask for, shares of GPUs as shares.
fn shapes(records: &[TraceRecord]) -> Vec<Arc<PodShape>> {
    let (mut known, mut sharing) = (Shapes::new(), BTreeMap::new());
    let share = |record: &TraceRecord| (record.shape.gpu == 1).then_some(record.shape.gpu_milli);
    let of = |record: &TraceRecord| {
        let shape = known.shape(record);
        let Some(milli) = share(record).filter(|milli| *milli < 1_000) else { return shape };
        let shared = sharing.entry((Arc::as_ptr(&shape), milli)).or_insert_with(|| {
            let mut shape = PodShape::clone(&shape);
            shape.requests.set_extended(GPU_RESOURCE.into(), 0);
            shape.requests.set_extended(gpu_shares::RESOURCE.into(), milli);
            Arc::new(shape)
        });
        Arc::clone(shared)
    };
    records.iter().map(of).collect()
}

fn gpus(shape: &PodShape) -> i64 {
    gpu_shares::total(&shape.requests)
}

/// The cluster, and on which devices pods really are.
struct World {
    state: ClusterState,
    /// What is left of each device of each node.
    devices: BTreeMap<Name, Vec<i64>>,
}

impl World {
    fn new(nodes: &[Node]) -> Self {
        let mut state = ClusterState::new();
        let listed = nodes.iter().cloned().map(Arc::new).collect();
        state.apply(ClusterEvent::Node(Change::Replaced(listed)));
        let devices =
            |node: &Node| vec![1_000; (gpu_shares::total(&node.capacity) / 1_000) as usize];
        let devices = nodes.iter().map(|node| (node.name.clone(), devices(node))).collect();
        Self { state, devices }
    }

    fn apply(&mut self, change: Change<PodKey, Pod>) {
        self.state.apply(ClusterEvent::Pod(change));
    }

    /// Starts a pod on a node's devices.
    fn start(&mut self, pod: Pod, node: &Name) {
        let ask = Ask::of(&pod.shape.requests);
        let devices = self.devices.get_mut(node).expect("a node");
        for _ in 0..ask.whole {
            let free = devices.iter_mut().find(|left| **left == 1_000);
            *free.expect("an untouched device") = 0;
        }
        if ask.share > 0 {
            let fits = devices.iter_mut().filter(|left| **left >= ask.share);
            *fits.min().expect("a device with room") -= ask.share;
        }
        self.apply(Change::Applied(bound(pod, node)));
    }
}

fn run(nodes: &[Node], shapes: &[Arc<PodShape>], seed: u64) -> Run {
    let began = Instant::now();
    let all: i64 = nodes.iter().map(|node| gpu_shares::total(&node.capacity)).sum();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut world = World::new(nodes);
    let (mut asked, mut arrived, mut placed) = (0, 0, 0);
    loop {
        let shape = &shapes[random.random_range(0..shapes.len())];
        asked += gpus(shape);
        if asked > all * INFLATION / 100 {
            break;
        }
        arrived += 1;
        let now = Timestamp::from_seconds(arrived as i64);
        let pod = Pod { created: now, ..pod(&format!("pod-{arrived:05}"), shape) };
        world.apply(Change::Applied(pod.clone()));
        let snapshot = world.state.snapshot();
        let settings = Settings::default();
        let plan = packing::plan(&snapshot, &settings, now, seed, &Never);
        if arrived % CHECKED == 0 {
            let faults = verify(&snapshot, &settings.scheduler_names, &plan);
            assert!(faults.is_empty(), "{faults:?}");
        }
        // The cluster changes alone, not with a copy.
        drop(snapshot);
        match plan.placements.first().map(|placement| &placement.target) {
            Some(Target::Node(node)) => {
                world.start(pod, node);
                placed += 1;
            }
            _ => world.apply(Change::Deleted(pod.key)),
        }
    }
    let idle: i64 = world.devices.values().flatten().sum();
    let percent = |milli: f64| milli * 100.0 / all as f64;
    Run {
        seed,
        arrived,
        placed,
        taken: percent((all - idle) as f64),
        fragmented: percent(fragmentation(&world, shapes)),
        seconds: began.elapsed().as_secs_f64(),
    }
}

/// Thousandths of GPUs that are free and of no use to the next pod of the trace, on average.
fn fragmentation(world: &World, shapes: &[Arc<PodShape>]) -> f64 {
    let mut counts: BTreeMap<Kind, u64> = BTreeMap::new();
    for shape in shapes {
        let kind = Kind { memory: 0, ..Kind::of(&shape.requests) };
        *counts.entry(kind).or_default() += 1;
    }
    let mix = Mix::of(&popular(counts));
    let nodes = world.state.picture().nodes.values();
    nodes
        .map(|node| {
            let (free, shares) = (node.free(), gpu_shares::shares_on(node));
            let devices = Devices::of(gpu_shares::total(&free), &shares).expect("devices");
            mix.fragmentation(&Room { cpu: free.cpu.0, memory: 0, devices }, &|_| false)
        })
        .sum()
}

/// The most frequent kinds that make up 95 % of the pods, as in the source.
fn popular(counts: BTreeMap<Kind, u64>) -> Vec<(Kind, u64)> {
    let mut kinds: Vec<(Kind, u64)> = counts.into_iter().collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    let most: u64 = kinds.iter().map(|(_, count)| count * 95).sum();
    let mut counted = 0;
    kinds.retain(|(_, count)| {
        let is_popular = counted * 100 < most;
        counted += count;
        is_popular
    });
    kinds
}

/// Mean and standard deviation.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

fn write(root: &Path, runs: &[Run]) {
    let taken = spread(runs.iter().map(|run| run.taken));
    let fragmented = spread(runs.iter().map(|run| run.fragmented));
    let mut text = format!(
        "# Fragmentation of GPUs\n\nPods of the openb trace come to its 1,523 nodes until they \
         asked for {INFLATION} % of the 6,212 GPUs; {} seeds, mean (standard deviation). Published \
         figures: FGD, USENIX ATC 2023.\n\n| policy | GPUs taken, % | fragmented, % |\n\
         |---|---|---|\n",
        runs.len()
    );
    for (policy, taken, fragmented) in PUBLISHED {
        let _ = writeln!(text, "| {policy}, published | {taken:.2} | {fragmented:.2} |");
    }
    let _ = writeln!(
        text,
        "| Berth | {:.2} ({:.2}) | {:.2} ({:.2}) |\n",
        taken.0, taken.1, fragmented.0, fragmented.1
    );
    let mut rows = Vec::new();
    for run in runs {
        rows.push(json!({
            "seed": run.seed, "pods": run.arrived, "placed": run.placed,
            "gpusTaken": run.taken, "gpusFragmented": run.fragmented,
            "elapsedMs": run.seconds * 1_000.0,
        }));
    }
    let (seconds, _) = spread(runs.iter().map(|run| run.seconds));
    let arrived = spread(runs.iter().map(|run| run.arrived as f64)).0;
    let _ = writeln!(
        text,
        "{arrived:.0} pods a seed, each planned for alone: {:.1} ms a plan.",
        seconds * 1_000.0 / arrived
    );
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder).expect("target/bench");
    println!("{text}");
    std::fs::write(folder.join("fragmentation.md"), text).expect("fragmentation.md");
    let text = serde_json::to_string_pretty(&json!({ "rows": rows })).expect("JSON");
    std::fs::write(folder.join("fragmentation.json"), text).expect("fragmentation.json");
}
