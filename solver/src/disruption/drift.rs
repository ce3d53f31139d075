//! Whether a node is still what its NodePool asks for.

use std::fmt;

use crate::model::{ConditionStatus, Name, NodeClaim, NodePool, Snapshot, well_known::condition};

/// How a claim differs from its NodePool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The template has changed since: its hash is another one.
    NodePoolDrifted,
    /// One of the pool's requirements does not allow what the node's label says: the label.
    RequirementsDrifted(Name),
    /// The cloud does not sell that type any more.
    InstanceTypeNotFound(Name),
    /// The provider says that the machine is not what its NodeClass asks for: in what.
    NodeClassDrifted(Name),
}

impl Drift {
    /// As the condition `Drifted` and Karpenter name it.
    pub fn reason(&self) -> &str {
        match self {
            Self::NodePoolDrifted => "NodePoolDrifted",
            Self::RequirementsDrifted(_) => "RequirementsDrifted",
            Self::InstanceTypeNotFound(_) => "InstanceTypeNotFound",
            Self::NodeClassDrifted(what) => what,
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodePoolDrifted => formatter.write_str("NodePoolDrifted: the template changed"),
            Self::RequirementsDrifted(key) => {
                write!(formatter, "RequirementsDrifted: the NodePool does not allow its {key}")
            }
            Self::InstanceTypeNotFound(kind) => {
                write!(formatter, "InstanceTypeNotFound: {kind} is not sold any more")
            }
            Self::NodeClassDrifted(what) => {
                write!(
                    formatter,
                    "NodeClassDrifted: {what}: the NodeClass asks for another machine"
                )
            }
        }
    }
}

/// How a claim has drifted from its pool, if it has.
///
/// Hashes are compared only if both were made in the same way, `hash_version`: neither a switch
/// from Karpenter nor a new version of Berth lets nodes drift.
pub fn drift(
    snapshot: &Snapshot,
    claim: &NodeClaim,
    pool: &NodePool,
    hash_version: &Name,
) -> Option<Drift> {
    let same_way = claim.template_hash_version.as_ref() == Some(hash_version);
    if same_way && claim.template_hash.as_ref().is_some_and(|hash| *hash != pool.hash) {
        return Some(Drift::NodePoolDrifted);
    }
    let said = claim.condition(condition::NODE_CLASS_DRIFTED);
    if let Some(said) = said.filter(|said| said.status == ConditionStatus::True) {
        return Some(Drift::NodeClassDrifted(said.reason.clone()));
    }
    let unmet = pool.requirements.iter().find(|(key, set)| {
        // A label that is not determined (yet) says nothing.
        claim.determined(key).is_some_and(|value| !set.allows(Some(value)))
    });
    if let Some((key, _)) = unmet {
        return Some(Drift::RequirementsDrifted(key.clone()));
    }
    // An empty catalog is one that nobody could read, not a cloud that sells nothing.
    let catalog = snapshot.catalogs.get(&pool.name).filter(|all| !all.instance_types.is_empty())?;
    let kind = claim.instance_type()?;
    catalog.get(kind).is_none().then(|| Drift::InstanceTypeNotFound(kind.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Operator, well_known};
    use crate::testing::{
        claim, claim_with_condition, cluster, exoscale_catalog, pool, requirements, type_of,
    };

    fn found(claim: &NodeClaim, pool: &NodePool) -> Option<Drift> {
        let snapshot = cluster().pool(pool.clone(), exoscale_catalog(&["z"])).snapshot();
        drift(&snapshot, claim, pool, &"test".into())
    }

    fn small(pool: &NodePool) -> NodeClaim {
        claim("c", pool, type_of(&exoscale_catalog(&["z"]), "standard.small"))
    }

    #[test]
    fn another_hash_is_drift_only_if_it_was_made_in_the_same_way() {
        let before = pool("general");
        let after = NodePool { hash: "other".into(), ..before.clone() };
        let claim = small(&before);
        assert_eq!(found(&claim, &before), None);
        assert_eq!(found(&claim, &after), Some(Drift::NodePoolDrifted));
        let karpenters = NodeClaim { template_hash_version: Some("v3".into()), ..claim.clone() };
        assert_eq!(found(&karpenters, &after), None);
        let by_hand = NodeClaim { template_hash_version: None, template_hash: None, ..claim };
        assert_eq!(found(&by_hand, &after), None);
    }

    #[test]
    fn what_a_provider_says_of_the_machine_is_drift() {
        let general = pool("general");
        let plain = small(&general);
        let drifted = claim_with_condition(plain.clone(), condition::NODE_CLASS_DRIFTED);
        let reason = drifted.conditions[0].reason.clone();
        assert_eq!(found(&drifted, &general), Some(Drift::NodeClassDrifted(reason)));
        let mut over = drifted;
        for condition in &mut over.conditions {
            condition.status = ConditionStatus::False;
        }
        assert_eq!(found(&over, &general), None);
    }

    #[test]
    fn a_label_that_the_pool_forbids_by_now_is_drift() {
        let before = pool("general");
        let zone = well_known::ZONE_LABEL;
        let elsewhere = requirements(&[(zone, Operator::In, &["y"])]);
        let after = NodePool { requirements: elsewhere, ..before.clone() };
        assert_eq!(found(&small(&before), &after), Some(Drift::RequirementsDrifted(zone.into())));
        let same = requirements(&[(zone, Operator::In, &["z", "y"])]);
        assert_eq!(found(&small(&before), &NodePool { requirements: same, ..before }), None);
    }

    #[test]
    fn a_type_that_is_not_sold_any_more_is_drift_unless_nothing_is_known() {
        let general = pool("general");
        let catalog = exoscale_catalog(&["z"]);
        let gone = claim(
            "c",
            &general,
            &crate::model::InstanceType {
                name: "gone".into(),
                ..type_of(&catalog, "standard.small").clone()
            },
        );
        let gone = NodeClaim {
            labels: gone.labels.with([(well_known::INSTANCE_TYPE_LABEL.into(), "gone".into())]),
            ..gone
        };
        assert_eq!(found(&gone, &general), Some(Drift::InstanceTypeNotFound("gone".into())));
        let blind = cluster().pool(general.clone(), crate::model::Catalog::default()).snapshot();
        assert_eq!(drift(&blind, &gone, &general, &"test".into()), None);
    }
}
