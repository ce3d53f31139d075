use berth_solver::model::{LabelSelector, PodDisruptionBudget, PodKey};

use super::Defects;
use super::selector::label_selector;
use crate::watch::Interner;
use crate::watch::objects;

/// A PodDisruptionBudget.
///
/// One whose selector makes no sense protects every pod of its namespace and allows nothing: to
/// disturb less than was asked for harms nobody.
pub fn pod_disruption_budget(
    budget: &objects::PodDisruptionBudget,
    interner: &Interner,
) -> PodDisruptionBudget {
    let meta = &budget.metadata;
    let mut defects = Defects::default();
    let place = || String::from("spec.selector");
    let selector = label_selector(budget.spec.selector.as_ref(), interner, &place, &mut defects);
    let broken = defects.first().is_some();
    let allowed = budget
        .status
        .as_ref()
        .filter(|status| status.observed_generation >= meta.generation)
        .map(|status| status.disruptions_allowed);
    PodDisruptionBudget {
        key: PodKey { namespace: interner.name(&meta.namespace), name: interner.name(&meta.name) },
        selector: if broken { LabelSelector::everything() } else { selector },
        disruptions_allowed: if broken { Some(0) } else { allowed },
    }
}
