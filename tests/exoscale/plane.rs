//! The appliance on a real control plane, with the fake as its cloud: pods are pending, instances
//! are created, nodes register, fewer pods need fewer nodes, a new template replaces them all, and
//! at no pods there is no instance. The daemon has the rights that are shipped, and its key those
//! of the shipped IAM policy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_cloud_fakes::exoscale::Fake;
use berth_controlplane::{Component, ControlPlane, Extender, free_port, until};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::prism::Prism;

/// Nothing that the test waits for may take longer.
const LIMIT: Duration = Duration::from_secs(240);
const NAMESPACE: &str = "default";
const PODS: usize = 30;
const FEW: usize = 6;
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// What must never leave the daemon but in a signature.
const SECRET: &str = "the-secret-of-the-fake";

/// Everything the test works with.
struct World {
    plane: Arc<ControlPlane>,
    fake: Fake,
    prism: Option<Prism>,
    daemon: Component,
    metrics: u16,
    cluster_id: String,
    version: String,
    strangers: BTreeSet<String>,
    _kubelets: JoinSet<()>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_get_instances_that_follow_them_down_to_none_and_nothing_foreign_goes() {
    let test = "pods_get_instances_that_follow_them_down_to_none_and_nothing_foreign_goes";
    let (extender, metrics) = (free_port().unwrap(), free_port().unwrap());
    let asked = Extender::at(format!("http://127.0.0.1:{extender}"));
    let Some(plane) = ControlPlane::builder().extender(asked).start_or_skip(test).await else {
        return;
    };
    let world = World::new(plane, extender, metrics).await;
    create_deployment(&world.plane, PODS).await;
    world.until_running(PODS).await;
    let before = world.assert_one_instance_a_claim().await;
    println!("{PODS} pods run on {} instances", before.len());
    let tokens = world.tokens().await;
    assert_eq!(tokens, [""; 0], "a token ends when its node has joined");

    scale(&world.plane, FEW).await;
    world.until_running(FEW).await;
    let fewer = until("fewer instances do", LIMIT, || async {
        let now = world.instances();
        let settled = world.claims().await?.len() == now.len();
        if settled && now.len() < before.len() {
            Ok(now)
        } else {
            Err(format!("{} left", now.len()))
        }
    });
    let fewer = fewer.await.unwrap_or_else(|error| world.fail(&error));
    println!("{FEW} pods run on {} instances", fewer.len());

    let newer = world.fake.world(|fake| fake.add_sks_template(&world.version, "standard"));
    let replaced = until("every instance has the new template", LIMIT, || async {
        let now = world.fake.world(|fake| {
            let ours = fake.instances.values().filter(|one| !world.strangers.contains(&one.id));
            ours.map(|one| one.template.clone()).collect::<Vec<_>>()
        });
        let settled = world.claims().await?.len() == now.len();
        let all = !now.is_empty() && now.iter().all(|template| *template == newer);
        if settled && all { Ok(now.len()) } else { Err(format!("{now:?}")) }
    });
    let replaced = replaced.await.unwrap_or_else(|error| world.fail(&error));
    world.until_running(FEW).await;
    println!("drift: {replaced} instances with the new template");
    world.assert_one_instance_a_claim().await;

    scale(&world.plane, 0).await;
    let empty = until("no instance is left", LIMIT, || async {
        let (claims, instances) = (world.claims().await?.len(), world.instances().len());
        let nodes = world.nodes().await?;
        if claims == 0 && instances == 0 && nodes.is_empty() {
            return Ok(());
        }
        Err(format!("{claims} claims, {instances} instances, nodes {nodes:?}"))
    });
    empty.await.unwrap_or_else(|error| world.fail(&error));
    world.assert_journal_is_clean();
    world.assert_policy_is_exact();
    world.assert_secret_is_nowhere().await;
    if let Some(prism) = &world.prism {
        prism.assert_no_violation();
    }
}

impl World {
    async fn new(plane: ControlPlane, extender: u16, metrics: u16) -> Self {
        let fake = Fake::start().await.unwrap();
        let version = plane.client().apiserver_version().await.unwrap().git_version;
        let version = version.trim_start_matches('v').to_owned();
        let (cluster_id, strangers) = fake.world(|world| {
            // Slow enough that everything waits for everything.
            world.timing.operation = Duration::from_millis(1_500);
            let id = world.add_cluster("ours", &version);
            let other = world.add_cluster("theirs", &version);
            world.add_sks_template(&version, "standard");
            world.add_security_group("workers");
            world.add_private_network("inside");
            let addon =
                [("exoscale.com/managed-by", "karpenter"), ("exoscale.com/cluster-id", &id)];
            let theirs = [
                ("exoscale.com/managed-by", "berth"),
                ("exoscale.com/cluster-id", other.as_str()),
                ("berth.sh/nodeclaim-uid", "somebodys"),
                ("exoscale.com/node-claim", "workload-a"),
            ];
            let strangers = [
                world.add_instance("pet", "standard.large", &[]),
                world.add_instance("addon", "standard.small", &addon),
                world.add_instance("theirs", "standard.small", &theirs),
            ];
            (id, strangers.into_iter().collect())
        });
        fake.allow_only(&policy());
        let kubeconfig = install(&plane).await;
        let prism = Prism::before(&fake).await;
        let endpoint = prism.as_ref().map_or_else(|| fake.endpoint(), Prism::endpoint);
        let credentials = plane.logs_dir().join("../exoscale");
        std::fs::create_dir_all(&credentials).unwrap();
        let (key, secret) = fake.key();
        std::fs::write(credentials.join("EXOSCALE_API_KEY"), key).unwrap();
        std::fs::write(credentials.join("EXOSCALE_API_SECRET"), secret).unwrap();
        let health = free_port().unwrap();
        let arguments = [
            "serve".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            "--provider=exoscale".to_owned(),
            "--exoscale-zone=ch-gva-2".to_owned(),
            format!("--exoscale-cluster-id={cluster_id}"),
            format!("--exoscale-credentials={}", credentials.display()),
            format!("--exoscale-api-endpoint={endpoint}"),
            format!("--exoscale-prices={}", fake.prices_address()),
            format!("--extender-address=127.0.0.1:{extender}"),
            format!("--metrics-address=127.0.0.1:{metrics}"),
            format!("--health-address=127.0.0.1:{health}"),
        ];
        let binary = Path::new(env!("CARGO_BIN_EXE_berth"));
        let daemon = plane.spawn("berth", binary, arguments.to_vec()).unwrap();
        let plane = Arc::new(plane);
        let mut kubelets = JoinSet::new();
        kubelets.spawn(play_kubelets(Arc::clone(&plane)));
        Self {
            plane,
            fake,
            prism,
            daemon,
            metrics,
            cluster_id,
            version,
            strangers,
            _kubelets: kubelets,
        }
    }

    fn fail(&self, error: &dyn std::fmt::Display) -> ! {
        panic!("{error}\n{}", self.daemon.tail());
    }

    /// The ids of this cluster's instances.
    fn instances(&self) -> BTreeSet<String> {
        let all = self.fake.world(|world| world.instances.keys().cloned().collect::<BTreeSet<_>>());
        all.difference(&self.strangers).cloned().collect()
    }

    async fn claims(&self) -> Result<Vec<DynamicObject>, String> {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("karpenter.sh", "v1", "NodeClaim"));
        let claims: Api<DynamicObject> = Api::all_with(self.plane.client(), &resource);
        let list = claims.list(&ListParams::default()).await;
        Ok(list.map_err(|error| error.to_string())?.items)
    }

    async fn nodes(&self) -> Result<Vec<String>, String> {
        let nodes: Api<Node> = Api::all(self.plane.client());
        let list = nodes.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        Ok(list.items.into_iter().filter_map(|node| node.metadata.name).collect())
    }

    async fn tokens(&self) -> Vec<String> {
        let secrets: Api<Secret> = Api::namespaced(self.plane.client(), "kube-system");
        let params = ListParams::default().labels("berth.sh/nodeclaim-uid");
        let list = secrets.list(&params).await.unwrap();
        list.items.into_iter().filter_map(|token| token.metadata.name).collect()
    }

    async fn until_running(&self, count: usize) {
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), NAMESPACE);
        let running = until("the pods run", LIMIT, || async {
            let list =
                pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let runs = |pod: &&Pod| {
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
            };
            let running = list.items.iter().filter(runs).count();
            if running == count && list.items.len() == count {
                Ok(())
            } else {
                Err(format!("{running} of {} run", list.items.len()))
            }
        });
        running.await.unwrap_or_else(|error| self.fail(&error));
    }

    /// Claims and instances are one to one, and name each other; gives the instances.
    async fn assert_one_instance_a_claim(&self) -> BTreeSet<String> {
        let paired = until("claims and instances are pairs", LIMIT, || async {
            let recorded: BTreeMap<String, String> = self
                .claims()
                .await?
                .iter()
                .filter_map(|claim| {
                    let id = claim.data["status"]["providerID"].as_str()?;
                    let id = id.trim_start_matches("exoscale://").to_owned();
                    Some((claim.metadata.uid.clone()?, id))
                })
                .collect();
            let labelled: BTreeMap<String, String> = self.fake.world(|world| {
                let ours = world.instances.values().filter(|one| !self.strangers.contains(&one.id));
                ours.map(|one| (one.labels["berth.sh/nodeclaim-uid"].clone(), one.id.clone()))
                    .collect()
            });
            let count = self.instances().len();
            if recorded == labelled && labelled.len() == count {
                Ok(self.instances())
            } else {
                Err(format!("{recorded:?} {labelled:?}, {count} instances"))
            }
        });
        paired.await.unwrap_or_else(|error| self.fail(&error))
    }

    /// From the beginning: one create a claim, and every change about this cluster's instances.
    fn assert_journal_is_clean(&self) {
        let mut creates: BTreeMap<String, usize> = BTreeMap::new();
        let mut made = BTreeSet::new();
        for call in self.fake.calls("create-instance") {
            assert_eq!(call.body["labels"]["exoscale.com/cluster-id"], json!(self.cluster_id));
            let uid = call.body["labels"]["berth.sh/nodeclaim-uid"].as_str().unwrap().to_owned();
            *creates.entry(uid).or_default() += 1;
            made.extend(call.subject().map(str::to_owned));
        }
        assert!(creates.values().all(|count| *count == 1), "{creates:?}");
        for call in self.fake.calls("delete-instance") {
            let id = call.path.trim_start_matches("/instance/").to_owned();
            assert!(made.contains(&id), "{call:?}");
        }
        let left =
            self.fake.world(|world| world.instances.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(left, self.strangers);
        let total = self.fake.journal().len();
        println!(
            "{} creates, {} deletes, {total} calls in all",
            made.len(),
            self.fake.calls("delete-instance").len()
        );
    }

    /// No call was refused for want of a right, and every compute right of the policy is of an
    /// endpoint that the client has.
    fn assert_policy_is_exact(&self) {
        let refused: Vec<_> =
            self.fake.journal().into_iter().filter(|call| call.status == Some(403)).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }

    /// The secret of the key is in no log, no metric, no event and no object.
    async fn assert_secret_is_nowhere(&self) {
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(self.plane.logs_dir()).unwrap() {
            let path = entry.unwrap().path();
            texts.push((
                path.display().to_string(),
                std::fs::read_to_string(&path).unwrap_or_default(),
            ));
        }
        let kinds = "events,nodeclaims,nodepools,exoscalenodeclasses,nodes,secrets,configmaps";
        let objects = self.plane.kubectl(&["get", kinds, "-A", "-o", "yaml"]).await.unwrap();
        texts.push(("the cluster".to_owned(), objects));
        texts.push(("metrics".to_owned(), metrics(self.metrics).await));
        for (place, text) in texts {
            assert!(!text.contains(SECRET), "{place}");
        }
    }
}

async fn metrics(port: u16) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("karpenter_"), "{text}");
    text
}

/// The operations that the shipped policy allows.
fn policy() -> Vec<String> {
    let path = Path::new(REPOSITORY).join("deploy/options/exoscale/iam-policy.json");
    let policy: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(policy["default-service-strategy"], "deny");
    let rule = policy["services"]["compute"]["rules"][0]["expression"].as_str().unwrap();
    rule.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Installs what is shipped for Exoscale; gives the daemon's kubeconfig.
async fn install(plane: &ControlPlane) -> PathBuf {
    // kustomize takes relative paths only.
    let folder = tempfile::tempdir_in(Path::new(REPOSITORY).join("target")).unwrap();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../deploy"],
        "components": ["../../deploy/options/exoscale"],
    });
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let path = folder.path().display().to_string();
    plane.kubectl(&["apply", "--server-side", "-k", &path]).await.unwrap();
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await.unwrap();
    // Its own pods find no node here and are none of the test's.
    plane.kubectl(&["delete", "deployments", "-n", "berth-system", "--all"]).await.unwrap();
    let class = json!({
        "apiVersion": "karpenter.exoscale.com/v1",
        "kind": "ExoscaleNodeClass",
        "metadata": { "name": "standard" },
        "spec": {
            "imageTemplateSelector": {},
            "securityGroupSelectorTerms": [{ "name": "workers" }],
            "privateNetworkSelectorTerms": [{ "name": "inside" }],
        },
    });
    let pool = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "workload" },
        "spec": {
            "template": { "spec": {
                "nodeClassRef": {
                    "group": "karpenter.exoscale.com", "kind": "ExoscaleNodeClass", "name": "standard",
                },
                "requirements": [
                    { "key": "exoscale.com/instance-family", "operator": "In", "values": ["standard"] },
                ],
                "expireAfter": "Never",
            }},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "1s",
                "budgets": [{ "nodes": "100%" }],
            },
        },
    });
    for object in [class, pool] {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let kind = object.types.clone().unwrap();
        let (group, version) = kind.api_version.split_once('/').unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind.kind));
        let api: Api<DynamicObject> = Api::all_with(plane.client(), &resource);
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    plane.kubeconfig_for_service_account("berth-system", "berth").await.unwrap()
}

/// What a machine's kubelet is to a Node: kwok plays it from now on. It takes a Node that it knows
/// without the annotation only when it starts anew.
async fn play_kubelets(plane: Arc<ControlPlane>) {
    let nodes: Api<Node> = Api::all(plane.client());
    loop {
        let mut joined = false;
        if let Ok(list) = nodes.list(&ListParams::default()).await {
            for node in list.items {
                let annotations = node.metadata.annotations.unwrap_or_default();
                let name = node.metadata.name.unwrap_or_default();
                if !annotations.contains_key("kwok.x-k8s.io/node") {
                    let patch =
                        json!({ "metadata": { "annotations": { "kwok.x-k8s.io/node": "fake" } } });
                    let patched =
                        nodes.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
                    joined |= patched.is_ok();
                }
            }
        }
        if joined {
            plane.kwok().unwrap().restart().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn create_deployment(plane: &ControlPlane, replicas: usize) {
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{ "name": "main", "image": "none", "resources": {
                        "requests": { "cpu": "700m", "memory": "1Gi" },
                    }}],
                },
            },
        },
    });
    let deployment = serde_json::from_value(deployment).unwrap();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
}

async fn scale(plane: &ControlPlane, replicas: usize) {
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    deployments.patch("web", &PatchParams::default(), &patch).await.unwrap();
}
