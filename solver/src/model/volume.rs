use serde::{Deserialize, Serialize};

use super::{Name, PodKey, Requirements};

/// A PersistentVolumeClaim, reduced to where it lets a pod go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeClaim {
    /// Namespace and name.
    pub key: PodKey,
    /// `spec.volumeName`: the PersistentVolume that it is bound to.
    pub volume: Option<Name>,
    /// `spec.storageClassName`, if it is not empty.
    pub class: Option<Name>,
    /// Whether its access mode is `ReadWriteOncePod`: one pod at a time.
    pub exclusive: bool,
    /// Whether its PersistentVolume is gone (`status.phase` is `Lost`).
    pub lost: bool,
    /// Whether it is being deleted.
    pub leaving: bool,
}

/// A PersistentVolume, reduced to where it can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// `metadata.name`.
    pub name: Name,
    /// `spec.nodeAffinity.required`, with its zone labels: one of these must hold; empty: it can
    /// be used everywhere.
    pub nodes: Box<[Requirements]>,
    /// `spec.csi.driver`: who attaches it, if that is a CSI driver.
    pub driver: Option<Name>,
}

/// When a StorageClass has its volumes made and bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VolumeBinding {
    /// As soon as there is a claim, wherever that may be.
    Immediate,
    /// When a pod that uses it has got a node, there.
    WaitForFirstConsumer,
}

/// A StorageClass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageClass {
    /// `metadata.name`.
    pub name: Name,
    /// `provisioner`: the CSI driver that makes and attaches its volumes.
    pub provisioner: Name,
    /// `volumeBindingMode`.
    pub binding: VolumeBinding,
    /// `allowedTopologies`: one of these must hold; empty: everywhere.
    pub allowed_topologies: Box<[Requirements]>,
}

impl StorageClass {
    /// The provisioner's name of classes whose volumes somebody makes by hand.
    pub const NO_PROVISIONER: &'static str = "kubernetes.io/no-provisioner";
}

/// A CSINode: which CSI drivers run on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsiNode {
    /// `metadata.name`, the node's.
    pub name: Name,
    /// `spec.drivers[]`, sorted: name and how many volumes can be attached
    /// (`allocatable.count`), `None` for any number.
    pub drivers: Box<[(Name, Option<u32>)]>,
}

/// A VolumeAttachment: a volume that is attached to a node, on its way there or away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeAttachment {
    /// `metadata.name`.
    pub name: Name,
    /// `spec.nodeName`.
    pub node: Name,
    /// `spec.source.persistentVolumeName`; `None` for a volume that a pod describes itself.
    pub volume: Option<Name>,
}

impl CsiNode {
    /// How many volumes of a driver can be attached, if there is a limit.
    pub fn limit(&self, driver: &str) -> Option<u32> {
        self.drivers.iter().find(|(name, _)| name == driver)?.1
    }
}
