//! What was measured, for people and for machines.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine::{commit, machine};

/// Half of the calls, 99 of a hundred and all of them took no longer, in milliseconds.
#[derive(Clone, Copy, Default)]
pub struct Quantiles {
    pub calls: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Quantiles {
    pub fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |permille: usize| {
            let rank = (took.len() * permille).div_ceil(1_000).saturating_sub(1);
            took.get(rank).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
        };
        Self { calls: took.len(), p50: at(500), p99: at(990), max: at(1_000) }
    }
}

/// One measured case.
pub struct Row {
    pub verb: &'static str,
    pub names: usize,
    pub protocol: &'static str,
    pub connections: usize,
    pub load: &'static str,
    /// Measured in the server.
    pub ours: Quantiles,
    /// Measured by the client.
    pub client: Quantiles,
    /// Measured by the client of a server that answers canned bytes.
    pub floor: Quantiles,
    /// What other processes took of the machine meanwhile, in %.
    pub others: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "| {} | {} | {} | {} | {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | \
             {:.0} |",
            self.verb,
            self.names,
            self.protocol,
            self.connections,
            self.load,
            self.ours.calls,
            self.ours.p50,
            self.ours.p99,
            self.ours.max,
            self.client.p50,
            self.client.p99,
            self.floor.p50,
            self.others,
        )
    }
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "verb": self.verb,
            "names": self.names,
            "protocol": self.protocol,
            "connections": self.connections,
            "load": self.load,
            "calls": self.ours.calls,
            "p50Ms": self.ours.p50,
            "p99Ms": self.ours.p99,
            "maxMs": self.ours.max,
            "clientP50Ms": self.client.p50,
            "clientP99Ms": self.client.p99,
            "clientMaxMs": self.client.max,
            "floorP50Ms": self.floor.p50,
            "othersPercent": self.others,
        })
    }
}
/// Writes `target/bench/NAME.md` and `.json`.
pub fn write(name: &str, rows: &[Row]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&folder).expect("a folder");
    let (machine, commit) = (machine(), commit().unwrap_or_default());
    let mut table = format!(
        "# The extender's answers\n\n{machine}, commit {commit}. Times in milliseconds: ours are \
         measured in the server, from the whole request to the whole answer; the floor is a server \
         that answers canned bytes of the same size; others is what processes beside this bench took \
         of the machine.\n\n\
         | verb | names | protocol | connections | load | calls | ours p50 | ours p99 | ours max | \
         client p50 | client p99 | floor p50 | others, % |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let _ = writeln!(table, "{row}");
    }
    let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
    let all = json!({ "machine": machine, "commit": commit, "seed": 0, "rows": rows });
    std::fs::write(folder.join(format!("{name}.md")), table).expect("a file");
    std::fs::write(folder.join(format!("{name}.json")), format!("{all:#}\n")).expect("a file");
    println!("written: {}", folder.join(format!("{name}.md")).display());
}
