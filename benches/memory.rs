//! What the cluster cache takes: 5,000 nodes and 150,000 pods of 3.5 KB of JSON or more, listed page by
//! page through the watches, and the peak while all of it is listed again. And what `berth plan` takes
//! for 100,000 pods.
//!
//! The API server answers in memory and makes its pages when they are asked for, so that nothing
//! but the page on its way is counted besides the daemon's own memory.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench"
)]

#[path = "shared/data.rs"]
mod data;
#[path = "shared/memory.rs"]
mod meter;
#[path = "memory/objects.rs"]
mod objects;
#[path = "memory/plan.rs"]
mod plan;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use berth::cache::{Cache, Kind, Settings, channel};
use berth::watch::{Interner, KINDS, Observer, spawn_all};
use berth_solver::model::{Node, Pod, PodShape};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What Kubernetes is made for at most.
const NODES: usize = 5_000;
const PODS: usize = 150_000;
/// How many pods `berth plan` is given.
const PLANS: [usize; 2] = [10_000, 100_000];
/// Divides all of them, for a quick look: `BERTH_BENCH_SHARE=10`.
const SHARE: &str = "BERTH_BENCH_SHARE";

type Answer = Response<StreamBody<BoxStream<'static, std::io::Result<Frame<Bytes>>>>>;

/// What the API server holds, and its version: older watches are ended.
#[derive(Clone)]
struct Server {
    pods: Arc<AtomicUsize>,
    nodes: usize,
    texts: Arc<objects::Pods>,
    /// Every so many pods differ from the first time; 0: none.
    changed: Arc<AtomicUsize>,
    expire: watch::Receiver<usize>,
}

impl Server {
    fn answer(&self, request: &Request<Body>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key));
        if value("watch=").is_some() {
            let version = value("resourceVersion=").map_or(0, |text| text.parse().unwrap());
            return answer(self.until_expired(version).boxed());
        }
        let limit: usize = value("limit=").map_or(500, |text| text.parse().unwrap());
        let from: usize = value("continue=").map_or(0, |text| text.parse().unwrap());
        let count = match request.uri().path() {
            "/api/v1/pods" => self.pods.load(Ordering::SeqCst),
            "/api/v1/nodes" => self.nodes,
            _ => 0,
        };
        let to = count.min(from + limit);
        let changed = self.changed.load(Ordering::SeqCst);
        let mut page = String::from(r#"{"kind":"List","apiVersion":"v1","items":["#);
        for index in from..to {
            let comma = if index == from { "" } else { "," };
            let is_changed = changed != 0 && index % changed == 0;
            page.push_str(comma);
            match request.uri().path() {
                "/api/v1/pods" => self.texts.write(index, is_changed, &mut page),
                _ => page.push_str(&objects::node(index).to_string()),
            }
        }
        let next = if to < count { to.to_string() } else { String::new() };
        let version = *self.expire.borrow();
        page.push_str(&format!(
            r#"],"metadata":{{"resourceVersion":"{version}","continue":"{next}"}}}}"#
        ));
        answer(stream::iter([Ok(Frame::data(page.into()))]).boxed())
    }

    /// Nothing until watches of that version are ended with 410.
    fn until_expired(
        &self,
        version: usize,
    ) -> impl futures::Stream<Item = std::io::Result<Frame<Bytes>>> + use<> {
        let mut expire = self.expire.clone();
        stream::once(async move {
            let _ = expire.wait_for(|now| *now > version).await;
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": "too old", "reason": "Expired", "code": 410});
            let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
            Ok(Frame::data(line.into()))
        })
    }
}

fn answer(body: BoxStream<'static, std::io::Result<Frame<Bytes>>>) -> Answer {
    Response::new(StreamBody::new(body))
}

/// Counts complete lists of pods.
struct Lists(watch::Sender<usize>);

impl Observer for Lists {
    fn listed(&self, kind: Kind, _: usize) {
        if kind == Kind::Pod {
            self.0.send_modify(|lists| *lists += 1);
        }
    }
}

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> u64 {
    meter::memory(line).expect("Linux's /proc")
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

struct Bench {
    server: Server,
    expire: watch::Sender<usize>,
    lists: watch::Receiver<usize>,
    cache: Cache,
}

impl Bench {
    /// Has everything listed again; returns the peak meanwhile and what is taken afterwards.
    async fn list_again(&mut self) -> (u64, u64) {
        meter::forget_peak();
        self.lists.mark_unchanged();
        self.expire.send_modify(|times| *times += 1);
        self.lists.changed().await.expect("the watches run");
        // The list is in the queue: what is published after it has it.
        let held =
            |cache: &Cache| cache.snapshot().pods.len() == self.server.pods.load(Ordering::SeqCst);
        while !held(&self.cache) {
            self.cache.changed().await.expect("the cache runs");
        }
        // The writer frees what it replaced, and the allocator gives it back.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        (memory("VmHWM"), memory("VmRSS"))
    }
}

async fn measure(nodes: usize, pods: usize) -> Value {
    let texts = Arc::new(objects::Pods::on(nodes));
    let mut text = String::new();
    (0..1_000).for_each(|index| texts.write(index * pods / 1_000, false, &mut text));
    let json_bytes = text.len() / 1_000;
    drop(text);
    let (expire, expired) = watch::channel(1);
    let (pods_there, changed) = (Arc::default(), Arc::default());
    let server = Server { pods: pods_there, nodes, texts, changed, expire: expired };
    let answering = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answering.answer(&request);
        async move { Ok::<_, std::io::Error>(answer) }
    });
    let client = Client::new(service, "default");
    let interner = Arc::new(Interner::new());
    let (counted, lists) = watch::channel(0);
    let observer: Arc<dyn Observer> = Arc::new(Lists(counted));
    let (writer, sender, cache) = channel(Settings::default(), KINDS);
    tokio::spawn(writer.run());
    let empty = memory("VmRSS");
    let watches = spawn_all(&client, &sender, &interner, &observer);
    let mut bench = Bench { server, expire, lists, cache };
    bench.cache.until_synced().await.expect("the cache runs");
    let with_nodes = memory("VmRSS");
    assert_eq!(bench.cache.snapshot().nodes.len(), nodes);

    say(&format!("[2/5] {pods} pods are listed"));
    bench.server.pods.store(pods, Ordering::SeqCst);
    let (first_peak, full) = bench.list_again().await;
    say("[3/5] all is listed again: nothing has changed");
    let (same_peak, after_same) = bench.list_again().await;
    say("[4/5] all is listed again: every tenth pod has changed");
    bench.server.changed.store(10, Ordering::SeqCst);
    let (changed_peak, after_changed) = bench.list_again().await;
    drop(watches);
    let [names, labels, shapes] = interner.sizes();
    json!({
        "nodes": nodes, "pods": pods,
        "podJsonBytes": json_bytes,
        "rssMib": mib(full), "firstListPeakMib": mib(first_peak),
        "relistPeakMib": mib(same_peak), "relistPeakRatio": ratio(same_peak, full),
        "relistOfTenthChangedPeakMib": mib(changed_peak),
        "relistOfTenthChangedPeakRatio": ratio(changed_peak, after_same),
        "rssAfterRelistsMib": mib(after_changed),
        "emptyMib": mib(empty),
        "bytesPerNode": with_nodes.saturating_sub(empty) / nodes as u64,
        "bytesPerPod": full.saturating_sub(with_nodes) / pods as u64,
        "names": names, "labelSets": labels, "shapes": shapes,
        "sizeOfPod": size_of::<Pod>(), "sizeOfPodShape": size_of::<PodShape>(),
        "sizeOfNode": size_of::<Node>(),
    })
}

/// Mebibytes, to a tenth.
fn mib(bytes: u64) -> f64 {
    (bytes as f64 / f64::from(1 << 20) * 10.0).round() / 10.0
}

fn ratio(peak: u64, before: u64) -> f64 {
    (peak as f64 / before as f64 * 100.0).round() / 100.0
}

/// The first line that a command prints, or nothing.
fn output_of(command: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(command).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn write(row: &Value, plans: &[Value]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    std::fs::create_dir_all(&folder)?;
    let (kernel, processors) = (output_of("uname", &["-sr"]), output_of("nproc", &[]));
    let machine = format!("{kernel}, {processors} processors");
    let commit = output_of("git", &["rev-parse", "--short", "HEAD"]);
    let result =
        json!({"machine": machine, "commit": commit, "seed": 0, "rows": [row], "plans": plans});
    std::fs::write(folder.join("memory.json"), format!("{result:#}\n"))?;
    let mut table = format!("# Memory of the cluster cache\n\n{machine}, commit {commit}\n\n");
    table.push_str("| measured | value |\n| --- | ---: |\n");
    for (name, value) in row.as_object().into_iter().flatten() {
        table.push_str(&format!("| {name} | {value} |\n"));
    }
    table.push_str("\n# Memory of `berth plan`, pods of 25 shapes\n\n");
    table
        .push_str("| pods | peak, MiB | first plan, ms | nodes |\n| ---: | ---: | ---: | ---: |\n");
    for plan in plans {
        let cells =
            ["pods", "planPeakMib", "firstPlanMs", "nodes"].map(|key| plan[key].to_string());
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    std::fs::write(folder.join("memory.md"), &table)?;
    say(&table);
    say(&format!("written to {}/memory.md and memory.json", folder.display()));
    Ok(())
}

fn main() -> std::io::Result<()> {
    if plan::done_as_child() {
        return Ok(());
    }
    let share = std::env::var(SHARE).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (nodes, pods) = (NODES / share, PODS / share);
    say(&format!("[1/5] {nodes} nodes are listed"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cache = runtime.block_on(measure(nodes, pods));
    say("[5/5] berth plan");
    write(&cache, &PLANS.map(|pods| plan::in_child(pods / share)))
}
