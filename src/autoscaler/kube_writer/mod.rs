//! The Kubernetes API server as a [`ClusterWriter`].
//!
//! Every write names the UID of the object that it means. Where a write changes what others may
//! change at the same time (lists of taints, finalizers, conditions), the object is read first and
//! patched on condition that it still is of the version that was read; a conflict is tried again
//! with the object as it is by then. So every write is idempotent, and none undoes what somebody
//! else did. Nothing is ever replaced as a whole.

mod changes;
mod errors;
mod events;
pub(crate) mod objects;
mod rollout;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use berth_solver::lifecycle::{ClaimRef, NewClaim, NodeRef, PodRef, Write};
use berth_solver::model::{Name, Node, NodeClaim, Pod};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, EvictParams, ListParams, Patch, PatchParams,
    PostParams, Preconditions,
};
use kube::core::GroupVersionKind;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::writer::{ClusterWriter, Notice, WriteError};
use crate::api;
use crate::clock::Clock;
use crate::watch::{Interner, objects as watched, reduce};
use changes::{Change, merge_patch};
use errors::{is_conflict, refused};
use events::Events;

/// Who patches, as `managedFields` say.
pub(crate) const MANAGER: &str = "berth";
/// No call takes longer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How often a patch is tried again when somebody else was faster.
const ATTEMPTS: usize = 5;
/// How many objects one page of a list holds.
const PAGE: u32 = 500;

/// Writes to an API server.
pub struct KubeWriter {
    client: kube::Client,
    clock: Clock,
    interner: Interner,
    events: Events,
}

/// The part of an object that a patch may change.
#[derive(Clone, Copy)]
enum Part {
    Main,
    Status,
}

impl KubeWriter {
    /// Writes with this client; `identity` names this replica in events.
    pub fn new(client: kube::Client, clock: Clock, identity: String) -> Self {
        let events = Events::new(client.clone(), identity);
        Self { client, clock, interner: Interner::new(), events }
    }

    fn of_kind(&self, group: &str, kind: &str) -> Api<DynamicObject> {
        let version = "v1";
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::all_with(self.client.clone(), &resource)
    }

    fn nodes(&self) -> Api<DynamicObject> {
        self.of_kind("", "Node")
    }

    fn claims(&self) -> Api<DynamicObject> {
        self.of_kind("karpenter.sh", "NodeClaim")
    }

    fn pools(&self) -> Api<DynamicObject> {
        self.of_kind("karpenter.sh", "NodePool")
    }

    fn buffers(&self, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<api::CapacityBuffer>(&());
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    fn pods(&self, namespace: &str) -> Api<k8s_openapi::api::core::v1::Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads an object, changes it, and patches the difference. `uid`: which object is meant, or
    /// `None` for whichever has the name.
    async fn change(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        uid: Option<&str>,
        part: Part,
        change: Change<'_>,
    ) -> Result<(), WriteError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let before = json_of(&api.get(name).await.map_err(refused)?)?;
            if uid.is_some_and(|uid| before.pointer("/metadata/uid") != Some(&json!(uid))) {
                return Err(WriteError::Conflict(format!("{name} is another object by now")));
            }
            let mut after = before.clone();
            change(&mut after);
            let Some(mut patch) = merge_patch(&before, &after) else { return Ok(()) };
            patch["metadata"]["uid"] = before["metadata"]["uid"].clone();
            patch["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            let (params, patch) = (PatchParams::apply(MANAGER), Patch::Merge(patch));
            let result = match part {
                Part::Main => api.patch(name, &params, &patch).await,
                Part::Status => api.patch_status(name, &params, &patch).await,
            };
            match result {
                Ok(_) => return Ok(()),
                Err(error) if is_conflict(&error) && attempt < ATTEMPTS => {}
                Err(error) => return Err(refused(error)),
            }
        }
    }

    async fn change_claim(
        &self,
        claim: &ClaimRef,
        part: Part,
        change: Change<'_>,
    ) -> Result<(), WriteError> {
        self.change(&self.claims(), &claim.name, Some(&claim.uid), part, change).await
    }

    async fn change_node(&self, node: &NodeRef, change: Change<'_>) -> Result<(), WriteError> {
        self.change(&self.nodes(), &node.name, Some(&node.uid), Part::Main, change).await
    }

    async fn create_claim(&self, new: &NewClaim) -> Result<(), WriteError> {
        let object = objects::node_claim(new);
        let object: DynamicObject = serde_json::from_value(object).map_err(other)?;
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.claims().create(&params, &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                let there = self.claims().get(&new.name).await.map_err(refused)?;
                let same = there.metadata.annotations == object.metadata.annotations
                    && there.data.get("spec") == object.data.get("spec");
                if same {
                    return Ok(());
                }
                let name = &new.name;
                Err(WriteError::Conflict(format!("there is another NodeClaim {name} already")))
            }
            Err(error) => Err(refused(error)),
        }
    }

    async fn delete(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        uid: &str,
    ) -> Result<(), WriteError> {
        gone_is_done(api.delete(name, &only(uid)).await.map(|_| ()).map_err(refused))
    }

    async fn evict(&self, pod: &PodRef) -> Result<(), WriteError> {
        let params = EvictParams {
            delete_options: Some(only(&pod.uid)),
            post_options: PostParams::default(),
        };
        let pods = self.pods(&pod.key.namespace);
        gone_is_done(pods.evict(&pod.key.name, &params).await.map(|_| ()).map_err(refused))
    }

    async fn delete_pod(&self, pod: &PodRef, grace: Duration) -> Result<(), WriteError> {
        let seconds = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX).max(1);
        let params = only(&pod.uid).grace_period(seconds);
        let pods = self.pods(&pod.key.namespace);
        gone_is_done(pods.delete(&pod.key.name, &params).await.map(|_| ()).map_err(refused))
    }

    /// Only while it is not bound: the patch holds on condition that the pod has not changed since
    /// it was looked at.
    async fn nominate(&self, pod: &PodRef, node: Option<&Name>) -> Result<(), WriteError> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let pods = Api::namespaced_with(self.client.clone(), &pod.key.namespace, &resource);
        let nominate = |object: &mut Value| changes::nominate(object, node);
        let uid = Some(pod.uid.as_str());
        gone_is_done(self.change(&pods, &pod.key.name, uid, Part::Status, &nominate).await)
    }

    async fn carry_out(&self, write: &Write) -> Result<(), WriteError> {
        let now = self.clock.now();
        match write {
            Write::CreateClaim(new) => self.create_claim(new).await,
            Write::HoldClaim { claim } => {
                self.change_claim(claim, Part::Main, &changes::hold).await
            }
            Write::RecordLaunched { claim, instance } => {
                let label = |object: &mut Value| changes::label(object, &instance.labels);
                self.change_claim(claim, Part::Main, &label).await?;
                let record = |object: &mut Value| changes::launched(object, instance, now);
                self.change_claim(claim, Part::Status, &record).await
            }
            Write::RegisterNode(registration) => {
                let register = |object: &mut Value| changes::register(object, registration);
                self.change_node(&registration.node, &register).await
            }
            Write::InitializeNode { node } => self.change_node(node, &changes::initialize).await,
            Write::TaintNode { node } => self.change_node(node, &changes::taint).await,
            Write::UntaintNode { node } => self.change_node(node, &changes::untaint).await,
            Write::DeleteClaim { claim, .. } => {
                self.delete(&self.claims(), &claim.name, &claim.uid).await
            }
            Write::SetTerminationTime { claim, at } => {
                let set = |object: &mut Value| changes::termination_time(object, *at);
                self.change_claim(claim, Part::Main, &set).await
            }
            Write::ReplacePod { pod, .. } => gone_is_done(self.replace_pod(pod).await),
            Write::EvictPod { pod, .. } => self.evict(pod).await,
            Write::DeletePod { pod, grace, .. } => self.delete_pod(pod, *grace).await,
            Write::NominatePod { pod, node } => self.nominate(pod, node.as_ref()).await,
            Write::DeleteNode { node } => self.delete(&self.nodes(), &node.name, &node.uid).await,
            Write::ReleaseNode { node } => {
                gone_is_done(self.change_node(node, &changes::release).await)
            }
            Write::ReleaseClaim { claim } => {
                gone_is_done(self.change_claim(claim, Part::Main, &changes::release).await)
            }
            Write::RecordPoolStatus(status) => {
                let record = |object: &mut Value| changes::pool_status(object, status, now);
                self.change(&self.pools(), &status.pool, None, Part::Status, &record).await
            }
            Write::RecordBufferStatus(status) => {
                let record = |object: &mut Value| changes::buffer_status(object, status, now);
                let buffers = self.buffers(&status.buffer.namespace);
                let (name, uid) = (&status.buffer.name, Some(status.uid.as_str()));
                gone_is_done(self.change(&buffers, name, uid, Part::Status, &record).await)
            }
            Write::RecordRegistered { claim, .. }
            | Write::RecordInitialized { claim }
            | Write::RecordPodEvent { claim, .. }
            | Write::RecordDisruption { claim, .. }
            | Write::ClearDisruption { claim }
            | Write::RecordCondition { claim, .. }
            | Write::ClearCondition { claim, .. }
            | Write::RecordDrained { claim }
            | Write::RecordDetached { claim }
            | Write::RecordTerminating { claim } => {
                let record = |object: &mut Value| changes::claim_status(object, write, now);
                self.change_claim(claim, Part::Status, &record).await
            }
        }
    }

    async fn live_list<T: DeserializeOwned + Clone + Debug>(
        &self,
        api: &Api<T>,
        mut params: ListParams,
    ) -> Result<Vec<T>, WriteError> {
        params.limit = Some(PAGE);
        let mut all = Vec::new();
        loop {
            let page = api.list(&params).await.map_err(refused)?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }
}

#[async_trait]
impl ClusterWriter for KubeWriter {
    async fn write(&self, write: &Write) -> Result<(), WriteError> {
        in_time(self.carry_out(write)).await
    }

    async fn live_node(&self, name: &Name) -> Result<Option<Node>, WriteError> {
        let found = in_time(async { self.nodes().get_opt(name).await.map_err(refused) }).await?;
        let Some(node) = found else { return Ok(None) };
        let node: watched::Node = watched::decode(json_of(&node)?).map_err(other)?;
        Ok(Some(reduce::node(&node, &self.interner)))
    }

    async fn live_pods(&self, node: &Name) -> Result<Vec<Pod>, WriteError> {
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let pods = in_time(self.live_list(&self.of_kind("", "Pod"), params)).await?;
        let reduced = pods.iter().map(|pod| {
            let pod: watched::Pod = watched::decode(json_of(pod)?).map_err(other)?;
            Ok(reduce::pod(&pod, &self.interner))
        });
        let pods: Vec<Pod> = reduced.collect::<Result<_, WriteError>>()?;
        Ok(pods.into_iter().filter(Pod::is_alive).collect())
    }

    async fn live_claims(&self) -> Result<Vec<NodeClaim>, WriteError> {
        let claims: Api<api::NodeClaim> = Api::all(self.client.clone());
        let claims = in_time(self.live_list(&claims, ListParams::default())).await?;
        Ok(claims.iter().map(|claim| reduce::node_claim(claim, &self.interner)).collect())
    }

    async fn notify(&self, notice: &Notice) {
        let published = in_time(self.events.publish(notice)).await;
        if let Err(error) = published {
            tracing::warn!(reason = notice.reason, %error, "an event was not written");
        }
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(result) => result,
        Err(_) => Err(WriteError::Other(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

/// Deletes that object and no other of its name.
fn only(uid: &str) -> DeleteParams {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

fn gone_is_done(result: Result<(), WriteError>) -> Result<(), WriteError> {
    match result {
        Err(WriteError::NotFound(_)) => Ok(()),
        result => result,
    }
}

fn json_of(object: &DynamicObject) -> Result<Value, WriteError> {
    serde_json::to_value(object).map_err(other)
}

fn other(error: impl std::fmt::Display) -> WriteError {
    WriteError::Other(error.to_string())
}
