//! `berth plan` as its users see it: the built binary, files in, a plan out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod bad_input;
mod consolidate;
mod json;
mod table;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Two sizes in two zones; four small ones cost more than a large one.
const CATALOG: &str = "instance_type,arch,cpu_milli,memory_mib,zone,capacity_type,price_per_hour
small,amd64,2000,4096,z1,on-demand,0.05
small,amd64,2000,4096,z2,on-demand,0.05
large,amd64,8000,16384,z1,on-demand,0.16
large,amd64,8000,16384,z1,spot,0.06
";

/// What a run of the binary came to.
struct Run {
    status: Option<i32>,
    output: String,
    error: String,
}

/// A folder with files, in which the binary runs.
struct Folder(TempDir);

impl Folder {
    /// With the catalog `catalog.csv` and these files.
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("catalog.csv", CATALOG)].iter().chain(files) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_berth"))
            .arg("plan")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run {
            status: output.status.code(),
            output: text(output.stdout),
            error: text(output.stderr),
        }
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
