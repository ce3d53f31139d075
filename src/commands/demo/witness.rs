//! What people want to know of what the autoscaler does.

use std::collections::BTreeMap;

use berth_simulations::World;
use berth_simulations::operator::Done;
use berth_solver::lifecycle::{NewClaim, Write};
use berth_solver::model::{Name, Pod, well_known};

use super::journal::Subject;
use super::text::money;

/// What there is to tell of something that was done, if anything.
pub fn tell(done: &Done, world: &World) -> Option<(Subject, String)> {
    match done {
        Done::Written(write) => match &**write {
            Write::CreateClaim(claim) => Some((Subject::Launch, launch_text(claim, world))),
            Write::DeleteClaim { claim, cause } => {
                let why = match cause.as_str() {
                    "Empty" => "no pods left on it",
                    "Underutilized" => "its pods fit elsewhere for less",
                    other => other,
                };
                Some((Subject::Remove, format!("{}: {why}", short(&claim.name))))
            }
            _ => None,
        },
        Done::NotCreated { claim, error } => {
            Some((Subject::Trouble, format!("{}: {error}", short(&claim.name))))
        }
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
