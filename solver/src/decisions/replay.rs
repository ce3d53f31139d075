//! Makes snapshots of lines.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Line, VERSION};
use crate::model::{Change, ClusterEvent, ClusterState, PodShape, Snapshot};

/// Why a line makes no sense where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Written by another version.
    #[error("version: {0}: expected {VERSION}")]
    Version(u32),
    /// The changes do not begin with an empty cluster, and nothing was read before.
    #[error("complete: false: expected true in the first line of a file (its start is missing)")]
    Headless,
}

/// The cluster as the lines read so far say.
#[derive(Debug, Default)]
pub struct Replay {
    clusters: BTreeMap<u8, ClusterState>,
    /// Pods of one shape share it, as they do in the daemon.
    shapes: HashSet<Arc<PodShape>>,
}

impl Replay {
    /// Takes in what a line says has changed, and returns the snapshot that was decided on.
    ///
    /// # Errors
    ///
    /// [`Misplaced`]: the line is of another version, or follows one that is not there.
    pub fn advance(&mut self, line: &mut Line) -> Result<Snapshot, Misplaced> {
        if line.version != VERSION {
            return Err(Misplaced::Version(line.version));
        }
        if line.complete {
            self.clusters.insert(line.series, ClusterState::new());
        }
        let cluster = self.clusters.get_mut(&line.series).ok_or(Misplaced::Headless)?;
        for mut event in line.changes.drain(..) {
            share(&mut self.shapes, &mut event);
            cluster.apply(event);
        }
        let mut snapshot = cluster.snapshot();
        snapshot.generation = line.generation;
        Ok(snapshot)
    }
}

fn share(shapes: &mut HashSet<Arc<PodShape>>, event: &mut ClusterEvent) {
    if let ClusterEvent::Pod(Change::Applied(pod)) = event {
        match shapes.get(&pod.shape) {
            Some(shape) => pod.shape = Arc::clone(shape),
            None => {
                shapes.insert(Arc::clone(&pod.shape));
            }
        }
    }
}
