//! What a NodePool requires of its nodes, combined with what an instance type and an offering are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::{InstanceType, Labels, Name, NodePool, Offering, ValueSet, well_known};

/// The value that a label gets where pool and type leave a choice: one preference a key.
pub type Choices = BTreeMap<Name, Name>;

/// The labels of the nodes that a pool launches with a type, whichever offering of it is taken.
#[derive(Clone, Copy, Debug)]
pub struct TypeLabels<'a> {
    pool: &'a NodePool,
    instance_type: &'a InstanceType,
    choices: &'a Choices,
}

/// The labels of a node that the pool launches with this type and offering, host name and the
/// cloud's own extras aside; `None` if the pool does not allow it.
pub fn labels(
    pool: &NodePool,
    instance_type: &InstanceType,
    offering: &Offering,
    choices: &Choices,
) -> Option<Labels> {
    let of_type = TypeLabels::of(pool, instance_type, choices)?;
    of_type.allows(offering).then(|| of_type.labels(offering))
}

impl<'a> TypeLabels<'a> {
    /// Those of a type; `None` if the pool does not allow it.
    pub fn of(
        pool: &'a NodePool,
        instance_type: &'a InstanceType,
        choices: &'a Choices,
    ) -> Option<Self> {
        let of_type = Self { pool, instance_type, choices };
        let fixed = of_type.fixed_keys().all(|key| {
            is_offerings(key) || of_type.fixed(key).is_none_or(|value| allows(pool, key, value))
        });
        (fixed && of_type.open_keys().all(|key| of_type.value(key).is_ok())).then_some(of_type)
    }

    /// Whether the pool allows an offering of the type.
    pub fn allows(&self, offering: &Offering) -> bool {
        allows(self.pool, well_known::ZONE_LABEL, &offering.zone)
            && allows(self.pool, well_known::CAPACITY_TYPE_LABEL, offering.capacity_type.as_str())
    }

    /// The value of one label.
    pub fn get(&self, key: &str, offering: &Offering) -> Option<Name> {
        match key {
            well_known::ZONE_LABEL => Some(offering.zone.clone()),
            well_known::CAPACITY_TYPE_LABEL => Some(Name::from(offering.capacity_type.as_str())),
            _ => self.value(key).ok()?,
        }
    }

    /// All of them.
    pub fn labels(&self, offering: &Offering) -> Labels {
        let keys = self.fixed_keys().chain(self.open_keys().map(Name::as_str));
        let keys = keys.chain([well_known::ZONE_LABEL, well_known::CAPACITY_TYPE_LABEL]);
        keys.filter_map(|key| Some((Name::from(key), self.get(key, offering)?))).collect()
    }

    /// What the pool's template and the type's own name say.
    fn fixed_keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let named = [well_known::NODEPOOL_LABEL, well_known::INSTANCE_TYPE_LABEL];
        self.pool.labels.iter().map(|(key, _)| key.as_str()).chain(named)
    }

    fn fixed(&self, key: &str) -> Option<&'a Name> {
        match key {
            well_known::NODEPOOL_LABEL => Some(&self.pool.name),
            // What the type says about its own name is believed.
            well_known::INSTANCE_TYPE_LABEL => Some(&self.instance_type.name),
            _ => self.pool.labels.get(key),
        }
    }

    /// What the type and the pool's requirements speak of.
    fn open_keys(&self) -> impl Iterator<Item = &'a Name> + use<'a> {
        let own = self.instance_type.labels.iter().map(|(key, _)| key);
        own.chain(self.pool.requirements.iter().map(|(key, _)| key))
    }

    /// The value of a label that is not the offering's, if it is there; an error if nothing would
    /// do.
    fn value(&self, key: &str) -> Result<Option<Name>, NoValue> {
        let own = self.instance_type.labels.get(key);
        let set = match (own, self.pool.requirements.get(key)) {
            (Some(own), Some(required)) => match own.single() {
                Some(value) if required.allows(Some(value)) => Cow::Borrowed(own),
                Some(_) => return Err(NoValue),
                None => Cow::Owned(own.intersection(required)),
            },
            (Some(set), None) | (None, Some(set)) => Cow::Borrowed(set),
            (None, None) => return Ok(self.fixed(key).cloned()),
        };
        if set.is_empty() {
            return Err(NoValue);
        }
        // Zone and capacity type are the offering's, whatever the type lists.
        if is_offerings(key) {
            return Ok(None);
        }
        if let Some(fixed) = self.fixed(key) {
            return Ok(Some(fixed.clone()));
        }
        let wanted = self.choices.get(key).filter(|value| set.allows(Some(value)));
        match wanted.cloned().or_else(|| first_value(&set)) {
            None if !set.allows_absent() => Err(NoValue),
            value => Ok(value),
        }
    }
}

/// No value of a label would do.
#[derive(Clone, Copy, Debug)]
struct NoValue;

fn is_offerings(key: &str) -> bool {
    [well_known::ZONE_LABEL, well_known::CAPACITY_TYPE_LABEL].contains(&key)
}

fn allows(pool: &NodePool, key: &str, value: &str) -> bool {
    pool.requirements.get(key).is_none_or(|set| set.allows(Some(value)))
}

/// The value that a label gets when nobody asks for one: the first listed, the least number where
/// the label must be there and only bounds or exceptions are given, none where it may be absent.
fn first_value(set: &ValueSet) -> Option<Name> {
    if let Some(values) = set.listed() {
        return values.first().cloned();
    }
    if set.allows_absent() {
        return None;
    }
    (0..=1_024)
        .chain((1..63).map(|bit| 1_i64 << bit))
        .map(|number| Name::from(number.to_string()))
        .find(|value| set.allows(Some(value)))
}

/// Whether the pool allows a node of this type and offering at all.
pub fn check(pool: &NodePool, instance_type: &InstanceType, offering: &Offering) -> bool {
    labels(pool, instance_type, offering, &Choices::new()).is_some()
}

/// The first requirement of the pool that the type or the offering does not meet.
pub fn explain(
    pool: &NodePool,
    instance_type: &InstanceType,
    offering: &Offering,
) -> Option<String> {
    if check(pool, instance_type, offering) {
        return None;
    }
    let unmet = pool.requirements.iter().find(|(key, set)| match key.as_str() {
        well_known::ZONE_LABEL => !set.allows(Some(&offering.zone)),
        well_known::CAPACITY_TYPE_LABEL => !set.allows(Some(offering.capacity_type.as_str())),
        well_known::INSTANCE_TYPE_LABEL => !set.allows(Some(&instance_type.name)),
        key => instance_type.labels.get(key).is_some_and(|own| own.intersection(set).is_empty()),
    });
    Some(match unmet {
        Some((key, set)) => {
            format!("{} is not what the pool requires: {key} {set}", instance_type.name)
        }
        None => format!("{} does not go with the pool's labels", instance_type.name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::{instance_type, pool};
    use crate::model::{CapacityType, Operator, Price};

    fn offering(zone: &str) -> Offering {
        Offering {
            zone: Name::from(zone),
            capacity_type: CapacityType::Spot,
            price: Price::from_nanos(1),
            available: true,
            reserved_count: None,
        }
    }

    fn set(operator: Operator, values: &[&str]) -> ValueSet {
        ValueSet::of(operator, values.iter().map(|value| Name::from(*value)))
    }

    #[test]
    fn a_launch_has_the_labels_of_pool_type_and_offering() {
        let pool = pool("default");
        let labels =
            labels(&pool, &instance_type("m1", 1_000, 1_024), &offering("z1"), &Choices::new())
                .unwrap();
        let expected = [
            (well_known::NODEPOOL_LABEL, "default"),
            (well_known::INSTANCE_TYPE_LABEL, "m1"),
            (well_known::ZONE_LABEL, "z1"),
            (well_known::CAPACITY_TYPE_LABEL, "spot"),
            (well_known::ARCH_LABEL, "amd64"),
        ];
        for (key, value) in expected {
            assert_eq!(labels.get(key).map(Name::as_str), Some(value), "{key}");
        }
    }

    #[test]
    fn a_label_with_several_values_is_what_pods_ask_for_or_the_first() {
        let mut pool = pool("default");
        pool.requirements.require(Name::from("team"), &set(Operator::In, &["b", "a"]));
        pool.requirements.require(Name::from("tier"), &set(Operator::Exists, &[]));
        pool.requirements.require(Name::from("size"), &set(Operator::Gt, &["7"]));
        pool.requirements.require(Name::from("old"), &set(Operator::NotIn, &["yes"]));
        let machine = instance_type("m1", 1_000, 1_024);
        let default = labels(&pool, &machine, &offering("z1"), &Choices::new()).unwrap();
        assert_eq!(default.get("team").map(Name::as_str), Some("a"));
        assert_eq!(default.get("tier").map(Name::as_str), Some("0"));
        assert_eq!(default.get("size").map(Name::as_str), Some("8"));
        assert_eq!(default.get("old"), None);
        let choices: Choices = [
            (Name::from("team"), Name::from("b")),
            (Name::from("tier"), Name::from("gold")),
            (Name::from("size"), Name::from("3")),
        ]
        .into();
        let chosen = labels(&pool, &machine, &offering("z1"), &choices).unwrap();
        assert_eq!(chosen.get("team").map(Name::as_str), Some("b"));
        assert_eq!(chosen.get("tier").map(Name::as_str), Some("gold"));
        assert_eq!(chosen.get("size").map(Name::as_str), Some("8"), "3 is not allowed");
    }

    #[test]
    fn what_the_pool_does_not_allow_is_named() {
        let mut pool = pool("default");
        pool.requirements
            .require(Name::from(well_known::ARCH_LABEL), &set(Operator::In, &["arm64"]));
        let machine = instance_type("m1", 1_000, 1_024);
        assert_eq!(
            explain(&pool, &machine, &offering("z1")).as_deref(),
            Some("m1 is not what the pool requires: kubernetes.io/arch in [arm64]")
        );
        assert!(!check(&pool, &machine, &offering("z1")));
    }
}
