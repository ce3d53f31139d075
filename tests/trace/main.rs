//! `berth trace` as its users see it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]
#![allow(clippy::print_stdout, reason = "tests say why they are skipped")]

mod record;
#[path = "../shared/recording.rs"]
mod recording;
mod simkube;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Rows in no order, with most of what a row can say.
const TRACE: &str = "\
name,workload,submit_s,end_s,cpu_milli,memory_mib,namespace,gpu,gpu_milli,ephemeral_mib,priority,\
node_selector,zone_spread,host_spread,host_anti_affinity,capacity_type,max_per_node,resource/example.com/x
b,w,60,120.25,2000,4096,,,,,,,1,,,,,
a,w,-5,90,500,512,team,1,250,10,7,disk=ssd;rack=3,,,true,spot,2,4
c,v,60,,1500,1024,,2,,,,,,3,,,,
";

fn berth(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth"))
        .arg("trace")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_converted_trace_is_sorted_and_says_the_same() {
    let folder = folder(&[("in.csv", TRACE)]);
    for out in ["out.csv", "out.csv.zst"] {
        let done = berth(folder.path(), &["convert", "in.csv", out]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(String::from_utf8(done.stdout).unwrap(), format!("3 pods written to {out}\n"));
    }
    assert_eq!(
        fs::read_to_string(folder.path().join("out.csv")).unwrap(),
        "name,workload,submit_s,end_s,cpu_milli,memory_mib,namespace,gpu,gpu_milli,ephemeral_mib,\
         priority,node_selector,zone_spread,host_spread,host_anti_affinity,capacity_type,\
         max_per_node,resource/example.com/x\n\
         a,w,-5,90,500,512,team,1,250,10,7,disk=ssd;rack=3,,,true,spot,2,4\n\
         b,w,60,120.25,2000,4096,,,,,,,1,,,,,\n\
         c,v,60,,1500,1024,,2,,,,,,3,,,,\n"
    );
    // The compressed one is read again to the same.
    let done = berth(folder.path(), &["convert", "out.csv.zst", "again.csv"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let read = |name| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("out.csv"), read("again.csv"));
    assert!(read("out.csv.zst").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
}

#[test]
fn a_description_counts_what_is_there() {
    let folder = folder(&[("in.csv", TRACE)]);
    let arguments = ["describe", "in.csv", "--output", "json", "--picture", "p.svg"];
    let done = berth(folder.path(), &arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    for (key, value) in [
        ("pods", 3),
        ("openEnded", 1),
        ("workloads", 3),
        ("shapes", 3),
        ("withGpu", 2),
        ("withRules", 3),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
    assert_eq!(told["lastSeconds"], 120.25);
    assert_eq!(told["mostPods"]["pods"], 3);
    assert_eq!(told["mostCpu"]["cpu"], 4.0);
    assert_eq!(told["cpu"]["p50"], 1.5);
    let sizes: u64 =
        told["sizes"].as_array().unwrap().iter().map(|size| size["pods"].as_u64().unwrap()).sum();
    assert_eq!(sizes, 3);
    assert!(fs::read_to_string(folder.path().join("p.svg")).unwrap().starts_with("<svg"));
    let text = String::from_utf8(berth(folder.path(), &["describe", "in.csv"]).stdout).unwrap();
    assert!(text.contains("pods        3, 1 of them past the end\n"), "{text}");
}

#[test]
fn a_trace_is_not_written_over_itself_and_a_broken_one_is_refused() {
    let folder = folder(&[("in.csv", TRACE), ("bad.csv", "name,workload\na,b\n")]);
    let done = berth(folder.path(), &["convert", "in.csv", "in.csv"]);
    assert_eq!(done.status.code(), Some(2));
    let done = berth(folder.path(), &["describe", "bad.csv", "--format", "csv"]);
    assert_eq!(done.status.code(), Some(2));
    let error = String::from_utf8(done.stderr).unwrap();
    assert!(error.contains("bad.csv: line 1: the column submit_s is missing"), "{error}");
}
