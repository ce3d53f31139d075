//! Has the Deployment of a pod make its successor first.
//!
//! What is written is what `kubectl rollout restart` writes, an annotation of the pod template: the
//! Deployment controller then brings a new pod up, and takes the old one away once the new one is
//! available. The number of replicas stays as it is, which is what autoscalers and GitOps look at.
//! The annotation's value is the UID of the pod that makes way, so that it can be written twice.

use berth_solver::lifecycle::PodRef;
use berth_solver::model::well_known;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::{KubeWriter, Part, WriteError, json_of, refused};

impl KubeWriter {
    /// Has the Deployment of a pod roll.
    ///
    /// # Errors
    /// [`WriteError::Refused`] if the pod is not the only one of a Deployment that makes the new
    /// pod first, or if we may not do this.
    pub(super) async fn replace_pod(&self, pod: &PodRef) -> Result<(), WriteError> {
        let namespace = &pod.key.namespace;
        let there = json_of(
            &self.namespaced("", "Pod", namespace).get(&pod.key.name).await.map_err(refused)?,
        )?;
        if there["metadata"]["uid"] != *pod.uid {
            return Err(WriteError::Conflict(format!("{} is another pod by now", pod.key)));
        }
        let set = owner(&there, "ReplicaSet")?;
        let set = self.namespaced("apps", "ReplicaSet", namespace).get(set).await;
        let set = json_of(&set.map_err(not_ours)?)?;
        let name = owner(&set, "Deployment")?;
        let deployments = self.namespaced("apps", "Deployment", namespace);
        let deployment = json_of(&deployments.get(name).await.map_err(not_ours)?)?;
        makes_the_new_pod_first(&deployment)
            .map_err(|why| WriteError::Refused(format!("Deployment {namespace}/{name} {why}")))?;
        let uid = deployment["metadata"]["uid"].as_str();
        let roll = |object: &mut Value| roll(object, &pod.uid);
        self.change(&deployments, name, uid, Part::Main, &roll).await
    }

    fn namespaced(&self, group: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }
}

/// An owner that is not there (any more) makes no successor.
fn not_ours(error: kube::Error) -> WriteError {
    match refused(error) {
        WriteError::NotFound(why) => WriteError::Refused(why),
        other => other,
    }
}

/// The name of an object's controller, of that kind.
fn owner<'o>(object: &'o Value, kind: &str) -> Result<&'o str, WriteError> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let mut controllers = owners.into_iter().flatten().filter(|one| one["controller"] == true);
    let named = controllers.find(|one| one["kind"] == kind).and_then(|one| one["name"].as_str());
    named.ok_or_else(|| WriteError::Refused(format!("no {kind} has made it: it is evicted")))
}

/// Whether a Deployment of one replica brings a new pod up before it takes the old one away.
fn makes_the_new_pod_first(deployment: &Value) -> Result<(), &'static str> {
    let spec = &deployment["spec"];
    if spec["replicas"].as_i64().unwrap_or(1) != 1 {
        return Err("has not exactly one replica: its pods are evicted");
    }
    if spec["paused"] == true {
        return Err("is paused: its pod is evicted");
    }
    if spec["strategy"]["type"].as_str().is_some_and(|kind| kind != "RollingUpdate") {
        return Err("is not of the strategy RollingUpdate: its pod is evicted");
    }
    let rolling = &spec["strategy"]["rollingUpdate"];
    // Of one replica any percentage for the surge is rounded up to a pod, and one below a hundred
    // for the missing is rounded down to none.
    let surges = amount(&rolling["maxSurge"], 25) > 0;
    let keeps = match &rolling["maxUnavailable"] {
        Value::String(_) | Value::Null => amount(&rolling["maxUnavailable"], 25) < 100,
        number => amount(number, 0) == 0,
    };
    if surges && keeps {
        Ok(())
    } else {
        Err("has no maxSurge of at least 1 with a maxUnavailable of 0: its pod is evicted")
    }
}

/// A number or a percentage, as a number.
fn amount(value: &Value, default: i64) -> i64 {
    let percent = value.as_str().and_then(|text| text.trim_end_matches('%').parse().ok());
    value.as_i64().or(percent).unwrap_or(default)
}

fn roll(deployment: &mut Value, pod_uid: &str) {
    let template = &mut deployment["spec"]["template"]["metadata"]["annotations"];
    template[well_known::REPLACES_ANNOTATION] = json!(pod_uid);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(spec: Value) -> Value {
        json!({ "metadata": { "name": "db", "uid": "u" }, "spec": spec })
    }

    #[test]
    fn only_a_deployment_of_one_that_surges_makes_the_new_pod_first() {
        let rolling = |surge: Value, missing: Value| {
            let update = json!({ "maxSurge": surge, "maxUnavailable": missing });
            json!({ "replicas": 1, "strategy": { "type": "RollingUpdate", "rollingUpdate": update } })
        };
        for (spec, fits) in [
            (json!({}), true),
            (rolling(json!("25%"), json!("25%")), true),
            (rolling(json!(1), json!(0)), true),
            (rolling(json!("1%"), json!(0)), true),
            (rolling(json!(0), json!(1)), false),
            (rolling(json!(0), json!("25%")), false),
            (rolling(json!(1), json!(1)), false),
            (rolling(json!(1), json!("100%")), false),
            (json!({ "replicas": 2 }), false),
            (json!({ "replicas": 1, "paused": true }), false),
            (json!({ "replicas": 1, "strategy": { "type": "Recreate" } }), false),
        ] {
            let verdict = makes_the_new_pod_first(&deployment(spec.clone()));
            assert_eq!(verdict.is_ok(), fits, "{spec}: {verdict:?}");
        }
    }

    #[test]
    fn the_template_says_which_pod_makes_way_and_saying_it_twice_changes_nothing() {
        let mut once = deployment(json!({ "replicas": 1, "template": { "spec": {} } }));
        roll(&mut once, "pod-1");
        let mut twice = once.clone();
        roll(&mut twice, "pod-1");
        assert_eq!(once, twice);
        assert_eq!(
            once["spec"]["template"]["metadata"]["annotations"],
            json!({ "berth.sh/replaces-pod": "pod-1" })
        );
        assert_eq!(once["spec"]["replicas"], 1);
    }

    #[test]
    fn a_pod_that_no_replica_set_made_is_evicted() {
        let owned = |kind: &str| {
            let owner = json!({ "kind": kind, "name": "db-1", "controller": true });
            json!({ "metadata": { "ownerReferences": [owner] } })
        };
        assert_eq!(owner(&owned("ReplicaSet"), "ReplicaSet"), Ok("db-1"));
        assert!(matches!(owner(&owned("StatefulSet"), "ReplicaSet"), Err(WriteError::Refused(_))));
        assert!(matches!(owner(&json!({}), "ReplicaSet"), Err(WriteError::Refused(_))));
    }
}
