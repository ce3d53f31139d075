//! Sends the cases to an API server.

use anyhow::{Context, Result, bail};
use berth::api::{
    ClaimDefinition, ClaimProvider, ExoscaleNodeClass, KwokNodeClass, NodeClaim, NodePool,
};
use berth_controlplane::ControlPlane;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::{api, buffers, claims, exoscale, object};

/// Every case is taken or refused as it says, all of them before the test fails.
pub(super) async fn are_kept(plane: &ControlPlane) -> Result<()> {
    let mut wrong = Vec::new();
    let pools = api::<NodePool>(plane);
    let claims = api::<NodeClaim>(plane);
    let classes = api::<KwokNodeClass>(plane);
    let exoscale_classes = api::<ExoscaleNodeClass>(plane);
    let definitions = api::<ClaimDefinition>(plane);
    let providers = api::<ClaimProvider>(plane);
    let capacity_buffers = buffers::api(plane);
    for (kind, base, api, list) in [
        ("CapacityBuffer", buffers::buffer(), &capacity_buffers, buffers::of_buffers()),
        ("NodePool", cases::node_pool(), &pools, cases::of_node_pools()),
        ("NodeClaim", cases::node_claim(), &claims, cases::of_node_claims()),
        ("KWOKNodeClass", cases::node_class(), &classes, cases::of_node_classes()),
        ("ClaimDefinition", claims::definition(), &definitions, claims::of_definitions()),
        ("ClaimProvider", claims::provider(), &providers, claims::of_providers()),
        (
            "ExoscaleNodeClass",
            cases::exoscale_node_class(),
            &exoscale_classes,
            exoscale::of_node_classes(),
        ),
    ] {
        for case in list {
            if let Err(error) = is_kept(api, &base, &case).await {
                wrong.push(format!("{kind} {}: {error:#}", case.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

async fn is_kept(api: &Api<DynamicObject>, base: &Value, case: &Case) -> Result<()> {
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    for right in &case.right {
        let changed = object(with(base, &case.path, right)?)?;
        api.create(&dry_run, &changed).await.with_context(|| format!("{right} was refused"))?;
    }
    for (wrong, message) in &case.wrong {
        let changed = object(with(base, &case.path, wrong)?)?;
        match api.create(&dry_run, &changed).await {
            Ok(_) => bail!("{wrong} was taken"),
            Err(kube::Error::Api(status)) if status.code == 422 => {
                if !status.message.contains(message) {
                    bail!("{wrong} was refused with {:?}, not with {message:?}", status.message);
                }
            }
            Err(error) => return Err(error).context(wrong.to_string()),
        }
    }
    Ok(())
}

/// `base` with the field at a path of dots replaced; what is missing on the way is made, and a
/// null removes it.
fn with(base: &Value, path: &str, value: &Value) -> Result<Value> {
    let mut changed = base.clone();
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut place = &mut changed;
    for name in parents.split('.').filter(|name| !name.is_empty()) {
        place = place.as_object_mut().context(path.to_owned())?.entry(name).or_insert(json!({}));
    }
    let place = place.as_object_mut().context(path.to_owned())?;
    if value.is_null() {
        place.remove(last);
    } else {
        place.insert(last.to_owned(), value.clone());
    }
    Ok(changed)
}

/// What a later change may not do.
pub(super) async fn transitions_are_kept(plane: &ControlPlane) -> Result<()> {
    let pools = api::<NodePool>(plane);
    let mode = "Cannot transition NodePool between static (replicas set) and dynamic (replicas \
                unset) provisioning modes";
    create(&pools, cases::node_pool(), "was-dynamic").await?;
    let mut fixed = cases::node_pool();
    fixed["spec"]["replicas"] = json!(1);
    create(&pools, fixed, "was-static").await?;
    let class = |field: &str| json!({ "spec": { "template": { "spec": { "nodeClassRef": { field: "other" } } } } });
    for (name, change, refusal) in [
        ("was-dynamic", json!({ "spec": { "replicas": 1 } }), Some(mode)),
        ("was-static", json!({ "spec": { "replicas": null } }), Some(mode)),
        ("was-static", json!({ "spec": { "replicas": 7 } }), None),
        ("was-dynamic", class("group"), Some("nodeClassRef.group is immutable")),
        ("was-dynamic", class("kind"), Some("nodeClassRef.kind is immutable")),
        ("was-dynamic", class("name"), None),
        ("was-dynamic", json!({ "spec": { "weight": 3 } }), None),
    ] {
        changes(&pools, name, &change, refusal).await?;
    }

    let claims = api::<NodeClaim>(plane);
    create(&claims, cases::node_claim(), "asked").await?;
    let expiry = json!({ "spec": { "expireAfter": "1h" } });
    changes(&claims, "asked", &expiry, Some("spec is immutable")).await?;
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    changes(&claims, "asked", &label, None).await?;
    claim_status_is_checked(&claims, "asked").await
}

async fn claim_status_is_checked(claims: &Api<DynamicObject>, name: &str) -> Result<()> {
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({ "status": { "conditions": [{
            "type": kind, "status": status, "reason": reason,
            "lastTransitionTime": "2026-01-02T03:04:05Z"
        }] } })
    };
    for (change, refusal) in [
        (condition("Launched", "True", "Launched"), None),
        (condition("Launched", "Maybe", "Launched"), Some("Unsupported value: \"Maybe\"")),
        (condition("Not one", "True", ""), Some("status.conditions[0].type")),
        (condition("Launched", "True", "not one"), Some("status.conditions[0].reason")),
        (json!({ "status": { "capacity": { "cpu": "much" } } }), Some("status.capacity.cpu")),
        (json!({ "status": { "capacity": { "cpu": 2, "memory": "4Gi" } } }), None),
        (json!({ "status": { "lastPodEventTime": "lately" } }), Some("status.lastPodEventTime")),
    ] {
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        let answer = claims.patch_status(name, &dry_run, &Patch::Merge(&change)).await;
        matches_refusal(&change, answer, refusal)?;
    }
    Ok(())
}

async fn create(api: &Api<DynamicObject>, mut value: Value, name: &str) -> Result<()> {
    value["metadata"]["name"] = json!(name);
    api.create(&PostParams::default(), &object(value)?).await?;
    Ok(())
}

async fn changes(
    api: &Api<DynamicObject>,
    name: &str,
    change: &Value,
    refusal: Option<&str>,
) -> Result<()> {
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let answer = api.patch(name, &dry_run, &Patch::Merge(change)).await;
    matches_refusal(change, answer, refusal)
}

fn matches_refusal(
    change: &Value,
    answer: kube::Result<DynamicObject>,
    refusal: Option<&str>,
) -> Result<()> {
    match (answer, refusal) {
        (Ok(_), None) => Ok(()),
        (Ok(_), Some(_)) => bail!("{change} was taken"),
        (Err(kube::Error::Api(status)), Some(expected)) if status.message.contains(expected) => {
            Ok(())
        }
        (Err(error), _) => Err(error).context(change.to_string()),
    }
}
