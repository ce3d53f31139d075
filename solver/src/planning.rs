//! The plan that is followed: the best of several methods whose plan passes the checker.
//!
//! ```text
//!   packing, improved ---> checker ---> ok ----------------------------+
//!        | faults                                                      v
//!   greedy -> greedy without held claims -> checker -> ok ---> small, not proven: is
//!        | faults                                              a baseline's plan better?
//!        v                                                             |
//!   a baseline's plan that passes, or what the checker blames left out +--> followed
//! ```
//!
//! Small problems are where one wrong decision shows, and where asking the peers' policies costs
//! next to nothing: so no plan is ever worse than theirs. What is proven to be the best needs no
//! peers.

use std::collections::BTreeSet;

use crate::baselines::{self, Policy};
use crate::constraints::topology_spread;
use crate::model::{Plan, Price, Snapshot, Timestamp};
use crate::packing::{self, Part, Settings, Stop};
use crate::verify::{Violation, verify};

/// Up to so many pending pods the baselines are asked, too.
const FEW_PODS: usize = 300;
/// The share of the time that is the packer's then.
const PACKERS_SHARE: f64 = 0.85;

/// A plan, or what came instead.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The plan, if one passed the checker.
    pub plan: Option<Plan>,
    /// Plans that did not pass, and what is wrong with them.
    pub rejected: Vec<(Plan, Vec<Violation>)>,
}

/// Makes a plan for the pending pods.
///
/// The same inputs give the same plan, byte for byte, unless `stop` cuts the work short.
pub fn plan(
    snapshot: &Snapshot,
    settings: &Settings,
    now: Timestamp,
    seed: u64,
    stop: &dyn Stop,
) -> Planned {
    let ask_peers = snapshot.unbound.len() <= FEW_PODS
        && snapshot.claims.values().all(|claim| claim.planned_pods.is_empty());
    let packers = Part::until(if ask_peers { PACKERS_SHARE } else { 1.0 }, stop);
    let mut planned = Planned::default();
    let greedy = Settings { column_rounds: 0, search_rounds: 0, ..settings.clone() };
    let simpler = [settings.clone(), greedy.clone(), Settings { keep_claims: false, ..greedy }];
    for settings in simpler {
        let plan = packing::plan(snapshot, &settings, now, seed, &packers);
        if planned.offer(snapshot, &settings, plan) {
            break;
        }
    }
    if ask_peers && !planned.is_best(snapshot) && !stop.should_stop() {
        for policy in [Policy::Karpenter, Policy::ClusterAutoscaler] {
            // Cluster Autoscaler takes no notice of what pods would like.
            if policy == Policy::ClusterAutoscaler && has_wishes(snapshot) {
                continue;
            }
            let plan = baselines::plan(policy, snapshot, settings, now, seed, stop);
            planned.consider(snapshot, settings, plan);
        }
    }
    if planned.plan.is_none() {
        // Whoever can be placed is not to wait for those who cannot.
        let last = planned.rejected.last().map(|(plan, _)| plan);
        planned.plan = last.and_then(|plan| packing::repaired(snapshot, settings, plan));
    }
    planned
}

impl Planned {
    /// Whether no peer's plan can be better: every pod has its place, and what they cost is proven
    /// to be the least.
    fn is_best(&self, snapshot: &Snapshot) -> bool {
        let least = |own: &Plan| own.unschedulable.is_empty() && own.cost() <= own.lower_bound;
        // A peer may do without what pods would like, the bound does not.
        self.plan.as_ref().is_some_and(least) && !has_wishes(snapshot)
    }

    /// Takes a plan that passes the checker; keeps one that does not with what is wrong.
    fn offer(&mut self, snapshot: &Snapshot, settings: &Settings, plan: Plan) -> bool {
        let violations = verify(snapshot, &settings.scheduler_names, &plan);
        let passed = violations.is_empty();
        if passed {
            self.plan = Some(plan);
        } else {
            self.rejected.push((plan, violations));
        }
        passed
    }

    /// Takes a peer's plan if it is better than what there is, and passes the checker.
    fn consider(&mut self, snapshot: &Snapshot, settings: &Settings, mut plan: Plan) {
        if let Some(own) = &self.plan {
            let (ours, theirs) = (placed(own), placed(&plan));
            let same = ours == theirs;
            let cheaper = same && plan.cost() < own.cost();
            if !(cheaper || theirs.len() > ours.len()) {
                return;
            }
            // A bound for other pods says nothing about these.
            plan.lower_bound =
                if same { own.lower_bound.min(plan.cost()) } else { Price::default() };
        }
        if verify(snapshot, &settings.scheduler_names, &plan).is_empty() {
            self.plan = Some(plan);
        }
    }
}

fn placed(plan: &Plan) -> BTreeSet<&str> {
    plan.placements.iter().map(|one| &*one.uid).collect()
}

/// Whether some pod would like something without insisting.
fn has_wishes(snapshot: &Snapshot) -> bool {
    snapshot.unbound.values().any(|pod| {
        let spread = pod.shape.topology_spread.iter();
        !pod.shape.preferred_node_affinity.is_empty()
            || spread.into_iter().any(|one| !topology_spread::is_hard(one))
    })
}
