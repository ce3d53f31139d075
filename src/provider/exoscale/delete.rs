//! The end of a claim's instance.

use std::time::Duration;

use berth_solver::lifecycle::ClaimRef;
use berth_solver::model::Name;

use super::create::refusal;
use super::intent::{INTENT_ANNOTATION, Intent};
use super::{Inner, identity, node, token};
use crate::api::NodeClaim;
use crate::exoscale::ErrorKind;
use crate::exoscale::compute;
use crate::provider::ProviderError;

impl Inner {
    /// Deletes whatever is a claim's; [`ProviderError::NotFound`] once nothing is left of it.
    pub(super) async fn delete(
        &self,
        claim: &ClaimRef,
        provider_id: Option<&Name>,
    ) -> Result<(), ProviderError> {
        let mut left = 0;
        for instance in self.all_of(claim, provider_id).await? {
            if instance.state.is_terminating() {
                left += 1;
                continue;
            }
            match self.client.delete_instance(&instance.id).await {
                Ok(_) => {
                    self.seen.lock().insert(claim.uid.clone());
                    left += 1;
                }
                // A list may show for a while what is gone.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(refusal(error)),
            }
        }
        if left > 0 {
            return Ok(());
        }
        if let Some(wait) = self.unsettled(claim, provider_id).await? {
            let seconds = wait.as_secs();
            return Err(ProviderError::Other(format!(
                "no instance shows, but a create that was sent may still do so for {seconds} s"
            )));
        }
        self.clear(claim).await?;
        Err(ProviderError::NotFound(format!("no instance of NodeClaim {}", claim.name)))
    }

    /// The instances that carry a claim's UID, and the one that it records.
    async fn all_of(
        &self,
        claim: &ClaimRef,
        provider_id: Option<&Name>,
    ) -> Result<Vec<compute::Instance>, ProviderError> {
        let mut found = self.instances_of(&claim.uid).await?;
        let Some(id) = provider_id.and_then(|id| identity::instance_id(id)) else {
            return Ok(found);
        };
        if found.iter().any(|instance| instance.id == id) {
            return Ok(found);
        }
        if let Some(instance) = self.still_there(id).await? {
            if !identity::belongs_to(&self.settings.cluster_id, &instance, claim) {
                return Err(ProviderError::Refused(format!(
                    "instance {id} is not deleted: its labels do not say that it is NodeClaim {}'s \
                     of cluster {} ({:?})",
                    claim.name, self.settings.cluster_id, instance.labels
                )));
            }
            found.push(instance);
        }
        Ok(found)
    }

    /// How long a create of a claim that nothing shows of may still come to light.
    async fn unsettled(
        &self,
        claim: &ClaimRef,
        provider_id: Option<&Name>,
    ) -> Result<Option<Duration>, ProviderError> {
        if provider_id.is_some() || self.seen.lock().contains(&claim.uid) {
            return Ok(None);
        }
        let same = |live: &NodeClaim| live.metadata.uid.as_deref() == Some(&*claim.uid);
        let live = self.cluster.claim(&claim.name).await?.filter(same);
        let annotations = live.and_then(|live| live.metadata.annotations);
        let now = self.clock.now();
        let intent = annotations.as_ref().and_then(|all| all.get(INTENT_ANNOTATION));
        let wait = intent.map(|text| Intent::parse(text, now).unsettled(self.settings.settle, now));
        Ok(wait.filter(|wait| !wait.is_zero()))
    }

    /// Removes what was made for an instance that is gone: its token, and its Node if that never
    /// became more than what the provider created.
    async fn clear(&self, claim: &ClaimRef) -> Result<(), ProviderError> {
        token::remove(self.cluster.as_ref(), &claim.uid).await?;
        let name = self.node_name(claim);
        let there = self.cluster.node(&name).await?;
        if let Some(there) = there.filter(|there| node::awaits_its_claim(there, &claim.uid)) {
            let uid = there.metadata.uid.unwrap_or_default();
            self.cluster.delete_node(&name, &uid).await?;
        }
        self.seen.lock().remove(&claim.uid);
        Ok(())
    }
}
