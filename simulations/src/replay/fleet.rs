//! The nodes that are alive, a row each, and what the scheduler looks at in one block of memory.

use std::collections::{BTreeMap, BTreeSet};

use berth_solver::model::{CapacityType, Launch, Name, NodeFigures, Price, Resources, Timestamp};
use foldhash::{HashMap, HashSet};

use super::kinds::{GroupId, KindId, plain};
use super::pods::PodId;
use crate::scheduler::scores::balance_of;

/// So many changes are remembered, and twice as many as there are slots.
const CHANGES_KEPT: usize = 1_024;

/// The number of a row. Rows of nodes that are gone are used again.
pub(super) type NodeId = u32;

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asked for.
    Coming,
    /// Ready.
    Up,
    /// Told to go, and paid for until it is gone.
    Going,
}

/// A node.
#[derive(Debug)]
pub(super) struct NodeRow {
    pub name: Name,
    pub serial: u64,
    /// What it was launched as.
    pub launch: Launch,
    pub kind: KindId,
    pub zone: u32,
    pub phase: Phase,
    pub price: Price,
    pub created: Timestamp,
    /// Since when it is ready.
    pub up_since: Timestamp,
    pub used: Resources,
    /// What pods that are on their way to it need.
    pub held: Resources,
    pub pods: Vec<PodId>,
    /// The pods that wait for it.
    pub aimed: BTreeSet<PodId>,
    /// UIDs of the pods that it was launched for.
    pub planned: Box<[Name]>,
    /// When a pod last came or left.
    pub last_pod_event: Timestamp,
    /// Nothing new is to land on it.
    pub leaving: bool,
    /// Workloads whose images it has.
    pub images: HashSet<u64>,
    /// Its place in the block, once it is up.
    slot: Option<u32>,
    pub shown: bool,
    pub dirty: bool,
}

impl NodeRow {
    /// Whether it is up, without pods, and stays.
    pub fn is_empty(&self) -> bool {
        self.phase == Phase::Up && self.pods.is_empty() && !self.leaving
    }

    pub const fn is_spot(&self) -> bool {
        matches!(self.launch.capacity_type, CapacityType::Spot)
    }
}

/// What the scheduler looks at.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub node: NodeId,
    pub kind: KindId,
    pub zone: u32,
    /// Whether new pods may come.
    pub open: bool,
    /// CPU, memory, disk and slots that are free.
    pub free: [i64; 4],
    /// The same without what is held for pods that are on their way.
    pub unheld: [i64; 4],
    /// One by its CPU, and by its memory.
    pub per: [f64; 2],
    /// How alike the used shares of CPU and memory are.
    pub balance: i64,
    /// What the extender scores by.
    pub figures: NodeFigures,
}

/// Pods of a workload by node and by zone.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    pub by_node: BTreeMap<NodeId, u32>,
    pub by_zone: BTreeMap<u32, u32>,
}

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    rows: Vec<Option<NodeRow>>,
    unused: Vec<NodeId>,
    serials: u64,
    slots: Vec<Slot>,
    zones: HashMap<Name, u32>,
    by_name: HashMap<Name, NodeId>,
    /// Nodes that are on their way.
    pub coming: BTreeSet<NodeId>,
    /// Nodes that are up and empty and stay.
    pub empty: BTreeSet<NodeId>,
    /// Workloads with rules.
    pub spreads: HashMap<GroupId, Spread>,
    alive: usize,
    /// How many of them are told to go, and paid for still.
    going: usize,
    /// Counts the times that a node had more room than before.
    grown: u64,
    /// The slots that changed last, and how many changes there were before those.
    changed: Vec<u32>,
    forgotten: u64,
}

impl Fleet {
    pub fn zone(&mut self, name: &Name) -> u32 {
        let next = u32::try_from(self.zones.len()).unwrap_or(u32::MAX);
        *self.zones.entry(name.clone()).or_insert(next)
    }

    pub fn add(
        &mut self,
        launch: Launch,
        kind: KindId,
        planned: Box<[Name]>,
        now: Timestamp,
    ) -> NodeId {
        self.serials += 1;
        let zone = self.zone(&launch.zone);
        let row = NodeRow {
            name: launch.name.clone(),
            serial: self.serials,
            kind,
            zone,
            phase: Phase::Coming,
            price: launch.price,
            created: now,
            up_since: now,
            used: Resources::default(),
            held: Resources::default(),
            pods: Vec::new(),
            aimed: BTreeSet::new(),
            planned,
            last_pod_event: now,
            leaving: false,
            images: HashSet::default(),
            slot: None,
            shown: false,
            dirty: false,
            launch,
        };
        self.alive += 1;
        let id = self.unused.pop().unwrap_or_else(|| {
            self.rows.push(None);
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_name.insert(row.name.clone(), id);
        self.rows[id as usize] = Some(row);
        self.coming.insert(id);
        id
    }

    /// A node is ready.
    pub fn open(&mut self, id: NodeId, now: Timestamp) {
        let slots = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.coming.remove(&id);
        let Some(row) = self.rows.get_mut(id as usize).and_then(Option::as_mut) else { return };
        row.phase = Phase::Up;
        row.up_since = now;
        row.last_pod_event = now;
        row.slot = Some(slots);
        let all = plain(&row.launch.allocatable);
        #[expect(clippy::cast_precision_loss, reason = "a score's precision is a float's")]
        let per = [1.0 / (all[0] as f64).max(1.0), 1.0 / (all[1] as f64).max(1.0)];
        let figures = NodeFigures { is_managed: true, fullness: 0, rate: None };
        let (kind, zone) = (row.kind, row.zone);
        let open = !row.leaving;
        let slot =
            Slot { node: id, kind, zone, open, free: all, unheld: all, per, balance: 0, figures };
        self.slots.push(slot);
        self.changed.push(slots);
        self.grown += 1;
        self.refresh(id);
    }

    /// A node is told to go: the scheduler does not see it any more.
    pub fn close(&mut self, id: NodeId) {
        self.coming.remove(&id);
        self.empty.remove(&id);
        let Some(row) = self.rows.get_mut(id as usize).and_then(Option::as_mut) else { return };
        self.going += usize::from(row.phase != Phase::Going);
        row.phase = Phase::Going;
        row.leaving = true;
        let Some(slot) = row.slot.take() else { return };
        self.slots.swap_remove(slot as usize);
        let last = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.changed.extend([slot, last]);
        if let Some(moved) = self.slots.get(slot as usize).map(|moved| moved.node)
            && let Some(row) = self.get_mut(moved)
        {
            row.slot = Some(slot);
        }
    }

    pub fn remove(&mut self, id: NodeId) -> Option<NodeRow> {
        self.close(id);
        let row = self.rows.get_mut(id as usize)?.take()?;
        self.by_name.remove(&row.name);
        self.unused.push(id);
        self.alive -= 1;
        self.going -= 1;
        Some(row)
    }

    /// Works out anew what the scheduler sees of a node.
    pub fn refresh(&mut self, id: NodeId) {
        let Some(row) = self.rows.get(id as usize).and_then(Option::as_ref) else { return };
        if row.is_empty() {
            self.empty.insert(id);
        } else {
            self.empty.remove(&id);
        }
        let Some(slot) = row.slot else { return };
        self.changed.push(slot);
        let slot = &mut self.slots[slot as usize];
        let (all, used) = (plain(&row.launch.allocatable), plain(&row.used));
        let held = plain(&row.held);
        let mut grows = !slot.open && !row.leaving;
        for index in 0..4 {
            slot.free[index] = all[index] - used[index];
            let unheld = slot.free[index] - held[index];
            grows |= unheld > slot.unheld[index];
            slot.unheld[index] = unheld;
        }
        self.grown += u64::from(grows);
        slot.open = !row.leaving;
        #[expect(clippy::cast_precision_loss, reason = "a score's precision is a float's")]
        let share = |index: usize| used[index] as f64 * slot.per[index];
        slot.balance = balance_of(share(0), share(1));
        slot.figures = NodeFigures::new(true, &row.used, &row.launch.allocatable, Some(row.price));
        let kept = 2 * self.slots.len() + CHANGES_KEPT;
        if self.changed.len() > 2 * kept {
            let old = self.changed.len() - kept;
            self.changed.drain(..old);
            self.forgotten += old as u64;
        }
    }

    pub fn get(&self, id: NodeId) -> Option<&NodeRow> {
        self.rows.get(id as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut NodeRow> {
        self.rows.get_mut(id as usize)?.as_mut()
    }

    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub fn slot(&self, id: NodeId) -> Option<&Slot> {
        self.slots.get(self.get(id)?.slot? as usize)
    }

    pub const fn alive(&self) -> usize {
        self.alive
    }

    /// How many are told to go, and paid for still.
    pub const fn going(&self) -> usize {
        self.going
    }

    /// As long as this number is the same, no node has more room than it had: what fitted nowhere
    /// fits nowhere.
    pub const fn grown(&self) -> u64 {
        self.grown
    }

    /// How often a slot changed, came or went so far.
    pub const fn changes(&self) -> u64 {
        self.forgotten + self.changed.len() as u64
    }

    /// The slots that changed since there had been so many changes, some of them gone; `None` if
    /// nobody knows any more.
    pub fn changed_since(&self, changes: u64) -> Option<&[u32]> {
        let known = changes.checked_sub(self.forgotten)?;
        self.changed.get(usize::try_from(known).ok()?..)
    }

    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &NodeRow)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(id, row)| Some((u32::try_from(id).ok()?, row.as_ref()?)))
    }
}
