//! What CapacityBuffers come to.

use berth_solver::model::{ClusterState, PodKey};

use super::ManifestError;
use super::object::{Object, Workload};
use crate::watch::{self, Interner};

/// Lets CapacityBuffers know the workloads that they may refer to. One that comes to nothing is an
/// error.
pub(super) fn resolve(
    buffers: &[Object],
    workloads: &[(Workload, Object)],
    interner: &Interner,
    cluster: &mut ClusterState,
) -> Result<(), ManifestError> {
    if buffers.is_empty() {
        return Ok(());
    }
    for (kind, object) in workloads {
        let Some(kind) = kind.watched() else { continue };
        let template = watch::applied(kind, object.value.clone(), interner);
        cluster.apply(template.map_err(|problem| object.error(problem))?);
    }
    for object in buffers {
        let namespace = interner.name(&object.namespace);
        let key = PodKey { namespace, name: interner.name(&object.name) };
        let resolved = cluster.picture().buffers.get(&key);
        if let Some(defect) = resolved.and_then(|buffer| buffer.defect.as_ref()) {
            return Err(object.error(defect.message.to_string()));
        }
    }
    Ok(())
}
