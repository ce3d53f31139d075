//! Pods a second of the real kube-scheduler.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use berth_controlplane::{ControlPlane, Extender, SchedulerSettings, metric};
use kube::Client;
use serde_json::json;

use crate::objects::{NAMESPACE, create_nodes, create_pods, delete_pods};
use crate::processor::Processor;
use crate::report::Report;
use crate::side::Side;

const NODES: [usize; 2] = [500, 1_000];
/// How often each setting is measured; the median counts.
const ROUNDS: usize = 3;
/// What takes longer to place all pods has failed.
const LONGEST: Duration = Duration::from_secs(60);

/// What our extender is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    /// There is none.
    Absent,
    /// Pods that the plan does not speak of.
    Unplanned,
    /// Pods that all have a place.
    Planned,
    /// The same, and each is nominated for its node.
    Steered,
}

struct Case {
    name: &'static str,
    ours: Ours,
    /// `percentageOfNodesToScore`; 0 is Kubernetes' default.
    percentage: u32,
    names_only: bool,
    pods: usize,
    /// The case that it is compared with.
    against: usize,
}

const fn case(name: &'static str, ours: Ours, percentage: u32, against: usize) -> Case {
    Case { name, ours, percentage, names_only: true, pods: 1_000, against }
}

const CASES: [Case; 9] = [
    case("plain", Ours::Absent, 100, 0),
    case("plain, sampling", Ours::Absent, 0, 1),
    case("ours, steering", Ours::Steered, 100, 0),
    case("ours, steering, sampling", Ours::Steered, 0, 1),
    case("ours, no steering", Ours::Planned, 100, 0),
    case("ours, no steering, sampling", Ours::Planned, 0, 1),
    case("ours, pods without a plan", Ours::Unplanned, 100, 0),
    case("ours, pods without a plan, sampling", Ours::Unplanned, 0, 1),
    Case {
        names_only: false,
        pods: 100,
        ..case("ours, whole nodes sent (nodeCacheCapable: false)", Ours::Unplanned, 100, 0)
    },
];

/// What one run of a case came to.
#[derive(Clone, Copy, Default)]
struct Run {
    per_second: f64,
    /// What kube-scheduler took for the choice of a node, on average.
    algorithm_ms: f64,
    filter_ms: f64,
    filters: u64,
    prioritizes: u64,
    landed: Option<f64>,
    others: f64,
}

pub async fn measure(report: &mut Report) {
    let plane = ControlPlane::builder().start().await.expect("a control plane");
    plane.create_namespace(NAMESPACE).await.expect("a namespace");
    // Our watches wait until their kinds are there.
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds").display().to_string();
    plane.kubectl(&["apply", "-f", &crds]).await.expect("the definitions are taken");
    plane.scheduler().expect("kube-scheduler").stop();
    let client = plane.client();
    let mut made = 0;
    for nodes in NODES {
        create_nodes(&client, made, nodes).await;
        made = nodes;
        let mut runs = vec![Vec::new(); CASES.len()];
        for round in 0..ROUNDS {
            for (case, runs) in CASES.iter().zip(&mut runs) {
                let run = match run(&plane, nodes, case).await {
                    Ok(run) => run,
                    Err(error) => {
                        println!("{nodes} nodes, round {round}, {}: {error:#}", case.name);
                        plane.scheduler().expect("kube-scheduler").stop();
                        delete_pods(&client).await;
                        Run::default()
                    }
                };
                println!(
                    "{nodes} nodes, round {round}, {}: {:.0} pods/s, {:.2} ms a choice, {:.0} % others",
                    case.name, run.per_second, run.algorithm_ms, run.others
                );
                runs.push(run);
            }
        }
        let medians: Vec<Run> = runs.into_iter().map(median).collect();
        for (case, run) in CASES.iter().zip(&medians) {
            let plain = medians[case.against].per_second;
            report.throughput.push(json!({
                "nodes": nodes,
                "setting": case.name,
                "percentageOfNodesToScore": case.percentage,
                "nodeCacheCapable": case.names_only,
                "pods": case.pods,
                "schedulerPodsPerSecond": run.per_second,
                "ratioToPlain": run.per_second / plain,
                "algorithmMs": run.algorithm_ms,
                "filterCalls": run.filters,
                "filterMs": run.filter_ms,
                "prioritizeCalls": run.prioritizes,
                "landedPercent": run.landed,
                "othersPercent": run.others,
            }));
        }
    }
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    runs.get(runs.len() / 2).copied().unwrap_or_default()
}

async fn run(plane: &ControlPlane, nodes: usize, case: &Case) -> Result<Run> {
    let client = plane.client();
    let mut side = match case.ours {
        Ours::Absent => None,
        _ => Some(Side::start(&client).await),
    };
    let extenders = side.iter().map(|side| {
        let extender = Extender::at(format!("http://{}", side.address));
        // Slow answers are to be seen in the figures, not to be passed over.
        extender
            .node_cache_capable(case.names_only)
            .ignorable(false)
            .timeout(Duration::from_secs(30))
    });
    plane.configure_scheduler(&SchedulerSettings {
        extenders: extenders.collect(),
        percentage_of_nodes_to_score: case.percentage,
        ..SchedulerSettings::default()
    })?;
    create_pods(&client, "pod", case.pods).await;
    if let Some(side) = &mut side {
        side.plan(case.pods, nodes, matches!(case.ours, Ours::Planned | Ours::Steered)).await;
        if case.ours == Ours::Steered {
            side.steer().await;
        }
    }
    let scheduler = plane.scheduler().expect("kube-scheduler");
    let asking = plane.scheduler_client().await?;
    let processor = Processor::now();
    scheduler.start()?;
    let (per_second, algorithm_ms) = timed(scheduler, &asking, case.pods).await?;
    let others = processor.others();
    let mut run = Run { per_second, algorithm_ms, others, ..Run::default() };
    if let Some(side) = &mut side {
        (run.filters, run.filter_ms) = side.calls("filter");
        run.prioritizes = side.calls("prioritize").0;
        if matches!(case.ours, Ours::Planned | Ours::Steered) {
            run.landed = Some(side.landed().await);
        }
    }
    scheduler.stop();
    delete_pods(&client).await;
    Ok(run)
}

const SCHEDULED: (&str, &str) = ("scheduler_schedule_attempts_total", "result=\"scheduled\"");
const CHOSEN: (&str, &str) = ("scheduler_scheduling_algorithm_duration_seconds_count", "");
const CHOOSING: (&str, &str) = ("scheduler_scheduling_algorithm_duration_seconds_sum", "");

/// Pods a second between the first pods' binding and the last one's, by kube-scheduler's own
/// count, and milliseconds for each choice.
async fn timed(
    scheduler: &berth_controlplane::Component,
    asking: &Client,
    pods: usize,
) -> Result<(f64, f64)> {
    let began = Instant::now();
    let mut first: Option<(Instant, f64)> = None;
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let pods = pods as f64;
    loop {
        if began.elapsed() > LONGEST {
            bail!("not all pods were bound; {}", scheduler.tail());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        scheduler.check()?;
        let Ok(values) = metric(asking, &[SCHEDULED, CHOSEN, CHOOSING]).await else { continue };
        let (now, [bound, chosen, choosing]) = (Instant::now(), values[..].try_into()?);
        match first {
            None if bound > 0.0 => first = Some((now, bound)),
            Some((at, before)) if bound >= pods => {
                let seconds = now.duration_since(at).as_secs_f64();
                return Ok(((bound - before) / seconds, choosing * 1_000.0 / chosen.max(1.0)));
            }
            _ => {}
        }
    }
}
