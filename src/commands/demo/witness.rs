//! What people want to know of what the autoscaler does.

use std::collections::BTreeMap;

use berth_simulations::World;
use berth_solver::lifecycle::{Effect, NewClaim, Write};
use berth_solver::model::{Name, Pod, well_known};

use super::journal::{Journal, Subject};
use super::text::money;
use crate::autoscaler::Reporter;
use crate::provider::simulated::SharedWorld;

/// Writes down what the autoscaler does.
pub struct Witness {
    world: SharedWorld,
    journal: Journal,
}

impl Witness {
    /// Writes into this journal.
    pub const fn new(world: SharedWorld, journal: Journal) -> Self {
        Self { world, journal }
    }
}

impl Reporter for Witness {
    fn done(&self, effect: &Effect) {
        if let Some((subject, text)) = self.world.look(|world| tell(effect, world)) {
            self.journal.record(self.world.clock().now(), subject, text);
        }
    }

    fn failed(&self, effect: &Effect, why: &str) {
        if let Effect::LaunchInstance(request) = effect {
            let text = format!("{}: {why}", short(&request.claim.name));
            self.journal.record(self.world.clock().now(), Subject::Trouble, text);
        }
    }
}

/// What there is to tell of something that was done, if anything.
fn tell(effect: &Effect, world: &World) -> Option<(Subject, String)> {
    match effect {
        Effect::Write(Write::CreateClaim(claim)) => {
            Some((Subject::Launch, launch_text(claim, world)))
        }
        Effect::Write(Write::DeleteClaim { claim, cause }) => {
            let why = match cause.as_str() {
                "Empty" => "no pods left on it",
                "Underutilized" => "its pods fit elsewhere for less",
                other => other,
            };
            Some((Subject::Remove, format!("{}: {why}", short(&claim.name))))
        }
        _ => None,
    }
}

/// What a new claim is for: its pods by the label `app`.
fn launch_text(claim: &NewClaim, world: &World) -> String {
    let mut apps: BTreeMap<Name, usize> = BTreeMap::new();
    let pods = world.cluster().objects().pods.values();
    for pod in pods.filter(|pod| claim.planned_pods.binary_search(&pod.uid).is_ok()) {
        *apps.entry(app_of(pod)).or_default() += 1;
    }
    let pods: Vec<String> = apps.iter().map(|(app, count)| format!("{count} {app}")).collect();
    let chosen = |key: &str| claim.requirements.get(key)?.single();
    format!(
        "{} {} in {} at {} EUR/h for {}",
        short(&claim.name),
        chosen(well_known::INSTANCE_TYPE_LABEL).map_or("?", Name::as_str),
        chosen(well_known::ZONE_LABEL).map_or("?", Name::as_str),
        money(claim.price),
        if pods.is_empty() { "no pods".to_owned() } else { pods.join(", ") },
    )
}

/// The label `app`, or the pod's name.
pub fn app_of(pod: &Pod) -> Name {
    pod.shape.labels.get("app").unwrap_or(&pod.key.name).clone()
}

/// A claim's name without the pool's, which all of the demo's have.
pub fn short(claim: &str) -> &str {
    claim
        .strip_prefix(berth_simulations::scenario::POOL)
        .and_then(|rest| rest.strip_prefix('-'))
        .unwrap_or(claim)
}
