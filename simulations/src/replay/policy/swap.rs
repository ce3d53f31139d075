//! Nodes that go once others that take their place are up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_solver::model::{Name, Timestamp};

use crate::replay::fleet::{NodeId, NodeRow, Phase};
use crate::replay::world::World;

/// Replacements that take longer are given up, as Karpenter and Berth do it.
const PATIENCE: Duration = Duration::from_secs(600);

/// A node's row and serial number: another node may get the row.
type Numbered = (NodeId, u64);

/// A round of consolidation that is under way.
#[derive(Debug)]
pub(super) struct Swap {
    /// The nodes that go.
    going: Vec<Numbered>,
    /// The nodes that come.
    coming: Vec<Numbered>,
    /// Where pods are to go, by UID, if that was decided.
    moves: BTreeMap<Name, NodeId>,
    since: Timestamp,
}

impl Swap {
    /// Keeps new pods off the nodes that go.
    pub fn begin(
        world: &mut World<'_>,
        going: &[NodeId],
        coming: &[NodeId],
        moves: BTreeMap<Name, NodeId>,
    ) -> Self {
        let with_serial = |world: &World<'_>, nodes: &[NodeId]| -> Vec<Numbered> {
            nodes.iter().filter_map(|node| Some((*node, world.fleet.get(*node)?.serial))).collect()
        };
        let (going, coming) = (with_serial(world, going), with_serial(world, coming));
        going.iter().for_each(|(node, _)| world.keep_off(*node, true));
        Self { going, coming, moves, since: world.now }
    }

    /// The names of the nodes that come: they stay empty until the others are up.
    pub fn awaited(&self, world: &World<'_>) -> BTreeSet<Name> {
        self.coming
            .iter()
            .filter_map(|one| still(world, *one))
            .map(|row| row.name.clone())
            .collect()
    }

    /// Goes on with it. Returns whether it is over, and how many pods were evicted then.
    pub fn go_on(&mut self, world: &mut World<'_>) -> Option<usize> {
        let phase = |one: &Numbered| still(world, *one).map(|row| row.phase);
        let phases: Vec<Option<Phase>> = self.coming.iter().map(phase).collect();
        if phases.iter().all(|phase| *phase == Some(Phase::Up)) {
            return Some(self.finish(world));
        }
        let lost = phases.iter().any(|phase| phase.is_none_or(|phase| phase == Phase::Going));
        if lost || world.now.since(self.since) >= PATIENCE {
            self.give_up(world);
            return Some(0);
        }
        None
    }

    /// Takes it back: what goes stays, what comes is for whoever needs it.
    pub fn give_up(&self, world: &mut World<'_>) {
        for one in &self.going {
            if still(world, *one).is_some() {
                world.keep_off(one.0, false);
            }
        }
    }

    fn finish(&self, world: &mut World<'_>) -> usize {
        let mut homeless = Vec::new();
        for one in &self.going {
            let Some(row) = still(world, *one) else { continue };
            let aims: Vec<Option<NodeId>> = row
                .pods
                .iter()
                .map(|id| {
                    let pod = world.pods.get(*id)?;
                    self.moves.get(&pod.uid(*id)).copied()
                })
                .collect();
            let evicted = world.tell_to_go(one.0);
            // First those of the node, in its order; then those that were on their way to it.
            let aims = aims.into_iter().chain(std::iter::repeat(None));
            homeless.extend(evicted.into_iter().zip(aims));
        }
        let count = homeless.len();
        // Those with a place first, so that the others leave it to them.
        for (pod, aim) in &homeless {
            if let Some(node) = aim {
                world.aim(*pod, *node);
            }
        }
        for (pod, _) in homeless {
            if world.pods.get(pod).is_some_and(|row| row.node.is_none()) {
                world.schedule(pod);
            }
        }
        count
    }
}

/// The node, if it is there.
fn still<'w>(world: &'w World<'_>, (node, serial): Numbered) -> Option<&'w NodeRow> {
    world.fleet.get(node).filter(|row| row.serial == serial)
}
