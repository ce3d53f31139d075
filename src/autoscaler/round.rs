//! Carries a round of disruption out: nodes are marked, their replacements built, everything is
//! looked at again, and only then do the claims go. Their finalizers do the rest: pods are
//! evicted as their budgets let them, then the machine goes.
//!
//! ```text
//!   TaintNode, RecordDisruption ----> live look ----> CreateClaim ----> wait until all are up
//!      every node of the round        pods as planned?  (replacements)        |
//!                                        |                                    v
//!                                        | no: this node stays            ReplacePod
//!                                        |                  those that asked for it, until gone
//!                                        |                                    v
//!        UntaintNode, ClearDisruption <--+------------------------- checker, live look again
//!                                                                             | DeleteClaim
//!                                                                             v
//!                                                              life cycle (drain, terminate)
//! ```
//!
//! Up to the last step everything can be taken back, and a restart takes it back: the marks of a
//! removal that nobody carries out are leftovers, and replacements that came up are nodes as any
//! other, which the next round makes use of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_solver::disruption::{Inputs, Purpose, Round, candidates};
use berth_solver::lifecycle::{Cause, ClaimRef, NodeRef, PodRef, Write, new_claim};
use berth_solver::model::{
    Name, Node, Plan, Pod, Removal, RemovalReason, Snapshot, Target, well_known,
    well_known::condition,
};
use berth_solver::verify::{self, Violation};

use super::WriteError;
use super::hands::{Failure, Hands};
use super::removal::GivenUp;
use crate::api::HASH_VERSION;
use crate::cache::Cache;

/// From the taint until the first live look: a pod that kube-scheduler had already given to the
/// node is bound by then.
const SETTLE: Duration = Duration::from_secs(1);
/// How often replacements are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A claim that was created is in the cache after so long, or it is gone.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// What a round is carried out with.
pub(super) struct Tools {
    pub(super) hands: Arc<Hands>,
    pub(super) cache: Cache,
    /// As the round was planned, what is under way besides it.
    pub(super) inputs: Inputs,
    /// How long replacements may take.
    pub(super) patience: Duration,
}

/// How a round ended.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) round: Round,
    /// The nodes that go; why the others of the round stay, by their claims' names.
    pub(super) going: BTreeSet<Name>,
    pub(super) dropped: BTreeMap<Name, String>,
    /// Pods that asked to be replaced before they go and cannot be, and why.
    pub(super) irreplaceable: Vec<(PodRef, String)>,
}

/// Carries the round out, as far as the world still is as it was when it was planned.
pub(super) async fn carry_out(tools: Tools, round: Round) -> Carried {
    let mut carrying = Carrying {
        left: round.plan.removals.clone(),
        tools,
        round,
        nodes: BTreeMap::new(),
        dropped: BTreeMap::new(),
        irreplaceable: Vec::new(),
    };
    let result = carrying.run().await;
    if let Err(given_up) = result {
        for removal in std::mem::take(&mut carrying.left) {
            carrying.drop_one(&removal, given_up.to_string()).await;
        }
    }
    let going = carrying.left.iter().filter_map(|removal| removal.node.clone()).collect();
    let Carrying { round, dropped, irreplaceable, .. } = carrying;
    Carried { round, going, dropped, irreplaceable }
}

struct Carrying {
    tools: Tools,
    round: Round,
    /// What is still to go.
    left: Vec<Removal>,
    /// The nodes, by their claims' names.
    nodes: BTreeMap<Name, NodeRef>,
    dropped: BTreeMap<Name, String>,
    irreplaceable: Vec<(PodRef, String)>,
}

impl Carrying {
    async fn run(&mut self) -> Result<(), GivenUp> {
        self.mark().await?;
        self.tools.hands.clock.sleep(SETTLE).await;
        self.look_live().await?;
        let created = self.build().await?;
        self.wait_for(&created).await?;
        self.replace_pods().await?;
        self.check().await?;
        self.look_live().await?;
        self.commit().await
    }

    async fn write(&self, write: Write) -> Result<(), Failure> {
        self.tools.hands.write(write).await
    }

    /// Marks all nodes of the round.
    async fn mark(&mut self) -> Result<(), GivenUp> {
        let snapshot = self.tools.cache.snapshot();
        for removal in self.left.clone() {
            let state = removal.node.as_ref().and_then(|name| snapshot.nodes.get(name));
            let Some(state) = state else {
                self.drop_one(&removal, "its node is gone".to_owned()).await;
                continue;
            };
            let node = NodeRef { name: state.node.name.clone(), uid: state.node.uid.clone() };
            self.nodes.insert(removal.claim.clone(), node.clone());
            self.write(Write::TaintNode { node }).await?;
            let (claim, reason) = (ClaimRef::from(&removal), removal.reason);
            self.write(Write::RecordDisruption { claim, reason }).await?;
        }
        Ok(())
    }

    /// Holds every node against the live cluster: what has changed stays. What cannot be read
    /// ends the round.
    async fn look_live(&mut self) -> Result<(), GivenUp> {
        let writer = Arc::clone(&self.tools.hands.writer);
        let now = self.tools.hands.clock.now();
        for removal in self.left.clone() {
            let Some(node) = self.nodes.get(&removal.claim) else { continue };
            let live = writer.live_node(&node.name).await?;
            // Pods are listed after the taint was seen: whoever came before is among them.
            let pods = writer.live_pods(&node.name).await?;
            let planned: BTreeSet<&Name> = self
                .round
                .moves
                .iter()
                .filter(|one| one.from == node.name)
                .map(|one| &one.uid)
                .collect();
            let forced = removal.reason == RemovalReason::Drifted && self.has_grace(&removal);
            let changed = changed_node(live.as_ref(), node)
                .or_else(|| changed_pods(&pods, &planned, forced, now));
            if let Some(why) = changed {
                self.drop_one(&removal, why).await;
            }
        }
        Ok(())
    }

    fn has_grace(&self, removal: &Removal) -> bool {
        let snapshot = self.tools.cache.snapshot();
        let claim = snapshot.claims.get(&removal.claim);
        claim.is_some_and(|claim| claim.termination_grace_period.is_some())
    }

    /// Creates the replacements that are still needed. Returns their names.
    async fn build(&mut self) -> Result<Vec<Name>, GivenUp> {
        let snapshot = self.tools.cache.snapshot();
        let from: BTreeSet<&Name> =
            self.left.iter().filter_map(|removal| removal.node.as_ref()).collect();
        let needed: BTreeSet<&Name> = self
            .round
            .moves
            .iter()
            .filter(|one| from.contains(&one.from))
            .filter_map(|one| match &one.to {
                Target::Claim(name) => Some(name),
                Target::Node(_) => None,
            })
            .collect();
        let mut created = Vec::new();
        for launch in self.round.plan.launches.iter().filter(|one| needed.contains(&one.name)) {
            let pool = snapshot.pools.get(&launch.pool);
            let pool = pool
                .ok_or_else(|| GivenUp::Overtaken(format!("NodePool {} is gone", launch.pool)))?;
            let claim = new_claim(launch, pool, [], HASH_VERSION);
            self.write(Write::CreateClaim(Box::new(claim))).await?;
            created.push(launch.name.clone());
        }
        Ok(created)
    }

    /// Waits until all replacements are up. If one comes to nothing, so does the round.
    async fn wait_for(&self, created: &[Name]) -> Result<(), GivenUp> {
        let clock = &self.tools.hands.clock;
        let began = clock.now();
        loop {
            let snapshot = self.tools.cache.snapshot();
            let waited = clock.now().since(began);
            let mut up = 0;
            for name in created {
                match snapshot.claims.get(name) {
                    Some(claim) if claim.deleted.is_some() => {
                        return overtaken(format!("replacement {name} came to nothing"));
                    }
                    Some(claim) => {
                        let node = snapshot.node_of_claim(claim);
                        let ready = node.is_some_and(|state| state.node.ready);
                        up += usize::from(ready && claim.is(condition::INITIALIZED));
                    }
                    None if waited < SEEN_WITHIN => {}
                    None => return overtaken(format!("replacement {name} is gone")),
                }
            }
            if up == created.len() {
                return Ok(());
            }
            if waited >= self.tools.patience {
                return overtaken("a replacement is not up in time".to_owned());
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Has pods replaced that asked for it, and waits until they have gone by themselves: their
    /// successors run by then. The node of one that cannot be replaced stays.
    async fn replace_pods(&mut self) -> Result<(), GivenUp> {
        let mut leaving: Vec<(Removal, PodRef)> = Vec::new();
        for (removal, pod) in self.replaced_first() {
            if !self.left.contains(&removal) {
                continue;
            }
            let node = self.nodes[&removal.claim].name.clone();
            match self.write(Write::ReplacePod { pod: pod.clone(), node }).await {
                Ok(()) => leaving.push((removal, pod)),
                Err(Failure::Write(WriteError::Refused(why) | WriteError::NotFound(why))) => {
                    self.drop_one(&removal, format!("pod {}: {why}", pod.key)).await;
                    self.irreplaceable.push((pod, why));
                }
                Err(other) => return Err(other.into()),
            }
        }
        let began = self.tools.hands.clock.now();
        loop {
            let snapshot = self.tools.cache.snapshot();
            leaving.retain(|(removal, pod)| {
                let there = snapshot.pods.get(&pod.key).filter(|there| there.uid == pod.uid);
                self.left.contains(removal) && there.is_some_and(|there| there.deleted.is_none())
            });
            let Some((removal, pod)) = leaving.first() else { return Ok(()) };
            if self.tools.hands.clock.now().since(began) >= self.tools.patience {
                let why = format!("pod {} is not replaced in time", pod.key);
                self.drop_one(&removal.clone(), why).await;
            } else {
                self.tools.hands.clock.sleep(LOOK_EVERY).await;
            }
        }
    }

    /// The pods that are to be replaced before they go, and whose nodes still go.
    fn replaced_first(&self) -> Vec<(Removal, PodRef)> {
        let snapshot = self.tools.cache.snapshot();
        let mut found = Vec::new();
        for removal in self.left.iter().filter(|one| self.nodes.contains_key(&one.claim)) {
            let moves = self.round.moves.iter();
            for one in moves.filter(|one| removal.node.as_ref() == Some(&one.from)) {
                let pod = snapshot.pods.get(&one.pod).filter(|pod| pod.uid == one.uid);
                if pod.is_some_and(|pod| pod.is_replaced_first(&self.tools.inputs.irreplaceable)) {
                    let pod = PodRef { key: one.pod.clone(), uid: one.uid.clone() };
                    found.push((removal.clone(), pod));
                }
            }
        }
        found
    }

    /// Has what is left of the round checked against the latest picture. Nodes whose pods the
    /// checker blames, or that are no candidates any more, stay; any other fault ends the round.
    async fn check(&mut self) -> Result<(), GivenUp> {
        let snapshot = self.tools.cache.snapshot();
        let now = self.tools.hands.clock.now();
        let purpose = match self.round.reason {
            RemovalReason::Drifted => Purpose::Drift,
            _ => Purpose::Consolidation { least_age: Duration::ZERO },
        };
        let (found, kept) = candidates(&snapshot, &self.tools.inputs, purpose, now);
        let may_go: BTreeSet<&Name> = found.iter().map(|one| &one.claim.uid).collect();
        for removal in self.left.clone() {
            if !may_go.contains(&removal.claim_uid) {
                let why = kept.iter().find(|kept| kept.claim == removal.claim);
                let why =
                    why.map_or_else(|| "it is gone".to_owned(), |kept| kept.obstacle.to_string());
                self.drop_one(&removal, why).await;
            }
        }
        for _ in 0..=self.left.len() {
            let faults = self.faults(&snapshot, now);
            if faults.is_empty() {
                return Ok(());
            }
            let blamed: BTreeMap<&Name, &Violation> = faults
                .iter()
                .filter_map(|fault| {
                    let pod = fault.pod.as_ref()?;
                    let one = self.round.moves.iter().find(|one| one.pod == *pod)?;
                    Some((&one.from, fault))
                })
                .collect();
            let dropping: Vec<(Removal, String)> = self
                .left
                .iter()
                .filter_map(|removal| {
                    let fault = blamed.get(removal.node.as_ref()?)?;
                    Some((removal.clone(), fault.message.clone()))
                })
                .collect();
            if dropping.is_empty() {
                let first = faults.first().map(ToString::to_string).unwrap_or_default();
                return overtaken(first);
            }
            for (removal, why) in dropping {
                self.drop_one(&removal, why).await;
            }
        }
        Ok(())
    }

    fn faults(&self, snapshot: &Snapshot, now: berth_solver::model::Timestamp) -> Vec<Violation> {
        let from: BTreeSet<&Name> =
            self.left.iter().filter_map(|removal| removal.node.as_ref()).collect();
        let moved = self.round.moves.iter().filter(|one| {
            // One that has gone by itself needs no place.
            let there = snapshot.pods.get(&one.pod).is_some_and(|pod| pod.uid == one.uid);
            there && from.contains(&one.from)
        });
        let placements = moved.map(|one| berth_solver::model::Placement {
            pod: one.pod.clone(),
            uid: one.uid.clone(),
            target: one.to.clone(),
        });
        let plan = Plan {
            made_at: now,
            removals: self.left.clone(),
            placements: placements.collect(),
            ..Plan::default()
        };
        let mut faults = verify::verify(snapshot, &[], &plan);
        let limits = self.tools.inputs.limits();
        faults.extend(verify::verify_disruption(snapshot, limits, &plan));
        faults
    }

    /// Deletes the claims. Whatever happens from here on, they go.
    async fn commit(&mut self) -> Result<(), GivenUp> {
        let mut failed = None;
        for removal in self.left.clone() {
            let cause = Cause::Disruption(removal.reason);
            let write = Write::DeleteClaim { claim: ClaimRef::from(&removal), cause };
            if let Err(error) = self.write(write).await {
                self.drop_one(&removal, error.to_string()).await;
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            tracing::warn!(%error, "a node of a round could not be told to go");
        }
        Ok(())
    }

    /// Takes a node out of the round and its marks away. What cannot be taken away now is a
    /// leftover, and goes later.
    async fn drop_one(&mut self, removal: &Removal, why: String) {
        if let Some(node) = self.nodes.remove(&removal.claim) {
            let _ = self.write(Write::UntaintNode { node }).await;
            let claim = ClaimRef::from(removal);
            let _ = self.write(Write::ClearDisruption { claim }).await;
        }
        self.left.retain(|other| other.claim != removal.claim);
        self.dropped.insert(removal.claim.clone(), why);
    }
}

fn overtaken<T>(why: String) -> Result<T, GivenUp> {
    Err(GivenUp::Overtaken(why))
}

/// Why a node is not what it was, if it is not.
fn changed_node(live: Option<&Node>, node: &NodeRef) -> Option<String> {
    let Some(live) = live.filter(|live| live.uid == node.uid) else {
        return Some("its node is gone".to_owned());
    };
    if live.deleted.is_some() {
        Some("its node is going already".to_owned())
    } else if live.do_not_disrupt {
        Some("the node says do-not-disrupt".to_owned())
    } else if !live.has_taint(well_known::DISRUPTED_TAINT) {
        Some("somebody took its taint away".to_owned())
    } else {
        None
    }
}

/// Why the pods of a node are not those that the round was planned for, if they are not.
fn changed_pods(
    pods: &[Pod],
    planned: &BTreeSet<&Name>,
    forced: bool,
    now: berth_solver::model::Timestamp,
) -> Option<String> {
    let staying = pods.iter().filter(|pod| pod.is_alive() && pod.deleted.is_none());
    for pod in staying {
        if !forced && pod.forbids_disruption(now) {
            return Some(format!("pod {} says do-not-disrupt", pod.key));
        }
        if !pod.belongs_to_node() && !planned.contains(&pod.uid) {
            return Some(format!("pod {} has come", pod.key));
        }
    }
    None
}
