//! The scenarios of `simulations/scenarios`: the files are what the generator makes, and each
//! comes to the same figures as ever.
//!
//! `BERTH_WRITE_SCENARIOS=1 cargo test --test scenarios` writes the files anew;
//! `INSTA_UPDATE=always` takes new figures for golden ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

mod generate;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("simulations/scenarios")
}

#[test]
fn the_files_are_what_the_generator_makes() {
    let writes = std::env::var_os("BERTH_WRITE_SCENARIOS").is_some();
    for scenario in generate::all() {
        for (file, text) in [("trace.csv", &scenario.trace), ("settings.yaml", &scenario.settings)]
        {
            let path = folder().join(scenario.name).join(file);
            if writes {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, text).unwrap();
            }
            let there = std::fs::read_to_string(&path).unwrap();
            assert!(there == *text, "{} is not as it is generated", path.display());
        }
    }
}

/// The summary, without what depends on the machine, to four digits.
fn summary(name: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["simulate", "--policy", "all", "--seed", "1", "--output", "json"])
        .args(["--catalog", "catalog.csv"])
        .args(["--trace", &format!("{name}/trace.csv")])
        .args(["--settings", &format!("{name}/settings.yaml")])
        .current_dir(folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    for policy in summary["policies"].as_array_mut().unwrap() {
        policy.as_object_mut().unwrap().remove("wallSeconds");
        round(policy);
    }
    summary
}

fn round(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(round),
        Value::Number(number) if number.is_f64() => {
            let rounded = (number.as_f64().unwrap() * 1e4).round() / 1e4;
            *value = Value::from(rounded);
        }
        _ => {}
    }
}

macro_rules! golden {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                insta::assert_json_snapshot!($name, summary($name));
            }
        )*

        #[test]
        fn every_scenario_has_golden_figures() {
            let tested = [$($name),*];
            let generated: Vec<&str> =
                generate::all().iter().map(|scenario| scenario.name).collect();
            assert_eq!(tested.to_vec(), generated);
        }
    };
}

golden! {
    a_burst: "burst",
    a_day: "diurnal",
    a_night_of_batch_jobs: "batch-night",
    a_rolling_update: "rolling-update",
    a_zone_that_is_lost: "zone-outage",
    a_storm_that_takes_spot_machines: "spot-storm",
    a_change_of_prices: "price-change",
    a_slow_cloud: "slow-cloud",
    a_crash_loop: "crash-loop",
    a_scale_to_zero: "scale-to-zero",
}
