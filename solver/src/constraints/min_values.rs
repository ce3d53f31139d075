//! `minValues` of a NodePool's requirements: so many values of a label must remain possible for
//! each node that is launched.
//!
//! Karpenter asks for a machine of any of many types; Berth asks for one offering. What the rule is
//! for, that the pods do not depend on one kind of machine, is kept: among what the pool can launch
//! now there must be so many values of the label with which the same pods and daemons would fit and
//! be allowed. With the policy `BestEffort` a node for which there are fewer is launched all the
//! same, and marked.

use crate::model::{InstanceType, Name, NodePool, Offering, ValueSet, well_known};

/// The values of a label that a node of this type and offering can have.
pub fn values(
    key: &str,
    pool: &NodePool,
    instance_type: &InstanceType,
    offering: &Offering,
) -> Vec<Name> {
    match key {
        well_known::INSTANCE_TYPE_LABEL => vec![instance_type.name.clone()],
        well_known::ZONE_LABEL => vec![offering.zone.clone()],
        well_known::CAPACITY_TYPE_LABEL => vec![Name::from(offering.capacity_type.as_str())],
        key => {
            let required = pool.requirements.get(key);
            let allowed = |value: &Name| required.is_none_or(|set| set.allows(Some(value)));
            let listed = instance_type.labels.get(key).and_then(ValueSet::listed);
            listed.into_iter().flatten().filter(|value| allowed(value)).cloned().collect()
        }
    }
}

/// Whether so many values are enough.
pub fn check(possible: usize, wanted: u32) -> bool {
    possible >= wanted as usize
}

/// Why they are not.
pub fn explain(key: &str, possible: usize, wanted: u32) -> Option<String> {
    (!check(possible, wanted)).then(|| {
        format!("its minValues of {key} is {wanted}, and the pod fits with {possible} of them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CapacityType, Operator};
    use crate::testing::{instance_type, offering, pool, requirements};

    #[test]
    fn values_are_the_offerings_and_those_of_the_type_that_the_pool_allows() {
        let mut pool = pool("general");
        pool.requirements = requirements(&[("family", Operator::NotIn, &["b"])]);
        let mut kind =
            instance_type("m1", 1_000, 1_000, vec![offering("z", CapacityType::Spot, 1.0)]);
        kind.labels = requirements(&[("family", Operator::In, &["a", "b", "c"])]);
        let of = |key: &str| values(key, &pool, &kind, &kind.offerings[0]);
        assert_eq!(of(well_known::INSTANCE_TYPE_LABEL), ["m1"]);
        assert_eq!(of(well_known::ZONE_LABEL), ["z"]);
        assert_eq!(of(well_known::CAPACITY_TYPE_LABEL), ["spot"]);
        assert_eq!(of("family"), ["a", "c"]);
        assert!(of("unknown").is_empty());
    }

    #[test]
    fn too_few_values_are_told_with_both_numbers() {
        assert_eq!(explain("family", 3, 3), None);
        assert_eq!(
            explain("family", 1, 3).as_deref(),
            Some("its minValues of family is 3, and the pod fits with 1 of them")
        );
    }
}
