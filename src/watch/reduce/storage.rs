//! Claims, volumes, classes and what nodes can attach.

use berth_solver::model::{
    CsiNode, Operator, PodKey, Requirements, StorageClass, ValueSet, Volume, VolumeAttachment,
    VolumeBinding, VolumeClaim, well_known,
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

/// A VolumeAttachment.
pub fn volume_attachment(
    attachment: &objects::VolumeAttachment,
    interner: &Interner,
) -> VolumeAttachment {
    VolumeAttachment {
        name: interner.name(&attachment.metadata.name),
        node: interner.name(&attachment.spec.node_name),
        volume: named(&attachment.spec.source.persistent_volume_name, interner),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::watch::objects::decode;

    fn zones(volume: &Value) -> Result<Vec<String>, String> {
        let object: objects::PersistentVolume = decode(volume.clone()).unwrap();
        let read = super::volume(&object, &Interner::new())?;
        Ok(read.nodes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_claim_says_what_it_is_bound_to_and_for_how_many() {
        let object = json!({
            "metadata": {"name": "data-db-0", "namespace": "shop"},
            "spec": {"accessModes": ["ReadWriteOncePod"], "storageClassName": "fast",
                "volumeName": "pvc-1", "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound"}
        });
        let claim =
            |object: &Value| volume_claim(&decode(object.clone()).unwrap(), &Interner::new());
        let read = claim(&object);
        assert_eq!(read.key.to_string(), "shop/data-db-0");
        assert_eq!((read.volume.as_deref(), read.class.as_deref()), (Some("pvc-1"), Some("fast")));
        assert!(read.exclusive && !read.lost && !read.leaving);
        let going = json!({
            "metadata": {"name": "a", "deletionTimestamp": "2026-11-24T04:00:00Z"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": ""},
            "status": {"phase": "Lost"}
        });
        let read = claim(&going);
        assert_eq!(read.key.to_string(), "default/a");
        assert_eq!((read.volume, read.class), (None, None));
        assert!(!read.exclusive && read.lost && read.leaving);
    }

    #[test]
    fn a_volume_is_where_its_affinity_and_its_zone_label_say() {
        let term = |key: &str, zones: Value| json!({"matchExpressions": [{"key": key, "operator": "In", "values": zones}]});
        let bound = |terms: Value| {
            json!({"metadata": {"name": "v"}, "spec": {"csi": {"driver": "ebs.csi.aws.com"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})
        };
        let either = bound(json!([
            term("topology.kubernetes.io/zone", json!(["a"])),
            term("topology.ebs.csi.aws.com/zone", json!(["b", "c"]))
        ]));
        assert_eq!(
            zones(&either),
            Ok(vec![
                "topology.kubernetes.io/zone in [b, c]".to_owned(),
                "topology.kubernetes.io/zone in [a]".to_owned()
            ])
        );
        assert_eq!(zones(&json!({"metadata": {"name": "v"}, "spec": {}})), Ok(vec![]));
        let labelled = json!({"metadata": {"name": "v",
            "labels": {"failure-domain.beta.kubernetes.io/zone": "a__b"}}, "spec": {}});
        assert_eq!(zones(&labelled), Ok(vec!["topology.kubernetes.io/zone in [a, b]".to_owned()]));
        let odd = bound(json!([{"matchExpressions": [{"key": "zone", "operator": "Near"}]}]));
        assert_eq!(
            zones(&odd),
            Err("spec.nodeAffinity.required: operator \"Near\" of key \"zone\" is unknown: \
                 expected In, NotIn, Exists, DoesNotExist, Gt or Lt"
                .to_owned())
        );
        let object: objects::PersistentVolume = decode(either).unwrap();
        let read = super::volume(&object, &Interner::new()).unwrap();
        assert_eq!(read.driver.as_deref(), Some("ebs.csi.aws.com"));
    }

    #[test]
    fn a_class_says_when_and_where_its_volumes_are_made() {
        let class = |object: Value| storage_class(&decode(object).unwrap(), &Interner::new());
        let read = class(json!({
            "metadata": {"name": "fast"}, "provisioner": "kubernetes.io/gce-pd",
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": [{"matchLabelExpressions": [
                {"key": "topology.gke.io/zone", "values": ["a", "b"]}]}]
        }));
        assert_eq!(read.binding, VolumeBinding::WaitForFirstConsumer);
        assert_eq!(&*read.provisioner, "pd.csi.storage.gke.io");
        assert_eq!(read.allowed_topologies[0].to_string(), "topology.kubernetes.io/zone in [a, b]");
        let plain = class(json!({"metadata": {"name": "old"}, "provisioner": "x"}));
        assert_eq!(plain.binding, VolumeBinding::Immediate);
        assert!(plain.allowed_topologies.is_empty());
    }

    #[test]
    fn a_csi_node_says_how_many_volumes_each_driver_attaches() {
        let object = json!({"metadata": {"name": "n"}, "spec": {"drivers": [
            {"name": "z", "nodeID": "i-1", "allocatable": {"count": 25}},
            {"name": "y", "nodeID": "i-1", "allocatable": null},
            {"name": "x", "nodeID": "i-1", "allocatable": {"count": -1}}
        ]}});
        let read = csi_node(&decode(object).unwrap(), &Interner::new());
        assert_eq!(
            *read.drivers,
            [("x".into(), Some(0)), ("y".into(), None), ("z".into(), Some(25))]
        );
        assert_eq!((read.limit("z"), read.limit("other")), (Some(25), None));
    }

    #[test]
    fn a_pod_names_its_claims_and_those_of_its_ephemeral_volumes() {
        let object = json!({
            "metadata": {"name": "db-0", "namespace": "shop"},
            "spec": {"volumes": [
                {"name": "token", "projected": {}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}},
                {"name": "again", "persistentVolumeClaim": {"claimName": "data-db-0"}}
            ]}
        });
        let pod = crate::watch::reduce::pod(&decode(object).unwrap(), &Interner::new());
        let names: Vec<&str> = pod.volume_claims.iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["data-db-0", "db-0-scratch"]);
    }
}
