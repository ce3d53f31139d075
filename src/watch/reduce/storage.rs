//! Claims, volumes, classes and what nodes can attach.

use berth_solver::model::{
    CsiNode, Operator, PodKey, Requirements, StorageClass, ValueSet, Volume, VolumeBinding,
    VolumeClaim, well_known,
};

use super::affinity::node_selector;
use super::{Defects, named};
use crate::watch::Interner;
use crate::watch::objects;

/// Labels of volumes, classes and nodes that mean a zone or a region: what CSI drivers and old
/// versions of Kubernetes call them. A machine that is still to come has only the well-known ones,
/// and all of them agree on a node.
const ALIASES: [(&str, &str); 8] = [
    ("failure-domain.beta.kubernetes.io/zone", well_known::ZONE_LABEL),
    ("failure-domain.beta.kubernetes.io/region", well_known::REGION_LABEL),
    ("topology.ebs.csi.aws.com/zone", well_known::ZONE_LABEL),
    ("topology.k8s.aws/zone", well_known::ZONE_LABEL),
    ("topology.gke.io/zone", well_known::ZONE_LABEL),
    ("topology.disk.csi.azure.com/zone", well_known::ZONE_LABEL),
    ("topology.csi.exoscale.com/zone", well_known::ZONE_LABEL),
    ("topology.cinder.csi.openstack.org/zone", well_known::ZONE_LABEL),
];

/// Volumes of zones joined by this are in all of them.
const ZONE_SEPARATOR: &str = "__";

/// A PersistentVolumeClaim.
pub fn volume_claim(claim: &objects::PersistentVolumeClaim, interner: &Interner) -> VolumeClaim {
    let (meta, spec) = (&claim.metadata, &claim.spec);
    // A manifest without a namespace means this one.
    let namespace = if meta.namespace.is_empty() { "default" } else { &meta.namespace };
    VolumeClaim {
        key: PodKey { namespace: interner.name(namespace), name: interner.name(&meta.name) },
        volume: named(&spec.volume_name, interner),
        class: named(&spec.storage_class_name, interner),
        exclusive: spec.access_modes.iter().any(|mode| mode == "ReadWriteOncePod"),
        lost: claim.status.phase == "Lost",
        leaving: !meta.deletion_timestamp.is_empty(),
    }
}

/// A PersistentVolume.
///
/// # Errors
/// When its node affinity makes no sense: pods that use it then find it missing.
pub fn volume(volume: &objects::PersistentVolume, interner: &Interner) -> Result<Volume, String> {
    let (meta, spec) = (&volume.metadata, &volume.spec);
    let mut defects = Defects::default();
    let terms = spec.node_affinity.required.as_ref().map(|required| {
        node_selector(required, "spec.nodeAffinity.required", interner, &mut defects)
    });
    if let Some(defect) = defects.first() {
        return Err(defect);
    }
    let by_labels = labels_as_requirements(volume, interner);
    let nodes: Vec<Requirements> = match terms {
        None if by_labels.is_empty() => Vec::new(),
        None => vec![by_labels],
        Some(terms) => {
            terms.iter().map(|term| well_known_keys(term).intersection(&by_labels)).collect()
        }
    };
    Ok(Volume {
        name: interner.name(&meta.name),
        nodes: nodes.into(),
        driver: named(&spec.csi.driver, interner),
    })
}

/// The zone and region labels of a volume, which kube-scheduler holds its node to.
fn labels_as_requirements(volume: &objects::PersistentVolume, interner: &Interner) -> Requirements {
    const LABELS: [&str; 4] = [
        well_known::ZONE_LABEL,
        well_known::REGION_LABEL,
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    ];
    let written = LABELS.into_iter().filter_map(|key| {
        let value = volume.metadata.labels.get(key)?;
        let values = value.split(ZONE_SEPARATOR).map(|value| interner.name(value));
        Some((interner.name(well_known_key(key)), ValueSet::of(Operator::In, values)))
    });
    written.collect()
}

/// A StorageClass.
pub fn storage_class(class: &objects::StorageClass, interner: &Interner) -> StorageClass {
    let binding = match class.volume_binding_mode.as_str() {
        "WaitForFirstConsumer" => VolumeBinding::WaitForFirstConsumer,
        _ => VolumeBinding::Immediate,
    };
    let allowed = class.allowed_topologies.iter().map(|term| {
        let sets = term.match_label_expressions.iter().map(|expression| {
            let values = expression.values.iter().map(|value| interner.name(value));
            let key = interner.name(well_known_key(&expression.key));
            (key, ValueSet::of(Operator::In, values))
        });
        sets.collect()
    });
    StorageClass {
        name: interner.name(&class.metadata.name),
        provisioner: interner.name(driver_of(&class.provisioner)),
        binding,
        allowed_topologies: allowed.collect(),
    }
}

/// The CSI driver that took over an in-tree provisioner.
fn driver_of(provisioner: &str) -> &str {
    match provisioner {
        "kubernetes.io/aws-ebs" => "ebs.csi.aws.com",
        "kubernetes.io/gce-pd" => "pd.csi.storage.gke.io",
        "kubernetes.io/azure-disk" => "disk.csi.azure.com",
        "kubernetes.io/cinder" => "cinder.csi.openstack.org",
        "kubernetes.io/vsphere-volume" => "csi.vsphere.vmware.com",
        other => other,
    }
}

/// A CSINode.
pub fn csi_node(node: &objects::CsiNode, interner: &Interner) -> CsiNode {
    let drivers = node.spec.drivers.iter().map(|driver| {
        // A count below zero is none at all, and nothing can be attached.
        let count = driver.allocatable.count.as_ref();
        let limit = count.map(|count| count.0.parse().unwrap_or_default());
        (interner.name(&driver.name), limit)
    });
    let mut drivers: Vec<_> = drivers.collect();
    drivers.sort_unstable();
    CsiNode { name: interner.name(&node.metadata.name), drivers: drivers.into() }
}

fn well_known_key(key: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, well_known)| well_known)
}

fn well_known_keys(term: &Requirements) -> Requirements {
    term.iter().map(|(key, set)| (well_known_key(key).into(), set.clone())).collect()
}
