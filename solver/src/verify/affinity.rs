//! Required pod affinity: there must be an order in which kube-scheduler can place the plan's pods.
//!
//! As kube-scheduler has it: a pod counts if all terms mean it; for each term, one must be in the
//! node's domain; a pod that its own terms mean may come first where there is none in the whole
//! cluster, on a node that carries all the keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Labels, Name, PodAffinityTerm};

use super::picture::{HostId, ShapeId};
use super::{Code, Findings, Picture};

/// Seekers by their terms.
type Seekers<'a> = BTreeMap<&'a [PodAffinityTerm], Seeker<'a>>;

/// Pods with the same affinity, and the pods they look for that are there by now.
struct Seeker<'a> {
    terms: &'a [PodAffinityTerm],
    /// Which shapes all of its terms mean.
    means: Vec<bool>,
    /// Whether any such pod is anywhere.
    found: bool,
    /// For each term, the domains with such a pod.
    domains: Vec<BTreeSet<Name>>,
}

impl<'a> Seeker<'a> {
    fn new(picture: &Picture<'a>, terms: &'a [PodAffinityTerm]) -> Self {
        let mut means = vec![true; picture.shapes.len()];
        for term in terms {
            for (all, one) in means.iter_mut().zip(picture.selected_by(term)) {
                *all &= one;
            }
        }
        let domains = vec![BTreeSet::new(); terms.len()];
        Self { terms, means, found: false, domains }
    }

    fn see(&mut self, shape: ShapeId, labels: &Labels) {
        if !self.means[shape] {
            return;
        }
        self.found = true;
        for (term, domains) in self.terms.iter().zip(&mut self.domains) {
            domains.extend(labels.get(&term.topology_key).cloned());
        }
    }

    fn is_satisfied(&self, labels: &Labels) -> bool {
        self.terms.iter().zip(&self.domains).all(|(term, domains)| {
            labels.get(&term.topology_key).is_some_and(|value| domains.contains(value))
        })
    }

    fn may_be_first(&self, own: ShapeId, labels: &Labels) -> bool {
        !self.found
            && self.means[own]
            && self.terms.iter().all(|term| labels.get(&term.topology_key).is_some())
    }
}

pub(super) fn check(picture: &Picture<'_>, findings: &mut Findings) {
    let mut seekers: Seekers<'_> = BTreeMap::new();
    let mut waiting: BTreeSet<(ShapeId, HostId)> = BTreeSet::new();
    let mut free: BTreeSet<(ShapeId, HostId)> = BTreeSet::new();
    for placed in &picture.placed {
        let shape = picture.shapes[placed.shape];
        if shape.affinity.is_empty() {
            free.insert((placed.shape, placed.host));
        } else {
            seekers.entry(&shape.affinity).or_insert_with(|| Seeker::new(picture, &shape.affinity));
            waiting.insert((placed.shape, placed.host));
        }
    }
    if waiting.is_empty() {
        return;
    }
    for host in &picture.hosts {
        for (shape, count) in &host.pods {
            if count.there + count.terminating > 0 {
                see(&mut seekers, *shape, &host.labels);
            }
        }
    }
    settle(picture, &mut seekers, &mut waiting, free);
    for (shape, host) in waiting {
        let stuck = picture.placed_of(shape).find(|placed| placed.host == host);
        let Some(stuck) = stuck else { continue };
        let pod = &stuck.pod.key;
        findings.blame(
            Code::PodAffinity,
            pod,
            format!(
                "pod {pod} would not find the pods it must be with at {}",
                picture.hosts[host].title
            ),
        );
    }
}

/// Lets pods come in an order that leaves as few as possible waiting: those that find what they
/// look for, then those that may be the first, pods without affinity last (they could take a
/// first place from others).
fn settle(
    picture: &Picture<'_>,
    seekers: &mut Seekers<'_>,
    waiting: &mut BTreeSet<(ShapeId, HostId)>,
    mut free: BTreeSet<(ShapeId, HostId)>,
) {
    let affinity = |shape: ShapeId| &*picture.shapes[shape].affinity;
    loop {
        let ready: Vec<(ShapeId, HostId)> = waiting
            .iter()
            .copied()
            .filter(|(shape, host)| {
                seekers[affinity(*shape)].is_satisfied(&picture.hosts[*host].labels)
            })
            .collect();
        let first = || {
            waiting.iter().copied().find(|(shape, host)| {
                seekers[affinity(*shape)].may_be_first(*shape, &picture.hosts[*host].labels)
            })
        };
        let coming: Vec<(ShapeId, HostId)> = if !ready.is_empty() {
            ready
        } else if let Some(first) = first() {
            vec![first]
        } else if !free.is_empty() {
            std::mem::take(&mut free).into_iter().collect()
        } else {
            return;
        };
        for (shape, host) in coming {
            waiting.remove(&(shape, host));
            see(seekers, shape, &picture.hosts[host].labels);
        }
    }
}

fn see(seekers: &mut Seekers<'_>, shape: ShapeId, labels: &Labels) {
    for seeker in seekers.values_mut() {
        seeker.see(shape, labels);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Node, well_known};
    use crate::testing::{ClusterBuilder, bound, cluster, node, pod, shape};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes};

    const ZONE: &str = well_known::ZONE_LABEL;

    fn zones() -> ClusterBuilder {
        ["a", "b"].into_iter().fold(cluster().node(node("nowhere", 4000, 4096)), |cluster, zone| {
            let base = node(zone, 4000, 4096);
            let labels = base.labels.with([(ZONE.into(), zone.into())]);
            cluster.node(Node { labels, ..base })
        })
    }

    #[test]
    fn a_pod_goes_where_the_pods_are_that_it_must_be_with() {
        let client = shape(100, 100).affinity(ZONE, &[("app", "db")]).build();
        let database = shape(100, 100).label("app", "db").build();
        let new = pod("client", &client);
        let there = zones().pods([bound(pod("db", &database), "a"), new.clone()]).snapshot();
        assert_eq!(codes(&there, &on_nodes(&[(&new, "a")])), []);
        assert_eq!(codes(&there, &on_nodes(&[(&new, "b")])), [Code::PodAffinity]);
        assert_eq!(codes(&there, &on_nodes(&[(&new, "nowhere")])), [Code::PodAffinity]);
        let both = pod("db", &database);
        let pending = zones().pods([both.clone(), new.clone()]).snapshot();
        assert_eq!(codes(&pending, &on_nodes(&[(&new, "b"), (&both, "b")])), []);
        let apart = on_nodes(&[(&new, "a"), (&both, "b")]);
        assert_eq!(codes(&pending, &apart), [Code::PodAffinity]);
    }

    #[test]
    fn the_first_of_a_kind_may_go_anywhere_and_the_rest_follow() {
        let flock = shape(100, 100).label("app", "flock").affinity(ZONE, &[("app", "flock")]);
        let flock = flock.build();
        let (one, two) = (pod("one", &flock), pod("two", &flock));
        let pending = zones().pods([one.clone(), two.clone()]).snapshot();
        assert_eq!(codes(&pending, &on_nodes(&[(&one, "b"), (&two, "b")])), []);
        let torn = on_nodes(&[(&one, "a"), (&two, "b")]);
        assert_eq!(codes(&pending, &torn), [Code::PodAffinity]);
        let lost = on_nodes(&[(&one, "nowhere"), (&two, "nowhere")]);
        assert_eq!(codes(&pending, &lost), [Code::PodAffinity]);
        let old = bound(pod("old", &flock), "a");
        let begun = zones().pods([old, one.clone()]).snapshot();
        assert_eq!(codes(&begun, &on_nodes(&[(&one, "a")])), []);
        assert_eq!(codes(&begun, &on_nodes(&[(&one, "b")])), [Code::PodAffinity]);
    }

    #[test]
    fn two_kinds_that_wait_for_each_other_never_start() {
        let hen = shape(1, 1).label("app", "hen").affinity(ZONE, &[("app", "egg")]).build();
        let egg = shape(1, 1).label("app", "egg").affinity(ZONE, &[("app", "hen")]).build();
        let (hen, egg) = (pod("hen", &hen), pod("egg", &egg));
        let pending = zones().pods([hen.clone(), egg.clone()]).snapshot();
        assert_eq!(codes(&pending, &on_nodes(&[(&hen, "a"), (&egg, "a")])), [Code::PodAffinity]);
    }

    #[test]
    fn all_terms_must_mean_the_same_pod() {
        let both = shape(1, 1).affinity(ZONE, &[("app", "db")]).affinity(ZONE, &[("tier", "1")]);
        let new = pod("new", &both.build());
        let half = shape(1, 1).label("app", "db").build();
        let other_half = shape(1, 1).label("tier", "1").build();
        let whole = shape(1, 1).label("app", "db").label("tier", "1").build();
        let halves = [bound(pod("x", &half), "a"), bound(pod("y", &other_half), "a")];
        let snapshot = zones().pods(halves).pod(new.clone()).snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&new, "a")])), [Code::PodAffinity]);
        let snapshot = zones().pods([bound(pod("x", &whole), "a"), new.clone()]).snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&new, "a")])), []);
    }
}
