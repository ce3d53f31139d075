//! Looks for nodes that are not what their node class asks for, and says so on their claims.

use std::collections::BTreeMap;

use berth_solver::model::well_known::condition;

use super::class::{KIND, Resolved};
use super::create::refusal;
use super::drift::drift;
use super::identity::{self, CLUSTER_LABEL};
use super::inventory::has_joined;
use super::{ExoscaleProvider, Inner};
use crate::api::{CONFIGURATION_HASH_ANNOTATION, NodeClaim};
use crate::exoscale::ErrorKind;
use crate::exoscale::compute::Instance;
use crate::provider::ProviderError;

impl ExoscaleProvider {
    /// Writes on claims whose machine is not what its node class asks for that it is so, and takes
    /// it back where it is over. A list says nothing of anti-affinity groups and elastic IPs:
    /// `deep` reads every instance singly. To be called by the leader only.
    ///
    /// # Errors
    /// [`ProviderError`]; what is left is for the next time.
    pub async fn look_for_drift(&self, deep: bool) -> Result<(), ProviderError> {
        self.0.look_for_drift(deep).await
    }
}

impl Inner {
    async fn look_for_drift(&self, deep: bool) -> Result<(), ProviderError> {
        let id = self.settings.cluster_id.as_str();
        let found = self.client.instances(&[(CLUSTER_LABEL, id)]).await.map_err(refusal)?;
        let found: BTreeMap<&str, &Instance> =
            found.iter().map(|instance| (instance.id.as_str(), instance)).collect();
        let classes = self.cluster.node_classes().await?;
        let classes: BTreeMap<String, Resolved> = classes
            .into_iter()
            .filter_map(|class| Resolved::of(class).ok())
            .map(|class| (class.name.clone(), class))
            .collect();
        for claim in self.cluster.claims().await? {
            let Some(class) = class_of(&claim, &classes) else { continue };
            let instance = provider_id(&claim).and_then(identity::instance_id);
            let Some(instance) = instance.and_then(|id| found.get(id)) else { continue };
            let Some(differs) = self.differs(class, instance, &claim, deep).await? else {
                continue;
            };
            if differs != said(&claim) {
                let name = claim.metadata.name.as_deref().unwrap_or_default();
                tracing::info!(nodeclaim = name, drift = differs, "its machine and its node class");
                self.cluster.set_drift(&claim, differs).await?;
            }
        }
        Ok(())
    }

    /// In what an instance differs, as far as can be seen; `None` if it has gone meanwhile.
    async fn differs(
        &self,
        class: &Resolved,
        listed: &Instance,
        claim: &NodeClaim,
        deep: bool,
    ) -> Result<Option<Option<&'static str>>, ProviderError> {
        let annotations = claim.metadata.annotations.as_ref();
        let hash = annotations.and_then(|all| all.get(CONFIGURATION_HASH_ANNOTATION));
        let hash = hash.map(String::as_str);
        if !deep {
            // What a list leaves out is taken for granted, and so is what was found in it.
            let mut shown = listed.clone();
            let ids = |ids: &[String]| {
                ids.iter().map(crate::exoscale::network::Reference::to).collect::<Vec<_>>()
            };
            shown.anti_affinity_groups = ids(&class.status.anti_affinity_groups);
            shown.elastic_ips = ids(&class.status.elastic_ips);
            let differs = drift(class, &shown, hash);
            return Ok(Some(differs.or_else(|| said(claim).and_then(unlisted))));
        }
        match self.client.instance(&listed.id).await {
            Ok(instance) => Ok(Some(drift(class, &instance, hash))),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refusal(error)),
        }
    }
}

/// A difference that no list shows.
fn unlisted(said: &str) -> Option<&'static str> {
    ["AntiAffinityGroupsDrift", "ElasticIPsDrift"].into_iter().find(|one| *one == said)
}

fn provider_id(claim: &NodeClaim) -> Option<&str> {
    claim.status.as_ref()?.provider_id.as_deref()
}

/// The class of a claim that has a node and is to keep it.
fn class_of<'a>(
    claim: &NodeClaim,
    classes: &'a BTreeMap<String, Resolved>,
) -> Option<&'a Resolved> {
    let wanted = &claim.spec.node_class_ref;
    let stays = claim.metadata.deletion_timestamp.is_none() && has_joined(claim);
    classes.get(&wanted.name).filter(|_| stays && wanted.kind == KIND)
}

/// What the claim says already.
fn said(claim: &NodeClaim) -> Option<&str> {
    let conditions = &claim.status.as_ref()?.conditions;
    let found = conditions.iter().find(|one| one.r#type == condition::NODE_CLASS_DRIFTED)?;
    (found.status == "True").then_some(found.reason.as_str())
}
