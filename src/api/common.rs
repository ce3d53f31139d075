use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

use super::validation;

/// A requirement on a label of nodes: a key, an operator and the values that it compares with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The label's key.
    #[schemars(
        regex(pattern = validation::LABEL_KEY),
        length(max = validation::LABEL_KEY_LENGTH),
        extend("x-kubernetes-validations" = [
            validation::KEY_NOT_KARPENTER,
            validation::KEY_NOT_HOSTNAME,
        ])
    )]
    pub key: String,
    /// How the label's value compares with `values`: one of In, NotIn, Exists, DoesNotExist, Gt,
    /// Lt, Gte and Lte.
    #[schemars(extend("enum" = [
        "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"
    ]))]
    pub operator: String,
    /// In and NotIn: the values listed. Gt, Lt, Gte and Lte: one integer. Exists and
    /// DoesNotExist: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        inner(
            regex(pattern = validation::LABEL_VALUE),
            length(max = validation::LABEL_VALUE_LENGTH)
        ),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub values: Vec<String>,
    /// How many values must stay possible when a node is launched, so that the cloud has a
    /// choice. Alpha in Karpenter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub min_values: Option<i64>,
}

/// A taint of nodes: pods that do not tolerate it stay away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// The taint's key.
    #[schemars(regex(pattern = validation::LABEL_KEY), length(min = 1))]
    pub key: String,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = validation::LABEL_KEY))]
    pub value: Option<String>,
    /// What becomes of pods that do not tolerate it: one of NoSchedule, PreferNoSchedule and
    /// NoExecute.
    #[schemars(extend("enum" = ["NoSchedule", "PreferNoSchedule", "NoExecute"]))]
    pub effect: String,
    /// When it was added; written for NoExecute only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub time_added: Option<Time>,
}

/// The object that says what is particular to the cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClassReference {
    /// Its API group, without version.
    #[schemars(
        regex(pattern = validation::API_GROUP),
        extend("x-kubernetes-validations" = [validation::GROUP_NOT_EMPTY])
    )]
    pub group: String,
    /// Its kind.
    #[schemars(extend("x-kubernetes-validations" = [validation::KIND_NOT_EMPTY]))]
    pub kind: String,
    /// Its name.
    #[schemars(extend("x-kubernetes-validations" = [validation::NAME_NOT_EMPTY]))]
    pub name: String,
}

/// One thing that can be said of an object, and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is said.
    #[schemars(regex(pattern = validation::CONDITION_TYPE), length(max = 316))]
    pub r#type: String,
    /// Whether it holds: True, False or Unknown.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// Since when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Time,
    /// Why, in one word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = validation::CONDITION_REASON), length(max = 1024))]
    pub reason: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32768))]
    pub message: String,
    /// The `metadata.generation` of which it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

/// A resource quantity as it was written: `500m`, `2Gi`, or a bare number.
///
/// Kubernetes' own types have only strings here, but stored custom resources keep the numbers
/// that people write.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl serde::de::Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a resource quantity: a string such as 500m or 2Gi, or a number")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
        Ok(Quantity(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "pattern": validation::QUANTITY,
            "x-kubernetes-int-or-string": true,
        })
    }
}
