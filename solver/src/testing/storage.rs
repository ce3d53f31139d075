use crate::model::{Name, PodKey, Requirements, StorageClass, Volume, VolumeBinding, VolumeClaim};

/// A PersistentVolumeClaim in the namespace `default`, neither bound nor of any class.
pub fn volume_claim(name: &str) -> VolumeClaim {
    VolumeClaim {
        key: PodKey { namespace: Name::from("default"), name: name.into() },
        volume: None,
        class: None,
        exclusive: false,
        lost: false,
        leaving: false,
    }
}

/// A PersistentVolume of the driver `csi.test` that can be used on such nodes (on any, if none are
/// given).
pub fn volume(name: &str, nodes: &[Requirements]) -> Volume {
    Volume { name: name.into(), nodes: nodes.into(), driver: Some(Name::from("csi.test")) }
}

/// A StorageClass whose volumes `csi.test` makes, anywhere.
pub fn storage_class(name: &str, binding: VolumeBinding) -> StorageClass {
    StorageClass {
        name: name.into(),
        provisioner: Name::from("csi.test"),
        binding,
        allowed_topologies: Box::default(),
    }
}
