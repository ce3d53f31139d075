//! What a pod would like, as far as it is honoured when nodes are chosen.
//!
//! A preference is treated as a requirement where some node (there or to be launched) can meet
//! it, and given up until one can, in this order, which is Karpenter's:
//!
//! 1. preferred pod affinity and anti-affinity: at once. They never cause a launch, so that nobody
//!    pays for a wish; kube-scheduler's scores serve them on the nodes that are there.
//! 2. preferred node affinity: the lightest term first, of equal ones the later. (Karpenter gives
//!    up the heaviest first.) While a term holds, spread is over the nodes that meet it.
//! 3. `ScheduleAnyway` spread. Over zones and other shared domains it is kept where it costs
//!    nothing to keep: pods are dealt out evenly over the domains that can take them, and no pod
//!    waits for it. Over hosts it never causes a launch.
//! 4. untolerated `PreferNoSchedule` taints: avoided to the last.
//!
//! The alternatives of *required* node affinity, which Karpenter gives up one by one before all
//! these, are looked at together: none is better than another.

use crate::model::{Labels, PodShape, Requirements, Taint};

use super::taints;

/// How many steps of relaxation a shape has: at step 0 all preferences hold, at the last none.
pub fn steps(shape: &PodShape) -> usize {
    shape.preferred_node_affinity.len() + 1
}

/// The preferred node affinity terms that still hold at a step, the lightest given up first.
pub fn held_at(shape: &PodShape, step: usize) -> Vec<&Requirements> {
    let mut terms: Vec<_> = shape.preferred_node_affinity.iter().collect();
    terms.sort_by_key(|weighted| std::cmp::Reverse(weighted.weight));
    let kept = terms.len().saturating_sub(step);
    terms.into_iter().take(kept).map(|weighted| &weighted.term).collect()
}

/// Whether a node meets the preferences that still hold at a step.
pub fn check(shape: &PodShape, step: usize, labels: &Labels, node_taints: &[Taint]) -> bool {
    held_at(shape, step).into_iter().all(|term| term.allow(labels))
        && (step > shape.preferred_node_affinity.len() || taints::is_welcome(shape, node_taints))
}

/// Which preference a node does not meet, for people.
pub fn explain(
    shape: &PodShape,
    step: usize,
    labels: &Labels,
    node_taints: &[Taint],
) -> Option<String> {
    if let Some(term) = held_at(shape, step).into_iter().find(|term| !term.allow(labels)) {
        return Some(format!("the pod prefers {term}"));
    }
    (!check(shape, step, labels, node_taints)).then(|| {
        "the pod would rather not be with an untolerated PreferNoSchedule taint".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::{labels, shape};
    use crate::model::{Name, TaintEffect, Weighted};

    #[test]
    fn the_lightest_preference_is_given_up_first_and_soft_taints_last() {
        let mut pod = shape();
        let prefers = |weight, value: &str| Weighted {
            weight,
            term: Requirements::from_labels(&labels(&[("disk", value)])),
        };
        pod.preferred_node_affinity = Box::from([prefers(1, "hdd"), prefers(50, "ssd")]);
        let soft = [Taint {
            key: Name::from("old"),
            value: Name::from(""),
            effect: TaintEffect::PreferNoSchedule,
        }];
        let ssd = labels(&[("disk", "ssd")]);
        assert!(!check(&pod, 0, &ssd, &[]));
        assert!(check(&pod, 1, &ssd, &[]));
        assert!(!check(&pod, 1, &labels(&[]), &[]));
        assert!(check(&pod, 2, &labels(&[]), &[]));
        assert!(!check(&pod, 2, &labels(&[]), &soft));
        assert!(check(&pod, steps(&pod), &labels(&[]), &soft));
        assert!(explain(&pod, 0, &ssd, &[]).is_some_and(|why| why.contains("hdd")));
    }
}
