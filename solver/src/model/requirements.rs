use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Labels, Name};

/// How a requirement on a node's label compares (Kubernetes' node selector operators, and
/// Karpenter's `Gte` and `Lte`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// The label's value is listed.
    In,
    /// The label is absent or its value is not listed.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label's value is an integer greater than the one given.
    Gt,
    /// The label's value is an integer less than the one given.
    Lt,
    /// The label's value is an integer greater than the one given, or equal.
    Gte,
    /// The label's value is an integer less than the one given, or equal.
    Lte,
}

/// The values that a label may have, and whether it may be absent.
///
/// Closed under intersection, so that requirements of a pool, of an instance type and of pods
/// can be combined and looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ValueSet {
    /// The values allowed, or, if `complement`, those that are not.
    values: BTreeSet<Name>,
    complement: bool,
    /// The value must be an integer of at least this.
    at_least: Option<i64>,
    /// The value must be an integer of at most this.
    at_most: Option<i64>,
    /// Whether a node without the label is allowed.
    absent: bool,
}

impl ValueSet {
    /// Any value, or none.
    pub const fn any() -> Self {
        Self {
            values: BTreeSet::new(),
            complement: true,
            at_least: None,
            at_most: None,
            absent: true,
        }
    }

    /// Exactly this value.
    pub fn one(value: Name) -> Self {
        Self::of(Operator::In, [value])
    }

    /// What an operator and its values allow.
    ///
    /// `Gt`, `Lt`, `Gte` and `Lte` take one integer; anything else there allows nothing, as in
    /// Kubernetes.
    pub fn of(operator: Operator, values: impl IntoIterator<Item = Name>) -> Self {
        let values: BTreeSet<Name> = values.into_iter().collect();
        let bound = || values.iter().next().and_then(|value| value.parse::<i64>().ok());
        let between = |at_least: Option<i64>, at_most: Option<i64>| match bound() {
            Some(_) => Self { at_least, at_most, absent: false, ..Self::any() },
            None => Self::nothing(),
        };
        match operator {
            Operator::In => Self { values, complement: false, absent: false, ..Self::any() },
            Operator::NotIn => Self { values, ..Self::any() },
            Operator::Exists => Self { absent: false, ..Self::any() },
            Operator::DoesNotExist => {
                Self { values: BTreeSet::new(), complement: false, ..Self::any() }
            }
            Operator::Gt => between(bound().map(|bound| bound.saturating_add(1)), None),
            Operator::Gte => between(bound(), None),
            Operator::Lt => between(None, bound().map(|bound| bound.saturating_sub(1))),
            Operator::Lte => between(None, bound()),
        }
    }

    /// The set that allows nothing, not even absence.
    pub fn nothing() -> Self {
        Self { complement: false, absent: false, ..Self::any() }
    }

    /// Whether a node whose label has this value (`None`: has not got the label) is allowed.
    pub fn allows(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return self.absent };
        self.values.contains(value) != self.complement && self.within_bounds(value)
    }

    /// What both allow.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let at_least = self.at_least.max(other.at_least);
        let at_most = match (self.at_most, other.at_most) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        };
        let (values, complement) = match (self.complement, other.complement) {
            (true, true) => (&self.values | &other.values, true),
            (true, false) => (&other.values - &self.values, false),
            (false, true) => (&self.values - &other.values, false),
            (false, false) => (&self.values & &other.values, false),
        };
        let mut set =
            Self { values, complement, at_least, at_most, absent: self.absent && other.absent };
        if !set.complement {
            let within: BTreeSet<Name> =
                set.values.iter().filter(|value| set.within_bounds(value)).cloned().collect();
            set = Self { values: within, at_least: None, at_most: None, ..set };
        }
        set
    }

    /// Whether nothing is allowed, not even absence.
    pub fn is_empty(&self) -> bool {
        !self.absent && !self.allows_some_value()
    }

    /// Whether there is a value that is allowed.
    pub fn allows_some_value(&self) -> bool {
        if self.complement {
            !matches!((self.at_least, self.at_most), (Some(low), Some(high)) if low > high)
        } else {
            self.values.iter().any(|value| self.within_bounds(value))
        }
    }

    /// Whether a node without the label is allowed.
    pub const fn allows_absent(&self) -> bool {
        self.absent
    }

    /// The values, if they are finitely many; sorted.
    pub fn listed(&self) -> Option<&BTreeSet<Name>> {
        (!self.complement).then_some(&self.values)
    }

    /// The only value allowed, if there is only one and the label may not be absent.
    pub fn single(&self) -> Option<&Name> {
        match self.listed() {
            Some(values) if values.len() == 1 && !self.absent => values.first(),
            _ => None,
        }
    }

    /// The operators and values that, taken together, allow exactly this set; none for a set
    /// that allows everything. The inverse of [`ValueSet::of`] and
    /// [`ValueSet::intersection`].
    pub fn operators(&self) -> Vec<(Operator, Vec<Name>)> {
        let values = || self.values.iter().cloned().collect::<Vec<_>>();
        if !self.complement {
            let operator = if self.values.is_empty() && self.absent {
                Operator::DoesNotExist
            } else {
                Operator::In
            };
            return vec![(operator, values())];
        }
        let bound = |number: i64| vec![Name::from(number.to_string())];
        let mut operators = Vec::new();
        if let Some(low) = self.at_least {
            operators.push((Operator::Gte, bound(low)));
        }
        if let Some(high) = self.at_most {
            operators.push((Operator::Lte, bound(high)));
        }
        if !self.values.is_empty() {
            operators.push((Operator::NotIn, values()));
        }
        if !self.absent && self.at_least.is_none() && self.at_most.is_none() {
            operators.push((Operator::Exists, Vec::new()));
        }
        operators
    }

    fn within_bounds(&self, value: &str) -> bool {
        if self.at_least.is_none() && self.at_most.is_none() {
            return true;
        }
        value.parse::<i64>().is_ok_and(|value| {
            self.at_least.is_none_or(|low| value >= low)
                && self.at_most.is_none_or(|high| value <= high)
        })
    }
}

impl fmt::Display for ValueSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = || self.values.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        match (self.complement, self.values.is_empty(), self.absent) {
            (false, true, true) => formatter.write_str("does not exist")?,
            (false, true, false) => formatter.write_str("is impossible")?,
            (false, false, _) => write!(formatter, "in [{}]", listed())?,
            (true, true, true) => formatter.write_str("is anything")?,
            (true, true, false) => formatter.write_str("exists")?,
            (true, false, _) => write!(formatter, "not in [{}]", listed())?,
        }
        if let Some(low) = self.at_least {
            write!(formatter, ", at least {low}")?;
        }
        if let Some(high) = self.at_most {
            write!(formatter, ", at most {high}")?;
        }
        Ok(())
    }
}

/// Requirements on a node's labels: for each key named, the values allowed. All must hold. Cloning
/// copies a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Requirements(Arc<BTreeMap<Name, ValueSet>>);

impl Requirements {
    /// Requires that exactly these labels be there.
    pub fn from_labels(labels: &Labels) -> Self {
        labels.iter().map(|(key, value)| (key.clone(), ValueSet::one(value.clone()))).collect()
    }

    /// Adds a requirement; one of the same key is narrowed.
    pub fn require(&mut self, key: Name, set: &ValueSet) {
        Arc::make_mut(&mut self.0)
            .entry(key)
            .and_modify(|existing| *existing = existing.intersection(set))
            .or_insert_with(|| set.clone());
    }

    /// The values allowed for `key`, if it is named at all.
    pub fn get(&self, key: &str) -> Option<&ValueSet> {
        self.0.get(key)
    }

    /// Keys and sets, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &ValueSet)> {
        self.0.iter()
    }

    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What both require.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (key, set) in other.iter() {
            both.require(key.clone(), set);
        }
        both
    }

    /// Whether a node with these labels meets them all.
    pub fn allow(&self, labels: &Labels) -> bool {
        self.first_unmet(labels).is_none()
    }

    /// The first requirement (by key) that a node with these labels does not meet.
    pub fn first_unmet(&self, labels: &Labels) -> Option<(&Name, &ValueSet)> {
        self.0.iter().find(|(key, set)| !set.allows(labels.get(key).map(Name::as_str)))
    }

    /// The first key whose requirement nothing can meet.
    pub fn first_impossible(&self) -> Option<&Name> {
        self.0.iter().find(|(_, set)| set.is_empty()).map(|(key, _)| key)
    }
}

impl FromIterator<(Name, ValueSet)> for Requirements {
    /// Several sets of one key are intersected.
    fn from_iter<I: IntoIterator<Item = (Name, ValueSet)>>(entries: I) -> Self {
        let mut requirements = Self::default();
        for (key, set) in entries {
            requirements.require(key, &set);
        }
        requirements
    }
}

impl fmt::Display for Requirements {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, set)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(formatter, "{comma}{key} {set}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(operator: Operator, values: &[&str]) -> ValueSet {
        ValueSet::of(operator, values.iter().copied().map(Name::from))
    }

    #[test]
    fn intersection_allows_exactly_what_both_allow() {
        let samples = [None, Some("a"), Some("b"), Some("3"), Some("5"), Some("9")];
        let sets = [
            set(Operator::In, &["a", "3", "9"]),
            set(Operator::In, &[]),
            set(Operator::NotIn, &["a", "5"]),
            set(Operator::Exists, &[]),
            set(Operator::DoesNotExist, &[]),
            set(Operator::Gt, &["3"]),
            set(Operator::Lt, &["9"]),
            set(Operator::Gte, &["5"]),
            set(Operator::Lte, &["5"]),
            set(Operator::Gt, &["not a number"]),
        ];
        for left in &sets {
            for right in &sets {
                let both = left.intersection(right);
                for value in samples {
                    assert_eq!(
                        both.allows(value),
                        left.allows(value) && right.allows(value),
                        "{left} and {right} at {value:?}"
                    );
                }
                if both.is_empty() {
                    assert!(samples.iter().all(|value| !both.allows(*value)), "{both}");
                }
            }
        }
    }

    #[test]
    fn operators_written_out_allow_the_same_set() {
        let samples = [None, Some("a"), Some("b"), Some("3"), Some("5"), Some("9")];
        let sets = [
            set(Operator::In, &["a", "3", "9"]),
            set(Operator::NotIn, &["a", "5"]),
            set(Operator::Exists, &[]),
            set(Operator::DoesNotExist, &[]),
            set(Operator::Gt, &["3"]),
            set(Operator::Lte, &["5"]),
            ValueSet::any(),
        ];
        for left in &sets {
            for right in &sets {
                let both = left.intersection(right);
                let again = both
                    .operators()
                    .into_iter()
                    .map(|(operator, values)| ValueSet::of(operator, values))
                    .fold(ValueSet::any(), |all, one| all.intersection(&one));
                for value in samples {
                    assert_eq!(again.allows(value), both.allows(value), "{both} at {value:?}");
                }
            }
        }
    }

    #[test]
    fn operators_treat_an_absent_label_as_kubernetes_does() {
        assert!(set(Operator::NotIn, &["a"]).allows(None));
        assert!(set(Operator::DoesNotExist, &[]).allows(None));
        assert!(!set(Operator::In, &["a"]).allows(None));
        assert!(!set(Operator::Exists, &[]).allows(None));
        assert!(!set(Operator::Gt, &["1"]).allows(None));
    }
}
