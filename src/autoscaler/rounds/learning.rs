//! What is learnt from effects that have ended, and what people are told.

use berth_solver::lifecycle::{Cause, ClaimRef, Effect, Write, unhealthy_by};
use berth_solver::model::{Name, RemovalReason, Snapshot, Timestamp};

use super::Autoscaler;
use crate::autoscaler::executor::Outcome;
use crate::autoscaler::hands::Failure;
use crate::autoscaler::offerings::offering_of;
use crate::autoscaler::writer::{Notice, WriteError};
use crate::autoscaler::{figures, notices};
use crate::provider::ProviderError;

/// Why claims of unhealthy nodes are deleted.
const UNHEALTHY: Cause = Cause::Disruption(RemovalReason::Unhealthy);

impl Autoscaler {
    /// Takes in what became of an effect.
    pub(super) fn learn(&mut self, outcome: Outcome) {
        if !self.memory.leads {
            return;
        }
        let now = self.parts.clock.now();
        let snapshot = self.parts.cache.snapshot();
        self.memory.machines.learn(&outcome);
        if outcome.result.is_ok() {
            figures::of_effect(&self.parts.metrics, &snapshot, &outcome.effect, now);
        }
        self.tell(notices::of_outcome(&outcome).into_iter().collect(), now);
        match (&outcome.effect, &outcome.result) {
            (Effect::Write(Write::CreateClaim(new)), result) => {
                let creating = self.memory.creating.get_mut(&new.name);
                match (result, creating) {
                    (Ok(_), Some(creating)) => creating.created = Some(now),
                    (Err(Failure::Write(error)), Some(_)) if is_final(error) => {
                        self.memory.creating.remove(&new.name);
                        self.memory.queue.release(&new.name);
                    }
                    _ => {}
                }
            }
            (
                Effect::LaunchInstance(request),
                Err(Failure::Provider(ProviderError::InsufficientCapacity(_))),
            ) => {
                // Nobody listens only when everything is about to end.
                let _ = self.exhausted.send(offering_of(request));
            }
            (
                Effect::Write(Write::EvictPod { pod, .. }),
                Err(Failure::Write(WriteError::Failed(_))),
            ) => self.memory.disrupting.quarantine(&pod.uid),
            (
                Effect::Write(Write::ReplacePod { pod, .. }),
                Err(Failure::Write(WriteError::Refused(_) | WriteError::NotFound(_))),
            ) => self.memory.disrupting.evict_plainly(&pod.uid),
            (Effect::Write(Write::DeleteClaim { claim, cause }), Ok(_)) if cause.is_no_node() => {
                if let Some(pool) = pool_of(&snapshot, claim) {
                    self.memory.health.failed(pool, now);
                }
            }
            (Effect::Write(Write::DeleteClaim { claim, cause: UNHEALTHY }), Ok(_)) => {
                let claim = snapshot.claims.get(&claim.name);
                let found = claim.and_then(|claim| {
                    Some((claim, unhealthy_by(&snapshot, claim, &self.repair_policies, now)?))
                });
                if let Some((claim, condition)) = found {
                    figures::of_repair(&self.parts.metrics, claim, condition);
                }
            }
            (Effect::Write(Write::RecordRegistered { claim, .. }), Ok(_)) => {
                if let Some(pool) = pool_of(&snapshot, claim) {
                    self.memory.health.registered(pool);
                }
            }
            (Effect::Write(Write::NominatePod { pod, node }), Ok(_)) => {
                self.memory.nominated.record(pod, node.as_ref());
            }
            (Effect::Write(Write::RecordPoolStatus(status)), Ok(_)) => {
                self.memory.pool_statuses.written(&snapshot, status);
            }
            (Effect::Write(Write::RecordBufferStatus(status)), Ok(_)) => {
                self.memory.buffer_statuses.written(status);
            }
            _ => {}
        }
    }

    pub(super) fn tell(&mut self, notices: Vec<Notice>, now: Timestamp) {
        for notice in self.memory.told.new_ones(notices, now) {
            if self.notices.try_send(notice).is_err() {
                tracing::debug!("an event was dropped: too many are waiting");
            }
        }
    }
}

/// The UID of a claim's NodePool.
fn pool_of<'s>(snapshot: &'s Snapshot, claim: &ClaimRef) -> Option<&'s Name> {
    let pool = snapshot.claims.get(&claim.name)?.pool()?;
    Some(&snapshot.pools.get(pool)?.uid)
}

/// Whether a create that was answered so will never succeed.
const fn is_final(error: &WriteError) -> bool {
    matches!(error, WriteError::Conflict(_) | WriteError::Refused(_) | WriteError::NotFound(_))
}
