//! The replayed cluster and cloud: what happens to pods and nodes.

mod nodes;
mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_solver::decisions::Decision;
use berth_solver::model::{CapacityType, Catalog, DaemonSet, Name, NodePool, Snapshot, Timestamp};

use super::demand::Demand;
use super::fleet::{Fleet, NodeId};
use super::kinds::{Kinds, ShapeId};
use super::ledger::Ledger;
use super::mirror::Mirror;
use super::place::{Memory, Style};
use super::pods::{PodId, Pods};
use super::settings::ReplaySettings;
use crate::events::EventQueue;
use crate::random::Seed;

/// An offering: instance type, zone and how it is bought.
pub(super) type OfferingKey = (Name, Name, CapacityType);

/// Something that is going to happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A pod ends, if it is still the one with this serial number.
    PodEnds(PodId, u64),
    /// A node is ready.
    NodeUp(NodeId, u64),
    /// A node's bill ends.
    NodeGone(NodeId, u64),
    /// A spot machine is taken back.
    Interrupted(NodeId, u64),
    /// One of the settings' incidents begins.
    Incident(usize),
}

/// What is sold.
#[derive(Clone, Debug)]
pub(super) struct Market {
    pub pool: Arc<NodePool>,
    /// At the prices of now, without what was found to be out.
    pub catalog: Arc<Catalog>,
    pub daemon: Option<Arc<DaemonSet>>,
    /// Offerings that are believed to be out, until then.
    pub excluded: BTreeMap<OfferingKey, Timestamp>,
    /// Zones that are down, until then.
    pub down: BTreeMap<Name, Timestamp>,
    /// Instance types that cannot be had: prefix and until when.
    pub short: Vec<(Name, Timestamp)>,
}

/// A decision as a daemon writes it down.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which series of snapshots it was decided on: those who wait, or everything.
    pub series: u8,
    /// What it was decided on.
    pub snapshot: Arc<Snapshot>,
    /// What was decided.
    pub decision: Decision,
}

/// The cluster and the cloud.
pub(super) struct World<'a> {
    pub settings: &'a ReplaySettings,
    pub seed: Seed,
    pub style: Style,
    pub now: Timestamp,
    pub until: Timestamp,
    pub kinds: Kinds,
    pub pods: Pods,
    pub fleet: Fleet,
    pub ledger: Ledger,
    pub mirror: Mirror,
    pub market: Market,
    pub events: EventQueue<Event>,
    /// Pods that fit nowhere and are on their way nowhere, by shape, the oldest first.
    pub parked: BTreeMap<ShapeId, BTreeSet<(Timestamp, PodId)>>,
    /// Whether something happened that a policy may want to look at.
    pub attention: bool,
    /// What Berth decided since somebody looked last, if anybody wants to know.
    pub recorded: Option<Vec<Recorded>>,
    /// For each shape, whether some machine that is sold could ever hold it: 0 unknown, 1 no, 2
    /// yes.
    possible: Vec<u8>,
    /// For each shape, how often nodes had had more room when none had enough for it.
    full_since: Vec<Option<u64>>,
    memory: Memory,
    launched: BTreeMap<OfferingKey, u64>,
    ordinal: u64,
}

impl<'a> World<'a> {
    pub fn new(
        settings: &'a ReplaySettings,
        demand: &Demand,
        market: Market,
        ledger: Ledger,
        style: Style,
        seed: u64,
    ) -> Self {
        let mut world = Self {
            settings,
            seed: Seed(seed),
            style,
            now: demand.from,
            until: demand.until,
            kinds: demand.kinds.clone(),
            pods: Pods::default(),
            fleet: Fleet::default(),
            ledger,
            mirror: Mirror::new(&market),
            market,
            events: EventQueue::default(),
            parked: BTreeMap::new(),
            attention: false,
            recorded: None,
            possible: Vec::new(),
            full_since: Vec::new(),
            memory: Memory::default(),
            launched: BTreeMap::new(),
            ordinal: 0,
        };
        for (index, incident) in settings.incidents.iter().enumerate() {
            let at = Timestamp::from_millis(incident.at_millis()).max(demand.from);
            world.events.schedule(at, Event::Incident(index));
        }
        world
    }

    /// Time passes.
    pub fn move_to(&mut self, now: Timestamp) {
        self.now = now;
        self.ledger.advance(now);
    }

    /// Everything that is due by now happens.
    pub fn run_due(&mut self) {
        while let Some((_, event)) = self.events.pop_due(self.now) {
            self.ledger.events += 1;
            match event {
                Event::PodEnds(pod, serial) => self.pod_ends(pod, serial),
                Event::NodeUp(node, serial) => self.node_up(node, serial),
                Event::NodeGone(node, serial) => self.node_gone(node, serial),
                Event::Interrupted(node, serial) => self.interrupted(node, serial),
                Event::Incident(index) => self.incident(index),
            }
        }
    }

    /// Pods that wait for a node.
    pub fn unplaced(&self) -> u64 {
        self.pods.iter().filter(|(_, row)| row.node.is_none()).count() as u64
    }

    /// Pods that wait and that some machine could hold.
    pub fn waiting(&self) -> usize {
        self.mirror.waiting_pods()
    }
}
