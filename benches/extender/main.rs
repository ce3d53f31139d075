//! How long the extender's answers take, on loopback, as kube-scheduler would ask.
//!
//! 5,000 nodes and 150,000 pods in the cache, which takes 1,000 events a second meanwhile, while
//! the solver plans without a pause on another thread. Half of the calls are about a planned pod
//! (everything but its node is refused, with a text), half about one that the plan does not speak
//! of. Measured in the server (from the whole body to the whole answer) and by the client, whose
//! thread shares the last processor with the solver's, both at a lower priority. Beside it a server
//! that answers canned bytes of the same size: what no extender can beat.
//!
//! `make bench-extender` writes `target/bench/extender.md` and `.json`. An argument picks the cases
//! whose `verb/names/protocol/connections` contains it (`filter/500/`), or `relists`; `exchange`
//! stands for calls of filter by pods that have each other's places.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

mod client;
#[path = "../shared/machine.rs"]
mod machine;
mod processor;
mod report;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use berth::background;
use berth::server::Handler;
use bytes::Bytes;
use hyper::{Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use client::{Protocol, Secrets};
use processor::Processor;
use report::{Quantiles, Row};
use world::World;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMES: [usize; 5] = [1, 100, 500, 1_000, 5_000];
const CONNECTIONS: [usize; 2] = [1, 64];
/// Calls of filter about pods that must be spread, and whose planned node is not offered: each has
/// the place of another one like it.
const EXCHANGE: &str = "exchange";
/// How long one case is measured.
const CASE: Duration = Duration::from_secs(2);
/// When other processes take more than this share of the machine meanwhile, in %, a case is
/// measured again...
const CALM: f64 = 10.0;
/// ...so many times at most; the calmest time counts.
const TIMES: usize = 5;

/// Answers, and remembers how long each answer took.
struct Measured<H> {
    inner: H,
    took: Mutex<Vec<Duration>>,
}

impl<H> Measured<H> {
    fn new(inner: H) -> Arc<Self> {
        Arc::new(Self { inner, took: Mutex::default() })
    }

    fn drain(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.took.lock())
    }
}

impl<H: Handler> Handler for Measured<H> {
    fn handle(&self, request: Request<Bytes>) -> berth::server::Reply {
        self.inner.handle(request)
    }

    fn answered(&self, path: &str, status: StatusCode, took: Duration) {
        self.inner.answered(path, status, took);
        assert_eq!(status, StatusCode::OK, "{path}");
        self.took.lock().push(took);
    }
}

/// Always the same bytes.
struct Canned(Mutex<Bytes>);

impl Handler for Canned {
    fn handle(&self, _: Request<Bytes>) -> berth::server::Reply {
        Response::new(self.0.lock().clone()).into()
    }
}

fn main() {
    // Under `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    // kube-scheduler waits for the answer; on this small machine it must not wait for a processor
    // in the server's place.
    let asking = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_start(|| {
            stay_on_the_last_processor();
            background::give_way();
        })
        .enable_all()
        .build()
        .expect("a runtime");
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    println!("filling the cache: {} nodes, {} pods", world::NODES, world::PODS);
    let world = serving.block_on(World::new());
    let stop = Arc::new(AtomicBool::new(false));
    let solving = std::thread::spawn({
        let (cache, stop) = (world.cache.clone(), Arc::clone(&stop));
        move || {
            background::run(|| {
                stay_on_the_last_processor();
                world::solve_on_and_on(&cache, &stop)
            })
        }
    });
    let events = serving.spawn(world::events_on_and_on(world.sender.clone()));

    let secrets = Secrets::new();
    let shutdown = CancellationToken::new();
    let extender = Measured::new(world.extender());
    let canned = Arc::new(Canned(Mutex::default()));
    let (extenders, floors) = serving.block_on(async {
        let handler: Arc<dyn Handler> = extender.clone();
        let extenders = client::serve(&handler, &secrets, &shutdown).await;
        let handler: Arc<dyn Handler> = canned.clone();
        (extenders, client::serve(&handler, &secrets, &shutdown).await)
    });

    let mut rows = Vec::new();
    for (case_of, verb) in
        [("filter", "filter"), (EXCHANGE, "filter"), ("prioritize", "prioritize")]
    {
        for names in NAMES {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                for connections in CONNECTIONS {
                    let case = format!("{case_of}/{names}/{}/{connections}", protocol.as_str());
                    if !case.contains(&wanted) {
                        continue;
                    }
                    let bodies = match case_of {
                        EXCHANGE => world.questions_about_spread(names),
                        _ => world.questions(names),
                    };
                    let measure = |addresses, for_long| {
                        asking.block_on(client::ask(
                            addresses,
                            &secrets,
                            protocol,
                            connections,
                            verb,
                            &bodies,
                            for_long,
                        ))
                    };
                    // Once without looking: connections and caches are warm then.
                    let warm = measure(&extenders, Duration::from_millis(200));
                    extender.drain();
                    *canned.0.lock() = warm.last_answer;
                    let (others, (ours, client, floor)) = calmest(|| {
                        let asked = measure(&extenders, CASE);
                        let ours = Quantiles::of(extender.drain());
                        let floor = measure(&floors, CASE / 4);
                        (ours, Quantiles::of(asked.took), Quantiles::of(floor.took))
                    });
                    let row = Row {
                        verb: case_of,
                        names,
                        protocol: protocol.as_str(),
                        connections,
                        load: "1,000 events/s, solver planning",
                        ours,
                        client,
                        floor,
                        others,
                    };
                    println!("{row}");
                    rows.push(row);
                }
            }
        }
    }
    if "relists".contains(&wanted) {
        let (others, (ours, client)) =
            calmest(|| during_relists(&world, &extender, &extenders, &secrets, &serving, &asking));
        let row = Row {
            verb: "filter",
            names: 500,
            protocol: Protocol::Http1.as_str(),
            connections: 1,
            load: "relists of all pods",
            ours,
            client,
            floor: Quantiles::default(),
            others,
        };
        println!("{row}");
        rows.push(row);
    }
    stop.store(true, Ordering::Relaxed);
    events.abort();
    let plans = solving.join().expect("the solver");
    println!("{plans} plans were made meanwhile");
    shutdown.cancel();
    report::write("extender", &rows);
}

/// Keeps the calling thread there, where the system allows it.
#[cfg(target_os = "linux")]
fn stay_on_the_last_processor() {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("the processors of this thread");
    let last = (0..CpuSet::count()).rfind(|one| allowed.is_set(*one) == Ok(true));
    let mut only = CpuSet::new();
    only.set(last.expect("a processor")).expect("its number");
    sched_setaffinity(this, &only).expect("a processor of this thread's");
}

#[cfg(not(target_os = "linux"))]
fn stay_on_the_last_processor() {}

/// Measures until the machine is calm, or a few times: the calmest time, and what other processes
/// took of the machine then, in %.
fn calmest<T>(mut measure: impl FnMut() -> T) -> (f64, T) {
    let mut once = || {
        let processor = Processor::now();
        let measured = measure();
        (processor.others(), measured)
    };
    let mut best = once();
    for _ in 1..TIMES {
        if best.0 <= CALM {
            break;
        }
        let again = once();
        if again.0 < best.0 {
            best = again;
        }
    }
    best
}

/// Calls of filter for 500 names while the cache takes whole lists of all pods again and again.
fn during_relists(
    world: &World,
    extender: &Measured<berth::extender::Extender>,
    extenders: &client::Addresses,
    secrets: &Secrets,
    serving: &tokio::runtime::Runtime,
    asking: &tokio::runtime::Runtime,
) -> (Quantiles, Quantiles) {
    let relists = serving.spawn(world::relists(world.sender.clone(), world.pods()));
    let bodies = world.questions(500);
    extender.drain();
    let began = Instant::now();
    let mut took = Vec::new();
    while !relists.is_finished() && began.elapsed() < Duration::from_secs(60) {
        let asked = asking.block_on(client::ask(
            extenders,
            secrets,
            Protocol::Http1,
            1,
            "filter",
            &bodies,
            Duration::from_millis(200),
        ));
        took.extend(asked.took);
    }
    (Quantiles::of(extender.drain()), Quantiles::of(took))
}
