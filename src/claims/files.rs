//! Definitions, providers and claims in files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kube::CustomResourceExt;
use serde_json::Value;

use super::claim::Claim;
use super::crd;
use super::definition::Definition;
use super::schema::{Problem, Schema};
use crate::api::{ClaimDefinition, ClaimProvider, ClaimProviderSpec, crd_value};
use crate::manifests::{self, ManifestError, Object};

/// The group of definitions and providers.
const GROUP: &str = "claims.berth.sh";

/// What a platform team wrote.
#[derive(Debug, Default)]
pub struct Platform {
    /// The kinds of claims, by group and kind.
    pub kinds: BTreeMap<(String, String), Kind>,
    /// Providers, by name.
    pub providers: BTreeMap<String, Provider>,
    /// Labels of namespaces, by name.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

/// A kind of claim.
#[derive(Debug)]
pub struct Kind {
    /// Its definition.
    pub definition: Definition,
    schema: Schema,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it offers.
    pub spec: ClaimProviderSpec,
}

/// A claim as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its kind.
    pub kind: (String, String),
    /// The claim, or what is wrong with it.
    pub claim: Result<Claim, Vec<ManifestError>>,
    object: Object,
}

impl Written {
    /// Namespace and name.
    pub fn key(&self) -> (String, String) {
        let namespace = self.object.namespace();
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        (namespace.to_owned(), self.object.name().to_owned())
    }

    /// The file, and the line where the claim begins.
    pub fn place(&self) -> (&str, u64) {
        self.object.place()
    }

    /// The error for a problem with it.
    pub fn error(&self, problem: &Problem) -> ManifestError {
        located(&self.object, problem)
    }
}

/// Reads what there is in files and folders: definitions, providers and namespaces, and all
/// other objects, for [`claims`].
///
/// # Errors
/// When a file cannot be read, and for the first definition or provider that makes no sense.
pub fn platform(paths: &[PathBuf]) -> Result<(Platform, Vec<Object>), ManifestError> {
    let mut platform = Platform::default();
    let mut others = Vec::new();
    let definition_schema = own_schema(&ClaimDefinition::crd())?;
    let provider_schema = own_schema(&ClaimProvider::crd())?;
    for object in manifests::objects(paths)? {
        match (object.group(), object.kind()) {
            (GROUP, "ClaimDefinition") => {
                let read: ClaimDefinition = decode(&object, &definition_schema)?;
                let definition =
                    Definition::read(&read).map_err(|problem| object.error(problem))?;
                let crd = crd::of(&definition).map_err(|error| object.error(error.to_string()))?;
                let schema = Schema::of_crd(&crd).map_err(|problem| object.error(problem))?;
                let key = (definition.group.clone(), definition.kind.clone());
                let kind = Kind { definition, schema };
                if platform.kinds.insert(key, kind).is_some() {
                    return Err(object.error("another ClaimDefinition makes this kind".to_owned()));
                }
            }
            (GROUP, "ClaimProvider") => {
                let read: ClaimProvider = decode(&object, &provider_schema)?;
                let labels = read.metadata.labels.unwrap_or_default();
                let provider = Provider { labels, spec: read.spec };
                let name = object.name().to_owned();
                if platform.providers.insert(name, provider).is_some() {
                    return Err(
                        object.error("there are two ClaimProviders of that name".to_owned())
                    );
                }
            }
            ("", "Namespace") => {
                let labels = object.value().pointer("/metadata/labels").cloned();
                let labels = labels.and_then(|labels| serde_json::from_value(labels).ok());
                platform.namespaces.insert(object.name().to_owned(), labels.unwrap_or_default());
            }
            _ => others.push(object),
        }
    }
    Ok((platform, others))
}

/// The claims among objects: those whose kind a definition makes.
pub fn claims(platform: &Platform, objects: Vec<Object>) -> Vec<Written> {
    let of_object = |object: Object| {
        let kind = (object.group().to_owned(), object.kind().to_owned());
        let claim = read(platform.kinds.get(&kind)?, &object);
        Some(Written { kind, claim, object })
    };
    objects.into_iter().filter_map(of_object).collect()
}

fn read(kind: &Kind, object: &Object) -> Result<Claim, Vec<ManifestError>> {
    let mut problems = kind.schema.problems(object.value());
    let definition = &kind.definition;
    let version = object.value()["apiVersion"].as_str().unwrap_or_default();
    if version != definition.api_version() {
        let message = format!("{version:?} is not served: expected {}", definition.api_version());
        problems.push(Problem::at("/apiVersion", message));
    }
    if object.name().len() > crd::LONGEST_NAME {
        let most = crd::LONGEST_NAME;
        let message = format!("has more than {most} characters: expected a shorter name");
        problems.push(Problem::at("/metadata/name", message));
    }
    let spec = &object.value()["spec"];
    if !spec["compositionSelector"].is_null() && !spec["providerSelector"].is_null() {
        let message = "compositionSelector and providerSelector mean the same: give one";
        problems.push(Problem::at("/spec", message));
    }
    if problems.is_empty() {
        match Claim::read(object.value(), definition) {
            Ok(claim) => return Ok(claim),
            Err(message) => problems.push(Problem::at("/spec", message)),
        }
    }
    Err(problems.iter().map(|problem| located(object, problem)).collect())
}

/// What would be stored: a problem at the line of its field.
fn located(object: &Object, problem: &Problem) -> ManifestError {
    let field = problem.field();
    let text = match field.as_str() {
        "" => problem.message.clone(),
        field => format!("{field}: {}", problem.message),
    };
    object.error_at(&problem.pointer, text)
}

fn decode<T: serde::de::DeserializeOwned>(
    object: &Object,
    schema: &Schema,
) -> Result<T, ManifestError> {
    if let Some(problem) = schema.problems(object.value()).first() {
        return Err(located(object, problem));
    }
    serde_json::from_value(object.value().clone()).map_err(|error| object.error(error.to_string()))
}

fn own_schema(
    definition: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
) -> Result<Schema, ManifestError> {
    let compiled = crd_value(definition)
        .map_err(|error| error.to_string())
        .and_then(|value: Value| Schema::of_crd(&value));
    // A test compiles both.
    compiled.map_err(|problem| ManifestError {
        file: "berth crds".to_owned(),
        line: None,
        object: None,
        problem,
    })
}
