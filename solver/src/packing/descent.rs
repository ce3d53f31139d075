//! Puts pods on nodes that are there so that their GPUs stay of use: each on the node whose
//! fragmentation ([`super::fragmentation`]) then grows least.
//!
//! Growth is looked at in tenths of a GPU, the source's in points of a score: what is left of a
//! difference is chance, and of equal nodes the first is filled, so that others stay whole.
//!
//! Pods that ask for no GPU go by the same rule, where others do: on a node with GPUs they take
//! CPU and memory without which nobody can use these. Nodes without GPUs come first for them.
//!
//! Source: as there, the descent in section 4.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use crate::constraints::{gpu_shares, node_affinity, taints};
use crate::model::{PodShape, Resources};

use super::bins::Place;
use super::fragmentation::{Kind, Mix, Room};
use super::ranked::Ranked;
use super::state::{Class, State};

/// Growth that differs by less is the same, in thousandths of a GPU.
const STEP: f64 = 100.0;

/// The nodes with GPUs while they are filled.
pub struct Descent<'s> {
    mix: Mix,
    /// A pod of each kind of the mix.
    shapes: Vec<&'s PodShape>,
    /// Whether some pod cares on which node it is.
    are_choosy: bool,
    /// What the bins have left, if they have GPUs.
    rooms: Vec<Option<Room>>,
}

impl<'s> Descent<'s> {
    /// Looks at what is there; `None` if no node has GPUs or no pod asks for any.
    pub fn of(state: &State<'_, 's>) -> Option<Self> {
        let problem = state.problem;
        let bins = 0..problem.bins.len();
        let rooms: Vec<Option<Room>> = bins.map(|bin| room(state, bin)).collect();
        if rooms.iter().all(Option::is_none) {
            return None;
        }
        let (kinds, shapes) = kinds(state);
        if kinds.iter().all(|(kind, _)| kind.ask.is_nothing()) {
            return None;
        }
        let cares =
            |shape: &&PodShape| !shape.node_selector.is_empty() || !shape.node_affinity.is_empty();
        let are_choosy = shapes.iter().any(cares);
        Some(Self { mix: Mix::of(&kinds), shapes, are_choosy, rooms })
    }

    /// Puts as many pods of a class on bins as there is room for. `room` tells how many a bin
    /// takes.
    pub fn place(
        &mut self,
        state: &mut State<'_, '_>,
        class: &mut Class,
        room: impl Fn(&State<'_, '_>, &Class, usize) -> u32,
    ) {
        let kind = Kind::of(&state.problem.groups[class.group].needs.requests);
        let mut open: BinaryHeap<Ranked<(bool, usize)>> = (0..state.problem.bins.len())
            .filter(|bin| room(state, class, *bin) > 0)
            .map(|bin| Ranked {
                rank: -self.growth(state, bin, &kind),
                of: (self.rooms[bin].is_some(), bin),
            })
            .collect();
        while class.remaining > 0
            && let Some(best) = open.pop()
        {
            let (has_devices, bin) = best.of;
            let takes = room(state, class, bin);
            if takes == 0 {
                continue;
            }
            state.put_on_bin(class, bin, if has_devices { 1 } else { takes });
            if let Some(left) = &mut self.rooms[bin] {
                *left = left.with(&kind).unwrap_or_default();
                open.push(Ranked { rank: -self.growth(state, bin, &kind), of: best.of });
            }
        }
    }

    /// By how much a bin's fragmentation grows with one more pod of a kind, in steps.
    fn growth(&self, state: &State<'_, '_>, bin: usize, kind: &Kind) -> f64 {
        let Some(room) = &self.rooms[bin] else { return 0.0 };
        let data = &state.problem.bins[bin];
        let is_choosy = self.are_choosy || !data.taints.is_empty();
        let refused = |index: usize| {
            let shape = self.shapes[index];
            is_choosy
                && !(node_affinity::check(shape, &data.labels)
                    && taints::check(shape, &data.taints))
        };
        let of = |room: &Room| self.mix.fragmentation(room, &refused);
        // What the packer counts and this does not is no reason to keep a pod off.
        room.with(kind).map_or(f64::MAX, |after| ((of(&after) - of(room)) / STEP).floor())
    }
}

/// What a bin has left, the pods that are planned for it taken off, if it has GPUs.
fn room(state: &State<'_, '_>, bin: usize) -> Option<Room> {
    let problem = state.problem;
    let snapshot = problem.snapshot;
    let has_devices = |of: &Resources| gpu_shares::total(of) > 0;
    let node = match &problem.bins[bin].place {
        Place::Node(name) => snapshot.nodes.get(name),
        Place::Claim(name) => {
            snapshot.claims.get(name).and_then(|claim| snapshot.node_of_claim(claim))
        }
    };
    let node = node.filter(|node| has_devices(&node.node.allocatable));
    let load = &state.loads[bin];
    let (free, shares) = match (node, &problem.bins[bin].place) {
        (Some(node), _) if problem.dimensions.shares().is_some() => {
            (node.free(), load.shares.clone())
        }
        (Some(node), _) => (node.free(), gpu_shares::shares_on(node)),
        (None, Place::Claim(name)) => {
            let promised = snapshot.claims.get(name)?.allocatable.as_ref();
            (promised.filter(|promised| has_devices(promised))?.clone(), Vec::new())
        }
        (None, Place::Node(_)) => return None,
    };
    let mut devices = gpu_shares::Devices::of(gpu_shares::total(&free), &shares)?;
    for (group, count) in &load.contents {
        let ask = gpu_shares::Ask::of(&problem.groups[*group].needs.requests);
        for _ in 0..*count {
            devices.take(ask);
        }
    }
    Some(Room { cpu: load.free[0], memory: load.free[1], devices })
}

/// The kinds of pod in the cluster, how many there are of each, and one of each. Pods that belong
/// to their nodes are none that might come.
fn kinds<'s>(state: &State<'_, 's>) -> (Vec<(Kind, u64)>, Vec<&'s PodShape>) {
    let mut by_address: HashMap<*const PodShape, (&PodShape, u64)> = HashMap::new();
    for pod in state.problem.snapshot.pods.values().filter(|pod| !pod.belongs_to_node()) {
        by_address.entry(&raw const *pod.shape).or_insert((&*pod.shape, 0)).1 += 1;
    }
    let mut counts: BTreeMap<_, (&PodShape, u64)> = BTreeMap::new();
    for (shape, count) in by_address.into_values() {
        let wishes = (&shape.node_selector, &shape.node_affinity, &shape.tolerations);
        counts.entry((Kind::of(&shape.requests), wishes)).or_insert((shape, 0)).1 += count;
    }
    let one = |((kind, _), (shape, count))| ((kind, count), shape);
    counts.into_iter().map(one).unzip()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::{Node, Operator, Plan, Pod, Snapshot, Target, Timestamp};
    use crate::packing::{Never, Settings, plan};
    use crate::testing::{bound, cluster, labels, node, pod, shape};

    const MODEL: &str = "nvidia.com/gpu.product";

    fn with_gpus(name: &str, gpus: i64, model: &str) -> Node {
        let mut machine = node(name, 16_000, 64_000);
        machine.labels = machine.labels.with(labels(&[(MODEL, model)]).iter().cloned());
        machine.allocatable.set_extended("nvidia.com/gpu".into(), gpus);
        machine
    }

    fn share(name: &str, milli: i64) -> Pod {
        pod(name, &shape(1_000, 1_000).resource("gpu-milli", milli).build())
    }

    fn whole(name: &str, gpus: i64) -> Pod {
        pod(name, &shape(1_000, 1_000).resource("nvidia.com/gpu", gpus).build())
    }

    fn planned(snapshot: &Snapshot) -> Plan {
        plan(snapshot, &Settings::default(), Timestamp::from_seconds(1), 1, &Never)
    }

    /// Pods and the nodes they are planned for.
    fn places(snapshot: &Snapshot) -> Vec<String> {
        let plan = planned(snapshot);
        assert!(plan.unschedulable.is_empty(), "{:?}", plan.unschedulable);
        let place = |target: &Target| match target {
            Target::Node(name) | Target::Claim(name) => name.to_string(),
        };
        plan.placements
            .iter()
            .map(|one| format!("{} {}", one.pod.name, place(&one.target)))
            .collect()
    }

    #[test]
    fn a_share_goes_where_it_leaves_most_of_use() {
        let there = |pods: Vec<Pod>| {
            let nodes = ["a", "b", "c"].map(|name| with_gpus(name, 1, "t4"));
            nodes.into_iter().fold(cluster(), |cluster, node| cluster.node(node)).pods(pods)
        };
        let old = bound(share("old", 500), "b");
        let older = bound(share("older", 400), "c");
        let pods = vec![old, older, share("new", 500), whole("whole", 1)];
        assert_eq!(places(&there(pods).snapshot()), ["new b", "whole a"]);
    }

    #[test]
    fn pods_without_gpus_leave_those_their_cpu() {
        let hungry = pod("hungry", &shape(12_000, 1_000).build());
        let waits = whole("waits", 1);
        let cluster = || cluster().node(with_gpus("a", 1, "t4")).node(node("b", 16_000, 64_000));
        let snapshot = cluster().pods([hungry.clone(), waits]).snapshot();
        assert_eq!(places(&snapshot), ["hungry b", "waits a"]);
        // Where nobody asks for GPUs, the first node will do.
        assert_eq!(places(&cluster().pod(hungry.clone()).snapshot()), ["hungry a"]);
        // And where there is no other, this one.
        let crowd = (0..2).map(|index| bound(pod(&format!("b{index}"), &hungry.shape), "b"));
        let full = cluster().pods(crowd).pods([hungry, bound(whole("old", 1), "a")]);
        assert_eq!(places(&full.snapshot()), ["hungry a"]);
    }

    #[test]
    fn models_that_pods_insist_on_are_kept_for_them() {
        let insists = |name: &str| {
            let gpu = shape(1_000, 1_000).resource("nvidia.com/gpu", 1);
            pod(name, &gpu.require(MODEL, Operator::In, &["t4"]).build())
        };
        // Most want a T4, one takes what there is.
        let mut pods: Vec<Pod> = (0..3).map(|index| insists(&format!("t{index}"))).collect();
        pods.push(whole("any", 1));
        let nodes = [with_gpus("a", 4, "t4"), with_gpus("b", 4, "p100")];
        let cluster = nodes.into_iter().fold(cluster(), |cluster, node| cluster.node(node));
        assert_eq!(places(&cluster.pods(pods).snapshot()), ["any b", "t0 a", "t1 a", "t2 a"]);
    }

    #[test]
    fn plans_do_not_depend_on_where_shapes_lie() {
        let snapshot = || {
            let pods = (0..40).map(|index| share(&format!("p{index:02}"), 100 + index % 7 * 100));
            let nodes = (0..8).map(|index| with_gpus(&format!("n{index}"), 4, "t4"));
            nodes.fold(cluster(), |cluster, node| cluster.node(node)).pods(pods).snapshot()
        };
        let (one, other) = (snapshot(), snapshot());
        assert!(!Arc::ptr_eq(
            &one.pods.values().next().unwrap().shape,
            &other.pods.values().next().unwrap().shape
        ));
        assert_eq!(planned(&one), planned(&other));
    }
}
