//! The configuration files of kube-scheduler and kwok.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// A scheduler extender, as kube-scheduler's configuration names it.
#[derive(Debug, Clone)]
pub struct Extender {
    url: String,
    weight: u32,
    ignorable: bool,
    timeout: Duration,
    node_cache_capable: bool,
}

impl Extender {
    /// An extender at this URL with the verbs `filter` and `prioritize`: node cache capable,
    /// ignorable, weight 10, answers expected within a second.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            weight: 10,
            ignorable: true,
            timeout: Duration::from_secs(1),
            node_cache_capable: true,
        }
    }

    /// The factor of its scores.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Whether scheduling goes on when it does not answer.
    #[must_use]
    pub fn ignorable(mut self, ignorable: bool) -> Self {
        self.ignorable = ignorable;
        self
    }

    /// How long kube-scheduler waits for an answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether it is sent node names (`true`) or whole nodes.
    #[must_use]
    pub fn node_cache_capable(mut self, capable: bool) -> Self {
        self.node_cache_capable = capable;
        self
    }

    fn to_json(&self) -> Value {
        json!({
            "urlPrefix": self.url,
            "filterVerb": "filter",
            "prioritizeVerb": "prioritize",
            "weight": self.weight,
            "enableHTTPS": false,
            "httpTimeout": format!("{}ms", self.timeout.as_millis()),
            "nodeCacheCapable": self.node_cache_capable,
            "ignorable": self.ignorable,
        })
    }
}

/// What a test decides about kube-scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerSettings {
    /// The extenders it asks, in order.
    pub extenders: Vec<Extender>,
    /// The profiles' scheduler names.
    pub scheduler_names: Vec<String>,
    /// Seconds that an unschedulable pod waits before its first retry.
    pub pod_initial_backoff_seconds: u32,
    /// Seconds that an unschedulable pod waits at most before a retry. Kubernetes' default is
    /// 10; tests need not wait that long.
    pub pod_max_backoff_seconds: u32,
    /// How many of a hundred nodes it looks for before it scores; 0: Kubernetes' default, which
    /// looks for fewer the more nodes there are.
    pub percentage_of_nodes_to_score: u32,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            extenders: Vec::new(),
            scheduler_names: vec!["default-scheduler".to_owned()],
            pod_initial_backoff_seconds: 1,
            pod_max_backoff_seconds: 2,
            // A sample of the nodes would hide planned nodes from the extender.
            percentage_of_nodes_to_score: 100,
        }
    }
}

impl SchedulerSettings {
    /// The KubeSchedulerConfiguration.
    pub(crate) fn to_json(&self, kubeconfig: &Path) -> Value {
        let profiles: Vec<_> =
            self.scheduler_names.iter().map(|name| json!({ "schedulerName": name })).collect();
        json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": { "kubeconfig": kubeconfig, "qps": 2000, "burst": 4000 },
            "leaderElection": { "leaderElect": false },
            "percentageOfNodesToScore": self.percentage_of_nodes_to_score,
            "podInitialBackoffSeconds": self.pod_initial_backoff_seconds,
            "podMaxBackoffSeconds": self.pod_max_backoff_seconds,
            "profiles": profiles,
            "extenders": self.extenders.iter().map(Extender::to_json).collect::<Vec<_>>(),
        })
    }
}

/// kwok's configuration: it animates only the nodes annotated `kwok.x-k8s.io/node=fake`, many
/// objects at once.
pub(crate) fn kwok(server_port: u16) -> String {
    let options = json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "manageAllNodes": false,
            "manageNodesWithAnnotationSelector": "kwok.x-k8s.io/node=fake",
            "cidr": "10.64.0.0/12",
            "nodeIP": "127.0.0.1",
            "nodePort": server_port,
            "serverAddress": format!("127.0.0.1:{server_port}"),
            "nodeLeaseDurationSeconds": 40,
            "nodeLeaseParallelism": 16,
            "nodePlayStageParallelism": 32,
            "podPlayStageParallelism": 64,
            "podsOnNodeSyncParallelism": 16,
            "enablePodsOnNodeSyncListPager": false,
            "enablePodsOnNodeSyncStreamWatch": true,
        },
    });
    format!("{options}\n---\n{STAGES}")
}

/// What happens to fake nodes and their pods. kwok has no stages built in, only kwokctl has.
const STAGES: &str = include_str!("stages.yaml");
