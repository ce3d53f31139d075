//! Required pod affinity: the pod's node shares each term's domain with a matching pod.
//!
//! As kube-scheduler computes it: a pod counts only if it matches all terms; a node without a
//! term's key never serves; where nobody in the cluster matches, a pod that matches its own terms
//! may be the first.

use crate::model::{LabelSelector, Labels, PodAffinityTerm, PodShape, Snapshot};

/// Whether the term means a pod of this namespace and these labels. `namespaces` gives the labels
/// of a namespace.
pub fn matches(
    term: &PodAffinityTerm,
    snapshot: &Snapshot,
    namespace: &str,
    labels: &Labels,
) -> bool {
    let named = term.namespaces.iter().any(|name| name == namespace);
    let selected = || match &term.namespace_selector {
        None | Some(LabelSelector::Nothing) => false,
        Some(selector) => {
            selector.matches(snapshot.namespaces.get(namespace).unwrap_or(&Labels::default()))
        }
    };
    (named || selected()) && term.selector.matches(labels)
}

/// Whether a pod of this shape counts for the affinity of another: it matches all its terms.
pub fn counts(terms: &[PodAffinityTerm], snapshot: &Snapshot, other: &PodShape) -> bool {
    !terms.is_empty()
        && terms.iter().all(|term| matches(term, snapshot, &other.namespace, &other.labels))
}

/// Whether a domain that holds `count` matching pods, of `total` in the cluster, will do.
pub fn check(count: u32, total: u32, matches_itself: bool) -> bool {
    count > 0 || (total == 0 && matches_itself)
}

/// Why it will not.
pub fn explain(
    term: &PodAffinityTerm,
    count: u32,
    total: u32,
    matches_itself: bool,
) -> Option<String> {
    if check(count, total, matches_itself) {
        return None;
    }
    Some(if total == 0 {
        format!("pod affinity over {}: no pod matches it anywhere", term.topology_key)
    } else {
        format!("pod affinity over {}: no matching pod in this domain", term.topology_key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::{affinity, labels, shape};
    use crate::model::Name;

    #[test]
    fn a_domain_needs_a_matching_pod_or_the_pod_is_the_first() {
        let cases =
            [(1, 1, false, true), (0, 1, true, false), (0, 0, true, true), (0, 0, false, false)];
        for (count, total, own, allowed) in cases {
            assert_eq!(check(count, total, own), allowed, "{count} {total} {own}");
            let why = explain(&affinity("zone", &[("app", "db")]), count, total, own);
            assert_eq!(why.is_none(), allowed, "{why:?}");
        }
    }

    #[test]
    fn a_term_names_namespaces_or_selects_them() {
        let mut snapshot = Snapshot::default();
        snapshot.namespaces.insert(Name::from("prod"), labels(&[("stage", "prod")]));
        let mut term = affinity("zone", &[("app", "db")]);
        let db = labels(&[("app", "db")]);
        assert!(matches(&term, &snapshot, "default", &db));
        assert!(!matches(&term, &snapshot, "prod", &db));
        assert!(!matches(&term, &snapshot, "default", &labels(&[])));
        term.namespace_selector = Some(LabelSelector::match_labels(&labels(&[("stage", "prod")])));
        assert!(matches(&term, &snapshot, "prod", &db));
        assert!(!matches(&term, &snapshot, "test", &db));
        term.namespace_selector = Some(LabelSelector::everything());
        assert!(matches(&term, &snapshot, "test", &db));
        term.namespaces = Box::default();
        term.namespace_selector = Some(LabelSelector::Nothing);
        assert!(!matches(&term, &snapshot, "default", &db));
    }

    #[test]
    fn a_pod_counts_only_if_it_matches_all_terms() {
        let snapshot = Snapshot::default();
        let mut other = shape();
        other.labels = labels(&[("app", "db")]);
        let terms = [affinity("zone", &[("app", "db")]), affinity("host", &[("tier", "1")])];
        assert!(counts(&terms[..1], &snapshot, &other));
        assert!(!counts(&terms, &snapshot, &other));
        assert!(!counts(&[], &snapshot, &other));
    }
}
