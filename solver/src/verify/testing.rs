//! What the rules' tests share.

use crate::model::{Catalog, Launch, Name, NodePool, Placement, Plan, Pod, Snapshot};
use crate::testing::{launch, place_on_claim, place_on_node, type_of};

use super::{Code, verify};

/// The rules that a plan breaks, each once, sorted.
pub(super) fn codes(snapshot: &Snapshot, plan: &Plan) -> Vec<Code> {
    let schedulers = [Name::from("default-scheduler")];
    let mut codes: Vec<Code> =
        verify(snapshot, &schedulers, plan).into_iter().map(|violation| violation.code).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// A plan of these launches and placements, with their price and no bound.
pub(super) fn plan_of(launches: Vec<Launch>, placements: Vec<Placement>) -> Plan {
    let price = launches.iter().map(|launch| launch.price).sum();
    Plan { launches, placements, price, ..Plan::default() }
}

/// A plan that places pods on nodes that are there.
pub(super) fn on_nodes(pods: &[(&Pod, &str)]) -> Plan {
    plan_of(vec![], pods.iter().map(|(pod, node)| place_on_node(pod, node)).collect())
}

/// A plan that launches one node, `general-1`, for all of these pods.
pub(super) fn on_one_launch(pool: &NodePool, catalog: &Catalog, kind: &str, pods: &[&Pod]) -> Plan {
    let kind = type_of(catalog, kind);
    let mut node = launch("general-1", pool, kind, &kind.offerings[0]);
    node.requests = pods.iter().map(|pod| &pod.shape.requests).sum();
    plan_of(vec![node], pods.iter().map(|pod| place_on_claim(pod, "general-1")).collect())
}
