//! Each launch is something that its pool allows and its pool's cloud sells, described as it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{InstanceType, Launch, Name, NodePool, Plan, Snapshot, Target, well_known};

use super::{Code, Findings};

pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    let mut names: BTreeMap<&Name, u32> = BTreeMap::new();
    let headroom = plan.headroom.iter().filter_map(|headroom| headroom.target.as_ref());
    let used: BTreeSet<&Name> = plan
        .placements
        .iter()
        .map(|placement| &placement.target)
        .chain(headroom)
        .filter_map(|target| match target {
            Target::Claim(name) => Some(name),
            Target::Node(_) => None,
        })
        .collect();
    for launch in &plan.launches {
        *names.entry(&launch.name).or_default() += 1;
        if !used.contains(&launch.name) {
            let problem = format!("launch {} has no pods", launch.name);
            findings.add(Code::LaunchUnused, problem);
        }
        check_name(snapshot, launch, findings);
        check_launch(snapshot, launch, findings);
    }
    for (name, _) in names.into_iter().filter(|(_, count)| *count > 1) {
        findings.add(Code::LaunchNameTaken, format!("several launches are named {name}"));
    }
}

fn check_name(snapshot: &Snapshot, launch: &Launch, findings: &mut Findings) {
    let name = &launch.name;
    let plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    // It becomes the node's name and its host name label too.
    let valid = name.len() <= 63
        && name.starts_with(plain)
        && name.ends_with(plain)
        && name.chars().all(|one| plain(one) || one == '-' || one == '.');
    if !valid {
        findings.add(
            Code::LaunchName,
            format!(
                "{name:?} cannot name a NodeClaim: expected at most 63 lower-case letters, digits, \
                 '-' and '.', with a letter or digit at both ends"
            ),
        );
    }
    if snapshot.claims.contains_key(name) || snapshot.nodes.contains_key(name) {
        let problem = format!("there is a NodeClaim or node named {name} already");
        findings.add(Code::LaunchNameTaken, problem);
    }
}

fn check_launch(snapshot: &Snapshot, launch: &Launch, findings: &mut Findings) {
    let Launch { name, pool, instance_type, zone, capacity_type, .. } = launch;
    let Some(pool) = snapshot.pools.get(pool) else {
        findings.add(Code::LaunchPool, format!("launch {name}: there is no NodePool {pool}"));
        return;
    };
    let why = if pool.deleted.is_some() {
        Some("is being deleted".to_owned())
    } else if !pool.ready {
        Some("is not ready".to_owned())
    } else {
        pool.defect.as_ref().map(|defect| format!("makes no sense: {defect}"))
    };
    if let Some(why) = why {
        findings.add(Code::LaunchPool, format!("launch {name}: NodePool {} {why}", pool.name));
    }
    let kind = snapshot.catalogs.get(&pool.name).and_then(|catalog| catalog.get(instance_type));
    let offering = kind.and_then(|kind| {
        kind.offerings.iter().find(|one| one.zone == *zone && one.capacity_type == *capacity_type)
    });
    let what = format!("{instance_type} in {zone}, {capacity_type}");
    let (Some(kind), Some(offering)) = (kind, offering) else {
        let problem = format!("launch {name}: {}'s cloud does not sell {what}", pool.name);
        findings.add(Code::LaunchOffering, problem);
        return;
    };
    if !offering.available {
        findings.add(Code::LaunchOffering, format!("launch {name}: {what} is not available"));
    }
    if offering.price != launch.price {
        findings.add(
            Code::LaunchPrice,
            format!("launch {name}: {what} costs {}, not {}", offering.price, launch.price),
        );
    }
    if kind.capacity != launch.capacity || kind.allocatable() != launch.allocatable {
        findings.add(
            Code::LaunchCapacity,
            format!(
                "launch {name}: {what} has {}, of which pods can have {}; not {} and {}",
                kind.capacity,
                kind.allocatable(),
                launch.capacity,
                launch.allocatable
            ),
        );
    }
    check_template(launch, pool, kind, findings);
}

fn check_template(launch: &Launch, pool: &NodePool, kind: &InstanceType, findings: &mut Findings) {
    let mut wrong = |problem: String| {
        findings.add(Code::LaunchTemplate, format!("launch {}: {problem}", launch.name));
    };
    let chosen = [
        (well_known::NODEPOOL_LABEL, pool.name.as_str()),
        (well_known::INSTANCE_TYPE_LABEL, kind.name.as_str()),
        (well_known::ZONE_LABEL, launch.zone.as_str()),
        (well_known::CAPACITY_TYPE_LABEL, launch.capacity_type.as_str()),
    ];
    let template = pool.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in chosen.into_iter().chain(template) {
        if launch.labels.get(key).is_none_or(|has| has != value) {
            wrong(format!("its label {key} must be {value}"));
        }
    }
    for (key, value) in &launch.labels {
        for (whose, requirements) in [
            ("its NodePool", &pool.requirements),
            ("its instance type", &kind.labels),
            ("its own requirements", &launch.requirements),
        ] {
            if requirements.get(key).is_some_and(|set| !set.allows(Some(value))) {
                wrong(format!("{whose} does not allow the label {key}={value}"));
            }
        }
    }
    for (key, set) in pool.requirements.iter() {
        let of_type = kind.labels.get(key);
        if of_type.is_some_and(|of_type| of_type.intersection(set).is_empty()) {
            wrong(format!("its instance type cannot meet its NodePool's {key} {set}"));
        }
        let own = launch.requirements.get(key);
        if own.is_some_and(|own| own.intersection(set).is_empty()) {
            wrong(format!("its own requirements cannot meet its NodePool's {key} {set}"));
        }
    }
    let mut taints = launch.taints.to_vec();
    taints.sort();
    let mut expected = pool.taints.to_vec();
    expected.sort();
    if taints != expected {
        wrong("its taints are not its NodePool's".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{
        CapacityType, Catalog, Launch, NodePool, Operator, Plan, Pod, Snapshot, Timestamp,
    };
    use crate::testing::{
        ClusterBuilder, claim, cluster, labels, mixed_catalog, node, pod, pool, price,
        requirements, shape, taint, type_of,
    };
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_one_launch};

    fn one() -> Pod {
        pod("one", &shape(500, 500).tolerate("team").build())
    }

    fn with(pool: &NodePool, catalog: Catalog) -> ClusterBuilder {
        cluster().pool(pool.clone(), catalog).pod(one())
    }

    fn good(pool: &NodePool) -> (Snapshot, Plan) {
        let catalog = mixed_catalog();
        let plan = on_one_launch(pool, &catalog, "c2.amd64", &[&one()]);
        (with(pool, catalog).snapshot(), plan)
    }

    /// What is found once the launch has been changed.
    fn changed(change: impl FnOnce(&mut Launch)) -> Vec<Code> {
        let (snapshot, mut plan) = good(&pool("general"));
        change(&mut plan.launches[0]);
        plan.price = plan.launches[0].price;
        codes(&snapshot, &plan)
    }

    #[test]
    fn a_launch_is_what_its_pool_allows_and_its_cloud_sells() {
        let fussy = NodePool {
            labels: labels(&[("team", "a")]),
            requirements: requirements(&[
                ("kubernetes.io/arch", Operator::In, &["amd64"]),
                ("karpenter.sh/capacity-type", Operator::NotIn, &["reserved"]),
            ]),
            taints: Box::from([taint("team", "a")]),
            ..pool("general")
        };
        for pool in [pool("general"), fussy] {
            let (snapshot, plan) = good(&pool);
            assert_eq!(codes(&snapshot, &plan), []);
        }
    }

    #[test]
    fn a_pool_must_be_there_and_ready() {
        let plain = pool("general");
        for bad in [
            NodePool { ready: false, ..plain.clone() },
            NodePool { deleted: Some(Timestamp::default()), ..plain.clone() },
            NodePool { defect: Some("spec.limits".into()), ..plain.clone() },
        ] {
            let (snapshot, plan) = good(&bad);
            assert_eq!(codes(&snapshot, &plan), [Code::LaunchPool]);
        }
        assert_eq!(changed(|launch| launch.pool = "other".into()), [Code::LaunchPool]);
    }

    #[test]
    fn the_offering_must_be_sold_and_available_at_that_price() {
        assert_eq!(changed(|launch| launch.instance_type = "x".into()), [Code::LaunchOffering]);
        assert_eq!(
            changed(|launch| launch.capacity_type = CapacityType::Reserved),
            [Code::LaunchOffering]
        );
        assert_eq!(changed(|launch| launch.price = price(0.01)), [Code::LaunchPrice]);
        let (general, mut catalog) = (pool("general"), mixed_catalog());
        let plan = on_one_launch(&general, &catalog, "c2.amd64", &[&one()]);
        for kind in &mut catalog.instance_types {
            kind.offerings[0].available = false;
        }
        let snapshot = with(&general, catalog).snapshot();
        assert_eq!(codes(&snapshot, &plan), [Code::LaunchOffering]);
    }

    #[test]
    fn capacity_is_the_catalogs() {
        assert_eq!(changed(|launch| launch.allocatable.cpu.0 += 1), [Code::LaunchCapacity]);
        assert_eq!(changed(|launch| launch.capacity.cpu.0 += 1), [Code::LaunchCapacity]);
    }

    #[test]
    fn labels_taints_and_requirements_follow_pool_type_and_zone() {
        let set = |key: &'static str, value: &'static str| {
            move |launch: &mut Launch| {
                launch.labels = launch.labels.with([(key.into(), value.into())]);
            }
        };
        for (key, value) in [
            ("topology.kubernetes.io/zone", "zone-b"),
            ("kubernetes.io/arch", "arm64"),
            ("karpenter.sh/nodepool", "other"),
        ] {
            assert_eq!(changed(set(key, value)), [Code::LaunchTemplate], "{key}");
        }
        assert_eq!(
            changed(|launch| launch.taints = Box::from([taint("team", "b")])),
            [Code::LaunchTemplate]
        );
        let arm = NodePool {
            requirements: requirements(&[("kubernetes.io/arch", Operator::In, &["arm64"])]),
            ..pool("general")
        };
        let (snapshot, plan) = good(&arm);
        assert_eq!(codes(&snapshot, &plan), [Code::LaunchTemplate]);
    }

    #[test]
    fn names_are_valid_and_free() {
        let named = |name: &str, claims: bool, nodes: bool| {
            let (general, catalog) = (pool("general"), mixed_catalog());
            let mut cluster = with(&general, catalog.clone());
            if claims {
                cluster = cluster.claim(claim(name, &general, type_of(&catalog, "c2.amd64")));
            }
            if nodes {
                cluster = cluster.node(node(name, 1, 1));
            }
            let mut plan = on_one_launch(&general, &catalog, "c2.amd64", &[&one()]);
            plan.launches[0].name = name.into();
            plan.placements[0].target = crate::model::Target::Claim(name.into());
            codes(&cluster.snapshot(), &plan)
        };
        assert_eq!(named("general-x7", false, false), []);
        assert_eq!(named("General_x", false, false), [Code::LaunchName]);
        assert_eq!(named(&"x".repeat(64), false, false), [Code::LaunchName]);
        assert_eq!(named("general-x7", false, true), [Code::LaunchNameTaken]);
        assert!(named("general-x7", true, false).contains(&Code::LaunchNameTaken));
    }

    #[test]
    fn two_launches_of_one_name_or_one_without_pods_are_found() {
        let (snapshot, mut plan) = good(&pool("general"));
        let second =
            Launch { requests: crate::model::Resources::default(), ..plan.launches[0].clone() };
        plan.price += second.price;
        plan.launches.push(second);
        assert_eq!(codes(&snapshot, &plan), [Code::LaunchNameTaken]);
        plan.launches[1].name = "general-2".into();
        assert_eq!(codes(&snapshot, &plan), [Code::LaunchUnused]);
    }
}
