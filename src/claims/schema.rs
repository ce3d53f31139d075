//! Objects in files, held against the schema that the API server would hold them against.

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// A compiled schema.
#[derive(Debug)]
pub struct Schema(Validator);

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where, as a JSON pointer: `/spec/parameters/size`.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn at(pointer: &str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), message: message.into() }
    }

    /// The field as people write it: `spec.parameters.size`; empty for the whole object.
    pub fn field(&self) -> String {
        let parts = self.pointer.split('/').skip(1);
        let parts: Vec<String> =
            parts.map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        parts.join(".")
    }
}

impl Schema {
    /// Compiles the schema of a CustomResourceDefinition's version. Unlike the API server, which
    /// drops them, it refuses fields that the schema does not know: in a file they are typing
    /// errors.
    ///
    /// # Errors
    /// If it is no schema.
    pub fn new(schema: &Value) -> Result<Self, String> {
        let mut schema = schema.clone();
        close(&mut schema);
        // These the API server checks by itself; not every schema names them.
        for name in ["apiVersion", "kind"] {
            schema["properties"][name] = json!({ "type": "string" });
        }
        schema["properties"]["metadata"] = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {
                    "type": "string",
                    "maxLength": 253,
                    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
                },
                "namespace": { "type": "string" },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                "annotations": { "type": "object", "additionalProperties": { "type": "string" } },
            },
        });
        let compiled = jsonschema::options().with_draft(Draft::Draft202012).build(&schema);
        compiled.map(Self).map_err(|error| format!("the schema makes no sense: {error}"))
    }

    /// Compiles the schema of the only version of a CustomResourceDefinition.
    ///
    /// # Errors
    /// If it has none.
    pub fn of_crd(definition: &Value) -> Result<Self, String> {
        let path = "/spec/versions/0/schema/openAPIV3Schema";
        let schema = definition.pointer(path).ok_or_else(|| "it has no schema".to_owned())?;
        Self::new(schema)
    }

    /// Everything that is wrong, by place.
    pub fn problems(&self, object: &Value) -> Vec<Problem> {
        let errors = self.0.iter_errors(object);
        let mut problems: Vec<Problem> = errors
            .map(|error| Problem::at(&error.instance_path().to_string(), error.to_string()))
            .collect();
        problems.sort();
        problems.dedup();
        problems
    }
}

/// Closes every object whose properties are listed.
fn close(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        let is_open = fields.contains_key("additionalProperties")
            || fields.get("x-kubernetes-preserve-unknown-fields").is_some();
        if fields.get("properties").is_some_and(Value::is_object) && !is_open {
            fields.insert("additionalProperties".to_owned(), json!(false));
        }
        if let Some(Value::Object(properties)) = fields.get_mut("properties") {
            properties.values_mut().for_each(close);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = fields.get_mut(key) {
                close(inner);
            }
        }
    }
}
