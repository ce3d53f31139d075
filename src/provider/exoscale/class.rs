//! A node class whose selectors have been resolved.

use crate::api::{ExoscaleNodeClass, ExoscaleNodeClassSpec, ExoscaleNodeClassStatus};
use crate::provider::ProviderError;

/// The API group of node classes.
pub const GROUP: &str = "karpenter.exoscale.com";
/// Their kind.
pub const KIND: &str = "ExoscaleNodeClass";
/// The condition that says whether nodes can be launched.
pub const READY: &str = "Ready";

/// What instances are created from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The class' name.
    pub name: String,
    /// What was written.
    pub spec: ExoscaleNodeClassSpec,
    /// What was found.
    pub status: ExoscaleNodeClassStatus,
    /// The template.
    pub image: String,
}

impl Resolved {
    /// Takes a class whose condition Ready is true of the spec as it is now.
    ///
    /// # Errors
    /// [`ProviderError::Other`] if it is not, and why.
    pub fn of(class: ExoscaleNodeClass) -> Result<Self, ProviderError> {
        let name = class.metadata.name.unwrap_or_default();
        let not_ready =
            |why: &str| ProviderError::Other(format!("{KIND} {name} is not ready: {why}"));
        let status = class.status.unwrap_or_default();
        let Some(ready) = status.conditions.iter().find(|condition| condition.r#type == READY)
        else {
            return Err(not_ready("it was not looked at yet"));
        };
        if ready.status != "True" {
            return Err(not_ready(&ready.message));
        }
        if ready.observed_generation.is_some()
            && ready.observed_generation != class.metadata.generation
        {
            return Err(not_ready("it has changed and was not looked at again yet"));
        }
        let image = status.image_id.clone().or_else(|| class.spec.template_id.clone());
        let image = image.ok_or_else(|| not_ready("it has no template"))?;
        Ok(Self { name, spec: class.spec, status, image })
    }

    /// What instances' public addresses are to be.
    pub fn public_ip_assignment(&self) -> &'static str {
        if self.spec.enable_ipv6 == Some(true) { "dual" } else { "inet4" }
    }
}
