//! `spec.topologySpreadConstraints`: matching pods are spread over the domains of a node label.
//!
//! As kube-scheduler computes it: a domain counts if a node in it carries the keys of all the
//! pod's hard constraints and passes the constraint's node inclusion policies; terminating pods
//! are not counted; with fewer domains than `minDomains` the emptiest one counts as empty.

use crate::model::{
    Labels, NodeInclusion, PodShape, Taint, TopologySpread, WhenUnsatisfiable, well_known,
};

use super::{node_affinity, taints};

/// Whether one more pod may go to a domain that holds `count` matching pods, when the emptiest
/// eligible domain of `domains` holds `emptiest`.
pub fn check(
    constraint: &TopologySpread,
    matches_itself: bool,
    count: u32,
    emptiest: u32,
    domains: usize,
) -> bool {
    room(constraint, matches_itself, count, emptiest, domains) > 0
}

/// How many more pods of this kind such a domain may take while the others stay as they are.
pub fn room(
    constraint: &TopologySpread,
    matches_itself: bool,
    count: u32,
    emptiest: u32,
    domains: usize,
) -> u32 {
    let emptiest = emptiest_counted(constraint, emptiest, domains);
    let most = u64::from(emptiest) + u64::from(constraint.max_skew);
    if matches_itself {
        u32::try_from(most.saturating_sub(u64::from(count))).unwrap_or(u32::MAX)
    } else if u64::from(count) <= most {
        u32::MAX
    } else {
        0
    }
}

/// The count of the emptiest domain as the constraint sees it.
pub fn emptiest_counted(constraint: &TopologySpread, emptiest: u32, domains: usize) -> u32 {
    let wanted = constraint.min_domains.unwrap_or(1);
    if u32::try_from(domains).unwrap_or(u32::MAX) < wanted { 0 } else { emptiest }
}

/// Why a domain takes no more pods.
pub fn explain(
    constraint: &TopologySpread,
    matches_itself: bool,
    count: u32,
    emptiest: u32,
    domains: usize,
) -> Option<String> {
    if check(constraint, matches_itself, count, emptiest, domains) {
        return None;
    }
    Some(format!(
        "topology spread over {} with maxSkew {}: the domain has {count} matching pods, the emptiest {}",
        constraint.topology_key,
        constraint.max_skew,
        emptiest_counted(constraint, emptiest, domains)
    ))
}

/// What decides whether pods on a node count.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'n> {
    /// Its labels.
    pub labels: &'n Labels,
    /// Its taints.
    pub taints: &'n [Taint],
    /// Whether it has a host name, now or as soon as it is there, though its labels may not show it.
    pub named: bool,
}

/// Whether pods on this node count for a constraint of that pod, and its domain as one.
pub fn counts_node(constraint: &TopologySpread, shape: &PodShape, node: Standing<'_>) -> bool {
    let Standing { labels, taints: node_taints, named } = node;
    let has = |key: &str| labels.get(key).is_some() || (named && key == well_known::HOSTNAME_LABEL);
    let carries_all = shape
        .topology_spread
        .iter()
        .filter(|other| other.when_unsatisfiable == constraint.when_unsatisfiable)
        .all(|other| has(&other.topology_key));
    carries_all
        && (constraint.node_affinity_policy == NodeInclusion::Ignore
            || node_affinity::check(shape, labels))
        && (constraint.node_taints_policy == NodeInclusion::Ignore
            || taints::check(shape, node_taints))
}

/// Whether the constraint is one that must hold.
pub fn is_hard(constraint: &TopologySpread) -> bool {
    constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
}

/// Whether the constraint's selector matches the pod itself.
pub fn matches_itself(constraint: &TopologySpread, shape: &PodShape) -> bool {
    constraint.selector.matches(&shape.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::{labels, shape, spread};
    use crate::model::{Name, TaintEffect};

    #[test]
    fn skew_is_measured_against_the_emptiest_domain() {
        let constraint = spread("zone", 1);
        let cases = [
            (true, 0, 0, 3, true),
            (true, 1, 0, 3, false),
            (true, 1, 1, 3, true),
            (false, 1, 0, 3, true),
            (false, 2, 0, 3, false),
            (true, u32::MAX, u32::MAX, 3, true),
        ];
        for (own, count, emptiest, domains, allowed) in cases {
            let name = format!("{own} {count} {emptiest} {domains}");
            assert_eq!(check(&constraint, own, count, emptiest, domains), allowed, "{name}");
            assert_eq!(
                explain(&constraint, own, count, emptiest, domains).is_none(),
                allowed,
                "{name}"
            );
        }
    }

    #[test]
    fn with_too_few_domains_the_emptiest_counts_as_empty() {
        let mut constraint = spread("zone", 1);
        constraint.min_domains = Some(3);
        assert!(check(&constraint, true, 0, 5, 2));
        assert!(!check(&constraint, true, 1, 5, 2));
        assert!(check(&constraint, true, 5, 5, 3));
    }

    #[test]
    fn nodes_count_by_their_labels_and_the_inclusion_policies() {
        let mut pod = shape();
        pod.node_selector = labels(&[("disk", "ssd")]);
        pod.topology_spread = Box::from([spread("zone", 1), spread("rack", 1)]);
        let taint = [Taint {
            key: Name::from("t"),
            value: Name::from(""),
            effect: TaintEffect::NoSchedule,
        }];
        let full = labels(&[("zone", "a"), ("rack", "r"), ("disk", "ssd")]);
        let mut constraint = spread("zone", 1);
        let counts = |constraint: &TopologySpread, labels: &Labels, taints: &[Taint]| {
            counts_node(constraint, &pod, Standing { labels, taints, named: true })
        };
        assert!(counts(&constraint, &full, &taint));
        assert!(!counts(&constraint, &labels(&[("zone", "a"), ("disk", "ssd")]), &[]));
        let other = labels(&[("zone", "a"), ("rack", "r")]);
        assert!(!counts(&constraint, &other, &[]));
        constraint.node_affinity_policy = NodeInclusion::Ignore;
        assert!(counts(&constraint, &other, &[]));
        constraint.node_taints_policy = NodeInclusion::Honor;
        assert!(!counts(&constraint, &full, &taint));
    }

    #[test]
    fn a_node_to_come_has_a_host_name_to_spread_over() {
        let mut pod = shape();
        pod.topology_spread = Box::from([spread("zone", 1), spread(well_known::HOSTNAME_LABEL, 1)]);
        let zone = labels(&[("zone", "a")]);
        for constraint in &pod.topology_spread {
            for named in [true, false] {
                let node = Standing { labels: &zone, taints: &[], named };
                assert_eq!(counts_node(constraint, &pod, node), named);
            }
        }
    }
}
