//! CustomResourceDefinitions from ClaimDefinitions, and a watch for each kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::finalizer;
use super::kind::{Kind, resource_of};
use super::look::used_by;
use crate::api::conditions::{self, Saying};
use crate::api::{ClaimDefinition, ClaimDefinitionStatus};
use crate::claims::choice::Used;
use crate::claims::claim::Claim;
use crate::claims::crd;
use crate::claims::definition::Definition;

/// Keeps a definition while claims of its kind are there.
const FINALIZER: &str = "claims.berth.sh/definition";
/// Who writes.
const MANAGER: &str = "berth-claims";
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);
const SOON: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(15);

/// The kinds whose claims are watched, by the definition's name.
#[derive(Default)]
pub(super) struct Kinds(Mutex<BTreeMap<String, Running>>);

struct Running {
    definition: Definition,
    stop: CancellationToken,
}

/// What claims have, by provider and namespace.
type UsedByProvider = BTreeMap<String, BTreeMap<String, Used>>;

impl Kinds {
    /// What all claims of all kinds but this one have, read live: a budget is not worked out from
    /// what may be out of date.
    pub(super) async fn used(
        &self,
        shared: &Shared,
        but: &Claim,
    ) -> Result<UsedByProvider, kube::Error> {
        let resources: Vec<ApiResource> =
            self.0.lock().values().map(|one| resource_of(&one.definition)).collect();
        let mut used = UsedByProvider::new();
        for resource in resources {
            let api: Api<DynamicObject> = Api::all_with(shared.client.clone(), &resource);
            for object in api.list(&ListParams::default()).await?.items {
                if object.metadata.uid.as_deref() == Some(&but.uid) {
                    continue;
                }
                if let Some((provider, namespace, one)) = used_by(&object) {
                    let used = used.entry(provider).or_default().entry(namespace).or_default();
                    used.claims += one.claims;
                    used.price = used.price + one.price;
                }
            }
        }
        Ok(used)
    }
}

struct Context {
    shared: Arc<Shared>,
    stop: CancellationToken,
    /// The watches of the kinds.
    tasks: Mutex<JoinSet<()>>,
}

/// Follows the definitions until `stop` is cancelled.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let definitions: Api<ClaimDefinition> = Api::all(shared.client.clone());
    let tasks = Mutex::new(JoinSet::new());
    let context = Arc::new(Context { shared, stop: stop.clone(), tasks });
    Controller::new(definitions, watcher::Config::default())
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, |_, _, _| Action::requeue(REST), Arc::clone(&context))
        .for_each(|outcome| async {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a ClaimDefinition was not looked at");
            }
        })
        .await;
    let mut tasks = std::mem::take(&mut *context.tasks.lock());
    while tasks.join_next().await.is_some() {}
}

async fn reconcile(
    seen: Arc<ClaimDefinition>,
    context: Arc<Context>,
) -> Result<Action, kube::Error> {
    let shared = &context.shared;
    if !shared.leadership.is_held() {
        return Ok(Action::requeue(SOON));
    }
    let api: Api<ClaimDefinition> = Api::all(shared.client.clone());
    let name = seen.metadata.name.clone().unwrap_or_default();
    let Some(object) = api.get_opt(&name).await? else { return Ok(Action::await_change()) };
    let definition = match Definition::read(&object) {
        Ok(definition) => definition,
        Err(problem) => {
            say(shared, &object, (false, "Invalid", &problem)).await?;
            return Ok(Action::requeue(LOOK_AGAIN));
        }
    };
    if object.metadata.deletion_timestamp.is_some() {
        return context.leave(&object, &definition).await;
    }
    if !object.metadata.finalizers.iter().flatten().any(|one| one == FINALIZER) {
        hold(shared, &object, true).await?;
        return Ok(Action::requeue(Duration::ZERO));
    }
    match install(shared, &definition).await? {
        Installed::Yes => {}
        Installed::NotYet => {
            say(shared, &object, (false, "Waiting", "the API server takes the kind up")).await?;
            return Ok(Action::requeue(SOON));
        }
        Installed::Refused(problem) => {
            say(shared, &object, (false, "Refused", &problem)).await?;
            return Ok(Action::requeue(LOOK_AGAIN));
        }
    }
    context.watch(definition);
    say(shared, &object, (true, "Established", "")).await?;
    Ok(Action::requeue(LOOK_AGAIN))
}

enum Installed {
    Yes,
    NotYet,
    Refused(String),
}

async fn install(shared: &Shared, definition: &Definition) -> Result<Installed, kube::Error> {
    let api: Api<CustomResourceDefinition> = Api::all(shared.client.clone());
    let name = definition.crd_name();
    if let Some(there) = api.get_opt(&name).await?
        && !is_made_of(&there, definition)
    {
        return Ok(Installed::Refused(format!(
            "CustomResourceDefinition {name} is there and was not made of this definition (it lacks \
             the label {}={}): delete it, label it, or choose another group or plural",
            crd::DEFINITION_LABEL,
            definition.name
        )));
    }
    let wanted = crd::of(definition).map_err(kube::Error::SerdeError)?;
    let params = PatchParams::apply(MANAGER).force();
    shared.witness.reached("before", "InstallDefinition").await;
    let applied = api.patch(&name, &params, &Patch::Apply(&wanted)).await;
    shared.witness.reached("after", "InstallDefinition").await;
    let applied = match applied {
        Ok(applied) => applied,
        Err(kube::Error::Api(status)) if [400, 403, 422].contains(&status.code) => {
            return Ok(Installed::Refused(status.message.clone()));
        }
        Err(error) => return Err(error),
    };
    let conditions = applied.status.and_then(|status| status.conditions).unwrap_or_default();
    let is_up = conditions.iter().any(|one| one.type_ == "Established" && one.status == "True");
    Ok(if is_up { Installed::Yes } else { Installed::NotYet })
}

fn is_made_of(crd: &CustomResourceDefinition, definition: &Definition) -> bool {
    let labels = crd.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(crd::DEFINITION_LABEL)) == Some(&definition.name)
}

impl Context {
    /// Watches the claims of a kind, anew if the definition has changed.
    fn watch(&self, definition: Definition) {
        let mut kinds = self.shared.kinds.0.lock();
        if let Some(running) = kinds.get(&definition.name) {
            if running.definition == definition {
                return;
            }
            running.stop.cancel();
        }
        let stop = self.stop.child_token();
        let kind = Kind::new(Arc::clone(&self.shared), definition.clone());
        self.tasks.lock().spawn(kind.run(stop.clone()));
        kinds.insert(definition.name.clone(), Running { definition, stop });
    }

    /// Takes the kind away once no claim is left.
    async fn leave(
        &self,
        object: &ClaimDefinition,
        definition: &Definition,
    ) -> Result<Action, kube::Error> {
        let shared = &self.shared;
        let crds: Api<CustomResourceDefinition> = Api::all(shared.client.clone());
        let there = crds.get_opt(&definition.crd_name()).await?;
        if let Some(crd) = there.filter(|crd| is_made_of(crd, definition)) {
            let claims: Api<DynamicObject> =
                Api::all_with(shared.client.clone(), &resource_of(definition));
            let left = match claims.list(&ListParams::default()).await {
                Ok(list) => list.items.len(),
                Err(kube::Error::Api(status)) if status.code == 404 => 0,
                Err(error) => return Err(error),
            };
            if left > 0 {
                let kind = &definition.kind;
                let message = format!(
                    "{left} claims of kind {kind} are there: delete them first, or make this \
                     definition again after it is gone from Git; nothing of theirs is touched"
                );
                // They go on being served.
                self.watch(definition.clone());
                say(shared, object, (true, "InUse", &message)).await?;
                return Ok(Action::requeue(REST));
            }
            let name = definition.crd_name();
            let preconditions =
                Some(kube::api::Preconditions { uid: crd.metadata.uid, resource_version: None });
            let params = DeleteParams { preconditions, ..DeleteParams::default() };
            shared.witness.reached("before", "RemoveDefinition").await;
            let deleted = crds.delete(&name, &params).await;
            shared.witness.reached("after", "RemoveDefinition").await;
            match deleted {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(running) = shared.kinds.0.lock().remove(&definition.name) {
            running.stop.cancel();
        }
        hold(shared, object, false).await?;
        Ok(Action::await_change())
    }
}

/// Puts the finalizer on a definition, or takes it off.
async fn hold(shared: &Shared, object: &ClaimDefinition, is_held: bool) -> Result<(), kube::Error> {
    let write = if is_held { "HoldDefinition" } else { "ReleaseDefinition" };
    shared.witness.reached("before", write).await;
    let set = finalizer::set(&all(shared), object, FINALIZER, is_held).await;
    shared.witness.reached("after", write).await;
    set
}

fn all(shared: &Shared) -> Api<ClaimDefinition> {
    Api::all(shared.client.clone())
}

/// Says whether there are claims of the kind.
async fn say(
    shared: &Shared,
    object: &ClaimDefinition,
    (holds, reason, message): (bool, &str, &str),
) -> Result<(), kube::Error> {
    let before = object.status.clone().unwrap_or_default();
    let mut after =
        ClaimDefinitionStatus { conditions: before.conditions.clone(), ..before.clone() };
    let saying = Saying { kind: "Established", holds, reason, message };
    let now = shared.clock.now();
    conditions::set(&mut after.conditions, saying, object.metadata.generation, now);
    if after == before {
        return Ok(());
    }
    let api: Api<ClaimDefinition> = Api::all(shared.client.clone());
    let mut object = object.clone();
    object.status = Some(after);
    let name = object.metadata.name.clone().unwrap_or_default();
    match api.replace_status(&name, &PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
        other => other.map(|_| ()),
    }
}
