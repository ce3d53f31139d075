//! Clusters that were scaled down, until neither finds anything to save any more.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_solver::disruption::{Inputs, Settings, consolidate};
use berth_solver::model::{
    CapacityType, Catalog, NodePool, Operator, Snapshot, Timestamp, ValueSet, well_known,
};
use berth_solver::packing::Budget;
use berth_solver::testing::{Workload, after_round, half_empty_cluster, percent, pool};
use serde_json::{Value, json};

use crate::karpenter::Karpenter;
use crate::number;
use crate::problems::catalogs;
use crate::report::{Report, SEED};

const FILLS: [f64; 2] = [0.3, 0.6];
/// Disruption budgets, in percent of the nodes.
const BUDGETS: [u32; 2] = [10, 100];
const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
/// How long a round may be worked at.
const ROUND: Duration = Duration::from_secs(1);
/// More rounds are not followed.
const MOST_ROUNDS: usize = 100;

/// What one of them made of a cluster.
#[derive(Clone, Debug)]
pub struct Settled {
    pub system: String,
    pub catalog: String,
    pub nodes: usize,
    pub pods: usize,
    pub fill: f64,
    pub budget: u32,
    pub before: f64,
    pub after: f64,
    pub evictions: usize,
    /// Commands, or rounds.
    pub steps: usize,
    /// To work all of them out.
    pub elapsed: Duration,
}

impl Settled {
    pub fn row(&self) -> Value {
        json!({
            "suite": "consolidation", "system": self.system, "catalog": self.catalog,
            "nodes": self.nodes, "pods": self.pods, "fill": self.fill, "budget": self.budget,
            "priceBefore": self.before, "priceAfter": self.after, "evictions": self.evictions,
            "steps": self.steps, "elapsedMs": self.elapsed.as_secs_f64() * 1e3,
        })
    }
}

pub fn consolidation(karpenter: &Karpenter, report: &mut Report) {
    let nodes = number("BERTH_BENCH_NODES", 60);
    for sold in catalogs() {
        for fill in FILLS {
            for budget in BUDGETS {
                let general = general(&sold.catalog, budget);
                let mut cluster =
                    half_empty_cluster(&sold.catalog, nodes, fill, budget, Workload::Diverse, SEED);
                cluster.pools.insert(general.name.clone(), Arc::new(general.clone()));
                let of = |system: &str| Settled {
                    system: system.to_owned(),
                    catalog: sold.name.clone(),
                    nodes,
                    pods: cluster.pods.len(),
                    fill,
                    budget,
                    before: 0.0,
                    after: 0.0,
                    evictions: 0,
                    steps: 0,
                    elapsed: Duration::ZERO,
                };
                report.settled(berth(&cluster, (general, (*sold.catalog).clone()), of("berth")));
                match karpenter.consolidate(&sold.file, &cluster) {
                    Ok(made) => report.settled(Settled {
                        before: made.price_per_hour_before,
                        after: made.price_per_hour_after,
                        evictions: made.evictions,
                        steps: made.commands.len(),
                        elapsed: Duration::from_secs_f64(made.elapsed_ms / 1e3),
                        ..of(&made.method)
                    }),
                    Err(problem) => println!("FAILED: {}, fill {fill}: {problem}", sold.name),
                }
            }
        }
    }
}

/// The pool of the cluster. It says `on-demand` where nothing else is sold: Karpenter takes a pool
/// that does not for one of spot machines, too, and asks for one of these.
fn general(catalog: &Catalog, budget: u32) -> NodePool {
    let mut general = NodePool { budgets: percent(budget), ..pool("general") };
    let mut offerings = catalog.instance_types.iter().flat_map(|kind| &kind.offerings);
    if offerings.all(|offering| offering.capacity_type == CapacityType::OnDemand) {
        let on_demand = ValueSet::of(Operator::In, [CapacityType::OnDemand.as_str().into()]);
        general.requirements.require(well_known::CAPACITY_TYPE_LABEL.into(), &on_demand);
    }
    general
}

/// Round after round, as the daemon's defaults have it but for the age of nodes.
fn berth(cluster: &Snapshot, world: (NodePool, Catalog), mut settled: Settled) -> Settled {
    let settings = Settings { least_age: Duration::ZERO, ..Settings::default() };
    let world = [world];
    let mut snapshot = cluster.clone();
    for step in 0..MOST_ROUNDS {
        let began = Instant::now();
        let spent = Budget(|| began.elapsed().as_secs_f64() / ROUND.as_secs_f64());
        let round = consolidate(&snapshot, &Inputs::default(), &settings, NOW, SEED, &spent);
        settled.elapsed += began.elapsed();
        if step == 0 {
            settled.before = round.price_before.as_f64();
        }
        settled.after = round.price_after.as_f64();
        if round.is_empty() {
            break;
        }
        settled.evictions += round.moves.len();
        settled.steps += 1;
        snapshot = after_round(&snapshot, &round, &world);
    }
    settled
}

/// The table.
pub fn table(all: &[Settled], text: &mut String) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\nClusters that were scaled down, until neither finds anything to save any more; nodes \
         that come are up at once. Steps are Karpenter's commands and Berth's rounds; the time is \
         that of working them out.\n\n| catalog | nodes | pods | fill | budget, % | | price before \
         | price after | evictions | steps | ms |\n|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for one in all {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.3} | {:.3} | {} | {} | {:.0} |",
            one.catalog,
            one.nodes,
            one.pods,
            one.fill,
            one.budget,
            one.system,
            one.before,
            one.after,
            one.evictions,
            one.steps,
            one.elapsed.as_secs_f64() * 1e3,
        );
    }
}
