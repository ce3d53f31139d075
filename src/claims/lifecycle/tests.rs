use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::claims::choice::{Held, Reason};
use crate::claims::testing::{claim, provider};

const START: Timestamp = Timestamp::from_seconds(1_000);

/// A claim, the world around it, and a controller that carries every effect out at once.
struct World {
    claim: Claim,
    choice: Result<Choice, NoChoice>,
    external: External,
    secret: Secret,
    is_idempotent: bool,
    is_fresh: bool,
    was_rotated: bool,
    failure: Option<Failure>,
    now: Timestamp,
}

fn found(phase: Phase) -> External {
    External::Found(Found { phase, said: "said".to_owned(), differs: Vec::new() })
}

impl World {
    fn new() -> Self {
        let spec = provider("exoscale", "52.00");
        let choice = Choice {
            provider: "gva".to_owned(),
            price: "52.00".parse().unwrap(),
            size: spec.sizes[0].clone(),
            storage: Some(20),
            others: BTreeMap::new(),
            held: None,
        };
        Self {
            claim: claim(&json!({
                "parameters": { "size": "small" }, "writeConnectionSecretToRef": { "name": "db" },
            })),
            choice: Ok(choice),
            external: External::NotAsked,
            secret: Secret::Absent,
            is_idempotent: true,
            is_fresh: false,
            was_rotated: false,
            failure: None,
            now: START,
        }
    }

    /// One step; the status is written.
    fn step(&mut self) -> Step {
        let next = step(&Known {
            claim: &self.claim,
            choice: &self.choice,
            external_name: "berth-1",
            external: &self.external,
            secret: self.secret,
            is_idempotent: self.is_idempotent,
            is_fresh: self.is_fresh,
            was_rotated: self.was_rotated,
            failure: self.failure.as_ref(),
            now: self.now,
        });
        self.claim.status = next.status.clone();
        next
    }

    fn effect(&mut self) -> Option<Effect> {
        self.step().effect
    }

    /// Until it is at the provider.
    fn created() -> Self {
        let mut world = Self::new();
        world.claim.has_finalizer = true;
        world.step();
        world.external = External::Absent;
        world.step();
        assert_eq!(world.effect(), Some(Effect::Create));
        world.external = found(Phase::Pending);
        world.step();
        world
    }

    fn ready() -> Self {
        let mut world = Self::created();
        world.external = found(Phase::Ready);
        assert_eq!(world.effect(), Some(Effect::WriteSecret));
        world.secret = Secret::Current;
        assert_eq!(world.effect(), None);
        world
    }

    /// `Synced` and `Ready`, each with its reason.
    fn said(&self) -> String {
        let said = self
            .claim
            .status
            .conditions
            .iter()
            .map(|one| format!("{}={} {}", one.r#type, one.status, one.reason));
        said.collect::<Vec<_>>().join(", ")
    }

    fn message(&self) -> &str {
        &self.claim.status.conditions[0].message
    }
}

#[test]
fn every_intent_is_in_the_status_before_it_is_acted_on() {
    let mut world = World::new();
    assert_eq!(world.effect(), Some(Effect::HoldClaim));
    assert_eq!(world.claim.status.provider, None);
    world.claim.has_finalizer = true;
    let chosen = world.step();
    assert_eq!((chosen.effect, chosen.wait), (None, Duration::ZERO));
    assert_eq!(world.claim.status.provider.as_deref(), Some("gva"));
    assert_eq!(world.claim.status.external_name.as_deref(), Some("berth-1"));
    assert_eq!(world.claim.status.price_per_month.as_deref(), Some("52.00"));
    world.external = External::Absent;
    assert_eq!(world.effect(), None);
    assert_eq!(world.claim.status.create_requested_at, Some(time(START)));
    assert_eq!(world.effect(), Some(Effect::Create));
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=False Creating");
    world.external = found(Phase::Pending);
    assert_eq!(world.effect(), None);
    assert_eq!(world.claim.status.created_at, Some(time(START)));
    world.external = found(Phase::Ready);
    world.now = START + Duration::from_secs(300);
    assert_eq!(world.effect(), Some(Effect::WriteSecret));
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=False Creating");
    world.secret = Secret::Current;
    assert_eq!(world.effect(), None);
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=True Available");
    assert_eq!(world.claim.status.ready_at, Some(time(world.now)));
    let before = world.claim.status.clone();
    world.now = world.now + Duration::from_secs(3_600);
    assert_eq!(world.step().status, before, "nothing is written while nothing turns");
}

#[test]
fn a_create_whose_outcome_nobody_knows_is_not_repeated_before_it_must_show() {
    let mut world = World::new();
    world.claim.has_finalizer = true;
    world.is_idempotent = false;
    world.step();
    world.external = External::Absent;
    world.step();
    // Whoever wrote the request calls.
    world.is_fresh = true;
    assert_eq!(world.effect(), Some(Effect::Create));
    // It died, or the answer was lost.
    world.is_fresh = false;
    world.now = START + SETTLE - Duration::from_secs(1);
    let step = world.step();
    assert_eq!((step.effect, step.wait), (None, LOOK_EVERY));
    world.now = START + SETTLE;
    let step = world.step();
    assert_eq!((step.effect, step.wait), (None, Duration::ZERO));
    assert_eq!(world.claim.status.create_requested_at, Some(time(START + SETTLE)));
    world.is_fresh = true;
    assert_eq!(world.effect(), Some(Effect::Create));
    // A refusal for sure takes the request back.
    world.failure = Some(Failure { message: "over quota".to_owned(), create_refused: true });
    let step = world.step();
    assert_eq!((step.effect, step.wait), (None, REST));
    assert_eq!(world.claim.status.create_requested_at, None);
    assert_eq!(world.said(), "Synced=False ReconcileError, Ready=False Creating");
    assert_eq!(world.message(), "over quota");
}

#[test]
fn what_holds_data_outlives_its_claim_unless_the_claim_says_otherwise() {
    let mut world = World::ready();
    world.claim.is_deleted = true;
    assert!(world.claim.retain);
    assert_eq!(world.effect(), Some(Effect::ReleaseClaim));

    let mut world = World::ready();
    world.claim.is_deleted = true;
    world.claim.retain = false;
    assert_eq!(world.effect(), Some(Effect::Delete));
    world.external = found(Phase::Deleting);
    assert_eq!(world.effect(), None);
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=False Deleting");
    world.external = External::Absent;
    assert_eq!(world.effect(), Some(Effect::ReleaseClaim));
}

#[test]
fn what_one_look_does_not_find_is_looked_for_again_before_its_claim_goes() {
    let deleted = || {
        let mut world = World::ready();
        world.claim.is_deleted = true;
        world.claim.retain = false;
        world.external = External::Absent;
        let step = world.step();
        assert_eq!((step.effect, step.wait), (None, LOOK_EVERY));
        world
    };
    let mut world = deleted();
    world.external = found(Phase::Ready);
    assert_eq!(world.effect(), Some(Effect::Delete), "it was there all along");

    let mut world = deleted();
    assert_eq!(world.effect(), Some(Effect::ReleaseClaim));

    // A pass that could not look is no look.
    let mut world = deleted();
    world.failure = Some(Failure { message: "no answer".to_owned(), create_refused: false });
    world.external = External::NotAsked;
    assert_eq!(world.effect(), None);
    world.failure = None;
    world.external = External::Absent;
    assert_eq!(world.effect(), None);
    assert_eq!(world.effect(), Some(Effect::ReleaseClaim));
}

#[test]
fn a_claim_deleted_while_it_is_created_leaves_nothing_behind() {
    // Nothing was asked for.
    let mut world = World::new();
    world.claim.has_finalizer = true;
    world.step();
    world.claim.is_deleted = true;
    world.external = External::Absent;
    assert_eq!(world.effect(), Some(Effect::ReleaseClaim));

    // It was never ready: Retain has nothing to retain.
    let mut world = World::created();
    world.claim.is_deleted = true;
    assert_eq!(world.effect(), Some(Effect::Delete));

    // A request may be on its way: only when it must have shown is the claim let go.
    let mut world = World::new();
    world.claim.has_finalizer = true;
    world.is_idempotent = false;
    world.step();
    world.external = External::Absent;
    world.step();
    world.claim.is_deleted = true;
    assert_eq!(world.effect(), None);
    world.external = found(Phase::Pending);
    assert_eq!(world.effect(), Some(Effect::Delete));
    world.external = External::Absent;
    assert_eq!(world.effect(), Some(Effect::ReleaseClaim));
}

#[test]
fn a_foreign_secret_stops_everything_before_money_is_spent() {
    let mut world = World::new();
    world.claim.has_finalizer = true;
    world.secret = Secret::Foreign;
    let step = world.step();
    assert_eq!((step.effect, world.claim.status.provider.clone()), (None, None));
    assert_eq!(world.said(), "Synced=False ReconcileError, Ready=False Waiting");
    assert_eq!(
        world.message(),
        "spec.writeConnectionSecretToRef: Secret db is there and is not this claim's: delete it, or \
         make a claim that names another"
    );
}

#[test]
fn a_paused_claim_is_left_alone_whatever_happens() {
    let mut world = World::ready();
    world.claim.annotations.insert("crossplane.io/paused".to_owned(), "true".to_owned());
    world.claim.is_deleted = true;
    world.claim.retain = false;
    assert_eq!(world.effect(), None);
    assert_eq!(world.said(), "Synced=False ReconcilePaused, Ready=True Available");
}

#[test]
fn each_new_value_of_the_annotation_rotates_the_password_once() {
    let mut world = World::ready();
    world.claim.annotations.insert(ROTATE_PASSWORD.to_owned(), "2026-11".to_owned());
    assert_eq!(world.effect(), Some(Effect::RotatePassword));
    world.was_rotated = true;
    world.step();
    assert_eq!(world.claim.status.rotated.as_deref(), Some("2026-11"));
    world.secret = Secret::Stale;
    assert_eq!(world.effect(), Some(Effect::WriteSecret));
    (world.was_rotated, world.secret) = (false, Secret::Current);
    assert_eq!(world.effect(), None);
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=True Available");
}

#[test]
fn what_differs_is_changed_in_place_and_what_is_gone_is_not_made_again() {
    let mut world = World::ready();
    let differs = vec!["plan"];
    world.external = External::Found(Found { phase: Phase::Ready, said: String::new(), differs });
    assert_eq!(world.effect(), Some(Effect::Update));
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=True Available");

    world.external = External::Absent;
    assert_eq!(world.effect(), None);
    assert_eq!(world.said(), "Synced=False ReconcileError, Ready=False Unavailable");
    assert!(world.message().starts_with("berth-1 is not there (any more)"), "{}", world.message());
}

#[test]
fn without_its_provider_a_claim_is_held_and_says_what_to_do() {
    let mut world = World::ready();
    world.claim.is_deleted = true;
    world.claim.retain = false;
    world.choice = Err(NoChoice::default());
    world.external = External::NotAsked;
    assert_eq!(world.effect(), None);
    assert!(world.message().contains("bring its ClaimProvider back"), "{}", world.message());
}

#[test]
fn what_is_unfinished_is_taken_further_until_it_has_served() {
    let mut world = World::new();
    world.claim.has_finalizer = true;
    world.step();
    world.external = External::Absent;
    world.step();
    world.external = found(Phase::Unfinished);
    assert_eq!(world.effect(), Some(Effect::Update));
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=False Creating");
    world.external = found(Phase::Ready);
    world.secret = Secret::Current;
    world.step();
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=True Available");
    // Somebody has stopped it: that is theirs to undo.
    world.external = found(Phase::Unfinished);
    assert_eq!(world.effect(), None);
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=False Unavailable");
}

#[test]
fn what_the_provider_cannot_be_asked_about_stays_as_it_was() {
    let mut world = World::new();
    world.claim.has_finalizer = true;
    world.step();
    world.external = found(Phase::Ready);
    world.secret = Secret::Current;
    world.step();
    world.external = External::NotAsked;
    world.failure = Some(Failure { message: "down".to_owned(), create_refused: false });
    assert_eq!(world.effect(), None);
    assert_eq!(world.said(), "Synced=False ReconcileError, Ready=True Available");
    assert_eq!(world.message(), "down");
}

#[test]
fn what_is_not_given_is_said_while_everything_else_goes_on() {
    let mut world = World::ready();
    assert_eq!(world.claim.status.size.as_deref(), Some("small"));
    assert_eq!(world.claim.status.storage_gb, Some(20));
    world.claim.size = "medium".to_owned();
    let (price, used) = ("104.00".parse().unwrap(), "52.00".parse().unwrap());
    let reason = Reason::Budget { price, used, budget: "150.00".parse().unwrap() };
    let choice = world.choice.as_mut().unwrap();
    choice.held = Some(Held {
        provider: "gva".to_owned(),
        wanted: "size medium".to_owned(),
        has: ("size small".to_owned(), used),
        reason,
    });
    let step = world.step();
    assert_eq!((step.effect, step.wait), (None, ASK_AGAIN));
    assert_eq!(world.said(), "Synced=False ReconcileError, Ready=True Available");
    assert_eq!(
        world.message(),
        "size medium is not given, it stays size small for 52.00 a month: gva: 104.00 a month is \
         6.00 over its budget: 52.00 of 150.00 are used: take the change back, or have the platform \
         team raise monthlyBudget of ClaimProvider gva"
    );
    let status = &world.claim.status;
    assert_eq!(
        (status.size.as_deref(), status.plan.as_deref()),
        (Some("small"), Some("startup-4"))
    );
    assert_eq!(status.price_per_month.as_deref(), Some("52.00"));
    // Who may connect is changed all the same.
    let differs = vec!["allowedCIDRs"];
    world.external = External::Found(Found { phase: Phase::Ready, said: String::new(), differs });
    assert_eq!(world.effect(), Some(Effect::Update));
    assert_eq!(world.said(), "Synced=False ReconcileError, Ready=True Available");
}

#[test]
fn what_everybody_can_reach_when_it_serves_is_looked_at_closely_until_then() {
    let mut world = World::created();
    assert_eq!(world.step().wait, LOOK_EVERY);
    world.external = found(Phase::Exposed);
    let step = world.step();
    assert_eq!((step.effect, step.wait), (None, LOOK_CLOSELY));
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=False Creating");
    // It is closed before anybody is told how to connect.
    let differs = vec!["allowedCIDRs"];
    world.external = External::Found(Found { phase: Phase::Ready, said: String::new(), differs });
    assert_eq!(world.effect(), Some(Effect::Update));
    assert_eq!(world.said(), "Synced=True ReconcileSuccess, Ready=False Creating");
}
