//! Spread and affinity.

use std::sync::Arc;

use berth_solver::model::*;
use berth_solver::testing::*;

use super::support::*;

fn spread(change: impl FnOnce(&mut TopologySpread)) -> Arc<PodShape> {
    let spread = shape(100, 100).label("app", "x").spread(ZONE, 1);
    spread.with(|shape| change(&mut shape.topology_spread[0])).build()
}

/// How many pods find a place, and how many do not.
fn counts(cluster: ClusterBuilder, shape: &Arc<PodShape>, count: usize) -> (usize, usize) {
    let plan = planned(&cluster.pods(pods("p", count, shape)));
    (plan.placements.len(), plan.unschedulable.len())
}

#[test]
fn too_few_domains_count_as_one_that_is_empty() {
    assert_eq!(counts(base(), &spread(|_| {}), 4), (4, 0));
    assert_eq!(counts(base(), &spread(|spread| spread.min_domains = Some(3)), 4), (2, 2));
}

#[test]
fn node_policies_say_which_domains_count() {
    let mut tainted = in_zone("c", "c", 4_000);
    tainted.taints = Box::from([taint("team", "x")]);
    let by_taints = |policy| {
        let shape = spread(|spread| spread.node_taints_policy = policy);
        counts(base().node(tainted.clone()), &shape, 6).0
    };
    assert_eq!(by_taints(NodeInclusion::Honor), 6, "the tainted node's zone does not count");
    assert_eq!(by_taints(NodeInclusion::Ignore), 2, "it does, and stays empty");
    let by_affinity = |policy| {
        let shape = shape(100, 100).label("app", "x").spread(ZONE, 1);
        let shape = shape.require(ZONE, Operator::NotIn, &["c"]);
        let shape = shape.with(|shape| shape.topology_spread[0].node_affinity_policy = policy);
        counts(base().node(in_zone("c", "c", 4_000)), &shape.build(), 6).0
    };
    assert_eq!(by_affinity(NodeInclusion::Honor), 6);
    assert_eq!(by_affinity(NodeInclusion::Ignore), 2);
}

#[test]
fn affinity_looks_into_the_namespaces_that_its_selector_means() {
    let far = |selector: Option<LabelSelector>| {
        let client = shape(100, 100).affinity(ZONE, &[("app", "db")]);
        let client = client.with(|shape| shape.affinity[0].namespace_selector = selector).build();
        let database = shape(100, 100).namespace("data").label("app", "db").build();
        let cluster = base()
            .namespace("data", &[("stage", "prod")])
            .node(in_zone("n", "b", 150))
            .pods([bound(pod("db", &database), "n"), pod("client", &client)]);
        outcome(&planned(&cluster)).remove(0)
    };
    let prod = LabelSelector::match_labels(&labels(&[("stage", "prod")]));
    assert_eq!(far(Some(prod)), "small in b");
    let test = LabelSelector::match_labels(&labels(&[("stage", "test")]));
    assert!(far(Some(test)).contains("no pod matches it anywhere"));
    assert!(far(None).contains("no pod matches it anywhere"));
}
