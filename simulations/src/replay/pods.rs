//! The pods that are alive, a row each.

use berth_solver::model::{Name, PodKey, Timestamp};

use super::fleet::NodeId;
use super::kinds::ShapeId;

/// The number of a row. Rows of pods that are gone are used again.
pub(super) type PodId = u32;

/// A pod that is alive.
#[derive(Clone, Debug)]
pub(super) struct PodRow {
    pub namespace: Name,
    pub name: Name,
    pub workload: Name,
    pub shape: ShapeId,
    /// Tells it from others that had this row, and from what it was before it was evicted.
    pub serial: u64,
    /// Since when it waits, or waited.
    pub since: Timestamp,
    /// Whether its waiting is counted: not that of pods that were there at the start.
    pub counted: bool,
    /// How long it still runs, in milliseconds; `None`: past the end.
    pub remaining: Option<i64>,
    /// Where it runs.
    pub node: Option<NodeId>,
    /// Its place in its node's list.
    pub slot: u32,
    /// When it began to run there, images pulled.
    pub started: Timestamp,
    /// The node that it waits for.
    pub aim: Option<NodeId>,
    /// Whether the full picture shows it.
    pub shown: bool,
    /// Whether what it shows is out of date.
    pub dirty: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Pods {
    rows: Vec<Option<PodRow>>,
    free: Vec<PodId>,
    serials: u64,
    alive: u64,
}

impl Pods {
    pub fn add(&mut self, mut row: PodRow) -> PodId {
        self.serials += 1;
        row.serial = self.serials;
        self.alive += 1;
        if let Some(id) = self.free.pop() {
            self.rows[id as usize] = Some(row);
            return id;
        }
        self.rows.push(Some(row));
        u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
    }

    pub fn remove(&mut self, id: PodId) -> Option<PodRow> {
        let row = self.rows[id as usize].take()?;
        self.free.push(id);
        self.alive -= 1;
        Some(row)
    }

    pub fn get(&self, id: PodId) -> Option<&PodRow> {
        self.rows.get(id as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, id: PodId) -> Option<&mut PodRow> {
        self.rows.get_mut(id as usize)?.as_mut()
    }

    /// Makes a pod another one: it was evicted, and its controller made it anew.
    pub fn renew(&mut self, id: PodId) {
        self.serials += 1;
        let serial = self.serials;
        if let Some(row) = self.get_mut(id) {
            row.serial = serial;
        }
    }

    pub const fn alive(&self) -> u64 {
        self.alive
    }

    pub fn iter(&self) -> impl Iterator<Item = (PodId, &PodRow)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(id, row)| Some((u32::try_from(id).ok()?, row.as_ref()?)))
    }

    /// The pod of a UID, if it is still there and still the same.
    pub fn find(&self, uid: &str) -> Option<PodId> {
        let (id, serial) = uid.split_once('.')?;
        let (id, serial): (PodId, u64) = (id.parse().ok()?, serial.parse().ok()?);
        self.get(id).filter(|row| row.serial == serial).map(|_| id)
    }
}

impl PodRow {
    /// Its name in pictures. A pod may have to wait until a later one of the same name comes, so
    /// that a row's number has to tell them apart.
    pub fn key(&self, id: PodId) -> PodKey {
        let name = Name::from(format!("{}.{id}", self.name));
        PodKey { namespace: self.namespace.clone(), name }
    }

    /// Says which row it is, so that no map of UIDs is needed.
    pub fn uid(&self, id: PodId) -> Name {
        Name::from(format!("{id}.{}", self.serial))
    }
}
