//! The node class of Exoscale: what its users write, its defaults, its rules, old and newer.

use std::path::PathBuf;

use anyhow::Result;
use berth::api::{ExoscaleNodeClass, KubeReserved, Kubelet, SystemReserved};
use berth_controlplane::ControlPlane;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::cases::{Case, case, exoscale_node_class};
use crate::{api, first_missing, object, repository};

/// What each field may hold and may not.
pub(super) fn of_node_classes() -> Vec<Case> {
    let mut cases = of_templates_and_disks();
    cases.extend(of_selectors());
    cases.extend(of_kubelet());
    cases.extend(of_registries());
    cases
}

fn of_templates_and_disks() -> Vec<Case> {
    let id = "2b5c3d4e-0000-4000-8000-000000000002";
    let one = "exactly one of templateID or imageTemplateSelector must be specified";
    vec![
        case(
            "spec",
            [json!({ "templateID": id }), json!({ "imageTemplateSelector": {} })],
            [
                (json!({}), one),
                (json!({ "templateID": id, "imageTemplateSelector": {} }), one),
                (json!({ "templateID": "ubuntu" }), "spec.templateID"),
                (Value::Null, "spec: Required value"),
            ],
        ),
        case(
            "spec.imageTemplateSelector",
            [json!({ "version": "1.36.2" }), json!({ "variant": "nvidia" })],
            [
                (json!({ "version": "1.36" }), "imageTemplateSelector.version"),
                (json!({ "version": "v1.36.2" }), "imageTemplateSelector.version"),
                (json!({ "variant": "arm" }), "Unsupported value: \"arm\""),
            ],
        ),
        case(
            "spec.diskSize",
            [json!(10), json!(8000)],
            [
                (json!(9), "should be greater than or equal to 10"),
                (json!(8001), "should be less than or equal to 8000"),
                (json!("50Gi"), "spec.diskSize"),
            ],
        ),
    ]
}

fn of_selectors() -> Vec<Case> {
    let one = "exactly one of id or name must be specified";
    let many = |count: usize| Value::from_iter(vec![json!({ "name": "a" }); count]);
    let mut cases = Vec::new();
    for (kind, most) in [
        ("securityGroup", 50),
        ("antiAffinityGroup", 50),
        ("privateNetwork", 10),
        ("elasticIP", 10),
    ] {
        let too_many = format!("must have at most {most} items");
        cases.push(Case {
            path: format!("spec.{kind}SelectorTerms"),
            right: vec![json!([{ "id": "a" }, { "name": "b" }]), json!([]), many(most)],
            wrong: vec![
                (json!([{}]), one.to_owned()),
                (json!([{ "id": "a", "name": "b" }]), one.to_owned()),
                (many(most + 1), too_many),
            ],
        });
    }
    let ids = |count: usize| Value::from_iter(vec![json!("a"); count]);
    cases.push(case("spec.securityGroups", [ids(50)], [(ids(51), "must have at most 50 items")]));
    cases.push(case("spec.privateNetworks", [ids(10)], [(ids(11), "must have at most 10 items")]));
    cases
}

fn of_kubelet() -> Vec<Case> {
    let thresholds = "imageGCLowThresholdPercent must be less than imageGCHighThresholdPercent";
    let cpus = "cpuManagerPolicy 'static' requires a non-zero cpu reservation";
    let options = "cpuManagerPolicyOptions requires cpuManagerPolicy to be 'static'";
    vec![case(
        "spec.kubelet",
        [
            json!({}),
            json!({ "maxPods": 1 }),
            json!({ "cpuManagerPolicy": "none" }),
            json!({ "cpuManagerPolicy": "static", "systemReserved": { "cpu": "1" } }),
            json!({ "kubeReserved": { "cpu": "1.5", "memory": "1G", "ephemeralStorage": "0" } }),
            json!({ "featureGates": { "A": false } }),
        ],
        [
            (json!({ "imageGCLowThresholdPercent": 85 }), thresholds),
            (json!({ "imageGCHighThresholdPercent": 101 }), "should be less than or equal to 100"),
            (json!({ "imageMinimumGCAge": "2 minutes" }), "imageMinimumGCAge"),
            (json!({ "maxPods": 0 }), "should be greater than or equal to 1"),
            (json!({ "cpuManagerPolicy": "static" }), cpus),
            (json!({ "cpuManagerPolicy": "static", "kubeReserved": { "cpu": "0" } }), cpus),
            (json!({ "cpuManagerPolicy": "dynamic" }), "Unsupported value: \"dynamic\""),
            (json!({ "cpuManagerPolicyOptions": ["align-by-socket"] }), options),
            (json!({ "cpuManagerReconcilePeriod": "soon" }), "cpuManagerReconcilePeriod"),
            (json!({ "kubeReserved": { "cpu": "much" } }), "kubeReserved.cpu"),
            (json!({ "systemReserved": { "memory": "1.5Gi" } }), "systemReserved.memory"),
            (json!({ "featureGates": { "A": "yes" } }), "featureGates.A"),
        ],
    )]
}

fn of_registries() -> Vec<Case> {
    let secret = |key: &str| json!({ "name": "s", "key": key });
    let basic = json!({ "usernameSecretRef": secret("u"), "passwordSecretRef": secret("p") });
    let auth = json!({ "authSecretRef": secret("a") });
    let told = |fields: Value| {
        let mut entry = json!({ "registry": "ghcr.io" });
        for (name, value) in fields.as_object().into_iter().flatten() {
            entry[name] = value.clone();
        }
        json!({ "credentials": [entry] })
    };
    let mirror = |endpoint: Value| json!({ "mirrors": [{ "registry": "docker.io", "endpoints": [endpoint] }] });
    let one = "exactly one of basic/auth/identityToken";
    let exclusive = "userData and containerRegistry are mutually exclusive";
    vec![
        case(
            "spec.containerRegistry",
            [
                json!({}),
                // The existing provider's own rule refuses these two for want of mirrors.
                told(json!({ "basic": basic })),
                told(json!({ "auth": auth })),
                mirror(json!({ "url": "http://m:5000" })),
                mirror(json!({ "url": "https://m", "tlsSecretRef": { "name": "tls" } })),
            ],
            [
                (told(json!({})), one),
                (told(json!({ "basic": basic, "auth": auth })), one),
                (told(json!({ "auth": { "authSecretRef": { "name": "s" } } })), "key: Required"),
                (mirror(json!({ "url": "m:5000" })), "endpoints[0].url"),
                (mirror(json!({ "url": "https://m", "tlsSecretRef": {} })), "must be non-empty"),
                (
                    json!({ "mirrors": [{ "registry": "docker.io", "endpoints": [] }] }),
                    "should have at least 1 items",
                ),
                (json!({ "credentials": [{ "registry": "a/b", "auth": auth }] }), "registry"),
            ],
        ),
        case(
            "spec",
            [
                json!({ "imageTemplateSelector": {}, "userData": "", "containerRegistry": {} }),
                json!({ "imageTemplateSelector": {}, "userData": "a = 1" }),
            ],
            [(
                json!({ "imageTemplateSelector": {}, "userData": "a = 1", "containerRegistry": {} }),
                exclusive,
            )],
        ),
    ]
}

/// What is left out gets the same value from the API server and from the type.
pub(super) async fn defaults_are_those_of_the_types(plane: &ControlPlane) -> Result<()> {
    let mut minimal = exoscale_node_class();
    minimal["metadata"]["name"] = json!("minimal");
    minimal["spec"]["kubelet"] = json!({ "kubeReserved": {}, "systemReserved": {} });
    let classes = api::<ExoscaleNodeClass>(plane);
    let stored = classes.create(&PostParams::default(), &object(minimal.clone())?).await?;
    let typed: ExoscaleNodeClass = serde_json::from_value(minimal)?;
    assert_eq!(stored.data["spec"], serde_json::to_value(&typed.spec)?);
    let kubelet = Kubelet {
        kube_reserved: Some(KubeReserved::default()),
        system_reserved: Some(SystemReserved::default()),
        ..Kubelet::default()
    };
    assert_eq!(typed.spec.kubelet, Some(kubelet));
    assert_eq!((typed.spec.disk_size, stored.data["spec"]["diskSize"].as_i64()), (50, Some(50)));
    Ok(())
}

/// Every field of the existing provider's definitions is in ours, with its type, default, limits
/// and pattern; and status, names and columns are the same.
pub(super) async fn the_existing_providers_rules_and_defaults_are_all_there(
    plane: &ControlPlane,
) -> Result<()> {
    let folder = std::env::var_os("BERTH_DATA")
        .map_or_else(|| repository().join("../shared/data"), PathBuf::from)
        .join("exoscale");
    if !folder.exists() {
        println!("skipped: there is no folder exoscale in the data folder (BERTH_DATA)");
        return Ok(());
    }
    let name = "exoscalenodeclasses.karpenter.exoscale.com";
    let ours = plane.kubectl(&["get", "crd", name, "-o", "json"]).await?;
    let ours: Value = serde_json::from_str(&ours)?;
    for file in ["exoscalenodeclass-crd.yaml", "exoscalenodeclass-crd-newer.yaml"] {
        let theirs: Value = serde_saphyr::from_str(&std::fs::read_to_string(folder.join(file))?)?;
        for place in ["group", "scope", "names"] {
            assert_eq!(first_missing(&theirs["spec"][place], &ours["spec"][place], place), None);
        }
        let schema = |crd: &Value| crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        let mut missing = Vec::new();
        let (theirs, ours) = (schema(&theirs), schema(&ours));
        for part in ["spec", "status"] {
            let (theirs, ours) = (&theirs["properties"][part], &ours["properties"][part]);
            compare(theirs, ours, part, &mut missing);
        }
        assert!(missing.is_empty(), "{file}:\n{}", missing.join("\n"));
    }
    Ok(())
}

/// What of a schema another one has not, or has otherwise; descriptions and rules aside.
fn compare(theirs: &Value, ours: &Value, place: &str, missing: &mut Vec<String>) {
    let words = [
        "type",
        "default",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
    ];
    // Berth's conditions say less of themselves, and what they say is what Karpenter's say.
    if place.ends_with(".conditions") {
        return;
    }
    for word in words {
        let (theirs, ours) = (&theirs[word], &ours[word]);
        let same_number = theirs.as_f64().is_some() && theirs.as_f64() == ours.as_f64();
        if !theirs.is_null() && theirs != ours && !same_number {
            missing.push(format!("{place}: {word} is {ours}, not {theirs}"));
        }
    }
    for (name, field) in theirs["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match ours["properties"].get(name) {
            Some(ours) => compare(field, ours, &place, missing),
            None => missing.push(format!("{place} is missing")),
        }
    }
    for part in ["items", "additionalProperties"] {
        if theirs[part].is_object() {
            compare(&theirs[part], &ours[part], &format!("{place}[]"), missing);
        }
    }
}
