//! What there is to see, reduced to what is shown.

use std::time::Duration;

use berth_simulations::World;
use berth_solver::model::{
    NodeClaim, NodeState, PodPhase, Price, Resources, Snapshot, Timestamp, well_known,
};

use super::extender::Figures;
use super::journal::Entry;

/// Everything that a screen or a status line shows.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The cluster's time since the start.
    pub elapsed: Duration,
    /// When everything is scaled to zero, since the start.
    pub length: Duration,
    /// How many times faster than real time.
    pub speed: f64,
    /// Whether the clock is stopped.
    pub paused: bool,
    /// The seed.
    pub seed: u64,
    /// Nodes, and claims whose node is still to come.
    pub nodes: Vec<NodeRow>,
    /// Pods, DaemonSet pods aside.
    pub pods: PodCounts,
    /// What the machines cost in an hour.
    pub price: Price,
    /// What any machines for these pods cost in an hour at least.
    pub lower_bound: Option<Price>,
    /// What the machines have cost so far.
    pub cost: Price,
    /// The last entries, oldest first.
    pub journal: Vec<Entry>,
    /// When the cluster's time began.
    pub start: Timestamp,
    /// The scheduler's calls of the extender.
    pub extender: Figures,
    /// What answers where.
    pub addresses: Vec<(&'static str, String)>,
}

/// Pods by what they are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCounts {
    /// They run.
    pub running: usize,
    /// They have a node and start there.
    pub starting: usize,
    /// They wait for a node.
    pub pending: usize,
    /// They are terminating.
    pub leaving: usize,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not Berth's.
    Foreign,
    /// Up.
    Ready,
    /// It has joined but cannot take pods yet.
    Joining,
    /// Its machine is starting.
    Booting,
    /// It is being removed.
    Leaving,
}

impl Stage {
    /// A word of at most eight letters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Foreign => "not ours",
            Self::Ready => "ready",
            Self::Joining => "joining",
            Self::Booting => "booting",
            Self::Leaving => "leaving",
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// Its name, or its claim's.
    pub name: String,
    /// The instance type.
    pub instance_type: String,
    /// The zone.
    pub zone: String,
    /// What it costs in an hour, if it is Berth's.
    pub price: Option<Price>,
    /// Where it is in its life.
    pub stage: Stage,
    /// Pods on it, daemons among them; for one that is to come those planned for it.
    pub pods: usize,
    /// Share of its CPU that pods ask for, 0 to 1.
    pub cpu: f64,
    /// Share of its memory that pods ask for, 0 to 1.
    pub memory: f64,
}

/// The nodes and claims of a cluster as rows: Berth's by age, what is not Berth's first.
pub fn node_rows(cluster: &Snapshot) -> Vec<NodeRow> {
    let mut rows: Vec<(bool, Timestamp, NodeRow)> = cluster
        .nodes
        .values()
        .map(|state| {
            let claim = cluster.claim_of_node(&state.node).map(AsRef::as_ref);
            let born = claim.map_or(state.node.created, |claim| claim.created);
            (claim.is_some(), born, row_of_node(state, claim))
        })
        .collect();
    let on_the_way = cluster.claims.values().filter(|claim| cluster.node_of_claim(claim).is_none());
    rows.extend(on_the_way.map(|claim| (true, claim.created, row_of_claim(claim))));
    rows.sort_by(|left, right| {
        (left.0, left.1, &left.2.name).cmp(&(right.0, right.1, &right.2.name))
    });
    rows.into_iter().map(|(_, _, row)| row).collect()
}

fn row_of_node(state: &NodeState, claim: Option<&NodeClaim>) -> NodeRow {
    let node = &state.node;
    let label = |key: &str| node.label(key).map(ToString::to_string).unwrap_or_default();
    let going = node.deleted.is_some()
        || node.has_taint(well_known::DISRUPTED_TAINT)
        || claim.is_some_and(|claim| claim.deleted.is_some());
    let stage = match claim {
        None => Stage::Foreign,
        Some(_) if going => Stage::Leaving,
        Some(claim) if claim.is(well_known::condition::INITIALIZED) => Stage::Ready,
        Some(_) => Stage::Joining,
    };
    NodeRow {
        name: node.name.to_string(),
        instance_type: label(well_known::INSTANCE_TYPE_LABEL),
        zone: label(well_known::ZONE_LABEL),
        price: claim.and_then(|claim| claim.price),
        stage,
        pods: state.pods.len(),
        cpu: share(state.used.cpu.0, node.allocatable.cpu.0),
        memory: share(state.used.memory.0, node.allocatable.memory.0),
    }
}

fn row_of_claim(claim: &NodeClaim) -> NodeRow {
    let text = |name: Option<&berth_solver::model::Name>| {
        name.map(ToString::to_string).unwrap_or_default()
    };
    let nothing = Resources::default();
    let allocatable = claim.allocatable.as_ref().unwrap_or(&nothing);
    NodeRow {
        name: claim.name.to_string(),
        instance_type: text(claim.instance_type()),
        zone: text(claim.zone()),
        price: claim.price,
        stage: if claim.deleted.is_some() { Stage::Leaving } else { Stage::Booting },
        pods: claim.planned_pods.len(),
        cpu: share(claim.requests.cpu.0, allocatable.cpu.0),
        memory: share(claim.requests.memory.0, allocatable.memory.0),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for a bar on a screen")]
fn share(used: i64, of: i64) -> f64 {
    if of <= 0 { 0.0 } else { (used as f64 / of as f64).clamp(0.0, 1.0) }
}

/// Counts the pods of the world, those aside that come and go with their node or are bound to a
/// node that is not Berth's.
pub fn pod_counts(world: &World) -> PodCounts {
    let objects = world.cluster().objects();
    let mut counts = PodCounts::default();
    for pod in objects.pods.values().filter(|pod| !pod.belongs_to_node()) {
        let elsewhere = pod.node.as_ref().and_then(|name| objects.nodes.get(name));
        if elsewhere.is_some_and(|state| state.node.pool().is_none()) {
            continue;
        }
        let counter = match (&pod.node, pod.phase) {
            _ if pod.deleted.is_some() => &mut counts.leaving,
            (_, PodPhase::Running) => &mut counts.running,
            (Some(_), _) => &mut counts.starting,
            (None, _) => &mut counts.pending,
        };
        *counter += 1;
    }
    counts
}

impl View {
    /// (price − bound) / bound: how much dearer the machines are than any that could hold these
    /// pods; `None` if there is nothing to compare.
    pub fn gap(&self) -> Option<f64> {
        let bound = self.lower_bound.filter(|bound| *bound > Price::ZERO)?;
        Some(self.price.as_f64() / bound.as_f64() - 1.0)
    }

    /// How many of Berth's nodes are at that stage.
    pub fn count(&self, stage: Stage) -> usize {
        self.nodes.iter().filter(|row| row.stage == stage).count()
    }

    /// Berth's nodes and claims.
    pub fn own_nodes(&self) -> usize {
        self.nodes.len() - self.count(Stage::Foreign)
    }
}
