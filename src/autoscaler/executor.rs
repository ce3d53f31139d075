//! Carries effects out side by side, none of them twice at a time, and none in a hurry after it
//! failed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use berth_solver::lifecycle::Effect;
use berth_solver::model::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};

use super::hands::{Done, Failure, Hands};
use super::{WriteError, hands};
use crate::provider::ProviderError;

/// How many writes run at a time; others wait for their turn.
const AT_A_TIME: usize = 64;
/// And how many calls to the cloud, which may take minutes: no write waits for those.
const CALLS_AT_A_TIME: usize = 64;
/// An effect that was carried out is not repeated for so long: until then the cache shows what it
/// did. Where the cache lags behind, the very same effect rests twice as long each further time.
const REPEAT_AFTER: Duration = Duration::from_secs(1);
/// After a failure it rests for so long, twice as long after each further one...
const FIRST_REST: Duration = Duration::from_secs(1);
/// ...and so long at most.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// What was left alone for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(5 * 60);

/// What became of an effect.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) effect: Effect,
    pub(super) result: Result<Done, Failure>,
}

/// An effect's name and subject. All calls to the cloud for one claim have one key: a create and a
/// delete must not overtake each other.
type Key = (&'static str, String);

#[derive(Clone, Debug, PartialEq)]
enum Attempt {
    Running {
        failures: u32,
        repeats: u32,
    },
    /// After a failure.
    Failed {
        until: Timestamp,
        failures: u32,
    },
    /// After a success, which was so many times the same.
    Done {
        until: Timestamp,
        effect: Box<Effect>,
        repeats: u32,
    },
}

impl Attempt {
    /// Until when it rests.
    const fn rests_until(&self) -> Option<Timestamp> {
        match self {
            Self::Running { .. } => None,
            Self::Failed { until, .. } | Self::Done { until, .. } => Some(*until),
        }
    }
}

/// The effects under way.
pub(super) struct Executor {
    hands: Arc<Hands>,
    slots: Arc<Semaphore>,
    call_slots: Arc<Semaphore>,
    tasks: JoinSet<Outcome>,
    keys: HashMap<Id, Key>,
    attempts: BTreeMap<Key, Attempt>,
}

fn key(effect: &Effect) -> Key {
    let name = match effect {
        Effect::LaunchInstance(_) | Effect::TerminateInstance { .. } => "cloud",
        Effect::Write(write) => write.name(),
    };
    (name, effect.subject())
}

impl Executor {
    pub(super) fn new(hands: Arc<hands::Hands>) -> Self {
        Self {
            hands,
            slots: Arc::new(Semaphore::new(AT_A_TIME)),
            call_slots: Arc::new(Semaphore::new(CALLS_AT_A_TIME)),
            tasks: JoinSet::new(),
            keys: HashMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// Begins an effect, unless it is under way or rests.
    pub(super) fn start(&mut self, effect: Effect) -> bool {
        let key = key(&effect);
        let now = self.hands.clock.now();
        let Some(running) = begin(self.attempts.get(&key), &effect, now) else { return false };
        let slots = if matches!(effect, Effect::Write(_)) { &self.slots } else { &self.call_slots };
        let (hands, slots) = (Arc::clone(&self.hands), Arc::clone(slots));
        let task = self.tasks.spawn(async move {
            // The semaphores are never closed.
            let _slot = slots.acquire_owned().await;
            let result = hands.carry_out(&effect).await;
            Outcome { effect, result }
        });
        self.keys.insert(task.id(), key.clone());
        self.attempts.insert(key, running);
        true
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits for the next effect to end; `None` if nothing is under way, or if one broke down.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        let ended = self.tasks.join_next_with_id().await?;
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, Some(outcome)),
            Err(error) => {
                tracing::error!(%error, "an effect broke down");
                (error.id(), None)
            }
        };
        let key = self.keys.remove(&id)?;
        let now = self.hands.clock.now();
        let (failures, repeats) = match self.attempts.get(&key) {
            Some(Attempt::Running { failures, repeats }) => (*failures, *repeats),
            _ => (0, 0),
        };
        let done = outcome.as_ref().filter(|outcome| outcome.result.is_ok());
        let attempt = match done {
            Some(done) => Attempt::Done {
                until: now + doubled(REPEAT_AFTER, repeats),
                effect: Box::new(done.effect.clone()),
                repeats,
            },
            None => {
                let asked = outcome.as_ref().and_then(asked_to_wait).unwrap_or_default();
                let until = now + doubled(FIRST_REST, failures).max(asked);
                Attempt::Failed { until, failures: failures.saturating_add(1) }
            }
        };
        self.attempts.insert(key, attempt);
        outcome
    }

    /// Forgets what is long over.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.attempts.retain(|_, attempt| {
            attempt.rests_until().is_none_or(|until| now.since(until) < FORGET_AFTER)
        });
    }
}

/// What becomes of the last attempt when the effect is asked for now; `None` if it is under way or
/// rests.
fn begin(last: Option<&Attempt>, effect: &Effect, now: Timestamp) -> Option<Attempt> {
    let (failures, repeats) = match last {
        None => (0, 0),
        Some(Attempt::Running { .. }) => return None,
        Some(Attempt::Failed { until, .. } | Attempt::Done { until, .. }) if now < *until => {
            return None;
        }
        Some(Attempt::Failed { failures, .. }) => (*failures, 0),
        Some(Attempt::Done { effect: done, repeats, .. }) => {
            (0, if **done == *effect { repeats.saturating_add(1) } else { 0 })
        }
    };
    Some(Attempt::Running { failures, repeats })
}

/// A time, doubled so many times, up to [`LONGEST_REST`].
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(6)).min(LONGEST_REST)
}

fn asked_to_wait(outcome: &Outcome) -> Option<Duration> {
    match outcome.result.as_ref().err()? {
        Failure::Write(WriteError::Later { retry_after, .. })
        | Failure::Provider(ProviderError::Throttled { retry_after, .. }) => *retry_after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use berth_solver::lifecycle::ClaimRef;

    use super::*;

    #[test]
    fn rests_double_up_to_a_minute() {
        let rests: Vec<u64> =
            (0..9).map(|failures| doubled(FIRST_REST, failures).as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn what_was_done_is_repeated_more_and_more_rarely_and_something_else_is_not_held_up() {
        let terminate = |name: &str| Effect::TerminateInstance {
            claim: ClaimRef { name: name.into(), uid: name.into() },
            provider_id: None,
        };
        let at = Timestamp::from_seconds;
        let done = Attempt::Done { until: at(10), effect: Box::new(terminate("a")), repeats: 2 };
        assert_eq!(begin(Some(&done), &terminate("a"), at(9)), None);
        let running = |failures, repeats| Some(Attempt::Running { failures, repeats });
        assert_eq!(begin(Some(&done), &terminate("a"), at(10)), running(0, 3));
        assert_eq!(begin(Some(&done), &terminate("b"), at(10)), running(0, 0));
        let failed = Attempt::Failed { until: at(10), failures: 3 };
        assert_eq!(begin(Some(&failed), &terminate("a"), at(10)), running(3, 0));
        assert_eq!(begin(running(0, 0).as_ref(), &terminate("a"), at(10)), None);
        assert_eq!(begin(None, &terminate("a"), at(0)), running(0, 0));
    }
}
