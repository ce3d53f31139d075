//! Workloads as the pods that they are short of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_solver::model::{Change, ClusterEvent, ClusterState, Name, Pod, PodKey};
use serde_json::{Value, json};

use super::ManifestError;
use super::fill::missing_containers;
use super::object::{Object, Workload, map_of};
use super::priorities::Priorities;
use crate::cache::Kind;
use crate::watch::{self, Interner};

/// More pods of one workload are a slip of the pen.
const MOST_PODS: u64 = 1_000_000;

/// How many pods each controller has already, by its UID.
pub(super) type Controlled = BTreeMap<String, u64>;

/// Makes the pods that workloads are short of.
pub(super) fn expand(
    mut workloads: Vec<(Workload, Object)>,
    controlled: &Controlled,
    priorities: &Priorities,
    interner: &Interner,
    cluster: &mut ClusterState,
) -> Result<(), ManifestError> {
    // A StatefulSet's names are part of what it is: it comes first.
    workloads.sort_by(|(left, one), (right, other)| {
        (left, &one.namespace, &one.name).cmp(&(right, &other.namespace, &other.name))
    });
    let mut by_deployment: Controlled = BTreeMap::new();
    let deployments: BTreeSet<String> = workloads
        .iter()
        .filter(|(kind, _)| *kind == Workload::Deployment)
        .map(|(_, object)| object.text("/metadata/uid").to_owned())
        .collect();
    // What a Deployment's ReplicaSets have, it has; they make no pods beside it.
    workloads.retain(|(kind, object)| {
        let owner = object.controller().filter(|_| *kind == Workload::ReplicaSet);
        let Some(owner) = owner.filter(|owner| deployments.contains(*owner)) else {
            return true;
        };
        let pods = controlled.get(object.text("/metadata/uid")).copied().unwrap_or_default();
        *by_deployment.entry(owner.to_owned()).or_default() += pods;
        false
    });
    for (kind, object) in &workloads {
        let uid = object.text("/metadata/uid");
        let has = |counts: &Controlled| counts.get(uid).copied().unwrap_or_default();
        let missing = wanted(*kind, object)?.saturating_sub(has(controlled) + has(&by_deployment));
        make(*kind, object, missing, priorities, interner, cluster)?;
    }
    Ok(())
}

/// How many pods a workload wants at a time.
fn wanted(kind: Workload, object: &Object) -> Result<u64, ManifestError> {
    if kind != Workload::Job {
        return Ok(number(object, "/spec/replicas")?.unwrap_or(1));
    }
    let conditions = object.value.pointer("/status/conditions").and_then(Value::as_array);
    let ended = conditions.into_iter().flatten().any(|condition| {
        let is = |kind| condition["type"] == kind;
        condition["status"] == "True" && (is("Complete") || is("Failed"))
    });
    if ended || object.value.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return Ok(0);
    }
    let at_once = number(object, "/spec/parallelism")?.unwrap_or(1);
    let succeeded = number(object, "/status/succeeded")?.unwrap_or(0);
    let left = number(object, "/spec/completions")?.map(|all| all.saturating_sub(succeeded));
    Ok(at_once.min(left.unwrap_or(u64::MAX)))
}

fn number(object: &Object, path: &str) -> Result<Option<u64>, ManifestError> {
    let written = object.value.pointer(path).filter(|value| !value.is_null());
    let Some(written) = written else { return Ok(None) };
    match written.as_u64().filter(|number| *number <= MOST_PODS) {
        Some(number) => Ok(Some(number)),
        None => {
            let field = path.trim_start_matches('/').replace('/', ".");
            let expected = format!("expected a whole number from 0 to {MOST_PODS}");
            Err(object.error(format!("{field}: {written} is not possible: {expected}")))
        }
    }
}

fn make(
    kind: Workload,
    object: &Object,
    missing: u64,
    priorities: &Priorities,
    interner: &Interner,
    cluster: &mut ClusterState,
) -> Result<(), ManifestError> {
    // Checked though it may want no pods: what is wrong is wrong.
    let template = template(kind, object, priorities, interner)?;
    let namespace = template.key.namespace.clone();
    let keys = (0_u64..).map(|number| {
        let name = Name::from(format!("{}-{number}", object.name));
        PodKey { namespace: namespace.clone(), name }
    });
    let mut left = missing;
    for key in keys {
        if left == 0 {
            break;
        }
        if cluster.picture().pods.contains_key(&key) {
            continue;
        }
        let uid = Name::from(format!("Pod/{key}"));
        let pod = Pod { key, uid, shape: Arc::clone(&template.shape), ..template.clone() };
        cluster.apply(ClusterEvent::Pod(Change::Applied(pod)));
        left -= 1;
    }
    Ok(())
}

/// A pod as the workload's controller would make it.
fn template(
    kind: Workload,
    object: &Object,
    priorities: &Priorities,
    interner: &Interner,
) -> Result<Pod, ManifestError> {
    let refuse = |problem: String| object.error(format!("spec.template.{problem}"));
    let written = object.value.pointer("/spec/template").cloned().unwrap_or_default();
    let mut pod = json!({ "metadata": written["metadata"], "spec": written["spec"] });
    for field in ["metadata", "spec"] {
        if !matches!(pod[field], Value::Object(_) | Value::Null) {
            return Err(refuse(format!("{field} is no map: expected fields and values")));
        }
    }
    if let Some(problem) = missing_containers(&pod["spec"]) {
        return Err(refuse(problem.to_owned()));
    }
    priorities.resolve(map_of(&mut pod["spec"])).map_err(refuse)?;
    let owner_kind = if kind == Workload::Deployment { "ReplicaSet" } else { &object.kind };
    let owner = json!({
        "kind": owner_kind,
        "uid": object.text("/metadata/uid"),
        "controller": true,
    });
    let metadata = map_of(&mut pod["metadata"]);
    metadata.insert("name".to_owned(), Value::from(object.name.as_str()));
    metadata.insert("namespace".to_owned(), Value::from(object.namespace.as_str()));
    metadata.insert("ownerReferences".to_owned(), Value::Array(vec![owner]));
    match watch::applied(Kind::Pod, pod, interner).map_err(refuse)? {
        ClusterEvent::Pod(Change::Applied(pod)) => match &pod.defect {
            Some(defect) => Err(refuse(defect.to_string())),
            None => Ok(pod),
        },
        _ => Err(refuse("is no pod".to_owned())),
    }
}
