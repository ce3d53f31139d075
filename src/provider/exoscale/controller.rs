//! Looks after node classes: selectors into status, conditions, the finalizer.

use std::time::Duration;

use berth_solver::model::Timestamp;
use tokio_util::sync::CancellationToken;

use super::class::{KIND, READY};
use super::create::refusal;
use super::registries::Registries;
use super::resolve::{Offered, Verdict, resolve};
use super::{ExoscaleProvider, Inner};
use crate::api::conditions::{Saying, set};
use crate::api::{
    Condition, ExoscaleNodeClass, ExoscaleNodeClassSpec, ExoscaleNodeClassStatus,
    NODE_CLASS_FINALIZER, NodeClaim,
};
use crate::exoscale::ErrorKind;
use crate::leader::Leadership;
use crate::provider::ProviderError;

/// Node classes are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// One that is ready and has not changed is resolved again after so long: what it selects may have.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// Copies and tokens are looked for so often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Drift is looked for so often...
const DRIFT_EVERY: Duration = Duration::from_secs(30);
/// ...and every so many looks read each instance singly.
const DEEP_EVERY: u32 = 10;

impl ExoscaleProvider {
    /// Looks after node classes, tokens and copies of machines while this replica leads, until
    /// `stop` is cancelled.
    pub async fn look_after(self, leadership: Leadership, stop: CancellationToken) {
        let mut swept: Option<Timestamp> = None;
        let mut resolved: Option<Timestamp> = None;
        let (mut compared, mut looks): (Option<Timestamp>, u32) = (None, 0);
        loop {
            if leadership.is_held() {
                let now = self.0.clock.now();
                let due = |at: Option<Timestamp>, every| at.is_none_or(|at| now.since(at) >= every);
                let all = due(resolved, RESOLVE_EVERY);
                match self.look_at_node_classes(all).await {
                    Ok(()) if all => resolved = Some(now),
                    Ok(()) => {}
                    Err(error) => tracing::warn!(%error, "node classes cannot be looked after"),
                }
                if due(swept, SWEEP_EVERY) {
                    swept = Some(now);
                    if let Err(error) = self.sweep().await {
                        tracing::warn!(%error, "tokens and copies of machines cannot be looked for");
                    }
                }
                if due(compared, DRIFT_EVERY) {
                    compared = Some(now);
                    if let Err(error) = self.look_for_drift(looks % DEEP_EVERY == 0).await {
                        tracing::warn!(%error, "drift cannot be looked for");
                    }
                    looks = looks.wrapping_add(1);
                }
            } else {
                (swept, resolved, compared) = (None, None, None);
            }
            tokio::select! {
                () = self.0.clock.sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Brings node classes up to date: those that have changed or are not ready, or all. To be
    /// called by the leader only.
    ///
    /// # Errors
    /// [`ProviderError`] of the first class that something could not be read or written for; the
    /// others are looked at all the same.
    pub async fn look_at_node_classes(&self, all: bool) -> Result<(), ProviderError> {
        let mut first = Ok(());
        for class in self.0.cluster.node_classes().await? {
            let looked = self.0.look_at_class(class, all).await;
            first = first.and(looked);
        }
        first
    }
}

impl Inner {
    async fn look_at_class(
        &self,
        class: ExoscaleNodeClass,
        always: bool,
    ) -> Result<(), ProviderError> {
        let name = class.metadata.name.clone().unwrap_or_default();
        let finalizers = class.metadata.finalizers.clone().unwrap_or_default();
        let held = finalizers.iter().any(|finalizer| finalizer == NODE_CLASS_FINALIZER);
        if class.metadata.deletion_timestamp.is_some() {
            let claims = self.cluster.claims().await?;
            let users = claims.iter().filter(|claim| refers_to(claim, &name)).count();
            if held && users == 0 {
                let left = finalizers.into_iter().filter(|one| one != NODE_CLASS_FINALIZER);
                self.cluster.set_finalizers(&class, left.collect()).await?;
            } else if held {
                tracing::info!(class = name, users, "a node class waits for its NodeClaims to end");
            }
            return Ok(());
        }
        let class = if held {
            class
        } else {
            let with = finalizers.into_iter().chain([NODE_CLASS_FINALIZER.to_owned()]);
            self.cluster.set_finalizers(&class, with.collect()).await?
        };
        let status = class.status.clone().unwrap_or_default();
        let seen = status
            .conditions
            .iter()
            .all(|one| one.observed_generation == class.metadata.generation)
            && status.conditions.iter().any(|one| one.r#type == READY && one.status == "True");
        if seen && !always {
            return Ok(());
        }
        let offered = self.offered(&class.spec).await?;
        let (mut wanted, verdicts) = resolve(&class.spec, &offered);
        wanted.conditions =
            conditions(&status, &verdicts, class.metadata.generation, self.clock.now());
        if wanted == status {
            return Ok(());
        }
        for verdict in verdicts.iter().filter(|verdict| verdict.problem.is_some()) {
            let (condition, problem) = (verdict.kind, verdict.problem.as_deref());
            tracing::warn!(class = name, condition, problem, "an {KIND} has a problem");
        }
        if !class.spec.node_labels.is_empty() || !class.spec.node_taints.is_empty() {
            tracing::warn!(
                class = name,
                "nodeLabels and nodeTaints are not heeded: put them into the NodePool's template"
            );
        }
        self.cluster.set_class_status(&class, &wanted).await
    }

    /// What the cloud has of what a class selects from.
    async fn offered(&self, spec: &ExoscaleNodeClassSpec) -> Result<Offered, ProviderError> {
        let client = &self.client;
        let pairs = |groups: Vec<crate::exoscale::network::Group>| {
            groups.into_iter().map(|group| (group.id, group.name)).collect::<Vec<_>>()
        };
        let security_groups =
            if spec.security_groups.is_empty() && spec.security_group_selector_terms.is_empty() {
                Vec::new()
            } else {
                pairs(client.security_groups().await.map_err(refusal)?)
            };
        let anti_affinity_groups = if spec.anti_affinity_groups.is_empty()
            && spec.anti_affinity_group_selector_terms.is_empty()
        {
            Vec::new()
        } else {
            pairs(client.anti_affinity_groups().await.map_err(refusal)?)
        };
        let private_networks =
            if spec.private_networks.is_empty() && spec.private_network_selector_terms.is_empty() {
                Vec::new()
            } else {
                pairs(client.private_networks().await.map_err(refusal)?)
            };
        let elastic_ips = if spec.elastic_ip_selector_terms.is_empty() {
            Vec::new()
        } else {
            let all = client.elastic_ips().await.map_err(refusal)?;
            all.into_iter().map(|one| (one.id, one.ip)).collect()
        };
        Ok(Offered {
            security_groups,
            anti_affinity_groups,
            private_networks,
            elastic_ips,
            default_security_group: self.default_security_group().await?,
            template: self.template(spec).await?,
            registries: self.registries(spec).await?,
        })
    }

    /// What is wrong with the Secrets that a class names for registries, if anything.
    async fn registries(
        &self,
        spec: &ExoscaleNodeClassSpec,
    ) -> Result<Option<String>, ProviderError> {
        let Some(named) = &spec.container_registry else { return Ok(None) };
        match Registries::read(self.cluster.as_ref(), named).await {
            Ok(_) => Ok(None),
            Err(ProviderError::Refused(why)) => Ok(Some(why)),
            Err(error) => Err(error),
        }
    }

    async fn default_security_group(&self) -> Result<Option<String>, ProviderError> {
        if !self.settings.use_default_security_group {
            return Ok(None);
        }
        let id = &self.settings.cluster_id;
        let cluster = self.client.sks_cluster(id).await.map_err(refusal)?;
        match cluster.default_security_group_id {
            Some(group) => Ok(Some(group)),
            None => Err(ProviderError::Other(format!(
                "SKS cluster {id} has no default security group: unset \
                 USE_SKS_DEFAULT_SECURITY_GROUP"
            ))),
        }
    }

    /// The template of a class, or why there is none.
    async fn template(
        &self,
        spec: &ExoscaleNodeClassSpec,
    ) -> Result<Result<String, String>, ProviderError> {
        if let Some(id) = &spec.template_id {
            return match self.client.template(id).await {
                Ok(found) => Ok(Ok(found.id)),
                Err(error) if error.kind == ErrorKind::NotFound => {
                    Ok(Err(format!("spec.templateID: there is no template {id} in the zone")))
                }
                Err(error) => Err(refusal(error)),
            };
        }
        let selector = spec.image_template_selector.clone().unwrap_or_default();
        let version = match selector.version {
            Some(version) => version,
            None => self.cluster.version().await?,
        };
        let variant = selector.variant;
        match self.client.sks_template(&version, &variant).await {
            Ok(Some(id)) => Ok(Ok(id)),
            Ok(None) => Ok(Err(no_template(&version, &variant))),
            Err(error) if error.kind == ErrorKind::NotFound => {
                Ok(Err(no_template(&version, &variant)))
            }
            Err(error) => Err(refusal(error)),
        }
    }
}

fn no_template(version: &str, variant: &str) -> String {
    format!("spec.imageTemplateSelector: SKS has no template for {version}, variant {variant}")
}

fn refers_to(claim: &NodeClaim, class: &str) -> bool {
    let wanted = &claim.spec.node_class_ref;
    wanted.kind == KIND && wanted.name == class
}

/// The conditions: verdicts, with the times of those that held already.
fn conditions(
    status: &ExoscaleNodeClassStatus,
    verdicts: &[Verdict],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut all = status.conditions.clone();
    all.retain(|one| verdicts.iter().any(|verdict| verdict.kind == one.r#type));
    for verdict in verdicts {
        let saying = Saying {
            kind: verdict.kind,
            holds: verdict.problem.is_none(),
            reason: &verdict.reason(),
            message: verdict.problem.as_deref().unwrap_or_default(),
        };
        set(&mut all, saying, generation, now);
    }
    all
}
