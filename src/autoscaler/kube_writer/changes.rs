//! What writes change in objects, as JSON: pure, and idempotent.

use berth_solver::lifecycle::{
    BufferStatus, Instance, PoolStatus, Registration, Verdict, Write, disrupted_taint,
};
use berth_solver::model::{Labels, Name, Taint, Timestamp, well_known, well_known::condition};
use serde_json::{Map, Value, json};

use super::objects::{amounts, map, taint as taint_object, time};

/// A change of an object.
pub(super) type Change<'a> = &'a (dyn Fn(&mut Value) + Sync);

/// The merge patch (RFC 7386) that makes `after` out of `before`; `None` if they are equal.
pub(super) fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return Some(after.clone());
    };
    let removed = old.keys().filter(|key| !new.contains_key(*key));
    let mut patch: Map<String, Value> = removed.map(|key| (key.clone(), Value::Null)).collect();
    for (key, value) in new {
        let change = match old.get(key) {
            Some(was) => merge_patch(was, value),
            None => Some(value.clone()),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    Some(patch.into())
}

/// The list at a place of an object; an empty one if there is none.
fn list_at<'a>(object: &'a mut Value, part: &str, field: &str) -> &'a mut Vec<Value> {
    let list = &mut object[part][field];
    if !list.is_array() {
        *list = json!([]);
    }
    match list {
        Value::Array(list) => list,
        _ => unreachable!("it was just made an array"),
    }
}

fn merge(object: &mut Value, field: &str, entries: Map<String, Value>) {
    for (key, value) in entries {
        object["metadata"][field][key] = value;
    }
}

fn add_finalizer(object: &mut Value) {
    let finalizers = list_at(object, "metadata", "finalizers");
    let ours = json!(well_known::TERMINATION_FINALIZER);
    if !finalizers.contains(&ours) {
        finalizers.push(ours);
    }
}

/// Adds the finalizer.
pub(super) fn hold(object: &mut Value) {
    add_finalizer(object);
}

/// Takes the finalizer off.
pub(super) fn release(object: &mut Value) {
    list_at(object, "metadata", "finalizers")
        .retain(|finalizer| finalizer != well_known::TERMINATION_FINALIZER);
}

/// Sets labels.
pub(super) fn label(object: &mut Value, labels: &Labels) {
    merge(object, "labels", map(labels));
}

/// Label `karpenter.sh/initialized`.
pub(super) fn initialize(object: &mut Value) {
    object["metadata"]["labels"][well_known::INITIALIZED_LABEL] = json!("true");
}

/// Kubernetes keeps one taint for each key and effect: the one that is there wins.
fn add_taint(object: &mut Value, taint: &Taint) {
    let new = taint_object(taint);
    let taints = list_at(object, "spec", "taints");
    let same = |old: &Value| old["key"] == new["key"] && old["effect"] == new["effect"];
    if !taints.iter().any(same) {
        taints.push(new);
    }
}

fn remove_taints(object: &mut Value, key: &str) {
    list_at(object, "spec", "taints").retain(|taint| taint["key"] != key);
}

/// Adds the taint `karpenter.sh/disrupted`.
pub(super) fn taint(object: &mut Value) {
    add_taint(object, &disrupted_taint());
}

/// Takes it away.
pub(super) fn untaint(object: &mut Value) {
    remove_taints(object, well_known::DISRUPTED_TAINT);
}

/// Labels, taints, owner and finalizer of a node that has joined; the taint
/// `karpenter.sh/unregistered` goes.
pub(super) fn register(object: &mut Value, registration: &Registration) {
    label(object, &registration.labels);
    for taint in &registration.taints {
        add_taint(object, taint);
    }
    remove_taints(object, well_known::UNREGISTERED_TAINT);
    add_finalizer(object);
    let owner = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "name": registration.claim.name.as_str(),
        "uid": registration.claim.uid.as_str(),
        "blockOwnerDeletion": true,
    });
    let owners = list_at(object, "metadata", "ownerReferences");
    if !owners.iter().any(|known| known["uid"] == owner["uid"]) {
        owners.push(owner);
    }
}

/// One thing that is said of an object.
struct Said<'a> {
    kind: &'a str,
    holds: bool,
    reason: &'a str,
    message: &'a str,
}

impl<'a> Said<'a> {
    const fn yes(kind: &'a str) -> Self {
        Self { kind, holds: true, reason: kind, message: "" }
    }
}

/// Sets a condition. Its time changes only with its status.
fn set_condition(object: &mut Value, said: &Said<'_>, now: Timestamp) {
    let generation = object["metadata"]["generation"].clone();
    let status = if said.holds { "True" } else { "False" };
    let conditions = list_at(object, "status", "conditions");
    let known = conditions.iter().position(|known| known["type"] == said.kind);
    let since = known
        .filter(|known| conditions[*known]["status"] == status)
        .map_or_else(|| json!(time(now)), |known| conditions[known]["lastTransitionTime"].clone());
    let mut condition = json!({
        "type": said.kind,
        "status": status,
        "reason": said.reason,
        "message": said.message,
        "lastTransitionTime": since,
    });
    if generation.is_i64() || generation.is_u64() {
        condition["observedGeneration"] = generation;
    }
    match known {
        Some(known) => conditions[known] = condition,
        None => conditions.push(condition),
    }
}

fn clear_condition(object: &mut Value, kind: &str) {
    list_at(object, "status", "conditions").retain(|known| known["type"] != kind);
}

/// Provider ID, capacity, allocatable, `Launched`.
pub(super) fn launched(object: &mut Value, instance: &Instance, now: Timestamp) {
    object["status"]["providerID"] = json!(instance.provider_id.as_str());
    object["status"]["capacity"] = amounts(&instance.capacity);
    object["status"]["allocatable"] = amounts(&instance.allocatable);
    set_condition(object, &Said::yes(condition::LAUNCHED), now);
}

/// What the other writes record in a claim's status.
pub(super) fn claim_status(object: &mut Value, write: &Write, now: Timestamp) {
    match write {
        Write::RecordRegistered { node, .. } => {
            object["status"]["nodeName"] = json!(node.as_str());
            set_condition(object, &Said::yes(condition::REGISTERED), now);
        }
        Write::RecordInitialized { .. } => {
            set_condition(object, &Said::yes(condition::INITIALIZED), now);
            set_condition(object, &Said::yes(condition::READY), now);
        }
        Write::RecordPodEvent { at, .. } => {
            object["status"]["lastPodEventTime"] = json!(time(*at));
        }
        Write::RecordDisruption { reason, .. } => {
            let reason = reason.as_str();
            let kind = condition::DISRUPTION_REASON;
            set_condition(object, &Said { reason, ..Said::yes(kind) }, now);
        }
        Write::ClearDisruption { .. } => clear_condition(object, condition::DISRUPTION_REASON),
        Write::RecordCondition { kind, reason, .. } => {
            set_condition(object, &Said { reason, ..Said::yes(kind) }, now);
        }
        Write::ClearCondition { kind, .. } => clear_condition(object, kind),
        Write::RecordDrained { .. } => {
            set_condition(object, &Said::yes(condition::DRAINED), now);
        }
        Write::RecordDetached { .. } => {
            set_condition(object, &Said::yes(condition::VOLUMES_DETACHED), now);
        }
        Write::RecordTerminating { .. } => {
            set_condition(object, &Said::yes(condition::INSTANCE_TERMINATING), now);
        }
        _ => {}
    }
}

/// By when a claim is to be gone, whatever its pods say.
pub(super) fn termination_time(object: &mut Value, at: Option<Timestamp>) {
    let annotation = well_known::TERMINATION_TIMESTAMP_ANNOTATION;
    match at {
        Some(at) => object["metadata"]["annotations"][annotation] = json!(time(at)),
        None => {
            if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
                annotations.remove(annotation);
            }
        }
    }
}

/// `status.nominatedNodeName` of a pod that is not bound.
pub(super) fn nominate(object: &mut Value, node: Option<&Name>) {
    if object.pointer("/spec/nodeName").is_some_and(|bound| bound != "") {
        return;
    }
    match node {
        Some(node) => object["status"]["nominatedNodeName"] = json!(node.as_str()),
        None => {
            if let Some(status) = object["status"].as_object_mut() {
                status.remove("nominatedNodeName");
            }
        }
    }
}

/// The status of a NodePool.
pub(super) fn pool_status(object: &mut Value, status: &PoolStatus, now: Timestamp) {
    // A merge patch would keep what a pool has no more of.
    object["status"]["resources"] = amounts(&status.resources);
    object["status"]["resources"]["nodes"] = json!(status.nodes.to_string());
    object["status"]["nodes"] = json!(status.nodes);
    let defect = status.defect.as_ref().map_or("", |defect| defect.as_str());
    let valid = Said {
        kind: "ValidationSucceeded",
        holds: status.defect.is_none(),
        reason: if status.defect.is_none() { "ValidationSucceeded" } else { "ValidationFailed" },
        message: defect,
    };
    let class = Said {
        kind: "NodeClassReady",
        holds: status.node_class_ready,
        reason: if status.node_class_ready { "NodeClassReady" } else { "NodeClassNotReady" },
        message: "",
    };
    let ready = valid.holds && class.holds;
    let all = Said {
        kind: condition::READY,
        holds: ready,
        reason: if ready { "Ready" } else { "UnhealthyDependents" },
        message: defect,
    };
    for said in [valid, class, all] {
        set_condition(object, &said, now);
    }
    if let Some(holds) = status.registration_healthy {
        let (reason, message) = match holds {
            true => ("NodeRegistrationHealthy", ""),
            false => ("RegistrationFailed", "the last launches led to no node: the pool rests"),
        };
        let said = Said { kind: "NodeRegistrationHealthy", holds, reason, message };
        set_condition(object, &said, now);
    }
}

/// The status of a CapacityBuffer.
pub(super) fn buffer_status(object: &mut Value, status: &BufferStatus, now: Timestamp) {
    let strategy = object["spec"]["provisioningStrategy"].clone();
    object["status"]["provisioningStrategy"] = strategy;
    object["status"]["replicas"] = json!(status.replicas);
    if let Some((name, generation)) = &status.template {
        object["status"]["podTemplateRef"] = json!({ "name": name.as_str() });
        object["status"]["podTemplateGeneration"] = json!(generation);
    } else if let Some(said) = object["status"].as_object_mut() {
        said.remove("podTemplateRef");
        said.remove("podTemplateGeneration");
    }
    let provisioning = status.provisioning.as_ref().map(|verdict| ("Provisioning", verdict));
    let ready = ("ReadyForProvisioning", &status.ready);
    for (kind, Verdict { holds, reason, message }) in [ready].into_iter().chain(provisioning) {
        set_condition(object, &Said { kind, holds: *holds, reason, message }, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_holds_the_difference_and_nothing_else() {
        let before = json!({ "a": 1, "b": { "c": [1, 2], "d": "x" }, "e": true });
        let after = json!({ "a": 1, "b": { "c": [1], "d": "x", "f": {} } });
        let patch = merge_patch(&before, &after);
        assert_eq!(patch, Some(json!({ "b": { "c": [1], "f": {} }, "e": null })));
        assert_eq!(merge_patch(&after, &after), None);
    }

    #[test]
    fn every_change_done_twice_is_done_once() {
        let claim = berth_solver::lifecycle::ClaimRef { name: "c".into(), uid: "u".into() };
        let writes = [
            Write::RecordRegistered { claim: claim.clone(), node: "n".into() },
            Write::RecordInitialized { claim: claim.clone() },
            Write::RecordDrained { claim: claim.clone() },
            Write::RecordTerminating { claim: claim.clone() },
            Write::RecordCondition { claim, kind: "Drifted".into(), reason: "Why".into() },
        ];
        let mut object = json!({ "metadata": { "generation": 3 } });
        let at = Timestamp::from_seconds;
        for write in &writes {
            claim_status(&mut object, write, at(100));
        }
        let once = object.clone();
        for write in &writes {
            claim_status(&mut object, write, at(200));
        }
        assert_eq!(object, once);
        let kinds: Vec<&str> = once["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["type"].as_str().unwrap())
            .collect();
        let recorded =
            ["Registered", "Initialized", "Ready", "Drained", "InstanceTerminating", "Drifted"];
        assert_eq!(kinds, recorded);
        let claim = berth_solver::lifecycle::ClaimRef { name: "c".into(), uid: "u".into() };
        let clear = Write::ClearCondition { claim, kind: "Drifted".into() };
        claim_status(&mut object, &clear, at(300));
        assert_eq!(object["status"]["conditions"].as_array().unwrap().len(), 5);
        assert_eq!(once["status"]["conditions"][0]["observedGeneration"], 3);
    }

    #[test]
    fn a_pod_is_nominated_and_denominated_but_never_once_it_is_bound() {
        let waiting = json!({ "spec": {}, "status": { "phase": "Pending" } });
        let mut pod = waiting.clone();
        nominate(&mut pod, Some(&"n1".into()));
        let patch = json!({ "status": { "nominatedNodeName": "n1" } });
        assert_eq!(merge_patch(&waiting, &pod), Some(patch));
        let nominated = pod.clone();
        nominate(&mut pod, None);
        let patch = json!({ "status": { "nominatedNodeName": null } });
        assert_eq!(merge_patch(&nominated, &pod), Some(patch));
        let mut bound = json!({ "spec": { "nodeName": "n2" }, "status": {} });
        nominate(&mut bound, Some(&"n1".into()));
        assert_eq!(bound["status"], json!({}));
    }

    #[test]
    fn a_termination_time_comes_and_goes() {
        let before = json!({ "metadata": { "annotations": { "a": "b" } } });
        let mut claim = before.clone();
        let at = Some(Timestamp::from_seconds(0));
        termination_time(&mut claim, at);
        let written = &claim["metadata"]["annotations"];
        assert_eq!(written[well_known::TERMINATION_TIMESTAMP_ANNOTATION], "1970-01-01T00:00:00Z");
        termination_time(&mut claim, None);
        assert_eq!(claim, before);
        let mut bare = json!({ "metadata": {} });
        termination_time(&mut bare, None);
        termination_time(&mut bare, at);
        assert_eq!(bare["metadata"]["annotations"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn taints_and_finalizers_of_others_stay() {
        let mut node = json!({
            "metadata": { "finalizers": ["other/one"] },
            "spec": { "taints": [{ "key": "a", "effect": "NoSchedule" }] },
        });
        let before = node.clone();
        hold(&mut node);
        taint(&mut node);
        taint(&mut node);
        assert_eq!(node["spec"]["taints"].as_array().unwrap().len(), 2);
        untaint(&mut node);
        release(&mut node);
        assert_eq!(node, before);
    }

    #[test]
    fn a_pool_with_a_defect_is_not_ready_and_says_why() {
        let mut status = PoolStatus {
            pool: "general".into(),
            generation: 2,
            resources: berth_solver::model::Resources::default(),
            nodes: 0,
            defect: Some("spec.weight: wrong".into()),
            node_class_ready: true,
            registration_healthy: None,
        };
        let mut object = json!({ "metadata": { "generation": 2 } });
        pool_status(&mut object, &status, Timestamp::from_seconds(1));
        let of = |object: &Value, index: usize| {
            let condition = &object["status"]["conditions"][index];
            (condition["status"].clone(), condition["message"].clone())
        };
        assert_eq!(of(&object, 0), (json!("False"), json!("spec.weight: wrong")));
        assert_eq!(of(&object, 2), (json!("False"), json!("spec.weight: wrong")));
        status.defect = None;
        pool_status(&mut object, &status, Timestamp::from_seconds(2));
        assert_eq!(of(&object, 0), (json!("True"), json!("")));
        assert_eq!(of(&object, 2), (json!("True"), json!("")));
    }

    #[test]
    fn a_buffers_status_names_its_template_only_where_it_has_one() {
        let verdict = |holds: bool, reason: &str| Verdict {
            holds,
            reason: reason.into(),
            message: berth_solver::model::Name::default(),
        };
        let buffer = berth_solver::model::PodKey { namespace: "shop".into(), name: "spare".into() };
        let mut status = BufferStatus {
            buffer,
            uid: "u".into(),
            replicas: 3,
            template: Some(("web".into(), 7)),
            ready: verdict(true, "Resolved"),
            provisioning: None,
        };
        let mut object = json!({ "spec": { "provisioningStrategy": "s" } });
        buffer_status(&mut object, &status, Timestamp::from_seconds(1));
        let said = &object["status"];
        assert_eq!((&said["replicas"], &said["provisioningStrategy"]), (&json!(3), &json!("s")));
        assert_eq!(said["podTemplateRef"], json!({ "name": "web" }));
        assert_eq!(said["podTemplateGeneration"], json!(7));
        assert_eq!(said["conditions"].as_array().unwrap().len(), 1, "no plan has looked yet");
        status.template = None;
        status.provisioning = Some(verdict(false, "RequiresNewCapacity"));
        buffer_status(&mut object, &status, Timestamp::from_seconds(2));
        let said = &object["status"];
        assert!(
            said.get("podTemplateRef").is_none() && said.get("podTemplateGeneration").is_none()
        );
        assert_eq!(said["conditions"][1]["reason"], "RequiresNewCapacity");
    }
}
