//! What pods ask for and what nodes are, each told apart once: whether one suits the other is
//! worked out once for each pair.

use std::sync::Arc;

use berth_solver::model::{Labels, Name, PodShape, Resources, Taint, well_known};
use foldhash::HashMap;

use crate::trace::{Shapes, TraceRecord};

/// The number of a shape.
pub(super) type ShapeId = u32;
/// The number of a kind of node.
pub(super) type KindId = u32;
/// The number of a workload that has rules about its own pods.
pub(super) type GroupId = u32;

/// A shape of pods.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// For the deciding code.
    pub shape: Arc<PodShape>,
    /// CPU, memory, disk and slot.
    pub plain: [i64; 4],
    /// Whether it asks for anything else.
    pub extended: bool,
    /// Rules about other pods of its workload.
    pub rules: Option<Rules>,
}

/// Rules that look at where other pods of the workload are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The workload.
    pub group: GroupId,
    /// How many of it a node may hold.
    pub most_per_node: Option<u32>,
    /// How many more of it one node may hold than another.
    pub host_skew: Option<u32>,
    /// How many more of it one zone may hold than another.
    pub zone_skew: Option<u32>,
}

/// All shapes of a trace, and all kinds of node.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    made: Shapes,
    by_address: HashMap<usize, ShapeId>,
    shapes: Vec<Kind>,
    groups: HashMap<(Name, Name), GroupId>,
    nodes: HashMap<(Labels, Box<[Taint]>), KindId>,
    node_kinds: Vec<(Labels, Box<[Taint]>)>,
    /// For each shape and kind of node: 0 unknown, 1 no, 2 yes.
    suits: Vec<Vec<u8>>,
}

/// CPU, memory, disk and slots of some resources.
pub(super) fn plain(resources: &Resources) -> [i64; 4] {
    [resources.cpu.0, resources.memory.0, resources.ephemeral_storage.0, resources.pods]
}

impl Kinds {
    /// The shape of a record's pod.
    pub fn of(&mut self, record: &TraceRecord) -> ShapeId {
        let shape = self.made.shape(record);
        let address = Arc::as_ptr(&shape).addr();
        if let Some(id) = self.by_address.get(&address) {
            return *id;
        }
        let id = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        let rules = self.rules_of(record);
        let (requests, extended) = (plain(&shape.requests), !shape.requests.extended().is_empty());
        self.shapes.push(Kind { plain: requests, extended, shape, rules });
        self.suits.push(Vec::new());
        self.by_address.insert(address, id);
        id
    }

    fn rules_of(&mut self, record: &TraceRecord) -> Option<Rules> {
        let shape = &record.shape;
        let alone = shape.host_anti_affinity.then_some(1);
        let most_per_node = [alone, shape.max_per_node].into_iter().flatten().min();
        let (host_skew, zone_skew) = (shape.host_spread, shape.zone_spread);
        if most_per_node.is_none() && host_skew.is_none() && zone_skew.is_none() {
            return None;
        }
        let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let key = (record.namespace.clone(), record.workload.clone());
        let group = *self.groups.entry(key).or_insert(next);
        Some(Rules { group, most_per_node, host_skew, zone_skew })
    }

    /// A shape.
    pub fn get(&self, id: ShapeId) -> &Kind {
        &self.shapes[id as usize]
    }

    /// All shapes, in the order of their numbers.
    pub fn all(&self) -> &[Kind] {
        &self.shapes
    }

    /// The kind of a node with these labels and taints. Its host name does not count.
    pub fn of_node(&mut self, labels: &Labels, taints: &[Taint]) -> KindId {
        let named = |(key, _): &&(Name, Name)| *key != well_known::HOSTNAME_LABEL;
        let labels: Labels = labels.iter().filter(named).cloned().collect();
        let key = (labels, Box::from(taints));
        let next = u32::try_from(self.node_kinds.len()).unwrap_or(u32::MAX);
        let id = *self.nodes.entry(key.clone()).or_insert(next);
        if id == next {
            self.node_kinds.push(key);
        }
        id
    }

    /// Whether a pod's selectors and tolerations let it onto a kind of node; room aside.
    pub fn suits(&mut self, shape: ShapeId, kind: KindId) -> bool {
        let row = &mut self.suits[shape as usize];
        if row.len() <= kind as usize {
            row.resize(kind as usize + 1, 0);
        }
        if row[kind as usize] == 0 {
            let (labels, taints) = &self.node_kinds[kind as usize];
            let allowed = suits(&self.shapes[shape as usize].shape, labels, taints);
            row[kind as usize] = 1 + u8::from(allowed);
        }
        row[kind as usize] == 2
    }
}

/// TaintToleration and NodeAffinity.
pub(super) fn suits(shape: &PodShape, labels: &Labels, taints: &[Taint]) -> bool {
    shape.first_untolerated(taints).is_none()
        && shape.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        && (shape.node_affinity.is_empty()
            || shape.node_affinity.iter().any(|term| term.allow(labels)))
}
