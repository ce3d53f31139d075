//! A node class' selectors, resolved: pure, from what the cloud has.

use std::collections::BTreeSet;

use serde::Serialize;

use super::class::READY;
use super::user_data;
use crate::api::{
    ContainerRegistry, ExoscaleNodeClassSpec, ExoscaleNodeClassStatus, Kubelet, SelectorTerm, fnv1a,
};
use crate::provider::ProviderError;

/// What begins the hash of this way of hashing. Hashes that begin otherwise, the existing
/// provider's among them, are not compared: nodes do not drift because Berth took over.
pub const HASH_PREFIX: &str = "berth1-";

/// Something that can be selected: its id and its name.
pub type Named = (String, String);

/// What the cloud has, as far as node classes select from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Security groups.
    pub security_groups: Vec<Named>,
    /// Anti-affinity groups.
    pub anti_affinity_groups: Vec<Named>,
    /// Private networks.
    pub private_networks: Vec<Named>,
    /// Elastic IPs; the name is the address.
    pub elastic_ips: Vec<Named>,
    /// The security group that every node is in, by the provider's settings.
    pub default_security_group: Option<String>,
    /// The template's id, or why there is none.
    pub template: Result<String, String>,
    /// What is wrong with the Secrets that are named for registries, if anything.
    pub registries: Option<String>,
}

/// One thing that can be said of a node class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The condition's type.
    pub kind: &'static str,
    /// What is wrong; `None` if nothing is.
    pub problem: Option<String>,
}

impl Verdict {
    /// The condition's reason.
    pub fn reason(&self) -> String {
        match (self.kind, &self.problem) {
            (READY, None) => "Ready".to_owned(),
            (READY, Some(_)) => "NotReady".to_owned(),
            (kind, None) => kind.to_owned(),
            (kind, Some(_)) => kind.replace("Resolved", "NotResolved"),
        }
    }
}

/// What a node class' status should say: ids and hash, and what holds. Conditions are not in it.
pub fn resolve(
    spec: &ExoscaleNodeClassSpec,
    offered: &Offered,
) -> (ExoscaleNodeClassStatus, Vec<Verdict>) {
    let (mut security_groups, groups_missing) = select(
        &spec.security_groups,
        &spec.security_group_selector_terms,
        &offered.security_groups,
    );
    if let Some(default) = &offered.default_security_group {
        security_groups.insert(default.clone());
    }
    let (anti_affinity_groups, apart_missing) = select(
        &spec.anti_affinity_groups,
        &spec.anti_affinity_group_selector_terms,
        &offered.anti_affinity_groups,
    );
    let (private_networks, networks_missing) = select(
        &spec.private_networks,
        &spec.private_network_selector_terms,
        &offered.private_networks,
    );
    let (elastic_ips, ips_missing) =
        select(&[], &spec.elastic_ip_selector_terms, &offered.elastic_ips);
    let missing = |what: &str, missing: Vec<String>| {
        (!missing.is_empty()).then(|| format!("no such {what}: {}", missing.join(", ")))
    };
    let mut verdicts = vec![
        ("TemplateResolved", offered.template.as_ref().err().cloned()),
        ("SecurityGroupsResolved", missing("security group", groups_missing)),
        ("AntiAffinityGroupsResolved", missing("anti-affinity group", apart_missing)),
        ("PrivateNetworksResolved", missing("private network", networks_missing)),
        ("ElasticIPsResolved", missing("elastic IP", ips_missing)),
    ];
    let first = verdicts.iter().find_map(|(_, problem)| problem.clone());
    verdicts.push((READY, first.or_else(|| defect(spec, offered))));
    let list = |ids: BTreeSet<String>| ids.into_iter().collect();
    let status = ExoscaleNodeClassStatus {
        image_id: offered.template.clone().ok(),
        security_groups: list(security_groups),
        anti_affinity_groups: list(anti_affinity_groups),
        private_networks: list(private_networks),
        elastic_ips: list(elastic_ips),
        configuration_hash: Some(configuration_hash(spec)),
        conditions: Vec::new(),
    };
    let verdict = |(kind, problem)| Verdict { kind, problem };
    (status, verdicts.into_iter().map(verdict).collect())
}

/// The ids that are selected, and what was not found.
fn select(
    ids: &[String],
    terms: &[SelectorTerm],
    all: &[Named],
) -> (BTreeSet<String>, Vec<String>) {
    let (mut found, mut missing) = (BTreeSet::new(), Vec::new());
    let listed = ids.iter().map(|id| (Some(id), None));
    let terms = terms.iter().map(|term| (term.id.as_ref(), term.name.as_ref()));
    for (id, name) in listed.chain(terms) {
        let is_meant = |(other, called): &&Named| {
            id.is_none_or(|id| id == other) && name.is_none_or(|name| name == called)
        };
        let before = found.len();
        let hits: Vec<&Named> = all.iter().filter(is_meant).collect();
        found.extend(hits.iter().map(|(id, _)| id.clone()));
        if hits.is_empty() && found.len() == before {
            missing.extend(id.or(name).cloned());
        }
    }
    (found, missing)
}

/// Why nodes of a class could not be launched though everything was found.
fn defect(spec: &ExoscaleNodeClassSpec, offered: &Offered) -> Option<String> {
    let bad = spec.user_data.as_deref().map(user_data::given).and_then(Result::err);
    match bad {
        Some(ProviderError::Refused(why)) => Some(why),
        _ => offered.registries.clone(),
    }
}

/// What a node must be replaced for when it changes in its class, groups and networks aside: they
/// are held against the instance itself.
#[derive(Serialize)]
struct Hashed<'a> {
    disk_size: i64,
    kubelet: &'a Option<Kubelet>,
    user_data: &'a Option<String>,
    container_registry: &'a Option<ContainerRegistry>,
}

/// The hash of what instances of a class are told and given.
pub fn configuration_hash(spec: &ExoscaleNodeClassSpec) -> String {
    let hashed = Hashed {
        disk_size: spec.disk_size,
        kubelet: &spec.kubelet,
        user_data: &spec.user_data,
        container_registry: &spec.container_registry,
    };
    // Maps of strings, strings and numbers cannot fail to serialise.
    let bytes = serde_json::to_vec(&hashed).unwrap_or_default();
    format!("{HASH_PREFIX}{:016x}", fnv1a(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Offered {
        let named = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect()
        };
        Offered {
            security_groups: named(&[("s1", "workers"), ("s2", "default")]),
            anti_affinity_groups: named(&[("a1", "apart-1"), ("a2", "apart-2")]),
            private_networks: named(&[("n1", "inside")]),
            elastic_ips: named(&[("e1", "203.0.113.42")]),
            default_security_group: None,
            template: Ok("t1".to_owned()),
            registries: None,
        }
    }

    fn spec(yaml: &str) -> ExoscaleNodeClassSpec {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn ids_and_names_are_resolved_together_and_once() {
        let spec = spec(
            "securityGroups: [s1]
securityGroupSelectorTerms: [{ name: workers }, { id: s2 }]
antiAffinityGroupSelectorTerms: [{ name: apart-2 }, { name: apart-1 }]
privateNetworks: [n1]
elasticIPSelectorTerms: [{ name: 203.0.113.42 }]
",
        );
        let (status, verdicts) = resolve(&spec, &offered());
        assert_eq!(status.image_id.as_deref(), Some("t1"));
        assert_eq!(status.security_groups, ["s1", "s2"]);
        assert_eq!(status.anti_affinity_groups, ["a1", "a2"]);
        assert_eq!(status.private_networks, ["n1"]);
        assert_eq!(status.elastic_ips, ["e1"]);
        assert!(verdicts.iter().all(|verdict| verdict.problem.is_none()), "{verdicts:?}");
        let reasons: Vec<String> = verdicts.iter().map(Verdict::reason).collect();
        assert_eq!(reasons.first().map(String::as_str), Some("TemplateResolved"));
        assert_eq!(reasons.last().map(String::as_str), Some("Ready"));

        let with_default = Offered { default_security_group: Some("s9".to_owned()), ..offered() };
        // In the status, so that it is no drift.
        let (status, _) = resolve(&spec, &with_default);
        assert_eq!(status.security_groups, ["s1", "s2", "s9"]);
    }

    #[test]
    fn what_is_missing_is_named_and_the_class_is_not_ready() {
        let spec = spec("securityGroupSelectorTerms: [{ name: nobody }, { id: s1 }]\n");
        let none = Offered { template: Err("no template of 9.9.9".to_owned()), ..offered() };
        let (status, verdicts) = resolve(&spec, &none);
        assert_eq!((status.image_id, status.security_groups), (None, vec!["s1".to_owned()]));
        let problem = |kind: &str| {
            let verdict = verdicts.iter().find(|verdict| verdict.kind == kind).unwrap();
            (verdict.reason(), verdict.problem.clone().unwrap_or_default())
        };
        let (reason, message) = problem("SecurityGroupsResolved");
        assert_eq!(
            (&*reason, &*message),
            ("SecurityGroupsNotResolved", "no such security group: nobody")
        );
        assert_eq!(problem(READY), ("NotReady".to_owned(), "no template of 9.9.9".to_owned()));
    }

    #[test]
    fn a_class_that_could_launch_no_node_is_not_ready() {
        let missing = "there is no Secret kube-system/r".to_owned();
        let without = Offered { registries: Some(missing.clone()), ..offered() };
        for (yaml, offered, said) in [
            ("userData: 'no = toml = at all'\n", offered(), "spec.userData of the node class: "),
            ("diskSize: 50\n", without, &*missing),
        ] {
            let (_, verdicts) = resolve(&spec(yaml), &offered);
            let ready = verdicts.iter().find(|verdict| verdict.kind == READY).unwrap();
            let problem = ready.problem.as_deref().unwrap_or_default();
            assert!(problem.starts_with(said), "{problem}");
        }
    }

    #[test]
    fn the_hash_changes_with_what_a_node_is_told_and_with_nothing_else() {
        let plain = spec("diskSize: 50\n");
        assert!(configuration_hash(&plain).starts_with(HASH_PREFIX));
        let same = spec("diskSize: 50\nsecurityGroups: [s1]\n");
        assert_eq!(configuration_hash(&same), configuration_hash(&plain));
        for other in [
            "diskSize: 60\n",
            "diskSize: 50\nuserData: 'a = 1'\n",
            "diskSize: 50\nkubelet: { maxPods: 50 }\n",
        ] {
            assert_ne!(configuration_hash(&spec(other)), configuration_hash(&plain), "{other}");
        }
    }
}
