use std::fmt::Write as _;
use std::path::PathBuf;

use berth_simulations::replay::{
    Content, Moment, PolicyName, Replay, ReplaySettings, Replayed, Sink, Source, Window,
};
use berth_simulations::trace::Format;
use berth_solver::model::{Catalog, Timestamp};
use berth_solver::testing::exoscale_catalog;

pub const HEADER: &str = "name,workload,submit_s,end_s,cpu_milli,memory_mib";

/// A folder with a trace in it.
pub struct Trace {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

pub fn trace(text: &str) -> Trace {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.csv");
    std::fs::write(&path, text).unwrap();
    Trace { _folder: folder, path }
}

/// Three hours with services that stay, jobs that come in bursts, and some of everything.
pub fn mixed() -> Trace {
    let mut rows: Vec<(i64, String)> = Vec::new();
    for index in 0..40_i64 {
        let (submit, end) = (index * 30, if index % 4 == 0 { 0 } else { 7_000 + index * 45 });
        let end = if end == 0 { String::new() } else { end.to_string() };
        let cpu = 250 + (index % 5) * 400;
        rows.push((submit, format!("web-{index},web,{submit},{end},{cpu},{}", cpu * 3)));
    }
    for burst in 0..6_i64 {
        for job in 0..25_i64 {
            let submit = 600 + burst * 1_500;
            let end = submit + 120 + (job % 7) * 90;
            let cpu = 500 + (job % 3) * 1_000;
            let row = format!("job-{burst}-{job},job-{burst},{submit},{end},{cpu},{}", cpu * 2);
            rows.push((submit, row));
        }
    }
    rows.sort();
    let mut text = format!("{HEADER}\n");
    for (_, row) in rows {
        writeln!(text, "{row}").unwrap();
    }
    trace(&text)
}

pub fn catalog() -> Catalog {
    exoscale_catalog(&["zone-a", "zone-b"])
}

pub fn source(trace: &Trace, window: Window, seed: u64) -> Source {
    Source { path: trace.path.clone(), content: Content::File(Format::Csv), window, seed }
}

pub fn prepare(trace: &Trace, settings: ReplaySettings, seed: u64) -> Replay {
    let source = source(trace, Window::default(), seed);
    Replay::prepare(source, catalog(), settings, seed).unwrap()
}

/// Keeps what a replay says.
#[derive(Default, PartialEq)]
pub struct Kept {
    pub moments: Vec<Moment>,
    pub decisions: Vec<String>,
}

impl Sink for Kept {
    fn moment(&mut self, moment: &Moment) {
        self.moments.push(moment.clone());
    }

    fn decision(&mut self, line: &str) {
        self.decisions.push(line.to_owned());
    }

    fn progress(&mut self, _: f64) {}
}

pub fn run(replay: &Replay, policy: PolicyName) -> (Replayed, Kept) {
    let mut kept = Kept::default();
    let replayed = replay.run(policy, &mut kept).unwrap();
    (replayed, kept)
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}
