use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Buffer, CapacityBuffer, Catalog, CsiNode, DaemonSet, Labels, Name, Node, NodeClaim, NodePool,
    Pod, PodDisruptionBudget, PodKey, StorageClass, Template, TemplateKind, Volume,
    VolumeAttachment, VolumeClaim,
};

mod buffers;
mod figures;
mod links;
mod resident;
mod snapshot;
mod state;

pub use figures::NodeFigures;
pub use resident::Resident;
pub use snapshot::{NodeState, Snapshot};
pub use state::ClusterState;

/// What a watch says about the objects of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change<K, T> {
    /// The object is there, and this is what it looks like now.
    Applied(T),
    /// The object is gone.
    Deleted(K),
    /// A complete list: whatever is not in it is gone. What the picture holds already may be
    /// shared with it, so that a list that repeats it takes next to no memory.
    Replaced(Vec<Arc<T>>),
}

impl<K, T> Change<K, T> {
    /// A complete list of these objects.
    pub fn list(objects: impl IntoIterator<Item = T>) -> Self {
        Self::Replaced(objects.into_iter().map(Arc::new).collect())
    }
}

/// One thing that happened to the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterEvent {
    /// Pods, by namespace and name.
    Pod(Change<PodKey, Pod>),
    /// Nodes, by name.
    Node(Change<Name, Node>),
    /// NodeClaims, by name.
    NodeClaim(Change<Name, NodeClaim>),
    /// NodePools, by name.
    NodePool(Change<Name, NodePool>),
    /// DaemonSets, by namespace and name.
    DaemonSet(Change<PodKey, DaemonSet>),
    /// Namespaces: name and labels.
    Namespace(Change<Name, (Name, Labels)>),
    /// PodDisruptionBudgets, by namespace and name.
    PodDisruptionBudget(Change<PodKey, PodDisruptionBudget>),
    /// PersistentVolumeClaims, by namespace and name.
    PersistentVolumeClaim(Change<PodKey, VolumeClaim>),
    /// PersistentVolumes, by name.
    PersistentVolume(Change<Name, Volume>),
    /// StorageClasses, by name.
    StorageClass(Change<Name, StorageClass>),
    /// CSINodes, by name.
    CsiNode(Change<Name, CsiNode>),
    /// VolumeAttachments, by name.
    VolumeAttachment(Change<Name, VolumeAttachment>),
    /// CapacityBuffers, by namespace and name.
    CapacityBuffer(Change<PodKey, CapacityBuffer>),
    /// What CapacityBuffers may refer to, one kind at a time, by namespace and name.
    Template(TemplateKind, Change<PodKey, Template>),
    /// Room to keep free, by namespace and name: worked out already, for those who have neither
    /// CapacityBuffers nor templates.
    Buffer(Change<PodKey, Buffer>),
    /// What a NodePool's cloud sells: the pool's name and the catalog.
    Catalog(Change<Name, (Name, Arc<Catalog>)>),
}

#[cfg(test)]
mod tests;
