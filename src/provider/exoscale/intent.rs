//! The durable intent that precedes every create, and what follows from finding one.
//!
//! The API has no idempotency key. So before a create is sent, the NodeClaim says that it will be:
//! an annotation, written on condition that the claim has not changed. Whoever comes after a lost
//! answer, a crash or a change of leader finds it there, looks for the instance by its labels, and
//! sends another create only when an instance that the first one made would have been seen by now.

use std::time::Duration;

use berth_solver::model::Timestamp;
use serde::{Deserialize, Serialize};

/// The annotation of a NodeClaim.
pub const INTENT_ANNOTATION: &str = "berth.sh/create-intent";

/// What was about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Which create it was, from 1.
    pub attempt: u32,
    /// When it was declared, in milliseconds since 1970 by the declarer's clock.
    pub at: i64,
    /// Whether that create was refused, so that it made nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// What is to be done about an instance that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Declare this, and send a create.
    Declare(Intent),
    /// An earlier create may still show: look again after so long.
    Wait(Duration),
}

impl Intent {
    /// Reads the annotation. What cannot be read counts as declared just now: nobody knows.
    pub fn parse(text: &str, now: Timestamp) -> Self {
        let unknown = Self { attempt: 1, at: now.as_millis(), refused: false };
        serde_json::from_str(text).unwrap_or(unknown)
    }

    /// The annotation.
    pub fn text(&self) -> String {
        // A struct of numbers cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// How long an instance that it made may still stay unseen.
    pub fn unsettled(&self, settle: Duration, now: Timestamp) -> Duration {
        if self.refused {
            return Duration::ZERO;
        }
        (Timestamp::from_millis(self.at) + settle).since(now)
    }
}

/// What follows when no instance carries the claim's UID.
pub fn next(last: Option<&Intent>, settle: Duration, now: Timestamp) -> Next {
    let wait = last.map_or(Duration::ZERO, |last| last.unsettled(settle, now));
    if !wait.is_zero() {
        return Next::Wait(wait);
    }
    let attempt = last.map_or(0, |last| last.attempt).saturating_add(1);
    Next::Declare(Intent { attempt, at: now.as_millis(), refused: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(120);

    #[test]
    fn a_create_is_sent_again_only_when_the_last_would_have_been_seen() {
        let at = Timestamp::from_seconds;
        let Next::Declare(first) = next(None, SETTLE, at(1_000)) else { panic!() };
        assert_eq!((first.attempt, first.refused), (1, false));
        assert_eq!(Intent::parse(&first.text(), at(9_999)), first);
        let wait = next(Some(&first), SETTLE, at(1_030));
        assert_eq!(wait, Next::Wait(Duration::from_secs(90)));
        let again = Intent { attempt: 2, at: 1_120_000, refused: false };
        assert_eq!(next(Some(&first), SETTLE, at(1_120)), Next::Declare(again));
        let refused = Intent { refused: true, ..first };
        let again = Intent { attempt: 2, at: 1_001_000, refused: false };
        assert_eq!(next(Some(&refused), SETTLE, at(1_001)), Next::Declare(again));
    }

    #[test]
    fn an_intent_that_cannot_be_read_is_waited_for() {
        let now = Timestamp::from_seconds(1_000);
        let garbled = Intent::parse("{", now);
        assert_eq!(next(Some(&garbled), SETTLE, now), Next::Wait(SETTLE));
    }
}
