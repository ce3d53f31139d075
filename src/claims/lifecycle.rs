//! What happens to a claim next.
//!
//! Pure: what is known of a claim in, its status and at most one external write out. The
//! controller writes the status first, so that every intent is durable before it is acted on; then
//! it carries the effect out, looks again and asks again.
//!
//! ```text
//!  finalizer -> provider chosen -> create requested -> Create -> found -> WriteSecret -> ready
//!               (status)           (status)                               ^
//!                                                     Update, RotatePassword
//!  deleted:  Retain -> ReleaseClaim       Delete -> Delete -> gone -> ReleaseClaim
//! ```

use std::time::Duration;

use berth_solver::model::Timestamp;

use super::choice::{Choice, NoChoice};
use super::claim::{Claim, ROTATE_PASSWORD};
use crate::api::ClaimStatus;
use crate::api::conditions::{self, Saying, time, timestamp};

/// After a create whose outcome nobody knows, a cloud that finds things by their labels shows them
/// within this time. Only then is it tried again.
pub const SETTLE: Duration = Duration::from_secs(120);
/// How often something that is on its way is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often something that is ready is looked at.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);
/// How often something is looked at that is on its way, and open to everybody from the moment that
/// it serves until it is told otherwise.
pub const LOOK_CLOSELY: Duration = Duration::from_secs(2);
/// How often it is asked again whether a claim may have what it asks for.
pub const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How long to wait after something failed.
pub const REST: Duration = Duration::from_secs(15);

/// What is known of a claim at this moment.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The claim, read live.
    pub claim: &'a Claim,
    /// Who serves it.
    pub choice: &'a Result<Choice, NoChoice>,
    /// What the provider is to know it by.
    pub external_name: &'a str,
    /// What the provider says of it.
    pub external: &'a External,
    /// The Secret that it wants written.
    pub secret: Secret,
    /// Whether a second create under the same name is refused by the provider.
    pub is_idempotent: bool,
    /// Whether the request to create was written by this process just now, and not followed yet.
    pub is_fresh: bool,
    /// Whether the password was rotated just now.
    pub was_rotated: bool,
    /// What failed just now.
    pub failure: Option<&'a Failure>,
    /// What time it is.
    pub now: Timestamp,
}

/// What the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum External {
    /// It was not asked: there is none yet.
    NotAsked,
    /// It knows of nothing under that name.
    Absent,
    /// It is there.
    Found(Found),
}

/// Something at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How far it is.
    pub phase: Phase,
    /// In the provider's words.
    pub said: String,
    /// What is not as the claim has it, and can be changed in place.
    pub differs: Vec<&'static str>,
}

/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// On its way.
    Pending,
    /// On its way, and everybody can reach it as soon as it serves, until the next
    /// [`Effect::Update`].
    Exposed,
    /// It is there, and takes another step before it begins to serve ([`Effect::Update`]).
    Unfinished,
    /// It serves.
    Ready,
    /// It is there and does not serve.
    Broken,
    /// On its way out.
    Deleting,
}

/// The Secret that a claim wants written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// None.
    NotWanted,
    /// It is not there.
    Absent,
    /// It is the claim's, and says what is right.
    Current,
    /// It is the claim's, and from before the last change of the password.
    Stale,
    /// It is there and somebody else's.
    Foreign,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people, without credentials.
    pub message: String,
    /// Whether it was a create that was refused for sure: nothing was created.
    pub create_refused: bool,
}

/// An external write. Each is one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Puts the finalizer on the claim.
    HoldClaim,
    /// Has the provider create it.
    Create,
    /// Has the provider change what differs, or take the next step of what is unfinished.
    Update,
    /// Has the provider delete it.
    Delete,
    /// Has the provider give it a new password.
    RotatePassword,
    /// Writes the connection Secret.
    WriteSecret,
    /// Takes the finalizer off the claim.
    ReleaseClaim,
}

impl Effect {
    /// Its name in logs, metrics and failpoints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HoldClaim => "HoldClaim",
            Self::Create => "CreateExternal",
            Self::Update => "UpdateExternal",
            Self::Delete => "DeleteExternal",
            Self::RotatePassword => "RotatePassword",
            Self::WriteSecret => "WriteConnectionSecret",
            Self::ReleaseClaim => "ReleaseClaim",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What the claim's status should be. Written before the effect.
    pub status: ClaimStatus,
    /// One external write.
    pub effect: Option<Effect>,
    /// When to look again, if nothing changes before.
    pub wait: Duration,
}

/// Says what happens next.
pub fn step(known: &Known<'_>) -> Step {
    let claim = known.claim;
    let mut status = claim.status.clone();
    if claim.is_paused() {
        let why = "paused by annotation; nothing is done, not even a deletion";
        say(&mut status, known, SYNCED, (false, "ReconcilePaused", why));
        return Step { status, effect: None, wait: LOOK_AGAIN };
    }
    let Next { effect, wait, synced, ready } =
        if claim.is_deleted { leave(known, &mut status) } else { live(known, &mut status) };
    let problem = known.failure.map(|failure| failure.message.clone()).or(synced.err());
    let saying = match &problem {
        Some(problem) => (false, "ReconcileError", problem.as_str()),
        None => (true, IN_SYNC, ""),
    };
    say(&mut status, known, SYNCED, saying);
    // What the provider could not be asked about is as it was.
    let is_unknown = known.failure.is_some() && *known.external == External::NotAsked;
    let was_said = status.conditions.iter().any(|one| one.r#type == READY);
    if !(is_unknown && was_said) {
        let (is_ready, reason, message) = &ready;
        say(&mut status, known, READY, (*is_ready, reason, message));
    }
    // After a failure the next pass begins anew: conditions only.
    let (effect, wait) = if known.failure.is_some() { (None, REST) } else { (effect, wait) };
    Step { status, effect, wait }
}

const SYNCED: &str = "Synced";
/// The reason of that condition where all is well.
const IN_SYNC: &str = "ReconcileSuccess";
const READY: &str = "Ready";

struct Next {
    effect: Option<Effect>,
    wait: Duration,
    synced: Result<(), String>,
    ready: (bool, &'static str, String),
}

impl Next {
    fn now(effect: Effect, reason: &'static str, message: &str) -> Self {
        let ready = (false, reason, message.to_owned());
        Self { effect: Some(effect), wait: Duration::ZERO, synced: Ok(()), ready }
    }

    fn later(wait: Duration, reason: &'static str, message: &str) -> Self {
        Self { effect: None, wait, synced: Ok(()), ready: (false, reason, message.to_owned()) }
    }

    fn problem(problem: String, reason: &'static str, message: &str) -> Self {
        Self { synced: Err(problem), ..Self::later(REST, reason, message) }
    }
}

fn live(known: &Known<'_>, status: &mut ClaimStatus) -> Next {
    let claim = known.claim;
    if !claim.has_finalizer {
        return Next::now(Effect::HoldClaim, "Waiting", "the claim was seen");
    }
    let choice = match known.choice {
        Ok(choice) => choice,
        Err(none) => {
            let reason = if status.created_at.is_some() { "Unavailable" } else { "Waiting" };
            return Next::problem(none.to_string(), reason, "no provider serves it");
        }
    };
    if known.secret == Secret::Foreign {
        let name = claim.secret.as_deref().unwrap_or_default();
        let problem = format!(
            "spec.writeConnectionSecretToRef: Secret {name} is there and is not this claim's: delete \
             it, or make a claim that names another"
        );
        let reason = if status.ready_at.is_some() { "Unavailable" } else { "Waiting" };
        return Next::problem(problem, reason, "its Secret cannot be written");
    }
    choose(known, choice, status);
    let next = match known.external {
        External::NotAsked => Next::later(Duration::ZERO, "Creating", "a provider was chosen"),
        External::Absent => absent(known, status),
        External::Found(found) => here(known, found, status),
    };
    match &choice.held {
        Some(held) if next.synced.is_ok() => {
            let wait = next.wait.min(ASK_AGAIN);
            Next { synced: Err(held.to_string()), wait, ..next }
        }
        _ => next,
    }
}

/// Takes down who serves it, before anything is asked of it.
fn choose(known: &Known<'_>, choice: &Choice, status: &mut ClaimStatus) {
    if status.provider.is_none() {
        status.provider = Some(choice.provider.clone());
        status.external_name = Some(known.external_name.to_owned());
        status.choice = Some(choice.to_string());
    }
    status.size = Some(choice.size.size.clone());
    status.storage_gb = choice.storage;
    status.plan.clone_from(&choice.size.plan);
    status.price_per_month = Some(choice.price.to_string());
}

fn absent(known: &Known<'_>, status: &mut ClaimStatus) -> Next {
    let claim = known.claim;
    if status.created_at.is_some() || claim.adopt.is_some() {
        let name = status.external_name.as_deref().unwrap_or_default();
        let problem = format!(
            "{name} is not there (any more). It is not created again by itself, for its data would \
             be missing: make another claim"
        );
        return Next::problem(problem, "Unavailable", "it is not there");
    }
    if known.failure.is_some_and(|failure| failure.create_refused) {
        status.create_requested_at = None;
        return Next::later(REST, "Creating", "the provider refused to create it");
    }
    let requested = status.create_requested_at.as_ref().map(timestamp);
    match requested {
        Some(_) if known.is_fresh || known.is_idempotent => {
            Next::now(Effect::Create, "Creating", "it is being created")
        }
        Some(at) if known.now.since(at) < SETTLE => {
            let why = "a request to create it may be on its way";
            Next::later(LOOK_EVERY, "Creating", why)
        }
        _ => {
            status.create_requested_at = Some(time(known.now));
            Next::later(Duration::ZERO, "Creating", "it is being created")
        }
    }
}

fn here(known: &Known<'_>, found: &Found, status: &mut ClaimStatus) -> Next {
    let claim = known.claim;
    status.created_at.get_or_insert_with(|| time(known.now));
    let was_ready = status.ready_at.is_some();
    match found.phase {
        Phase::Pending if !was_ready => return Next::later(LOOK_EVERY, "Creating", &found.said),
        Phase::Exposed if !was_ready => {
            return Next::later(LOOK_CLOSELY, "Creating", &found.said);
        }
        Phase::Unfinished if !was_ready => {
            return Next::now(Effect::Update, "Creating", &found.said);
        }
        Phase::Pending | Phase::Exposed | Phase::Unfinished | Phase::Broken => {
            return Next::later(LOOK_EVERY, "Unavailable", &found.said);
        }
        Phase::Deleting => {
            let problem = format!("somebody is deleting it at the provider: {}", found.said);
            return Next::problem(problem, "Unavailable", &found.said);
        }
        Phase::Ready => {}
    }
    let available = |effect: Option<Effect>, wait: Duration| Next {
        effect,
        wait,
        synced: Ok(()),
        ready: (true, "Available", String::new()),
    };
    if !found.differs.is_empty() {
        let next = available(Some(Effect::Update), Duration::ZERO);
        return if was_ready { next } else { Next { ready: creating(), ..next } };
    }
    let asked = claim.annotations.get(ROTATE_PASSWORD);
    if known.was_rotated || !was_ready {
        status.rotated = asked.cloned();
    } else if asked.is_some() && status.rotated.as_ref() != asked {
        return available(Some(Effect::RotatePassword), Duration::ZERO);
    }
    match known.secret {
        // What was rotated a moment ago is not what the Secret was compared with.
        Secret::Current if known.was_rotated => available(None, Duration::ZERO),
        Secret::NotWanted | Secret::Current => {
            status.ready_at.get_or_insert_with(|| time(known.now));
            available(None, LOOK_AGAIN)
        }
        Secret::Absent | Secret::Stale | Secret::Foreign => {
            let next = available(Some(Effect::WriteSecret), Duration::ZERO);
            if was_ready { next } else { Next { ready: creating(), ..next } }
        }
    }
}

fn creating() -> (bool, &'static str, String) {
    (false, "Creating", "it is there, and being set up".to_owned())
}

fn leave(known: &Known<'_>, status: &mut ClaimStatus) -> Next {
    let claim = known.claim;
    if !claim.has_finalizer {
        return Next::later(LOOK_AGAIN, "Deleting", "somebody else holds the claim");
    }
    let release = || Next::now(Effect::ReleaseClaim, "Deleting", "the claim is let go");
    if status.provider.is_none() || status.create_requested_at.is_none() && claim.adopt.is_none() {
        return release();
    }
    // What never served holds nothing that anybody could miss; what is adopted does.
    let keeps = claim.retain && (status.ready_at.is_some() || claim.adopt.is_some());
    if keeps {
        return release();
    }
    if let Err(none) = known.choice {
        let what = status.external_name.as_deref().unwrap_or_default();
        let problem = format!(
            "{what} cannot be deleted ({none}): bring its ClaimProvider back, or set \
             spec.deletionPolicy to Retain and delete it by hand"
        );
        return Next::problem(problem, "Deleting", "its provider is not there");
    }
    match known.external {
        External::NotAsked => Next::later(Duration::ZERO, "Deleting", ""),
        External::Absent => {
            let requested = status.create_requested_at.as_ref().map(timestamp);
            let is_settled = requested.is_none_or(|at| known.now.since(at) >= SETTLE);
            if !(status.created_at.is_some() || is_settled || known.is_idempotent) {
                let why = "a request to create it may be on its way";
                return Next::later(LOOK_EVERY, "Deleting", why);
            }
            // One answer that does not find it is no proof that it is gone.
            if !was_looked_for(status) {
                let why = "it does not show: it is looked for once more";
                return Next::later(LOOK_EVERY, "Deleting", why);
            }
            release()
        }
        External::Found(Found { phase: Phase::Deleting, said, .. }) => {
            status.created_at.get_or_insert_with(|| time(known.now));
            Next::later(LOOK_EVERY, "Deleting", said)
        }
        External::Found(found) => {
            status.created_at.get_or_insert_with(|| time(known.now));
            Next::now(Effect::Delete, "Deleting", &found.said)
        }
    }
}

/// Whether the pass before this one has looked for it since the claim was deleted, and said what it
/// found: one that could not look says why it is not in sync.
fn was_looked_for(status: &ClaimStatus) -> bool {
    let said = |kind: &str| status.conditions.iter().find(|one| one.r#type == kind);
    let in_sync = said(SYNCED).is_some_and(|one| one.reason == IN_SYNC);
    in_sync && said(READY).is_some_and(|one| one.reason == "Deleting" && !one.message.is_empty())
}

fn say(
    status: &mut ClaimStatus,
    known: &Known<'_>,
    kind: &str,
    (holds, reason, message): (bool, &str, &str),
) {
    let saying = Saying { kind, holds, reason, message };
    conditions::set(&mut status.conditions, saying, known.claim.generation, known.now);
    // Others walk along them in this order.
    status.conditions.sort_by_key(|one| one.r#type != SYNCED);
}

#[cfg(test)]
mod tests;
