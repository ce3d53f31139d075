use berth_solver::model::{Condition, Node, well_known};

use super::{condition_status, named, taints, timestamp};
use crate::watch::Interner;
use crate::watch::accounting::node_resources;
use crate::watch::objects;

/// A node. An amount that makes no sense counts as nothing.
pub fn node(node: &objects::Node, interner: &Interner) -> Node {
    let (meta, spec, status) = (&node.metadata, &node.spec, &node.status);
    let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
    let says_true = |key| meta.annotations.get(key) == Some("true");
    Node {
        name: interner.name(&meta.name),
        uid: interner.name(&meta.uid),
        labels: interner.labels(&meta.labels),
        taints: taints(&spec.taints, interner),
        unschedulable: spec.unschedulable,
        provider_id: named(&spec.provider_id, interner),
        capacity: node_resources(&status.capacity, interner),
        allocatable: node_resources(&status.allocatable, interner),
        ready: ready.is_some_and(|condition| condition.status == "True"),
        ready_since: ready
            // Kubernetes' own word for a kubelet that has said nothing yet.
            .filter(|condition| condition.reason != "NodeStatusNeverUpdated")
            .and_then(|condition| timestamp(&condition.last_transition_time)),
        conditions: conditions(&status.conditions, interner),
        created: timestamp(&meta.creation_timestamp).unwrap_or_default(),
        deleted: timestamp(&meta.deletion_timestamp),
        has_termination_finalizer: meta
            .finalizers
            .iter()
            .any(|finalizer| finalizer == well_known::TERMINATION_FINALIZER),
        do_not_disrupt: says_true(well_known::DO_NOT_DISRUPT_ANNOTATION)
            || says_true(well_known::SCALE_DOWN_DISABLED_ANNOTATION),
    }
}

fn conditions(conditions: &[objects::Condition], interner: &Interner) -> Box<[Condition]> {
    let mut all: Vec<Condition> = conditions
        .iter()
        .map(|one| Condition {
            kind: interner.name(&one.kind),
            status: condition_status(&one.status),
            reason: interner.name(&one.reason),
            since: timestamp(&one.last_transition_time).unwrap_or_default(),
        })
        .collect();
    all.sort_by(|left, right| left.kind.cmp(&right.kind));
    all.into()
}
