//! A warm start: how nodes are filled that earlier plans launched, as nodes to launch again.
//!
//! Nothing has to be remembered for that, so that a plan still follows from its snapshot alone: what
//! earlier plans found out is there to be seen in the cluster, after a restart too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;

use crate::model::{Name, NodeState, PodShape, Resident, Snapshot, well_known};

use super::bins::{Bin, Place};
use super::problem::Problem;
use super::state::{NewNode, State};
use super::work;

/// What the cluster's nodes, and those on their way, hold of pods like those on the state's new
/// nodes, on each candidate of their pool and instance type; each content once. Of no group there
/// are more on one than on all new nodes. Looks at no further ones once `stop` says so.
pub fn of_cluster(state: &State<'_, '_>, stop: &mut dyn FnMut() -> bool) -> Vec<NewNode> {
    let problem = state.problem;
    let mut waiting: BTreeMap<usize, u32> = BTreeMap::new();
    for (group, count) in state.nodes.iter().flat_map(|node| &node.load.contents) {
        *waiting.entry(*group).or_default() += count;
    }
    if waiting.is_empty() || problem.bins.is_empty() {
        return Vec::new();
    }
    let machines = Machines::of(problem);
    let mut groups = Groups::of(problem, &waiting);
    let mut known: BTreeSet<(usize, Vec<(usize, u32)>)> = BTreeSet::new();
    let mut nodes = Vec::new();
    let mut contents: Vec<BTreeMap<usize, u32>> =
        state.loads.iter().map(|load| load.contents.iter().copied().collect()).collect();
    for (bin, held) in &state.held {
        *contents[*bin].entry(held.group).or_default() += 1;
    }
    for (bin, mut content) in problem.bins.iter().zip(contents) {
        if stop() {
            break;
        }
        let Some(candidates) = machines.like(problem.snapshot, bin) else { continue };
        if let Place::Node(name) = &bin.place
            && let Some(node) = problem.snapshot.nodes.get(name)
        {
            work::done(node.pods.len());
            groups.count(node, &mut content);
        }
        if content.is_empty() {
            continue;
        }
        for candidate in candidates {
            let node = filled(state, *candidate, &content, &waiting);
            if !node.load.contents.is_empty()
                && node.load.devices_hold(problem)
                && known.insert((*candidate, node.load.contents.clone()))
            {
                nodes.push(node);
            }
        }
    }
    nodes
}

/// A new node of a candidate with as much of a content as waits and really fits.
fn filled(
    state: &State<'_, '_>,
    candidate: usize,
    content: &BTreeMap<usize, u32>,
    waiting: &BTreeMap<usize, u32>,
) -> NewNode {
    let problem = state.problem;
    let cell = &problem.cells[problem.candidates[candidate].cell];
    let mut load = state.empty_load(candidate);
    for (group, count) in content {
        let wanted = waiting.get(group).copied().unwrap_or(0).min(*count);
        if wanted > 0 && cell.allowed[problem.groups[*group].relaxed] {
            let fitting = load.room(problem, *group).min(wanted);
            if fitting > 0 {
                load.put(problem, *group, fitting);
            }
        }
    }
    NewNode { candidate, load, fixed: false }
}

/// Candidates by pool and instance type.
struct Machines<'p> {
    candidates: BTreeMap<(&'p Name, &'p Name), Vec<usize>>,
}

impl<'p> Machines<'p> {
    fn of(problem: &'p Problem<'_>) -> Self {
        let mut candidates: BTreeMap<(&Name, &Name), Vec<usize>> = BTreeMap::new();
        for (index, candidate) in problem.candidates.iter().enumerate() {
            let pool = &problem.pools[problem.cells[candidate.cell].pool];
            let catalog = pool.catalog.as_ref();
            let types = catalog.and_then(|all| all.instance_types.get(candidate.instance_type));
            if let Some(kind) = types {
                candidates.entry((&pool.pool.name, &kind.name)).or_default().push(index);
            }
        }
        Self { candidates }
    }

    /// Those of a bin's pool and instance type.
    fn like(&self, snapshot: &'p Snapshot, bin: &Bin) -> Option<&[usize]> {
        let (pool, kind) = match &bin.place {
            Place::Node(name) => {
                let node = &snapshot.nodes.get(name)?.node;
                (node.pool()?, node.label(well_known::INSTANCE_TYPE_LABEL)?)
            }
            Place::Claim(name) => {
                let claim = snapshot.claims.get(name)?;
                (claim.pool()?, claim.instance_type()?)
            }
        };
        self.candidates.get(&(pool, kind)).map(Vec::as_slice)
    }
}

/// The waiting groups by their shapes, those with volumes aside.
struct Groups<'p> {
    by_shape: HashMap<&'p PodShape, usize>,
    /// Most pods share their shapes, and looking at one takes its time.
    by_address: HashMap<*const PodShape, Option<usize>>,
}

impl<'p> Groups<'p> {
    fn of(problem: &'p Problem<'_>, waiting: &BTreeMap<usize, u32>) -> Self {
        let plain = waiting.keys().filter(|group| problem.groups[**group].volumes.is_none());
        let by_shape = plain.map(|group| (&*problem.groups[*group].shape, *group)).collect();
        Self { by_shape, by_address: HashMap::default() }
    }

    /// Counts what runs on a node.
    fn count(&mut self, node: &NodeState, content: &mut BTreeMap<usize, u32>) {
        for shape in node.pods.values().map(Resident::shape) {
            let find = || self.by_shape.get(&**shape).copied();
            let group = *self.by_address.entry(Arc::as_ptr(shape)).or_insert_with(find);
            if let Some(group) = group {
                *content.entry(group).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bound::Relaxed;
    use super::super::columns::Generation;
    use super::super::groups::Pending;
    use super::super::{Never, Settings, held, plan, priorities};
    use super::*;
    use crate::model::{NodeClaim, Pod, Timestamp};
    use crate::testing::*;

    /// What is found for that many waiting pods of two shapes, beside `there`: names of types and
    /// how many pods of which CPU.
    fn found(waiting: (usize, usize), there: ClusterBuilder) -> Vec<(String, Vec<(i64, u32)>)> {
        let (small, large) = (shape(500, 1_000).build(), shape(1_500, 1_000).build());
        let snapshot = there
            .pool(pool("general"), exoscale_catalog(&["z"]))
            .pods(pods("small", waiting.0, &small))
            .pods(pods("large", waiting.1, &large))
            .snapshot();
        let settings = Settings::default();
        let mut pending = Pending::of(&snapshot, &settings);
        let problem = Problem::new(&snapshot, &settings, &pending);
        let mut state = State::new(&problem);
        held::keep(&mut state, &mut pending);
        priorities::run(&mut state, &pending);
        assert!(!state.nodes.is_empty());
        let nodes = of_cluster(&state, &mut || false);
        let told = nodes.iter().map(|node| {
            let kind = state.instance_type(&problem.candidates[node.candidate]).unwrap();
            let contents = node.load.contents.iter();
            let cpu = |group: usize| problem.groups[group].shape.requests.cpu.0;
            (kind.name.to_string(), contents.map(|(group, count)| (cpu(*group), *count)).collect())
        });
        told.collect()
    }

    /// A full node of the type `standard.large` (4 CPUs) of the pool, and its claim.
    fn machine(name: &str, of: &str) -> NodeClaim {
        up(claim(name, &pool(of), type_of(&exoscale_catalog(&["z"]), "standard.large")))
    }

    fn on(node: &str, pods: Vec<Pod>) -> impl Iterator<Item = Pod> {
        pods.into_iter().map(move |pod| bound(pod, node))
    }

    fn with(claims: &[NodeClaim]) -> ClusterBuilder {
        let add = |world: ClusterBuilder, claim: &NodeClaim| {
            world.node(node_of_claim(claim)).claim(claim.clone())
        };
        claims.iter().fold(cluster(), add)
    }

    #[test]
    fn how_nodes_are_filled_is_found_once_and_only_what_waits_counts() {
        let (small, large) = (shape(500, 1_000).build(), shape(1_500, 1_000).build());
        let other = shape(400, 500).build();
        let nodes = ["a", "b", "c"].map(|name| machine(name, "general"));
        let mut there = with(&nodes).pods(on("c", pods("others", 9, &other)));
        for node in ["a", "b"] {
            there = there
                .pods(on(node, pods(&format!("small-{node}"), 1, &small)))
                .pods(on(node, pods(&format!("large-{node}"), 2, &large)))
                .pods(on(node, pods(&format!("others-{node}"), 1, &other)));
        }
        let pattern = ("standard.large".to_owned(), vec![(1_500, 2), (500, 1)]);
        assert_eq!(found((10, 10), there.clone()), [pattern]);
        let fewer = ("standard.large".to_owned(), vec![(1_500, 1), (500, 1)]);
        assert_eq!(found((10, 1), there), [fewer]);
    }

    #[test]
    fn others_nodes_say_nothing_and_what_is_on_its_way_does() {
        let large = shape(1_500, 1_000).build();
        let foreign = with(&[machine("a", "another")]).pods(on("a", pods("large-a", 2, &large)));
        assert_eq!(found((10, 10), foreign), []);
        // Pods that a claim was launched for wait like the others, and keep it.
        let coming = NodeClaim {
            planned_pods: ["uid-default-large-0".into(), "uid-default-large-1".into()].into(),
            ..claim("c", &pool("general"), type_of(&exoscale_catalog(&["z"]), "standard.large"))
        };
        let pods = found((0, 10), cluster().claim(coming));
        assert_eq!(pods, [("standard.large".to_owned(), vec![(1_500, 2)])]);
    }

    #[test]
    fn more_is_known_after_few_rounds_beside_nodes_of_an_earlier_plan() {
        let (general, catalog) = (pool("general"), Arc::new(mixed_catalog()));
        let settings = Settings { column_rounds: 60, search_rounds: 50, ..Settings::default() };
        let pods = Workload::Diverse.pods(2_000, 1).into_iter().enumerate();
        let (first, second): (Vec<_>, Vec<_>) = pods.partition(|(index, _)| index % 2 == 0);
        let first: Vec<Pod> = first.into_iter().map(|(_, pod)| pod).collect();
        let before = cluster().pool(general.clone(), Arc::clone(&catalog)).pods(first.clone());
        let earlier = plan(&before.snapshot(), &settings, Timestamp::from_seconds(1), 7, &Never);
        let there = after_plan(&earlier, first, &general, &catalog);
        let snapshot = there.pods(second.into_iter().map(|(_, pod)| pod)).snapshot();
        let pending = Pending::of(&snapshot, &settings);
        let problem = Problem::new(&snapshot, &settings, &pending);
        let mut state = State::new(&problem);
        priorities::run(&mut state, &pending);
        let relaxed = Relaxed::of(&state, &mut || false).unwrap();
        let gap = |nodes: &[NewNode]| {
            let columns = relaxed.columns(&problem, nodes);
            let mut solving = Generation::begin(&relaxed.model, columns, &mut || false).unwrap();
            solving.run(5, 1.0, &Never);
            solving.master.cost() / solving.bound - 1.0
        };
        let cold = gap(&state.nodes);
        let there = of_cluster(&state, &mut || false);
        let warm = gap(&[state.nodes.clone(), there].concat());
        assert!(10.0 * warm < cold, "{warm}, without them {cold}");
    }
}
