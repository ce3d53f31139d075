//! Who plans.

use std::collections::BTreeSet;

use berth_solver::baselines;
pub(super) use berth_solver::baselines::Policy;
use berth_solver::model::{Plan, PodKey, Price};
use berth_solver::packing::{Never, Settings, Stop};

use super::input::Input;

/// The peers' policies, which a plan is compared with.
pub(super) const BASELINES: [Policy; 2] = [Policy::Karpenter, Policy::ClusterAutoscaler];

/// Has a policy plan. A baseline is not stopped: cut short, it would not be what the peer does.
pub(super) fn plan(
    policy: Policy,
    input: &Input,
    settings: &Settings,
    seed: u64,
    stop: &dyn Stop,
) -> Plan {
    let stop: &dyn Stop = if policy == Policy::Berth { stop } else { &Never };
    baselines::plan(policy, &input.snapshot, settings, input.now, seed, stop)
}

/// Gives a baseline's plan the bound that Berth proves, if both place the same pods. It is nothing
/// otherwise: a bound for other pods says nothing about these.
pub(super) fn bound(
    plan: &mut Plan,
    input: &Input,
    settings: &Settings,
    seed: u64,
    stop: &dyn Stop,
) {
    let own = baselines::plan(Policy::Berth, &input.snapshot, settings, input.now, seed, stop);
    let without = |plan: &Plan| {
        plan.unschedulable.iter().map(|one| one.pod.clone()).collect::<BTreeSet<PodKey>>()
    };
    let same = without(plan) == without(&own);
    plan.lower_bound = if same { own.lower_bound.min(plan.cost()) } else { Price::ZERO };
}
