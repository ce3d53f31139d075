//! Looks at every state of budgets, pods and nodes that the API server shows while a cluster is
//! disrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::workload::NAMESPACE;
use crate::world::{PLANNED_PODS, World};

/// What the API server has shown.
#[derive(Debug, Default)]
struct Records {
    /// How many states of budgets there were.
    budgets: usize,
    /// Those with fewer healthy pods than there must be.
    broken: Vec<String>,
    /// The pods that were there at the beginning, by UID.
    old: BTreeSet<String>,
    /// Those that have come since: when they were made, and their nodes.
    new: BTreeMap<String, (Time, Option<String>)>,
    /// When nodes became ready, by name.
    ready: BTreeMap<String, Time>,
}

/// What became of it.
#[derive(Debug)]
pub struct Seen {
    /// What must not be.
    pub wrong: Vec<String>,
    budgets: usize,
    new: usize,
    waited: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budgets, new, waited, .. } = self;
        write!(formatter, "{budgets} states of budgets, {new} new pods, {waited} waited for a node")
    }
}

/// Watches until it is stopped.
pub struct Observer {
    records: Arc<Mutex<Records>>,
    watches: JoinSet<()>,
}

impl Observer {
    /// Begins with what is there now.
    pub async fn start(client: Client) -> Self {
        let records: Arc<Mutex<Records>> = Arc::default();
        let mut watches = JoinSet::new();
        let (listed, mut lists) = mpsc::channel(3);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        let nodes: Api<Node> = Api::all(client);
        watches.spawn(watch(budgets, Arc::clone(&records), listed.clone(), of_budget));
        watches.spawn(watch(pods, Arc::clone(&records), listed.clone(), of_pod));
        watches.spawn(watch(nodes, Arc::clone(&records), listed, of_node));
        for _ in 0..3 {
            lists.recv().await.expect("no watch ends");
        }
        Self { records, watches }
    }

    /// Ends, and says what was seen. A pod that came while nodes were disrupted finds its node
    /// ready, or its node was launched for it.
    pub async fn stop(mut self, world: &World) -> Seen {
        let mut planned: BTreeMap<String, String> = BTreeMap::new();
        for claim in world.claims().await.unwrap() {
            let node = claim.data["status"]["nodeName"].as_str().unwrap_or_default();
            let pods = claim.metadata.annotations.and_then(|mut all| all.remove(PLANNED_PODS));
            planned.insert(node.to_owned(), pods.unwrap_or_default());
        }
        self.watches.shutdown().await;
        let records = self.records.lock();
        let mut wrong = records.broken.clone();
        let mut waited = 0;
        for (uid, (made, node)) in &records.new {
            let node = node.as_deref().unwrap_or_default();
            if records.ready.get(node).is_some_and(|ready| ready > made) {
                waited += 1;
                if planned.get(node).is_some_and(|pods| !pods.contains(uid)) {
                    wrong.push(format!("a pod waited for {node}, which was launched for others"));
                }
            }
        }
        Seen { wrong, budgets: records.budgets, new: records.new.len(), waited }
    }
}

async fn watch<K>(
    api: Api<K>,
    records: Arc<Mutex<Records>>,
    listed: mpsc::Sender<()>,
    record: fn(&mut Records, &K, bool),
) where
    K: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher::watcher(api, watcher::Config::default());
    pin_mut!(events);
    let mut is_first = true;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(object)) => record(&mut records.lock(), &object, is_first),
            Ok(Event::Apply(object)) => record(&mut records.lock(), &object, false),
            Ok(Event::InitDone) if is_first => {
                is_first = false;
                listed.send(()).await.expect("somebody waits for the list");
            }
            _ => {}
        }
    }
}

fn of_budget(records: &mut Records, budget: &PodDisruptionBudget, _: bool) {
    let Some(status) = &budget.status else { return };
    records.budgets += 1;
    let behind = status.observed_generation < budget.metadata.generation;
    if !behind && status.current_healthy < status.desired_healthy {
        let (has, must) = (status.current_healthy, status.desired_healthy);
        records.broken.push(format!("{has:?} pods are healthy, {must:?} must be"));
    }
}

fn of_pod(records: &mut Records, pod: &Pod, is_first: bool) {
    let (Some(uid), Some(made)) = (&pod.metadata.uid, &pod.metadata.creation_timestamp) else {
        return;
    };
    if is_first {
        records.old.insert(uid.clone());
    } else if !records.old.contains(uid) {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        records.new.insert(uid.clone(), (made.clone(), node));
    }
}

fn of_node(records: &mut Records, node: &Node, _: bool) {
    let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let mut ready = conditions.filter(|one| one.type_ == "Ready" && one.status == "True");
    let since = ready.find_map(|one| one.last_transition_time.clone());
    if let (Some(name), Some(since)) = (&node.metadata.name, since) {
        records.ready.entry(name.clone()).or_insert(since);
    }
}
