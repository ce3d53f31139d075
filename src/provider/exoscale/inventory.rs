//! All instances of this cluster, as the life cycle is to know them, and which of them nobody
//! will ever ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_solver::lifecycle::{ClaimRef, Instance};
use berth_solver::model::Timestamp;
use berth_solver::model::well_known::condition;
use k8s_openapi::jiff;

use super::create::refusal;
use super::identity::{self, CLUSTER_LABEL};
use super::{Inner, token};
use crate::api::{Condition, NodeClaim};
use crate::exoscale::compute;
use crate::provider::ProviderError;

/// Since when instances have been seen that nobody asks for, by id.
#[derive(Debug, Default)]
pub struct Watched(BTreeMap<String, Timestamp>);

impl Watched {
    /// Takes in all instances that are like that now; gives those that have been for so long, and
    /// that are so old.
    pub fn look<'a>(
        &mut self,
        now: Timestamp,
        (age, watched): (Duration, Duration),
        found: impl IntoIterator<Item = &'a compute::Instance>,
    ) -> BTreeSet<String> {
        let mut seen = BTreeMap::new();
        let mut due = BTreeSet::new();
        for instance in found {
            let since = self.0.get(&instance.id).copied().unwrap_or(now);
            // An instance whose age nobody knows is not old.
            let old = created(instance).is_some_and(|created| now.since(created) >= age);
            if old && now.since(since) >= watched && since < now {
                due.insert(instance.id.clone());
            }
            seen.insert(instance.id.clone(), since);
        }
        self.0 = seen;
        due
    }
}

/// When an instance was created.
pub fn created(instance: &compute::Instance) -> Option<Timestamp> {
    let at: jiff::Timestamp = instance.created_at.as_deref()?.parse().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

/// What a claim says of its instance.
struct Known<'a> {
    provider_id: Option<&'a str>,
    going: bool,
}

impl Inner {
    /// The cluster's instances. Left out are those that `create` is still to complete, copies of a
    /// claim's machine, and, until they have been so for long enough, those without a claim.
    pub(super) async fn list(&self) -> Result<Vec<Instance>, ProviderError> {
        let (found, claims) = self.look().await?;
        let known = known(&claims);
        let mut listed = Vec::new();
        let mut orphans = Vec::new();
        for (claim, instance) in &found {
            match known.get(claim.uid.as_str()) {
                None => orphans.push(instance),
                Some(claim_state) => match claim_state.provider_id {
                    Some(id) if id == &*identity::provider_id(&instance.id) => {
                        listed.push((claim, instance))
                    }
                    Some(_) => {}
                    None if claim_state.going => listed.push((claim, instance)),
                    None => {}
                },
            }
        }
        let grace = (self.settings.orphan_age, self.settings.orphan_watched);
        let due = self.orphans.lock().look(self.clock.now(), grace, orphans.iter().copied());
        let due = found.iter().filter(|(_, instance)| due.contains(&instance.id));
        listed.extend(due.map(|(claim, instance)| (claim, instance)));
        let mut instances = Vec::with_capacity(listed.len());
        let market = self.market().await?;
        for (claim, instance) in listed {
            match market.type_of(instance) {
                Ok(kind) => instances.push(self.describe(instance, kind, claim, None)?),
                // It hides no other: of itself nothing is said.
                Err(error) => tracing::warn!(%error, "left out of the list"),
            }
        }
        Ok(instances)
    }

    /// Deletes copies of claims' machines, and tokens of claims that have joined lately. To be
    /// called by the leader only.
    pub(super) async fn sweep(&self) -> Result<(), ProviderError> {
        let (found, claims) = self.look().await?;
        let known = known(&claims);
        let copies = found.iter().filter(|(claim, instance)| {
            let recorded = known.get(claim.uid.as_str()).and_then(|known| known.provider_id);
            recorded.is_some_and(|id| id != &*identity::provider_id(&instance.id))
        });
        let grace = (self.settings.orphan_age, self.settings.orphan_watched);
        let copies = copies.map(|(_, instance)| instance);
        let due = self.copies.lock().look(self.clock.now(), grace, copies);
        for id in due {
            tracing::warn!(instance = id, "a second instance of a NodeClaim: it is deleted");
            self.client.delete_instance(&id).await.map_err(refusal)?;
        }
        // What was missed when they joined; older tokens have expired, and Kubernetes removes those.
        let now = self.clock.now();
        let lately = |at: Timestamp| now.since(at) < self.settings.token_validity;
        for claim in claims.iter().filter(|claim| joined_at(claim).is_some_and(lately)) {
            let uid = claim.metadata.uid.as_deref().unwrap_or_default();
            token::remove(self.cluster.as_ref(), uid).await?;
        }
        Ok(())
    }

    /// Every instance that Berth created for a claim of this cluster or that a claim records, and,
    /// read after that, every claim: a claim precedes its instance, so one without a claim has lost
    /// it.
    async fn look(
        &self,
    ) -> Result<(Vec<(ClaimRef, compute::Instance)>, Vec<NodeClaim>), ProviderError> {
        let id = self.settings.cluster_id.as_str();
        let found = self.client.instances(&[(CLUSTER_LABEL, id)]).await.map_err(refusal)?;
        let claims = self.cluster.claims().await?;
        let ours = found.into_iter().filter_map(|instance| {
            let claim = identity::owner(id, &instance, &claims)?;
            Some((claim, instance))
        });
        let ours = ours.collect();
        Ok((ours, claims))
    }
}

fn known(claims: &[NodeClaim]) -> BTreeMap<&str, Known<'_>> {
    claims
        .iter()
        .filter_map(|claim| {
            let provider_id =
                claim.status.as_ref().and_then(|status| status.provider_id.as_deref());
            let provider_id = provider_id.filter(|id| !id.is_empty());
            let going = claim.metadata.deletion_timestamp.is_some();
            Some((claim.metadata.uid.as_deref()?, Known { provider_id, going }))
        })
        .collect()
}

/// Whether a claim's node is registered.
pub fn has_joined(claim: &NodeClaim) -> bool {
    joined_at(claim).is_some()
}

/// Since when a claim's node is registered.
fn joined_at(claim: &NodeClaim) -> Option<Timestamp> {
    let conditions = &claim.status.as_ref()?.conditions;
    let joined = |one: &&Condition| one.r#type == condition::REGISTERED && one.status == "True";
    let since = &conditions.iter().find(joined)?.last_transition_time;
    Some(Timestamp::from_millis(since.0.as_millisecond()))
}
