//! The last resort when the checker finds fault with a plan: what it finds fault with is left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Plan, PodKey, Price, Resources, Snapshot, Target, Unschedulable};
use crate::verify::{Violation, verify};

use super::Settings;

/// After so many turns whole shapes are left out instead of single pods.
const TURNS: usize = 32;

/// A plan without the pods that the checker finds fault with: they stay pending, and are told why.
/// `None` if there is a fault that is nobody's in particular.
///
/// So one pod that the planner cannot deal with never keeps the others waiting. The price is that
/// nothing is known any more about how good the plan is: its bound is zero.
pub fn repaired(snapshot: &Snapshot, settings: &Settings, plan: &Plan) -> Option<Plan> {
    let mut plan = plan.clone();
    for turn in 0..2 * TURNS {
        let violations = verify(snapshot, &settings.scheduler_names, &plan);
        if violations.is_empty() {
            return Some(plan);
        }
        let mut blamed: BTreeMap<PodKey, String> = BTreeMap::new();
        for Violation { pod, message, .. } in violations {
            blamed.insert(pod?, message);
        }
        if turn >= TURNS {
            blame_alike(snapshot, &plan, &mut blamed);
        }
        leave_out(snapshot, &mut plan, &blamed);
    }
    None
}

/// Adds the pods of the same shapes.
fn blame_alike(snapshot: &Snapshot, plan: &Plan, blamed: &mut BTreeMap<PodKey, String>) {
    let shapes: BTreeMap<_, _> = blamed
        .iter()
        .filter_map(|(key, why)| Some((snapshot.pods.get(key)?.shape.clone(), why.clone())))
        .collect();
    for placement in &plan.placements {
        let shape = snapshot.pods.get(&placement.pod).map(|pod| &pod.shape);
        if let Some(why) = shape.and_then(|shape| shapes.get(shape)) {
            blamed.entry(placement.pod.clone()).or_insert_with(|| why.clone());
        }
    }
}

/// Takes pods out of a plan, and launches that nothing is left of.
fn leave_out(snapshot: &Snapshot, plan: &mut Plan, blamed: &BTreeMap<PodKey, String>) {
    let (out, kept) = std::mem::take(&mut plan.placements)
        .into_iter()
        .partition(|placement| blamed.contains_key(&placement.pod));
    plan.placements = kept;
    let used: BTreeSet<&Target> = plan.placements.iter().map(|one| &one.target).collect();
    plan.launches.retain(|launch| used.contains(&Target::Claim(launch.name.clone())));
    for placement in out {
        let Target::Claim(name) = &placement.target else { continue };
        let requests: Resources = snapshot
            .pods
            .get(&placement.pod)
            .map(|pod| pod.shape.requests.clone())
            .unwrap_or_default();
        for launch in plan.launches.iter_mut().filter(|launch| launch.name == *name) {
            launch.requests -= &requests;
        }
    }
    for (key, why) in blamed {
        let Some(pod) = snapshot.pods.get(key) else { continue };
        plan.unschedulable.push(Unschedulable {
            pod: key.clone(),
            uid: pod.uid.clone(),
            reason: format!("no valid place was found: {why}"),
        });
    }
    plan.unschedulable.sort_by(|left, right| left.pod.cmp(&right.pod));
    plan.unschedulable.dedup_by(|left, right| left.pod == right.pod);
    plan.price = plan.launches.iter().map(|launch| launch.price).sum();
    plan.lower_bound = Price::ZERO;
}

#[cfg(test)]
mod tests {
    use crate::model::Timestamp;
    use crate::packing::{Never, plan};
    use crate::testing::random_problem;

    use super::*;

    #[test]
    fn whatever_the_problem_what_is_left_of_its_plan_is_valid_and_every_pod_is_spoken_of() {
        let settings = Settings { search_rounds: 20, ..Settings::default() };
        let mut repairs = 0;
        for seed in 0..300 {
            let snapshot = random_problem(seed);
            let first = plan(&snapshot, &settings, Timestamp::from_seconds(1), 7, &Never);
            let whole = repaired(&snapshot, &settings, &first)
                .unwrap_or_else(|| panic!("seed {seed} cannot be repaired"));
            repairs += usize::from(whole != first);
            let spoken = |plan: &Plan| plan.placements.len() + plan.unschedulable.len();
            assert_eq!(spoken(&whole), spoken(&first), "seed {seed}");
            assert!(whole.placements.len() <= first.placements.len());
        }
        assert!(repairs > 0, "no seed puts this to the test any more: look for others");
    }
}
