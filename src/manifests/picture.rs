//! Objects as a picture of a cluster.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use berth_solver::model::{Change, ClusterEvent, NodePool, TemplateKind};
use serde_json::{Value, json};

use super::object::{Class, Object, Origin, Workload};
use super::priorities::Priorities;
use super::workloads::{self, Controlled};
use super::{ManifestError, Manifests, buffers, fill, nodes};
use crate::api;
use crate::cache::Kind;
use crate::watch::{self, Interner, reduce};

/// Labels every namespace with its name, as the API server does.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) fn of(objects: Vec<Object>, interner: &Interner) -> Result<Manifests, ManifestError> {
    let mut manifests = Manifests::default();
    let sorted = Sorted::of(objects, &mut manifests)?;
    let priorities = Priorities::of(&sorted.priority_classes)?;
    // The files hold all that there is.
    for kind in TemplateKind::ALL {
        manifests.cluster.apply(ClusterEvent::Template(kind, Change::Replaced(Vec::new())));
    }
    let mut controlled = Controlled::new();
    let mut buffers = Vec::new();
    for (kind, mut object) in sorted.watched {
        prepare(kind, &mut object, &priorities)?;
        if kind == Kind::Pod
            && takes_room(&object)
            && let Some(owner) = object.controller()
        {
            *controlled.entry(owner.to_owned()).or_default() += 1;
        }
        let event = watch::applied(kind, object.value.take(), interner)
            .map_err(|problem| object.error(problem))?;
        if let Some(defect) = defect(&event) {
            return Err(object.error(defect));
        }
        manifests.cluster.apply(event);
        if kind == Kind::CapacityBuffer {
            buffers.push(object);
        }
    }
    let cluster = &mut manifests.cluster;
    buffers::resolve(&buffers, &sorted.workloads, interner, cluster)?;
    workloads::expand(sorted.workloads, &controlled, &priorities, interner, cluster)?;
    name_namespaces(&mut manifests, interner)?;
    let picture = manifests.cluster.picture();
    let bound = picture.pods.values().filter_map(|pod| pod.node.as_ref());
    manifests.stray_pods = bound.filter(|node| !picture.nodes.contains_key(*node)).count();
    Ok(manifests)
}

/// Objects by what becomes of them.
#[derive(Default)]
struct Sorted {
    watched: Vec<(Kind, Object)>,
    workloads: Vec<(Workload, Object)>,
    priority_classes: Vec<Object>,
}

impl Sorted {
    fn of(objects: Vec<Object>, manifests: &mut Manifests) -> Result<Self, ManifestError> {
        let mut sorted = Self::default();
        let mut seen: BTreeMap<(String, String, String), Origin> = BTreeMap::new();
        for mut object in objects {
            let class = object.class();
            if class == Class::Unknown {
                *manifests.skipped.entry(object.kind).or_default() += 1;
                continue;
            }
            fill::identity(&mut object)?;
            let key = (object.kind.clone(), object.namespace.clone(), object.name.clone());
            match seen.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(object.origin.clone());
                }
                Entry::Occupied(entry) => {
                    let Origin { file, line } = entry.get();
                    let problem = format!("is there already, {file} line {line}: expected it once");
                    return Err(object.error(problem));
                }
            }
            manifests.objects += 1;
            match class {
                Class::Watched(kind) => sorted.watched.push((kind, object)),
                Class::Workload(kind) => sorted.workloads.push((kind, object)),
                Class::Priority => sorted.priority_classes.push(object),
                Class::Unknown => {}
            }
        }
        Ok(sorted)
    }
}

/// Fills in what a cluster would.
fn prepare(kind: Kind, object: &mut Object, priorities: &Priorities) -> Result<(), ManifestError> {
    match kind {
        Kind::Pod => {
            if let Some(problem) = fill::missing_containers(&object.value["spec"]) {
                return Err(object.error(problem.to_owned()));
            }
            priorities.resolve(object.map("spec")?).map_err(|problem| object.error(problem))
        }
        Kind::Node => nodes::fill(object),
        Kind::DaemonSet => has_containers(object, "spec.template"),
        Kind::PodTemplate => has_containers(object, "template"),
        _ => Ok(()),
    }
}

/// Refuses a template, which is at that place in the object, that makes pods of nothing.
fn has_containers(object: &Object, place: &str) -> Result<(), ManifestError> {
    let spec = object.value.pointer(&format!("/{}/spec", place.replace('.', "/")));
    match fill::missing_containers(spec.unwrap_or(&Value::Null)) {
        Some(problem) => Err(object.error(format!("{place}.{problem}"))),
        None => Ok(()),
    }
}

fn takes_room(pod: &Object) -> bool {
    let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
    !ended && pod.text("/metadata/deletionTimestamp").is_empty()
}

/// What makes no sense in an object that a watch would take in all the same.
fn defect(event: &ClusterEvent) -> Option<String> {
    let defect = match event {
        ClusterEvent::Pod(Change::Applied(pod)) => &pod.defect,
        ClusterEvent::NodePool(Change::Applied(pool)) => &pool.defect,
        _ => &None,
    };
    defect.as_ref().map(ToString::to_string)
}

/// Adds the namespaces that objects are in, and the label that each has.
fn name_namespaces(manifests: &mut Manifests, interner: &Interner) -> Result<(), ManifestError> {
    let picture = manifests.cluster.picture();
    let mut labels: BTreeMap<_, _> = picture.namespaces.clone().into_iter().collect();
    let used = picture.pods.keys().map(|key| &key.namespace);
    for name in used.chain(picture.daemon_sets.keys().map(|key| &key.namespace)) {
        labels.entry(name.clone()).or_default();
    }
    for (name, labels) in labels {
        let labels = labels.with([(NAMESPACE_NAME_LABEL.into(), name.clone())]);
        let labels = interner.labels(labels.iter().map(|(key, value)| (key, value)));
        manifests.cluster.apply(ClusterEvent::Namespace(Change::Applied((name, labels))));
    }
    Ok(())
}

/// The pool that is assumed where there is none: it allows every offering, without limits.
pub fn assumed_pool(interner: &Interner) -> Option<NodePool> {
    let written = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "default", "uid": "NodePool//default" },
        "spec": { "template": { "spec": {
            "requirements": [],
            "nodeClassRef": { "group": "karpenter.sh", "kind": "NodeClass", "name": "default" },
            "expireAfter": "Never",
        } } },
    });
    let pool: api::NodePool = serde_json::from_value(written).ok()?;
    Some(reduce::node_pool(&pool, interner))
}
