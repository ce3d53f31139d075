//! The claims of one kind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind, Resource as _};
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::events::{Event, EventType};
use kube::runtime::watcher;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::figures::Figure;
use super::finalizer;
use super::look::{Picture, handed_on};
use super::{Shared, secrets};
use crate::api::ClaimStatus;
use crate::api::conditions;
use crate::claims::claim::{Claim, FINALIZER};
use crate::claims::definition::Definition;
use crate::claims::lifecycle::{self, Effect, External, Failure, Known, LOOK_EVERY, REST, step};
use crate::metrics::EffectLabels;

/// So many claims of a kind are worked on at a time.
const AT_A_TIME: u16 = 8;
/// So many steps are made for a claim before others have their turn.
const MOST_STEPS: usize = 16;
/// How soon a replica that does not lead looks whether it does.
const FOLLOW: Duration = Duration::from_secs(3);

/// The claims of one kind.
pub(super) struct Kind {
    pub(super) shared: Arc<Shared>,
    pub(super) definition: Definition,
    pub(super) resource: ApiResource,
}

/// The kind's resource.
pub(super) fn resource_of(definition: &Definition) -> ApiResource {
    let kind = GroupVersionKind::gvk(&definition.group, &definition.version, &definition.kind);
    ApiResource::from_gvk_with_plural(&kind, &definition.plural)
}

impl Kind {
    pub(super) fn new(shared: Arc<Shared>, definition: Definition) -> Self {
        Self { resource: resource_of(&definition), shared, definition }
    }

    /// Watches the claims until `stop` is cancelled.
    pub(super) async fn run(self, stop: CancellationToken) {
        let resource = self.resource.clone();
        let claims: Api<DynamicObject> = Api::all_with(self.shared.client.clone(), &resource);
        Controller::new_with(claims, watcher::Config::default(), resource)
            .with_config(controller::Config::default().concurrency(AT_A_TIME))
            .graceful_shutdown_on(stop.cancelled_owned())
            .run(reconcile, |_, _, _| Action::requeue(REST), Arc::new(self))
            .for_each(|outcome| async {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "a claim was not looked at");
                }
            })
            .await;
    }

    fn api(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.shared.client.clone(), namespace, &self.resource)
    }
}

async fn reconcile(object: Arc<DynamicObject>, kind: Arc<Kind>) -> Result<Action, kube::Error> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (namespace, name) = (text(&object.metadata.namespace), text(&object.metadata.name));
    let uid = text(&object.metadata.uid);
    Pass { kind: &kind, namespace, name, uid }.run().await
}

/// One claim, as far as it goes at once.
struct Pass<'a> {
    kind: &'a Kind,
    namespace: String,
    name: String,
    uid: String,
}

/// What this pass has done.
#[derive(Default)]
struct Done {
    effects: BTreeSet<Effect>,
    is_fresh: bool,
    was_rotated: bool,
    failure: Option<Failure>,
}

impl Pass<'_> {
    async fn run(&self) -> Result<Action, kube::Error> {
        let mut done = Done::default();
        for _ in 0..MOST_STEPS {
            if !self.kind.shared.leadership.is_held() {
                return Ok(Action::requeue(FOLLOW));
            }
            let found = self.kind.api(&self.namespace).get_opt(&self.name).await?;
            let Some(object) = found.filter(|one| one.metadata.uid.as_ref() == Some(&self.uid))
            else {
                self.kind.shared.figures.take(&self.uid, None);
                return Ok(Action::await_change());
            };
            if let Some(wait) = self.turn(object, &mut done).await? {
                return Ok(Action::requeue(wait));
            }
        }
        Ok(Action::requeue(LOOK_EVERY))
    }

    /// One step. Returns how long to wait, if there is nothing more to do now.
    async fn turn(
        &self,
        object: DynamicObject,
        done: &mut Done,
    ) -> Result<Option<Duration>, kube::Error> {
        let value = serde_json::to_value(&object).map_err(kube::Error::SerdeError)?;
        let claim = match Claim::read(&value, &self.kind.definition) {
            Ok(claim) => claim,
            Err(problem) => {
                self.refuse(object, &problem).await?;
                return Ok(Some(lifecycle::LOOK_AGAIN));
            }
        };
        // What is left of a budget is given to one at a time, and written down before the next asks.
        let choosing = match claim.is_asking() && !claim.is_deleted {
            true => Some(self.kind.shared.choosing.lock().await),
            false => None,
        };
        let mut picture = self.kind.look(&claim).await?;
        let failure = done.failure.take().or_else(|| picture.failure.take());
        let backend = picture.served.as_ref().map(|(backend, _)| Arc::clone(backend));
        let next = step(&Known {
            claim: &claim,
            choice: &picture.choice,
            external_name: &picture.external_name,
            external: &picture.external,
            secret: picture.secret,
            is_idempotent: backend.is_some_and(|backend| backend.is_idempotent()),
            is_fresh: done.is_fresh,
            was_rotated: done.was_rotated,
            failure: failure.as_ref(),
            now: self.kind.shared.clock.now(),
        });
        let mut claim = claim;
        let mut object = object;
        if next.status != claim.status {
            let requested = next.status.create_requested_at != claim.status.create_requested_at;
            let Some(written) = self.write_status(&object, &claim, &next.status).await? else {
                return Ok(None);
            };
            object = written;
            done.is_fresh |= requested && next.status.create_requested_at.is_some();
            // What was rotated is written down.
            done.was_rotated &= next.status.rotated == claim.status.rotated;
            self.tell(&object, &claim, &next.status).await;
            claim.status = next.status;
        }
        drop(choosing);
        self.figure(&claim, &picture);
        let Some(effect) = next.effect else {
            // A failure is told, and rested on.
            return Ok((!next.wait.is_zero() || failure.is_some()).then_some(next.wait));
        };
        if !done.effects.insert(effect) {
            // It is on its way, and does not show yet.
            return Ok(Some(LOOK_EVERY));
        }
        self.carry_out(effect, &claim, &object, &picture, done).await
    }

    async fn carry_out(
        &self,
        effect: Effect,
        claim: &Claim,
        object: &DynamicObject,
        picture: &Picture,
        done: &mut Done,
    ) -> Result<Option<Duration>, kube::Error> {
        let shared = &self.kind.shared;
        if !shared.leadership.is_held() {
            return Ok(Some(FOLLOW));
        }
        shared.witness.reached("before", effect.name()).await;
        let result = self.effect(effect, claim, object, picture).await;
        shared.witness.reached("after", effect.name()).await;
        let outcome = if result.is_ok() { "done" } else { "failed" };
        shared.figures.effect(&EffectLabels { effect: effect.name(), outcome });
        let (namespace, name) = (&self.namespace, &self.name);
        match result {
            Ok(()) => {
                tracing::info!(namespace, claim = name, effect = effect.name(), "done");
                done.was_rotated |= effect == Effect::RotatePassword;
            }
            Err(Failed { message, is_sure }) => {
                tracing::warn!(namespace, claim = name, effect = effect.name(), message, "failed");
                let create_refused = is_sure && effect == Effect::Create;
                done.failure = Some(Failure { message, create_refused });
            }
        }
        done.is_fresh &= effect != Effect::Create;
        let is_over = effect == Effect::ReleaseClaim && done.failure.is_none();
        if is_over {
            shared.figures.take(&self.uid, None);
        }
        Ok(is_over.then_some(lifecycle::LOOK_AGAIN))
    }

    async fn effect(
        &self,
        effect: Effect,
        claim: &Claim,
        object: &DynamicObject,
        picture: &Picture,
    ) -> Result<(), Failed> {
        match effect {
            Effect::HoldClaim => return self.set_finalizer(object, true).await,
            Effect::ReleaseClaim => return self.set_finalizer(object, false).await,
            _ => {}
        }
        let Some((backend, wanted)) = &picture.served else {
            return Err(Failed { message: "no provider was asked".to_owned(), is_sure: true });
        };
        match effect {
            Effect::Create => backend.create(wanted).await?,
            Effect::Update => backend.update(wanted).await?,
            Effect::Delete => backend.delete(wanted).await?,
            Effect::RotatePassword => backend.rotate_password(wanted).await?,
            Effect::WriteSecret => {
                let connection = backend.connection(wanted).await?;
                let (shared, resource) = (&self.kind.shared, &self.kind.resource);
                let handed_on = handed_on(claim);
                secrets::write(shared, resource, claim, object, handed_on, &connection)
                    .await
                    .map_err(|message| Failed { message, is_sure: false })?;
            }
            Effect::HoldClaim | Effect::ReleaseClaim => {}
        }
        Ok(())
    }

    async fn set_finalizer(&self, object: &DynamicObject, is_held: bool) -> Result<(), Failed> {
        let api = self.kind.api(&self.namespace);
        let set = finalizer::set(&api, object, FINALIZER, is_held).await;
        set.map_err(|error| Failed { message: error.to_string(), is_sure: false })
    }

    /// Writes the status, unless the claim has changed meanwhile: then it is looked at again.
    async fn write_status(
        &self,
        object: &DynamicObject,
        claim: &Claim,
        status: &ClaimStatus,
    ) -> Result<Option<DynamicObject>, kube::Error> {
        let mut object = object.clone();
        let status_value = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        object.data["status"] = status_value;
        let name = if status.create_requested_at != claim.status.create_requested_at {
            "RecordCreateRequest"
        } else if status.provider != claim.status.provider {
            "RecordChoice"
        } else {
            "RecordStatus"
        };
        let shared = &self.kind.shared;
        shared.witness.reached("before", name).await;
        let api = self.kind.api(&self.namespace);
        let written = api.replace_status(&self.name, &PostParams::default(), &object).await;
        shared.witness.reached("after", name).await;
        match written {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says that a claim makes no sense.
    async fn refuse(&self, mut object: DynamicObject, problem: &str) -> Result<(), kube::Error> {
        let status = object.data.get("status").cloned().unwrap_or(Value::Null);
        let mut status: ClaimStatus = serde_json::from_value(status).unwrap_or_default();
        let before = status.clone();
        let saying = conditions::Saying {
            kind: "Synced",
            holds: false,
            reason: "ReconcileError",
            message: problem,
        };
        let now = self.kind.shared.clock.now();
        conditions::set(&mut status.conditions, saying, object.metadata.generation, now);
        if status == before {
            return Ok(());
        }
        object.data["status"] = serde_json::to_value(&status).map_err(kube::Error::SerdeError)?;
        let api = self.kind.api(&self.namespace);
        match api.replace_status(&self.name, &PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Tells people what has turned.
    async fn tell(&self, object: &DynamicObject, claim: &Claim, status: &ClaimStatus) {
        let shared = &self.kind.shared;
        if claim.status.ready_at.is_none() && status.ready_at.is_some() {
            let created = object.metadata.creation_timestamp.as_ref().map(conditions::timestamp);
            let took = shared.clock.now().since(created.unwrap_or_default());
            shared.figures.ready(&claim.size, status.provider.as_deref().unwrap_or_default(), took);
        }
        let mut events = Vec::new();
        if claim.status.provider.is_none()
            && let Some(choice) = &status.choice
        {
            events.push((EventType::Normal, "ProviderChosen", choice.clone()));
        }
        for condition in &status.conditions {
            let same = |one: &&crate::api::Condition| one.r#type == condition.r#type;
            let before = claim.status.conditions.iter().find(same);
            let turned = before.map(|one| (&one.status, &one.message))
                != Some((&condition.status, &condition.message));
            match (condition.r#type.as_str(), condition.status.as_str()) {
                ("Synced", "False") if turned => {
                    let reason = "ReconcileError";
                    events.push((EventType::Warning, reason, condition.message.clone()));
                }
                ("Ready", "True") if before.is_none_or(|one| one.status != "True") => {
                    events.push((EventType::Normal, "Available", "it is ready".to_owned()));
                }
                _ => {}
            }
        }
        let reference: ObjectReference = object.object_ref(&self.kind.resource);
        for (type_, reason, note) in events {
            let note: String = note.chars().take(LONGEST_NOTE).collect();
            let (reason, action) = (reason.to_owned(), "Reconcile".to_owned());
            let event = Event { type_, reason, note: Some(note), action, secondary: None };
            if let Err(error) = shared.recorder.publish(&event, &reference).await {
                tracing::debug!(%error, "an event was not written");
            }
        }
    }

    fn figure(&self, claim: &Claim, picture: &Picture) {
        let status = &claim.status;
        let is_ready =
            status.conditions.iter().any(|one| one.r#type == "Ready" && one.status == "True");
        let is_synced =
            status.conditions.iter().any(|one| one.r#type == "Synced" && one.status == "True");
        let state = match (claim.is_deleted, claim.is_paused(), is_ready, is_synced) {
            (true, ..) => "deleting",
            (_, true, ..) => "paused",
            (_, _, true, true) => "ready",
            (_, _, true, false) => "held",
            (_, _, false, false) => "failing",
            _ if matches!(picture.external, External::NotAsked) => "waiting",
            _ => "creating",
        };
        self.kind.shared.figures.take(
            &self.uid,
            Some(Figure {
                kind: self.kind.definition.kind.clone(),
                namespace: self.namespace.clone(),
                provider: status.provider.clone().unwrap_or_default(),
                state,
                price: status.price().unwrap_or_default(),
                pods: self.kind.pods_to_come(claim, picture),
            }),
        );
    }
}

/// The API server takes no longer events (1 kB), and a character may take four bytes.
const LONGEST_NOTE: usize = 250;

/// An effect that was not carried out.
struct Failed {
    message: String,
    is_sure: bool,
}

impl From<crate::claims::providers::BackendError> for Failed {
    fn from(error: crate::claims::providers::BackendError) -> Self {
        Self { message: error.message, is_sure: error.is_sure }
    }
}
