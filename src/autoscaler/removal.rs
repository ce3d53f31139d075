//! The removal of an empty node: taint it, look again at live state, and only then let its claim
//! go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_solver::disruption::{Inputs, emptiness};
use berth_solver::lifecycle::{Cause, ClaimRef, NodeRef, Write};
use berth_solver::model::{Name, Removal, well_known};
use berth_solver::placement::StandingPlan;

use super::WriteError;
use super::hands::{Failure, Hands};
use crate::cache::Cache;

/// From the taint until the second look: a pod that kube-scheduler had already given to the node
/// is bound by then.
const SETTLE: Duration = Duration::from_secs(1);

/// How a removal ended.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) removal: Removal,
    pub(super) result: Result<(), GivenUp>,
}

/// Why a removal was given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum GivenUp {
    /// The node is not to be removed any more.
    #[error("{0}")]
    Overtaken(String),
    /// Something could not be read or written. The next look begins again where this one ended.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<WriteError> for GivenUp {
    fn from(error: WriteError) -> Self {
        Self::Failed(error.into())
    }
}

/// Removes an empty node, if it still is to go once the taint keeps new pods off it.
pub(super) async fn remove(
    hands: Arc<Hands>,
    cache: Cache,
    plan: Arc<ArcSwap<StandingPlan>>,
    inputs: Inputs,
    removal: Removal,
) -> Removed {
    // Itself aside, what is under way was allowed for when it was chosen.
    let inputs = Inputs { under_way: BTreeSet::from([removal.claim_uid.clone()]), ..inputs };
    let result = try_remove(&hands, &cache, &plan, inputs, &removal).await;
    Removed { removal, result }
}

async fn try_remove(
    hands: &Hands,
    cache: &Cache,
    plan: &ArcSwap<StandingPlan>,
    inputs: Inputs,
    removal: &Removal,
) -> Result<(), GivenUp> {
    let claim = ClaimRef::from(removal);
    let node = node_of(cache, removal)?;
    hands.write(Write::TaintNode { node: node.clone() }).await?;
    hands.clock.sleep(SETTLE).await;
    if let Err(overtaken) = look_again(hands, cache, plan, inputs, removal, &node).await {
        // An error here is no reason to give up: a taint that is left over is taken away later.
        let _ = hands.write(Write::UntaintNode { node }).await;
        return Err(overtaken);
    }
    let reason = removal.reason;
    hands.write(Write::RecordDisruption { claim: claim.clone(), reason }).await?;
    hands.write(Write::DeleteClaim { claim, cause: Cause::Disruption(reason) }).await?;
    Ok(())
}

fn node_of(cache: &Cache, removal: &Removal) -> Result<NodeRef, GivenUp> {
    let snapshot = cache.snapshot();
    let state = removal.node.as_ref().and_then(|name| snapshot.nodes.get(name));
    let state = state.ok_or_else(|| GivenUp::Overtaken("its node is gone".to_owned()))?;
    Ok(NodeRef { name: state.node.name.clone(), uid: state.node.uid.clone() })
}

/// Whether the node still may go: by live state, and by the latest snapshot and plan.
async fn look_again(
    hands: &Hands,
    cache: &Cache,
    plan: &ArcSwap<StandingPlan>,
    inputs: Inputs,
    removal: &Removal,
    node: &NodeRef,
) -> Result<(), GivenUp> {
    let overtaken = |why: String| Err(GivenUp::Overtaken(why));
    let Some(live) = hands.writer.live_node(&node.name).await? else {
        return overtaken("its node is gone".to_owned());
    };
    if live.uid != node.uid || live.deleted.is_some() || live.do_not_disrupt {
        return overtaken("its node has changed, is going, or says do-not-disrupt".to_owned());
    }
    // Until the taint can be read, kube-scheduler may not know of it: what is listed after counts.
    if !live.has_taint(well_known::DISRUPTED_TAINT) {
        return overtaken("somebody took its taint away".to_owned());
    }
    let pods = hands.writer.live_pods(&node.name).await?;
    if let Some(pod) = pods.iter().find(|pod| pod.is_alive() && !pod.belongs_to_node()) {
        return overtaken(format!("pod {} has come", pod.key));
    }
    let inputs = Inputs { targets: plan.load().targets.clone(), ..inputs };
    let latest = emptiness(&cache.snapshot(), &inputs, hands.clock.now());
    if latest.removals.iter().any(|other| other.claim_uid == removal.claim_uid) {
        return Ok(());
    }
    let why = latest.kept.iter().find(|kept| kept.claim == removal.claim);
    overtaken(why.map_or_else(|| "its claim is gone".to_owned(), |kept| kept.obstacle.to_string()))
}

/// The claims whose removal has begun, until the cache shows that they leave.
#[derive(Debug, Default)]
pub(super) struct UnderWay(BTreeSet<Name>);

impl UnderWay {
    /// Begins one; false if it had begun.
    pub(super) fn begin(&mut self, claim_uid: &Name) -> bool {
        self.0.insert(claim_uid.clone())
    }

    /// It came to nothing.
    pub(super) fn give_up(&mut self, claim_uid: &Name) {
        self.0.remove(claim_uid);
    }

    /// Forgets those that a snapshot shows as leaving or gone.
    pub(super) fn keep_unseen(&mut self, snapshot: &berth_solver::model::Snapshot) {
        let staying: BTreeSet<&Name> = snapshot
            .claims
            .values()
            .filter(|claim| claim.deleted.is_none())
            .map(|claim| &claim.uid)
            .collect();
        self.0.retain(|uid| staying.contains(uid));
    }

    /// Their UIDs.
    pub(super) const fn uids(&self) -> &BTreeSet<Name> {
        &self.0
    }
}
