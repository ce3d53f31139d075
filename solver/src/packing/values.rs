//! What pods are worth, whatever their number: the values that prove a price for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bound::Relaxed;
use super::columns::Generation;
use super::groups::{Group, Pending};
use super::problem::Problem;
use super::{Settings, Stop};
use crate::model::{PodShape, Snapshot};

/// Counts are scaled up by this, so that no machine's content is limited by how many pods there
/// are: then the values hold for any number of them.
const PLENTY: u32 = 1_000;
/// More of a shape than this are no different.
const MOST: u32 = 1_000_000;
/// What float arithmetic may have gained.
const SAFETY: f64 = 1.0 - 1e-6;

/// A value per hour for a pod of each shape, such that no new node of the snapshot's pools can
/// hold pods worth more than it costs, its daemons aside. 0 for shapes that fit nowhere.
///
/// By weak duality any number of pods of these shapes that run at the same time on nodes of these
/// pools cost at least the sum of their values, whoever placed them. The values are chosen so that
/// this sum is large for the given counts. Nodes that are there, buffers and reserved capacity are
/// not looked at: reserved capacity is paid for already, so that with it values prove nothing.
///
/// Pods spread over hosts or zones count as though they were not; a fixed number a host counts.
pub fn pod_values(
    snapshot: &Snapshot,
    counts: &[(Arc<PodShape>, u32)],
    settings: &Settings,
    rounds: u32,
    stop: &dyn Stop,
) -> Vec<f64> {
    let groups = counts.iter().map(|(shape, _)| Group::new(relaxed(shape), None)).collect();
    let pending = Pending { groups, ..Pending::default() };
    let problem = Problem::new(snapshot, settings, &pending);
    let plenty = counts.iter().enumerate().filter(|(_, (_, count))| *count > 0);
    let plenty = plenty.map(|(group, (_, count))| (group, (*count).min(MOST) * PLENTY)).collect();
    let found = of_groups(&problem, &plenty, rounds, stop);
    (0..counts.len()).map(|group| found.get(&group).copied().unwrap_or(0.0)).collect()
}

/// A value per hour for a pod of each group, such that no new node can hold pods of these counts
/// that are worth more than it costs. Groups that fit on no new node have none; all have 0 where
/// capacity is reserved.
pub(crate) fn of_groups(
    problem: &Problem<'_>,
    counts: &BTreeMap<usize, u32>,
    rounds: u32,
    stop: &dyn Stop,
) -> BTreeMap<usize, f64> {
    let mut placed: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for (group, count) in counts {
        let data = &problem.groups[*group];
        let fits = problem.candidates.iter().any(|candidate| {
            problem.cells[candidate.cell].allowed[data.relaxed]
                && super::dimensions::fits(&data.demand, &candidate.room)
        });
        if fits {
            placed.insert((data.relaxed, *group), *count);
        }
    }
    let nothing = placed.keys().map(|(_, group)| (*group, 0.0)).collect();
    if problem.candidates.iter().any(|candidate| candidate.reservation.is_some()) {
        return nothing;
    }
    let mut stopped = || stop.should_stop();
    let Some(relaxed) = Relaxed::of_counts(problem, &placed, &mut stopped) else { return nothing };
    let Some(mut generation) = Generation::begin(&relaxed.model, Vec::new(), &mut stopped) else {
        return nothing;
    };
    generation.run(rounds, 1.0, stop);
    let values = relaxed.by_group(&generation.values).into_iter();
    values.map(|(group, value)| (group, (value * SAFETY).max(0.0))).collect()
}

/// A shape without what only other pods' places can tell.
fn relaxed(shape: &Arc<PodShape>) -> Arc<PodShape> {
    let spreads = |one: &&crate::model::TopologySpread| one.min_domains.is_some();
    let kept: Vec<_> = shape.topology_spread.iter().filter(spreads).cloned().collect();
    if kept.len() == shape.topology_spread.len() && shape.affinity.is_empty() {
        return Arc::clone(shape);
    }
    Arc::new(PodShape {
        topology_spread: kept.into(),
        affinity: Box::default(),
        ..(**shape).clone()
    })
}

#[cfg(test)]
mod tests {
    use crate::model::Timestamp;
    use crate::packing::{self, Never};
    use crate::testing::*;

    use super::*;

    fn sum(values: &[f64], counts: &[u32]) -> f64 {
        values.iter().zip(counts).map(|(value, count)| value * f64::from(*count)).sum()
    }

    #[test]
    fn values_found_for_some_counts_prove_a_bound_for_all() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let empty = cluster().pool(general.clone(), catalog.clone()).snapshot();
        let shapes = [shape(500, 4_000).build(), shape(3_000, 1_000).build()];
        let settings = Settings::default();
        let counts: Vec<_> = shapes.iter().cloned().zip([10, 20]).collect();
        let values = pod_values(&empty, &counts, &settings, 100, &Never);
        // Where memory is left over anyway, pods that ask for little else may be worth nothing.
        assert!(values[1] > 0.0, "{values:?}");
        for (first, second) in [(1, 0), (0, 1), (7, 3), (40, 90)] {
            let pods = |letter: &str, shape, count| -> Vec<_> {
                (0..count).map(|index| pod(&format!("{letter}{index}"), shape)).collect()
            };
            let snapshot = cluster()
                .pool(general.clone(), catalog.clone())
                .pods(pods("a", &shapes[0], first))
                .pods(pods("b", &shapes[1], second))
                .snapshot();
            let plan = packing::plan(&snapshot, &settings, Timestamp::from_seconds(1), 1, &Never);
            let proven = sum(&values, &[first, second]);
            assert!(proven <= plan.price.as_f64() + 1e-9, "{proven} {}", plan.price);
            if first + second > 20 {
                assert!(proven > 0.8 * plan.price.as_f64(), "{proven} {}", plan.price);
            }
        }
    }

    #[test]
    fn a_shape_that_fits_nowhere_is_worth_nothing_and_spoils_nothing() {
        let empty = cluster().pool(pool("general"), exoscale_catalog(&["z"])).snapshot();
        let counts = [(shape(1_000_000, 1).build(), 3), (shape(100, 100).build(), 3)];
        let values = pod_values(&empty, &counts, &Settings::default(), 100, &Never);
        assert!(values[0] == 0.0 && values[1] > 0.0, "{values:?}");
    }
}
