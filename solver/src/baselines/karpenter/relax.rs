//! What a pod would like is required of a node until nothing takes the pod; then Karpenter gives
//! up one thing after the other, in this order:
//!
//! 1. the first term of required node affinity, where there are several (only the first counts at
//!    any time);
//! 2. the heaviest term of preferred pod affinity;
//! 3. the heaviest term of preferred pod anti-affinity;
//! 4. the heaviest term of preferred node affinity (only the heaviest counts at any time);
//! 5. the first spread constraint with `ScheduleAnyway`;
//! 6. staying off `PreferNoSchedule` taints.

use std::sync::Arc;

use crate::model::{
    PodAffinityTerm, PodShape, Requirements, TopologySpread, Weighted, WhenUnsatisfiable,
};

use crate::baselines::world::Kind;

/// What is still asked for.
#[derive(Clone, Debug)]
struct Wishes {
    required: Vec<Requirements>,
    affinity: Vec<PodAffinityTerm>,
    anti_affinity: Vec<PodAffinityTerm>,
    node: Vec<Requirements>,
    spread: Vec<TopologySpread>,
    avoids_soft_taints: bool,
}

/// The steps at which a shape is tried, the strictest first. `soft_taints` says whether some pool
/// has a `PreferNoSchedule` taint.
pub(super) fn steps(shape: &Arc<PodShape>, soft_taints: bool) -> Vec<Kind> {
    let mut wishes = Wishes {
        required: shape.node_affinity.to_vec(),
        affinity: heaviest_first(&shape.preferred_affinity),
        anti_affinity: heaviest_first(&shape.preferred_anti_affinity),
        node: heaviest_first(&shape.preferred_node_affinity),
        spread: shape.topology_spread.iter().filter(|one| is_soft(one)).cloned().collect(),
        avoids_soft_taints: soft_taints,
    };
    let mut steps = vec![wishes.kind(shape)];
    while wishes.relax() {
        steps.push(wishes.kind(shape));
    }
    steps
}

fn heaviest_first<T: Clone>(weighted: &[Weighted<T>]) -> Vec<T> {
    let mut sorted: Vec<&Weighted<T>> = weighted.iter().collect();
    sorted.sort_by_key(|one| std::cmp::Reverse(one.weight));
    sorted.into_iter().map(|one| one.term.clone()).collect()
}

fn is_soft(constraint: &TopologySpread) -> bool {
    constraint.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway
}

impl Wishes {
    /// Gives up one thing; `false` if there is none left.
    fn relax(&mut self) -> bool {
        if self.required.len() > 1 {
            self.required.remove(0);
        } else if !self.affinity.is_empty() {
            self.affinity.remove(0);
        } else if !self.anti_affinity.is_empty() {
            self.anti_affinity.remove(0);
        } else if !self.node.is_empty() {
            self.node.remove(0);
        } else if !self.spread.is_empty() {
            self.spread.remove(0);
        } else {
            return std::mem::take(&mut self.avoids_soft_taints);
        }
        true
    }

    fn kind(&self, shape: &Arc<PodShape>) -> Kind {
        let avoids_soft_taints = self.avoids_soft_taints;
        let liked = self.affinity.clone().into_boxed_slice();
        let nothing_wished = self.required.len() == shape.node_affinity.len()
            && self.required.len() <= 1
            && self.anti_affinity.is_empty()
            && self.node.is_empty()
            && !shape.topology_spread.iter().any(is_soft);
        if nothing_wished {
            return Kind { shape: Arc::clone(shape), liked, avoids_soft_taints };
        }
        let node = self.required.first().into_iter().chain(self.node.first());
        let node = node.fold(None, |all: Option<Requirements>, one| {
            Some(all.map_or_else(|| one.clone(), |all| all.intersection(one)))
        });
        let mut wished = PodShape::clone(shape);
        wished.node_affinity = node.into_iter().collect();
        wished.anti_affinity =
            shape.anti_affinity.iter().chain(&self.anti_affinity).cloned().collect();
        let hard = shape.topology_spread.iter().filter(|one| !is_soft(one)).cloned();
        wished.topology_spread = hard
            .chain(self.spread.iter().map(|one| TopologySpread {
                when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
                ..one.clone()
            }))
            .collect();
        Kind { shape: Arc::new(wished), liked, avoids_soft_taints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Operator, well_known};
    use crate::testing::{requirements, shape};

    const ZONE: &str = well_known::ZONE_LABEL;

    #[test]
    fn wishes_are_given_up_in_karpenters_order() {
        let wishful = shape(100, 100)
            .label("app", "web")
            .spread(ZONE, 1)
            .affinity(ZONE, &[("app", "db")])
            .require("size", Operator::In, &["s"])
            .or_require("size", Operator::In, &["m"])
            .with(|shape| {
                let term = shape.affinity[0].clone();
                shape.affinity = Box::default();
                shape.preferred_affinity = Box::from([Weighted { weight: 1, term: term.clone() }]);
                shape.preferred_anti_affinity = Box::from([Weighted { weight: 1, term }]);
                shape.preferred_node_affinity = [(10, "light"), (90, "heavy")]
                    .map(|(weight, value)| Weighted {
                        weight,
                        term: requirements(&[("kind", Operator::In, &[value])]),
                    })
                    .into();
                shape.topology_spread[0].when_unsatisfiable = WhenUnsatisfiable::ScheduleAnyway;
            })
            .build();
        let steps: Vec<String> = steps(&wishful, true)
            .iter()
            .map(|kind| {
                format!(
                    "{} | {} {} {} {}",
                    kind.shape.node_affinity[0],
                    kind.liked.len(),
                    kind.shape.anti_affinity.len(),
                    kind.shape.topology_spread.len(),
                    kind.avoids_soft_taints
                )
            })
            .collect();
        assert_eq!(
            steps,
            [
                "kind in [heavy]; size in [s] | 1 1 1 true",
                "kind in [heavy]; size in [m] | 1 1 1 true",
                "kind in [heavy]; size in [m] | 0 1 1 true",
                "kind in [heavy]; size in [m] | 0 0 1 true",
                "kind in [light]; size in [m] | 0 0 1 true",
                "size in [m] | 0 0 1 true",
                "size in [m] | 0 0 0 true",
                "size in [m] | 0 0 0 false",
            ]
        );
    }

    #[test]
    fn a_pod_without_wishes_is_tried_once() {
        assert_eq!(steps(&shape(1, 1).build(), false).len(), 1);
    }
}
