//! How many volumes of a CSI driver a node can have attached (`allocatable.count` of its CSINode).
//!
//! For the packer an attachment is a resource like others. Nodes of which no limit is known, those
//! still to come among them, attach as many as are wanted. A volume that several pods share is
//! counted for each of them that is placed: more careful than kube-scheduler, which counts it once.

use std::collections::BTreeSet;

use crate::model::{Name, NodeState, PodKey, Snapshot};

/// The names of these resources begin with this.
const PREFIX: &str = "attachable-volumes-csi-";

/// More than any node attaches; small enough to be reckoned with exactly.
pub const UNLIMITED: i64 = 1 << 20;

/// The resource that stands for attachments of a driver.
pub fn resource(driver: &str) -> Name {
    Name::from(format!("{PREFIX}{driver}"))
}

/// The driver whose attachments a resource stands for.
pub fn driver(resource: &str) -> Option<&str> {
    resource.strip_prefix(PREFIX)
}

/// How many more volumes of a driver a node can attach.
pub fn free(snapshot: &Snapshot, state: &NodeState, driver: &str) -> i64 {
    let csi = snapshot.csi_nodes.get(&state.node.name);
    let Some(limit) = csi.and_then(|csi| csi.limit(driver)) else { return UNLIMITED };
    let used = i64::try_from(attached(snapshot, state, driver).len()).unwrap_or(UNLIMITED);
    i64::from(limit) - used
}

/// The claims whose volumes a driver has attached to a node.
fn attached(snapshot: &Snapshot, state: &NodeState, driver: &str) -> BTreeSet<PodKey> {
    let used = state.pods.values().flat_map(|pod| {
        pod.volume_claims
            .iter()
            .map(|name| PodKey { namespace: pod.key.namespace.clone(), name: name.clone() })
    });
    used.filter(|key| driver_of(snapshot, key).is_some_and(|name| *name == *driver)).collect()
}

fn driver_of<'a>(snapshot: &'a Snapshot, claim: &PodKey) -> Option<&'a Name> {
    let claim = snapshot.volume_claims.get(claim)?;
    match &claim.volume {
        Some(volume) => snapshot.volumes.get(volume)?.driver.as_ref(),
        None => Some(&snapshot.storage_classes.get(claim.class.as_ref()?)?.provisioner),
    }
}

/// Whether so many more volumes can be attached.
pub fn check(wanted: i64, free: i64) -> bool {
    wanted <= 0 || wanted <= free
}

/// Why not.
pub fn explain(driver: &str, wanted: i64, free: i64) -> Option<String> {
    (!check(wanted, free)).then(|| {
        format!("{} more volumes of {driver} can be attached, the pod has {wanted}", free.max(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, ClusterEvent, CsiNode, Pod};
    use crate::testing::{bound, cluster, node, pod, shape, volume, volume_claim};

    #[test]
    fn what_is_attached_is_taken_off_the_limit_once() {
        let user = |name: &str, claims: &[&str]| Pod {
            volume_claims: claims.iter().map(|name| Name::from(*name)).collect(),
            ..bound(pod(name, &shape(1, 1).build()), "n")
        };
        let mut cluster = cluster().node(node("n", 4_000, 4_000));
        for name in ["a", "b", "c"] {
            let mut claim = volume_claim(name);
            claim.volume = Some(name.into());
            cluster = cluster
                .event(ClusterEvent::PersistentVolume(Change::Applied(volume(name, &[]))))
                .event(ClusterEvent::PersistentVolumeClaim(Change::Applied(claim)));
        }
        let cluster = cluster.pods([user("p", &["a", "b"]), user("q", &["b"])]);
        let free_with = |limit: Option<u32>| {
            let drivers = Box::from([(Name::from("csi.test"), limit)]);
            let csi = CsiNode { name: "n".into(), drivers };
            let mut snapshot = cluster.snapshot();
            snapshot.csi_nodes.insert("n".into(), csi.into());
            free(&snapshot, &snapshot.nodes["n"], "csi.test")
        };
        assert_eq!(free_with(Some(3)), 1);
        assert_eq!(free_with(Some(2)), 0);
        assert_eq!(free_with(Some(1)), -1);
        assert_eq!(free_with(None), UNLIMITED);
        let snapshot = cluster.snapshot();
        assert_eq!(free(&snapshot, &snapshot.nodes["n"], "csi.test"), UNLIMITED);
    }

    #[test]
    fn too_many_are_refused_with_both_numbers() {
        for (wanted, free, allowed) in [(1, 1, true), (2, 1, false), (0, -1, true), (1, -1, false)]
        {
            assert_eq!(check(wanted, free), allowed, "{wanted} of {free}");
        }
        assert_eq!(
            explain("csi.test", 2, -1).as_deref(),
            Some("0 more volumes of csi.test can be attached, the pod has 2")
        );
        assert_eq!(driver(&resource("csi.test")), Some("csi.test"));
        assert_eq!(driver("nvidia.com/gpu"), None);
    }
}
