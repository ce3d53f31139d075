use std::collections::BTreeMap;

use berth_solver::model::{LabelSelector, Name, SelectorOperator, SelectorRequirement};

use super::Defects;
use crate::watch::Interner;
use crate::watch::objects;

/// A label selector; a nil one matches nothing. With an unknown operator it matches nothing too,
/// and the object has a defect.
pub(super) fn label_selector(
    selector: Option<&objects::LabelSelector>,
    interner: &Interner,
    place: &dyn Fn() -> String,
    defects: &mut Defects,
) -> LabelSelector {
    let Some(selector) = selector else { return LabelSelector::Nothing };
    let labels = selector.match_labels.iter().map(|(key, value)| {
        requirement(key, SelectorOperator::In, std::slice::from_ref(value), interner)
    });
    let mut requirements: Vec<SelectorRequirement> = labels.collect();
    for expression in &selector.match_expressions {
        let Some(operator) = operator(&expression.operator) else {
            defects.add(|| {
                let (place, key, operator) = (place(), &expression.key, &expression.operator);
                format!(
                    "{place}: operator {operator:?} of key {key:?} is unknown: expected In, NotIn, \
                     Exists or DoesNotExist"
                )
            });
            return LabelSelector::Nothing;
        };
        requirements.push(requirement(&expression.key, operator, &expression.values, interner));
    }
    sorted(requirements)
}

/// The selector with the pod's own values of some labels merged in: `keys` must have the pod's
/// value, `mismatched` must not. Keys that the pod does not have are left out.
pub(super) fn with_own_labels(
    selector: LabelSelector,
    keys: &[String],
    mismatched: &[String],
    labels: &BTreeMap<String, String>,
    interner: &Interner,
) -> LabelSelector {
    let LabelSelector::All(requirements) = selector else { return selector };
    if keys.is_empty() && mismatched.is_empty() {
        return LabelSelector::All(requirements);
    }
    let own = |keys: &[String], operator: SelectorOperator| -> Vec<SelectorRequirement> {
        let pairs = keys.iter().filter_map(|key| Some((key, labels.get(key)?)));
        pairs
            .map(|(key, value)| requirement(key, operator, std::slice::from_ref(value), interner))
            .collect()
    };
    let mut requirements = requirements.into_vec();
    requirements.extend(own(keys, SelectorOperator::In));
    requirements.extend(own(mismatched, SelectorOperator::NotIn));
    sorted(requirements)
}

/// Sorted and without repetitions: newer API servers have merged `matchLabelKeys` in already.
fn sorted(mut requirements: Vec<SelectorRequirement>) -> LabelSelector {
    requirements.sort_unstable();
    requirements.dedup();
    LabelSelector::All(requirements.into())
}

fn requirement(
    key: &str,
    operator: SelectorOperator,
    values: &[String],
    interner: &Interner,
) -> SelectorRequirement {
    let mut values: Vec<Name> = values.iter().map(|value| interner.name(value)).collect();
    values.sort_unstable();
    values.dedup();
    SelectorRequirement { key: interner.name(key), operator, values: values.into() }
}

fn operator(text: &str) -> Option<SelectorOperator> {
    Some(match text {
        "In" => SelectorOperator::In,
        "NotIn" => SelectorOperator::NotIn,
        "Exists" => SelectorOperator::Exists,
        "DoesNotExist" => SelectorOperator::DoesNotExist,
        _ => return None,
    })
}
