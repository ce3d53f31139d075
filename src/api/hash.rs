use serde::Serialize;

use super::{NodeClaimTemplate, NodeClassReference, Taint};

/// Names this way of hashing, in `karpenter.sh/nodepool-hash-version`.
///
/// Hashes are compared only where their versions are equal. A version of our own keeps the nodes
/// that Karpenter launched from drifting all at once; change it whenever the hash of any template
/// changes.
pub const HASH_VERSION: &str = "berth-v1";

/// What a node must be replaced for when it changes in the NodePool. Requirements are not among
/// it: whether a node still meets them can be seen from its labels.
#[derive(Serialize)]
struct Hashed<'a> {
    labels: &'a std::collections::BTreeMap<String, String>,
    annotations: &'a std::collections::BTreeMap<String, String>,
    taints: Vec<[&'a str; 3]>,
    startup_taints: Vec<[&'a str; 3]>,
    node_class: &'a NodeClassReference,
    termination_grace_period: Option<&'a str>,
    expire_after: &'a str,
}

/// The hash of a NodePool's template: equal for templates whose nodes would be equal, in
/// whatever order lists and maps are written.
pub fn template_hash(template: &NodeClaimTemplate) -> String {
    let hashed = Hashed {
        labels: &template.metadata.labels,
        annotations: &template.metadata.annotations,
        taints: sorted(&template.spec.taints),
        startup_taints: sorted(&template.spec.startup_taints),
        node_class: &template.spec.node_class_ref,
        termination_grace_period: template.spec.termination_grace_period.as_deref(),
        expire_after: &template.spec.expire_after,
    };
    // Strings, maps of strings and lists cannot fail to serialise.
    let bytes = serde_json::to_vec(&hashed).unwrap_or_default();
    format!("{:016x}", fnv1a(&bytes))
}

fn sorted(taints: &[Taint]) -> Vec<[&str; 3]> {
    let mut entries: Vec<_> = taints
        .iter()
        .map(|taint| [&*taint.key, taint.value.as_deref().unwrap_or_default(), &*taint.effect])
        .collect();
    entries.sort_unstable();
    entries.dedup();
    entries
}

/// FNV-1a, 64 bits: the standard library's hashes may change from release to release.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Requirement;

    fn taint(key: &str) -> Taint {
        Taint { key: key.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }
    }

    fn template() -> NodeClaimTemplate {
        let mut template = NodeClaimTemplate::default();
        template.metadata.labels.insert("team".to_owned(), "blue".to_owned());
        template.spec.taints = vec![taint("a"), taint("b")];
        template
    }

    #[test]
    fn the_hash_of_this_version_never_changes() {
        assert_eq!(template_hash(&NodeClaimTemplate::default()), "6cf2ee38db5da2b4");
    }

    #[test]
    fn neither_order_nor_requirements_change_the_hash() {
        let mut other = template();
        other.spec.taints.reverse();
        other.spec.requirements.push(Requirement { key: "x".to_owned(), ..Default::default() });
        assert_eq!(template_hash(&other), template_hash(&template()));
    }

    #[test]
    fn whatever_needs_a_new_node_changes_the_hash() {
        let changes: [fn(&mut NodeClaimTemplate); 7] = [
            |template| drop(template.metadata.labels.insert("team".to_owned(), "red".to_owned())),
            |template| drop(template.metadata.annotations.insert("a".to_owned(), "b".to_owned())),
            |template| drop(template.spec.taints.pop()),
            |template| template.spec.startup_taints.push(taint("c")),
            |template| template.spec.node_class_ref.name = "other".to_owned(),
            |template| template.spec.termination_grace_period = Some("1h".to_owned()),
            |template| template.spec.expire_after = "Never".to_owned(),
        ];
        let mut hashes = std::collections::BTreeSet::from([template_hash(&template())]);
        for change in changes {
            let mut changed = template();
            change(&mut changed);
            assert!(hashes.insert(template_hash(&changed)), "{changed:?}");
        }
    }
}
