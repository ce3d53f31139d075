//! The API server as the provider's [`Cluster`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_solver::model::well_known::condition;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde_json::json;

use super::cluster::Cluster;
use super::token::NAMESPACE;
use crate::api::{Condition, ExoscaleNodeClass, ExoscaleNodeClassStatus, NodeClaim};
use crate::autoscaler::MANAGER;
use crate::provider::ProviderError;
use crate::provider::calls::{Refusal, only, within};

/// A call that finds something missing is an error here as any other: that the cloud has no such
/// machine is for the cloud to say.
fn failed(refusal: Refusal) -> ProviderError {
    match refusal {
        Refusal::NotFound(message) => ProviderError::Other(message),
        other => other.into(),
    }
}

/// Whether an object was created; it is no error if it was there.
fn created<T>(answer: Result<T, Refusal>) -> Result<bool, ProviderError> {
    match answer {
        Ok(_) => Ok(true),
        Err(Refusal::Exists) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// That an object is not there any more; it is no error if it never was.
fn gone<T>(answer: Result<T, Refusal>) -> Result<(), ProviderError> {
    match answer {
        Ok(_) | Err(Refusal::NotFound(_)) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// The ConfigMap that every namespace has, with the authority's certificate.
const AUTHORITY: (&str, &str, &str) = ("kube-system", "kube-root-ca.crt", "ca.crt");

/// Reads from and writes to an API server.
pub struct KubeCluster {
    client: kube::Client,
    /// The authority's certificate, once it was read: it outlives the process.
    authority: Mutex<Option<String>>,
}

impl KubeCluster {
    /// Uses this client.
    pub const fn new(client: kube::Client) -> Self {
        Self { client, authority: Mutex::new(None) }
    }

    fn claims(&self) -> Api<NodeClaim> {
        Api::all(self.client.clone())
    }

    fn classes(&self) -> Api<ExoscaleNodeClass> {
        Api::all(self.client.clone())
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    async fn claim(&self, name: &str) -> Result<Option<NodeClaim>, ProviderError> {
        Ok(within(self.claims().get_opt(name)).await.map_err(failed)?)
    }

    async fn claims(&self) -> Result<Vec<NodeClaim>, ProviderError> {
        Ok(within(self.claims().list(&ListParams::default())).await.map_err(failed)?.items)
    }

    async fn annotate(
        &self,
        claim: &NodeClaim,
        annotations: &[(&str, &str)],
    ) -> Result<NodeClaim, ProviderError> {
        let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let patch = Patch::Merge(json!({ "metadata": {
            "uid": claim.metadata.uid,
            "resourceVersion": claim.metadata.resource_version,
            "annotations": annotations,
        }}));
        let params = PatchParams::apply(MANAGER);
        Ok(within(self.claims().patch(name, &params, &patch)).await.map_err(failed)?)
    }

    async fn set_drift(
        &self,
        claim: &NodeClaim,
        differs: Option<&'static str>,
    ) -> Result<(), ProviderError> {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let conditions = claim.status.iter().flat_map(|status| &status.conditions);
        let kept = conditions.filter(|one| one.r#type != condition::NODE_CLASS_DRIFTED).cloned();
        let drifted = differs.map(|reason| Condition {
            r#type: condition::NODE_CLASS_DRIFTED.to_owned(),
            status: "True".to_owned(),
            last_transition_time: Time(jiff::Timestamp::now()),
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: claim.metadata.generation,
        });
        let all: Vec<Condition> = kept.chain(drifted).collect();
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": claim.metadata.resource_version },
            "status": { "conditions": all },
        }));
        let params = PatchParams::apply(MANAGER);
        within(self.claims().patch_status(name, &params, &patch)).await.map_err(failed)?;
        Ok(())
    }

    async fn node_class(&self, name: &str) -> Result<Option<ExoscaleNodeClass>, ProviderError> {
        Ok(within(self.classes().get_opt(name)).await.map_err(failed)?)
    }

    async fn node_classes(&self) -> Result<Vec<ExoscaleNodeClass>, ProviderError> {
        let list = within(self.classes().list(&ListParams::default())).await;
        Ok(list.map_err(failed)?.items)
    }

    async fn set_finalizers(
        &self,
        class: &ExoscaleNodeClass,
        finalizers: Vec<String>,
    ) -> Result<ExoscaleNodeClass, ProviderError> {
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let patch = Patch::Merge(json!({ "metadata": {
            "uid": class.metadata.uid,
            "resourceVersion": class.metadata.resource_version,
            "finalizers": finalizers,
        }}));
        let params = PatchParams::apply(MANAGER);
        within(self.classes().patch(name, &params, &patch)).await.map_err(failed)
    }

    async fn set_class_status(
        &self,
        class: &ExoscaleNodeClass,
        status: &ExoscaleNodeClassStatus,
    ) -> Result<(), ProviderError> {
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let mut wanted = json!(status);
        // A merge leaves alone what is not named: what is empty now must go.
        for (field, empty) in json!(class.status).as_object().into_iter().flatten() {
            if wanted.get(field).is_none() && !empty.is_null() {
                wanted[field] = serde_json::Value::Null;
            }
        }
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": class.metadata.resource_version },
            "status": wanted,
        }));
        let params = PatchParams::apply(MANAGER);
        within(self.classes().patch_status(name, &params, &patch)).await.map_err(failed)?;
        Ok(())
    }

    async fn version(&self) -> Result<String, ProviderError> {
        let version = within(self.client.apiserver_version()).await.map_err(failed)?.git_version;
        // v1.36.2, v1.36.2-rc.1, v1.36.2+sks
        let plain = version.trim_start_matches('v');
        let end = plain.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        Ok(plain[..end.unwrap_or(plain.len())].to_owned())
    }

    async fn authority(&self) -> Result<String, ProviderError> {
        if let Some(known) = self.authority.lock().clone() {
            return Ok(known);
        }
        let (namespace, name, key) = AUTHORITY;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = within(maps.get(name)).await.map_err(failed)?;
        let found = map.data.and_then(|mut data| data.remove(key)).ok_or_else(|| {
            ProviderError::Other(format!("ConfigMap {namespace}/{name} has no data.{key}"))
        })?;
        *self.authority.lock() = Some(found.clone());
        Ok(found)
    }

    async fn create_token(&self, token: &Secret) -> Result<bool, ProviderError> {
        created(within(self.secrets().create(&PostParams::default(), token)).await)
    }

    async fn delete_token(&self, name: &str) -> Result<(), ProviderError> {
        gone(within(self.secrets().delete(name, &DeleteParams::default())).await)
    }

    async fn secret(&self, name: &str) -> Result<Option<Secret>, ProviderError> {
        Ok(within(self.secrets().get_opt(name)).await.map_err(failed)?)
    }

    async fn node(&self, name: &str) -> Result<Option<Node>, ProviderError> {
        Ok(within(self.nodes().get_opt(name)).await.map_err(failed)?)
    }

    async fn create_node(&self, node: &Node) -> Result<bool, ProviderError> {
        created(within(self.nodes().create(&PostParams::default(), node)).await)
    }

    async fn delete_node(&self, name: &str, uid: &str) -> Result<(), ProviderError> {
        gone(within(self.nodes().delete(name, &only(Some(uid.to_owned())))).await)
    }
}
