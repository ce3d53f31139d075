//! Recorded clusters.

use std::path::{Path, PathBuf};

use berth_simulations::trace::{Format, TraceRecord};

/// The pods of a trace: a file, or the first list of pods (a CSV) of a folder; `None`, with a
/// notice, if it is not there.
pub fn records(path: &Path, seed: u64) -> Option<Vec<TraceRecord>> {
    let file = if path.is_dir() {
        let files = std::fs::read_dir(path).expect("a folder").map(|one| one.expect("one").path());
        let mut lists: Vec<PathBuf> = files
            .filter(|file| file.to_string_lossy().contains("pod"))
            .filter(|file| file.extension().is_some_and(|kind| kind == "csv"))
            .collect();
        lists.sort();
        lists.into_iter().next()?
    } else {
        path.to_owned()
    };
    if !file.exists() {
        println!("left out: there is no {}", file.display());
        return None;
    }
    let format = Format::recognise(&file).expect("a known format");
    let records = format.open(&file, seed).expect("a trace");
    Some(records.map(|record| record.expect("a record")).collect())
}
