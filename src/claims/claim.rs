//! A claim, read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::definition::Definition;
use super::money::Monthly;
use crate::api::ClaimStatus;

/// The annotation that stops Berth from doing anything about a claim, and Crossplane's, which
/// manifests that move over have.
pub const PAUSED: [&str; 2] = ["claims.berth.sh/paused", "crossplane.io/paused"];
/// The annotation whose every new value asks for a new password.
pub const ROTATE_PASSWORD: &str = "claims.berth.sh/rotate-password";
/// The parameter with the size of a database's disk.
pub const STORAGE: &str = "storageGB";
/// What keeps a claim until what it stood for is taken care of.
pub const FINALIZER: &str = "claims.berth.sh/claim";

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`; empty in files.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub is_deleted: bool,
    /// Whether Berth's finalizer is on it.
    pub has_finalizer: bool,
    /// Its size.
    pub size: String,
    /// `spec.parameters` but for the size, defaults filled in.
    pub parameters: BTreeMap<String, Value>,
    /// The labels that its provider must have; `None` selects every provider.
    pub selector: Option<BTreeMap<String, String>>,
    /// The Secret that it wants to have written.
    pub secret: Option<String>,
    /// Whether what it stands for outlives it.
    pub retain: bool,
    /// What it adopts.
    pub adopt: Option<String>,
    /// What became of it so far.
    pub status: ClaimStatus,
}

impl ClaimStatus {
    /// What was said that it costs.
    pub fn price(&self) -> Option<Monthly> {
        self.price_per_month.as_ref()?.parse().ok()
    }
}

impl Claim {
    /// Reads a claim whose schema was checked (by the API server, or as [`super::crd::schema`]
    /// says), filling in what the definition has for defaults.
    ///
    /// # Errors
    /// What it lacks, for claims that an older definition let in.
    pub fn read(object: &Value, definition: &Definition) -> Result<Self, String> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let map = |path: &str| texts(object.pointer(path));
        let size = text("/spec/parameters/size").or_else(|| definition.default_size.clone());
        let size = size.ok_or_else(|| "spec.parameters.size is missing".to_owned())?;
        let is_deleted = text("/metadata/deletionTimestamp").is_some();
        // Whoever took the size away does not keep a claim from going.
        if !is_deleted && !definition.sizes.iter().any(|one| one.name == size) {
            let names: Vec<&str> = definition.sizes.iter().map(|one| one.name.as_str()).collect();
            let names = names.join(", ");
            return Err(format!("spec.parameters.size: {size:?} is none: expected one of {names}"));
        }
        let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        let selector = ["compositionSelector", "providerSelector"]
            .iter()
            .find_map(|name| object.pointer(&format!("/spec/{name}/matchLabels")));
        let status = object.get("status").filter(|status| !status.is_null());
        let status = status.map(|status| serde_json::from_value(status.clone())).transpose();
        Ok(Self {
            namespace: text("/metadata/namespace").unwrap_or_else(|| "default".to_owned()),
            name: text("/metadata/name").unwrap_or_default(),
            uid: text("/metadata/uid").unwrap_or_default(),
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64),
            labels: map("/metadata/labels"),
            annotations: map("/metadata/annotations"),
            is_deleted,
            has_finalizer: finalizers.is_some_and(|list| list.iter().any(|one| one == FINALIZER)),
            size,
            parameters: parameters(object, definition),
            selector: selector.map(|labels| texts(Some(labels))),
            secret: text("/spec/writeConnectionSecretToRef/name"),
            retain: text("/spec/deletionPolicy")
                .map_or(definition.retain, |policy| policy != "Delete"),
            adopt: text("/spec/adopt/externalName"),
            status: status.map_err(|error| format!("status: {error}"))?.unwrap_or_default(),
        })
    }

    /// The claim with what it was given last, if it asks for another size or disk by now.
    pub fn as_given(&self) -> Option<Self> {
        let mut given = self.clone();
        given.size = self.status.size.clone()?;
        if let Some(storage) = self.status.storage_gb {
            given.parameters.insert(STORAGE.to_owned(), storage.into());
        }
        (given != *self).then_some(given)
    }

    /// Whether it asks for something that it has not been given: a provider, or more.
    pub fn is_asking(&self) -> bool {
        self.status.provider.is_none() || self.as_given().is_some()
    }

    /// The disk that it asks for, in GB.
    pub fn disk(&self) -> Option<i64> {
        self.number(STORAGE).or_else(|| self.number("diskGB"))
    }

    /// Whether nothing is to be done about it.
    pub fn is_paused(&self) -> bool {
        PAUSED.iter().any(|name| self.annotations.get(*name).is_some_and(|value| value == "true"))
    }

    /// A parameter that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)?.as_str()
    }

    /// A parameter that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.parameters.get(name)?.as_i64()
    }

    /// A parameter that is a list of texts; empty if it is not given.
    pub fn list(&self, name: &str) -> Vec<String> {
        let list = self.parameters.get(name).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }
}

fn parameters(object: &Value, definition: &Definition) -> BTreeMap<String, Value> {
    let given = |name: &str| {
        let value = object.pointer("/spec/parameters")?.get(name)?;
        (!value.is_null()).then(|| value.clone())
    };
    let mut found = BTreeMap::new();
    for parameter in &definition.parameters {
        let name = parameter.known.name;
        let default = || parameter.default_value();
        if let Some(value) = given(name).or_else(default) {
            found.insert(name.to_owned(), value);
        }
    }
    found
}

fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
