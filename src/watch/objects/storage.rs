use super::{Amount, Expression, Meta, NodeSelector, compact};

compact! {
    /// `v1` PersistentVolumeClaim.
    struct PersistentVolumeClaim {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: PersistentVolumeClaimSpec,
        /// `status`.
        status: PersistentVolumeClaimStatus,
    }

    /// `spec`.
    struct PersistentVolumeClaimSpec {
        /// `accessModes`.
        access_modes: Vec<String>,
        /// `storageClassName`.
        storage_class_name: String,
        /// `volumeName`.
        volume_name: String,
    }

    /// `status`.
    struct PersistentVolumeClaimStatus {
        /// `phase`.
        phase: String,
    }

    /// `v1` PersistentVolume.
    struct PersistentVolume {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: PersistentVolumeSpec,
    }

    /// `spec`.
    struct PersistentVolumeSpec {
        /// `nodeAffinity`.
        node_affinity: VolumeNodeAffinity,
        /// `csi`.
        csi: CsiSource,
    }

    /// `spec.nodeAffinity`.
    struct VolumeNodeAffinity {
        /// `required`.
        required: Option<NodeSelector>,
    }

    /// `spec.csi`.
    struct CsiSource {
        /// `driver`.
        driver: String,
    }

    /// `storage.k8s.io/v1` StorageClass.
    struct StorageClass {
        /// `metadata`.
        metadata: Meta,
        /// `provisioner`.
        provisioner: String,
        /// `volumeBindingMode`.
        volume_binding_mode: String,
        /// `allowedTopologies`.
        allowed_topologies: Vec<TopologySelectorTerm>,
    }

    /// `allowedTopologies[]`.
    struct TopologySelectorTerm {
        /// `matchLabelExpressions`: key and values.
        match_label_expressions: Vec<Expression>,
    }

    /// `storage.k8s.io/v1` CSINode.
    struct CsiNode {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: CsiNodeSpec,
    }

    /// `spec`.
    struct CsiNodeSpec {
        /// `drivers`.
        drivers: Vec<CsiNodeDriver>,
    }

    /// `spec.drivers[]`.
    struct CsiNodeDriver {
        /// `name`.
        name: String,
        /// `allocatable`.
        allocatable: VolumeNodeResources,
    }

    /// `storage.k8s.io/v1` VolumeAttachment.
    struct VolumeAttachment {
        /// `metadata`.
        metadata: Meta,
        /// `spec`.
        spec: VolumeAttachmentSpec,
    }

    /// `spec`.
    struct VolumeAttachmentSpec {
        /// `nodeName`.
        node_name: String,
        /// `source`.
        source: VolumeAttachmentSource,
    }

    /// `spec.source`.
    struct VolumeAttachmentSource {
        /// `persistentVolumeName`.
        persistent_volume_name: String,
    }

    /// `allocatable`.
    struct VolumeNodeResources {
        /// `count`: how many volumes can be attached.
        count: Option<Amount>,
    }
}
