//! What has changed between two snapshots.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use crate::model::{Change, ClusterEvent, Labels, Name, Node, Snapshot};

/// The events that make `after` of `before`, kind by kind, by name. Snapshots of one cluster share
/// what has not changed, and that is not looked at.
pub fn difference(before: &Snapshot, after: &Snapshot) -> Vec<ClusterEvent> {
    let mut events = Vec::new();
    // Nodes come before the pods that are bound to them, so that none is astray on the way.
    events.extend(of_nodes(before, after).map(ClusterEvent::Node));
    events.extend(changes(&before.pods, &after.pods).map(ClusterEvent::Pod));
    events.extend(changes(&before.claims, &after.claims).map(ClusterEvent::NodeClaim));
    events.extend(changes(&before.pools, &after.pools).map(ClusterEvent::NodePool));
    events.extend(pairs(&before.catalogs, &after.catalogs).map(ClusterEvent::Catalog));
    events.extend(changes(&before.daemon_sets, &after.daemon_sets).map(ClusterEvent::DaemonSet));
    events.extend(namespaces(before, after).map(ClusterEvent::Namespace));
    events.extend(
        changes(&before.pod_disruption_budgets, &after.pod_disruption_budgets)
            .map(ClusterEvent::PodDisruptionBudget),
    );
    events.extend(
        changes(&before.volume_claims, &after.volume_claims)
            .map(ClusterEvent::PersistentVolumeClaim),
    );
    events.extend(changes(&before.volumes, &after.volumes).map(ClusterEvent::PersistentVolume));
    events.extend(
        changes(&before.storage_classes, &after.storage_classes).map(ClusterEvent::StorageClass),
    );
    events.extend(changes(&before.csi_nodes, &after.csi_nodes).map(ClusterEvent::CsiNode));
    events.extend(
        changes(&before.volume_attachments, &after.volume_attachments)
            .map(ClusterEvent::VolumeAttachment),
    );
    events.extend(changes(&before.buffers, &after.buffers).map(ClusterEvent::Buffer));
    events
}

/// What became of the entries of one kind: each applied as `with` sees it, or deleted.
fn each<'a, K: Ord + Clone, V: PartialEq, T>(
    before: &'a OrdMap<K, V>,
    after: &'a OrdMap<K, V>,
    with: impl Fn(&K, &V) -> T + 'a,
) -> impl Iterator<Item = Change<K, T>> + 'a {
    before.diff(after).map(move |item| match item {
        DiffItem::Add(key, value) | DiffItem::Update { new: (key, value), .. } => {
            Change::Applied(with(key, value))
        }
        DiffItem::Remove(key, _) => Change::Deleted(key.clone()),
    })
}

fn changes<'a, K: Ord + Clone, T: Clone + PartialEq>(
    before: &'a OrdMap<K, Arc<T>>,
    after: &'a OrdMap<K, Arc<T>>,
) -> impl Iterator<Item = Change<K, T>> + 'a {
    each(before, after, |_, value| T::clone(value))
}

fn pairs<'a, T: Clone + PartialEq>(
    before: &'a OrdMap<Name, T>,
    after: &'a OrdMap<Name, T>,
) -> impl Iterator<Item = Change<Name, (Name, T)>> + 'a {
    each(before, after, |key, value| (key.clone(), value.clone()))
}

fn namespaces<'a>(
    before: &'a Snapshot,
    after: &'a Snapshot,
) -> impl Iterator<Item = Change<Name, (Name, Labels)>> + 'a {
    pairs(&before.namespaces, &after.namespaces)
}

/// A node's state changes with its pods, too: that is no change of the node.
fn of_nodes<'a>(
    before: &'a Snapshot,
    after: &'a Snapshot,
) -> impl Iterator<Item = Change<Name, Node>> + 'a {
    let is_news = move |name: &Name| {
        let [before, after] = [before, after].map(|at| at.nodes.get(name).map(|at| &at.node));
        before != after
    };
    each(&before.nodes, &after.nodes, |_, state| Node::clone(&state.node)).filter(move |change| {
        match change {
            Change::Applied(node) => is_news(&node.name),
            Change::Deleted(_) | Change::Replaced(_) => true,
        }
    })
}
