//! `berth simulate` as its users see it: the built binary, a trace in, figures out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod bad_input;
mod figures;
mod report;
mod sweep;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use tempfile::TempDir;

const CATALOG: &str = "instance_type,arch,cpu_milli,memory_mib,zone,capacity_type,price_per_hour
small,amd64,2000,4096,z1,on-demand,0.05
small,amd64,2000,4096,z2,on-demand,0.05
large,amd64,8000,16384,z1,on-demand,0.16
large,amd64,8000,16384,z1,spot,0.06
";
const HEADER: &str = "name,workload,submit_s,end_s,cpu_milli,memory_mib";

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
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("catalog.csv", CATALOG.as_bytes())].iter().chain(files) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.command("simulate", &[&["--catalog", "catalog.csv"], arguments].concat())
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_berth"))
            .arg(command)
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

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
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
