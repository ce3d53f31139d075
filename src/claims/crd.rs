//! The CustomResourceDefinition that is made of a definition.
//!
//! A pure function: the same definition gives the same text, byte for byte. The schema is
//! structural, says everything that can be said without looking at other objects, and gives each
//! property a title or description, so that portals can make forms of it.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::definition::{Change, Definition, Form, Parameter, Service, number_bounds};
use crate::api::{self, ClaimStatus};

/// The label of a CustomResourceDefinition with the name of the ClaimDefinition that it is made of.
pub const DEFINITION_LABEL: &str = "claims.berth.sh/definition";
/// The longest name of a claim: what is made of it (Secrets, Services, pods) has the name with
/// something added, and must still be a DNS label.
pub const LONGEST_NAME: usize = 50;
/// Entries of a list, where the definition does not bound them.
const MOST_ENTRIES: i64 = 50;

/// Makes the CustomResourceDefinition of a definition.
///
/// # Errors
/// If the schema of the status cannot be written as JSON, which a test rules out.
pub fn of(definition: &Definition) -> serde_json::Result<Value> {
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": definition.crd_name(),
            "labels": { DEFINITION_LABEL: definition.name },
        },
        "spec": {
            "group": definition.group,
            "scope": "Namespaced",
            "names": {
                "kind": definition.kind,
                "listKind": format!("{}List", definition.kind),
                "plural": definition.plural,
                "singular": definition.singular,
                "shortNames": definition.short_names,
                "categories": ["claim"],
            },
            "versions": [{
                "name": definition.version,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(),
                "schema": { "openAPIV3Schema": schema(definition)? },
            }],
        },
    }))
}

/// The schema of whole claims.
///
/// # Errors
/// As [`of`].
pub fn schema(definition: &Definition) -> serde_json::Result<Value> {
    let mut required = vec!["spec"];
    required.sort_unstable();
    Ok(json!({
        "description": format!("A claim for {}", definition.service),
        "type": "object",
        "required": required,
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "spec": spec(definition),
            "status": status()?,
        },
        "x-kubernetes-validations": [{
            "rule": format!("size(self.metadata.name) <= {LONGEST_NAME}"),
            "message": format!("metadata.name must have {LONGEST_NAME} characters at most"),
        }],
    }))
}

fn columns() -> Value {
    let condition = |name: &str| {
        let path = format!(".status.conditions[?(@.type=='{name}')].status");
        json!({ "name": name.to_uppercase(), "type": "string", "jsonPath": path })
    };
    let field =
        |name: &str, path: &str| json!({ "name": name, "type": "string", "jsonPath": path });
    json!([
        condition("Synced"),
        condition("Ready"),
        field("SIZE", ".spec.parameters.size"),
        field("PROVIDER", ".status.provider"),
        field("PER-MONTH", ".status.pricePerMonth"),
        { "name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
        { "name": "EXTERNAL-NAME", "type": "string", "jsonPath": ".status.externalName",
          "priority": 1 },
    ])
}

fn spec(definition: &Definition) -> Value {
    let selector = |description: &str| {
        json!({
            "description": description,
            "type": "object",
            "required": ["matchLabels"],
            "properties": { "matchLabels": {
                "type": "object",
                "maxProperties": 20,
                "additionalProperties": { "type": "string", "maxLength": 63 },
            } },
        })
    };
    let retain = if definition.retain { "Retain" } else { "Delete" };
    let secret = "The Secret with what it takes to connect, written in the claim's namespace. \
                  One that is there already and is not the claim's is never touched.";
    let adopt = "What is there already at the provider, to be adopted instead of created. The \
                 provider has to allow it.";
    let mut required = Vec::new();
    if parameters_are_required(definition) {
        required.push("parameters");
    }
    let mut parameters = parameters(definition);
    if required.is_empty() {
        parameters["default"] = json!({});
    }
    let mut schema = json!({
        "type": "object",
        "properties": {
            "parameters": parameters,
            "compositionSelector": selector(
                "The labels of the providers that may serve it: the name that Crossplane has for it"
            ),
            "providerSelector": selector("The labels of the providers that may serve it"),
            "writeConnectionSecretToRef": {
                "description": secret,
                "type": "object",
                "required": ["name"],
                "properties": { "name": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 63,
                    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                } },
                "x-kubernetes-validations": [immutable("writeConnectionSecretToRef")],
            },
            "deletionPolicy": {
                "description": "What becomes of it when the claim is deleted: Delete loses its \
                                data, Retain keeps it at the provider, where it goes on costing.",
                "type": "string",
                "enum": ["Retain", "Delete"],
                "default": retain,
            },
            "adopt": {
                "description": adopt,
                "type": "object",
                "required": ["externalName"],
                "properties": { "externalName": {
                    "description": "What the provider calls it",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 100,
                } },
                "x-kubernetes-validations": [immutable("adopt")],
            },
        },
        "x-kubernetes-validations": [
            {
                "rule": "!(has(self.compositionSelector) && has(self.providerSelector))",
                "message": "compositionSelector and providerSelector mean the same: give one",
            },
            {
                "rule": "has(self.adopt) == has(oldSelf.adopt)",
                "message": "adopt is immutable: make another claim",
            },
            {
                "rule": "has(self.writeConnectionSecretToRef) || !has(oldSelf.writeConnectionSecretToRef)",
                "message": "writeConnectionSecretToRef cannot be taken away: delete the claim instead",
            },
        ],
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn immutable(field: &str) -> Value {
    json!({
        "rule": "self == oldSelf",
        "message": format!("{field} is immutable: make another claim"),
    })
}

fn parameters_are_required(definition: &Definition) -> bool {
    definition.default_size.is_none()
        || definition.parameters.iter().any(|one| is_required(&one.bounds))
}

const fn is_required(bounds: &api::ClaimParameter) -> bool {
    bounds.required && bounds.default.is_none()
}

fn parameters(definition: &Definition) -> Value {
    let names: Vec<&str> = definition.sizes.iter().map(|size| size.name.as_str()).collect();
    let described = definition.sizes.iter().filter(|size| !size.description.is_empty());
    let described: Vec<String> =
        described.map(|size| format!("{}: {}", size.name, size.description)).collect();
    let mut size = json!({
        "title": "Size",
        "description": format!("How large it is. {}", described.join("; ")).trim(),
        "type": "string",
        "enum": names,
    });
    if definition.service.size_change() == Change::Never {
        size["x-kubernetes-validations"] = json!([immutable("size")]);
    }
    let mut required = Vec::new();
    match &definition.default_size {
        Some(default) => size["default"] = json!(default),
        None => required.push("size"),
    }
    let mut properties = Map::from_iter([("size".to_owned(), size)]);
    let mut rules = Vec::new();
    for one in &definition.parameters {
        let name = one.known.name;
        properties.insert(name.to_owned(), parameter(definition.service, one));
        if is_required(&one.bounds) {
            required.push(name);
        }
        if one.known.change != Change::Free {
            rules.push(json!({
                "rule": format!("has(self.{name}) == has(oldSelf.{name})"),
                "message": format!("{name} cannot be added or taken away later: make another claim"),
            }));
        }
    }
    let mut schema = json!({
        "description": "What is asked for",
        "type": "object",
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !rules.is_empty() {
        schema["x-kubernetes-validations"] = json!(rules);
    }
    schema
}

fn parameter(service: Service, one: &Parameter) -> Value {
    let bounds = &one.bounds;
    let mut schema = match one.known.form {
        Form::Choice(_) => {
            json!({ "type": "string", "enum": bounds.values })
        }
        Form::Number => {
            let (minimum, maximum) = number_bounds(bounds);
            json!({
                "type": "integer", "format": "int64", "minimum": minimum, "maximum": maximum,
            })
        }
        Form::List(pattern, longest) => json!({
            "type": "array",
            "maxItems": bounds.maximum.unwrap_or(MOST_ENTRIES),
            "items": { "type": "string", "pattern": pattern, "maxLength": longest },
            "x-kubernetes-list-type": "atomic",
        }),
    };
    if let Some(default) = one.default_value() {
        schema["default"] = default;
    }
    schema["title"] = json!(title(one.known.name));
    schema["description"] = json!(match bounds.description.as_str() {
        "" => meaning(service, one.known.name),
        description => description,
    });
    let name = one.known.name;
    let rule = match one.known.change {
        Change::Free => None,
        Change::Grow => Some(("self >= oldSelf", format!("{name} can only grow"))),
        Change::Never => {
            Some(("self == oldSelf", format!("{name} is immutable: make another claim")))
        }
    };
    if let Some((rule, message)) = rule {
        schema["x-kubernetes-validations"] = json!([{ "rule": rule, "message": message }]);
    }
    schema
}

fn title(name: &str) -> &'static str {
    match name {
        "version" => "Version",
        "storageGB" => "Storage in GB",
        "allowedCIDRs" => "Who may connect",
        "image" => "Image",
        "diskGB" => "Disk in GB",
        "sshPublicKeys" => "SSH keys",
        _ => "Packages",
    }
}

fn meaning(service: Service, name: &str) -> &'static str {
    match (service, name) {
        (_, "version") => "The major version",
        (_, "storageGB") => "The size of the disk; it can only grow",
        (_, "allowedCIDRs") => "The networks that may connect; not everybody (/0)",
        (_, "image") => "What the disk is copied from",
        (_, "diskGB") => "The size of the disk",
        (_, "sshPublicKeys") => "Public keys that may log in",
        _ => "Packages that the first boot installs",
    }
}

fn status() -> serde_json::Result<Value> {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema =
        SchemaGenerator::new(settings).into_root_schema_for::<ClaimStatus>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        for key in ["title", "$schema", "components"] {
            schema.remove(key);
        }
    }
    api::drop_nullable(&mut schema);
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;

    use super::*;
    use crate::api::{ClaimDefinition, ClaimProvider, crd_value};
    use crate::claims::testing::definitions;

    /// The names of all properties of a schema.
    fn names(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::Object(properties)) = fields.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                fields.values().for_each(|value| names(value, found));
            }
            Value::Array(all) => all.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }

    #[test]
    fn no_object_says_where_a_cloud_is() {
        let mut kinds: Vec<Value> = definitions().iter().map(|one| of(one).unwrap()).collect();
        kinds.push(crd_value(&ClaimDefinition::crd()).unwrap());
        kinds.push(crd_value(&ClaimProvider::crd()).unwrap());
        let mut found = Vec::new();
        kinds.iter().for_each(|kind| names(kind, &mut found));
        assert!(found.contains(&"credentialsSecretRef".to_owned()));
        for name in found {
            let small = name.to_lowercase();
            for word in ["url", "endpoint", "host", "proxy", "address"] {
                assert!(!small.contains(word), "{name}");
            }
            assert!(!small.ends_with("uri"), "{name}");
        }
    }

    #[test]
    fn portals_find_everything_to_make_a_form_of() {
        for definition in definitions() {
            let made = of(&definition).unwrap();
            assert_eq!(made["spec"]["names"]["categories"], json!(["claim"]));
            let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
            let parameters = &made.pointer(path).unwrap()["parameters"]["properties"];
            for (name, schema) in parameters.as_object().unwrap() {
                let has = |key: &str| schema[key].as_str().is_some_and(|text| !text.is_empty());
                assert!(has("title") && has("description") && has("type"), "{name}: {schema}");
            }
            let sizes = json!(definition.sizes.iter().map(|one| &one.name).collect::<Vec<_>>());
            assert_eq!(parameters["size"]["enum"], sizes);
        }
    }
}
