//! Kinds of claims, their providers, and the claims of the kinds that are shipped.

use anyhow::{Context, Result, bail};
use berth::api::ClaimDefinition;
use berth::claims::crd;
use berth::claims::definition::Definition;
use berth_controlplane::{ControlPlane, until_ok};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::cases::{Case, case};
use crate::{api, object, repository};

/// A definition that is right.
pub(super) fn definition() -> Value {
    json!({
        "apiVersion": "claims.berth.sh/v1alpha1",
        "kind": "ClaimDefinition",
        "metadata": { "name": "databases" },
        "spec": {
            "group": "platform.example.org",
            "names": { "kind": "Database", "plural": "databases" },
            "service": "PostgreSQL",
            "sizes": [{ "name": "small" }],
            "parameters": [{ "name": "version", "values": ["17"], "required": true }],
        },
    })
}

/// What each field of a definition may hold and may not.
pub(super) fn of_definitions() -> Vec<Case> {
    let taken = "group must be one of your own";
    vec![
        case(
            "spec.group",
            [json!("example.org"), json!("mykubernetes.io")],
            [
                (json!("apps.k8s.io"), taken),
                (json!("karpenter.sh"), taken),
                (json!("x.crossplane.io"), taken),
                (json!("apps"), taken),
                (json!("Example.org"), "spec.group"),
            ],
        ),
        case("spec.service", [json!("VirtualMachine")], [(json!("MySQL"), "Unsupported value")]),
        case(
            "spec.sizes",
            [json!([{ "name": "s" }, { "name": "m", "description": "more" }])],
            [
                (json!([]), "spec.sizes"),
                (json!([{ "name": "s" }, { "name": "s" }]), "Duplicate value"),
                (json!([{ "name": "Small" }]), "spec.sizes[0].name"),
            ],
        ),
        case(
            "spec.defaultSize",
            [json!("small")],
            [(json!("huge"), "defaultSize must be one of the sizes")],
        ),
        case(
            "spec.parameters",
            [json!([{ "name": "storageGB", "minimum": 10, "maximum": 10 }])],
            [
                (json!([{ "name": "color" }]), "Unsupported value: \"color\""),
                (
                    json!([{ "name": "storageGB", "minimum": 11, "maximum": 10 }]),
                    "minimum must not be greater than maximum",
                ),
            ],
        ),
        case(
            "spec.deletionPolicy",
            [json!("Retain"), json!("Delete")],
            [(json!("Orphan"), "Unsupported value")],
        ),
    ]
}

/// A provider that is right.
pub(super) fn provider() -> Value {
    json!({
        "apiVersion": "claims.berth.sh/v1alpha1",
        "kind": "ClaimProvider",
        "metadata": { "name": "gva" },
        "spec": {
            "type": "exoscale",
            "region": "ch-gva-2",
            "credentialsSecretRef": { "name": "exoscale" },
            "sizes": [{
                "service": "PostgreSQL", "size": "small", "plan": "startup-4",
                "pricePerMonth": "52.00",
            }],
        },
    })
}

/// What each field of a provider may hold and may not.
pub(super) fn of_providers() -> Vec<Case> {
    let size = |more: Value| {
        let mut size = provider()["spec"]["sizes"][0].clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            size[key] = value.clone();
        }
        json!([size])
    };
    let in_cluster = json!({
        "type": "kubernetes",
        "sizes": [{
            "service": "PostgreSQL", "size": "small", "cpu": "1", "memory": "2Gi", "storageGB": 20,
        }],
    });
    let mut reachable = in_cluster.clone();
    reachable["region"] = json!("somewhere");
    vec![
        case("spec", [in_cluster], [(reachable, "which has neither")]),
        case(
            "spec.region",
            [json!("GRA"), json!("fr-par-1")],
            [
                (json!("evil.example.org/"), "spec.region"),
                (Value::Null, "region and credentialsSecretRef are required"),
            ],
        ),
        case(
            "spec.project",
            [],
            [(json!("p"), "project is required for the types ovh and scaleway")],
        ),
        case(
            "spec.sizes",
            [size(json!({ "pricePerMonth": "0.5" })), size(json!({ "storageGB": 80 }))],
            [
                (size(json!({ "pricePerMonth": "free" })), "spec.sizes[0].pricePerMonth"),
                (size(json!({ "pricePerMonth": null })), "each size needs pricePerMonth"),
                (size(json!({ "plan": null })), "each size needs a plan"),
                (size(json!({ "pricePerGB": "much" })), "spec.sizes[0].pricePerGB"),
                (
                    size(json!({ "service": "VirtualMachine" })),
                    "virtualMachine (with images) is required",
                ),
            ],
        ),
        case(
            "spec.postgresql",
            [json!({ "allowedCIDRs": ["192.0.2.1/32"] })],
            [
                (
                    json!({ "privateNetwork": "6170692e-7363-616c-6577-61792e636f6d" }),
                    "privateNetwork is for type scaleway",
                ),
                (json!({ "privateNetwork": "https://example.org" }), "privateNetwork"),
            ],
        ),
        case(
            "spec.monthlyBudget",
            [json!("500"), json!("99.50")],
            [(json!("-1"), "spec.monthlyBudget"), (json!("1.234"), "spec.monthlyBudget")],
        ),
    ]
}

/// Definitions and providers stay what they are.
pub(super) async fn identities_are_kept(plane: &ControlPlane) -> Result<()> {
    let definitions = api::<ClaimDefinition>(plane);
    definitions.create(&PostParams::default(), &object(definition())?).await?;
    let moved = json!({ "spec": { "group": "other.example.org" } });
    refused(&definitions, "databases", &moved, "are immutable: make another").await?;
    let providers = api::<berth::api::ClaimProvider>(plane);
    providers.create(&PostParams::default(), &object(provider())?).await?;
    let moved = json!({ "spec": { "region": "de-fra-1" } });
    refused(&providers, "gva", &moved, "are immutable: make another").await
}

async fn refused(
    api: &Api<DynamicObject>,
    name: &str,
    change: &Value,
    message: &str,
) -> Result<()> {
    match api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await {
        Err(kube::Error::Api(status)) if status.code == 422 => {
            assert!(status.message.contains(message), "{change}: {}", status.message);
            Ok(())
        }
        Err(error) => Err(error).with_context(|| change.to_string()),
        Ok(_) => bail!("{change} was taken"),
    }
}

/// The kinds that are shipped are taken by the API server, and let in and keep out the right claims.
pub(super) async fn shipped_kinds_keep_their_bounds(plane: &ControlPlane) -> Result<()> {
    let file = repository().join("deploy/options/claims/definitions.yaml");
    let shipped: Vec<ClaimDefinition> =
        serde_saphyr::from_multiple(&std::fs::read_to_string(file)?)?;
    for one in &shipped {
        let definition = Definition::read(one).map_err(anyhow::Error::msg)?;
        let made = crd::of(&definition)?;
        let crds: Api<CustomResourceDefinition> = Api::all(plane.client());
        let name = definition.crd_name();
        let params = PatchParams::apply("test");
        crds.patch(&name, &params, &Patch::Apply(&made)).await.context(name)?;
    }
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    plane.kubectl(&wait).await?;
    let kind = GroupVersionKind::gvk("platform.example.org", "v1alpha1", "PostgreSQLInstance");
    let resource = ApiResource::from_gvk(&kind);
    let claims: Api<DynamicObject> = Api::namespaced_with(plane.client(), "default", &resource);
    let claim = |name: &str, spec: Value| {
        object(json!({
            "apiVersion": "platform.example.org/v1alpha1", "kind": "PostgreSQLInstance",
            "metadata": { "name": name }, "spec": spec,
        }))
    };
    let minimal = claim("minimal", json!({}))?;
    let params = PostParams::default();
    // The kind may be served a moment after it is established.
    let stored = until_ok("a claim is taken", std::time::Duration::from_secs(30), || {
        claims.create(&params, &minimal)
    })
    .await?;
    let defaults = json!({
        "parameters": { "size": "small", "storageGB": 20, "version": "17" },
        "deletionPolicy": "Retain",
    });
    assert_eq!(stored.data["spec"], defaults);
    for (name, spec, message) in [
        ("a", json!({ "parameters": { "size": "huge" } }), "Unsupported value: \"huge\""),
        ("a", json!({ "parameters": { "storageGB": 5 } }), "greater than or equal to 10"),
        ("a", json!({ "parameters": { "allowedCIDRs": ["0.0.0.0/0"] } }), "allowedCIDRs"),
        (
            "a",
            json!({
                "compositionSelector": { "matchLabels": {} },
                "providerSelector": { "matchLabels": {} },
            }),
            "mean the same",
        ),
        (&"n".repeat(51), json!({}), "50 characters at most"),
    ] {
        match claims.create(&params, &claim(name, spec.clone())?).await {
            Err(kube::Error::Api(status)) if status.code == 422 => {
                assert!(status.message.contains(message), "{spec}: {}", status.message);
            }
            other => bail!("{spec}: {other:?}"),
        }
    }
    for (change, message) in [
        (json!({ "parameters": { "version": "16" } }), "version is immutable"),
        (json!({ "parameters": { "storageGB": 10 } }), "storageGB can only grow"),
        (json!({ "adopt": { "externalName": "x" } }), "adopt is immutable"),
    ] {
        refused(&claims, "minimal", &json!({ "spec": change }), message).await?;
    }
    let grown = json!({ "spec": { "parameters": { "storageGB": 40, "size": "medium" } } });
    claims.patch("minimal", &PatchParams::default(), &Patch::Merge(&grown)).await?;
    let kind = GroupVersionKind::gvk("platform.example.org", "v1alpha1", "VirtualMachine");
    let machines: Api<DynamicObject> =
        Api::namespaced_with(plane.client(), "default", &ApiResource::from_gvk(&kind));
    let machine = object(json!({
        "apiVersion": "platform.example.org/v1alpha1", "kind": "VirtualMachine",
        "metadata": { "name": "runner" }, "spec": { "parameters": { "size": "small" } },
    }))?;
    until_ok("a machine is taken", std::time::Duration::from_secs(30), || {
        machines.create(&params, &machine)
    })
    .await?;
    let larger = json!({ "spec": { "parameters": { "size": "medium" } } });
    refused(&machines, "runner", &larger, "size is immutable: make another claim").await?;
    let categories = "jsonpath={.status.acceptedNames.categories}";
    let name = "postgresqlinstances.platform.example.org";
    assert_eq!(plane.kubectl(&["get", "crd", name, "-o", categories]).await?, "[\"claim\"]");
    let header = plane.kubectl(&["get", "pg"]).await?;
    let header: Vec<&str> = header.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["NAME", "SYNCED", "READY", "SIZE", "PROVIDER", "PER-MONTH", "AGE"]);
    Ok(())
}
