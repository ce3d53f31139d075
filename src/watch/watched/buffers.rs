//! CapacityBuffers, and what they refer to.

use berth_solver::model::{CapacityBuffer, Change, ClusterEvent, PodKey, Template, TemplateKind};
use serde::Deserialize;

use super::{Identity, Resource, Watched};
use crate::api;
use crate::cache::Kind;
use crate::watch::objects::{StoredTemplate, Workload};
use crate::watch::{Interner, reduce};

impl Watched for api::CapacityBuffer {
    type Key = PodKey;
    type Record = CapacityBuffer;

    const KIND: Kind = Kind::CapacityBuffer;
    const RESOURCE: Resource =
        Resource { group: "autoscaling.x-k8s.io", version: "v1beta1", plural: "capacitybuffers" };
    const IS_OPTIONAL: bool = true;
    const MAY_REFER_TO: &'static [Kind] =
        &[Kind::PodTemplate, Kind::Deployment, Kind::StatefulSet, Kind::ReplicaSet];

    fn identity(&self) -> Identity<'_> {
        Identity {
            namespace: self.metadata.namespace.as_deref().unwrap_or_default(),
            name: self.metadata.name.as_deref().unwrap_or_default(),
            resource_version: self.metadata.resource_version.as_deref().unwrap_or_default(),
        }
    }

    fn key(identity: Identity<'_>, interner: &Interner) -> PodKey {
        identity.pod_key(interner)
    }

    fn reduce(&self, interner: &Interner) -> Result<CapacityBuffer, String> {
        Ok(reduce::capacity_buffer(self, interner))
    }

    fn event(change: Change<PodKey, CapacityBuffer>) -> ClusterEvent {
        ClusterEvent::CapacityBuffer(change)
    }

    fn refers_to(record: &CapacityBuffer) -> Option<Kind> {
        let template = record.template.as_ref().ok().filter(|_| record.active)?;
        Some(match template.kind {
            TemplateKind::PodTemplate => Kind::PodTemplate,
            TemplateKind::Deployment => Kind::Deployment,
            TemplateKind::StatefulSet => Kind::StatefulSet,
            TemplateKind::ReplicaSet => Kind::ReplicaSet,
        })
    }
}

/// Declares a kind that CapacityBuffers refer to.
macro_rules! watched_template {
    ($name:ident($object:ty), $group:literal $plural:literal, $reduce:path) => {
        /// What CapacityBuffers refer to.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(transparent)]
        pub(in crate::watch) struct $name($object);

        impl Watched for $name {
            type Key = PodKey;
            type Record = Template;

            const KIND: Kind = Kind::$name;
            const RESOURCE: Resource = Resource { group: $group, version: "v1", plural: $plural };

            fn identity(&self) -> Identity<'_> {
                self.0.metadata.identity()
            }

            fn key(identity: Identity<'_>, interner: &Interner) -> PodKey {
                identity.pod_key(interner)
            }

            fn reduce(&self, interner: &Interner) -> Result<Template, String> {
                Ok($reduce(&self.0, interner))
            }

            fn event(change: Change<PodKey, Template>) -> ClusterEvent {
                ClusterEvent::Template(TemplateKind::$name, change)
            }
        }
    };
}

watched_template!(PodTemplate(StoredTemplate), "" "podtemplates", reduce::pod_template);
watched_template!(Deployment(Workload), "apps" "deployments", reduce::workload);
watched_template!(StatefulSet(Workload), "apps" "statefulsets", reduce::workload);
watched_template!(ReplicaSet(Workload), "apps" "replicasets", reduce::workload);
