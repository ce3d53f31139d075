//! Whether an instance is still what its node class asks for: pure.

use std::collections::BTreeSet;

use super::class::Resolved;
use super::resolve::HASH_PREFIX;
use crate::exoscale::compute::{Instance, InstanceState};
use crate::exoscale::network::Reference;

/// How an instance differs from its node class, in one word, as the existing provider names it.
///
/// `hash` is what the claim says of the configuration that it was launched with. A hash that was
/// made in another way says nothing. One that is starting or going is left alone.
pub fn drift(class: &Resolved, instance: &Instance, hash: Option<&str>) -> Option<&'static str> {
    if instance.state != InstanceState::Running {
        return None;
    }
    let status = &class.status;
    let comparable = |hash: &&str| hash.starts_with(HASH_PREFIX);
    let (ours, theirs) = (status.configuration_hash.as_deref(), hash.filter(comparable));
    let wants_ipv6 = class.spec.enable_ipv6 == Some(true);
    let assignment = instance.public_ip_assignment.as_deref();
    if instance.template.id != class.image {
        Some("ImageDrift")
    } else if !equal(&instance.security_groups, &status.security_groups) {
        Some("SecurityGroupsDrift")
    } else if !equal(&instance.private_networks, &status.private_networks) {
        Some("PrivateNetworksDrift")
    } else if !apart(&instance.anti_affinity_groups, &status.anti_affinity_groups) {
        Some("AntiAffinityGroupsDrift")
    } else if !equal(&instance.elastic_ips, &status.elastic_ips) {
        Some("ElasticIPsDrift")
    } else if assignment.is_some_and(|assignment| (assignment == "dual") != wants_ipv6) {
        Some("IPv6ToggleDrift")
    } else if theirs.is_some() && theirs != ours {
        Some("UserDataChanged")
    } else {
        None
    }
}

fn ids(list: &[Reference]) -> BTreeSet<&str> {
    list.iter().map(|one| one.id.as_str()).collect()
}

fn equal(has: &[Reference], wanted: &[String]) -> bool {
    ids(has) == wanted.iter().map(String::as_str).collect()
}

/// An instance is in some of its class' groups and in no other.
fn apart(has: &[Reference], wanted: &[String]) -> bool {
    let (has, wanted) = (ids(has), wanted.iter().map(String::as_str).collect::<BTreeSet<_>>());
    has.is_subset(&wanted) && has.is_empty() == wanted.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{ExoscaleNodeClassSpec, ExoscaleNodeClassStatus};

    fn instance(change: &serde_json::Value) -> Instance {
        let mut object = json!({
            "id": "i", "state": "running", "template": { "id": "t1" }, "instance-type": { "id": "k" },
            "security-groups": [{ "id": "s2" }, { "id": "s1" }],
            "private-networks": [{ "id": "n1" }],
            "anti-affinity-groups": [{ "id": "a1" }],
            "elastic-ips": [{ "id": "e1" }],
            "public-ip-assignment": "inet4",
        });
        for (key, value) in change.as_object().unwrap() {
            object[key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn class() -> Resolved {
        let list = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Resolved {
            name: "default".to_owned(),
            spec: ExoscaleNodeClassSpec::default(),
            status: ExoscaleNodeClassStatus {
                security_groups: list(&["s1", "s2"]),
                private_networks: list(&["n1"]),
                anti_affinity_groups: list(&["a1", "a2"]),
                elastic_ips: list(&["e1"]),
                configuration_hash: Some("berth1-new".to_owned()),
                ..ExoscaleNodeClassStatus::default()
            },
            image: "t1".to_owned(),
        }
    }

    #[test]
    fn what_was_launched_as_the_class_says_has_not_drifted() {
        let same = instance(&json!({}));
        assert_eq!(drift(&class(), &same, Some("berth1-new")), None);
        assert_eq!(drift(&class(), &same, None), None, "the existing provider's claims have none");
        assert_eq!(drift(&class(), &same, Some("1234567890")), None, "or one of its own");
        assert_eq!(drift(&class(), &same, Some("berth1-old")), Some("UserDataChanged"));
    }

    #[test]
    fn each_difference_is_named() {
        for (change, named) in [
            (json!({ "template": { "id": "t0" } }), "ImageDrift"),
            (json!({ "security-groups": [{ "id": "s1" }] }), "SecurityGroupsDrift"),
            (json!({ "private-networks": [] }), "PrivateNetworksDrift"),
            (json!({ "anti-affinity-groups": [] }), "AntiAffinityGroupsDrift"),
            (json!({ "anti-affinity-groups": [{ "id": "other" }] }), "AntiAffinityGroupsDrift"),
            (json!({ "elastic-ips": [] }), "ElasticIPsDrift"),
            (json!({ "public-ip-assignment": "dual" }), "IPv6ToggleDrift"),
        ] {
            assert_eq!(drift(&class(), &instance(&change), None), Some(named));
            let mut starting = change.clone();
            starting["state"] = json!("starting");
            assert_eq!(drift(&class(), &instance(&starting), None), None, "{named}");
        }
    }
}
