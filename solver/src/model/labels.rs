use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Name;

/// An object's labels: shared, sorted by key, one value a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Arc<[(Name, Name)]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Labels {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Name> {
        // They are few, and most keys are of other lengths, which tells them apart without a look
        // at their text. A search by halves would look at the text of several.
        self.0.iter().find(|(other, _)| *other == *key).map(|(_, value)| value)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> std::slice::Iter<'_, (Name, Name)> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody else holds the same copy of the labels.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// These labels with others added; `others` win.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = (Name, Name)>) -> Self {
        self.0.iter().cloned().chain(others).collect()
    }
}

impl FromIterator<(Name, Name)> for Labels {
    /// The last value of a key wins.
    fn from_iter<I: IntoIterator<Item = (Name, Name)>>(labels: I) -> Self {
        let sorted: std::collections::BTreeMap<Name, Name> = labels.into_iter().collect();
        Self(sorted.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = &'a (Name, Name);
    type IntoIter = std::slice::Iter<'a, (Name, Name)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

/// How a label selector compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SelectorOperator {
    /// The label is there and its value is listed.
    In,
    /// The label is absent or its value is not listed.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// One line of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SelectorRequirement {
    /// The label's key.
    pub key: Name,
    /// How it is compared.
    pub operator: SelectorOperator,
    /// With what; sorted. Empty for `Exists` and `DoesNotExist`.
    pub values: Box<[Name]>,
}

impl SelectorRequirement {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = || value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            SelectorOperator::In => listed(),
            SelectorOperator::NotIn => !listed(),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// A `metav1.LabelSelector`, `matchLabels` written as `In` with one value.
///
/// [`LabelSelector::Nothing`] is Kubernetes' nil selector; an empty list of requirements matches
/// everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LabelSelector {
    /// A nil selector: matches no object.
    Nothing,
    /// All of these must hold; sorted.
    All(Box<[SelectorRequirement]>),
}

impl LabelSelector {
    /// The selector that matches every object.
    pub fn everything() -> Self {
        Self::All(Box::default())
    }

    /// The selector for objects that carry all of these labels.
    pub fn match_labels(labels: &Labels) -> Self {
        Self::All(
            labels
                .iter()
                .map(|(key, value)| SelectorRequirement {
                    key: key.clone(),
                    operator: SelectorOperator::In,
                    values: Box::from([value.clone()]),
                })
                .collect(),
        )
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(requirements) => {
                requirements.iter().all(|requirement| requirement.matches(labels))
            }
        }
    }
}
