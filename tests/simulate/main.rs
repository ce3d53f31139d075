//! `berth simulate` as its users see it: the built binary, a trace in, figures out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod bad_files;
mod bad_input;
#[path = "../shared/binary.rs"]
mod binary;
mod figures;
mod report;
mod sweep;

use std::fmt::Write as _;

use binary::{Folder, Run};

const HEADER: &str = "name,workload,submit_s,end_s,cpu_milli,memory_mib";

impl Folder {
    fn run(&self, arguments: &[&str]) -> Run {
        self.command("simulate", &[&["--catalog", "catalog.csv"], arguments].concat())
    }
}

/// An hour: a service of six pods, and twenty jobs that come together and leave.
fn hour() -> String {
    let mut text = format!("{HEADER}\n");
    for pod in 0..6 {
        writeln!(text, "web-{pod},web,{},,700,1024", pod * 10).unwrap();
    }
    for job in 0..20 {
        writeln!(text, "job-{job},job,1200,{},1500,2048", 1_500 + job * 20).unwrap();
    }
    text.push_str("last,web,3600,,100,100\n");
    text
}
