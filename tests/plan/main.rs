//! `berth plan` as its users see it: the built binary, files in, a plan out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod bad_input;
#[path = "../shared/binary.rs"]
mod binary;
mod buffers;
mod consolidate;
mod json;
mod table;

use binary::{Folder, Run};
use serde_json::Value;

impl Folder {
    fn run(&self, arguments: &[&str]) -> Run {
        self.command("plan", arguments)
    }

    /// Plans with as much time as the search wants, so that the plan follows from the files.
    fn plan(&self, arguments: &[&str]) -> String {
        let common = ["--catalog", "catalog.csv", "--budget", "5m"];
        let run = self.run(&[&common, arguments].concat());
        assert_eq!(run.status, Some(0), "{}", run.error);
        run.output
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.plan(&[arguments, &["--output", "json"]].concat());
        serde_json::from_str(&output).unwrap()
    }
}

/// A cluster with a bit of everything.
fn shop() -> Folder {
    Folder::with(&[
        ("shop/cluster.yaml", include_str!("shop/cluster.yaml")),
        ("shop/workloads.yaml", include_str!("shop/workloads.yaml")),
    ])
}

/// The texts of a list of texts.
fn texts(list: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(text).collect()
}
