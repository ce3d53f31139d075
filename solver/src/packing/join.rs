//! Several new nodes in one machine, where what they leave over is of use only together.
//!
//! Clouds sell twice as much for twice the price. Which size a plan takes makes no difference to
//! its price then, but to what comes after: on machines of 4 CPUs each pod of 3.5 leaves half a CPU
//! that nobody can use, and on machines of twice the size a whole one. Where pods run that would fit
//! there, consolidation finds the same minutes later, and evicts everybody for it.

use std::collections::BTreeMap;

use super::bins::Load;
use super::dimensions::{Amounts, fits};
use super::problem::Problem;
use super::repack;
use super::state::{NewNode, State};

/// At most so many nodes become one: larger machines are harder to empty.
const MOST: usize = 8;
/// Prices are whole billionths: twice a price that was rounded may be so much less than the price of
/// twice as much.
const ROUNDING: f64 = 1e-9;

/// New nodes of one candidate that hold the same: how many pods of each group.
type Alike = (usize, Vec<(usize, u32)>);

/// Joins new nodes that hold the same on the same machine, where a larger one costs no more than
/// they do together and has room left for a pod that runs in the cluster, and they have not. As many
/// machines at most as there are such pods.
pub fn join(state: &mut State<'_, '_>) {
    if state.nodes.len() < 2 {
        return;
    }
    let problem = state.problem;
    let running = running(problem);
    if running.is_empty() {
        return;
    }
    let mut alike: BTreeMap<Alike, Vec<usize>> = BTreeMap::new();
    for (index, node) in state.nodes.iter().enumerate() {
        if !repack::stays(problem, node) && users(&running, &node.load) == 0 {
            let mut contents = node.load.contents.clone();
            contents.sort_unstable();
            alike.entry((node.candidate, contents)).or_default().push(index);
        }
    }
    let mut gone = vec![false; state.nodes.len()];
    let mut joined = Vec::new();
    for ((candidate, contents), nodes) in alike {
        let Some((size, node)) = (2..=nodes.len().min(MOST))
            .find_map(|size| Some((size, larger(state, candidate, &contents, size, &running)?)))
        else {
            continue;
        };
        let most = usize::try_from(users(&running, &node.load)).unwrap_or(usize::MAX);
        for part in nodes.chunks_exact(size).take(most) {
            part.iter().for_each(|index| gone[*index] = true);
            joined.push(node.clone());
        }
    }
    let mut gone = gone.into_iter();
    state.nodes.retain(|_| !gone.next().unwrap_or(false));
    state.nodes.append(&mut joined);
}

/// What pods ask for that run on nodes of the pools and may move, and how many ask for that.
fn running(problem: &Problem<'_>) -> BTreeMap<Amounts, u32> {
    let mut running: BTreeMap<Amounts, u32> = BTreeMap::new();
    let nodes = problem.snapshot.nodes.values().filter(|state| state.node.pool().is_some());
    for pod in nodes.flat_map(|state| state.pods.values()) {
        let requests = &pod.shape.requests;
        if pod.deleted.is_none() && !pod.belongs_to_node() && requests.extended().is_empty() {
            *running.entry(problem.dimensions.demand(requests)).or_default() += 1;
        }
    }
    running
}

/// How many of the running pods would fit on what is left of a node, one at a time.
fn users(running: &BTreeMap<Amounts, u32>, load: &Load) -> u32 {
    let fitting = running.iter().filter(|(demand, _)| fits(demand, &load.free));
    fitting.map(|(_, count)| count).sum()
}

/// The cheapest machine of the same cell that holds as much as so many of these nodes for no more
/// money, and has room for a running pod then.
fn larger(
    state: &State<'_, '_>,
    candidate: usize,
    contents: &[(usize, u32)],
    size: usize,
    running: &BTreeMap<Amounts, u32>,
) -> Option<NewNode> {
    let problem = state.problem;
    let old = &problem.candidates[candidate];
    let (times, most) = (size as f64, i64::try_from(size).ok()?);
    let mut best: Option<NewNode> = None;
    for (index, new) in problem.candidates.iter().enumerate() {
        let dearer = |node: &NewNode| problem.candidates[node.candidate].cost <= new.cost;
        let fits = new.cell == old.cell
            && new.cost <= (old.cost + ROUNDING) * times
            && new.reservation.is_none()
            && new.min_values_relaxed == old.min_values_relaxed
            && problem.takes_no_more(index, candidate, most)
            && !best.as_ref().is_some_and(dearer);
        if !fits {
            continue;
        }
        let mut load = state.empty_load(index);
        let holds = contents.iter().all(|(group, count)| {
            let all = u32::try_from(size).ok().and_then(|size| count.checked_mul(size));
            let room = all.filter(|all| load.room(problem, *group) >= *all);
            room.is_some_and(|all| {
                load.put(problem, *group, all);
                true
            })
        });
        if holds && users(running, &load) > 0 {
            best = Some(NewNode { candidate: index, load, fixed: false });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::{CapacityType, Catalog, Node, Plan, Pod, Snapshot, Timestamp, well_known};
    use crate::packing::{Never, Settings, plan};
    use crate::testing::*;

    /// Twice as much for twice the price.
    fn catalog() -> Arc<Catalog> {
        let machine = |name: &str, size: i64| {
            // As clouds have it, with more digits than a price keeps.
            let price = 0.033_589_934_592 * size as f64;
            let offering = offering("zone-a", CapacityType::OnDemand, price);
            instance_type(name, size * 1_000, size * 8_192, vec![offering])
        };
        let sizes = [("four", 4), ("eight", 8), ("sixteen", 16)];
        let types = sizes.map(|(name, size)| machine(name, size)).into();
        Arc::new(Catalog { instance_types: types })
    }

    /// Small pods that run, and large ones of 3.5 CPUs that wait.
    fn world(small: &[Pod], large: usize) -> Snapshot {
        let node = |index: usize| {
            let labels = labels(&[(well_known::NODEPOOL_LABEL, "default")]);
            Node { labels, ..node(&format!("full-{index}"), 900, 3_072) }
        };
        let nodes = (0..small.len()).map(node);
        let cluster = cluster().pool(pool("default"), catalog());
        let cluster = nodes.fold(cluster, |cluster, node| cluster.node(node));
        let at = small.iter().enumerate();
        let small = at.map(|(index, pod)| bound(pod.clone(), &format!("full-{index}")));
        cluster.pods(small).pods(pods("large", large, &shape(3_500, 28_672).build())).snapshot()
    }

    fn small(count: usize) -> Vec<Pod> {
        pods("small", count, &shape(900, 3_072).build())
    }

    fn launched(snapshot: &Snapshot) -> (Plan, Vec<String>) {
        let now = Timestamp::from_seconds(1);
        let plan = plan(snapshot, &Settings::default(), now, 7, &Never);
        let mut types: Vec<String> =
            plan.launches.iter().map(|launch| launch.instance_type.to_string()).collect();
        types.sort_unstable();
        (plan, types)
    }

    #[test]
    fn what_is_left_over_is_of_use_to_pods_that_run() {
        let (alone, types) = launched(&world(&[], 4));
        assert_eq!(types, ["four"; 4]);
        let (plan, types) = launched(&world(&small(3), 4));
        assert_eq!(types, ["eight"; 2]);
        assert!(plan.price.as_f64() < alone.price.as_f64() + 4e-9);
        assert_eq!(plan.placements.len(), 4);
        let faults = crate::verify::verify(&world(&small(3), 4), &[], &plan);
        assert_eq!(faults, []);
        // No more of them than there are pods that could come.
        assert_eq!(launched(&world(&small(1), 5)).1, ["eight", "four", "four", "four"]);
    }

    #[test]
    fn nodes_stay_small_where_that_helps_nobody() {
        let too_large = pods("small", 3, &shape(2_500, 3_072).build());
        assert_eq!(launched(&world(&too_large, 4)).1, ["four"; 4]);
        let leaving: Vec<Pod> = small(3)
            .into_iter()
            .map(|pod| Pod { deleted: Some(Timestamp::from_seconds(0)), ..pod })
            .collect();
        assert_eq!(launched(&world(&leaving, 4)).1, ["four"; 4]);
    }
}
