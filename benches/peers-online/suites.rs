//! What is run: the workloads of Karpenter's performance suites, phase by phase.

use anyhow::Result;
use serde_json::{Value, json};

use crate::controller::{Controller, Karpenter, World, node_pool};
use crate::observer::Observer;
use crate::slice;

const NAMESPACE: &str = "work";

/// A suite: what happens in one cluster.
pub struct Suite {
    pub name: &'static str,
    work: Work,
}

enum Work {
    /// One after the other.
    Phases(Vec<Phase>),
    /// A slice of a trace.
    Slice,
}

/// What is changed, and which pods there are from then on.
struct Phase {
    name: &'static str,
    workloads: Vec<Workload>,
    drift: bool,
}

/// A Deployment.
#[derive(Clone)]
struct Workload {
    name: String,
    replicas: usize,
    size: Size,
    rule: Rule,
}

#[derive(Clone, Copy)]
enum Size {
    /// 900m, 3,100 MiB.
    Small,
    /// 3,500m, 28 GiB.
    Large,
    /// So many thousandths of a processor, and mebibytes.
    Of(i64, i64),
}

/// What the pods of a Deployment ask of each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    None,
    /// As many on each node, but for one.
    HostSpread,
    /// One a node.
    HostAntiAffinity,
    /// As many in each zone, but for one.
    ZoneSpread,
    ZoneAndHostSpread,
    ZoneSpreadAndHostAntiAffinity,
}

fn workload(name: &str, replicas: usize, size: Size, rule: Rule) -> Workload {
    let replicas = (replicas / crate::number::number("BERTH_BENCH_SHARE", 1).max(1)).max(1);
    Workload { name: name.to_owned(), replicas, size, rule }
}

/// The Deployment of a slice of a trace whose pods take so much.
pub fn sized(cpu_milli: i64, memory_mib: i64, replicas: usize) -> Value {
    let name = format!("m{cpu_milli}-{memory_mib}");
    let size = Size::Of(cpu_milli, memory_mib);
    Workload { name, replicas, size, rule: Rule::None }.deployment()
}

fn phase(name: &'static str, workloads: Vec<Workload>) -> Phase {
    Phase { name, workloads, drift: false }
}

/// Small and large pods.
fn two(small: (usize, Rule), large: usize) -> Vec<Workload> {
    vec![
        workload("small", small.0, Size::Small, small.1),
        workload("large", large, Size::Large, Rule::None),
    ]
}

/// 30 Deployments.
fn wide(pods: usize) -> Vec<Workload> {
    let of = |index: usize| {
        let rule = match index {
            0..3 => Rule::ZoneSpreadAndHostAntiAffinity,
            3..6 => Rule::ZoneAndHostSpread,
            _ => Rule::ZoneSpread,
        };
        let size = if index.is_multiple_of(2) { Size::Small } else { Size::Large };
        workload(&format!("wide-{index}"), pods / 30, size, rule)
    };
    (0..30).map(of).collect()
}

/// All of them.
pub fn all() -> Vec<Suite> {
    let plain = Rule::None;
    let spread = Rule::HostSpread;
    let apart = Rule::HostAntiAffinity;
    vec![
        Suite {
            name: "basic",
            work: Work::Phases(vec![
                phase("500 + 500", two((500, plain), 500)),
                phase("350 + 350", two((350, plain), 350)),
            ]),
        },
        Suite {
            name: "hostname spread",
            work: Work::Phases(vec![
                phase("500 + 500", two((500, spread), 500)),
                phase("350 + 350", two((350, spread), 350)),
            ]),
        },
        Suite {
            name: "wide",
            work: Work::Phases(vec![phase("990 in 30", wide(990)), phase("690 in 30", wide(690))]),
        },
        Suite {
            name: "self anti-affinity",
            work: Work::Phases(vec![
                phase("500 + 0", vec![workload("small", 500, Size::Small, apart)]),
                phase("250 + 500", two((250, apart), 500)),
                phase("400 + 200", two((400, apart), 200)),
            ]),
        },
        Suite {
            name: "drift",
            work: Work::Phases(vec![
                phase("300 + 300", two((300, plain), 300)),
                Phase { drift: true, ..phase("all drifted", two((300, plain), 300)) },
            ]),
        },
        Suite { name: "trace", work: Work::Slice },
    ]
}

impl Suite {
    /// Runs it in a fresh cluster; a row a phase.
    pub async fn run(&self, controller: Controller, karpenter: &Karpenter) -> Result<Vec<Value>> {
        let world = controller.start(karpenter).await?;
        world.plane.create_namespace(NAMESPACE).await?;
        let observer = Observer::start(&world.plane.client(), &karpenter.catalog())?;
        let mut rows = Vec::new();
        match &self.work {
            Work::Phases(phases) => {
                for phase in phases {
                    rows.push(phase.run(&world, &observer).await?);
                }
            }
            Work::Slice => rows.extend(slice::follow(&world, &observer).await?),
        }
        for row in &mut rows {
            row["suite"] = json!(self.name);
            row["controller"] = json!(controller.name());
        }
        Ok(rows)
    }
}

impl Phase {
    async fn run(&self, world: &World, observer: &Observer) -> Result<Value> {
        let expected: usize = self.workloads.iter().map(|workload| workload.replicas).sum();
        let measure = Measure::begin(world, observer).await?;
        let mut objects: Vec<Value> = self.workloads.iter().map(Workload::deployment).collect();
        if self.drift {
            let mut pool = node_pool();
            pool["spec"]["template"]["metadata"]["labels"]["round"] = json!("two");
            objects.push(pool);
        }
        world.apply(&objects).await?;
        measure.end(self.name, expected).await
    }
}

/// What is measured of a phase.
pub struct Measure<'w> {
    world: &'w World,
    observer: &'w Observer,
    requests: f64,
    processor: f64,
}

impl<'w> Measure<'w> {
    /// Begins.
    pub async fn begin(world: &'w World, observer: &'w Observer) -> Result<Self> {
        let requests = world.requests().await?;
        let (processor, _) = world.usage()?;
        observer.begin();
        Ok(Self { world, observer, requests, processor })
    }

    /// Waits until so many pods run and nothing changes any more; the row.
    pub async fn end(self, name: &str, expected: usize) -> Result<Value> {
        let Self { world, observer, requests, processor } = self;
        let running = observer.until_running(expected).await?;
        let settled = observer.until_quiet(expected).await;
        let (processor_now, memory) = world.usage()?;
        let mut row = observer.row();
        row["phase"] = json!(name);
        row["pods"] = json!(expected);
        row["allRunningSeconds"] = json!(running.as_secs_f64());
        row["settledSeconds"] = json!(settled.map(|settled| settled.as_secs_f64()));
        row["processorSeconds"] = json!(processor_now - processor);
        row["peakMebibytes"] = json!(memory);
        row["requests"] = json!(world.requests().await? - requests);
        Ok(row)
    }
}

impl Workload {
    fn deployment(&self) -> Value {
        let labels = json!({ "app": self.name });
        let selector = json!({ "matchLabels": labels });
        let (cpu, memory) = match self.size {
            Size::Small => (900, 3_100),
            Size::Large => (3_500, 28 << 10),
            Size::Of(cpu_milli, memory_mib) => (cpu_milli, memory_mib),
        };
        let (cpu, memory) = (format!("{cpu}m"), format!("{memory}Mi"));
        let spread = |key: &str| {
            json!({ "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": selector })
        };
        let (host, zone) = ("kubernetes.io/hostname", "topology.kubernetes.io/zone");
        let (spreads, apart) = match self.rule {
            Rule::None => (vec![], false),
            Rule::HostSpread => (vec![spread(host)], false),
            Rule::HostAntiAffinity => (vec![], true),
            Rule::ZoneSpread => (vec![spread(zone)], false),
            Rule::ZoneAndHostSpread => (vec![spread(zone), spread(host)], false),
            Rule::ZoneSpreadAndHostAntiAffinity => (vec![spread(zone)], true),
        };
        let terms = vec![json!({ "topologyKey": host, "labelSelector": selector })];
        let terms = if apart { terms } else { Vec::new() };
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": self.name, "namespace": NAMESPACE },
            "spec": {
                "replicas": self.replicas,
                "selector": selector,
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "automountServiceAccountToken": false,
                        "terminationGracePeriodSeconds": 0,
                        "topologySpreadConstraints": spreads,
                        "affinity": { "podAntiAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": terms,
                        }},
                        "containers": [{
                            "name": "main",
                            "image": "none",
                            "resources": { "requests": { "cpu": cpu, "memory": memory } },
                        }],
                    },
                },
            },
        })
    }
}
