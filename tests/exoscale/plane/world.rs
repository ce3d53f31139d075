//! The control plane, the fake's process, Prism between them, and two daemons.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_cloud_fakes::exoscale::{Change, Instance, KEY, PRICES, Picture, Timing};
use berth_cloud_fakes::{Call, Process};
use berth_controlplane::{Component, ControlPlane, free_port, until};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::addon::ADDON;
use super::front::Front;
use super::{LIMIT, NAMESPACE, REGISTRY_PASSWORD, install};
use crate::boot::decoded;
use crate::fake;
use crate::prism::Prism;

/// The key of the daemon that leads first, and its secret.
const OTHER: (&str, &str) = ("EXOother000000000000000000", "the-secret-of-the-other");

/// Everything the test works with.
pub struct World {
    pub plane: Arc<ControlPlane>,
    pub fake: Process,
    pub prism: Option<Prism>,
    pub version: String,
    pub cluster_id: String,
    /// Between the daemons and the API server.
    pub front: Front,
    extender: u16,
    metrics: u16,
    /// The daemon that leads first, and the one that kube-scheduler asks.
    first: Option<Component>,
    daemon: Option<Component>,
    /// How many calls there were when the first leader was dead.
    handed_over: usize,
    strangers: BTreeSet<String>,
    _kubelets: JoinSet<()>,
}

pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl World {
    pub async fn new(plane: ControlPlane, extender: u16) -> Self {
        let fake = fake::start().await;
        let change = async |change: Change| fake.change(&json!(change)).await.unwrap();
        let version = plane.client().apiserver_version().await.unwrap().git_version;
        let version = version.trim_start_matches('v').to_owned();
        // Slow enough that everything waits for everything.
        let timing = Timing { operation: Duration::from_millis(1_500), ..Timing::default() };
        change(Change::Timing(timing)).await;
        let cluster_id = change(Change::AddCluster("ours".to_owned(), version.clone())).await;
        let other = change(Change::AddCluster("theirs".to_owned(), version.clone())).await;
        change(Change::AddSksTemplate(version.clone(), "standard".to_owned())).await;
        change(Change::AddSecurityGroup("workers".to_owned())).await;
        change(Change::AddPrivateNetwork("inside".to_owned())).await;
        change(Change::AddElasticIp("203.0.113.7".to_owned())).await;
        for name in ["apart-1", "apart-2"] {
            change(Change::AddAntiAffinityGroup(name.to_owned())).await;
        }
        let addon =
            [("exoscale.com/managed-by", "karpenter"), ("exoscale.com/cluster-id", &*cluster_id)];
        let theirs = [
            ("exoscale.com/managed-by", "berth"),
            ("exoscale.com/cluster-id", &*other),
            ("berth.sh/nodeclaim-uid", "somebodys"),
            ("exoscale.com/node-claim", "workload-a"),
        ];
        let mut strangers = BTreeSet::new();
        for (name, kind, labels) in [
            ("pet", "standard.large", &[][..]),
            ("addon", "standard.small", &addon[..]),
            ("theirs", "standard.small", &theirs[..]),
        ] {
            let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
            let add = Change::AddInstance(name.to_owned(), kind.to_owned(), labels.collect());
            strangers.insert(change(add).await);
        }
        change(Change::AllowOnly(install::policy())).await;
        let keys = [KEY, OTHER, ADDON].map(|(key, secret)| (key.to_owned(), secret.to_owned()));
        change(Change::Keys(keys.into())).await;
        let front = Front::of(&install::install(&plane).await).await;
        let prism = Prism::before(fake.origin()).await;
        let plane = Arc::new(plane);
        let mut kubelets = JoinSet::new();
        kubelets.spawn(install::play_kubelets(Arc::clone(&plane)));
        Self {
            plane,
            fake,
            prism,
            version,
            cluster_id,
            front,
            extender,
            metrics: free_port().unwrap(),
            first: None,
            daemon: None,
            handed_over: 0,
            strangers,
            _kubelets: kubelets,
        }
    }

    /// Starts a daemon, waits until it leads, and then starts the one that kube-scheduler asks.
    pub async fn lead_with_another(&mut self) {
        let (extender, metrics) = (free_port().unwrap(), free_port().unwrap());
        self.first = Some(self.start("berth-first", OTHER, extender, metrics));
        let leases: Api<Lease> = Api::namespaced(self.plane.client(), "berth-system");
        let leads = until("the first daemon leads", LIMIT, || async {
            let lease = leases.get_opt("berth").await.map_err(text)?;
            let holder = lease.and_then(|lease| lease.spec?.holder_identity);
            if holder.as_deref() == Some("berth-first") {
                Ok(())
            } else {
                Err(format!("{holder:?}"))
            }
        });
        leads.await.unwrap_or_else(|error| self.fail(&error));
        self.daemon = Some(self.start("berth", KEY, self.extender, self.metrics));
    }

    /// Where the cloud's API is: behind Prism, where that can be had.
    pub fn endpoint(&self) -> String {
        let fake = || format!("{}/v2", self.fake.origin());
        self.prism.as_ref().map_or_else(fake, Prism::endpoint)
    }

    fn start(&self, name: &str, key: (&str, &str), extender: u16, metrics: u16) -> Component {
        let credentials = self.plane.logs_dir().join("..").join(format!("{name}-key"));
        std::fs::create_dir_all(&credentials).unwrap();
        std::fs::write(credentials.join("EXOSCALE_API_KEY"), key.0).unwrap();
        std::fs::write(credentials.join("EXOSCALE_API_SECRET"), key.1).unwrap();
        let origin = self.fake.origin();
        let endpoint = self.endpoint();
        let arguments = [
            "serve".to_owned(),
            format!("--identity={name}"),
            format!("--kubeconfig={}", self.front.kubeconfig().display()),
            "--provider=exoscale".to_owned(),
            "--exoscale-zone=ch-gva-2".to_owned(),
            format!("--exoscale-cluster-id={}", self.cluster_id),
            format!("--exoscale-credentials={}", credentials.display()),
            format!("--exoscale-api-endpoint={endpoint}"),
            format!("--exoscale-prices={origin}{PRICES}"),
            format!("--extender-address=127.0.0.1:{extender}"),
            format!("--metrics-address=127.0.0.1:{metrics}"),
            format!("--health-address=127.0.0.1:{}", free_port().unwrap()),
        ];
        let binary = Path::new(env!("CARGO_BIN_EXE_berth"));
        self.plane.spawn(name, binary, arguments.to_vec()).unwrap()
    }

    /// Fails with what the daemons said last, and at the end, where it is found, with the error.
    pub fn fail(&self, error: &dyn std::fmt::Display) -> ! {
        let tail = |one: &Option<Component>| one.as_ref().map(Component::tail).unwrap_or_default();
        panic!("{}\n{}\n{error}", tail(&self.first), tail(&self.daemon));
    }

    pub async fn change(&self, change: Change) -> String {
        self.fake.change(&json!(change)).await.unwrap()
    }

    async fn picture(&self) -> Result<Picture, String> {
        serde_json::from_value(self.fake.picture().await.map_err(text)?).map_err(text)
    }

    /// This cluster's instances, by id.
    pub async fn instances(&self) -> Result<BTreeMap<String, Instance>, String> {
        let all = self.picture().await?.instances.into_iter();
        let ours = all.filter(|one| !self.strangers.contains(&one.id));
        Ok(ours.map(|one| (one.id.clone(), one)).collect())
    }

    /// Objects of one of Karpenter's kinds.
    pub fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("karpenter.sh", "v1", kind));
        Api::all_with(self.plane.client(), &resource)
    }

    pub async fn claims(&self) -> Result<Vec<DynamicObject>, String> {
        let claims = self.objects("NodeClaim");
        Ok(claims.list(&ListParams::default()).await.map_err(text)?.items)
    }

    pub async fn nodes(&self) -> Result<Vec<String>, String> {
        let nodes: Api<Node> = Api::all(self.plane.client());
        let list = nodes.list(&ListParams::default()).await.map_err(text)?;
        Ok(list.items.into_iter().filter_map(|node| node.metadata.name).collect())
    }

    /// What may keep a node where it is, for messages: conditions of claims and nodes, and pods.
    pub async fn said_of_nodes(&self) -> Result<String, String> {
        let mut lines = Vec::new();
        for claim in self.claims().await? {
            let conditions = claim.data["status"]["conditions"].as_array();
            let is_true = |one: &&Value| one["status"] == "True";
            let kinds = conditions.into_iter().flatten().filter(is_true).map(|one| &one["type"]);
            let kinds: Vec<&str> = kinds.filter_map(Value::as_str).collect();
            let deleted = claim.metadata.deletion_timestamp.map(|at| format!("deleted {at:?}"));
            lines.push(format!("claim {} {kinds:?} {deleted:?}", claim.metadata.name.unwrap()));
        }
        let nodes: Api<Node> = Api::all(self.plane.client());
        for node in nodes.list(&ListParams::default()).await.map_err(text)?.items {
            let ready = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let ready = ready.into_iter().find(|one| one.type_ == "Ready");
            let ready = ready.map(|one| (one.status, one.last_heartbeat_time));
            let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
            let taints: Vec<String> = taints.into_iter().map(|taint| taint.key).collect();
            lines.push(format!("node {} {ready:?} {taints:?}", node.metadata.name.unwrap()));
        }
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), NAMESPACE);
        for pod in pods.list(&ListParams::default()).await.map_err(text)?.items {
            let node = pod.spec.and_then(|spec| spec.node_name);
            let phase = pod.status.and_then(|status| status.phase);
            let deleted = pod.metadata.deletion_timestamp.map(|at| format!("deleted {at:?}"));
            let name = pod.metadata.name.unwrap();
            lines.push(format!("pod {name} {phase:?} on {node:?} {deleted:?}"));
        }
        Ok(lines.join("\n"))
    }

    pub async fn tokens(&self) -> Result<Vec<String>, String> {
        let secrets: Api<Secret> = Api::namespaced(self.plane.client(), "kube-system");
        let params = ListParams::default().labels("berth.sh/nodeclaim-uid");
        let list = secrets.list(&params).await.map_err(text)?;
        Ok(list.items.into_iter().filter_map(|token| token.metadata.name).collect())
    }

    /// Waits until every claim has an instance that is not up yet; gives how many.
    pub async fn until_all_are_starting(&self) -> usize {
        let starting = until("every claim has an instance", LIMIT, || async {
            let claims = self.claims().await?.into_iter();
            let claims: BTreeSet<String> = claims.filter_map(|claim| claim.metadata.name).collect();
            let instances = self.instances().await?;
            let asked: BTreeSet<String> = instances.values().map(claim_of).collect();
            let starting = instances.values().filter(|one| one.state == "starting").count();
            if !claims.is_empty() && claims == asked && starting > 0 {
                Ok(starting)
            } else {
                Err(format!("{} claims, {} have instances", claims.len(), asked.len()))
            }
        });
        starting.await.unwrap_or_else(|error| self.fail(&error))
    }

    /// Kills the first daemon as a lost machine would.
    pub async fn kill_the_leader(&mut self) {
        if let Some(first) = &self.first {
            first.stop();
        }
        self.handed_over = self.fake.journal().await.unwrap().len();
    }

    pub async fn until_running(&self, count: usize) {
        let pods: Api<Pod> = Api::namespaced(self.plane.client(), NAMESPACE);
        let running = until("the pods run", LIMIT, || async {
            let list = pods.list(&ListParams::default()).await.map_err(text)?;
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
    pub async fn assert_one_instance_a_claim(&self) -> BTreeSet<String> {
        let paired = until("claims and instances are pairs", LIMIT, || async {
            let recorded: BTreeMap<String, String> = self
                .claims()
                .await?
                .iter()
                .filter_map(|claim| {
                    let id = claim.data["status"]["providerID"].as_str()?;
                    let id = id.trim_start_matches("exoscale://").to_owned();
                    Some((claim.metadata.name.clone()?, id))
                })
                .collect();
            let instances = self.instances().await?;
            let labelled: BTreeMap<String, String> =
                instances.values().map(|one| (claim_of(one), one.id.clone())).collect();
            if recorded == labelled && labelled.len() == instances.len() {
                Ok(instances.into_keys().collect())
            } else {
                Err(format!("{recorded:?} {labelled:?}, {} instances", instances.len()))
            }
        });
        paired.await.unwrap_or_else(|error| self.fail(&error))
    }

    /// Two daemons ran and one led: what changed something was the leader's, first and last.
    pub async fn assert_only_the_leader_changed_anything(&self) {
        let journal = self.fake.journal().await.unwrap();
        let (before, after) = journal.split_at(self.handed_over);
        let changes = |calls: &[Call]| -> BTreeSet<String> {
            let changes = calls.iter().filter(|call| call.method != "GET");
            let by_daemons = changes.filter(|call| !is_addons(call));
            by_daemons.filter_map(|call| call.caller.clone()).collect()
        };
        assert_eq!(changes(before), [OTHER.0.to_owned()].into());
        assert!(!changes(after).contains(OTHER.0), "the dead leader");
        let looked = after.iter().any(|call| call.caller.as_deref() == Some(KEY.0));
        assert!(looked, "the other daemon took over");
    }

    /// From the beginning: never two instances of a claim at a time, no call refused for want of a
    /// right, and every change about this cluster's instances.
    pub async fn assert_journal_is_clean(&self) {
        let journal = self.fake.journal().await.unwrap();
        let refused: Vec<&Call> = journal.iter().filter(|call| call.status == Some(403)).collect();
        assert!(refused.is_empty(), "{refused:?}");
        let calls = |operation: &'static str| {
            journal.iter().filter(move |call| call.operation == operation)
        };
        let mut made = BTreeSet::new();
        for call in calls("create-instance") {
            assert_eq!(call.body["labels"]["exoscale.com/cluster-id"], json!(self.cluster_id));
            made.extend(call.subject().map(str::to_owned));
        }
        for call in calls("delete-instance") {
            let id = call.path.trim_start_matches("/instance/").to_owned();
            assert!(made.contains(&id), "{call:?}");
        }
        let picture = self.picture().await.unwrap();
        let mut lives: BTreeMap<String, Vec<&Instance>> = BTreeMap::new();
        for one in &picture.past {
            lives.entry(claim_of(one)).or_default().push(one);
        }
        for lives in lives.values() {
            let mut lives = lives.clone();
            lives.sort_by_key(|one| one.created);
            let apart =
                |pair: &[&Instance]| pair[0].ended.is_some_and(|end| end <= pair[1].created);
            assert!(lives.windows(2).all(apart), "{lives:?}");
        }
        let left: BTreeSet<String> = picture.instances.into_iter().map(|one| one.id).collect();
        assert_eq!(left, self.strangers);
        let (deletes, total) = (calls("delete-instance").count(), journal.len());
        println!("{} instances, {deletes} deletes, {total} calls in all", made.len());
    }

    /// Every instance was told what its class says of registries.
    pub async fn assert_first_boots_were_told(&self) {
        let journal = self.fake.journal().await.unwrap();
        let creates = journal.iter().filter(|call| call.operation == "create-instance");
        for call in creates.filter(|call| !is_addons(call)) {
            let told = decoded(call.body["user-data"].as_str().unwrap());
            let password = &told["settings"]["container-registry"]["credentials"][0]["password"];
            assert_eq!(password.as_str(), Some(REGISTRY_PASSWORD));
        }
    }

    /// The secrets of the keys, and that of the registry, are in no log, no metric, no event and no
    /// object.
    pub async fn assert_secrets_are_nowhere(&self) {
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(self.plane.logs_dir()).unwrap() {
            let path = entry.unwrap().path();
            let read = std::fs::read_to_string(&path).unwrap_or_default();
            texts.push((path.display().to_string(), read));
        }
        let kinds = "events,nodeclaims,nodepools,exoscalenodeclasses,nodes,secrets,configmaps";
        let objects = self.plane.kubectl(&["get", kinds, "-A", "-o", "yaml"]).await.unwrap();
        texts.push(("the cluster".to_owned(), objects));
        texts.push(("metrics".to_owned(), metrics(self.metrics).await));
        for (place, text) in texts {
            for secret in [KEY.1, OTHER.1, ADDON.1, REGISTRY_PASSWORD] {
                assert!(!text.contains(secret), "{place}");
            }
        }
    }
}

/// The name of the NodeClaim that an instance is for.
fn claim_of(instance: &Instance) -> String {
    instance.labels["exoscale.com/node-claim"].clone()
}

fn is_addons(call: &Call) -> bool {
    call.caller.as_deref() == Some(ADDON.0)
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
