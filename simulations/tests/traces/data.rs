//! The shared traces, where they are there.

use std::path::PathBuf;

use berth_simulations::trace::{Format, Shapes, TraceRecord, snapshots};

use crate::all;

/// The records of a shared trace, or `None` with a notice.
fn trace(file: &str, format: Format) -> Option<Vec<TraceRecord>> {
    let folder = std::env::var_os("BERTH_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join("traces").join(file);
    if !path.exists() {
        println!("skipped: there is no traces/{file} in the data folder (BERTH_DATA)");
        return None;
    }
    assert_eq!(Format::recognise(&path), Ok(format));
    Some(all(format.open(&path, 1)).unwrap())
}

#[test]
fn azure_is_read_whole() {
    let Some(records) = trace("azure-v1/v1.dev.txt", Format::AzureV1) else { return };
    assert_eq!(records.len(), 259_159);
    assert_eq!(records.iter().filter(|one| one.end.is_none()).count(), 14_317);
    let batches: std::collections::BTreeSet<_> = records.iter().map(|one| &one.workload).collect();
    assert_eq!(batches.len(), 53_109);
    assert_eq!(records.last().unwrap().submit.as_millis(), 299_700_000);
    let mut lives: Vec<u64> =
        records.iter().filter_map(|one| Some(one.lifetime()?.as_secs())).collect();
    lives.sort_unstable();
    assert_eq!(lives[lives.len() / 2], 1_500);
    let moments = snapshots(&records, 20);
    assert_eq!(moments.len(), 20);
    assert!(moments.iter().all(|moment| moment.alive.len() > 1_000));
    let mut shapes = Shapes::new();
    for record in &records {
        shapes.shape(record);
    }
    assert_eq!(shapes.len(), 16);
}

#[test]
fn openb_is_read_whole() {
    for (file, pods) in [
        ("openb/openb_pod_list_default.csv", 8_152),
        ("openb/openb_pod_list_cpu200.csv", 8_832),
        ("openb/openb_pod_list_gpushare40.csv", 8_152),
    ] {
        let Some(records) = trace(file, Format::Openb) else { return };
        assert_eq!(records.len(), pods, "{file}");
        assert!(records.iter().all(|one| one.end.is_some_and(|end| end >= one.submit)), "{file}");
    }
}
