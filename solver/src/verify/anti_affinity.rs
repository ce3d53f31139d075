//! Required pod anti-affinity, both ways: a placed pod's own, and that of pods it comes to.
//!
//! As kube-scheduler has it: all pods count, terminating ones too; a node without the key is in no
//! domain.

use std::collections::BTreeMap;

use crate::model::{Name, PodAffinityTerm};

use super::picture::ShapeId;
use super::{Code, Findings, Picture};

/// What a domain holds, as one shape's term sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Domain {
    /// Pods that have the term.
    owners: u32,
    /// Pods that the term means.
    meant: u32,
    /// Pods of either kind that the plan places.
    placed: u32,
}

pub(super) fn check(picture: &Picture<'_>, findings: &mut Findings) {
    for (id, shape) in picture.shapes.iter().enumerate() {
        for term in &shape.anti_affinity {
            check_term(picture, id, term, findings);
        }
    }
}

fn check_term(
    picture: &Picture<'_>,
    owner: ShapeId,
    term: &PodAffinityTerm,
    findings: &mut Findings,
) {
    let selected = picture.selected_by(term);
    let mut domains: BTreeMap<&Name, Domain> = BTreeMap::new();
    for host in &picture.hosts {
        let Some(value) = host.labels.get(&term.topology_key) else { continue };
        for (id, count) in &host.pods {
            let (owns, meant) = (*id == owner, selected[*id]);
            if owns || meant {
                let domain = domains.entry(value).or_default();
                domain.owners += if owns { count.all() } else { 0 };
                domain.meant += if meant { count.all() } else { 0 };
                domain.placed += count.placed;
            }
        }
    }
    let enough = if selected[owner] { 2 } else { 1 };
    for (value, domain) in domains {
        if domain.owners >= 1 && domain.meant >= enough && domain.placed >= 1 {
            let shape = picture.shapes[owner];
            let concerned = picture.placed.iter().find(|placed| {
                let label = picture.hosts[placed.host].labels.get(&term.topology_key);
                label == Some(value) && (placed.shape == owner || selected[placed.shape])
            });
            let Some(concerned) = concerned else { continue };
            findings.blame(
                Code::PodAntiAffinity,
                &concerned.pod.key,
                format!(
                    "{}={value} would hold {} pods ({}, labels {}) and {} that they must not \
                     be with",
                    term.topology_key, domain.owners, shape.namespace, shape.labels, domain.meant
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{LabelSelector, Node, well_known};
    use crate::testing::{bound, cluster, daemon_set, exoscale_catalog, node, pod, pool, shape};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes, on_one_launch};

    const HOST: &str = well_known::HOSTNAME_LABEL;

    #[test]
    fn pods_that_want_to_be_alone_are() {
        let alone = shape(100, 100).label("app", "db").alone_in(HOST).build();
        let (one, two) = (pod("one", &alone), pod("two", &alone));
        let snapshot = cluster()
            .node(node("n", 4000, 4096))
            .node(node("m", 4000, 4096))
            .pods([one.clone(), two.clone()])
            .snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&one, "n"), (&two, "m")])), []);
        let together = on_nodes(&[(&one, "n"), (&two, "n")]);
        assert_eq!(codes(&snapshot, &together), [Code::PodAntiAffinity]);
    }

    #[test]
    fn it_holds_towards_pods_that_are_there_and_from_them() {
        let shy = shape(100, 100).label("app", "shy").anti_affinity(HOST, &[("app", "loud")]);
        let (shy, loud) = (shy.build(), shape(100, 100).label("app", "loud").build());
        for (there, new) in [(&shy, &loud), (&loud, &shy)] {
            let new = pod("new", new);
            let snapshot = cluster()
                .node(node("n", 4000, 4096))
                .node(node("m", 4000, 4096))
                .pods([bound(pod("old", there), "n"), new.clone()])
                .snapshot();
            assert_eq!(codes(&snapshot, &on_nodes(&[(&new, "n")])), [Code::PodAntiAffinity]);
            assert_eq!(codes(&snapshot, &on_nodes(&[(&new, "m")])), []);
        }
    }

    #[test]
    fn pods_that_break_it_already_are_not_the_plans_doing() {
        let alone = shape(100, 100).label("app", "db").alone_in(HOST).build();
        let other = pod("other", &shape(100, 100).build());
        let snapshot = cluster()
            .node(node("n", 4000, 4096))
            .pods([bound(pod("one", &alone), "n"), bound(pod("two", &alone), "n"), other.clone()])
            .snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&other, "n")])), []);
    }

    #[test]
    fn it_is_bound_to_namespaces_and_to_nodes_with_the_key() {
        let shy = shape(100, 100).anti_affinity("rack", &[("app", "loud")]);
        let everywhere = shy.clone().with(|shape| {
            shape.anti_affinity[0].namespace_selector = Some(LabelSelector::everything());
        });
        let loud = shape(100, 100).label("app", "loud").namespace("other").build();
        let base = node("n", 4000, 4096);
        let racked =
            Node { labels: base.labels.with([("rack".into(), "1".into())]), ..base.clone() };
        let found = |node: &Node, new| {
            let new = pod("new", new);
            let old = bound(pod("old", &loud), "n");
            let cluster = cluster().namespace("other", &[]).node(node.clone());
            let snapshot = cluster.pods([old, new.clone()]).snapshot();
            codes(&snapshot, &on_nodes(&[(&new, "n")]))
        };
        let shy = shy.build();
        assert_eq!(found(&racked, &shy), []);
        let everywhere = everywhere.build();
        assert_eq!(found(&racked, &everywhere), [Code::PodAntiAffinity]);
        assert_eq!(found(&base, &everywhere), []);
    }

    #[test]
    fn daemons_to_come_count_on_a_launch() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let daemon = shape(0, 0).label("app", "logs").build();
        let shy = pod("shy", &shape(100, 100).anti_affinity(HOST, &[("app", "logs")]).build());
        let snapshot = cluster()
            .pool(general.clone(), catalog.clone())
            .daemon_set(daemon_set("logs", &daemon))
            .pod(shy.clone())
            .snapshot();
        let mut plan = on_one_launch(&general, &catalog, "standard.small", &[&shy]);
        plan.launches[0].requests.pods += 1;
        assert_eq!(codes(&snapshot, &plan), [Code::PodAntiAffinity]);
    }
}
