use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Buffer, BufferDefect, BufferDefectReason, Template, TemplateKind, TemplateRef};
use crate::model::{Limits, Name, PodKey, PodShape, Resources};

/// A CapacityBuffer (`autoscaling.x-k8s.io/v1beta1`) as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityBuffer {
    /// Namespace and name.
    pub key: PodKey,
    /// `metadata.uid`.
    pub uid: Name,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether its strategy is to have the room there before it is needed
    /// (`buffer.x-k8s.io/active-capacity`). Others are left alone.
    pub active: bool,
    /// What its places are for, or what makes no sense in it.
    pub template: Result<TemplateRef, Name>,
    /// `spec.replicas`.
    pub replicas: Option<u32>,
    /// `spec.percentage`: so many hundredths of the workload's replicas.
    pub percentage: Option<u32>,
    /// `spec.limits`: what all places may ask for together.
    pub limits: Limits,
}

impl CapacityBuffer {
    /// The room that it asks for, given what it refers to.
    ///
    /// As the API has it, the larger of `replicas` and `percentage` (rounded up) counts, `limits`
    /// bound it, and with neither of the two as many places are kept as `limits` hold.
    pub fn resolve(&self, template: Option<&Template>) -> Buffer {
        match self.resolved(template) {
            Ok(buffer) => buffer,
            Err(defect) => {
                let shape = Arc::new(PodShape::default());
                Buffer { defect: Some(defect), ..self.buffer(shape, 0) }
            }
        }
    }

    fn resolved(&self, template: Option<&Template>) -> Result<Buffer, BufferDefect> {
        let failed =
            |message| BufferDefect { reason: BufferDefectReason::ResolutionFailed, message };
        let wanted = self.template.as_ref().map_err(|problem| failed(problem.clone()))?;
        let template = template.ok_or_else(|| self.missing(wanted))?;
        if let Some(problem) = &template.defect {
            let TemplateRef { kind, name } = wanted;
            return Err(failed(format!("{kind} {name}: {problem}").into()));
        }
        let replicas = self.places(template).min(i64::from(Buffer::MOST_PLACES));
        // Within 0 and MOST_PLACES.
        let replicas = u32::try_from(replicas).unwrap_or_default();
        let named = (wanted.kind == TemplateKind::PodTemplate)
            .then(|| (wanted.name.clone(), template.generation));
        Ok(Buffer { template: named, ..self.buffer(Arc::clone(&template.shape), replicas) })
    }

    fn buffer(&self, shape: Arc<PodShape>, replicas: u32) -> Buffer {
        let buffer = Buffer::new(self.key.clone(), self.uid.clone(), shape, replicas);
        Buffer { generation: self.generation, ..buffer }
    }

    fn missing(&self, wanted: &TemplateRef) -> BufferDefect {
        let reason = match wanted.kind {
            TemplateKind::PodTemplate => BufferDefectReason::PodTemplateNotFound,
            _ => BufferDefectReason::ScalableRefNotFound,
        };
        let (TemplateRef { kind, name }, namespace) = (wanted, &self.key.namespace);
        let message = format!("there is no {kind} {name} in namespace {namespace}");
        BufferDefect { reason, message: message.into() }
    }

    fn places(&self, template: &Template) -> i64 {
        let of_workload = self.percentage.map(|percentage| {
            let hundredths = i64::from(percentage).saturating_mul(i64::from(template.replicas));
            hundredths.div_euclid(100) + i64::from(hundredths.rem_euclid(100) > 0)
        });
        let wanted = self.replicas.map(i64::from).max(of_workload);
        let most = most_within(&self.limits, &template.shape.requests);
        match (wanted, most) {
            (Some(wanted), Some(most)) => wanted.min(most),
            (Some(some), None) | (None, Some(some)) => some,
            (None, None) => 0,
        }
    }
}

/// How often `requests` fit into the limits; `None` if these say nothing of what is asked for.
fn most_within(limits: &Limits, requests: &Resources) -> Option<i64> {
    let plain = [
        (limits.cpu, requests.cpu.0),
        (limits.memory, requests.memory.0),
        (limits.ephemeral_storage, requests.ephemeral_storage.0),
        (limits.pods, requests.pods),
    ];
    let extended = limits.extended.iter();
    let extended = extended.map(|(name, limit)| (Some(*limit), requests.extended_amount(name)));
    let asked = plain.into_iter().chain(extended).filter(|(_, request)| *request > 0);
    asked.filter_map(|(limit, request)| Some(limit? / request)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pod, shape};

    fn template(replicas: u32) -> Template {
        let shape = shape(500, 100).build();
        let key = pod("web", &shape).key;
        Template { key, generation: 7, shape, replicas, defect: None }
    }

    fn of(kind: TemplateKind) -> CapacityBuffer {
        let key = pod("spare", &shape(1, 1).build()).key;
        let template = Ok(TemplateRef { kind, name: "web".into() });
        CapacityBuffer {
            key,
            uid: "uid-spare".into(),
            generation: 3,
            active: true,
            template,
            replicas: None,
            percentage: None,
            limits: Limits::default(),
        }
    }

    #[test]
    fn the_larger_of_replicas_and_percentage_counts_within_the_limits() {
        let places = |replicas, percentage, cpu: Option<i64>, workload| {
            let limits = Limits { cpu, ..Limits::default() };
            let buffer = of(TemplateKind::Deployment);
            let buffer = CapacityBuffer { replicas, percentage, limits, ..buffer };
            buffer.resolve(Some(&template(workload))).replicas
        };
        assert_eq!(places(Some(3), None, None, 10), 3);
        assert_eq!(places(None, Some(20), None, 10), 2);
        assert_eq!(places(None, Some(1), None, 10), 1, "rounded up");
        assert_eq!(places(None, Some(101), None, 10), 11);
        assert_eq!(places(None, Some(20), None, 0), 0, "nothing runs");
        assert_eq!(places(None, Some(0), None, 10), 0);
        assert_eq!(places(Some(3), Some(50), None, 10), 5, "the larger one");
        assert_eq!(places(Some(3), Some(50), Some(2_250), 10), 4, "half a core each");
        assert_eq!(places(None, None, Some(2_250), 10), 4, "as many as fit");
        assert_eq!(places(None, None, None, 10), 0, "it says nothing");
        assert_eq!(places(Some(u32::MAX), Some(u32::MAX), None, u32::MAX), Buffer::MOST_PLACES);
    }

    #[test]
    fn limits_on_what_is_not_asked_for_bound_nothing() {
        let extended = Box::from([(Name::from("nvidia.com/gpu"), 1)]);
        let limits = Limits { extended, ..Limits::default() };
        let asks = |gpus: i64| {
            let mut requests = Resources::default();
            requests.set_extended("nvidia.com/gpu".into(), gpus);
            most_within(&limits, &requests)
        };
        assert_eq!((asks(0), asks(1), asks(2)), (None, Some(1), Some(0)));
    }

    #[test]
    fn what_cannot_be_resolved_asks_for_nothing_and_says_why() {
        let reason = |buffer: Buffer| {
            assert_eq!((buffer.replicas, buffer.generation), (0, 3));
            let BufferDefect { reason, message } = buffer.defect.expect("a defect");
            (reason, message.to_string())
        };
        assert_eq!(
            reason(of(TemplateKind::PodTemplate).resolve(None)),
            (
                BufferDefectReason::PodTemplateNotFound,
                "there is no PodTemplate web in namespace default".to_owned()
            )
        );
        let (word, _) = reason(of(TemplateKind::ReplicaSet).resolve(None));
        assert_eq!(word, BufferDefectReason::ScalableRefNotFound);
        let bad = Template { defect: Some("spec.containers: no".into()), ..template(1) };
        assert_eq!(
            reason(of(TemplateKind::Deployment).resolve(Some(&bad))),
            (
                BufferDefectReason::ResolutionFailed,
                "Deployment web: spec.containers: no".to_owned()
            )
        );
        let template = Err("spec: neither".into());
        let neither = CapacityBuffer { template, ..of(TemplateKind::PodTemplate) };
        assert_eq!(reason(neither.resolve(None)).1, "spec: neither");
    }

    #[test]
    fn a_pod_template_is_named_with_its_generation() {
        let named = |kind| of(kind).resolve(Some(&template(1))).template;
        assert_eq!(named(TemplateKind::PodTemplate), Some(("web".into(), 7)));
        assert_eq!(named(TemplateKind::StatefulSet), None);
    }
}
