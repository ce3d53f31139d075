//! SimKube's example files, where the shared data is.

use std::path::PathBuf;

use serde_json::Value;

use crate::berth;

/// What `berth trace describe` says of an example, or `None` with a notice.
fn described(file: &str) -> Option<(Value, String)> {
    let data = std::env::var_os("BERTH_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let folder = data.join("traces/simkube");
    if !folder.join(file).exists() {
        println!("skipped: there is no traces/simkube/{file} in the data folder (BERTH_DATA)");
        return None;
    }
    let run = |arguments: &[&str]| {
        let done = berth(&folder, arguments);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let told = serde_json::from_str(&run(&["describe", file, "--output", "json"])).unwrap();
    Some((told, run(&["describe", file])))
}

#[test]
fn bare_pods_live_as_they_were_recorded() {
    let Some((told, text)) = described("bare-pods.sktrace") else { return };
    assert!(text.starts_with("format      sktrace\n"), "{text}");
    assert_eq!((&told["pods"], &told["openEnded"]), (&Value::from(4), &Value::from(1)));
    // From when they were made to when they had ended.
    assert_eq!(told["lifetimeSeconds"]["max"], 31.0);
    assert_eq!(told["lifetimeSeconds"]["min"], 12.0);
    assert_eq!(told["lastSeconds"], 162.0);
}

#[test]
fn the_pods_of_a_cron_job_come_when_they_ran() {
    let Some((told, _)) = described("cronjob.sktrace") else { return };
    assert_eq!((&told["pods"], &told["workloads"]), (&Value::from(3), &Value::from(1)));
    assert_eq!(told["lifetimeSeconds"]["min"], 30.0);
    assert_eq!((&told["firstSeconds"], &told["lastSeconds"]), (&38.0.into(), &188.0.into()));
}

#[test]
fn deployments_scale_as_they_did() {
    let Some((told, text)) = described("dsb-scaling.sktrace") else { return };
    assert_eq!(told["workloads"], 27);
    // 27 at the start, and each step up adds.
    assert_eq!(told["pods"], 27 + 2 + 1 + 3 + 1 + 1 + 2 + 1 + 2 + 2 + 2 + 2 + 4 + 2 + 2);
    assert_eq!(told["cpu"]["p50"], 1.0);
    assert!(!text.contains("left out"), "{text}");
}
