//! A Kubernetes cluster in memory, as far as the provider uses one, that can stop a process at any
//! of its writes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth::api::{Condition, ExoscaleNodeClass, ExoscaleNodeClassStatus, NodeClaim};
use berth::provider::ProviderError;
use berth::provider::exoscale::Cluster;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::api::ObjectMeta;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Where a write is to hang, so that a test can end the process there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The write is not carried out.
    Before,
    /// The write is carried out, and nobody is told.
    After,
}

/// The cluster.
pub struct Memory {
    state: Mutex<State>,
    stopped: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    claims: BTreeMap<String, NodeClaim>,
    classes: BTreeMap<String, ExoscaleNodeClass>,
    tokens: BTreeMap<String, Secret>,
    /// Other Secrets; `None`: it may not be read.
    secrets: BTreeMap<String, Option<Secret>>,
    nodes: BTreeMap<String, Node>,
    version: u64,
    /// Names of the writes so far.
    writes: Vec<&'static str>,
    /// Which write of that name hangs, counted from 0 since it was asked for.
    stop: Option<(&'static str, usize, When)>,
}

impl Memory {
    pub fn new() -> Self {
        Self { state: Mutex::default(), stopped: watch::channel(false).0 }
    }

    /// Names of the writes so far.
    pub fn writes(&self) -> Vec<&'static str> {
        self.state.lock().writes.clone()
    }

    /// The write of that name hangs that comes after `skip` others of it.
    pub fn stop_at(&self, name: &'static str, skip: usize, when: When) {
        self.stopped.send_replace(false);
        self.state.lock().stop = Some((name, skip, when));
    }

    /// Waits until a write hangs.
    pub async fn until_stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        stopped.wait_for(|stopped| *stopped).await.unwrap();
    }

    pub fn put_claim(&self, claim: NodeClaim) {
        let name = claim.metadata.name.clone().unwrap();
        self.change(|state| {
            let version = state.next_version();
            let mut claim = claim;
            claim.metadata.resource_version = Some(version);
            state.claims.insert(name, claim);
        });
    }

    pub fn change_claim(&self, name: &str, change: impl FnOnce(&mut NodeClaim)) {
        self.change(|state| {
            let version = state.next_version();
            let claim = state.claims.get_mut(name).unwrap();
            change(claim);
            claim.metadata.resource_version = Some(version);
        });
    }

    pub fn remove_claim(&self, name: &str) {
        self.change(|state| drop(state.claims.remove(name)));
    }

    pub fn put_class(&self, class: ExoscaleNodeClass) {
        let name = class.metadata.name.clone().unwrap();
        self.change(|state| drop(state.classes.insert(name, class)));
    }

    pub fn class(&self, name: &str) -> Option<ExoscaleNodeClass> {
        self.change(|state| state.classes.get(name).cloned())
    }

    /// A Secret of these texts; `None`: one that may not be read.
    pub fn put_secret(&self, name: &str, texts: Option<&[(&str, &str)]>) {
        let secret = texts.map(|texts| {
            let data = texts
                .iter()
                .map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
            Secret { data: Some(data.collect()), ..Secret::default() }
        });
        self.change(|state| drop(state.secrets.insert(name.to_owned(), secret)));
    }

    pub fn token_names(&self) -> Vec<String> {
        self.change(|state| state.tokens.keys().cloned().collect())
    }

    pub fn node_names(&self) -> Vec<String> {
        self.change(|state| state.nodes.keys().cloned().collect())
    }

    pub fn node_named(&self, name: &str) -> Option<Node> {
        self.change(|state| state.nodes.get(name).cloned())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock())
    }

    /// Carries a write out, unless it is the one that hangs.
    async fn write<T>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let (outcome, hangs) = {
            let mut state = self.state.lock();
            let when = match state.stop.take() {
                Some((wanted, 0, when)) if wanted == name => Some(when),
                Some((wanted, skip, when)) if wanted == name => {
                    state.stop = Some((wanted, skip - 1, when));
                    None
                }
                other => {
                    state.stop = other;
                    None
                }
            };
            let outcome = (when != Some(When::Before)).then(|| {
                state.writes.push(name);
                act(&mut state)
            });
            (outcome, when.is_some())
        };
        match outcome {
            Some(outcome) if !hangs => outcome,
            _ => {
                self.stopped.send_replace(true);
                std::future::pending().await
            }
        }
    }
}

impl State {
    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }
}

/// A condition that holds.
pub fn condition(kind: &str, reason: &str) -> Condition {
    serde_json::from_value(serde_json::json!({
        "type": kind, "status": "True", "reason": reason,
        "lastTransitionTime": "2026-11-27T00:00:00Z",
    }))
    .unwrap()
}

fn conflict(meta: &ObjectMeta) -> ProviderError {
    ProviderError::Other(format!("{:?} has changed", meta.name))
}

#[async_trait]
impl Cluster for Memory {
    async fn claim(&self, name: &str) -> Result<Option<NodeClaim>, ProviderError> {
        Ok(self.change(|state| state.claims.get(name).cloned()))
    }

    async fn claims(&self) -> Result<Vec<NodeClaim>, ProviderError> {
        Ok(self.change(|state| state.claims.values().cloned().collect()))
    }

    async fn annotate(
        &self,
        claim: &NodeClaim,
        annotations: &[(&str, &str)],
    ) -> Result<NodeClaim, ProviderError> {
        self.write("annotate", |state| {
            let version = state.next_version();
            let name = claim.metadata.name.clone().unwrap();
            let there = state.claims.get_mut(&name);
            let there = there
                .filter(|there| there.metadata.resource_version == claim.metadata.resource_version);
            let there = there.ok_or_else(|| conflict(&claim.metadata))?;
            for (key, value) in annotations {
                let all = there.metadata.annotations.get_or_insert_default();
                all.insert((*key).to_owned(), (*value).to_owned());
            }
            there.metadata.resource_version = Some(version);
            Ok(there.clone())
        })
        .await
    }

    async fn set_drift(
        &self,
        claim: &NodeClaim,
        differs: Option<&'static str>,
    ) -> Result<(), ProviderError> {
        self.write("set_drift", |state| {
            let name = claim.metadata.name.clone().unwrap();
            let there = state.claims.get_mut(&name).ok_or_else(|| conflict(&claim.metadata))?;
            let conditions = &mut there.status.get_or_insert_default().conditions;
            conditions.retain(|one| one.r#type != "NodeClassDrifted");
            conditions.extend(differs.map(|reason| condition("NodeClassDrifted", reason)));
            Ok(())
        })
        .await
    }

    async fn node_class(&self, name: &str) -> Result<Option<ExoscaleNodeClass>, ProviderError> {
        Ok(self.change(|state| state.classes.get(name).cloned()))
    }

    async fn node_classes(&self) -> Result<Vec<ExoscaleNodeClass>, ProviderError> {
        Ok(self.change(|state| state.classes.values().cloned().collect()))
    }

    async fn set_finalizers(
        &self,
        class: &ExoscaleNodeClass,
        finalizers: Vec<String>,
    ) -> Result<ExoscaleNodeClass, ProviderError> {
        self.write("set_finalizers", |state| {
            let name = class.metadata.name.clone().unwrap();
            let there = state.classes.get_mut(&name).ok_or_else(|| conflict(&class.metadata))?;
            there.metadata.finalizers = Some(finalizers.clone());
            let there = there.clone();
            if finalizers.is_empty() && there.metadata.deletion_timestamp.is_some() {
                state.classes.remove(&name);
            }
            Ok(there)
        })
        .await
    }

    async fn set_class_status(
        &self,
        class: &ExoscaleNodeClass,
        status: &ExoscaleNodeClassStatus,
    ) -> Result<(), ProviderError> {
        self.write("set_class_status", |state| {
            let name = class.metadata.name.clone().unwrap();
            let there = state.classes.get_mut(&name).ok_or_else(|| conflict(&class.metadata))?;
            there.status = Some(status.clone());
            Ok(())
        })
        .await
    }

    async fn version(&self) -> Result<String, ProviderError> {
        Ok("1.36.2".to_owned())
    }

    async fn authority(&self) -> Result<String, ProviderError> {
        Ok("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_owned())
    }

    async fn create_token(&self, token: &Secret) -> Result<bool, ProviderError> {
        self.write("create_token", |state| {
            let name = token.metadata.name.clone().unwrap();
            let is_new = !state.tokens.contains_key(&name);
            state.tokens.entry(name).or_insert_with(|| token.clone());
            Ok(is_new)
        })
        .await
    }

    async fn delete_token(&self, name: &str) -> Result<(), ProviderError> {
        self.write("delete_token", |state| {
            state.tokens.remove(name);
            Ok(())
        })
        .await
    }

    async fn secret(&self, name: &str) -> Result<Option<Secret>, ProviderError> {
        match self.change(|state| state.secrets.get(name).cloned()) {
            Some(None) => Err(ProviderError::Refused("forbidden".to_owned())),
            found => Ok(found.flatten()),
        }
    }

    async fn node(&self, name: &str) -> Result<Option<Node>, ProviderError> {
        Ok(self.change(|state| state.nodes.get(name).cloned()))
    }

    async fn create_node(&self, node: &Node) -> Result<bool, ProviderError> {
        self.write("create_node", |state| {
            let name = node.metadata.name.clone().unwrap();
            if state.nodes.contains_key(&name) {
                return Ok(false);
            }
            let uid = state.next_version();
            let mut node = node.clone();
            node.metadata.uid = Some(uid);
            state.nodes.insert(name, node);
            Ok(true)
        })
        .await
    }

    async fn delete_node(&self, name: &str, uid: &str) -> Result<(), ProviderError> {
        self.write("delete_node", |state| {
            let same = |node: &Node| node.metadata.uid.as_deref() == Some(uid);
            if state.nodes.get(name).is_some_and(same) {
                state.nodes.remove(name);
            }
            Ok(())
        })
        .await
    }
}
