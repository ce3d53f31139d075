//! A pod's volumes say where it can go: bound ones where they can be used, those that are made for
//! their first consumer where their class allows. A claim that cannot be bound keeps the pod from
//! being planned for at all.
//!
//! As kube-scheduler has it. Volumes of classes without a provisioner are made by hand: no launch
//! brings one, so that a pod waits until its claim is bound.

use std::collections::BTreeMap;

use crate::model::{
    Labels, Name, Pod, PodKey, Requirements, Snapshot, StorageClass, VolumeBinding, VolumeClaim,
};

/// More alternatives than this are not told apart: the rest is left out.
const MOST_ALTERNATIVES: usize = 64;

/// What a pod's volumes ask of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Needs {
    /// One of these must hold; empty: any node will do.
    pub nodes: Vec<Requirements>,
    /// How many volumes of which driver are attached, sorted by driver.
    pub attachments: Vec<(Name, u32)>,
}

/// Pods that hold a `ReadWriteOncePod` claim: the claim and the pod.
pub type Holders = BTreeMap<PodKey, PodKey>;

/// Who holds which `ReadWriteOncePod` claim.
pub fn holders(snapshot: &Snapshot) -> Holders {
    let mut holders = Holders::new();
    if !snapshot.volume_claims.values().any(|claim| claim.exclusive) {
        return holders;
    }
    let bound = snapshot.nodes.values().flat_map(|state| state.pods.values());
    for pod in bound.filter(|pod| !pod.volume_claims.is_empty()) {
        hold(&mut holders, snapshot, pod);
    }
    holders
}

/// Notes the `ReadWriteOncePod` claims of a pod as held by it.
pub fn hold(holders: &mut Holders, snapshot: &Snapshot, pod: &Pod) {
    for key in keys(pod) {
        if snapshot.volume_claims.get(&key).is_some_and(|claim| claim.exclusive) {
            holders.entry(key).or_insert_with(|| pod.key.clone());
        }
    }
}

/// What the pod's volumes ask of its node.
///
/// # Errors
/// Why no node will do, for people.
pub fn needs(pod: &Pod, snapshot: &Snapshot, holders: &Holders) -> Result<Needs, String> {
    let mut needs = Needs::default();
    let mut attachments: BTreeMap<Name, u32> = BTreeMap::new();
    for key in keys(pod) {
        let found = snapshot.volume_claims.get(&key);
        let claim = found.ok_or_else(|| format!("its PersistentVolumeClaim {key} is not there"))?;
        if let Some(holder) = holders.get(&key).filter(|holder| **holder != pod.key) {
            return Err(format!(
                "its PersistentVolumeClaim {key} is ReadWriteOncePod and pod {holder} has it"
            ));
        }
        let (nodes, driver) = asked_by(claim, snapshot)
            .map_err(|why| format!("its PersistentVolumeClaim {key} {why}"))?;
        needs.nodes = both(&needs.nodes, nodes);
        if let Some(driver) = driver {
            *attachments.entry(driver.clone()).or_default() += 1;
        }
    }
    needs.attachments = attachments.into_iter().collect();
    Ok(needs)
}

/// Where one claim lets its pod go, and who attaches its volume.
fn asked_by<'a>(
    claim: &VolumeClaim,
    snapshot: &'a Snapshot,
) -> Result<(&'a [Requirements], Option<&'a Name>), String> {
    if claim.leaving {
        return Err("is being deleted".to_owned());
    }
    if claim.lost {
        return Err("has lost its PersistentVolume".to_owned());
    }
    if let Some(name) = &claim.volume {
        let volume = snapshot.volumes.get(name);
        let volume = volume.ok_or_else(|| {
            format!("is bound to PersistentVolume {name}, which is not there or makes no sense")
        })?;
        return Ok((&volume.nodes, volume.driver.as_ref()));
    }
    let Some(name) = &claim.class else {
        return Err("is not bound and has no StorageClass".to_owned());
    };
    let class = snapshot.storage_classes.get(name);
    let class =
        class.ok_or_else(|| format!("is not bound and its StorageClass {name} is not there"))?;
    if class.binding == VolumeBinding::Immediate {
        return Err(format!(
            "is not bound yet: its StorageClass {name} binds Immediate, before a pod is placed"
        ));
    }
    if class.provisioner == *StorageClass::NO_PROVISIONER {
        return Err(format!(
            "is not bound and its StorageClass {name} makes no volumes: a new node brings none"
        ));
    }
    Ok((&class.allowed_topologies, Some(&class.provisioner)))
}

/// The alternatives that meet one of each list.
fn both(left: &[Requirements], right: &[Requirements]) -> Vec<Requirements> {
    if left.is_empty() || right.is_empty() {
        return if left.is_empty() { right } else { left }.to_vec();
    }
    let pairs = left.iter().flat_map(|one| right.iter().map(|other| one.intersection(other)));
    let mut possible: Vec<Requirements> =
        pairs.clone().filter(|both| both.first_impossible().is_none()).collect();
    possible.sort_unstable();
    possible.dedup();
    possible.truncate(MOST_ALTERNATIVES);
    if possible.is_empty() {
        // Nothing meets both: the first pair says of what.
        possible.extend(pairs.take(1));
    }
    possible
}

/// Whether a node with these labels will do.
pub fn check(needs: &Needs, labels: &Labels) -> bool {
    needs.nodes.is_empty() || needs.nodes.iter().any(|term| term.allow(labels))
}

/// Why it will not.
pub fn explain(needs: &Needs, labels: &Labels) -> Option<String> {
    if check(needs, labels) {
        return None;
    }
    let (key, set) = needs.nodes.first()?.first_unmet(labels)?;
    Some(match labels.get(key) {
        Some(value) => {
            format!("the pod's volumes can be used where {key} {set}, the node's is {value}")
        }
        None => {
            format!("the pod's volumes can be used where {key} {set}, the node has no such label")
        }
    })
}

fn keys(pod: &Pod) -> impl Iterator<Item = PodKey> {
    pod.volume_claims
        .iter()
        .map(|name| PodKey { namespace: pod.key.namespace.clone(), name: name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::labels;
    use crate::model::{Change, ClusterEvent, Operator};
    use crate::testing::{
        ClusterBuilder, bound, cluster, node, pod, requirements, shape, storage_class, volume,
        volume_claim,
    };

    const ZONE: &str = "topology.kubernetes.io/zone";

    fn user(claims: &[&str]) -> Pod {
        let volume_claims = claims.iter().map(|name| Name::from(*name)).collect();
        Pod { volume_claims, ..pod("db-0", &shape(100, 100).build()) }
    }

    fn found(cluster: &ClusterBuilder, claims: &[&str]) -> Result<Needs, String> {
        let snapshot = cluster.snapshot();
        needs(&user(claims), &snapshot, &holders(&snapshot))
    }

    fn storage() -> ClusterBuilder {
        let on = |zones: &[&str]| requirements(&[(ZONE, Operator::In, zones)]);
        let waiting = storage_class("waits", VolumeBinding::WaitForFirstConsumer);
        let claim = |name: &str, volume: &str, class: &str| {
            ClusterEvent::PersistentVolumeClaim(Change::Applied(VolumeClaim {
                volume: (!volume.is_empty()).then(|| volume.into()),
                class: (!class.is_empty()).then(|| class.into()),
                ..volume_claim(name)
            }))
        };
        let class = |class| ClusterEvent::StorageClass(Change::Applied(class));
        cluster()
            .event(ClusterEvent::PersistentVolume(Change::Applied(volume("v-a", &[on(&["a"])]))))
            .event(ClusterEvent::PersistentVolume(Change::Applied(volume(
                "v-ab",
                &[on(&["a"]), on(&["b"])],
            ))))
            .event(class(waiting.clone()))
            .event(class(StorageClass {
                name: "in-b".into(),
                allowed_topologies: Box::from([on(&["b", "c"])]),
                ..waiting.clone()
            }))
            .event(class(StorageClass {
                name: "local".into(),
                provisioner: StorageClass::NO_PROVISIONER.into(),
                ..waiting
            }))
            .event(class(storage_class("at-once", VolumeBinding::Immediate)))
            .event(claim("in-a", "v-a", ""))
            .event(claim("in-ab", "v-ab", ""))
            .event(claim("gone", "v-x", ""))
            .event(claim("first", "", "waits"))
            .event(claim("first-b", "", "in-b"))
            .event(claim("made", "", "local"))
            .event(claim("late", "", "at-once"))
            .event(claim("bare", "", ""))
            .event(claim("lost-class", "", "x"))
    }

    #[test]
    fn volumes_are_used_where_they_are_or_may_be_made() {
        for (claims, zones) in [
            (&["in-a"][..], &["a"][..]),
            (&["in-ab"], &["a", "b"]),
            (&["in-a", "in-ab"], &["a"]),
            (&["first"], &["a", "b", "c", "d"]),
            (&["first-b"], &["b", "c"]),
            (&["first-b", "in-ab"], &["b"]),
            (&["first-b", "in-a"], &[]),
        ] {
            let needs = found(&storage(), claims).unwrap();
            let allowed: Vec<&str> = ["a", "b", "c", "d"]
                .into_iter()
                .filter(|zone| check(&needs, &labels(&[(ZONE, zone)])))
                .collect();
            assert_eq!(allowed, zones, "{claims:?}");
        }
        let needs = found(&storage(), &["in-a"]).unwrap();
        assert_eq!(
            explain(&needs, &labels(&[(ZONE, "b")])).as_deref(),
            Some(
                "the pod's volumes can be used where topology.kubernetes.io/zone in [a], the \
                 node's is b"
            )
        );
        assert_eq!(explain(&needs, &labels(&[(ZONE, "a")])), None);
        assert!(explain(&needs, &labels(&[])).is_some_and(|why| why.contains("no such label")));
    }

    #[test]
    fn a_claim_that_cannot_be_bound_says_why() {
        for (claim, why) in [
            ("nowhere", "is not there"),
            ("gone", "is bound to PersistentVolume v-x, which is not there or makes no sense"),
            ("bare", "is not bound and has no StorageClass"),
            ("lost-class", "is not bound and its StorageClass x is not there"),
            (
                "late",
                "is not bound yet: its StorageClass at-once binds Immediate, before a pod is placed",
            ),
            (
                "made",
                "is not bound and its StorageClass local makes no volumes: a new node brings none",
            ),
        ] {
            let expected = format!("its PersistentVolumeClaim default/{claim} {why}");
            assert_eq!(found(&storage(), &[claim]), Err(expected));
        }
        let change = |change: fn(&mut VolumeClaim)| {
            let mut claim = volume_claim("in-a");
            claim.volume = Some("v-a".into());
            change(&mut claim);
            let event = ClusterEvent::PersistentVolumeClaim(Change::Applied(claim));
            found(&storage().event(event), &["in-a"]).unwrap_err()
        };
        assert!(change(|claim| claim.leaving = true).ends_with("is being deleted"));
        assert!(change(|claim| claim.lost = true).ends_with("has lost its PersistentVolume"));
    }

    #[test]
    fn attachments_are_counted_by_driver() {
        let needs = found(&storage(), &["in-a", "in-ab", "first"]).unwrap();
        assert_eq!(needs.attachments, [("csi.test".into(), 3)]);
    }

    #[test]
    fn a_claim_for_one_pod_is_held_by_who_has_it() {
        let exclusive =
            VolumeClaim { volume: Some("v-a".into()), exclusive: true, ..volume_claim("in-a") };
        let old = Pod { volume_claims: Box::from(["in-a".into()]), ..pod("old", &user(&[]).shape) };
        let cluster = storage()
            .event(ClusterEvent::PersistentVolumeClaim(Change::Applied(exclusive)))
            .node(node("n", 1_000, 1_000));
        assert!(found(&cluster, &["in-a"]).is_ok());
        assert_eq!(
            found(&cluster.pod(bound(old, "n")), &["in-a"]),
            Err("its PersistentVolumeClaim default/in-a is ReadWriteOncePod and pod default/old \
                 has it"
                .to_owned())
        );
    }
}
