//! A slice of a trace, as arrivals and departures: two hours of Azure's virtual machines, a sample of them, faster.

use std::time::Duration;

use berth_simulations::trace::azure::Reader;
use berth_solver::model::Timestamp;

use crate::data::data;

/// The window of the trace, in seconds since its beginning: two hours after its first day.
const FROM: i64 = 24 * 3_600;
const SPAN: i64 = 2 * 3_600;
/// How many times as fast: the median machine still lives for a minute, several times as long as
/// a node takes to start.
const SPEED: i64 = 24;
/// One in so many machines.
const SAMPLE: usize = 24;
/// Machines larger than this have no node in the catalog.
const LARGEST_MILLI: i64 = 16_000;
const SEED: u64 = 1;

/// A pod that comes and goes.
#[derive(Clone, Debug)]
pub struct Stay {
    pub name: String,
    pub cpu_milli: i64,
    pub memory_mib: i64,
    /// Since the beginning.
    pub comes: Duration,
    /// After the end, if it stays.
    pub goes: Duration,
}

/// How long it all takes.
pub fn length() -> Duration {
    since(FROM + SPAN)
}

fn since(second: i64) -> Duration {
    let millis = (second - FROM).max(0) * 1_000 / SPEED;
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// The pods, in the order of their coming; `None`, with a notice, if there is no trace.
pub fn stays() -> Option<Vec<Stay>> {
    let file = data().join("traces/azure-v1/v1.dev.txt");
    if !file.exists() {
        println!("SKIPPED: there is no {}; set BERTH_DATA", file.display());
        return None;
    }
    let records = Reader::open(&file, SEED).expect("a trace");
    let second = |at: Timestamp| at.as_millis() / 1_000;
    let mut stays = Vec::new();
    for record in records {
        let record = record.expect("a trace");
        let comes = second(record.submit);
        if comes >= FROM + SPAN {
            break;
        }
        let end = record.end.map_or(i64::MAX / 2_000, second);
        if end <= FROM || record.shape.cpu_milli > LARGEST_MILLI {
            continue;
        }
        stays.push(Stay {
            name: String::new(),
            cpu_milli: record.shape.cpu_milli,
            memory_mib: record.shape.memory_mib,
            comes: since(comes),
            goes: since(end.min(FROM + 10 * SPAN)),
        });
    }
    let mut sampled: Vec<Stay> = stays.into_iter().step_by(SAMPLE).collect();
    sampled.sort_by_key(|stay| stay.comes);
    for (index, stay) in sampled.iter_mut().enumerate() {
        stay.name = format!("machine-{index}");
    }
    Some(sampled)
}
