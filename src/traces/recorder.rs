//! A cluster's events as a trace.

use std::collections::HashMap;
use std::sync::Arc;

use berth_simulations::trace::{TraceRecord, TraceShape};
use berth_solver::model::{Change, ClusterEvent, Name, Owner, Pod, PodKey, PodShape, Timestamp};

use super::Names;
use super::shape::trace_shape;

/// Controllers that put a dash and something of their own behind their own names.
const NAMES_ITS_PODS: [&str; 4] = ["ReplicaSet", "StatefulSet", "Job", "ReplicationController"];

/// Turns what happens to pods into records. A pod comes when it was created, starts when it is seen
/// on a node, and leaves when it has ended or is gone, whichever is seen first. Pods that come with their nodes (of DaemonSets,
/// static ones) are left out: a replay makes its own.
#[derive(Debug)]
pub struct Recorder {
    start: Timestamp,
    names: Names,
    alive: HashMap<PodKey, Alive>,
    over: Vec<TraceRecord>,
    /// Pods of one shape share it, and so do what a trace says of them.
    shapes: HashMap<Arc<PodShape>, (TraceShape, bool)>,
    with_more_rules: u64,
}

/// A pod that is there.
#[derive(Debug)]
struct Alive {
    uid: Name,
    /// Whether it has no node yet.
    waits: bool,
    record: TraceRecord,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// In the order of their times.
    pub records: Vec<TraceRecord>,
    /// How many pods have rules that a trace cannot say.
    pub with_more_rules: u64,
}

impl Recorder {
    /// The trace's time begins at `start`.
    pub fn new(start: Timestamp, names: Names) -> Self {
        let (alive, over, shapes) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { start, names, alive, over, shapes, with_more_rules: 0 }
    }

    /// How many pods there were so far.
    pub fn len(&self) -> usize {
        self.alive.len() + self.over.len()
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Something happened at `now`.
    pub fn take(&mut self, event: &ClusterEvent, now: Timestamp) {
        let ClusterEvent::Pod(change) = event else { return };
        match change {
            Change::Applied(pod) => self.see(pod, now),
            Change::Deleted(key) => self.end(key, now),
            Change::Replaced(pods) => {
                let there: std::collections::HashSet<&PodKey> =
                    pods.iter().map(|pod| &pod.key).collect();
                let gone: Vec<PodKey> =
                    self.alive.keys().filter(|key| !there.contains(key)).cloned().collect();
                for key in gone {
                    self.end(&key, now);
                }
                for pod in pods {
                    self.see(pod, now);
                }
            }
        }
    }

    fn see(&mut self, pod: &Pod, now: Timestamp) {
        if self.alive.get(&pod.key).is_some_and(|known| known.uid != pod.uid) {
            self.end(&pod.key, now);
        }
        if !pod.is_alive() {
            return self.end(&pod.key, now);
        }
        if pod.belongs_to_node() {
            return;
        }
        let (moment, waits) = (self.moment(now), pod.node.is_none());
        if let Some(known) = self.alive.get_mut(&pod.key) {
            if known.waits && !waits {
                (known.waits, known.record.start) = (false, Some(moment));
            }
            return;
        }
        let (shape, is_all) = self
            .shapes
            .entry(Arc::clone(&pod.shape))
            .or_insert_with_key(|shape| trace_shape(shape))
            .clone();
        self.with_more_rules += u64::from(!is_all);
        let namespace = self.names.of(&pod.key.namespace);
        let record = TraceRecord {
            name: self.names.of_pod(&namespace, &pod.key.name),
            workload: self.names.of(&workload(pod)),
            namespace,
            submit: self.moment(pod.created.min(now)),
            // One that was there before has run for nobody knows how long.
            start: (!waits && moment > Timestamp::default()).then_some(moment),
            end: None,
            shape,
        };
        self.alive.insert(pod.key.clone(), Alive { uid: pod.uid.clone(), waits, record });
    }

    fn end(&mut self, key: &PodKey, now: Timestamp) {
        if let Some(Alive { record, .. }) = self.alive.remove(key) {
            let end = Some(self.moment(now).max(record.submit).max(Timestamp::default()));
            self.over.push(TraceRecord { end, ..record });
        }
    }

    /// In the trace's time.
    fn moment(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.as_millis().saturating_sub(self.start.as_millis()))
    }

    /// All of it; pods that are there still run on past the end.
    pub fn finish(self) -> Recording {
        let mut records = self.over;
        records.extend(self.alive.into_values().map(|alive| alive.record));
        let by = |one: &TraceRecord| (one.submit, one.namespace.clone(), one.name.clone());
        records.sort_by_cached_key(by);
        Recording { records, with_more_rules: self.with_more_rules }
    }
}

/// What a pod belongs to: its controller's name where that can be told from the pod's, its UID
/// otherwise; the pod itself if nobody made it.
fn workload(pod: &Pod) -> Name {
    match &pod.owner {
        Owner::Controller(kind, uid) => match pod.key.name.rsplit_once('-') {
            Some((name, _)) if NAMES_ITS_PODS.contains(&&**kind) && !name.is_empty() => name.into(),
            _ => uid.clone(),
        },
        _ => pod.key.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use berth_solver::model::{MilliCpu, PodPhase, Resources};

    use super::super::Salt;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn pod(name: &str, uid: &str, owner: Owner, created: i64) -> Pod {
        let requests = Resources::new(MilliCpu(500), berth_solver::model::Bytes(512 << 20));
        let shape = Arc::new(PodShape::plain("shop".into(), requests));
        let key = PodKey { namespace: "shop".into(), name: name.into() };
        Pod { owner, ..Pod::waiting(key, uid.into(), shape, at(created)) }
    }

    fn web(name: &str, uid: &str, created: i64) -> Pod {
        pod(name, uid, Owner::Controller("ReplicaSet".into(), "rs-uid".into()), created)
    }

    fn applied(pod: Pod) -> ClusterEvent {
        ClusterEvent::Pod(Change::Applied(pod))
    }

    fn deleted(pod: &Pod) -> ClusterEvent {
        ClusterEvent::Pod(Change::Deleted(pod.key.clone()))
    }

    /// Workload, name, from, to, in milliseconds.
    type Row = (String, String, i64, Option<i64>);

    fn rows(recorder: Recorder) -> Vec<Row> {
        let row = |one: TraceRecord| {
            let end = one.end.map(Timestamp::as_millis);
            (one.workload.to_string(), one.name.to_string(), one.submit.as_millis(), end)
        };
        recorder.finish().records.into_iter().map(row).collect()
    }

    fn row(workload: &str, name: &str, submit: i64, end: Option<i64>) -> Row {
        (workload.to_owned(), name.to_owned(), submit * 1_000, end.map(|end| end * 1_000))
    }

    #[test]
    fn pods_come_when_they_were_created_and_leave_when_they_have_ended_or_are_gone() {
        let mut recorder = Recorder::new(at(1_000), Names::plain());
        let (old, lone) = (web("web-6f-a", "1", 400), pod("lone", "2", Owner::None, 990));
        let there = ClusterEvent::Pod(Change::list([old.clone(), lone.clone()]));
        recorder.take(&there, at(1_000));
        let new = web("web-6f-b", "3", 1_010);
        recorder.take(&applied(new.clone()), at(1_011));
        recorder.take(&applied(Pod { phase: PodPhase::Running, ..new }), at(1_020));
        // Ended and then deleted: it has left when it ended.
        let done = Pod { phase: PodPhase::Ended, ..lone };
        recorder.take(&applied(done.clone()), at(1_030));
        recorder.take(&deleted(&done), at(1_090));
        recorder.take(&deleted(&old), at(1_060));
        // Of an operator's kind, which may call its pods as it likes; and clocks that differ.
        let owner = Owner::Controller("Cluster".into(), "uid-9".into());
        recorder.take(&applied(pod("pg-1", "4", owner, 1_200)), at(1_100));
        assert_eq!(
            rows(recorder),
            [
                row("web-6f", "web-6f-a", -600, Some(60)),
                row("lone", "lone", -10, Some(30)),
                row("web-6f", "web-6f-b", 10, None),
                row("uid-9", "pg-1", 100, None),
            ]
        );
    }

    #[test]
    fn a_pod_starts_when_it_is_first_seen_on_a_node() {
        let on_node = |pod: Pod| Pod { node: Some("n".into()), ..pod };
        let mut recorder = Recorder::new(at(1_000), Names::plain());
        let (old, waits) = (on_node(web("web-6f-a", "1", 400)), web("web-6f-b", "2", 990));
        recorder.take(&ClusterEvent::Pod(Change::list([old.clone(), waits.clone()])), at(1_000));
        for seen in [1_020, 1_030] {
            recorder.take(&applied(Pod { phase: PodPhase::Running, ..old.clone() }), at(seen));
            recorder.take(&applied(on_node(waits.clone())), at(seen));
        }
        recorder.take(&applied(on_node(web("web-6f-c", "3", 1_040))), at(1_041));
        let starts = recorder.finish().records.into_iter().map(|one| one.start);
        let starts: Vec<_> = starts.map(|start| start.map(Timestamp::as_millis)).collect();
        assert_eq!(starts, [None, Some(20_000), Some(41_000)]);
    }

    #[test]
    fn a_name_that_comes_again_is_another_pod() {
        let db = |uid: &str, created| {
            pod("db-0", uid, Owner::Controller("StatefulSet".into(), "s".into()), created)
        };
        let mut recorder = Recorder::new(at(0), Names::plain());
        recorder.take(&applied(db("1", 5)), at(5));
        // The deletion was missed: a new list has the next one already.
        recorder.take(&ClusterEvent::Pod(Change::list([db("2", 9)])), at(12));
        // And then nobody.
        recorder.take(&ClusterEvent::Pod(Change::Replaced(Vec::new())), at(20));
        assert_eq!(
            rows(recorder),
            [row("db", "db-0", 5, Some(12)), row("db", "db-0.2", 9, Some(20))]
        );
    }

    #[test]
    fn pods_that_come_with_their_nodes_and_those_that_have_ended_are_left_out() {
        let mut recorder = Recorder::new(at(0), Names::plain());
        recorder.take(&applied(pod("agent-x", "1", Owner::DaemonSet("d".into()), 1)), at(1));
        recorder.take(&applied(pod("etcd-n", "2", Owner::Node, 1)), at(1));
        let ended = Pod { phase: PodPhase::Ended, ..pod("old", "3", Owner::None, 1) };
        recorder.take(&applied(ended), at(2));
        assert!(recorder.is_empty());
        assert_eq!(rows(recorder), []);
    }

    #[test]
    fn hashed_names_keep_workloads_together_and_say_nothing() {
        let mut recorder = Recorder::new(at(0), Names::hashed(Salt::new(&[7; 32])));
        recorder.take(&applied(web("web-6f-a", "1", 1)), at(1));
        recorder.take(&applied(web("web-6f-b", "2", 2)), at(2));
        let recorded = recorder.finish().records;
        let [one, other] = recorded.as_slice() else { panic!("{recorded:?}") };
        assert_eq!((&one.workload, &one.namespace), (&other.workload, &other.namespace));
        assert_ne!(one.name, other.name);
        let text = format!("{recorded:?}");
        assert!(!text.contains("web") && !text.contains("shop"), "{text}");
    }
}
