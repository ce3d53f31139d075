//! Why a node or a pod is as it is: what `berth explain` asks a running daemon.
//!
//! An [`Explanation`] is a function of the snapshot, the standing plan, the latest decisions and
//! the time. What was decided is quoted; what can be said anew is worked out by the very rules that
//! the decisions go by.

mod node;
mod pod;

use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_solver::model::{Name, PodKey, Snapshot, Timestamp};
use berth_solver::placement::StandingPlan;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::decisions::{DecisionJournal, Latest};
use crate::leader::Leadership;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A node, by name.
    Node(Name),
    /// A NodeClaim, by name: its node may not be there yet.
    NodeClaim(Name),
    /// A pod.
    Pod(PodKey),
}

/// A subject that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected node/NAME, nodeclaim/NAME or pod/NAMESPACE/NAME")]
pub struct BadSubject(String);

impl std::str::FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let parts: Vec<&str> = text.split('/').collect();
        let bad = || BadSubject(text.to_owned());
        if parts.iter().any(|part| part.is_empty()) {
            return Err(bad());
        }
        match *parts {
            ["node" | "nodes" | "no", name] => Ok(Self::Node(name.into())),
            ["nodeclaim" | "nodeclaims", name] => Ok(Self::NodeClaim(name.into())),
            ["pod" | "pods" | "po", namespace, name] => {
                Ok(Self::Pod(PodKey { namespace: namespace.into(), name: name.into() }))
            }
            _ => Err(bad()),
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(name) => write!(formatter, "node/{name}"),
            Self::NodeClaim(name) => write!(formatter, "nodeclaim/{name}"),
            Self::Pod(key) => write!(formatter, "pod/{key}"),
        }
    }
}

/// A named fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about.
    pub name: String,
    /// What there is to say.
    pub value: String,
}

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What it is about, as it was asked for.
    pub subject: String,
    /// What becomes of it, in one line.
    pub verdict: String,
    /// Why, one reason a line, the most important first.
    pub reasons: Vec<String>,
    /// What is known of it.
    pub facts: Vec<Fact>,
    /// The generation of the picture that was looked at.
    pub generation: u64,
    /// What to bear in mind: a picture that is not complete, a replica that does not decide.
    pub notes: Vec<String>,
}

/// There is no such object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in the cluster{1}")]
pub struct NotThere(String, String);

/// What is looked at.
struct Picture<'a> {
    snapshot: &'a Snapshot,
    standing: &'a StandingPlan,
    latest: &'a Latest,
    now: Timestamp,
    schedulers: &'a [Name],
}

impl Picture<'_> {
    fn explain(&self, subject: &Subject) -> Result<Explanation, NotThere> {
        match subject {
            Subject::Node(name) => self.node(subject, name),
            Subject::NodeClaim(name) => self.claim(subject, name),
            Subject::Pod(key) => self.pod(subject, key),
        }
    }

    fn explained(
        &self,
        subject: &Subject,
        (verdict, reasons): (String, Vec<String>),
        facts: Vec<Fact>,
    ) -> Explanation {
        Explanation {
            subject: subject.to_string(),
            verdict,
            reasons,
            facts,
            generation: self.snapshot.generation,
            notes: Vec::new(),
        }
    }

    fn ago(&self, at: Timestamp) -> String {
        let seconds = self.now.since(at).as_secs();
        match seconds {
            0..120 => format!("{seconds} s ago"),
            120..7_200 => format!("{} min ago", seconds / 60),
            _ => format!("{} h ago", seconds / 3_600),
        }
    }
}

fn fact(name: &str, value: impl ToString) -> Fact {
    Fact { name: name.to_owned(), value: value.to_string() }
}

/// Answers out of what the daemon knows.
#[derive(Clone, Debug)]
pub struct Explainer {
    /// The picture of the cluster.
    pub cache: Cache,
    /// The plan that pods should follow.
    pub plan: Arc<ArcSwap<StandingPlan>>,
    /// What was decided.
    pub journal: Arc<DecisionJournal>,
    /// Whether this replica decides.
    pub leadership: Leadership,
    /// What time it is.
    pub clock: Clock,
    /// The schedulers whose pods are planned for.
    pub schedulers: Box<[Name]>,
}

impl Explainer {
    /// Why that is as it is.
    ///
    /// # Errors
    ///
    /// When there is no such object.
    pub fn explain(&self, subject: &Subject) -> Result<Explanation, NotThere> {
        let (snapshot, latest) = (self.cache.snapshot(), self.journal.latest());
        let picture = Picture {
            snapshot: &snapshot,
            standing: &self.plan.load(),
            latest: &latest,
            now: self.clock.now(),
            schedulers: &self.schedulers,
        };
        let mut explanation = picture.explain(subject)?;
        if !self.cache.is_synced() {
            let note = "the picture of the cluster is not complete yet: nothing is decided";
            explanation.notes.push(note.to_owned());
        }
        if !self.leadership.is_held() {
            let note = "another replica decides: ask it for what was decided last";
            explanation.notes.push(note.to_owned());
        }
        Ok(explanation)
    }
}

#[cfg(test)]
mod tests;
