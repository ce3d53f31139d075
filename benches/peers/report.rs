//! What was measured, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use berth_solver::verify::Code;
use serde_json::{Value, json};

use crate::consolidation::{self, Settled};
use crate::machine::{commit, machine};

pub const SEED: u64 = 1;

/// What one of them made of a case.
#[derive(Clone, Debug)]
pub struct System {
    pub name: String,
    pub price: f64,
    pub bound: f64,
    pub nodes: usize,
    /// Pods without a place.
    pub left: usize,
    /// What `verify` finds: how often each rule is broken.
    pub faults: BTreeMap<Code, usize>,
    pub elapsed: Duration,
    /// Without looking at the cluster, where that is a thing of its own.
    pub solving: Duration,
    pub peak_rss_mib: Option<f64>,
}

impl System {
    /// How many rules are broken, and which, in words.
    fn broken(&self) -> String {
        let each: Vec<String> =
            self.faults.iter().map(|(code, count)| format!("{code:?} {count}")).collect();
        match each.len() {
            0 => "0".to_owned(),
            _ => format!("{} ({})", self.faults.values().sum::<usize>(), each.join(", ")),
        }
    }
}

/// A problem, and what each of them made of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub suite: String,
    pub case: String,
    pub catalog: String,
    pub pools: String,
    pub pods: usize,
    pub systems: Vec<System>,
}

#[derive(Default)]
pub struct Report {
    cases: Vec<Case>,
    settled: Vec<Settled>,
    notes: Vec<(String, Value)>,
}

impl Case {
    fn per_second(&self, system: &System) -> f64 {
        self.pods as f64 / system.solving.as_secs_f64().max(1e-6)
    }

    /// How much dearer Karpenter is than Berth, in percent; `None` where they place other pods.
    fn dearer(&self) -> Option<f64> {
        let [_, berth, karpenter, ..] = &self.systems[..] else { return None };
        (berth.left == karpenter.left && berth.price > 0.0)
            .then(|| (karpenter.price / berth.price - 1.0) * 100.0)
    }

    fn rows(&self) -> impl Iterator<Item = Value> + '_ {
        self.systems.iter().map(|one| {
            let (system, version) = one.name.split_once(" v").unwrap_or((&one.name, ""));
            json!({
                "suite": self.suite, "case": self.case, "catalog": self.catalog,
                "pools": self.pools, "pods": self.pods, "system": system, "version": version,
                "price": one.price, "lowerBound": one.bound, "nodes": one.nodes,
                "unplaced": one.left, "faults": one.faults,
                "elapsedMs": one.elapsed.as_secs_f64() * 1e3,
                "solveMs": one.solving.as_secs_f64() * 1e3,
                "podsPerSecond": self.per_second(one), "peakRssMib": one.peak_rss_mib,
            })
        })
    }
}

impl Report {
    pub fn add(&mut self, case: Case) {
        println!(
            "{}, {}, {}, pools {}: {} pods",
            case.suite, case.case, case.catalog, case.pools, case.pods
        );
        for one in &case.systems {
            println!(
                "  {:22} {:10.3} an hour, {:4} nodes, {:8.1} ms, {} left, {} faults",
                one.name,
                one.price,
                one.nodes,
                one.elapsed.as_secs_f64() * 1e3,
                one.left,
                one.broken()
            );
        }
        self.cases.push(case);
        self.write();
    }

    pub fn settled(&mut self, one: Settled) {
        println!("{}", one.row());
        self.settled.push(one);
        self.write();
    }

    pub fn note(&mut self, text: &str, row: Value) {
        println!("{text}");
        self.notes.push((text.to_owned(), row));
        self.write();
    }

    /// What is there is worth keeping, whatever happens to the next case.
    fn write(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder).expect("target/bench");
        std::fs::write(folder.join("peers.md"), self.text()).expect("peers.md");
        let rows = self.cases.iter().flat_map(Case::rows);
        let rows = rows.chain(self.settled.iter().map(Settled::row));
        let rows: Vec<Value> = rows.chain(self.notes.iter().map(|(_, row)| row.clone())).collect();
        let all = json!({ "machine": machine(), "commit": commit(), "seed": SEED, "rows": rows });
        let text = serde_json::to_string_pretty(&all).expect("JSON");
        std::fs::write(folder.join("peers.json"), text).expect("peers.json");
    }

    /// The tables.
    pub fn text(&self) -> String {
        let mut text = format!("# Beside Karpenter itself\n\n{}, seed {SEED}.\n", machine());
        for (note, _) in &self.notes {
            let _ = writeln!(text, "\n{note}");
        }
        self.summary(&mut text);
        consolidation::table(&self.settled, &mut text);
        if self.cases.is_empty() {
            return text;
        }
        let _ = writeln!(
            text,
            "\nPrice and bound per hour; time from the picture of the cluster to the plan; pods a \
             second without looking at the cluster, as Karpenter's benchmark counts; faults are \
             rules that `verify` finds broken.\n\n| suite | case | catalog | pools | pods | system \
             | price | bound | nodes | ms | pods/s | left | faults |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|"
        );
        for case in &self.cases {
            for one in &case.systems {
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {:.3} | {:.3} | {} | {:.1} | {:.0} | {} | {} |",
                    case.suite,
                    case.case,
                    case.catalog,
                    case.pools,
                    case.pods,
                    one.name,
                    one.price,
                    one.bound,
                    one.nodes,
                    one.elapsed.as_secs_f64() * 1e3,
                    case.per_second(one),
                    one.left,
                    one.broken(),
                );
            }
        }
        text
    }

    /// How much dearer Karpenter is on snapshots of traces.
    fn summary(&self, text: &mut String) {
        let mut groups: BTreeMap<(&str, &str, &str), Vec<Option<f64>>> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| case.suite == "traces") {
            let trace = case.case.split(' ').next().unwrap_or_default();
            groups.entry((trace, &case.catalog, &case.pools)).or_default().push(case.dearer());
        }
        if groups.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\nHow much dearer Karpenter's plans are than Berth's after 1 s, over snapshots on \
             which both place the same number of pods. Pools *any*: one that allows every type. \
             Pools *usual*: one of general-purpose families, and a lighter one of machines with \
             cards.\n\n| trace | catalog | pools | snapshots | mean, % | least, % | most, % |\n\
             |---|---|---|---|---|---|---|"
        );
        for ((trace, catalog, pools), all) in groups {
            let known: Vec<f64> = all.iter().flatten().copied().collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let least = known.iter().copied().fold(f64::INFINITY, f64::min);
            let most = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let _ = writeln!(
                text,
                "| {trace} | {catalog} | {pools} | {} of {} | {mean:+.1} | {least:+.1} | {most:+.1} |",
                known.len(),
                all.len()
            );
        }
    }
}
