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

/// How many effects run at a time; others wait for their turn.
const AT_A_TIME: usize = 64;
/// An effect that was carried out is not repeated for so long: until then the cache shows what it
/// did.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Running { failures: u32 },
    Resting { until: Timestamp, failures: u32 },
}

/// The effects under way.
pub(super) struct Executor {
    hands: Arc<Hands>,
    slots: Arc<Semaphore>,
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
            tasks: JoinSet::new(),
            keys: HashMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// Begins an effect, unless it is under way or rests.
    pub(super) fn start(&mut self, effect: Effect) -> bool {
        let key = key(&effect);
        let now = self.hands.clock.now();
        let failures = match self.attempts.get(&key) {
            Some(Attempt::Running { .. }) => return false,
            Some(Attempt::Resting { until, .. }) if now < *until => return false,
            Some(Attempt::Resting { failures, .. }) => *failures,
            None => 0,
        };
        let (hands, slots) = (Arc::clone(&self.hands), Arc::clone(&self.slots));
        let task = self.tasks.spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire_owned().await;
            let result = hands.carry_out(&effect).await;
            Outcome { effect, result }
        });
        self.keys.insert(task.id(), key.clone());
        self.attempts.insert(key, Attempt::Running { failures });
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
        let failures = match self.attempts.get(&key) {
            Some(Attempt::Running { failures } | Attempt::Resting { failures, .. }) => *failures,
            None => 0,
        };
        let failed = outcome.as_ref().is_none_or(|outcome| outcome.result.is_err());
        let attempt = if failed {
            let asked = outcome.as_ref().and_then(asked_to_wait).unwrap_or_default();
            let rest = rest(failures).max(asked);
            Attempt::Resting { until: now + rest, failures: failures.saturating_add(1) }
        } else {
            Attempt::Resting { until: now + REPEAT_AFTER, failures: 0 }
        };
        self.attempts.insert(key, attempt);
        outcome
    }

    /// Forgets what is long over.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.attempts.retain(|_, attempt| match attempt {
            Attempt::Running { .. } => true,
            Attempt::Resting { until, .. } => now.since(*until) < FORGET_AFTER,
        });
    }
}

fn rest(failures: u32) -> Duration {
    FIRST_REST.saturating_mul(1 << failures.min(6)).min(LONGEST_REST)
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
    use super::*;

    #[test]
    fn rests_double_up_to_a_minute() {
        let rests: Vec<u64> = (0..9).map(|failures| rest(failures).as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
