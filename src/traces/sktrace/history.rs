//! What became of each object, and the pods that follow from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use berth_simulations::trace::{TraceRecord, TraceShape};
use berth_solver::model::{Change, ClusterEvent, Name, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Reading;
use crate::cache::Kind;
use crate::traces::Names;
use crate::traces::shape::trace_shape;
use crate::watch::{self, Interner};

/// More pods of one object are a slip of the pen.
const MOST_REPLICAS: u64 = 1_000_000;
/// What kinds' pods are made from, where the file does not say.
const TEMPLATE: &str = "/spec/template";
const TEMPLATE_OF_CRON_JOBS: &str = "/spec/jobTemplate/spec/template";
const POD: &str = "v1.Pod";

/// Who makes pods: `group/version.Kind` and `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
}

/// The life of a pod, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Lifecycle {
    /// It never ran.
    Empty,
    /// Since then, and still at the end.
    Running(i64),
    /// From, to.
    Finished(i64, i64),
}

impl Lifecycle {
    /// Whether it ends after it began, and before `latest`.
    pub(super) fn is_possible(&self, latest: i64) -> bool {
        match *self {
            Self::Empty => true,
            Self::Running(start) => (0..latest).contains(&start),
            Self::Finished(start, end) => 0 <= start && start <= end && end < latest,
        }
    }
}

/// What an object was from some moment on.
#[derive(Clone, Debug)]
enum State {
    /// It wants so many pods of that shape; `None`: nobody knows how many.
    Wants(Option<u64>, Arc<Shape>),
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    shape: TraceShape,
    /// Whether that is all that the pod asks for.
    is_all: bool,
}

/// Everything of a file.
#[derive(Debug, Default)]
pub(super) struct History {
    templates: HashMap<String, String>,
    objects: BTreeMap<Owner, Vec<(i64, State)>>,
    lives: BTreeMap<Owner, Vec<Lifecycle>>,
    start: Option<i64>,
    interner: Interner,
}

impl History {
    /// Where kinds keep the templates of their pods.
    pub(super) fn configure(&mut self, templates: impl Iterator<Item = (String, String)>) {
        self.templates.extend(templates);
    }

    /// There was an event.
    pub(super) fn saw(&mut self, at: i64) {
        self.start.get_or_insert(at);
    }

    pub(super) fn applied(&mut self, at: i64, object: Value) -> Result<(), String> {
        let owner = owner(&object)?;
        let refuse = |problem: String| format!("{} {}: {problem}", owner.kind, owner.name);
        let path = self.template_of(&owner.kind);
        let template = object.pointer(&path).filter(|template| template.is_object());
        let Some(template) = template else {
            return Err(refuse(format!("{path} is missing: expected a pod's template")));
        };
        let wanted = wanted(&owner.kind, &object).map_err(refuse)?;
        let shape = Arc::new(self.shape(&owner, template).map_err(refuse)?);
        let states = self.objects.entry(owner).or_default();
        // Objects that are applied again and again mostly change in what does not matter here.
        let same = match states.last() {
            Some((_, State::Wants(before, old))) => *before == wanted && *old == shape,
            _ => false,
        };
        if !same {
            states.push((at, State::Wants(wanted, shape)));
        }
        Ok(())
    }

    pub(super) fn deleted(&mut self, at: i64, object: &Value) -> Result<(), String> {
        if let Some(states) = self.objects.get_mut(&owner(object)?) {
            states.push((at, State::Gone));
        }
        Ok(())
    }

    pub(super) fn lived(&mut self, owner: Owner, lives: Vec<Lifecycle>) {
        self.lives.insert(owner, lives);
    }

    fn template_of(&self, kind: &str) -> String {
        let known = match kind {
            POD => "",
            "batch/v1.CronJob" => TEMPLATE_OF_CRON_JOBS,
            _ => self.templates.get(kind).map_or(TEMPLATE, String::as_str),
        };
        known.to_owned()
    }

    fn shape(&self, owner: &Owner, template: &Value) -> Result<Shape, String> {
        let (namespace, name) = owner.parts();
        let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
        metadata.insert("name".to_owned(), name.into());
        metadata.insert("namespace".to_owned(), namespace.into());
        let pod = json!({ "metadata": metadata, "spec": template["spec"] });
        match watch::applied(Kind::Pod, pod, &self.interner)? {
            ClusterEvent::Pod(Change::Applied(pod)) => match &pod.defect {
                Some(defect) => Err(defect.to_string()),
                None => {
                    let (shape, is_all) = trace_shape(&pod.shape);
                    Ok(Shape { shape, is_all })
                }
            },
            _ => Err("is no pod".to_owned()),
        }
    }

    /// The pods, in the order of their times.
    pub(super) fn pods(self) -> Reading {
        let mut making = Making {
            start: self.start.unwrap_or_default(),
            names: Names::plain(),
            reading: Reading::default(),
        };
        for (owner, states) in &self.objects {
            match self.lives.get(owner) {
                Some(lives) => making.as_they_lived(owner, states, lives),
                None => making.as_wanted(owner, states),
            }
        }
        let unknown = self.lives.keys().filter(|owner| !self.objects.contains_key(owner));
        for owner in unknown {
            making.leave_out(owner);
        }
        let mut reading = making.reading;
        let by = |one: &TraceRecord| (one.submit, one.namespace.clone(), one.name.clone());
        reading.records.sort_by_cached_key(by);
        reading
    }
}

impl Owner {
    fn parts(&self) -> (&str, &str) {
        self.name.split_once('/').unwrap_or(("default", &self.name))
    }
}

fn owner(object: &Value) -> Result<Owner, String> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    if version.is_empty() || kind.is_empty() || name.is_empty() {
        return Err(format!(
            "an object has apiVersion {version:?}, kind {kind:?} and name {name:?}: none may be empty"
        ));
    }
    let namespace = match text("/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    };
    Ok(Owner { kind: format!("{version}.{kind}"), name: format!("{namespace}/{name}") })
}

/// How many pods an object wants at a time, if it says so.
fn wanted(kind: &str, object: &Value) -> Result<Option<u64>, String> {
    let number = |path: &str| match object.pointer(path).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match value.as_u64().filter(|number| *number <= MOST_REPLICAS) {
            Some(number) => Ok(Some(number)),
            None => Err(format!(
                "{} is {value}: no number from 0 to {MOST_REPLICAS}",
                path.trim_start_matches('/').replace('/', ".")
            )),
        },
    };
    match kind {
        POD => Ok(Some(1)),
        "batch/v1.CronJob" | "apps/v1.DaemonSet" => Ok(None),
        "batch/v1.Job" => {
            let at_once = number("/spec/parallelism")?.unwrap_or(1);
            Ok(Some(number("/spec/completions")?.map_or(at_once, |all| all.min(at_once))))
        }
        "apps/v1.Deployment" | "apps/v1.StatefulSet" | "apps/v1.ReplicaSet" => {
            Ok(Some(number("/spec/replicas")?.unwrap_or(1)))
        }
        _ => number("/spec/replicas"),
    }
}

/// Records, while they are made.
struct Making {
    start: i64,
    names: Names,
    reading: Reading,
}

/// A pod that is there: since when, and what it asks for.
type Present = (i64, Arc<Shape>);

impl Making {
    /// As its pods were recorded.
    fn as_they_lived(&mut self, owner: &Owner, states: &[(i64, State)], lives: &[Lifecycle]) {
        let applied = states.first().map_or(self.start, |(at, _)| *at);
        for life in lives {
            let (mut from, to) = match *life {
                Lifecycle::Empty => (applied, None),
                Lifecycle::Running(from) => (from, None),
                Lifecycle::Finished(from, to) => (from, Some(to)),
            };
            let shape = states.iter().filter_map(|(at, state)| match state {
                State::Wants(_, shape) => Some((*at, shape)),
                State::Gone => None,
            });
            // What was asked for when it began, or first.
            let began = |(at, _): &(i64, &Arc<Shape>)| *at <= from;
            let shape = shape.clone().rfind(began).or_else(|| shape.clone().next());
            let Some((_, shape)) = shape else { continue };
            let gone =
                states.iter().find(|(at, state)| *at >= from && matches!(state, State::Gone));
            let to = to.or(gone.map(|(at, _)| *at));
            if owner.kind == POD {
                from = from.min(applied);
            }
            self.add(owner, &(from, Arc::clone(shape)), to);
        }
    }

    /// As many as it wanted.
    fn as_wanted(&mut self, owner: &Owner, states: &[(i64, State)]) {
        let mut present: Vec<Present> = Vec::new();
        for (at, state) in states {
            let (count, shape) = match state {
                State::Gone => (0, None),
                State::Wants(None, _) => {
                    self.leave_out(owner);
                    return;
                }
                State::Wants(Some(count), shape) => (*count, Some(shape)),
            };
            let changed = present.iter().any(|(_, before)| Some(before) != shape);
            let stay = if changed { 0 } else { usize::try_from(count).unwrap_or(usize::MAX) };
            for pod in present.drain(stay.min(present.len())..).collect::<Vec<_>>() {
                self.add(owner, &pod, Some(*at));
            }
            if let Some(shape) = shape {
                let missing = count.saturating_sub(present.len() as u64);
                present.extend((0..missing).map(|_| (*at, Arc::clone(shape))));
            }
        }
        for pod in present {
            self.add(owner, &pod, None);
        }
    }

    fn add(&mut self, owner: &Owner, (from, shape): &Present, to: Option<i64>) {
        let moment = |at: i64| Timestamp::from_seconds(at - self.start);
        let (submit, end) = (moment(*from), to.map(moment));
        if end.is_some_and(|end| end < Timestamp::default()) {
            return;
        }
        let (namespace, name) = owner.parts();
        let (namespace, workload) = (Name::from(namespace), Name::from(name));
        self.reading.with_more_rules += u64::from(!shape.is_all);
        self.reading.records.push(TraceRecord {
            name: self.names.of_pod(&namespace, &workload),
            namespace,
            workload,
            submit,
            start: None,
            end,
            shape: shape.shape.clone(),
        });
    }

    fn leave_out(&mut self, owner: &Owner) {
        *self.reading.left_out.entry(owner.kind.clone()).or_default() += 1;
    }
}
