use std::fs;
use std::path::PathBuf;

use berth_simulations::trace::TraceRecord;
use berth_simulations::trace::azure::Reader;
use tempfile::TempDir;

use crate::all;

const ARRIVALS: &str = "600 a,|,b,b,|\n900 a,|\n";
const LIFETIMES: &str = "600 U0,|,U2,C3,|\n900 U3,|\n";
const CLASSES: &str = "0 0\n300 1\n600 2\n900 3\n1200 3\n1500 3\n";
const FLAVOURS: &str = "1,0.75 a\n16,112 b\n";

/// The four files with one of them changed.
fn files(changes: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let written = [
        ("v1.dev.txt", ARRIVALS),
        ("v1.dev.c3000.txt", LIFETIMES),
        ("v1.interval_map.txt", CLASSES),
        ("flav_map.txt", FLAVOURS),
    ];
    for (name, text) in written {
        let changed = changes.iter().find(|(other, _)| *other == name);
        fs::write(folder.path().join(name), changed.map_or(text, |(_, text)| *text)).unwrap();
    }
    let path = folder.path().join("v1.dev.txt");
    (folder, path)
}

fn read(changes: &[(&str, &str)], seed: u64) -> Result<Vec<TraceRecord>, String> {
    let (folder, path) = files(changes);
    let prefix = format!("{}/", folder.path().display());
    all(Reader::open(&path, seed)).map_err(|error| error.replace(&prefix, ""))
}

#[test]
fn batches_are_workloads_and_lifetimes_lie_within_their_class() {
    let records = read(&[], 1).unwrap();
    let seen: Vec<(&str, &str, i64, i64, i64)> = records
        .iter()
        .map(|one| {
            let (cpu, memory) = (one.shape.cpu_milli, one.shape.memory_mib);
            (&*one.name, &*one.workload, one.submit.as_millis(), cpu, memory)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("batch-0-0", "batch-0", 0, 1_000, 768),
            ("batch-1-0", "batch-1", 0, 16_000, 114_688),
            ("batch-1-1", "batch-1", 0, 16_000, 114_688),
            ("batch-2-0", "batch-2", 300_000, 1_000, 768),
        ]
    );
    for seed in 0..200 {
        let records = read(&[], seed).unwrap();
        let lives: Vec<Option<u64>> =
            records.iter().map(|one| one.lifetime().map(|life| life.as_secs())).collect();
        assert!((1..300).contains(&lives[0].unwrap()), "{lives:?}");
        assert_eq!(lives[1], Some(600), "a class of one number is that number");
        assert_eq!(lives[2], None, "still there at the end");
        assert!((601..=1_500).contains(&lives[3].unwrap()), "{lives:?}");
        if seed < 2 {
            assert_eq!(read(&[], seed).unwrap(), records, "the seed says it all");
        }
    }
}

#[test]
fn who_was_seen_to_end_ends_before_the_observation_does() {
    for seed in 0..200 {
        let late =
            [("v1.dev.txt", "600 a,|\n2300 a,|\n"), ("v1.dev.c3000.txt", "600 U0,|\n2300 U3,|\n")];
        let life = read(&late, seed).unwrap()[1].lifetime().unwrap().as_secs();
        assert!((601..=700).contains(&life), "{life}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (file, text, expected) in [
        ("v1.dev.txt", "600 a,|,z,b,|\n", "v1.dev.txt: line 1, column 4: \"z\" is no flavour"),
        (
            "v1.dev.txt",
            "600 a,|,b,b\n",
            "v1.dev.c3000.txt: line 1: begins with 600 and has 5 words",
        ),
        ("v1.dev.txt", "600 a,|,b,|,|\n", "v1.dev.c3000.txt: line 1: \"C3\" stands beside \"|\""),
        ("v1.dev.txt", "600\n", "v1.dev.txt: line 1: is not understood: expected a time"),
        ("v1.dev.txt", "-600 a,|,b,b,|\n", "v1.dev.txt: line 1: is not understood"),
        ("v1.dev.txt", "9000 a,|,b,b,|\n", "v1.dev.txt: line 1, column 1: 9000 is not its time"),
        ("v1.dev.txt", "600 a,|,b,b,|\n", "v1.dev.c3000.txt: line 2: has a line more"),
        ("v1.dev.c3000.txt", "600 U0,|,U2,C3,|\n", "v1.dev.c3000.txt: line 2: has fewer lines"),
        (
            "v1.dev.c3000.txt",
            "600 X0,|,U2,C3,|\n",
            "v1.dev.c3000.txt: line 1, column 2: \"X0\" is no",
        ),
        (
            "v1.dev.c3000.txt",
            "600 U9,|,U2,C3,|\n",
            "v1.dev.c3000.txt: line 1, column 2: \"U9\" is no",
        ),
        ("v1.dev.c3000.txt", "900 U0,|,U2,C3,|\n", "v1.dev.c3000.txt: line 1: begins with 900"),
        ("v1.interval_map.txt", "x 1\n", "v1.interval_map.txt: line 1: is not understood"),
        ("flav_map.txt", "1 a\n", "flav_map.txt: line 1: is not understood"),
        ("flav_map.txt", "NaN,1 a\n", "flav_map.txt: line 1: is not understood"),
        ("flav_map.txt", "1,1 a\n2,2 a\n", "flav_map.txt: line 2: \"a\" is there already"),
    ] {
        let refused = read(&[(file, text)], 1).unwrap_err();
        assert!(refused.starts_with(expected), "{file} {text:?}: {refused}");
    }
}

#[test]
fn missing_lifetimes_are_named() {
    let (folder, path) = files(&[]);
    fs::remove_file(folder.path().join("v1.dev.c3000.txt")).unwrap();
    let refused = all(Reader::open(&path, 1)).unwrap_err();
    let expected = "there are 0 files of lifetimes beside it: expected one, v1.dev.cSECOND.txt";
    assert!(refused.contains(expected), "{refused}");
}
