//! What the managed Karpenter add-on leaves behind: its machines, Nodes and NodeClaims, as Exoscale's
//! provider makes them, with pods on them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth::clock::Clock;
use berth::exoscale::compute::NewInstance;
use berth::exoscale::network::Reference;
use berth::exoscale::{Client, CredentialSource, Credentials, Settings};
use berth_controlplane::until;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::world::{World, text};
use super::{LIMIT, NAMESPACE, trouble};

/// Its key, and its secret.
pub const ADDON: (&str, &str) = ("EXOaddon000000000000000000", "the-secret-of-the-addon");
/// Its machines: their NodeClaims' names.
const NAMES: [&str; 2] = ["workload-x7k2p", "workload-q9d4m"];
/// How many pods they carry.
pub const PODS: usize = 4;
const TYPE: &str = "standard.medium";
const PATIENCE: Duration = Duration::from_secs(60);

/// What must be the same after it is left: the NodeClaims' UIDs, the machines that they record, and
/// each pod's UID and node.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    claims: BTreeMap<String, String>,
    machines: BTreeSet<String>,
    pods: BTreeMap<String, String>,
}

/// Runs two machines as the add-on would.
pub async fn run(world: &World) {
    let key = Credentials::new(ADDON.0, ADDON.1, "a test").unwrap();
    let (endpoint, settings) = (world.endpoint(), Settings::default());
    let client =
        Client::new(&endpoint, CredentialSource::Fixed(key), Clock::system(), settings).unwrap();
    for (index, name) in NAMES.into_iter().enumerate() {
        let id = machine(world, &client, name, index).await;
        claim(world, name, &id).await;
    }
}

async fn machine(world: &World, client: &Client, name: &str, index: usize) -> String {
    let types = client.instance_types().await.unwrap();
    let kind = types.iter().find(|kind| kind.name() == TYPE).unwrap();
    let template = client.sks_template(&world.version, "standard").await.unwrap().unwrap();
    let groups = client.security_groups().await.unwrap();
    let apart = client.anti_affinity_groups().await.unwrap();
    let labels = [
        ("exoscale.com/managed-by", "karpenter"),
        ("exoscale.com/cluster-id", &*world.cluster_id),
        ("exoscale.com/node-claim", name),
        ("exoscale.com/nodepool-name", "workload"),
    ];
    let new = NewInstance {
        name: name.to_owned(),
        instance_type: Reference::to(&kind.id),
        template: Reference::to(template),
        disk_size: 50,
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        user_data: "Zm9v".to_owned(),
        security_groups: groups.iter().map(|group| Reference::to(&group.id)).collect(),
        anti_affinity_groups: vec![Reference::to(&apart[index].id)],
        public_ip_assignment: "inet4",
        ssh_keys: Vec::new(),
    };
    let began = client.create_instance(&new).await.unwrap();
    let id = began.subject().unwrap().to_owned();
    client.wait("create-instance", began, PATIENCE).await.unwrap();
    for network in client.private_networks().await.unwrap() {
        let began = client.attach_private_network(&network.id, &id).await.unwrap();
        client.wait("attach", began, PATIENCE).await.unwrap();
    }
    for elastic_ip in client.elastic_ips().await.unwrap() {
        let began = client.attach_elastic_ip(&elastic_ip.id, &id).await.unwrap();
        client.wait("attach", began, PATIENCE).await.unwrap();
    }
    id
}

/// The labels of a node of its: it sets no `topology.kubernetes.io/zone`.
fn labels(name: &str) -> BTreeMap<&'static str, String> {
    [
        ("karpenter.sh/nodepool", "workload"),
        ("karpenter.sh/capacity-type", "on-demand"),
        ("node.kubernetes.io/instance-type", TYPE),
        ("topology.kubernetes.io/region", "ch-gva-2"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/os", "linux"),
        ("exoscale.com/instance-family", "standard"),
        ("exoscale.com/instance-size", "medium"),
        ("karpenter.exoscale.com/exoscalenodeclass", "standard"),
        ("kubernetes.io/hostname", name),
        ("karpenter.sh/registered", "true"),
        ("karpenter.sh/initialized", "true"),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .into()
}

async fn claim(world: &World, name: &str, id: &str) {
    let provider_id = format!("exoscale://{id}");
    let pools: Api<DynamicObject> = world.objects("NodePool");
    let pool = pools.get("workload").await.unwrap().metadata.uid.unwrap();
    let of_node = ["kubernetes.io/hostname", "karpenter.sh/registered", "karpenter.sh/initialized"];
    let node_labels = labels(name);
    let mut own = node_labels.clone();
    own.retain(|key, _| !of_node.contains(key));
    let requirements: Vec<Value> = own
        .iter()
        .map(|(key, value)| json!({ "key": key, "operator": "In", "values": [value] }))
        .collect();
    let capacity = json!({
        "cpu": "2", "memory": "4Gi", "ephemeral-storage": "50Gi", "pods": "110",
    });
    let allocatable = json!({
        "cpu": "1700m", "memory": "3696Mi", "ephemeral-storage": "46Gi", "pods": "110",
    });
    let claims: Api<DynamicObject> = world.objects("NodeClaim");
    let object = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": name,
            "labels": own,
            "annotations": {
                "karpenter.sh/nodepool-hash": "16233948612310872054",
                "karpenter.sh/nodepool-hash-version": "v3",
                "karpenter.exoscale.com/configuration-hash": "9134620587321164873",
            },
            "finalizers": ["karpenter.sh/termination"],
            "ownerReferences": [{
                "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "name": "workload",
                "uid": pool, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "nodeClassRef": {
                "group": "karpenter.exoscale.com", "kind": "ExoscaleNodeClass", "name": "standard",
            },
            "requirements": requirements,
            "resources": { "requests": { "cpu": "1400m", "memory": "2Gi", "pods": "2" } },
            "expireAfter": "Never",
        },
    });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    claims.create(&PostParams::default(), &object).await.unwrap();
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": kind, "message": "",
            "lastTransitionTime": "2026-11-27T00:00:00Z", "observedGeneration": 1,
        })
    };
    let conditions = ["Launched", "Registered", "Initialized", "Ready"].map(condition);
    let status = json!({ "status": {
        "providerID": provider_id, "nodeName": name, "capacity": capacity,
        "allocatable": allocatable, "conditions": conditions,
    }});
    let params = PatchParams::default();
    claims.patch_status(name, &params, &Patch::Merge(status)).await.unwrap();
    let nodes: Api<Node> = Api::all(world.plane.client());
    let node = json!({
        "metadata": {
            "name": name, "labels": node_labels, "finalizers": ["karpenter.sh/termination"],
        },
        "spec": { "providerID": provider_id },
        "status": {
            "capacity": capacity, "allocatable": allocatable,
            "addresses": [{ "type": "Hostname", "address": name }],
            "nodeInfo": {
                "systemUUID": id, "machineID": "", "bootID": "", "kernelVersion": "",
                "osImage": "", "containerRuntimeVersion": "", "kubeletVersion": "",
                "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64",
            },
        },
    });
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
}

/// What there is of it now.
pub async fn held(world: &World) -> Result<Held, String> {
    let claims = world.claims().await?;
    let recorded = |claim: &DynamicObject| {
        let id = claim.data["status"]["providerID"].as_str()?;
        Some(id.trim_start_matches("exoscale://").to_owned())
    };
    let machines: BTreeSet<String> = claims.iter().filter_map(recorded).collect();
    let there = world.instances().await?;
    let machines = machines
        .into_iter()
        .filter(|id| there.get(id).is_some_and(|one| one.state == "running"))
        .collect();
    let claims = claims
        .into_iter()
        .filter(|claim| claim.metadata.deletion_timestamp.is_none())
        .filter_map(|claim| Some((claim.metadata.name?, claim.metadata.uid?)))
        .collect();
    let pods: Api<Pod> = Api::namespaced(world.plane.client(), NAMESPACE);
    let pods = pods.list(&ListParams::default()).await.map_err(text)?.items;
    let pods = pods
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| Some((pod.metadata.uid?, pod.spec?.node_name?)))
        .collect();
    Ok(Held { claims, machines, pods })
}

/// The README's way: everything is kept still, the add-on goes, Berth comes and looks at everything,
/// and all is as it was.
pub async fn leave(world: &mut World) {
    budgets(world, "0").await;
    let before = held(world).await.unwrap();
    assert_eq!((before.claims.len(), before.machines.len()), (NAMES.len(), NAMES.len()));
    assert_eq!(before.pods.len(), PODS, "{before:?}");
    let called = world.fake.journal().await.unwrap().len();
    trouble::with_the_first_look(world).await;
    world.lead_with_another().await;
    let looked = until("Berth has looked at every machine", LIMIT, || async {
        let journal = world.fake.journal().await.map_err(text)?;
        let calls = |operation: &str, path: &str| {
            let is = |call: &&berth_cloud_fakes::Call| {
                call.operation == operation && call.path.starts_with(path)
            };
            journal[called..].iter().filter(is).count()
        };
        // Node classes are resolved, drift is looked for in each machine, and machines are listed.
        let seen =
            before.machines.iter().all(|id| calls("get-instance", &format!("/instance/{id}")) > 0);
        let lists = calls("list-instances", "/instance");
        if seen && lists > 2 { Ok(()) } else { Err(format!("{lists} lists")) }
    });
    looked.await.unwrap_or_else(|error| world.fail(&error));
    assert_eq!(held(world).await.unwrap(), before, "none is lost, made anew or moved");
    let changed: Vec<_> = world.fake.journal().await.unwrap().split_off(called);
    let changed: Vec<_> = changed.iter().filter(|call| call.method != "GET").collect();
    assert!(changed.is_empty(), "{changed:?}");
    for claim in world.claims().await.unwrap() {
        let conditions = claim.data["status"]["conditions"].as_array().unwrap();
        let drifts = conditions.iter().find(|one| one["type"].as_str().unwrap().contains("Drift"));
        assert_eq!(drifts, None, "a hash of the add-on's way is no drift");
    }
    budgets(world, "100%").await;
    println!("{} nodes of the add-on are Berth's now", NAMES.len());
}

/// The README's command.
pub async fn budgets(world: &World, nodes: &str) {
    let patch =
        json!({ "spec": { "disruption": { "budgets": [{ "nodes": nodes }] } } }).to_string();
    let command = ["patch", "nodepools", "workload", "--type", "merge", "-p", &patch];
    world.plane.kubectl(&command).await.unwrap();
}
