//! Topology spread with `DoNotSchedule`, as kube-scheduler counts it, over the final picture.
//!
//! Domains are those of nodes that carry the keys of all the pod's hard constraints and pass the
//! constraint's inclusion policies; terminating pods do not count; with fewer domains than
//! `minDomains` the emptiest counts as empty. Leaving nodes may be counted or not: a planner may
//! look at the cluster as it is or as it will be, so that only what breaks the constraint both
//! ways is reported.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{
    Labels, Name, NodeInclusion, PodShape, Requirements, Toleration, TopologySpread,
    WhenUnsatisfiable,
};

use super::picture::{Host, Placed, ShapeId, keeps_off, selects};
use super::{Code, Findings, Picture};

pub(super) fn check(picture: &Picture<'_>, findings: &mut Findings) {
    let mut by_shape: BTreeMap<ShapeId, Vec<&Placed<'_>>> = BTreeMap::new();
    for placed in &picture.placed {
        by_shape.entry(placed.shape).or_default().push(placed);
    }
    let mut known: HashMap<Question<'_>, [Counts<'_>; 2]> = HashMap::new();
    for (id, members) in by_shape {
        let shape = picture.shapes[id];
        for constraint in hard(shape) {
            let readings = known.entry(Question::of(shape, constraint)).or_insert_with(|| {
                let selected = picture.selected_in(&shape.namespace, &constraint.selector);
                [true, false].map(|leaving| count(picture, shape, constraint, &selected, leaving))
            });
            check_constraint(picture, &members, constraint, readings, findings);
        }
    }
}

fn hard(shape: &PodShape) -> impl Iterator<Item = &TopologySpread> {
    shape
        .topology_spread
        .iter()
        .filter(|constraint| constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
}

/// All that the counts of a constraint depend on: shapes that differ in nothing else share them.
#[derive(PartialEq, Eq, Hash)]
struct Question<'a> {
    namespace: &'a Name,
    constraint: &'a TopologySpread,
    /// The keys of the shape's hard constraints.
    keys: Vec<&'a Name>,
    /// Node selector and affinity, where nodes count by them.
    nodes: Option<(&'a Labels, &'a [Requirements])>,
    /// Tolerations, where nodes count by them.
    tolerations: Option<&'a [Toleration]>,
}

impl<'a> Question<'a> {
    fn of(shape: &'a PodShape, constraint: &'a TopologySpread) -> Self {
        let (affinity, taints) = (constraint.node_affinity_policy, constraint.node_taints_policy);
        Self {
            namespace: &shape.namespace,
            constraint,
            keys: hard(shape).map(|other| &other.topology_key).collect(),
            nodes: (affinity == NodeInclusion::Honor)
                .then_some((&shape.node_selector, &*shape.node_affinity)),
            tolerations: (taints == NodeInclusion::Honor).then_some(&*shape.tolerations),
        }
    }
}

/// Matching pods by domain.
struct Counts<'a> {
    by_domain: BTreeMap<&'a Name, u32>,
    /// The emptiest one's.
    least: u32,
}

impl Counts<'_> {
    /// By how much a domain is over the emptiest one, if that is too much.
    fn skew(&self, constraint: &TopologySpread, domain: &Name) -> Option<u32> {
        let here = self.by_domain.get(domain).copied().unwrap_or(0);
        let skew = here.saturating_sub(self.least);
        (skew > constraint.max_skew).then_some(skew)
    }
}

fn check_constraint(
    picture: &Picture<'_>,
    members: &[&Placed<'_>],
    constraint: &TopologySpread,
    readings: &[Counts<'_>; 2],
    findings: &mut Findings,
) {
    let key = &constraint.topology_key;
    let mut reported: BTreeSet<&Name> = BTreeSet::new();
    for placed in members {
        let host = &picture.hosts[placed.host];
        let Some(domain) = host.labels.get(key) else {
            findings.blame(
                Code::TopologySpread,
                &placed.pod.key,
                format!(
                    "pod {} is spread over {key}, a label that {} does not have",
                    placed.pod.key, host.title
                ),
            );
            continue;
        };
        let broken = readings.iter().all(|counts| counts.skew(constraint, domain).is_some());
        if broken && reported.insert(domain) {
            let skew = readings[1].skew(constraint, domain).unwrap_or_default();
            findings.blame(
                Code::TopologySpread,
                &placed.pod.key,
                format!(
                    "pod {} is in {key}={domain} with {skew} more of its kind than the emptiest \
                     domain has: maxSkew is {}",
                    placed.pod.key, constraint.max_skew
                ),
            );
        }
    }
}

fn count<'a>(
    picture: &'a Picture<'_>,
    shape: &PodShape,
    constraint: &TopologySpread,
    selected: &[bool],
    with_leaving: bool,
) -> Counts<'a> {
    let mut by_domain = BTreeMap::new();
    for host in &picture.hosts {
        if (host.leaving.is_some() && !with_leaving) || !counts_host(host, shape, constraint) {
            continue;
        }
        let Some(domain) = host.labels.get(&constraint.topology_key) else { continue };
        let matching: u32 = host
            .pods
            .iter()
            .filter(|(id, _)| selected[*id])
            .map(|(_, count)| count.there + count.placed)
            .sum();
        *by_domain.entry(domain).or_default() += matching;
    }
    let domains = u32::try_from(by_domain.len()).unwrap_or(u32::MAX);
    let few = domains < constraint.min_domains.unwrap_or(1);
    let least = if few { 0 } else { by_domain.values().min().copied().unwrap_or(0) };
    Counts { by_domain, least }
}

fn counts_host(host: &Host<'_>, shape: &PodShape, constraint: &TopologySpread) -> bool {
    hard(shape).all(|other| host.labels.get(&other.topology_key).is_some())
        && (constraint.node_affinity_policy == NodeInclusion::Ignore
            || selects(shape, &host.labels))
        && (constraint.node_taints_policy == NodeInclusion::Ignore
            || !host.taints.iter().any(|taint| keeps_off(taint, shape)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::{
        Node, NodeInclusion, Operator, Pod, PodShape, Timestamp, TopologySpread, well_known,
    };
    use crate::testing::{ShapeBuilder, bound, cluster, node, pod, shape, taint};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes};

    const ZONE: &str = well_known::ZONE_LABEL;

    fn in_zone(name: &str, zone: &str) -> Node {
        let base = node(name, 8000, 8192);
        Node { labels: base.labels.with([(ZONE.into(), zone.into())]), ..base }
    }

    fn web() -> ShapeBuilder {
        shape(100, 100).label("app", "web")
    }

    fn changed(change: impl FnOnce(&mut TopologySpread)) -> Arc<PodShape> {
        let spread = web().spread(ZONE, 1);
        spread.with(|shape| change(&mut shape.topology_spread[0])).build()
    }

    /// Nodes a, b, c in zones of those names, pods of that shape bound there (by count), and one
    /// placed at node `to`.
    fn found(shape: &Arc<PodShape>, there: [usize; 3], to: &str) -> Vec<Code> {
        found_with(shape, there, to, |node| node)
    }

    fn found_with(
        shape: &Arc<PodShape>,
        there: [usize; 3],
        to: &str,
        change: impl Fn(Node) -> Node,
    ) -> Vec<Code> {
        let mut cluster = cluster();
        for (zone, count) in ["a", "b", "c"].into_iter().zip(there) {
            let old = (0..count).map(|index| bound(pod(&format!("{zone}{index}"), shape), zone));
            cluster = cluster.node(change(in_zone(zone, zone))).pods(old);
        }
        let new = pod("new", shape);
        codes(&cluster.pod(new.clone()).snapshot(), &on_nodes(&[(&new, to)]))
    }

    #[test]
    fn no_domain_gets_more_than_the_skew_over_the_emptiest() {
        let spread = web().spread(ZONE, 1).build();
        assert_eq!(found(&spread, [1, 1, 0], "c"), []);
        assert_eq!(found(&spread, [1, 1, 1], "a"), []);
        assert_eq!(found(&spread, [1, 1, 0], "a"), [Code::TopologySpread]);
        // What is askew already is not the plan's doing.
        assert_eq!(found(&spread, [5, 0, 0], "b"), []);
        let wider = web().spread(ZONE, 2).build();
        assert_eq!(found(&wider, [1, 1, 0], "a"), []);
        let soft = changed(|spread| {
            spread.when_unsatisfiable = crate::model::WhenUnsatisfiable::ScheduleAnyway;
        });
        assert_eq!(found(&soft, [3, 0, 0], "a"), []);
    }

    #[test]
    fn pods_placed_together_count_together() {
        let spread = web().spread(ZONE, 1).build();
        let new: Vec<Pod> = ["p", "q", "r"].map(|name| pod(name, &spread)).to_vec();
        let snapshot = cluster()
            .node(in_zone("a", "a"))
            .node(in_zone("a2", "a"))
            .node(in_zone("b", "b"))
            .pods(new.clone())
            .snapshot();
        let fair = on_nodes(&[(&new[0], "a"), (&new[1], "a2"), (&new[2], "b")]);
        assert_eq!(codes(&snapshot, &fair), []);
        let unfair = on_nodes(&[(&new[0], "a"), (&new[1], "a2"), (&new[2], "a2")]);
        assert_eq!(codes(&snapshot, &unfair), [Code::TopologySpread]);
    }

    #[test]
    fn too_few_domains_count_as_one_that_is_empty() {
        let four = changed(|spread| spread.min_domains = Some(4));
        assert_eq!(found(&four, [0, 0, 0], "a"), []);
        assert_eq!(found(&four, [1, 1, 1], "a"), [Code::TopologySpread]);
        let three = changed(|spread| spread.min_domains = Some(3));
        assert_eq!(found(&three, [1, 1, 1], "a"), []);
    }

    #[test]
    fn a_node_without_the_key_takes_no_pod() {
        let spread = web().spread(ZONE, 1).build();
        let one = pod("one", &spread);
        let snapshot = cluster().node(node("n", 4000, 4096)).pod(one.clone()).snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&one, "n")])), [Code::TopologySpread]);
    }

    #[test]
    fn inclusion_policies_say_which_domains_count() {
        let not_c = |policy| {
            let spread = web().spread(ZONE, 1).require(ZONE, Operator::NotIn, &["c"]);
            spread.with(|shape| shape.topology_spread[0].node_affinity_policy = policy).build()
        };
        assert_eq!(found(&not_c(NodeInclusion::Honor), [1, 1, 0], "a"), []);
        assert_eq!(found(&not_c(NodeInclusion::Ignore), [1, 1, 0], "a"), [Code::TopologySpread]);
        let taint_c = |node: Node| {
            let taints = if node.name == "c" { vec![taint("team", "x")] } else { vec![] };
            Node { taints: taints.into(), ..node }
        };
        let ignoring = web().spread(ZONE, 1).build();
        let found_tainted = |shape| found_with(shape, [1, 1, 0], "a", taint_c);
        assert_eq!(found_tainted(&ignoring), [Code::TopologySpread]);
        let honouring = changed(|spread| spread.node_taints_policy = NodeInclusion::Honor);
        assert_eq!(found_tainted(&honouring), []);
    }

    #[test]
    fn a_pod_that_its_selector_does_not_mean_is_not_counted_itself() {
        let other = web().spread(ZONE, 1).label("app", "other").build();
        let old = web().build();
        let new = pod("new", &other);
        let with = |count: usize| {
            let there = (0..count).map(|index| bound(pod(&format!("old{index}"), &old), "a"));
            let cluster = cluster().node(in_zone("a", "a")).node(in_zone("b", "b")).pods(there);
            codes(&cluster.pod(new.clone()).snapshot(), &on_nodes(&[(&new, "a")]))
        };
        assert_eq!(with(1), []);
        assert_eq!(with(2), [Code::TopologySpread]);
    }

    #[test]
    fn terminating_pods_do_not_count_and_leaving_nodes_need_not() {
        let spread = web().spread(ZONE, 1).build();
        let going =
            Pod { deleted: Some(Timestamp::default()), ..bound(pod("going", &spread), "a") };
        let new = pod("new", &spread);
        let base = || cluster().node(in_zone("a", "a")).pod(new.clone());
        let snapshot = base().node(in_zone("b", "b")).pod(going).snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&new, "a")])), []);
        let leaving = Node { deleted: Some(Timestamp::default()), ..in_zone("b", "b") };
        let snapshot = base().node(leaving).pod(bound(pod("old", &spread), "a")).snapshot();
        assert_eq!(codes(&snapshot, &on_nodes(&[(&new, "a")])), []);
    }
}
