use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

use super::Change;
use super::state::apply;
use crate::model::{Buffer, CapacityBuffer, PodKey, Template, TemplateKind};

/// CapacityBuffers and what they may refer to. The picture holds only what comes of both.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    wanted: OrdMap<PodKey, Arc<CapacityBuffer>>,
    /// By kind; kinds of which nothing was ever heard are missing.
    templates: BTreeMap<TemplateKind, OrdMap<PodKey, Arc<Template>>>,
}

impl Buffers {
    /// Takes in what happened to CapacityBuffers. Returns whether anything changed.
    pub(super) fn want(&mut self, change: Change<PodKey, CapacityBuffer>) -> bool {
        apply(&mut self.wanted, change, |buffer| buffer.key.clone())
    }

    /// Takes in what happened to templates of a kind. Returns whether a buffer may have changed.
    pub(super) fn set_templates(
        &mut self,
        kind: TemplateKind,
        change: Change<PodKey, Template>,
    ) -> bool {
        let heard_of = self.templates.contains_key(&kind);
        let templates = self.templates.entry(kind).or_default();
        let changed = apply(templates, change, |template| template.key.clone());
        (changed || !heard_of) && !self.wanted.is_empty()
    }

    /// Every active buffer of which it is known what it refers to, or that there is no such thing.
    pub(super) fn resolved(&self) -> Vec<Arc<Buffer>> {
        let active = self.wanted.values().filter(|buffer| buffer.active);
        let resolved = active.filter_map(|buffer| {
            let Ok(wanted) = &buffer.template else { return Some(buffer.resolve(None)) };
            let templates = self.templates.get(&wanted.kind)?;
            let namespace = buffer.key.namespace.clone();
            let key = PodKey { namespace, name: wanted.name.clone() };
            Some(buffer.resolve(templates.get(&key).map(AsRef::as_ref)))
        });
        resolved.map(Arc::new).collect()
    }
}
