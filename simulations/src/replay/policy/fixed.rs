//! No autoscaler: nodes for the peak, all the time.

use std::sync::Arc;

use berth_solver::model::{Change, ClusterEvent, Name, Pod, PodKey, PodShape, Timestamp};
use berth_solver::packing::{self, Never};
use berth_solver::planning;

use super::{Decision, Policy, decision};
use crate::replay::demand::Demand;
use crate::replay::mirror::market_alone;
use crate::replay::world::World;
use crate::trace::owner;

/// Launches once.
#[derive(Debug)]
pub(super) struct Fixed {
    peak: Vec<(Arc<PodShape>, u32)>,
    at: Timestamp,
    seed: u64,
    done: bool,
}

impl Fixed {
    pub fn new(demand: &Demand, seed: u64) -> Self {
        Self { peak: demand.at_peak(), at: demand.peak_at, seed, done: false }
    }
}

impl Policy for Fixed {
    fn look(&mut self, world: &mut World<'_>, log: &mut Vec<Decision>) -> Option<Timestamp> {
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        let mut state = market_alone(&world.market);
        for (index, (shape, count)) in self.peak.iter().enumerate() {
            for number in 0..*count {
                let pod = pod(&format!("{index}-{number}"), shape, self.at);
                state.apply(ClusterEvent::Pod(Change::Applied(pod)));
            }
        }
        let settings = &world.settings.berth;
        let settings = packing::Settings {
            column_rounds: settings.column_rounds,
            search_rounds: settings.search_rounds,
            ..packing::Settings::default()
        };
        let snapshot = state.snapshot();
        let planned = planning::plan(&snapshot, &settings, world.now, self.seed, &Never);
        let plan = planned.plan.unwrap_or_default();
        let mut decision = Decision {
            pending: snapshot.unbound.len(),
            unschedulable: plan.unschedulable.len(),
            price_per_hour: plan.price.as_f64(),
            lower_bound_per_hour: plan.lower_bound.as_f64(),
            method: plan.method.to_string(),
            ..decision(world, "launch")
        };
        for launch in plan.launches {
            decision.count(&launch);
            world.launch_at_once(launch);
        }
        log.push(decision);
        None
    }
}

fn pod(name: &str, shape: &Arc<PodShape>, at: Timestamp) -> Pod {
    let key = PodKey { namespace: shape.namespace.clone(), name: Name::from(name) };
    let owner = owner(&"peak".into());
    Pod { owner, ..Pod::waiting(key, Name::from(name), Arc::clone(shape), at) }
}
