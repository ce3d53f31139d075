//! The same load on the real control plane and in the simulator: the same nodes, and nearly the same
//! cost. What came is recorded from the cluster's watch events, as anybody would record it, and how
//! long machines took is measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_controlplane::until;
use berth_solver::model::Catalog;
use futures::{StreamExt as _, pin_mut};
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::recording::Recording;
use crate::workload;
use crate::world::{LIMIT, SYSTEM_NAMESPACE, World, karpenter};

/// Two bursts, each from nothing; some pods keep each other away, and some want a zone.
const BURSTS: [&[(&str, i32)]; 2] =
    [&[("web", 24), ("mesh", 12), ("db", 3)], &[("cache", 9), ("mesh", 10), ("web", 10)]];
/// For so long a burst runs: what that costs is what is compared.
const STAYS: Duration = Duration::from_secs(30);
/// For so long nothing runs before the next: a recording knows to the second when pods came.
const PAUSE: Duration = Duration::from_secs(3);
/// By what share the costs may differ: the recording and the API server know times to the second.
const NEARLY: f64 = 0.15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_load_gets_the_same_nodes_and_costs_the_same_simulated() {
    let test = "the_same_load_gets_the_same_nodes_and_costs_the_same_simulated";
    let Some(mut world) = World::new(test).await else { return };
    // However slowly a burst is made, it is one: the recording knows no time below a second.
    world.start_daemon_with(&["--batch-idle=3s"]).await;
    // Its own Deployment has no node here: where it has one, it runs in the static pool.
    let own = ["delete", "deployment", "berth", "--namespace", SYSTEM_NAMESPACE];
    world.plane.kubectl(&own).await.unwrap();
    // Beside the logs, which are kept when it fails.
    let folder = world.plane.logs_dir().join("recording");
    std::fs::create_dir(&folder).unwrap();
    let recording = record(&world, &folder).await;
    let machines = Machines::watch(&world);
    let nothing: BTreeMap<&str, i32> = BURSTS.concat().iter().map(|(name, _)| (*name, 0)).collect();
    let nothing: Vec<(&str, i32)> = nothing.into_iter().collect();
    workload::create(&world.plane, &nothing).await;
    for burst in BURSTS {
        workload::scale(&world.plane, burst).await;
        let running = workload::wait_until_running(&world.plane, workload::total(burst)).await;
        running.unwrap_or_else(|error| world.fail(&error));
        tokio::time::sleep(STAYS).await;
        workload::scale(&world.plane, &nothing).await;
        world.wait_until_empty().await;
        tokio::time::sleep(PAUSE).await;
    }
    recording.end("-TERM").await;
    let live = machines.ended();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/catalog.csv");
    let catalog = berth::catalog::read(&file).unwrap();
    let paid: f64 = live.iter().map(|machine| machine.cost(&catalog)).sum();

    let simulated = simulate(&folder, &file, &live).await;
    let cost = simulated["policies"][0]["costTotal"].as_f64().unwrap();
    let machines =
        bought(live.iter().map(|machine| (&*machine.instance_type, &*machine.capacity_type)));
    println!(
        "{} nodes, {paid:.5} live and {cost:.5} simulated ({:+.1} %): {machines:?}",
        live.len(),
        100.0 * (cost / paid - 1.0),
    );
    let planned = launches(&folder.join("replay/decisions.jsonl"));
    assert_eq!(
        machines,
        bought(planned.iter().map(|(kind, capacity)| (&**kind, &**capacity))),
        "the same nodes"
    );
    assert_eq!(simulated["policies"][0]["launches"], live.len());
    assert_eq!(simulated["policies"][0]["unplaced"], 0);
    assert!((cost / paid - 1.0).abs() < NEARLY, "{paid} live, {cost} simulated");
}

/// How many of each were bought.
fn bought<'a>(
    machines: impl Iterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<(&'a str, &'a str), usize> {
    let mut counts = BTreeMap::new();
    for machine in machines {
        *counts.entry(machine).or_default() += 1;
    }
    counts
}

/// Begins to record; returns once it is known what was there before.
async fn record(world: &World, folder: &Path) -> Recording {
    let before = world.plane.open_watches("pods").await.unwrap();
    let recording = Recording::start(&world.plane, folder, "trace.csv", &[]);
    let watches = until("the recording watches", LIMIT, || async {
        let open = world.plane.open_watches("pods").await?;
        if open > before { Ok(()) } else { Err(format!("{open} watches, {before} before")) }
    })
    .await;
    watches.unwrap_or_else(|error| world.fail(&error));
    recording
}

/// Replays the recording, with machines that take as long as they took; returns what the command
/// says in JSON.
async fn simulate(folder: &Path, catalog: &Path, live: &[Machine]) -> Value {
    let always = |times: Vec<Duration>| [median(times).as_secs_f64(); 5];
    let settings = json!({
        "pool": {
            "consolidateAfterSeconds": 1,
            "budgetPercent": 100,
            "daemonCpuMilli": 100,
            "daemonMemoryMib": 64,
        },
        "cloud": {
            "readySeconds": always(live.iter().filter_map(Machine::until_ready).collect()),
            "goneSeconds": always(live.iter().filter_map(Machine::until_gone).collect()),
        },
        "imagePullSeconds": [0.0, 0.0, 0.0, 0.0, 0.0],
        // The daemon's limits, and about as many steps as its plans have time for.
        "berth": {
            "consolidate": false, "batchIdleSeconds": 3.0,
            "steps": 100_000, "columnRounds": 400, "searchRounds": 4_000,
        },
    });
    std::fs::write(folder.join("settings.yaml"), settings.to_string()).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["simulate", "--trace", "trace.csv", "--settings", "settings.yaml"])
        .args(["--policy", "berth", "--out", "replay", "--output", "json", "--catalog"])
        .arg(catalog)
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Instance types and capacity types of all launches that a decision log has.
fn launches(log: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_plan = |line: Value| {
        let launches = line["decision"]["answer"]["plan"]["launches"].as_array().cloned();
        launches.unwrap_or_default()
    };
    let text = |launch: &Value, field: &str| launch[field].as_str().unwrap().to_owned();
    let both = |launch: Value| (text(&launch, "instance_type"), text(&launch, "capacity_type"));
    lines.flat_map(of_plan).map(both).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A machine that was there, as its NodeClaim told it.
#[derive(Clone, Debug)]
struct Machine {
    instance_type: String,
    zone: String,
    capacity_type: String,
    asked_for: Instant,
    ready: Option<Instant>,
    told_to_go: Option<Instant>,
    gone: Option<Instant>,
}

impl Machine {
    fn until_ready(&self) -> Option<Duration> {
        Some(self.ready? - self.asked_for)
    }

    fn until_gone(&self) -> Option<Duration> {
        Some(self.gone? - self.told_to_go?)
    }

    /// What it cost while it was there.
    fn cost(&self, catalog: &Catalog) -> f64 {
        let kind = catalog.get(&self.instance_type).unwrap();
        let offering = kind.offerings.iter().find(|offering| {
            *offering.zone == *self.zone && offering.capacity_type.as_str() == self.capacity_type
        });
        let price = offering.unwrap().price.as_f64();
        price * (self.gone.unwrap() - self.asked_for).as_secs_f64() / 3_600.0
    }
}

/// All machines that come and go, by the names of their claims.
struct Machines {
    seen: Arc<Mutex<BTreeMap<String, Machine>>>,
    watch: JoinHandle<()>,
}

impl Machines {
    fn watch(world: &World) -> Self {
        let seen: Arc<Mutex<BTreeMap<String, Machine>>> = Arc::default();
        let claims = karpenter(&world.plane, "NodeClaim");
        let watch = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                let events = watcher::watcher(claims, watcher::Config::default());
                pin_mut!(events);
                while let Some(event) = events.next().await {
                    match event {
                        Ok(Event::Apply(claim) | Event::InitApply(claim)) => note(&seen, &claim),
                        Ok(Event::Delete(claim)) => {
                            note(&seen, &claim);
                            let name = claim.metadata.name.as_deref().unwrap();
                            seen.lock().get_mut(name).unwrap().gone = Some(Instant::now());
                        }
                        _ => {}
                    }
                }
            }
        });
        Self { seen, watch }
    }

    /// What was seen, in the order in which it was asked for. All must be gone.
    fn ended(self) -> Vec<Machine> {
        self.watch.abort();
        let mut machines: Vec<Machine> = self.seen.lock().values().cloned().collect();
        machines.sort_by_key(|machine| machine.asked_for);
        let all = machines.iter().all(|machine| machine.gone.is_some() && machine.ready.is_some());
        assert!(all && !machines.is_empty(), "{machines:?}");
        machines
    }
}

fn note(seen: &Mutex<BTreeMap<String, Machine>>, claim: &DynamicObject) {
    let now = Instant::now();
    let label = |key: &str| claim.metadata.labels.as_ref()?.get(key).cloned();
    let mut seen = seen.lock();
    let machine = seen.entry(claim.metadata.name.clone().unwrap()).or_insert_with(|| Machine {
        instance_type: String::new(),
        zone: String::new(),
        capacity_type: String::new(),
        asked_for: now,
        ready: None,
        told_to_go: None,
        gone: None,
    });
    // Labels come once the machine is launched.
    machine.instance_type = label("node.kubernetes.io/instance-type").unwrap_or_default();
    machine.zone = label("topology.kubernetes.io/zone").unwrap_or_default();
    machine.capacity_type = label("karpenter.sh/capacity-type").unwrap_or_default();
    let conditions = claim.data["status"]["conditions"].as_array();
    let is_ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    if is_ready {
        machine.ready.get_or_insert(now);
    }
    if claim.metadata.deletion_timestamp.is_some() {
        machine.told_to_go.get_or_insert(now);
    }
}
