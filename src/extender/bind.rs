//! The verb `bind`, off unless it is asked for: `ExtenderBindingArgs` and `ExtenderBindingResult`.
//!
//! kube-scheduler gives up waiting after its `httpTimeout` and asks again, while the first call
//! may have been carried out. So binding is idempotent (the same pod on the same node again is
//! success), names the pod's UID, and goes on to its end though the client has gone away.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Binding takes no longer than this.
const TIMEOUT: Duration = Duration::from_secs(15);

/// `ExtenderBindingArgs`: a pod and its node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Binding {
    /// `metadata.name`.
    #[serde(rename = "PodName", alias = "podName")]
    pub pod: String,
    /// `metadata.namespace`.
    #[serde(rename = "PodNamespace", alias = "podNamespace")]
    pub namespace: String,
    /// `metadata.uid`.
    #[serde(rename = "PodUID", alias = "podUID")]
    pub uid: String,
    /// The node's name.
    #[serde(rename = "Node", alias = "node")]
    pub node: String,
}

/// `ExtenderBindingResult`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    /// What went wrong, empty if nothing did.
    #[serde(rename = "Error")]
    pub(super) error: String,
}

impl Binding {
    /// The first field that is empty.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let fields = [
            ("PodName", &self.pod),
            ("PodNamespace", &self.namespace),
            ("PodUID", &self.uid),
            ("Node", &self.node),
        ];
        fields.into_iter().find(|(_, value)| value.is_empty()).map(|(field, _)| field)
    }
}

/// Binds pods.
#[async_trait]
pub trait Binder: Send + Sync + 'static {
    /// Binds a pod to a node. Doing it again is success.
    ///
    /// # Errors
    /// When the pod is not bound to that node: why, for people.
    async fn bind(&self, binding: &Binding) -> Result<(), String>;
}

/// Binds pods through the API server. Needs the right to create `pods/binding` and to get pods.
#[derive(Clone)]
pub struct KubeBinder {
    client: kube::Client,
}

impl KubeBinder {
    /// Binds with this client.
    pub const fn new(client: kube::Client) -> Self {
        Self { client }
    }

    async fn create_or_find(&self, binding: &Binding) -> Result<(), String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &binding.namespace);
        // The API server refuses with 409 if the pod of that name has another UID by now.
        let object = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "name": binding.pod, "namespace": binding.namespace, "uid": binding.uid,
            },
            "target": { "apiVersion": "v1", "kind": "Node", "name": binding.node },
        });
        let created = pods
            .create_subresource::<Value, Value>(
                "binding",
                &binding.pod,
                &PostParams::default(),
                &object,
            )
            .await;
        let Err(refused) = created else { return Ok(()) };
        // Bound already, by an earlier call or by another scheduler? The pod itself tells.
        match pods.get_opt(&binding.pod).await {
            Ok(Some(pod)) if is_bound_as(&pod, binding) => Ok(()),
            Ok(Some(pod)) => Err(format!("{refused}; {}", state(&pod))),
            Ok(None) => Err(format!("{refused}; there is no such pod")),
            Err(error) => Err(format!("{refused}; and the pod cannot be read: {error}")),
        }
    }
}

#[async_trait]
impl Binder for KubeBinder {
    async fn bind(&self, binding: &Binding) -> Result<(), String> {
        match tokio::time::timeout(TIMEOUT, self.create_or_find(binding)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

fn is_bound_as(pod: &Pod, binding: &Binding) -> bool {
    pod.metadata.uid.as_deref() == Some(&binding.uid) && node_of(pod) == binding.node
}

fn state(pod: &Pod) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    match node_of(pod) {
        "" => format!("the pod with UID {uid} is not bound"),
        node => format!("the pod with UID {uid} is bound to {node}"),
    }
}

#[cfg(test)]
mod tests;
