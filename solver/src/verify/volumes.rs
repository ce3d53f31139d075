//! Volumes: every claim of a placed pod is there and can be bound, can be used on the pod's node,
//! and the node attaches no more volumes than its CSINode says.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Labels, Name, Pod, PodKey, Requirements, Snapshot, VolumeBinding, VolumeClaim};

use super::picture::{HostId, Placed};
use super::{Code, Findings, Picture};

/// A volume as nodes see it.
struct Seen<'a> {
    /// It can be used where one of these holds; empty: everywhere.
    places: &'a [Requirements],
    /// Who attaches it.
    driver: Option<&'a Name>,
}

pub(super) fn check(snapshot: &Snapshot, picture: &Picture<'_>, findings: &mut Findings) {
    if !picture.placed.iter().any(|placed| !placed.pod.volume_claims.is_empty()) {
        return;
    }
    let mut users: BTreeMap<PodKey, &Pod> = BTreeMap::new();
    for pod in snapshot.nodes.values().flat_map(|state| state.pods.values()) {
        users.extend(claims_of(pod).map(|claim| (claim, &**pod)));
    }
    for placed in &picture.placed {
        for key in claims_of(placed.pod) {
            check_claim(snapshot, picture, placed, &key, &users, findings);
            users.insert(key, placed.pod);
        }
    }
    check_limits(snapshot, picture, findings);
}

fn check_claim(
    snapshot: &Snapshot,
    picture: &Picture<'_>,
    placed: &Placed<'_>,
    key: &PodKey,
    users: &BTreeMap<PodKey, &Pod>,
    findings: &mut Findings,
) {
    let (pod, host) = (&placed.pod.key, &picture.hosts[placed.host]);
    let found = snapshot.volume_claims.get(key);
    let seen = found.and_then(|claim| seen(snapshot, claim));
    let (Some(claim), Some(seen)) = (found, seen) else {
        findings.add(
            Code::VolumeUnready,
            format!("pod {pod} uses PersistentVolumeClaim {key}, which cannot be bound"),
        );
        return;
    };
    if claim.exclusive
        && let Some(user) = users.get(key).filter(|user| user.uid != placed.pod.uid)
    {
        findings.add(
            Code::VolumeUnready,
            format!("pods {pod} and {} cannot both have {key}: ReadWriteOncePod", user.key),
        );
    }
    if !reaches(seen.places, &host.labels) {
        findings.add(
            Code::VolumePlace,
            format!("pod {pod}'s PersistentVolumeClaim {key} cannot be used on {}", host.title),
        );
    }
}

/// What a claim comes to; `None` if no pod can be started with it now.
fn seen<'a>(snapshot: &'a Snapshot, claim: &VolumeClaim) -> Option<Seen<'a>> {
    if claim.lost || claim.leaving {
        return None;
    }
    match (&claim.volume, &claim.class) {
        (Some(volume), _) => {
            let volume = snapshot.volumes.get(volume)?;
            Some(Seen { places: &volume.nodes, driver: volume.driver.as_ref() })
        }
        (None, Some(class)) => {
            let class = snapshot.storage_classes.get(class)?;
            let made_on_demand = class.binding == VolumeBinding::WaitForFirstConsumer
                && !class.provisioner.ends_with("/no-provisioner");
            made_on_demand.then_some(Seen {
                places: &class.allowed_topologies,
                driver: Some(&class.provisioner),
            })
        }
        (None, None) => None,
    }
}

fn reaches(places: &[Requirements], labels: &Labels) -> bool {
    places.is_empty() || places.iter().any(|place| place.allow(labels))
}

/// Each volume is counted once, as kube-scheduler does.
fn check_limits(snapshot: &Snapshot, picture: &Picture<'_>, findings: &mut Findings) {
    let mut new: BTreeMap<HostId, Vec<&Pod>> = BTreeMap::new();
    for placed in &picture.placed {
        new.entry(placed.host).or_default().push(placed.pod);
    }
    for (host, pods) in new {
        let Some(state) = picture.hosts[host].node else { continue };
        let Some(csi) = snapshot.csi_nodes.get(&state.node.name) else { continue };
        for (driver, limit) in &csi.drivers {
            let Some(limit) = limit else { continue };
            let of_driver = |pods: &mut dyn Iterator<Item = &Pod>| -> BTreeSet<PodKey> {
                pods.flat_map(claims_of)
                    .filter(|key| {
                        let claim = snapshot.volume_claims.get(key);
                        let seen = claim.and_then(|claim| seen(snapshot, claim));
                        seen.is_some_and(|seen| seen.driver == Some(driver))
                    })
                    .collect()
            };
            let mut all = of_driver(&mut state.pods.values().map(|pod| &**pod));
            let before = all.len();
            all.extend(of_driver(&mut pods.iter().copied()));
            if all.len() > before && all.len() > *limit as usize {
                findings.add(
                    Code::VolumeLimit,
                    format!(
                        "{} would have {} volumes of {driver} attached: its limit is {limit}",
                        picture.hosts[host].title,
                        all.len()
                    ),
                );
            }
        }
    }
}

fn claims_of(pod: &Pod) -> impl Iterator<Item = PodKey> {
    let namespace = &pod.key.namespace;
    pod.volume_claims
        .iter()
        .map(move |name| PodKey { namespace: namespace.clone(), name: name.clone() })
}

#[cfg(test)]
mod tests {
    use crate::model::{
        Change, ClusterEvent, CsiNode, Node, Operator, Pod, StorageClass, VolumeBinding,
        VolumeClaim, well_known,
    };
    use crate::testing::{
        ClusterBuilder, bound, cluster, node, pod, requirements, shape, storage_class, volume,
        volume_claim,
    };
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes};

    fn user(name: &str, claims: &[&str]) -> Pod {
        let volume_claims = claims.iter().map(|name| (*name).into()).collect();
        Pod { volume_claims, ..pod(name, &shape(100, 100).build()) }
    }

    fn in_zone(zone: &str) -> Node {
        let base = node(zone, 4_000, 4_000);
        let labels = base.labels.with([(well_known::ZONE_LABEL.into(), zone.into())]);
        Node { labels, ..base }
    }

    fn claim(change: impl FnOnce(&mut VolumeClaim)) -> ClusterEvent {
        let mut claim = volume_claim("data");
        change(&mut claim);
        ClusterEvent::PersistentVolumeClaim(Change::Applied(claim))
    }

    fn base() -> ClusterBuilder {
        let in_a = requirements(&[(well_known::ZONE_LABEL, Operator::In, &["a"])]);
        let waits = storage_class("waits", VolumeBinding::WaitForFirstConsumer);
        let class = |class| ClusterEvent::StorageClass(Change::Applied(class));
        cluster()
            .node(in_zone("a"))
            .node(in_zone("b"))
            .event(ClusterEvent::PersistentVolume(Change::Applied(volume(
                "v",
                std::slice::from_ref(&in_a),
            ))))
            .event(class(storage_class("now", VolumeBinding::Immediate)))
            .event(class(StorageClass { allowed_topologies: Box::from([in_a]), ..waits.clone() }))
            .event(class(StorageClass {
                name: "local".into(),
                provisioner: StorageClass::NO_PROVISIONER.into(),
                ..waits
            }))
    }

    #[test]
    fn a_claim_must_be_usable_on_the_node() {
        let one = user("one", &["data"]);
        let found = |event: Option<ClusterEvent>, at: &str| {
            let cluster = base().pod(one.clone());
            let cluster = event.into_iter().fold(cluster, ClusterBuilder::event);
            codes(&cluster.snapshot(), &on_nodes(&[(&one, at)]))
        };
        let bound_to = |volume: &str| claim(|claim| claim.volume = Some(volume.into()));
        let of = |class: &str| claim(|claim| claim.class = Some(class.into()));
        assert_eq!(found(None, "a"), [Code::VolumeUnready]);
        assert_eq!(found(Some(bound_to("v")), "a"), []);
        assert_eq!(found(Some(bound_to("v")), "b"), [Code::VolumePlace]);
        assert_eq!(found(Some(bound_to("gone")), "a"), [Code::VolumeUnready]);
        assert_eq!(found(Some(of("waits")), "a"), []);
        assert_eq!(found(Some(of("waits")), "b"), [Code::VolumePlace]);
        for class in ["now", "local", "unknown"] {
            assert_eq!(found(Some(of(class)), "a"), [Code::VolumeUnready], "{class}");
        }
    }

    #[test]
    fn a_claim_for_one_pod_is_used_by_one() {
        let (one, two) = (user("one", &["data"]), user("two", &["data"]));
        let exclusive = |exclusive| {
            claim(move |claim| {
                claim.volume = Some("v".into());
                claim.exclusive = exclusive;
            })
        };
        let both = on_nodes(&[(&one, "a"), (&two, "a")]);
        let with = |event| base().event(event).pods([one.clone(), two.clone()]).snapshot();
        assert_eq!(codes(&with(exclusive(false)), &both), []);
        assert_eq!(codes(&with(exclusive(true)), &both), [Code::VolumeUnready]);
        let there = base().event(exclusive(true)).pods([bound(one.clone(), "a"), two.clone()]);
        let second = on_nodes(&[(&two, "a")]);
        assert_eq!(codes(&there.snapshot(), &second), [Code::VolumeUnready]);
    }

    #[test]
    fn no_more_volumes_are_attached_than_the_node_can() {
        let mut cluster = base();
        for name in ["x", "y"] {
            let mut claim = volume_claim(name);
            claim.volume = Some(name.into());
            cluster = cluster
                .event(ClusterEvent::PersistentVolume(Change::Applied(volume(name, &[]))))
                .event(ClusterEvent::PersistentVolumeClaim(Change::Applied(claim)));
        }
        let (old, same, new) = (user("old", &["x"]), user("same", &["x"]), user("new", &["y"]));
        let cluster = cluster.pods([bound(old, "a"), same.clone(), new.clone()]);
        let with = |limit: Option<u32>| {
            let mut snapshot = cluster.snapshot();
            let drivers = Box::from([("csi.test".into(), limit)]);
            snapshot.csi_nodes.insert("a".into(), CsiNode { name: "a".into(), drivers }.into());
            codes(&snapshot, &on_nodes(&[(&same, "a"), (&new, "a")]))
        };
        assert_eq!(with(Some(2)), []);
        assert_eq!(with(Some(1)), [Code::VolumeLimit]);
        assert_eq!(with(None), []);
    }
}
