//! The verb `preempt`: `ExtenderPreemptionArgs` and `ExtenderPreemptionResult`.
//!
//! kube-scheduler proposes nodes and, for each, the pods that it would evict there. The answer
//! takes proposals away and adds nothing: every UID in it was in the question. It is in the form
//! of UIDs (`NodeNameToMetaVictims`), whatever the form of the question.

use std::collections::BTreeMap;

use berth_solver::placement::Proposal;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::wire::{Metadata, PodObject, Text};

/// `ExtenderPreemptionArgs`.
#[derive(Debug, Deserialize)]
pub(super) struct Question<'a> {
    /// The pod that room is to be made for.
    #[serde(default, borrow, rename = "Pod", alias = "pod")]
    pub(super) pod: Option<PodObject<'a>>,
    /// What is proposed, for extenders that have the pods themselves.
    #[serde(
        default,
        borrow,
        rename = "NodeNameToMetaVictims",
        alias = "nodeNameToMetaVictims",
        alias = "nodenametometavictims"
    )]
    by_uid: Option<BTreeMap<Text<'a>, Option<Victims<'a>>>>,
    /// The same for others.
    #[serde(
        default,
        borrow,
        rename = "NodeNameToVictims",
        alias = "nodeNameToVictims",
        alias = "nodenametovictims"
    )]
    in_full: Option<BTreeMap<Text<'a>, Option<Victims<'a>>>>,
}

/// `MetaVictims` or `Victims`.
#[derive(Debug, Deserialize)]
struct Victims<'a> {
    #[serde(default, borrow, rename = "Pods", alias = "pods")]
    pods: Option<Vec<Victim<'a>>>,
    #[serde(default, rename = "NumPDBViolations", alias = "numPDBViolations")]
    violations: i64,
}

/// `MetaPod`, or a whole pod of which the UID is read.
#[derive(Debug, Deserialize)]
struct Victim<'a> {
    #[serde(default, borrow, rename = "UID", alias = "uid")]
    uid: Option<Text<'a>>,
    #[serde(default, borrow)]
    metadata: Option<Metadata<'a>>,
}

/// One of the proposals, and how many PodDisruptionBudgets it violates.
#[derive(Debug)]
pub(super) struct Proposed<'a> {
    pub(super) proposal: Proposal<'a>,
    violations: i64,
}

impl Question<'_> {
    /// What is proposed, in the order of the nodes' names. kube-scheduler takes a node without
    /// victims for an error, so such a node is never passed on.
    pub(super) fn proposed(&self) -> Vec<Proposed<'_>> {
        let proposals = self.by_uid.as_ref().or(self.in_full.as_ref());
        let proposals = proposals.into_iter().flatten().filter_map(|(node, victims)| {
            let victims = victims.as_ref()?;
            let uids: Vec<&str> =
                victims.pods.iter().flatten().filter_map(Victim::uid).map(AsRef::as_ref).collect();
            let proposal = Proposal { node: node.as_ref(), victims: uids };
            Some(Proposed { proposal, violations: victims.violations })
        });
        proposals.filter(|one| !one.proposal.victims.is_empty()).collect()
    }
}

impl<'a> Victim<'a> {
    fn uid(&self) -> Option<&Text<'a>> {
        self.uid.as_ref().or_else(|| self.metadata.as_ref()?.uid.as_ref())
    }
}

/// `ExtenderPreemptionResult`.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    #[serde(rename = "NodeNameToMetaVictims")]
    kept: Kept<'a>,
}

impl<'a> Answer<'a> {
    /// Keeps these.
    pub(super) fn of(kept: Vec<Proposed<'a>>) -> Self {
        Self { kept: Kept(kept) }
    }
}

#[derive(Debug)]
struct Kept<'a>(Vec<Proposed<'a>>);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct MetaVictims<'a> {
            #[serde(rename = "Pods")]
            pods: Vec<MetaPod<'a>>,
            #[serde(rename = "NumPDBViolations")]
            violations: i64,
        }
        #[derive(Serialize)]
        struct MetaPod<'a> {
            #[serde(rename = "UID")]
            uid: &'a str,
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for Proposed { proposal, violations } in &self.0 {
            let pods = proposal.victims.iter().map(|uid| MetaPod { uid }).collect();
            let victims = MetaVictims { pods, violations: *violations };
            map.serialize_entry(proposal.node, &victims)?;
        }
        map.end()
    }
}
