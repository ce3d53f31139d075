//! `spec.nodeSelector` and required node affinity: the node's labels must meet the selector and
//! one of the affinity's terms.

use crate::model::{Labels, Name, PodShape, Requirements, ValueSet};

/// Whether a node with these labels is one that the pod may run on.
pub fn check(shape: &PodShape, labels: &Labels) -> bool {
    unmet_selector(shape, labels).is_none()
        && (shape.node_affinity.is_empty()
            || shape.node_affinity.iter().any(|term| term.allow(labels)))
}

/// The first requirement that the labels don't meet.
pub fn explain(shape: &PodShape, labels: &Labels) -> Option<String> {
    if let Some((key, value)) = unmet_selector(shape, labels) {
        return Some(requirement(key, &ValueSet::one(value.clone()), labels));
    }
    if check(shape, labels) {
        return None;
    }
    let (key, set) = shape.node_affinity.first()?.first_unmet(labels)?;
    let others = match shape.node_affinity.len() {
        1 => String::new(),
        count => format!(" (and its {} other terms are not met either)", count - 1),
    };
    Some(format!("{}{others}", requirement(key, set, labels)))
}

/// The alternatives that a pod's node selector and required affinity leave: one of them must hold.
pub fn alternatives(shape: &PodShape) -> Vec<Requirements> {
    let selector = Requirements::from_labels(&shape.node_selector);
    if shape.node_affinity.is_empty() {
        return vec![selector];
    }
    shape.node_affinity.iter().map(|term| selector.intersection(term)).collect()
}

fn unmet_selector<'a>(shape: &'a PodShape, labels: &Labels) -> Option<(&'a Name, &'a Name)> {
    shape
        .node_selector
        .iter()
        .find(|(key, value)| labels.get(key) != Some(value))
        .map(|(key, value)| (key, value))
}

fn requirement(key: &str, set: &ValueSet, labels: &Labels) -> String {
    match labels.get(key) {
        Some(value) => format!("the pod requires that {key} {set}, the node's is {value}"),
        None => format!("the pod requires that {key} {set}, the node has no such label"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::{labels, shape};
    use crate::model::Operator;

    fn term(key: &str, operator: Operator, values: &[&str]) -> Requirements {
        [(Name::from(key), ValueSet::of(operator, values.iter().map(|value| Name::from(*value))))]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_selector_must_hold_and_one_of_the_terms() {
        let mut pod = shape();
        pod.node_selector = labels(&[("disk", "ssd")]);
        pod.node_affinity =
            Box::from([term("zone", Operator::In, &["a"]), term("zone", Operator::NotIn, &["b"])]);
        let cases = [
            (&[("disk", "ssd"), ("zone", "a")][..], None),
            (&[("disk", "ssd")], None),
            (&[("disk", "ssd"), ("zone", "c")], None),
            (
                &[("zone", "a")],
                Some("the pod requires that disk in [ssd], the node has no such label"),
            ),
            (
                &[("disk", "ssd"), ("zone", "b")],
                Some(
                    "the pod requires that zone in [a], the node's is b (and its 1 other terms are not met either)",
                ),
            ),
        ];
        for (node, expected) in cases {
            let node = labels(node);
            assert_eq!(explain(&pod, &node).as_deref(), expected, "{node}");
            assert_eq!(check(&pod, &node), expected.is_none(), "{node}");
        }
    }

    #[test]
    fn alternatives_fold_the_selector_into_each_term() {
        let mut pod = shape();
        pod.node_selector = labels(&[("disk", "ssd")]);
        assert_eq!(alternatives(&pod).len(), 1);
        pod.node_affinity =
            Box::from([term("zone", Operator::In, &["a"]), term("disk", Operator::In, &["hdd"])]);
        let both = alternatives(&pod);
        assert!(both[0].allow(&labels(&[("disk", "ssd"), ("zone", "a")])));
        assert!(both[1].first_impossible().is_some(), "ssd and hdd at once");
    }
}
