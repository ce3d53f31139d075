use std::collections::BTreeMap;
use std::io::Cursor;

use serde::Serialize;
use serde_json::{Value, json};

use super::*;

/// A file as SimKube writes it: `rmp_serde::to_vec_named` of this.
#[derive(Serialize)]
struct Trace {
    version: u16,
    config: Value,
    events: Vec<Value>,
    index: BTreeMap<String, BTreeMap<String, u64>>,
    pod_lifecycles: BTreeMap<(String, String), BTreeMap<u64, Vec<Life>>>,
}

#[derive(Clone, Copy, Serialize)]
enum Life {
    Empty,
    Running(i64),
    Finished(i64, i64),
}

fn trace(events: Vec<Value>) -> Trace {
    let tracked = json!({
        "apps/v1.Deployment": { "podSpecTemplatePaths": ["/spec/template"], "trackLifecycle": false },
        "example.com/v1.Farm": { "podSpecTemplatePaths": ["/spec/worker"], "trackLifecycle": true },
    });
    Trace {
        version: 2,
        config: json!({ "trackedObjects": tracked }),
        events,
        index: BTreeMap::from([(
            "apps/v1.Deployment".to_owned(),
            BTreeMap::from([("a".to_owned(), 1)]),
        )]),
        pod_lifecycles: BTreeMap::new(),
    }
}

impl Trace {
    fn with_lives(mut self, kind: &str, name: &str, lives: &[Life]) -> Self {
        let lives = BTreeMap::from([(7, lives.to_vec())]);
        self.pod_lifecycles.insert((kind.to_owned(), name.to_owned()), lives);
        self
    }
}

fn read_bytes(bytes: &[u8]) -> Result<Reading, String> {
    document::read(Cursor::new(bytes)).map(history::History::pods)
}

fn read(trace: &Trace) -> Result<Reading, String> {
    read_bytes(&rmp_serde::to_vec_named(trace).unwrap())
}

fn template(cpu: &str) -> Value {
    let requests = json!({ "cpu": cpu, "memory": "1Gi" });
    json!({
        "metadata": { "creationTimestamp": null, "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "main", "resources": { "requests": requests } }] },
    })
}

fn object(version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": { "namespace": "shop", "name": name },
        "spec": spec,
    })
}

fn deployment(replicas: u32, cpu: &str) -> Value {
    let spec = json!({ "replicas": replicas, "template": template(cpu) });
    object("apps/v1", "Deployment", "web", spec)
}

fn event(ts: i64, applied: &[Value], deleted: &[Value]) -> Value {
    json!({ "ts": ts, "applied_objs": applied, "deleted_objs": deleted })
}

/// Name, CPU, from, to, in seconds.
fn rows(reading: &Reading) -> Vec<(String, i64, i64, Option<i64>)> {
    let seconds = |at: berth_solver::model::Timestamp| at.as_millis() / 1_000;
    let row = |one: &TraceRecord| {
        let (from, to) = (seconds(one.submit), one.end.map(seconds));
        (one.name.to_string(), one.shape.cpu_milli, from, to)
    };
    reading.records.iter().map(row).collect()
}

fn row(name: &str, cpu: i64, from: i64, to: Option<i64>) -> (String, i64, i64, Option<i64>) {
    (name.to_owned(), cpu, from, to)
}

#[test]
fn replicas_come_and_go_and_another_template_replaces_them() {
    let reading = read(&trace(vec![
        event(1_000, &[deployment(1, "500m")], &[]),
        event(1_010, &[deployment(3, "500m")], &[]),
        event(1_020, &[deployment(2, "500m")], &[]),
        event(1_030, &[deployment(2, "1")], &[]),
        event(1_040, &[], &[deployment(2, "1")]),
    ]))
    .unwrap();
    assert_eq!(
        rows(&reading),
        [
            row("web.2", 500, 0, Some(30)),
            row("web", 500, 10, Some(20)),
            row("web.3", 500, 10, Some(30)),
            row("web.4", 1_000, 30, Some(40)),
            row("web.5", 1_000, 30, Some(40)),
        ]
    );
    let first = &reading.records[0];
    assert_eq!(
        (&*first.namespace, &*first.workload, first.shape.memory_mib),
        ("shop", "web", 1_024)
    );
    assert_eq!((reading.with_more_rules, reading.left_out.len()), (0, 0));
}

#[test]
fn recorded_pods_come_and_go_as_they_did() {
    let farm = object("example.com/v1", "Farm", "farm", json!({ "worker": template("2") }));
    let spec = template("250m")["spec"].clone();
    let lone = object("v1", "Pod", "lone", spec);
    let lives =
        [Life::Finished(990, 1_005), Life::Running(1_002), Life::Empty, Life::Finished(1, 9)];
    let recorded = trace(vec![
        event(1_000, std::slice::from_ref(&farm), &[]),
        event(1_001, &[lone], &[]),
        event(1_050, &[], &[farm]),
    ])
    .with_lives("example.com/v1.Farm", "shop/farm", &lives)
    .with_lives("v1.Pod", "shop/lone", &[Life::Finished(1_003, 1_033)]);
    assert_eq!(
        rows(&read(&recorded).unwrap()),
        [
            row("farm.3", 2_000, -10, Some(5)),
            row("farm", 2_000, 0, Some(50)),
            row("lone", 250, 1, Some(33)),
            row("farm.2", 2_000, 2, Some(50)),
        ]
    );
}

#[test]
fn what_makes_pods_in_an_unknown_way_is_counted() {
    let cron = |name| {
        let job = json!({ "spec": { "template": template("1") } });
        object("batch/v1", "CronJob", name, json!({ "jobTemplate": job }))
    };
    let reading = read(&trace(vec![event(5, &[cron("a"), cron("b")], &[])])).unwrap();
    assert_eq!(reading.records, []);
    assert_eq!(reading.left_out, BTreeMap::from([("batch/v1.CronJob".to_owned(), 2)]));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let refused = |trace: &Trace| read(trace).unwrap_err();
    let backwards = refused(&trace(vec![event(10, &[], &[]), event(9, &[], &[])]));
    assert!(backwards.contains("event 2: ts is 9, after 10"), "{backwards}");
    let quantity = refused(&trace(vec![event(1, &[deployment(1, "many")], &[])]));
    assert!(quantity.contains("event 1: apps/v1.Deployment shop/web: "), "{quantity}");
    assert!(quantity.contains("many"), "{quantity}");
    let mut negative = deployment(1, "1");
    negative["spec"]["replicas"] = json!(-1);
    let negative = refused(&trace(vec![event(1, &[negative], &[])]));
    assert!(negative.contains("spec.replicas is -1"), "{negative}");
    let life = trace(Vec::new()).with_lives("v1.Pod", "a/b", &[Life::Finished(9, 8)]);
    assert!(refused(&life).contains("pods of v1.Pod a/b: Finished(9, 8) is no life"));
    let old = refused(&Trace { version: 1, ..trace(Vec::new()) });
    assert!(old.contains("version is 1") && old.ends_with("SimKube, version 2"), "{old}");
}

#[test]
fn a_file_that_is_cut_off_or_goes_on_is_refused_wherever_it_is_cut() {
    let whole = trace(vec![event(1, &[deployment(1, "1")], &[])]).with_lives(
        "v1.Pod",
        "a/b",
        &[Life::Running(3)],
    );
    let bytes = rmp_serde::to_vec_named(&whole).unwrap();
    assert!(read_bytes(&bytes).is_ok());
    for length in 0..bytes.len() {
        let refused = read_bytes(&bytes[..length]).unwrap_err();
        assert!(refused.contains("at byte "), "{length}: {refused}");
        assert_eq!(refused.lines().count(), 1, "{length}: {refused}");
    }
    let more = read_bytes(&[&bytes[..], b"x"].concat()).unwrap_err();
    assert!(more.contains("goes on after its end"), "{more}");
}

#[test]
fn lengths_that_are_lies_take_no_memory() {
    // A map whose first key says that it is 4 GiB long, a list of 4 billion events, and a text
    // without an end.
    let key = read_bytes(b"\x85\xdb\xff\xff\xff\xff").unwrap_err();
    assert!(key.contains("is cut off"), "{key}");
    let list = read_bytes(b"\x81\xa6events\xdd\xff\xff\xff\xff").unwrap_err();
    assert!(list.contains("is cut off"), "{list}");
    let start = Cursor::new(b"\x81\xa6events\x91\x81\xa1x\xdb\xff\xff\xff\xff".to_vec());
    let endless = std::io::BufReader::new(std::io::Read::chain(start, std::io::repeat(b'x')));
    let endless = document::read(endless).map(|_| ()).unwrap_err();
    assert!(endless.contains("a part has over 64 MiB"), "{endless}");
}
