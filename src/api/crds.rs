use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{
    CapacityBuffer, ClaimDefinition, ClaimProvider, ExoscaleNodeClass, KwokNodeClass, NodeClaim,
    NodePool,
};

/// A CustomResourceDefinition, ready to be installed.
#[derive(Clone, Debug)]
pub struct CrdFile {
    /// The name of the file that holds it: group, underscore, plural.
    pub file_name: String,
    /// The definition.
    pub definition: Value,
}

impl CrdFile {
    fn of(definition: &CustomResourceDefinition) -> serde_json::Result<Self> {
        let file_name = format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural);
        Ok(Self { file_name, definition: crd_value(definition)? })
    }

    /// The definition as YAML.
    ///
    /// # Errors
    ///
    /// If it cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(&self.definition)
    }
}

/// A definition as it is to be installed.
///
/// # Errors
///
/// If it cannot be written as JSON.
pub fn crd_value(definition: &CustomResourceDefinition) -> serde_json::Result<Value> {
    let mut definition = serde_json::to_value(definition)?;
    drop_nullable(&mut definition);
    Ok(definition)
}

/// All CustomResourceDefinitions that Berth brings, sorted by file name.
///
/// These, not what `CustomResourceExt::crd` gives, are to be installed.
///
/// # Errors
///
/// If one of them cannot be written as JSON.
pub fn crds() -> serde_json::Result<Vec<CrdFile>> {
    let definitions = [
        CapacityBuffer::crd(),
        ClaimDefinition::crd(),
        ClaimProvider::crd(),
        ExoscaleNodeClass::crd(),
        KwokNodeClass::crd(),
        NodeClaim::crd(),
        NodePool::crd(),
    ];
    let mut files: Vec<CrdFile> =
        definitions.iter().map(CrdFile::of).collect::<serde_json::Result<_>>()?;
    let kwok = KwokNodeClass::crd().spec.group;
    let of_kwok = files.iter_mut().filter(|file| file.definition["spec"]["group"] == *kwok);
    of_kwok.for_each(|file| let_spec_be_left_out(&mut file.definition));
    Ok(files)
}

/// Puts an empty `spec` where there is none, as Karpenter takes node classes of its kwok provider.
fn let_spec_be_left_out(definition: &mut Value) {
    for version in definition["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let schema = &mut version["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"]["default"] = json!({});
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("required");
        }
    }
}

/// Takes every `nullable` out of a schema: an absent field and `null` are the same in Karpenter's
/// schemas, where the API server drops the `null` and puts the default in its place.
pub(crate) fn drop_nullable(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A property may have that name too; then it is a schema, not a truth value.
            if fields.get("nullable").is_some_and(Value::is_boolean) {
                fields.remove("nullable");
            }
            fields.values_mut().for_each(drop_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nullable),
        _ => {}
    }
}
